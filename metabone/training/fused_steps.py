"""Many steps in one call to the device, in one compilation whatever their number."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from metabone.training.feed import Feed
from metabone.training.leaves import is_key

Step = Callable[[Any, Any, jax.Array, jax.Array], tuple[Any, dict[str, jax.Array]]]


@dataclasses.dataclass(frozen=True)
class Window:
    """What a few fused steps returned.

    Attributes:
      state: the state after them; after the first that was not finite, if `finite` is False.
      metrics: `[count]` NumPy arrays by name, one value a step that was taken.
      count: how many steps were taken.
      finite: whether all metrics and all of the state are finite.
      seconds: how long it took, waiting for a feed and the transfer of the metrics included.
    """

    state: Any
    metrics: dict[str, np.ndarray]
    count: int
    finite: bool
    seconds: float


class FusedSteps:
    """Compiles a step into a loop on the device.

    The loop is a `while` whose number of turns is an argument. So windows of every length share one
    compilation and give the same bits, and the loop can stop at the very step that leaves the
    finite numbers. Nothing is fetched before its end; the state given is donated.

    Args:
      step: `(state, data, seed, index) -> (state, metrics)`, pure.
      state: a pytree of arrays like every state to come.
      data: a pytree of device arrays. An argument, not a constant: XLA would copy it into the
        program. Or a `Feed`, which gives each run its own.
      seed: integer scalar or typed key, as an array.
      longest: the most steps that `run` is asked for at once.

    Attributes:
      compile_seconds: how long tracing and compilation took.

    Raises:
      ValueError: if a metric is not a scalar.
    """

    def __init__(self, step: Step, state: Any, data: Any, seed: jax.Array, longest: int):
        self._data, self._seed = data, seed
        began = time.perf_counter()
        like = data.shapes if isinstance(data, Feed) else data
        _, metrics = jax.eval_shape(step, state, like, seed, jnp.int32(0))
        for name, metric in metrics.items():
            if metric.shape:
                raise ValueError(f"metric '{name}' must be a scalar, but has shape {metric.shape}")

        def run(state, data, seed, start, count):
            rows = {name: jnp.zeros(longest, metric.dtype) for name, metric in metrics.items()}

            def unfinished(carry):
                _, _, done, finite = carry
                return (done < count) & finite

            def take(carry):
                state, rows, done, _ = carry
                state, row = step(state, data, seed, start + done)
                rows = {name: rows[name].at[done].set(row[name]) for name in rows}
                return state, rows, done + jnp.int32(1), _all_finite((state, row))

            return jax.lax.while_loop(
                unfinished, take, (state, rows, jnp.int32(0), jnp.bool_(True))
            )

        sharded = any(len(leaf.sharding.device_set) > 1 for leaf in jax.tree.leaves(state))
        # Over several devices the state must come out where it goes in next.
        shardings = (jax.tree.map(lambda leaf: leaf.sharding, state), None, None, None)
        jitted = jax.jit(run, donate_argnums=0, out_shardings=shardings if sharded else None)
        lowered = jitted.lower(state, like, seed, jnp.int32(0), jnp.int32(longest))
        self._compiled = lowered.compile()
        self.compile_seconds = time.perf_counter() - began

    def run(self, state: Any, start: int, count: int) -> Window:
        """Takes steps `start .. start + count - 1`.

        Args:
          state: the state before them; its arrays are given up.
          start: index of the first, from 0.
          count: how many, at most `longest`.

        Returns:
          The state after them and their metrics.
        """
        began = time.perf_counter()
        data = self._data
        if isinstance(data, Feed):
            data = data.window(start, count)
        start, count = np.int32(start), np.int32(count)
        state, rows, done, finite = self._compiled(state, data, self._seed, start, count)
        rows, done, finite = jax.device_get((rows, done, finite))
        metrics = {name: np.array(row[:done]) for name, row in rows.items()}
        return Window(state, metrics, int(done), bool(finite), time.perf_counter() - began)


def owned(tree: Any) -> Any:
    """Copies a tree onto the device, so that donating the copy leaves the original alone.

    Args:
      tree: a pytree of arrays or numbers.

    Returns:
      The same as JAX arrays without weak types, with the shardings of the original.
    """

    def copied(leaf):
        if is_key(leaf):
            return jnp.copy(leaf)
        leaf = leaf if hasattr(leaf, "dtype") else np.asarray(leaf)
        return jnp.array(leaf, dtype=jax.dtypes.canonicalize_dtype(leaf.dtype), copy=True)

    return jax.tree.map(copied, tree)


def first_not_finite(tree: Any) -> str | None:
    """Names the first leaf with a value that is not finite.

    Args:
      tree: a pytree of arrays.

    Returns:
      Its path, or None.
    """
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        if not is_key(leaf) and not bool(_all_finite(leaf)):
            return jax.tree_util.keystr(path, simple=True, separator="/")
    return None


def _all_finite(tree: Any) -> jax.Array:
    finite = jnp.bool_(True)
    for leaf in jax.tree.leaves(tree):
        if jnp.issubdtype(leaf.dtype, jnp.inexact):
            finite &= jnp.all(jnp.isfinite(leaf))
    return finite
