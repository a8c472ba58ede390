"""How a learner is measured on films, which are read by regions that vote."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from metabone.episodes.sampling import Draw, draw, gather, learner_key, task_key
from metabone.episodes.store import ImageStore
from metabone.learners.base import MetaLearner
from metabone.radiograph.voting import mean_of_probabilities, most_probable, vote


class FilmLogits(NamedTuple):
    """What regions say of one draw of support and query films, before they answer together.

    Attributes:
      films: `[Q]` int32, which films were asked.
      truth: `[Q]` int32 classes.
      logits: `[P, R, Q, W]` of each of P ways to predict, in the order of the store's classes.
    """

    films: jax.Array
    truth: jax.Array
    logits: jax.Array


class FilmReading(NamedTuple):
    """One draw of support and query films, read.

    Attributes:
      films: `[Q]` int32, which films were asked.
      truth: `[Q]` int32 classes.
      votes: `[P, Q]` int32 classes by vote over regions, for each of P ways to predict.
      tied: `[P, Q]` bool, whether the vote was a tie.
      regions: `[P, R, Q]` int32 classes that single regions tell.
      means: `[P, Q]` int32 classes by the mean of the regions' probabilities.
      weighted: `[P, Q]` int32 classes by their weighted mean; None if no weights were given.
    """

    films: jax.Array
    truth: jax.Array
    votes: jax.Array
    tied: jax.Array
    regions: jax.Array
    means: jax.Array
    weighted: jax.Array | None = None


_Found = TypeVar("_Found", FilmLogits, FilmReading)


def read_logits(
    learner: MetaLearner,
    predictions: Sequence[Callable[[Any, jax.Array], jax.Array]],
    *,
    shots: int,
    queries: int,
    pooled: bool = False,
    ordered: bool = False,
    whole: bool = False,
) -> Callable[[Any, ImageStore, jax.Array, jax.Array], FilmLogits]:
    """Builds what films' regions say one by one, such as to learn their weights from.

    Each region is a task of its own, see `read_films`.

    Args:
      learner: what adapts.
      predictions: `(adapted, images) -> logits`, such as `predict` under each norm mode;
        all answer from the same adaptation, and one that is given twice is asked once.
      shots: support films a class.
      queries: query films a class.
      pooled: one adaptation on all regions' images together instead of one a region.
      ordered: labels are in the order of the store's classes, for learners of ordered classes;
        otherwise in a new order each time.
      whole: the learner is asked of a film with all of its regions as one example `[R, ...]`;
        there is then one answer, as of one region.

    Returns:
      `(meta_params, store, seed, index) -> FilmLogits`, pure; the store's images are `[N, R, ...]`
      and all its classes are used. Draws of one seed and index are the same films for any learner.
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
        return FilmLogits(
            films=drawn.query.reshape(-1),
            truth=jnp.repeat(drawn.classes, queries),
            logits=jnp.swapaxes(logits, 0, 1),
        )

    return read


def read_films(
    learner: MetaLearner,
    predictions: Sequence[Callable[[Any, jax.Array], jax.Array]],
    *,
    shots: int,
    queries: int,
    pooled: bool = False,
    ordered: bool = False,
    whole: bool = False,
    weights: ArrayLike | Callable[[Any], jax.Array] | None = None,
) -> Callable[[Any, ImageStore, jax.Array, jax.Array], FilmReading]:
    """Builds the reading of films by regions that vote (Min and Kang 2018, section 4).

    Each region is a task of its own: the learner adapts to the support films' region r and reads
    the query films' region r. All regions of a draw share its films.

    Args:
      learner: what adapts.
      predictions: see `read_logits`, as for all that follow but the last.
      shots: support films a class.
      queries: query films a class.
      pooled: one adaptation on all regions' images together instead of one a region.
      ordered: labels are in the order of the store's classes.
      whole: the learner is asked of a film with all of its regions as one example.
      weights: `[R]` of regions, such as `learn_region_weights` gives, or `meta_params -> [R]`.

    Returns:
      `(meta_params, store, seed, index) -> FilmReading`, pure. A film of which some region's answer
      is not finite has the answer -1, which is never right.
    """
    said = read_logits(
        learner,
        predictions,
        shots=shots,
        queries=queries,
        pooled=pooled,
        ordered=ordered,
        whole=whole,
    )

    def read(meta_params, store, seed, index):
        films, truth, logits = said(meta_params, store, seed, index)
        finite = jnp.isfinite(logits).all(-1)
        answered = finite.all(1)
        voted = jax.vmap(vote)(logits)

        def unless(classes, known):
            return jnp.where(known, classes, -1).astype(jnp.int32)

        def by_mean(weights):
            means = jax.vmap(lambda own: mean_of_probabilities(own, weights))(logits)
            return unless(most_probable(means), answered)

        given = weights(meta_params) if callable(weights) else weights
        return FilmReading(
            films=films,
            truth=truth,
            votes=voted.classes,
            tied=voted.tied,
            regions=unless(logits.argmax(-1), finite),
            means=by_mean(None),
            weighted=None if given is None else by_mean(jnp.asarray(given)),
        )

    return read


def compile_reading(
    read: Callable[[Any, ImageStore, jax.Array, jax.Array], _Found],
    meta_params: Any,
    store: ImageStore,
) -> Callable[[Any, ImageStore, Any, Any], _Found]:
    """Compiles a reading, which may be long before its learner is trained.

    Args:
      read: from `read_films` or `read_logits`.
      meta_params: of its learner, or their shapes and dtypes as `jax.eval_shape` gives them.
      store: on the device.

    Returns:
      A program that is called like `read`, with `seed` uint32 and `index` int32.
    """
    return jax.jit(read).lower(meta_params, store, np.uint32(0), np.int32(0)).compile()


def read_draws(
    compiled: Callable[[Any, ImageStore, Any, Any], _Found],
    meta_params: Any,
    store: ImageStore,
    *,
    seed: int,
    draws: int,
    workers: int = 2,
    done: Callable[[int], None] | None = None,
) -> _Found:
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

    def one(index: int) -> _Found:
        reading = compiled(meta_params, store, np.uint32(seed), np.int32(index))
        return jax.tree.map(np.asarray, reading)

    readings = []
    with ThreadPoolExecutor(workers) as pool:
        for reading in pool.map(one, range(draws)):
            readings.append(reading)
            if done is not None:
                done(len(readings))
    return jax.tree.map(lambda *parts: np.stack(parts), *readings)
