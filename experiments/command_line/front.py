"""The command `metabone`: finds a command by its name and launches it."""

import sys
from collections.abc import Sequence
from typing import NoReturn

MODULES = {
    "demo": "smi",
    "smi": "smi",
    "meta-dataset": "meta_dataset",
    "benchmark": "benchmark",
    "pretrain": "pretrain",
    "runs": "runs_table",
    "compare": "compare_runs",
}
"""Command to the module beside this package whose `COMMAND` it is; `demo` is another name."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs `metabone COMMAND ...`, and ends the process.

    Args:
      arguments: after the program's name; those of this process by default.
    """
    from .launch import end, launch

    name, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    module = MODULES.get(name.replace("_", "-"))
    if module is None:
        end(lambda: _without_command(name, rest))
    launch(_command(module), rest)


def _command(module: str):
    import importlib

    parent = __package__.rpartition(".")[0]
    return importlib.import_module(f"{parent}.{module}").COMMAND


def _without_command(name: str, rest: Sequence[str]) -> None:
    from metabone.errors import InputError
    from metabone.workflows.setting_values import did_you_mean

    from .launch import version

    if name in ("-h", "-help", "--help", "help") and rest:
        main([*rest, "--help"])
    elif name in ("-h", "-help", "--help", "help"):
        print(_help())
    elif name in ("--version", "version"):
        print(f"metabone {version()}")
    else:
        what = "flag before a command" if name.startswith("-") else "command"
        close = did_you_mean(name, MODULES)
        raise InputError(f"unknown {what} {name!r}{close}; metabone --help lists them all")


def _help() -> str:
    lines = ["metabone COMMAND [--name=value ...]", ""]
    for name, module in MODULES.items():
        command = _command(module)
        summary = command.summary
        if name.replace("-", "_") != command.name:
            preset = next(iter(command.presets))
            summary = (
                f"The same as {command.name} --preset={preset}, in {command.presets[preset].takes}."
            )
        lines.append(f"  {name:<14}{summary}")
    return "\n".join(
        [*lines, "", "metabone COMMAND --help says all of one; metabone --version the version."]
    )
