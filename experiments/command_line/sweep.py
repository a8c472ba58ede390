"""A command for each combination of swept values and seeds, each in a process of its own."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from metabone import interrupt
from metabone.workflows.setting_values import Cell, grid, text_of

from .flags import Parsed, flag_of


def sweep(parsed: Parsed, arguments: Sequence[str]) -> int:
    """Carries out what `--sweep` and `--seeds` ask for.

    Args:
      parsed: the command line.
      arguments: the same as text, with which this process's own command line ends.

    Returns:
      An exit status, see `carry_out_grid`.
    """
    call = parsed.call
    cells = grid(call.config, parsed.runs.sweep, parsed.runs.seeds)
    # Imported late, so that a wrong grid is answered at once.
    from metabone.commands.carry_out import run_name
    from metabone.workflows.sweeps import carry_out_grid

    program = [sys.executable, *sys.orig_argv[1 : len(sys.orig_argv) - len(arguments)]]
    given = {name: getattr(call.config, name) for name in call.given}
    others = dict(preset=call.preset, runs_dir=call.runs_dir, data_dir=call.data_dir)
    others |= dict(log_dir=parsed.log_dir)
    others = {name: other for name, other in others.items() if other}

    def start(cell: Cell, name: str) -> int:
        # Devices, and how memory of theirs is dealt out, are settled once a process.
        settings = given | cell | others | {"run": name}
        flags = [f"--{flag_of(key)}={text_of(value)}" for key, value in settings.items()]
        # The summary replaces the tables.
        with subprocess.Popen([*program, *flags], stdout=subprocess.DEVNULL) as child:
            interrupt.child = child
            status = child.wait()
            interrupt.child = None
        return status if status >= 0 else 128 - status

    folder = Path(call.runs_dir).expanduser() / call.experiment
    return carry_out_grid(cells, call.config, folder, run_name(call, call.config), start)
