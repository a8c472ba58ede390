"""Whether images are held in memory or streamed."""

from typing import NamedTuple

MEMORY_BYTES = 2 * 2**30
"""Images that take more are streamed by default."""


class Choice(NamedTuple):
    """Whether images are streamed.

    Attributes:
      stream: or else read into memory.
      reason: one sentence for the log.
    """

    stream: bool
    reason: str


def choose(count: int, size: int, channels: int, limit_bytes: int = MEMORY_BYTES) -> Choice:
    """Decides by bytes whether images are held in memory or streamed.

    Args:
      count: images.
      size: their height and width.
      channels: 1 or 3.
      limit_bytes: the most that may be held.

    Returns:
      The decision.

    Example:
      >>> choose(100_000, 64, 3).reason
      '100,000 images of 64x64x3 take 1.14 GiB, within the 2 GiB allowed: held in memory'
    """
    taken = count * size * size * channels
    stream = taken > limit_bytes
    why = "above the {} allowed: streamed" if stream else "within the {} allowed: held in memory"
    images = f"{count:,} images of {size}x{size}x{channels} take {_readable(taken)}"
    return Choice(stream, f"{images}, {why.format(_readable(limit_bytes))}")


def _readable(size: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.3g} {unit}"
        size /= 1024
    return f"{size:.3g} GiB"
