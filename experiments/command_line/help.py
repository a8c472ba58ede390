"""What `--help` says of a command: the command, its presets, and its flags by theme."""

import dataclasses
import re
import shutil
import textwrap
import typing
from collections.abc import Mapping
from typing import Any

from metabone.commands.command import Command

from .flags import flag_of, groups_of

_INDENT = 28
_VALUES = {int: "N", float: "X", str: "TEXT"}


def help_text(command: Command, program: str) -> str:
    """All that a user can say to a command.

    Args:
      command: the command.
      program: how it was started, such as `metabone smi`.

    Returns:
      Lines that fit the terminal.
    """
    width = min(shutil.get_terminal_size().columns, 100)
    usage = [program, *(["[--preset=NAME]"] if command.presets else []), "[--name=value ...]"]
    if command.positional:
        usage.append(f"{command.positional.upper()} ...")
    parts = [" ".join(usage), *_paragraphs(_as_started(command.text, program), width)]
    if command.presets:
        entries = [
            _entry(
                f"--preset={name}", f"{_sentence(preset.takes)} {_sentence(preset.expect)}", width
            )
            for name, preset in command.presets.items()
        ]
        parts.append("\n".join([f"Presets (without one, {next(iter(command.presets))})", *entries]))
    themes: dict[str, list[str]] = {}
    for group in groups_of(command):
        hints = typing.get_type_hints(group)
        for field in dataclasses.fields(group):
            text = f"{field.metadata['help']}{_default(command, field)}"
            theme = themes.setdefault(field.metadata.get("theme", "Settings"), [])
            theme.append(_entry(_flag(flag_of(field.name), hints[field.name]), text, width))
    themes["This command"] += [
        _entry("--help, -h", "This text.", width),
        _entry("--version", "The version.", width),
    ]
    parts += ["\n".join([theme, *entries]) for theme, entries in themes.items()]
    return "\n\n".join(parts)


def _flag(name: str, hint: Any) -> str:
    if hint is bool:
        return f"--[no]{name}"
    if typing.get_origin(hint) is tuple:
        value = _VALUES[typing.get_args(hint)[0]]
        return f"--{name}={value},..."
    return f"--{name}={_VALUES[hint]}"


def _default(command: Command, field: dataclasses.Field) -> str:
    values = {
        name: each.values.get(field.name, field.default) for name, each in command.presets.items()
    }
    shown = by_preset(values or {"": field.default})
    return f" [{shown}]" if shown != "none" else ""


def by_preset(values: Mapping[str, Any]) -> str:
    """Each preset's value of one setting; of many presets only the first two.

    Args:
      values: by preset.

    Returns:
      Such as `3 in demo, 10 in paper`, or `3` where all have that.

    >>> by_preset({"demo": (5, 10), "paper": ""})
    '5,10 in demo, none in paper'
    """
    if len({_shown(value) for value in values.values()}) == 1:
        return _shown(next(iter(values.values())))
    named = list(values)[: len(values) if len(values) <= 4 else 2]
    shown = ", ".join(f"{_shown(values[name])} in {name}" for name in named)
    if len({_shown(values[name]) for name in named}) == 1:
        shown = f"{_shown(values[named[0]])} in {' and '.join(named)}"
    return shown + ", other presets their own" * (len(values) > len(named))


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ",".join(str(part) for part in value) or "none"
    return str(value) if value != "" else "none"


def _as_started(text: str, program: str) -> str:
    """Examples as this program is started: an installed package has no module `experiments`."""
    if program.startswith("python -m experiments."):
        return text
    return re.sub(
        r"python -m experiments\.(\w+)", lambda m: f"metabone {m[1].replace('_', '-')}", text
    )


def _paragraphs(text: str, width: int) -> list[str]:
    """Those of a docstring, wrapped but for what is indented."""
    parts = text.strip().split("\n\n")
    return [
        part if part.startswith(" ") else textwrap.fill(part, width, break_on_hyphens=False)
        for part in parts
    ]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "." if text else ""


def _entry(head: str, text: str, width: int) -> str:
    lines = textwrap.wrap(text, max(width - _INDENT, 30), break_on_hyphens=False)
    head = f"  {head}"
    if len(head) + 2 <= _INDENT and lines:
        head, *lines = f"{head:<{_INDENT}}{lines[0]}", *lines[1:]
    return "\n".join([head.rstrip(), *(" " * _INDENT + line for line in lines)])
