"""Images read while training goes on, for sets that do not fit into memory."""

import functools
import math
import weakref

import grain
import jax
import numpy as np
from absl import flags

from metabone.datasets.images import Images
from metabone.episodes.windows import ImageWindow
from metabone.errors import InputError

WINDOW_BYTES = 64 * 2**20
"""Size of a window by default: seconds of training on a CPU, and little memory on any device."""


class RowStream:
    """Images in an order planned beforehand, read ahead in the background; a `Feed`.

    Windows that follow one another are the fast path. At any other start, as when a run is resumed,
    reading begins there anew, without a pass over what comes before.

    One window and the `prefetch` steps after it are held in memory at a time. One image is read at
    once, for its shape, and no other before the first window is asked for.

    Args:
      images: the source; with `workers` it must be picklable, as prepared records are.
      rows: `[steps, ...]` int32 positions in `images`: which image goes where at each step.
      labels: `[N]` int32, one an image of the source; by default the source's own.
      longest: the most steps of one window; by default as many as `WINDOW_BYTES` hold.
      threads: that read. Small images are mostly Python's own work, which threads share one core
        for; large ones decode in parallel.
      workers: processes that read instead, for several cores; each takes seconds to start, so too
        does a resumed run. They pass images through shared memory, of which a container may need
        more (`--shm-size`), and are started anew by Python: the program needs its
        `if __name__ == "__main__"`.
      prefetch: steps that are read ahead; by default `longest`, and no fewer than `threads`.

    Attributes:
      longest: see above.

    Raises:
      ValueError: rows that are no positions of `images`, or a size out of range.
    """

    def __init__(
        self,
        images: Images,
        rows: np.ndarray,
        *,
        labels: np.ndarray | None = None,
        longest: int | None = None,
        threads: int = 2,
        workers: int = 0,
        prefetch: int | None = None,
    ):
        rows = np.asarray(rows)
        if rows.ndim < 2 or not rows.size or rows.dtype.kind not in "iu":
            raise ValueError(f"rows {rows.dtype}{list(rows.shape)}: expected int32 [steps, ...]")
        if rows.min() < 0 or rows.max() >= len(images):
            raise ValueError(f"rows {rows.min()}..{rows.max()} of {len(images)} images")
        self._labels = np.asarray(images.labels if labels is None else labels, np.int32)
        if len(self._labels) != len(images):
            raise ValueError(f"{len(self._labels)} labels of {len(images)} images")
        self._images, self._rows = images, rows.astype(np.int32, copy=False)
        self._image_shape = images.read([0]).shape[1:]
        step_bytes = math.prod(rows.shape[1:]) * math.prod(self._image_shape)
        if longest is None:
            longest = max(1, WINDOW_BYTES // step_bytes)
        self.longest = min(longest, len(rows))
        self._threads, self._workers = threads, workers
        self._prefetch = max(self.longest if prefetch is None else prefetch, threads)
        if min(self.longest, threads) < 1 or workers < 0:
            raise ValueError(
                f"longest (={longest}), threads (={threads}): at least 1; workers (={workers}): 0"
            )
        self._reading: list[grain.DatasetIterator] = []  # one, or none
        self._next = 0
        # At the program's end too, before Python takes apart what closing needs.
        weakref.finalize(self, _close, self._reading)

    def __len__(self) -> int:
        """Steps."""
        return len(self._rows)

    @property
    def shapes(self) -> ImageWindow:
        """A window's shapes and dtypes."""
        places = (self.longest, *self._rows.shape[1:])
        return ImageWindow(
            jax.ShapeDtypeStruct((), np.int32),
            jax.ShapeDtypeStruct((*places, *self._image_shape), np.uint8),
            jax.ShapeDtypeStruct(places, np.int32),
        )

    def window(self, start: int, count: int) -> ImageWindow:
        """The images and labels of steps `start .. start + count - 1`.

        Args:
          start: the first step, from 0.
          count: steps, 1 to `longest`.

        Returns:
          Fresh arrays, padded with zeros to `longest` steps.

        Raises:
          InputError: an image that cannot be read.
          ValueError: steps that the plan does not have, or more than `longest`.
        """
        if not (0 <= start < start + count <= len(self) and count <= self.longest):
            raise ValueError(
                f"steps {start}..{start + count - 1} of {len(self)}, at most {self.longest} at once"
            )
        if not self._reading or self._next != start:
            self._begin(start)
        # Fresh each time: on a CPU the device may read these very bytes while the next are written.
        start_shape, *shapes = self.shapes
        images, labels = (np.zeros(like.shape, like.dtype) for like in shapes)
        self._next = -1  # what a failure leaves behind begins anew
        for place in range(count):
            found = next(self._reading[0])
            if isinstance(found, InputError):
                raise found
            images[place] = found
        self._next = start + count
        labels[:count] = self._labels[self._rows[start : start + count]]
        return ImageWindow(np.array(start, start_shape.dtype), images, labels)

    def close(self) -> None:
        """Stops reading ahead; a window asked for later begins anew. Deletion does the same."""
        _close(self._reading)

    def __enter__(self) -> "RowStream":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _begin(self, start: int) -> None:
        self.close()
        read = functools.partial(_read, self._images, self._rows)
        steps = grain.MapDataset.range(start, len(self)).map(read)
        if self._workers:
            if not flags.FLAGS.is_parsed():  # no absl program; grain asks for flags of its own
                flags.FLAGS.mark_as_parsed()
            options = grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)
            each = math.ceil(self._prefetch / self._workers)
            processes = grain.MultiprocessingOptions(self._workers, per_worker_buffer_size=each)
            read_ahead = steps.to_iter_dataset(options).mp_prefetch(processes, _start_worker)
        else:
            options = grain.ReadOptions(self._threads, prefetch_buffer_size=self._prefetch)
            read_ahead = steps.to_iter_dataset(options)
        self._reading.append(iter(read_ahead))


def _read(images: Images, rows: np.ndarray, step: int) -> np.ndarray | InputError:
    try:
        found = images.read(rows[step].reshape(-1))
    except InputError as error:
        return error  # raised in `window`: grain would add its own lines to the message
    return found.reshape(*rows.shape[1:], *found.shape[1:])


def _close(reading: list[grain.DatasetIterator]) -> None:
    while reading:
        reading.pop().close()


def _start_worker(worker: int, workers: int) -> None:
    """Keeps a worker off the accelerator: grain imports JAX, and the parent has the device."""
    del worker, workers
    jax.config.update("jax_platforms", "cpu")
