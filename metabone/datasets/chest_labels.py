"""What is known of chest films: a table of patients, ages and sexes, of the NIH or one's own."""

import re
from pathlib import Path
from typing import NamedTuple

from metabone.datasets.edited_tables import plain_name, table_rows
from metabone.datasets.film_files import check_id
from metabone.datasets.hand_labels import sex_of_cell
from metabone.errors import InputError

OLDEST = 100
"""Years; the table of the NIH has ages of 400 and more, which are slips."""

# What the table of the NIH, of several years, calls the same.
_MEANS = {
    "image_index": "id",
    "patient_id": "patient",
    "patient_age": "age_years",
    "patient_gender": "sex",
    "patient_sex": "sex",
    "gender": "sex",
    "view_position": "view",
}
_SUFFIX = re.compile(r"\.(png|jpe?g|tiff?)$", re.IGNORECASE)
_AGE = re.compile(r"([+-]?\d+(?:[.,]\d+)?) ?([YMWD]?)", re.ASCII | re.IGNORECASE)
_DAYS_A_MONTH = 365.25 / 12
_MONTHS = {"": 12, "Y": 12, "M": 1, "W": 7 / _DAYS_A_MONTH, "D": 1 / _DAYS_A_MONTH}
_FRONTAL = ("ap", "pa", "frontal")


class ChestLabel(NamedTuple):
    """A row of a table of chest films.

    Attributes:
      id: the film's name.
      months: the patient's age; None where there is none from 0 to `OLDEST` years.
      sex: `F`, `M`, or empty where it is not known.
      patient: the id of the first film of the same patient in the table, so that no name of a
        patient leaves it.
      frontal: whether the view is from the front or the back, or not told.
    """

    id: str
    months: float | None
    sex: str
    patient: str
    frontal: bool


def read_chest_labels(place: Path) -> tuple[ChestLabel, ...]:
    """Reads and checks labels.

    Args:
      place: a csv whose first line names `id`, `patient` and `age_years`, and `sex` and `view`
        where known; or `Image Index`, `Patient ID`, `Patient Age`, `Patient Gender` and
        `View Position`, as the NIH does. An age is in years, such as 58 or 058Y, or as 011M or
        013D; an image's suffix does not belong to its id, and other columns are not read.

    Returns:
      Its rows in order.

    Raises:
      InputError: it is missing, or a row breaks a rule (the line is named).
    """
    labels: dict[str, ChestLabel] = {}
    first_of: dict[str, str] = {}
    columns = ("id", "patient", "age_years")
    for where, cells in table_rows(place, columns, ("sex", "view"), _MEANS):
        name = _SUFFIX.sub("", cells["id"])
        check_id(name, where)
        if name in labels:
            raise InputError(f"{where}: id '{name}' is there twice")
        if not cells["patient"]:
            raise InputError(f"{where}: names no patient, whose films are kept together")
        labels[name] = ChestLabel(
            name,
            _months(cells["age_years"], where),
            sex_of_cell(cells.get("sex", ""), where),
            first_of.setdefault(cells["patient"], name),
            _is_frontal(cells.get("view", "")),
        )
    if not labels:
        raise InputError(f"{place}: holds no rows")
    return tuple(labels.values())


def _months(cell: str, where: str) -> float | None:
    if not cell:
        return None
    match = _AGE.fullmatch(cell)
    if not match:
        raise InputError(f"{where}: age {cell!a}: expected years such as 58 or 058Y, 011M or 013D")
    months = float(match[1].replace(",", ".")) * _MONTHS[match[2].upper()]
    return months if 0 <= months <= 12 * OLDEST else None


def _is_frontal(cell: str) -> bool:
    return not cell or plain_name(cell).split("_")[0] in _FRONTAL
