"""Settings' values from the text of a flag or of a sweep. Imports nothing heavy."""

import csv
import difflib
import io
import itertools
import math
import typing
from collections.abc import Iterable
from typing import Any

from metabone.errors import InputError

Cell = dict[str, Any]
"""The settings that one run of a sweep has of its own."""


def value_of(name: str, text: str, kind: Any) -> Any:
    """The value that some text says.

    Args:
      name: of the setting.
      text: such as `0.1`, or `5,10` for a list.
      kind: bool, int, float, str, or `tuple[T, ...]` of one of them.

    Returns:
      A value of that type.

    Raises:
      InputError: the text is none of that type; a number that is not finite is none.

    >>> value_of("shots", "5, 10", tuple[int, ...]), value_of("rate", "1e-3", float)
    ((5, 10), 0.001)
    """
    many = is_list(kind)
    part_kind = typing.get_args(kind)[0] if many else kind
    # As csv, so that a part with a comma can be quoted.
    parts = next(csv.reader([text], skipinitialspace=True), []) if many else [text]
    read, one, several = _KINDS[part_kind]
    try:
        values = tuple(read(part) for part in parts)
    except ValueError:
        expected = f"{several}, parted by commas" if many else one
        raise InputError(f"--{name}={text}: expected {expected}") from None
    return values if many else values[0]


def grid(config: Any, sweep: str, seeds: int) -> list[Cell]:
    """Which settings each run of a sweep has of its own.

    Args:
      config: settings of all, a dataclass.
      sweep: such as `inner_rate=0.1,0.4;order=1,2`.
      seeds: how many runs of each combination, with seeds from `config.seed` on; 0 for one.

    Returns:
      One mapping a run; the seed changes first, then the last setting.

    Raises:
      InputError: no such setting, no such value, or one named twice.
    """
    axes: dict[str, list[Any]] = {}
    hints = typing.get_type_hints(type(config))
    for pair in filter(None, (part.strip() for part in sweep.split(";"))):
        name, _, texts = pair.partition("=")
        if name not in hints:
            raise InputError(f"--sweep={pair}: no setting {name!r}{did_you_mean(name, hints)}")
        if not texts or is_list(hints[name]):
            raise InputError(
                f"--sweep={pair}: expected name=value,value of a setting that is no list"
            )
        values = [value_of(name, text, hints[name]) for text in texts.split(",")]
        if name in axes or len(set(values)) < len(values):
            raise InputError(f"--sweep={pair}: a setting or a value of it is named twice")
        axes[name] = values
    if seeds < 0:
        raise InputError(f"--seeds={seeds}: expected at least 1")
    if seeds and "seed" in axes:
        raise InputError("--seeds and --sweep=seed: name the seeds once")
    if seeds:
        axes["seed"] = list(range(config.seed, config.seed + seeds))
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def text_of(value: Any) -> str:
    """The text from which `value_of` reads a value.

    >>> text_of((5, 10)), text_of(True), text_of(("a", "b,c"))
    ('5,10', 'True', 'a,"b,c"')
    """
    if not isinstance(value, tuple):
        return str(value)
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(value)
    return line.getvalue()


def is_list(kind: Any) -> bool:
    """Whether a setting of some type holds several values."""
    return typing.get_origin(kind) is tuple


def did_you_mean(given: str, names: Iterable[str], before: str = "") -> str:
    """A close match as the end of a phrase; empty if nothing is close.

    >>> did_you_mean("stepps", ["shots", "steps"], "--")
    ' (did you mean --steps?)'
    """
    close = difflib.get_close_matches(given, list(names), n=1)
    return f" (did you mean {before}{close[0]}?)" if close else ""


def _switch(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


def _finite(text: str) -> float:
    if not math.isfinite(float(text)):
        raise ValueError(text)
    return float(text)


# How a part is read, and what one and several are called.
_KINDS = {
    bool: (_switch, "true or false", "true or false each"),
    int: (int, "a whole number", "whole numbers"),
    float: (_finite, "a number", "numbers"),
    str: (str, "a word", "words"),
}
