"""A run as every command carries it out: named, begun or continued, reported and shown."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from metabone import interrupt
from metabone.errors import InputError
from metabone.report.result_tables import all_tables
from metabone.report.tables import to_text
from metabone.report.write import write_report
from metabone.training.json_files import read_json
from metabone.training.run import Run, open_run

if TYPE_CHECKING:
    from metabone.commands.command import Call


def run_name(call: "Call", config: Any) -> str:
    """The name that `--run` gives, or the preset and a hash of the settings."""
    plain = json.dumps(dataclasses.asdict(config), sort_keys=True)
    return call.run or f"{call.preset}-{hashlib.sha256(plain.encode()).hexdigest()[:6]}"


def carry_out(
    call: "Call", config: Any, fill: Callable[[Run], None], data: Sequence[Any] | None
) -> None:
    """See `Call.carry_out`."""
    settings = dataclasses.asdict(config)
    name = run_name(call, config)
    with open_run(call.runs_dir, call.experiment, name, settings, seed=config.seed) as run:
        interrupt.line = "interrupted; the same command continues the run"
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
