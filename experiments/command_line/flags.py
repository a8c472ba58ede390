"""Typed settings as the flags of one command line: each field of a frozen dataclass is one."""

import csv
import dataclasses
import difflib
import math
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from absl import flags

from metabone.errors import InputError
from metabone.workflows.settings import setting

from .command import Call, Command


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
      common: flags of every command.
    """

    call: Call
    runs: RunFlags
    common: CommonFlags


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
    hints = {name: hint for group in groups for name, hint in typing.get_type_hints(group).items()}
    texts = _read(hints, arguments, command)
    preset = texts.pop("preset", next(iter(command.presets), ""))
    if command.presets and preset not in command.presets:
        raise InputError(
            f"--preset={preset}: expected {', '.join(command.presets)}"
            + did_you_mean(preset, command.presets)
        )
    given = {name: typed(name, text, hints[name]) for name, text in texts.items()}
    values = dict(command.presets[preset].values) if command.presets else {}
    read = []
    for group in groups:
        own = [field.name for field in dataclasses.fields(group) if field.name in given]
        read.append(group(**values | {name: given[name] for name in own}))
        values = {}
    names = tuple(f.name for f in dataclasses.fields(command.settings) if f.name in given)
    call = Call(command, read[0], names, preset)
    if not command.runs:
        return Parsed(call, RunFlags(), read[1])
    runs = read[1]
    places = dict(runs_dir=runs.runs_dir, run=runs.run, data_dir=runs.data_dir or None)
    return Parsed(dataclasses.replace(call, **places), runs, read[2])


def groups_of(command: Command) -> list[type]:
    """The dataclasses whose fields are a command's flags."""
    return [command.settings, *([RunFlags] if command.runs else []), CommonFlags]


def _read(hints: Mapping[str, Any], arguments: Sequence[str], command: Command) -> dict[str, Any]:
    """What a command line says of each flag that it names, as text; switches are read."""
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
    except flags.Error as error:
        raise InputError(f"{error}; --help lists all flags") from None
    found = {name: values[name].value for name in names if values[name].present}
    if rest and command.positional:
        found[command.positional] = [",".join(rest)]
    elif rest:
        raise InputError(f"unexpected argument {rest[0]!r}; settings are written --name=value")
    # The last one holds, but each --sweep adds to those before.
    return {
        name: ";".join(value)
        if name == "sweep"
        else value[-1]
        if isinstance(value, list)
        else value
        for name, value in found.items()
    }


def typed(name: str, given: Any, hint: Any) -> Any:
    """The value that some text says.

    Args:
      name: of the flag.
      given: its text; a switch as it is.
      hint: bool, int, float, str, or `tuple[T, ...]` of one of the last three.

    Raises:
      InputError: the text is none of that type.
    """
    if not isinstance(given, str):
        return given
    kind, many = (typing.get_args(hint)[0], True) if _is_list(hint) else (hint, False)
    parts = next(csv.reader([given], skipinitialspace=True), []) if many else [given]
    try:
        values = tuple(_READ[kind](part) for part in parts)
    except ValueError:
        expected = _SAID[kind]
        if many:
            expected = f"{expected.split(' ', 1)[1]}s, parted by commas"
        raise InputError(f"--{name}={given}: expected {expected}") from None
    return values if many else values[0]


def _switch(text: str) -> bool:
    words = {"true": True, "false": False}
    if text.lower() not in words:
        raise ValueError(text)
    return words[text.lower()]


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


_READ = {bool: _switch, int: int, float: _finite, str: str}
_SAID = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}


def _is_list(hint: Any) -> bool:
    return typing.get_origin(hint) is tuple


def did_you_mean(given: str, names: Iterable[str], before: str = "") -> str:
    """A close match as the end of a phrase; empty if nothing is close."""
    close = difflib.get_close_matches(given, names, n=1)
    return f" (did you mean {before}{close[0]}?)" if close else ""
