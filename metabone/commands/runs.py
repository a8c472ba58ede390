"""All runs of a folder: what each is, when, on which data, and its best figure beside chance.

  metabone runs
  metabone runs --runs_dir=DIR

A figure is that at the most labelled images a class. `metabone compare RUN RUN` says how far apart
two runs are.
"""

import dataclasses

from metabone.commands.command import Call, Command
from metabone.workflows.settings import setting


@dataclasses.dataclass(frozen=True)
class RunsSettings:
    """Which runs."""

    runs_dir: str = setting("runs", "Folder of all runs.", "Runs")


def main(call: Call) -> None:
    """Prints the table."""
    from metabone.report.runs import run_lines
    from metabone.report.tables import to_text

    print(to_text(run_lines(call.config.runs_dir)))


COMMAND = Command(
    "runs", "All runs: what, when, on which data, best figure.", __doc__, RunsSettings, {}, main
)
