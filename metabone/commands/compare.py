"""Two runs row by row: both figures, and how far the second is above the first.

  metabone compare runs/smi/RUN runs/smi/RUN

Where both were tested on the same tasks the difference is paired by task, so that what is common to
both cancels; its interval holds 95 %. Where they were not, the difference of the means stands
alone, with the reason.
"""

import dataclasses

from metabone.commands.command import Call, Command
from metabone.errors import InputError
from metabone.workflows.settings import setting


@dataclasses.dataclass(frozen=True)
class CompareSettings:
    """Which runs."""

    runs: tuple[str, ...] = setting((), "Folders of two runs.", "Runs")


def main(call: Call) -> None:
    """Prints the table."""
    runs = call.config.runs
    if len(runs) != 2:
        raise InputError(f"compare: expected the folders of two runs, not {len(runs)}")
    from metabone.report.runs import compare_runs
    from metabone.report.tables import to_text

    print(to_text(compare_runs(*runs)))


COMMAND = Command(
    "compare",
    "Two runs row by row, paired where their tasks agree.",
    __doc__,
    CompareSettings,
    {},
    main,
    positional="runs",
)
