"""JSON on disk: never half-written, and never with the NaN that JSON does not have."""

import dataclasses
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from metabone.errors import InputError


def plain(value: Any) -> Any:
    """Turns a value into what JSON can hold.

    Dataclasses become mappings, arrays and tuples lists, paths strings, NumPy and JAX scalars
    numbers (a float32 by its shortest decimal form). A number that is not finite becomes None: a
    figure that does not exist is absent, and `NaN` would make the file unreadable for strict JSON
    readers.

    Args:
      value: anything made of dataclasses, mappings, sequences, numbers, strings, paths, arrays and
        None.

    Returns:
      The same made of dict, list, str, int, float, bool and None.

    Raises:
      TypeError: for a value of another kind.

    >>> plain({"shots": (5, 10), "rate": np.float32(0.1), "ci95": float("nan")})
    {'shots': [5, 10], 'rate': 0.1, 'ci95': None}
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int) and not isinstance(value, np.generic):
        return int(value)
    if isinstance(value, float) and not isinstance(value, np.generic):
        return value if math.isfinite(value) else None
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        array = np.asarray(value)
        if array.ndim:
            return [plain(item) for item in array]
        if np.issubdtype(array.dtype, np.bool_) or np.issubdtype(array.dtype, np.integer):
            return array.item()
        # bfloat16 is no np.floating; all of them print as their shortest decimal.
        number = float(str(array))
        return number if math.isfinite(number) else None
    raise TypeError(f"{type(value).__name__} {value!r} has no JSON form")


def write_json_atomically(path: str | os.PathLike, value: Any) -> None:
    """Writes `value` so that a reader, or a restart after SIGKILL, sees the old file or the new.

    Args:
      path: the file; its folder must exist.
      value: what `plain` takes.
    """
    text = json.dumps(plain(value), indent=2, allow_nan=False) + "\n"
    write_text_atomically(path, text)


def write_text_atomically(path: str | os.PathLike, text: str) -> None:
    """Replaces the file's content by a write beside it and a rename.

    Args:
      path: the file; its folder must exist.
      text: the new content.
    """
    path = Path(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def read_json(path: str | os.PathLike) -> Any:
    """Reads a JSON file.

    Args:
      path: the file.

    Returns:
      Its content.

    Raises:
      InputError: if it is missing, unreadable or not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot read {path}: {reason}") from error
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is not JSON: {error.msg} at line {error.lineno}") from error
    except (RecursionError, ValueError) as error:  # too deep, or a number of too many digits
        raise InputError(f"{path} is not JSON that can be read: {type(error).__name__}") from error


def differences(old: Any, new: Any, limit: int = 5) -> str:
    """Names what differs between two settings, on one line.

    Args:
      old: the settings found, plain JSON values.
      new: the settings given, plain JSON values.
      limit: how many differing fields are named before the rest is counted.

    Returns:
      An empty string if nothing differs.

    >>> differences({"steps": 300, "inner": {"rate": 0.1}}, {"steps": 500, "inner": {"rate": 0.1}})
    'steps 300 vs 500'
    """
    found = list(_differing("", old, new))
    named = ", ".join(found[:limit])
    return named if len(found) <= limit else f"{named} and {len(found) - limit} more"


def _differing(name: str, old: Any, new: Any):
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            inner = f"{name}.{key}" if name else key
            if key not in old:
                yield f"{inner} absent vs {json.dumps(new[key])}"
            elif key not in new:
                yield f"{inner} {json.dumps(old[key])} vs absent"
            else:
                yield from _differing(inner, old[key], new[key])
    elif old != new:
        yield f"{name} {json.dumps(old)} vs {json.dumps(new)}".strip()
