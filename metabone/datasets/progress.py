"""What a terminal shows while images are read, checked or rendered."""

import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def progress(items: Iterable[Item] | None, what: str, total: int) -> "tqdm[Item]":
    """Shows a bar with the time left on a terminal, once it has taken longer than two seconds."""
    return tqdm(items, desc=what, total=total, delay=2, leave=False, disable=None, file=sys.stderr)
