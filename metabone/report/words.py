"""Names and values of files as a person reads them."""

import json
import re
from collections.abc import Mapping
from typing import Any

_LONGEST_VALUE = 300


def words(name: str) -> str:
    """A name of a field or of a metric in words.

    Example:
      >>> words("meta_scratch"), words("validation/loss")
      ('meta scratch', 'validation, loss')
    """
    return name.replace("_", " ").replace("/", ", ")


def said(value: Any) -> str:
    """A value of a JSON file in words; a long one is cut, with its length.

    Example:
      >>> said([5, 10, 20]), said(["seed 0", "one channel"]), said(None), said(True)
      ('5, 10, 20', 'seed 0; one channel', '', 'yes')
    """
    text = _said(value)
    if len(text) <= _LONGEST_VALUE:
        return text
    return f"{text[:_LONGEST_VALUE]} ... ({len(text):,} characters)"


def _said(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return "; ".join(f"{words(str(name))}: {_said(inner)}" for name, inner in value.items())
    if isinstance(value, list | tuple):
        parts = [_said(inner) for inner in value]
        return ("; " if any(re.search(r"[ ,;]", part) for part in parts) else ", ").join(parts)
    return json.dumps(value, ensure_ascii=False)


def listed(parts: list[str], last: str = "and") -> str:
    """Parts of a sentence, as `a, b and c`.

    Example:
      >>> listed(["a", "b", "c"]), listed(["a", "b"], "or"), listed(["a"])
      ('a, b and c', 'a or b', 'a')
    """
    return f" {last} ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def shots_in_words(shots: int) -> str:
    """A number of labelled images a class, `1 shot` or `5 shots`."""
    return f"{shots} shot{'' if shots == 1 else 's'}"


def duration(seconds: float) -> str:
    """Seconds as a person says them.

    Example:
      >>> duration(9.26), duration(93), duration(7384)
      ('9.3 s', '1 min 33 s', '2 h 3 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
