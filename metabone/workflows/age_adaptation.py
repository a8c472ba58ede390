"""Networks that tell bone age, adapted to another clinic by more than a line.

Two ways: to train the head, or all of the network, on the clinic's films by gradients; or a ridge
regression on the network's features of what lines by sex leave over, whose strength was learned
from tasks that stand for clinics. The latter is closed form; its one number a count of films is all
that is meta-learned, as few films tell no more.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from metabone.learners.ridge import ridge_fit
from metabone.nets.trainable_blocks import split_params
from metabone.radiograph.aged_films import AgedFilms
from metabone.radiograph.sex import with_sex_row
from metabone.training.regression import AgeData, age_step, read_months
from metabone.training.supervised import SupervisedState
from metabone.workflows.age_calibration import fit_lines
from metabone.workflows.age_model import AgeModel

STRENGTHS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1e3, 3e3, 1e4, 1e8)
"""What is chosen from; the last leaves lines by sex alone."""

HEAD_STEPS, HEAD_RATE = 100, 1e-3
"""Of fine-tuning the head: steps on all films at once, and Adam's rate."""

WHOLE_EPOCHS, WHOLE_RATE, _BATCH = 10, 1e-4, 16
"""Of fine-tuning the network: how often each film is seen, and Adam's rate."""

_EXPOSURES = (1.0, 0.6, 0.8, 1.25, 1.6)
_OFFSET = 6.0
_TOGETHER = 32


def exposed(films: AgedFilms, gamma: float) -> AgedFilms:
    """Films as another exposure has them: grey becomes `255 (grey / 255) ** gamma`."""
    greys = np.rint(255.0 * (np.arange(256) / 255.0) ** gamma).astype(np.uint8)
    return dataclasses.replace(films, images=greys[films.images])


def ridge_months(
    model: AgeModel,
    read: np.ndarray,
    features: np.ndarray,
    months: np.ndarray,
    sex: np.ndarray,
    local: np.ndarray,
    strengths: Sequence[float],
) -> np.ndarray:
    """Months by lines by sex and a ridge on features, fitted to some films.

    Args:
      model: whose scale lines pivot on.
      read: `[N]` months that the network reads.
      features: `[N, D]` of all films.
      months: `[N]` that are true; those of local films are looked at.
      sex: `[N]`.
      local: `[n]` positions of the films that are fitted to.
      strengths: `[s]`, in units of the mean squared length of their centred features.

    Returns:
      `[s, N]` months.
    """
    lines = fit_lines(read[local], months[local], sex[local], model.scale)
    straight = lines.months(read, sex)
    left = months[local] - straight[local]
    given = (features, features[local], left.astype(np.float32), np.asarray(strengths, np.float32))
    return straight + np.asarray(_by_ridge(*given))


def learn_strengths(
    model: AgeModel,
    films: AgedFilms,
    counts: Sequence[int],
    *,
    tasks: int = 100,
    most: int = 400,
    seed: int = 0,
) -> dict[int, float]:
    """Learns how strong the ridge is to be, from tasks that stand for clinics.

    A task has one exposure of five, films of one sex or of both, and a rater whose ages are off by
    an amount of its own (6 months deviation). It is fitted to some of its films and asked of the
    others; of each number of films the strength with the lowest mean error over tasks is kept.

    Args:
      model: as trained.
      films: of the run that no weight was fitted to, such as those that its steps were chosen on:
        what it was fitted to it reads better than a clinic's films.
      counts: local films to learn a strength for; those that leave half of the films to be asked.
      tasks: of each count.
      most: films that are looked at, drawn.
      seed: of all that is drawn.

    Returns:
      Count to strength.
    """
    rng = np.random.default_rng(seed)
    films = films.keep(np.sort(rng.permutation(len(films))[:most]))
    seen = []
    for gamma in _EXPOSURES:
        changed = exposed(films, gamma)
        seen.append((model.read_uncorrected(changed), model.features(changed)))
    groups = [np.arange(len(films)), *(np.flatnonzero(films.sex == sex) for sex in ("F", "M"))]
    found = {}
    for count in counts:
        large = [group for group in groups if len(group) >= 2 * count]
        if not large:
            break
        errors = np.zeros(len(STRENGTHS))
        for _ in range(tasks):
            read, features = seen[rng.integers(len(seen))]
            rows = rng.permutation(large[rng.integers(len(large))])
            months = films.months + _OFFSET * rng.normal()
            said = ridge_months(model, read, features, months, films.sex, rows[:count], STRENGTHS)
            errors += np.abs(said[:, rows[count:]] - months[rows[count:]]).mean(1)
        found[int(count)] = STRENGTHS[int(errors.argmin())]
    return found


def strength_for(strengths: Mapping[int, float], count: int) -> float:
    """The strength of the largest count that is at most `count`; of fewer films lines alone.

    >>> strength_for({5: 100.0, 20: 30.0}, 10), strength_for({5: 100.0}, 3)
    (100.0, 100000000.0)
    """
    below = [known for known in strengths if known <= count]
    return strengths[max(below)] if below else STRENGTHS[-1]


def tune_heads(
    model: AgeModel, features: np.ndarray, months: np.ndarray, locals_: Sequence[np.ndarray]
) -> np.ndarray:
    """Fine-tunes the head on the features of some films, and reads all.

    Args:
      model: where it begins.
      features: `[N, D]` of all films.
      months: `[N]` that are true; those of local films are looked at.
      locals_: `d` times positions of films that are learned from.

    Returns:
      `[d, N]` months.
    """
    most = max(map(len, locals_))
    rows = np.stack([np.pad(local, (0, most - len(local))) for local in locals_])
    weights = np.stack([(np.arange(most) < len(local)) / len(local) for local in locals_])
    targets = np.asarray(model.scale.standardised(months), np.float32)
    said = _tuned(
        model.made.network, model.params, features, targets, rows, weights.astype(np.float32)
    )
    return np.asarray(model.scale.months(said[..., None]))


def whole_tuner(
    model: AgeModel, films: AgedFilms, most: int, *, seed: int = 0
) -> Callable[[np.ndarray], np.ndarray]:
    """Makes what fine-tunes the whole network on some films, and reads all.

    Films are not changed by chance, and normalisation goes by minibatches, whose statistics are
    smoothed, as in `training.regression.age_step`.

    Args:
      model: where it begins.
      films: all.
      most: films that it is ever to learn from at once; one program serves all counts.
      seed: of the order of films.

    Returns:
      From `[n]` positions of films that are learned from to `[N]` months of all.
    """
    network, optimizer = model.made.network, optax.adam(WHOLE_RATE)
    mask = jax.tree.map(lambda leaf: True, model.params)
    step = jax.jit(age_step(network, optimizer, model.scale, mask, batch_size=_BATCH))
    images = with_sex_row(films.images, films.sex)
    read = read_months(network, model.scale, batch=_TOGETHER)

    def tune(local: np.ndarray) -> np.ndarray:
        rows = np.pad(local, (0, most - len(local)))
        # Drawn with equal chances from the films without the padding.
        chances = np.minimum(np.arange(1, most + 1) / len(local), 1.0)
        data = AgeData(
            jnp.asarray(images[rows]),
            jnp.asarray(films.months[rows], jnp.float32),
            jnp.asarray(chances, jnp.float32),
        )
        trainable, _ = split_params(model.params, mask)
        state = SupervisedState(model.params, model.norm_stats, optimizer.init(trainable))
        for index in range(-(-WHOLE_EPOCHS * len(local) // _BATCH)):
            state, _ = step(state, data, jnp.uint32(seed), jnp.int32(index))
        return read(state.params, state.norm_stats, images)

    return tune


@jax.jit
def _by_ridge(
    features: jax.Array, local: jax.Array, left: jax.Array, strengths: jax.Array
) -> jax.Array:
    def at(strength):
        fit = ridge_fit(local, (left - left.mean())[:, None], strength)
        return ((features - fit.centre) @ fit.weights)[:, 0]

    return jax.lax.map(at, strengths)


@partial(jax.jit, static_argnames="network")
def _tuned(network, params, features, targets, rows, weights):
    optimizer = optax.adam(HEAD_RATE)

    def of_draw(draw):
        rows, weights = draw

        def loss(head):
            said = network.head({"head": head}, features[rows])[:, 0]
            return weights @ jnp.abs(said - targets[rows])

        def step(carry, _):
            head, state = carry
            updates, state = optimizer.update(jax.grad(loss)(head), state)
            return (optax.apply_updates(head, updates), state), None

        start = params["head"], optimizer.init(params["head"])
        (head, _), _ = jax.lax.scan(step, start, length=HEAD_STEPS)
        return network.head({"head": head}, features)[:, 0]

    return jax.lax.map(of_draw, (rows, weights))
