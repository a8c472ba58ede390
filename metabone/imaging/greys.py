"""From stored values to greys: DICOM's modality, VOI and presentation transformations.

The three are folded into one table with an entry for each value that the stored bits can hold, in
float64, so that a film of any size costs one look-up a pixel (PS3.3 C.11.1, C.11.2 and C.11.6).
"""

from typing import NamedTuple

import numpy as np

from metabone.imaging.film import WHITE

FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
"""What VOI LUT Function may ask for (PS3.3 C.11.2.1.3)."""


class Table(NamedTuple):
    """A look-up table of DICOM.

    Attributes:
      first: the input of its first entry; smaller inputs take that entry too.
      bits: of an entry; all ones is the top of its range.
      values: `[entries]` uint16.
    """

    first: int
    bits: int
    values: np.ndarray


class Window(NamedTuple):
    """A window of DICOM: centre, width, and one of `FUNCTIONS`."""

    center: float
    width: float
    function: str


class Greys(NamedTuple):
    """How stored values become greys.

    Attributes:
      bits: of a stored value, 2..16.
      signed: whether they are two's complement.
      slope: of the rescaling, not 0; ignored beside a modality table.
      intercept: of the rescaling.
      modality: table in place of the rescaling.
      voi: table in place of the window.
      window: of the values of interest; without it and `voi` the whole range is shown.
      inverted: whether the lowest value is shown white.
      padding: lowest and highest stored value of what is no image and becomes black.
    """

    bits: int
    signed: bool = False
    slope: float = 1.0
    intercept: float = 0.0
    modality: Table | None = None
    voi: Table | None = None
    window: Window | None = None
    inverted: bool = False
    padding: tuple[int, int] | None = None


def stored_values(bits: int, signed: bool) -> np.ndarray:
    """Lists the value of each code.

    Args:
      bits: of a code.
      signed: whether codes are two's complement.

    Returns:
      `[2**bits]` int64, by code.
    """
    codes = np.arange(2**bits, dtype=np.int64)
    return np.where(codes >= 2 ** (bits - 1), codes - 2**bits, codes) if signed else codes


def grey_table(greys: Greys) -> np.ndarray:
    """Folds all transformations into one table.

    Args:
      greys: what the file asks for.

    Returns:
      `[2**bits]` uint16, by code: 0 black, 65535 white.
    """
    stored = stored_values(greys.bits, greys.signed)
    if greys.modality is not None:
        values = _look_up(greys.modality, stored).astype(np.float64)
        low, high = 0.0, 2.0**greys.modality.bits - 1
    else:
        values = stored * greys.slope + greys.intercept
        low, high = float(values.min()), float(values.max())
    if greys.voi is not None:
        shown = _look_up(greys.voi, np.floor(values + 0.5)) / (2.0**greys.voi.bits - 1)
    elif greys.window is not None:
        shown = _windowed(greys.window, values)
    else:
        shown = (values - low) / (high - low)
    if greys.inverted:
        shown = 1 - shown
    table = np.floor(shown * WHITE + 0.5).astype(np.uint16)
    if greys.padding is not None:
        table[is_padding(greys)] = 0
    return table


def look_up(table: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Turns codes into greys, a strip at a time: an index costs numpy eight bytes a pixel.

    Args:
      table: `[entries]` uint16.
      codes: `[height, width]` unsigned, each below `entries`.

    Returns:
      `[height, width]` uint16, and how often each code occurs, `[entries]` int64.
    """
    pixels = np.empty(codes.shape, np.uint16)
    counts = np.zeros(len(table), np.int64)
    rows = max(1, 1_000_000 // codes.shape[1])
    for top in range(0, len(codes), rows):
        strip = codes[top : top + rows]
        pixels[top : top + rows] = table[strip]
        counts += np.bincount(strip.reshape(-1), minlength=len(table))
    return pixels, counts


def is_padding(greys: Greys) -> np.ndarray:
    """Tells which codes stand for no image.

    Args:
      greys: with `padding`.

    Returns:
      `[2**bits]` bool.
    """
    low, high = greys.padding
    stored = stored_values(greys.bits, greys.signed)
    return (stored >= low) & (stored <= high)


def _look_up(table: Table, values: np.ndarray) -> np.ndarray:
    index = np.clip(values - table.first, 0, len(table.values) - 1).astype(np.int64)
    return table.values[index]


def _windowed(window: Window, values: np.ndarray) -> np.ndarray:
    center, width, function = window
    if function == "SIGMOID":
        # Beyond 700 the exponential overflows and the answer is 0 or 1 to the last bit.
        return 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -700, 700)))
    if function == "LINEAR_EXACT":
        return np.clip((values - center) / width + 0.5, 0, 1)
    if width == 1:
        return (values > center - 0.5).astype(np.float64)
    return np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0, 1)
