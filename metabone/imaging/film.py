"""A film as it is shown, and what may be known of it."""

from typing import NamedTuple

import numpy as np

MAX_PIXELS = 64_000_000
"""Above any radiograph, and below what a header alone may make a decoder allocate."""

MAX_BYTES = 192 * 2**20
"""Of a file, inflated: a film of `MAX_PIXELS` at 16 bits, with room for its header."""

WHITE = 65535
"""The brightest grey of `Film.pixels`; 0 is black."""


class Refused(Exception):
    """Why a file is no film: a clause in our own words, never a value of the file's texts."""


class Film(NamedTuple):
    """One film, with nothing in it that names a patient.

    Attributes:
      pixels: `[height, width]` uint16. Greys as a viewer shows them, 0 black and 65535 white, bone
        bright unless the file is wrong about itself; the whole range that the file asks for is
        spread over 0..65535, so that 8, 10 or 12 bits lose nothing.
      format: the file's format and compression, in words.
      bits: bits that the file keeps of a pixel.
      stored: least and greatest value as stored, before any conversion.
      conversions: what was done to the pixels, one sentence each.
      warnings: what a careful reader should know before using it, one sentence each.
      spacing: millimetres between rows and between columns, or None.
      laterality: `'L'`, `'R'` or None.
      view: a DICOM view position such as `'PA'`, or None.
      sex: `'F'`, `'M'` or None.
      age_months: age at the examination, rounded down; 1080 stands for 90 years and above.
      modality: a DICOM modality such as `'DX'`, or None.
      body_part: a DICOM body part such as `'HAND'`, or None.
      group: a salted hash of the patient's identifier, equal for films of one patient, or None.
    """

    pixels: np.ndarray
    format: str
    bits: int
    stored: tuple[int, int]
    conversions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    spacing: tuple[float, float] | None = None
    laterality: str | None = None
    view: str | None = None
    sex: str | None = None
    age_months: int | None = None
    modality: str | None = None
    body_part: str | None = None
    group: str | None = None


def to_eight_bits(pixels: np.ndarray) -> np.ndarray:
    """Rounds greys of 0..65535 to 0..255.

    A film that was stored with 8 bits and no window comes back unchanged.

    Args:
      pixels: uint16, as of `Film`.

    Returns:
      uint8 of the same shape.
    """
    return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
