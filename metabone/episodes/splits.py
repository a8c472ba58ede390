"""Splits that a name alone decides: the same on every machine, and in every run."""

import hashlib
from collections.abc import Mapping, Sequence

from metabone.errors import InputError


def split_names(
    names: Sequence[str], sizes: Mapping[str, int], salt: str = ""
) -> dict[str, list[int]]:
    """Splits classes, or patients, into disjoint parts of given sizes.

    Names are ordered by the SHA-256 of `salt` and name and dealt out in that order.

    Args:
      names: distinct.
      sizes: part to its number of names; together no more than there are.
      salt: another salt is another split.

    Returns:
      Part to the positions in `names`, ascending.

    Raises:
      InputError: a name twice, a negative size, or more asked for than there is.

    >>> split_names(["ulna", "radius", "lunate"], {"train": 2, "test": 1})
    {'train': [1, 2], 'test': [0]}
    """
    if len(set(names)) != len(names):
        twice = next(name for name in names if list(names).count(name) > 1)
        raise InputError(f"cannot split: {twice!r} occurs twice")
    if any(size < 0 for size in sizes.values()) or sum(sizes.values()) > len(names):
        wanted = " + ".join(str(size) for size in sizes.values())
        raise InputError(f"cannot split {len(names)} names into {wanted}")
    order = sorted(
        range(len(names)), key=lambda i: hashlib.sha256(f"{salt}/{names[i]}".encode()).digest()
    )
    parts, start = {}, 0
    for part, size in sizes.items():
        parts[part] = sorted(order[start : start + size])
        start += size
    return parts
