"""A run as every experiment carries it out: named, begun or continued, reported and shown."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

from absl import flags

from metabone.errors import InputError
from metabone.report.result_tables import all_tables
from metabone.report.tables import to_text
from metabone.report.write import write_report
from metabone.training.json_files import read_json
from metabone.training.run import Run, open_run

# `--help` lists the flags of the module that is run: what is defined here belongs to the caller.
flags.disclaim_key_flags()


def define_run_flags() -> None:
    """Defines where runs and prepared data lie; no figure depends on it."""
    flags.DEFINE_string("runs_dir", "runs", "Folder of all runs.")
    flags.DEFINE_string(
        "run", "", "Name of the run; by default the preset and a hash of the settings."
    )
    flags.DEFINE_string(
        "data_dir", None, "Where prepared data are kept [$METABONE_DATA_DIR or ~/.cache/metabone]."
    )


def settings_given(config: Any) -> list[str]:
    """Which settings the flags of this command line name."""
    return [field.name for field in dataclasses.fields(config) if flags.FLAGS[field.name].present]


def carry_out(
    experiment: str, config: Any, fill: Callable[[Run], None], data: Sequence[Any] | None = None
) -> None:
    """Opens the run of some settings, fills it unless it is complete, and shows what it holds.

    Args:
      experiment: its name.
      config: what the figures of the run depend on, a dataclass with a seed.
      fill: does what the run lacks; a run that it finds impossible at its beginning is removed.
      data: see `Run.record_data`, where it is known before: a finished run of other data is refused
        too.
    """
    plain = dataclasses.asdict(config)
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:6]
    name = flags.FLAGS.run or f"{flags.FLAGS.preset}-{digest}"
    with open_run(flags.FLAGS.runs_dir, experiment, name, plain, seed=config.seed) as run:
        try:
            if data is not None:
                run.record_data(data)
            if not run.results.complete:
                fill(run)
        except InputError:
            run.discard()
            raise
        report = write_report(run.path)
        for table in all_tables(read_json(run.path / "result.json")):
            print(to_text(table), "\n")
        print(f"result: {run.path / 'result.json'}\nreport: {report}")
