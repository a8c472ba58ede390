"""What a file shows and says of itself, as a page of text: for eyes, before a model reads it."""

import os

import numpy as np

from metabone.imaging.film import Film, to_eight_bits
from metabone.imaging.reading import read_film_file

_SIDES = {"L": "left", "R": "right"}
_SEXES = {"F": "female", "M": "male"}
_DICOM_UNREAD = (
    "names, numbers, dates and places of the patient and of the examination",
    "free text and private elements",
    "overlays, icons and the order of windows after the first",
)
_PICTURE_UNREAD = (
    "texts and camera data, but for the orientation",
    "colour profiles and dots per inch, which are not millimetres of a film",
)


def inspect_text(path: str | os.PathLike[str]) -> str:
    """Describes a file as `read_film` reads it.

    Args:
      path: of a DICOM file or a picture.

    Returns:
      Some twenty lines, without anything that names a patient but the path itself.

    Raises:
      InputError: it is no film; the message says why.
    """
    film = read_film_file(path)
    unread = _DICOM_UNREAD if film.format.startswith("DICOM") else _PICTURE_UNREAD
    sections = [
        f"{path}\n  is a film in {film.format}.",
        _lines("Pixels", _pixels(film)),
        _lines("Done to its pixels", film.conversions or ("nothing",)),
        _lines("Known of it", _known(film)),
        _lines("Warnings", film.warnings or ("none",)),
        _lines("Not read on purpose", unread),
    ]
    return "\n".join(sections) + "\n"


def _lines(title: str, sentences: tuple[str, ...] | list[str]) -> str:
    return "\n".join([title, *(f"  {sentence}" for sentence in sentences)])


def _pixels(film: Film) -> list[str]:
    height, width = film.pixels.shape
    low, middle, high = np.percentile(to_eight_bits(film.pixels), (1, 50, 99))
    if film.spacing is None:
        scale = "the distance between pixels is not known"
    else:
        rows, columns = film.spacing
        scale = (
            f"{rows:g} mm between rows, {columns:g} mm between columns: "
            f"{width * columns:.0f} mm wide, {height * rows:.0f} mm high"
        )
    return [
        f"{width} wide, {height} high, {film.bits} bits",
        f"stored values from {film.stored[0]} to {film.stored[1]}",
        f"shown: 1 % below grey {low:.0f}, half below {middle:.0f}, 99 % below {high:.0f} of 255",
        scale,
    ]


def _known(film: Film) -> list[str]:
    facts = {
        "side": _SIDES.get(film.laterality or ""),
        "view": film.view,
        "sex": _SEXES.get(film.sex or ""),
        "age": None if film.age_months is None else _age(film.age_months),
        "body part": film.body_part,
        "modality": film.modality,
    }
    known = [f"{name}: {value}" for name, value in facts.items() if value is not None]
    missing = [name for name, value in facts.items() if value is None]
    if missing:
        known.append(f"not said, or not in a term of DICOM: {', '.join(missing)}")
    return known


def _age(months: int) -> str:
    if months >= 90 * 12:
        return "90 years or more"
    years, rest = divmod(months, 12)
    return f"{years} years" + (f" and {rest} months" if rest else "")
