"""What is known of hands before they are read: `labels.csv` beside prepared films."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from metabone.datasets.edited_tables import number_of, table_rows, table_text
from metabone.errors import InputError
from metabone.radiograph.stages import STAGES

MAX_MONTHS = 300
_OPTIONAL = ("bone_age_months", "stage", "sex")


class HandLabel(NamedTuple):
    """A row of `labels.csv`.

    Attributes:
      id: the film's name.
      bone_age_months: None where there is no such column.
      stage: of skeletal maturity, 1 to 11; None where there is no such column.
      sex: `F`, `M`, or empty where it is not known.
    """

    id: str
    bone_age_months: float | None
    stage: int | None
    sex: str


def read_hand_labels(place: Path) -> tuple[HandLabel, ...]:
    """Reads and checks labels.

    Args:
      place: a csv whose first line names id, bone_age_months or stage or both, and sex where known;
        whatever other columns it has are not read.

    Returns:
      Its rows in order.

    Raises:
      InputError: it is missing, or a row breaks a rule; names the line.
    """
    labels: dict[str, HandLabel] = {}
    for where, cells in table_rows(place, ("id",), _OPTIONAL):
        months, stage = cells.get("bone_age_months"), cells.get("stage")
        if months is None and stage is None:
            raise InputError(f"{place}: its first line must name bone_age_months or stage")
        sex = cells.get("sex", "")
        if sex not in ("F", "M", ""):
            raise InputError(f"{where}: sex {sex!a} is neither F nor M nor empty")
        if not cells["id"]:
            raise InputError(f"{where}: has no id")
        if cells["id"] in labels:
            raise InputError(f"{where}: id '{cells['id']}' is there twice")
        if stage is not None and stage not in map(str, range(1, STAGES + 1)):
            raise InputError(f"{where}: stage {stage!a} is not in 1..{STAGES}")
        labels[cells["id"]] = HandLabel(
            cells["id"],
            None if months is None else number_of(months, where, 0, MAX_MONTHS),
            None if stage is None else int(stage),
            sex,
        )
    if not labels:
        raise InputError(f"{place}: holds no rows")
    return tuple(labels.values())


def labels_text(labels: Sequence[HandLabel]) -> str:
    """`labels.csv` of these rows, all of which know the same."""
    columns = [
        column
        for column in HandLabel._fields
        if column == "sex" or getattr(labels[0], column) is not None
    ]

    def cell(value: object) -> str:
        return f"{value:.10g}" if isinstance(value, float) else str(value)

    rows = ([cell(getattr(label, column)) for column in columns] for label in labels)
    return table_text(columns, rows)
