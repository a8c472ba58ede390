"""The films that a network of key points is trained on, and those that it is measured on."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from metabone.datasets.annotated_hands import AnnotatedHands, held_out_fifth, load_annotated_hands
from metabone.datasets.fingerprints import content_sha256
from metabone.datasets.progress import progress
from metabone.provenance import Provenance
from metabone.radiograph.hand_views import PointedFilms, pointed_films
from metabone.radiograph.pointed_simulation import simulate_pointed_films


class Measured(NamedTuple):
    """Films that a network is measured on, and was not trained on.

    Attributes:
      name: what they are, such as `a held-out fifth`.
      kind: `real` or `simulated`.
      films: `[H, W]` each.
      points: `[n, 21, 2]` float `(x, y)` pixels of each film.
    """

    name: str
    kind: str
    films: Sequence[np.ndarray]
    points: np.ndarray


class KeyPointFilms(NamedTuple):
    """Films for one network.

    Attributes:
      training: sets of films, each of which gives an equal share of every batch.
      measured: the others.
      data: records of both for a run.
    """

    training: tuple[PointedFilms, ...]
    measured: tuple[Measured, ...]
    data: list[dict[str, Any]]


def annotated_hands(annotations: str, films: str) -> AnnotatedHands | None:
    """The annotated films that flags name, see `load_annotated_hands`; None for none."""
    return load_annotated_hands(annotations, films) if annotations else None


def parted_films(
    on: str, hands: AnnotatedHands | None, *, simulated: int, unseen: int, seed: int
) -> KeyPointFilms:
    """Parts annotated films in four fifths and one, and renders simulated ones where needed.

    Args:
      on: what is trained on, `simulated`, `real` (annotated) or `both`.
      hands: annotated films; None where there are none and `on` needs none. A network that is
        trained on none of them is also measured on all.
      simulated: simulated films to train on, for `on` other than `real`.
      unseen: simulated films to measure on, of the same seed and other places.
      seed: of the simulation.

    Returns:
      The films.
    """
    training, measured, data = [], [], []
    if hands is not None:
        parts = held_out_fifth(hands.names)
        test = hands.keep(parts["test"])
        measured.append(Measured("a held-out fifth", "real", test.films, test.points))
        if on == "simulated":
            measured.append(Measured("all", "real", hands.films, hands.points))
        else:
            train = hands.keep(parts["train"])
            training.append(pointed_films(train.films, train.points))
            data.append({"role": "meta", **dataclasses.asdict(hands.provenance)})
        data.append({"role": "target", **dataclasses.asdict(hands.provenance)})
    if on != "real":
        count = simulated + unseen
        with progress(None, "rendering hands", count) as shown:
            films = simulate_pointed_films(
                seed, count, lambda done, _: shown.update(done - shown.n)
            )
        training.append(jax.tree.map(lambda leaf: leaf[:simulated], films))
        measured.append(_unseen(jax.tree.map(lambda leaf: leaf[simulated:], films)))
        provenance = Provenance(
            source=f"simulated hands of all ages and shapes, {simulated} and {unseen} unseen",
            kind="simulated",
            sha256=content_sha256(films.images, np.arange(count)),
            count=count,
            citation="rendered by metabone",
            licence="Apache-2.0, as metabone",
            conversions=(f"seed {seed}",),
        )
        roles = ("meta", "target") if hands is None else ("meta",)
        data += [{"role": role, **dataclasses.asdict(provenance)} for role in roles]
    return KeyPointFilms(tuple(training), tuple(measured), data)


def _unseen(films: PointedFilms) -> Measured:
    """The films out of their squares."""
    cut, points = [], []
    for image, at, box in zip(films.images, films.points, films.boxes, strict=True):
        left, top, right, bottom = box.astype(int)
        cut.append(image[top : bottom + 1, left : right + 1])
        points.append(at - box[:2])
    return Measured("unseen", "simulated", cut, np.stack(points))
