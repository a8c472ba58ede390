"""What is known of hands before they are read: `labels.csv` beside films, of any origin."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from metabone.datasets.edited_tables import number_of, table_rows, table_text
from metabone.errors import InputError
from metabone.radiograph.stages import STAGES

MAX_MONTHS = 300
MOST_UNMATCHED = 0.1
"""Share of rows without a film, or films without a row, that may be left out."""

_OPTIONAL = ("bone_age_months", "bone_age_years", "stage", "sex", "male", "patient")
# What the tables of the RSNA challenge and of hospitals call the same.
_MEANS = {
    "case_id": "id",
    "image_id": "id",
    "boneage": "bone_age_months",
    "bone_age": "bone_age_months",
    "ground_truth_bone_age_months": "bone_age_months",
    "gender": "sex",
    "patient_id": "patient",
}
_SEX = {"f": "F", "female": "F", "m": "M", "male": "M", "u": "", "unknown": "", "": ""}
_MALE = {"true": "M", "1": "M", "false": "F", "0": "F", "": ""}
_SUFFIX = re.compile(r"\.(png|jpe?g|tiff?|dcm)$", re.IGNORECASE)
_DIGITS = re.compile(r"0*(\d+?)(?:\.0+)?", re.ASCII)
_OLDEST_IN_YEARS = 20


class HandLabel(NamedTuple):
    """A row of `labels.csv`.

    Attributes:
      id: the film's name.
      bone_age_months: None where there is no such column.
      stage: of skeletal maturity, 1 to 11; None where there is no such column.
      sex: `F`, `M`, or empty where it is not known.
      patient: the id of the first film of the same patient, so that no name of a patient leaves the
        table; empty where there is no such column.
    """

    id: str
    bone_age_months: float | None
    stage: int | None
    sex: str
    patient: str = ""


def read_hand_labels(place: Path) -> tuple[HandLabel, ...]:
    """Reads and checks labels.

    Args:
      place: a csv whose first line names `id`; `bone_age_months`, `bone_age_years` or `stage`; and
        `sex` and `patient` where known, or as the RSNA challenge does, `id,boneage,male`. Capitals
        and spaces in it make no difference, an image's suffix does not belong to its id, and other
        columns are not read.

    Returns:
      Its rows in order.

    Raises:
      InputError: it is missing, a row breaks a rule (the line is named), or ages said to be in
        months look like years.
    """
    labels: dict[str, HandLabel] = {}
    first_of: dict[str, str] = {}
    for where, cells in table_rows(place, ("id",), _OPTIONAL, _MEANS):
        name = _SUFFIX.sub("", cells["id"])
        if not name:
            raise InputError(f"{where}: has no id")
        if name in labels:
            raise InputError(f"{where}: id '{name}' is there twice")
        patient = cells.get("patient")
        if patient is not None:
            patient = first_of.setdefault(patient, name) if patient else name
        labels[name] = HandLabel(
            name,
            _months(cells, where, place),
            _stage(cells, where),
            _sex(cells, where),
            patient or "",
        )
    if not labels:
        raise InputError(f"{place}: holds no rows")
    rows = tuple(labels.values())
    _check_months(rows, place)
    return rows


def with_names_of_files(
    rows: Sequence[HandLabel], names: Collection[str], place: Path
) -> tuple[tuple[HandLabel, ...], tuple[str, ...]]:
    """Finds ids that a spreadsheet has changed: 7 or 7.0 of a film called 0007.

    Args:
      rows: of a table.
      names: of films.
      place: of the table, for messages.

    Returns:
      The rows, those that name no film but mean the number of one by that one's name; and what was
      done, one sentence or none.

    Raises:
      InputError: such a number is that of two films, or two rows mean one film.
    """
    called: dict[str, list[str]] = {}
    for name in names:
        called.setdefault(_number(name), []).append(name)
    found: dict[str, str] = {}
    taken = {row.id for row in rows if row.id in names}
    for row in rows:
        meant = [] if row.id in names or not _number(row.id) else called.get(_number(row.id), [])
        if len(meant) > 1:
            raise InputError(f"{place}: id {row.id!a} may be {meant[0]!a} or {meant[1]!a}")
        if meant and meant[0] in taken:
            raise InputError(f"{place}: id {row.id!a} and another row both mean {meant[0]!a}")
        if meant:
            found[row.id] = meant[0]
            taken.add(meant[0])
    if not found:
        return tuple(rows), ()
    first, name = next(iter(found.items()))
    note = f"{len(found)} of {len(rows)} ids are read as the numbers of films, as {first} of {name}"
    return tuple(
        row._replace(id=found.get(row.id, row.id), patient=found.get(row.patient, row.patient))
        for row in rows
    ), (note,)


def _number(name: str) -> str:
    """A name of digits without leading zeros and without `.0`; empty for any other."""
    match = _DIGITS.fullmatch(name)
    return match[1] if match else ""


def sex_of_cell(cell: str, where: str) -> str:
    """The sex that a cell tells, in capitals or not.

    Args:
      cell: `F`, `female`, `M`, `male`, `U`, `unknown` or nothing.
      where: names its row in messages.

    Returns:
      `F`, `M`, or empty where it is not known.

    Raises:
      InputError: it is something else.

    >>> sex_of_cell("Female", "line 2")
    'F'
    """
    sex = _SEX.get(cell.lower())
    if sex is None:
        raise InputError(f"{where}: sex {cell!a} is neither F nor M nor U nor empty")
    return sex


def check_unmatched(count: int, total: int, message: str) -> None:
    """Refuses to leave out more than a share of films or rows, as their names hardly fit then.

    Args:
      count: how many have no partner.
      total: how many there are.
      message: what to say of them.

    Raises:
      InputError: they are more than `MOST_UNMATCHED` of all.
    """
    if count > MOST_UNMATCHED * total:
        raise InputError(f"{message}; at most {MOST_UNMATCHED:.0%} may be left out")


def labels_text(labels: Sequence[HandLabel]) -> str:
    """`labels.csv` of these rows, all of which know the same."""
    columns = [
        column
        for column in HandLabel._fields
        if column == "sex" or getattr(labels[0], column) not in (None, "")
    ]

    def cell(value: object) -> str:
        return f"{value:.10g}" if isinstance(value, float) else str(value)

    rows = ([cell(getattr(label, column)) for column in columns] for label in labels)
    return table_text(columns, rows)


def _months(cells: dict[str, str], where: str, place: Path) -> float | None:
    given = [name for name in ("bone_age_months", "bone_age_years") if name in cells]
    if len(given) + ("stage" in cells) == 0:
        raise InputError(f"{place}: its first line must name bone_age_months or stage")
    if len(given) == 2:
        raise InputError(f"{place}: its first line names ages in months and in years, keep one")
    if not given:
        return None
    unit = 1 if given[0] == "bone_age_months" else 12
    return unit * number_of(cells[given[0]], f"{where}: {given[0]}", 0, MAX_MONTHS / unit)


def _stage(cells: dict[str, str], where: str) -> int | None:
    stage = cells.get("stage")
    if stage is not None and stage not in map(str, range(1, STAGES + 1)):
        raise InputError(f"{where}: stage {stage!a} is not in 1..{STAGES}")
    return None if stage is None else int(stage)


def _sex(cells: dict[str, str], where: str) -> str:
    if "sex" in cells and "male" in cells:
        raise InputError(f"{where}: columns sex and male, keep one")
    if "male" in cells:
        sex = _MALE.get(cells["male"].lower())
        if sex is None:
            raise InputError(f"{where}: male {cells['male']!a} is neither True nor False nor empty")
        return sex
    return sex_of_cell(cells.get("sex", ""), where)


def _check_months(labels: Sequence[HandLabel], place: Path) -> None:
    if labels[0].bone_age_months is None or labels[0].stage is not None:
        return
    oldest = max(label.bone_age_months for label in labels)
    if oldest <= _OLDEST_IN_YEARS:
        raise InputError(
            f"{place}: the largest of {len(labels)} ages in bone_age_months is {oldest:g}, so they "
            "look like years; if so call the column bone_age_years, which is read times 12 "
            "(where all are infants, give years as well)"
        )
