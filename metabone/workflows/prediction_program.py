"""What reads films, as one program of `jax.export` that needs no code of ours to run."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np

from metabone.errors import InputError
from metabone.learners.base import MetaLearner
from metabone.radiograph.voting import mean_of_probabilities
from metabone.workflows.trained import Trained

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
CHUNK = 32
"""Films that are read by one call: whatever is asked, one program is compiled."""


def reader_of(
    trained: Trained, learner: MetaLearner, classes: int, regions: int = 0
) -> Callable[[Any, jax.Array], dict[str, jax.Array]]:
    """How an adapted learner reads prepared films.

    Args:
      trained: which features make films alike.
      learner: of `classes` outputs or more.
      classes: of the task.
      regions: of a film, each read by what was adapted to that region; 0 for films as a whole.

    Returns:
      `(adapted, prepared [n, ...]) -> {"logits": [n, classes], "features": [n, D]}` float32, film
      by film, so that what is said of one does not depend on the others. Features are pixels where
      the learner has none. With regions, `adapted` has one more axis in front, and prepared films
      are `[n, regions, ...]`; logits are of the mean of the regions' probabilities, features those
      of all regions, and `"regions": [n, regions, classes]` are the logits of each.
    """

    def one(adapted: Any, film: jax.Array) -> dict[str, jax.Array]:
        logits = learner.predict(adapted, film[None])[0, :classes]
        features = film if trained.features is None else trained.features(adapted, film[None])
        return {"logits": logits, "features": features.reshape(-1)}

    def several(adapted: Any, film: jax.Array) -> dict[str, jax.Array]:
        found = jax.lax.map(lambda region: one(*region), (adapted, film))
        (logits,) = mean_of_probabilities(found["logits"][:, None])
        return {
            "logits": logits,
            "features": found["features"].reshape(-1),
            "regions": found["logits"],
        }

    read = several if regions else one
    return lambda adapted, prepared: jax.lax.map(lambda film: read(adapted, film), prepared)


def export_program(
    trained: Trained,
    learner: MetaLearner,
    adapted: Any,
    classes: int,
    temperature: float,
    regions: int = 0,
) -> bytes:
    """Makes the program of an adapted learner, its weights within.

    Args:
      trained: of which it is.
      learner: of `classes` outputs or more.
      adapted: what `learner.adapt` returned.
      classes: of the task.
      temperature: by which logits are divided before they become probabilities.
      regions: see `reader_of`.

    Returns:
      Bytes for `jax.export.deserialize`: `images [n, H, W, C] uint8`, with regions
      `[n, regions, H, W, C]`, of any n, to a dictionary of `probabilities`, `logits`
      `[n, classes]`, `features` `[n, D]`, and with regions `regions` `[n, regions, classes]`,
      float32.
    """
    adapted = jax.tree.map(jnp.asarray, adapted)
    read = reader_of(trained, learner, classes, regions)

    def predict(images: jax.Array) -> dict[str, jax.Array]:
        def one(image: jax.Array) -> dict[str, jax.Array]:
            prepared = trained.prepare(image if regions else image[None])
            found = read(adapted, prepared[None] if regions else prepared)
            return {name: value[0] for name, value in found.items()}

        found = jax.lax.map(one, images)
        return found | {"probabilities": jax.nn.softmax(found["logits"] / temperature, axis=-1)}

    (count,) = jax.export.symbolic_shape("films")
    shape = (*([regions] if regions else []), *trained.image_shape)
    images = jax.ShapeDtypeStruct((count, *shape), jnp.uint8)
    with _without_folders():
        exported = jax.export.export(jax.jit(predict), platforms=PLATFORMS)(images)
    return bytes(exported.serialize())


@contextlib.contextmanager
def _without_folders() -> Iterator[None]:
    """Leaves the folders of this machine's source files out of what is compiled meanwhile."""
    name = "jax_hlo_source_file_canonicalization_regex"
    before = jax.config.values[name]
    jax.config.update(name, ".*/")
    try:
        yield
    finally:
        jax.config.update(name, before)


class PredictionProgram:
    """A program of `export_program`, ready to be called.

    Attributes:
      data: the program as bytes.
      image_shape: `(H, W, C)` of its images, `(R, H, W, C)` of one that reads regions.
      widths: `(K, D)`: how many classes it tells apart, and by how many features.
    """

    def __init__(self, data: bytes, where: str):
        self.data = data
        try:
            exported = jax.export.deserialize(bytearray(data))
            (images,) = exported.in_avals
            self.image_shape = tuple(int(side) for side in images.shape[1:])
            given = exported.out_tree.unflatten(exported.out_avals)
            (_, classes), (_, features) = given["logits"].shape, given["features"].shape
            self.widths = int(classes), int(features)
            if len(self.image_shape) == 4:
                (_, *own) = given["regions"].shape
                fits = own == [self.image_shape[0], classes]
            else:
                fits = len(self.image_shape) == 3
            if not fits or images.dtype != np.uint8:
                raise ValueError
        # What is made of bytes that nobody vouches for raises nearly any type.
        except Exception as error:
            raise InputError(
                f"{where}: no program of a model that jax {jax.__version__} reads "
                f"({type(error).__name__})"
            ) from None
        self._call = jax.jit(exported.call)

    def __call__(self, images: np.ndarray) -> Mapping[str, np.ndarray]:
        """Reads films, `[n, ...]` uint8 of its shape with n >= 1; see `export_program`."""
        return in_chunks(self._call, images)


def in_chunks(call: Callable[[np.ndarray], Any], films: np.ndarray) -> Any:
    """Calls a function of films on chunks of one size, the last filled up with its first film.

    Args:
      call: from `[CHUNK, ...]` to a tree of `[CHUNK, ...]`, film by film.
      films: `[n, ...]`, n >= 1.

    Returns:
      The tree of `[n, ...]` NumPy arrays.
    """
    parts = [_called(call, films[start : start + CHUNK]) for start in range(0, len(films), CHUNK)]
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def _called(call: Callable[[np.ndarray], Any], chunk: np.ndarray) -> Any:
    short = CHUNK - len(chunk)
    full = np.concatenate([chunk, np.repeat(chunk[:1], short, 0)]) if short else chunk
    return jax.tree.map(lambda leaf: np.asarray(leaf)[: len(chunk)], call(full))
