"""The command `metabone`, also `python -m metabone`: finds a command by its name, launches it."""

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import metabone
from metabone.interrupt import install

MODULES = {
    "demo": "experiments.demo",
    "adapt": "commands.adapt",
    "predict": "commands.predict",
    "calibrate": "commands.calibrate",
    "export": "commands.export",
    "inspect": "commands.inspect",
    "check": "commands.check",
    "prepare-hands": "commands.prepare_hands",
    "smi": "experiments.smi",
    "meta-dataset": "experiments.meta_dataset",
    "benchmark": "experiments.benchmark",
    "pretrain": "experiments.pretrain",
    "medical": "experiments.medical",
    "bone-age": "experiments.bone_age",
    "key-points": "experiments.key_points",
    "runs": "commands.runs",
    "compare": "commands.compare",
}
"""Command to the module whose `COMMAND` it is."""

_HELP = ("--help", "-h", "-help", "help")


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs `metabone COMMAND ...`, and ends the process.

    Args:
      arguments: after the program's name; those of this process by default.
    """
    # First of all, so that Ctrl-C ends in one line from here on.
    install()
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if name in _HELP and rest:
        name, rest = rest[0], ["--help"]
    launch = _module("experiments.command_line.launch")
    module = MODULES.get(name.replace("_", "-"))
    if module is None:
        launch.end(lambda: _without_command(name))
    launch.launch(_module(module).COMMAND, rest)


def _module(name: str) -> Any:
    # By name, since experiments stand on metabone; in a checkout that is not installed they lie
    # beside it.
    beside = name.startswith("experiments.") and not importlib.util.find_spec(
        "metabone.experiments"
    )
    return importlib.import_module(name if beside else f"metabone.{name}")


def _without_command(name: str) -> None:
    from metabone.errors import InputError
    from metabone.workflows.setting_values import did_you_mean

    if name in _HELP:
        print(_help())
    elif name in ("--version", "version"):
        print(f"metabone {metabone.__version__}")
    else:
        what = "flag before a command" if name.startswith("-") else "command"
        close = did_you_mean(name, MODULES)
        raise InputError(f"unknown {what} {name!r}{close}; metabone --help lists them all")


def _help() -> str:
    lines = ["metabone COMMAND [--name=value ...]", ""]
    for name, module in MODULES.items():
        lines.append(f"  {name:<14}{_module(module).COMMAND.summary}")
    return "\n".join(
        [*lines, "", "metabone COMMAND --help says all of one; metabone --version the version."]
    )


if __name__ == "__main__":
    main()
