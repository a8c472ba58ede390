"""How a learner is measured on films, which are read by regions that vote."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from metabone.episodes.sampling import Draw, draw, gather, learner_key, task_key
from metabone.episodes.store import ImageStore
from metabone.learners.base import MetaLearner
from metabone.radiograph.voting import mean_of_probabilities, vote


class FilmReading(NamedTuple):
    """One draw of support and query films, read.

    Attributes:
      films: `[Q]` int32, which films were asked.
      truth: `[Q]` int32 classes.
      votes: `[P, Q]` int32 classes by vote over regions, for each of P ways to predict.
      tied: `[P, Q]` bool, whether the vote was a tie.
      regions: `[P, R, Q]` int32 classes that single regions tell.
      means: `[P, Q]` int32 classes by the mean of the regions' probabilities.
    """

    films: jax.Array
    truth: jax.Array
    votes: jax.Array
    tied: jax.Array
    regions: jax.Array
    means: jax.Array


def read_films(
    learner: MetaLearner,
    predictions: Sequence[Callable[[Any, jax.Array], jax.Array]],
    *,
    shots: int,
    queries: int,
    pooled: bool = False,
    ordered: bool = False,
    whole: bool = False,
) -> Callable[[Any, ImageStore, jax.Array, jax.Array], FilmReading]:
    """Builds the reading of films by regions that vote (Min and Kang 2018, section 4).

    Each region is a task of its own: the learner adapts to the support films' region r and reads
    the query films' region r. All regions of a draw share its films.

    Args:
      learner: what adapts.
      predictions: `(adapted, images) -> logits`, such as `predict` under each norm mode;
        all answer from the same adaptation, and one that is given twice is asked once.
      shots: support films a class.
      queries: query films a class.
      pooled: one adaptation on all regions' images together instead of one a region.
      ordered: labels are in the order of the store's classes, for learners of ordered classes;
        otherwise in a new order each time.
      whole: the learner is asked of a film with all of its regions as one example `[R, ...]`.

    Returns:
      `(meta_params, store, seed, index) -> FilmReading`, pure; the store's images are `[N, R, ...]`
      and all its classes are used. Draws of one seed and index are the same films for any learner.
      A film of which some region's answer is not finite has the answer -1, which is never right.
    """

    def read(meta_params, store, seed, index):
        ways = len(store.members)
        drawn = draw(task_key(seed, index, 0), store, ways, shots, queries)
        key = learner_key(task_key(seed, index, 0))
        if ordered:
            ascending = jnp.argsort(drawn.classes)
            drawn = jax.tree.map(lambda leaf: leaf[ascending], drawn)
        count = 1 if whole else store.images.shape[1]
        # Region r of film i is row i * count + r of the flat images.
        images = store.images if whole else store.images.reshape(-1, *store.images.shape[2:])
        in_class_order = jnp.argsort(drawn.classes)

        def episode_of(region):
            rows = (drawn.support * count + region, drawn.query * count + region)
            return gather(Draw(drawn.classes, *rows), images)

        def logits_of(adapted, images):
            outputs = {predict: predict(adapted, images) for predict in predictions}
            return jnp.stack([outputs[predict] for predict in predictions])[..., in_class_order]

        def one_region(region):
            episode = episode_of(region)
            adapted = learner.adapt(meta_params, episode.support, jax.random.fold_in(key, region))
            return logits_of(adapted, episode.query.images)

        regions = jnp.arange(count)
        if pooled:
            supports = jax.vmap(lambda region: episode_of(region).support)(regions)
            together = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), supports)
            adapted = learner.adapt(meta_params, together, key)
            logits = jax.lax.map(
                lambda region: logits_of(adapted, episode_of(region).query.images), regions
            )
        else:
            logits = jax.lax.map(one_region, regions)
        by_prediction = jnp.swapaxes(logits, 0, 1)
        voted = jax.vmap(vote)(by_prediction)
        finite = jnp.isfinite(by_prediction).all(-1)

        def unless(classes, known):
            return jnp.where(known, classes, -1).astype(jnp.int32)

        return FilmReading(
            films=drawn.query.reshape(-1),
            truth=jnp.repeat(drawn.classes, queries),
            votes=unless(voted.classes, finite.all(1)),
            tied=voted.tied,
            regions=unless(by_prediction.argmax(-1), finite),
            means=unless(jax.vmap(mean_of_probabilities)(by_prediction).argmax(-1), finite.all(1)),
        )

    return read


def compile_reading(
    read: Callable[[Any, ImageStore, jax.Array, jax.Array], FilmReading],
    meta_params: Any,
    store: ImageStore,
) -> Callable[[Any, ImageStore, Any, Any], FilmReading]:
    """Compiles a reading, which may be long before its learner is trained.

    Args:
      read: from `read_films`.
      meta_params: of its learner, or their shapes and dtypes as `jax.eval_shape` gives them.
      store: on the device.

    Returns:
      A program that is called like `read`, with `seed` uint32 and `index` int32.
    """
    return jax.jit(read).lower(meta_params, store, np.uint32(0), np.int32(0)).compile()


def read_draws(
    compiled: Callable[[Any, ImageStore, Any, Any], FilmReading],
    meta_params: Any,
    store: ImageStore,
    *,
    seed: int,
    draws: int,
    workers: int = 2,
    done: Callable[[int], None] | None = None,
) -> FilmReading:
    """Reads many draws with one compiled program.

    Args:
      compiled: from `compile_reading`.
      meta_params: of its learner.
      store: on the device.
      seed: of the draws.
      draws: how many.
      workers: draws under way at once: one program rarely keeps a CPU's cores busy by itself. The
        results do not depend on it.
      done: called with the number of draws done, after each.

    Returns:
      A reading with a leading axis of draws, NumPy arrays.
    """

    def one(index: int) -> FilmReading:
        reading = compiled(meta_params, store, np.uint32(seed), np.int32(index))
        return jax.tree.map(np.asarray, reading)

    readings = []
    with ThreadPoolExecutor(workers) as pool:
        for reading in pool.map(one, range(draws)):
            readings.append(reading)
            if done is not None:
                done(len(readings))
    return jax.tree.map(lambda *parts: np.stack(parts), *readings)
