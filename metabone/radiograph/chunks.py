"""Rendering in chunks that share the machine's cores."""

import concurrent.futures
import itertools
import os
from collections.abc import Callable
from typing import TypeVar

Chunk = TypeVar("Chunk")

_THREADS = min(8, os.cpu_count() or 1)


def render_chunks(
    render: Callable[[int], Chunk],
    count: int,
    size: int,
    progress: Callable[[int, int], None] | None = None,
) -> list[Chunk]:
    """Renders `count` things, `size` at a time.

    Drawing on CPU keeps one core busy; chunks are independent, so threads share them out. The
    first chunk goes ahead alone, because it compiles what the others use.

    Args:
      render: draws the chunk that starts at the given index; what it returns depends on that
        index alone.
      count: how many there are in all, at least 1.
      size: how many a chunk.
      progress: called as `progress(done, count)` after each chunk, in order.

    Returns:
      The chunks in order.

    >>> render_chunks(lambda first: first, 5, 2)
    [0, 2, 4]
    """
    firsts = range(0, count, size)
    chunks = []
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        drawn = itertools.chain([render(0)], pool.map(render, firsts[1:]))
        for first, chunk in zip(firsts, drawn, strict=True):
            chunks.append(chunk)
            if progress is not None:
                progress(min(first + size, count), count)
    return chunks
