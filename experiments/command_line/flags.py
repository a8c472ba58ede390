"""Typed settings as the flags of one command line: each field of a frozen dataclass is one."""

import dataclasses
import typing
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from absl import flags

from metabone.commands.command import Call, Command
from metabone.errors import InputError
from metabone.workflows.setting_values import did_you_mean, value_of
from metabone.workflows.settings import setting


@dataclasses.dataclass(frozen=True)
class RunFlags:
    """Where runs and prepared data lie, on which no figure depends, and how many runs there are."""

    runs_dir: str = setting("runs", "Folder of all runs.", "Runs")
    run: str = setting(
        "", "Name of the run; by default the preset and a hash of the settings.", "Runs"
    )
    data_dir: str = setting(
        "",
        "Where prepared data are kept; by default $METABONE_DATA_DIR or ~/.cache/metabone.",
        "Runs",
    )
    sweep: str = setting(
        "",
        "One run for each of some values of a setting, such as inner_rate=0.1,0.4; of several "
        "settings, parted by ; or in several such flags, one for each combination.",
        "Runs",
    )
    seeds: int = setting(0, "One run for each of that many seeds, from --seed on.", "Runs")


@dataclasses.dataclass(frozen=True)
class CommonFlags:
    """What every command takes."""

    log_dir: str = setting(
        "", "Folder for a log: all that is said here, with the time, and warnings.", "This command"
    )


class Parsed(NamedTuple):
    """A command line.

    Attributes:
      call: of the command.
      runs: flags of its runs; the defaults for a command without.
      log_dir: folder for a log; empty for none.
    """

    call: Call
    runs: RunFlags
    log_dir: str


def parse(command: Command, arguments: Sequence[str]) -> Parsed:
    """Reads a command line: flags over the preset over the defaults.

    Args:
      command: whose.
      arguments: without the program's name.

    Returns:
      What was asked for.

    Raises:
      InputError: an unknown flag or preset, or a value of the wrong type.
    """
    groups = groups_of(command)
    hints = {
        flag_of(name): hint
        for group in groups
        for name, hint in typing.get_type_hints(group).items()
    }
    texts = _read(hints, arguments, command)
    usual = command.preset_of(texts) if command.preset_of else next(iter(command.presets), "")
    preset = texts.pop("preset", usual)
    if command.presets and preset not in command.presets:
        raise InputError(
            f"--preset={preset}: expected {', '.join(command.presets)}"
            + did_you_mean(preset, command.presets)
        )
    values = {
        name: value_of(name, text, hints[name]) if isinstance(text, str) else text
        for name, text in texts.items()
    }

    def given(group: type) -> dict[str, Any]:
        names = [field.name for field in dataclasses.fields(group)]
        return {name: values[flag_of(name)] for name in names if flag_of(name) in values}

    own = given(command.settings)
    config = command.settings(**dict(command.presets[preset].values if preset else {}) | own)
    runs, log_dir = RunFlags(), CommonFlags(**given(CommonFlags)).log_dir
    if not command.runs:
        return Parsed(Call(command, config, tuple(own), preset), runs, log_dir)
    runs = RunFlags(**given(RunFlags))
    places = runs.runs_dir, runs.run, runs.data_dir or None
    return Parsed(Call(command, config, tuple(own), preset, *places), runs, log_dir)


def flag_of(name: str) -> str:
    """The flag of a setting: its name, but for those of Python itself: `from_` is `--from`."""
    return name.removesuffix("_")


def groups_of(command: Command) -> list[type]:
    """The dataclasses whose fields are a command's flags."""
    return [command.settings, *([RunFlags] if command.runs else []), CommonFlags]


def _read(hints: Mapping[str, Any], arguments: Sequence[str], command: Command) -> dict[str, Any]:
    """What a command line says of each flag that it names: text, a switch, or a positional list."""
    values = flags.FlagValues()
    values.set_gnu_getopt(True)
    names = [*hints, *(["preset"] if command.presets else [])]
    for name in names:
        define = flags.DEFINE_bool if hints.get(name) is bool else flags.DEFINE_multi_string
        define(name, None, "", flag_values=values)
    try:
        _, *rest = values(["", *arguments])
    except flags.UnrecognizedFlagError as error:
        raise InputError(
            f"unknown flag --{error.flagname}{did_you_mean(error.flagname, names, '--')}; "
            "--help lists them all"
        ) from None
    except flags.IllegalFlagValueError as error:
        # Only a switch's value is looked at here; of the rest the text is taken.
        said = str(error).removeprefix("flag ").partition(": ")[0]
        raise InputError(f"{said}: expected true or false") from None
    except (flags.Error, ValueError) as error:
        raise InputError(f"{error}; --help lists them all") from None
    found = {name: values[name].value for name in names if values[name].present}
    if rest and command.positional:
        found[command.positional] = tuple(rest)
    elif rest:
        raise InputError(f"unexpected argument {rest[0]!r}; settings are written --name=value")
    for name, value in found.items():
        if isinstance(value, list):
            # The last one holds, but each --sweep adds to those before.
            found[name] = ";".join(value) if name == "sweep" else value[-1]
    return found
