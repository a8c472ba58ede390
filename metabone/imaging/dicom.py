"""A film from a DICOM file: checked by its header first, decoded after."""

import numpy as np

from metabone.imaging import dicom_facts
from metabone.imaging.codestreams import Size
from metabone.imaging.colour import grey_of_colours
from metabone.imaging.dicom_pixels import LOSSY, SYNTAXES, Layout, read_codes
from metabone.imaging.elements import PIXEL_DATA, Dataset, read_elements
from metabone.imaging.film import MAX_PIXELS, Film, Refused
from metabone.imaging.greys import (
    FUNCTIONS,
    Greys,
    Table,
    Window,
    grey_table,
    is_padding,
    look_up,
    stored_values,
)

_SAMPLES = 0x00280002
_PHOTOMETRIC = 0x00280004
_PLANAR = 0x00280006
_FRAMES = 0x00280008
_ROWS = 0x00280010
_COLUMNS = 0x00280011
_ALLOCATED = 0x00280100
_STORED = 0x00280101
_HIGH_BIT = 0x00280102
_SIGNED = 0x00280103
_PADDING = 0x00280120
_PADDING_LIMIT = 0x00280121
_CENTER = 0x00281050
_WIDTH = 0x00281051
_INTERCEPT = 0x00281052
_SLOPE = 0x00281053
_FUNCTION = 0x00281056
_MODALITY_TABLE = 0x00283000
_VOI_TABLE = 0x00283010
_SHAPE = 0x20500020
_DESCRIPTOR = 0x00283002
_ENTRIES = 0x00283006
_FLOAT_PIXELS = (0x7FE00008, 0x7FE00009)

_WANTED = dicom_facts.TAGS | {
    _SAMPLES,
    _PHOTOMETRIC,
    _PLANAR,
    _FRAMES,
    _ROWS,
    _COLUMNS,
    _ALLOCATED,
    _STORED,
    _HIGH_BIT,
    _SIGNED,
    _PADDING,
    _PADDING_LIMIT,
    _CENTER,
    _WIDTH,
    _INTERCEPT,
    _SLOPE,
    _FUNCTION,
    _MODALITY_TABLE,
    _VOI_TABLE,
    _SHAPE,
    PIXEL_DATA,
    *_FLOAT_PIXELS,
}
_TABLE_PARTS = frozenset((_DESCRIPTOR, _ENTRIES))
_GREY = ("MONOCHROME1", "MONOCHROME2")
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")


def read_dicom(data: bytes, salt: bytes | None) -> Film:
    """Reads a film.

    Args:
      data: the file's bytes.
      salt: makes `Film.group`; without it there is none.

    Returns:
      The film.

    Raises:
      Refused: it is none, or not to be read.
    """
    dataset, syntax = read_elements(data, _WANTED)
    layout = _layout(dataset, syntax)
    notes: list[str] = []
    greys = None
    if layout.size.samples == 1:
        greys, conversions = _greys(dataset, layout, notes)
    codes, ybr = read_codes(dataset, syntax, layout)
    if greys is None:
        pixels, stored, conversions = grey_of_colours(codes, ybr=ybr)
    else:
        pixels, counts = look_up(grey_table(greys), codes)
        seen = stored_values(greys.bits, greys.signed)[counts > 0]
        stored = int(seen.min()), int(seen.max())
        if greys.padding is not None:
            padded = int(counts[is_padding(greys)].sum())
            conversions.append(f"{padded:,} pixels of padding made black")
    notes.extend(dicom_facts.warnings(dataset, syntax in LOSSY))
    if pixels.min() == pixels.max():
        notes.append("all pixels have one grey; nothing is to be seen")
    return Film(
        pixels=pixels,
        format=f"DICOM, {SYNTAXES[syntax]}",
        bits=layout.stored,
        stored=stored,
        conversions=tuple(conversions),
        warnings=tuple(notes),
        **dicom_facts.facts(dataset, salt),
    )


def _layout(dataset: Dataset, syntax: str) -> Layout:
    if any(tag in dataset.elements for tag in _FLOAT_PIXELS):
        raise Refused("its pixels are floating-point numbers, which no film has")
    if PIXEL_DATA not in dataset.elements:
        raise Refused("a DICOM file without pixels: a report, a plan, a directory or one cut off")
    if syntax not in SYNTAXES:
        raise Refused("its transfer syntax is none that holds a single film (video, or private)")
    rows, columns = _integer(dataset, _ROWS), _integer(dataset, _COLUMNS)
    allocated, stored = _integer(dataset, _ALLOCATED), _integer(dataset, _STORED)
    if not rows or not columns or not allocated or not stored:
        raise Refused("damaged; rows, columns or bits of its pixels are missing or 0")
    if rows * columns > MAX_PIXELS:
        raise Refused(
            f"{columns} x {rows} pixels, above the limit of {MAX_PIXELS / 1e6:g} megapixels"
        )
    frames = dataset.texts(_FRAMES)
    if frames and frames[0] not in ("", "0", "1"):
        raise Refused("more than one frame; a film has one")
    words = dataset.texts(_PHOTOMETRIC)
    photometric = words[0] if words else ""
    samples = _integer(dataset, _SAMPLES) or 1
    if photometric not in {1: _GREY, 3: _COLOUR}.get(samples, ()):
        raise Refused("in colours of a kind that no film is kept in, or of no kind")
    if allocated not in (8, 16) or (samples == 3 and allocated != 8):
        raise Refused(f"{allocated} bits a sample; read are 8 and 16, in colours 8")
    high = _integer(dataset, _HIGH_BIT)
    high = stored - 1 if high is None else high
    if not 2 <= stored <= allocated or not stored - 1 <= high < allocated:
        raise Refused(f"damaged; {stored} bits up to bit {high} do not lie within {allocated}")
    return Layout(
        size=Size(rows, columns, samples),
        photometric=photometric,
        allocated=allocated,
        stored=stored,
        high=high,
        signed=_integer(dataset, _SIGNED) == 1,
        planar=_integer(dataset, _PLANAR) == 1,
    )


def _greys(dataset: Dataset, layout: Layout, notes: list[str]) -> tuple[Greys, list[str]]:
    """Decides how stored values become greys; adds to the notes what is amiss."""
    greys = Greys(layout.stored, layout.signed)
    conversions = []
    modality = _table(dataset, _MODALITY_TABLE, layout.signed)
    if modality is not None:
        conversions.append(f"modality table of {len(modality.values):,} entries applied")
        greys = greys._replace(modality=modality)
        negative = False
    else:
        slope, intercept = _rescaling(dataset)
        if (slope, intercept) != (1, 0):
            conversions.append(f"rescaled by {slope:g} x value {intercept:+g}")
        greys = greys._replace(slope=slope, intercept=intercept)
        ends = stored_values(layout.stored, layout.signed) * slope + intercept
        negative = bool(ends.min() < 0)
    voi = _table(dataset, _VOI_TABLE, negative)
    window, count = _window(dataset, notes)
    if voi is not None:
        conversions.append(f"VOI table of {len(voi.values):,} entries applied")
        greys = greys._replace(voi=voi)
    elif window is not None:
        first = f", the first of {count}" if count > 1 else ""
        conversions.append(
            f"{window.function} window of centre {window.center:g} and width "
            f"{window.width:g} applied{first}"
        )
        greys = greys._replace(window=window)
    else:
        conversions.append(f"all values of {layout.stored} bits shown; the file has no window")
    inverted, note = _inverted(dataset, layout)
    if inverted:
        conversions.append("inverted, since its lowest value is white")
    notes.extend(note)
    return greys._replace(inverted=inverted, padding=_padding(dataset, layout)), conversions


def _rescaling(dataset: Dataset) -> tuple[float, float]:
    slopes = dicom_facts.decimals(dataset, _SLOPE)
    intercepts = dicom_facts.decimals(dataset, _INTERCEPT)
    slope, intercept = slopes[0] if slopes else 1.0, intercepts[0] if intercepts else 0.0
    if not 1e-9 <= abs(slope) <= 1e9 or abs(intercept) > 1e12:
        raise Refused("damaged; its rescaling leaves one value, or none that is finite")
    return slope, intercept


def _window(dataset: Dataset, notes: list[str]) -> tuple[Window | None, int]:
    centers = dicom_facts.decimals(dataset, _CENTER)
    widths = dicom_facts.decimals(dataset, _WIDTH)
    if not centers and not widths:
        return None, 0
    words = dataset.texts(_FUNCTION)
    function = words[0] if words and words[0] else "LINEAR"
    if function not in FUNCTIONS:
        notes.append("its window has a function that DICOM does not know, and is taken as LINEAR")
        function = "LINEAR"
    valid = centers and widths and (widths[0] >= 1 if function == "LINEAR" else widths[0] > 0)
    if not valid:
        notes.append("its window has no centre, or no width that DICOM allows, and is not used")
        return None, 0
    return Window(centers[0], widths[0], function), min(len(centers), len(widths))


def _table(dataset: Dataset, tag: int, signed: bool) -> Table | None:
    item = dataset.first_item(tag, _TABLE_PARTS)
    if item is None:
        return None
    descriptor = item.integers(_DESCRIPTOR)
    data = item.value(_ENTRIES)
    if len(descriptor) != 3 or not 8 <= descriptor[2] <= 16:
        raise Refused("damaged; a look-up table of it has no valid description")
    entries, first, bits = descriptor[0] or 65536, descriptor[1], descriptor[2]
    if signed and first >= 32768:
        first -= 65536
    if len(data) >= 2 * entries:
        order = "<" if item.encoding.little else ">"
        values = np.frombuffer(data, f"{order}u2", entries).astype(np.uint16)
    elif len(data) in (entries, entries + 1):
        values = np.frombuffer(data, np.uint8, entries).astype(np.uint16)
    else:
        raise Refused("damaged; a look-up table of it has another length than it says")
    if int(values.max()) >= 2**bits:
        raise Refused("damaged; a look-up table of it has entries above its bits")
    return Table(first, bits, values)


def _inverted(dataset: Dataset, layout: Layout) -> tuple[bool, list[str]]:
    # The shape is the last step and says what the interpretation says (PS3.3 C.8.11.3.1.2).
    by_interpretation = layout.photometric == "MONOCHROME1"
    words = dataset.texts(_SHAPE)
    if not words or words[0] not in ("IDENTITY", "INVERSE"):
        return by_interpretation, []
    by_shape = words[0] == "INVERSE"
    if by_shape == by_interpretation:
        return by_shape, []
    return by_shape, [
        f"{layout.photometric} and presentation shape {words[0]} contradict each other; the "
        "latter is followed, and the film may be inverted"
    ]


def _padding(dataset: Dataset, layout: Layout) -> tuple[int, int] | None:
    values = dataset.integers(_PADDING, layout.signed)
    if not values:
        return None
    limits = dataset.integers(_PADDING_LIMIT, layout.signed) or values
    return min(values[0], limits[0]), max(values[0], limits[0])


def _integer(dataset: Dataset, tag: int) -> int | None:
    values = dataset.integers(tag)
    return values[0] if values else None
