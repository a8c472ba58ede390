"""Data that reach a training a few steps at a time."""

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Feed(Protocol):
    """What `train` takes in place of data that lie on the device; `datasets.streaming` has one."""

    @property
    def longest(self) -> int:
        """The most steps of one window, at least 1."""

    @property
    def shapes(self) -> Any:
        """A pytree of `jax.ShapeDtypeStruct` like every window, known before any is read."""

    def window(self, start: int, count: int) -> Any:
        """The data of steps `start .. start + count - 1`.

        Args:
          start: the first step, from 0. Windows follow one another, unless a run is resumed.
          count: steps, 1 to `longest`.

        Returns:
          A pytree of arrays like `shapes`, which nobody writes to any more.
        """
