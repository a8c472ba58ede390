"""A network that tells bone age, as a run keeps it: read again without code of its own."""

import dataclasses
import functools
import hashlib
import json
import math
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from safetensors.numpy import save as save_tensors

import metabone
from metabone.datasets.fingerprints import image_fingerprints
from metabone.episodes.sampling import scale as scaled
from metabone.errors import InputError
from metabone.evaluation.chunked import chunked
from metabone.evaluation.conformal import HalfWidths
from metabone.nets.tensor_files import open_tensors, shown
from metabone.provenance import Provenance
from metabone.radiograph.aged_films import AgedFilms
from metabone.radiograph.region_sets import region_set
from metabone.radiograph.sex import with_sex_row
from metabone.training.age_scale import AgeScale
from metabone.training.json_files import plain, read_json
from metabone.training.leaves import as_leaves, as_tree, paths
from metabone.training.regression import read_months
from metabone.workflows.age_calibration import NO_CHANGE, AgeLines
from metabone.workflows.age_origins import AgeNetwork, network_of
from metabone.workflows.age_settings import NETWORKS, SEX_USES, VIEWS, AgeSettings
from metabone.workflows.model_folder import contiguous
from metabone.workflows.new_folder import write_folder

MODEL = "model"
"""Folder of a run that holds its model."""

RECORD, WEIGHTS = "model.json", "weights.safetensors"
_FORMAT, _VERSION = "metabone age model", 1
# What of a run's settings says how its network is built, and how it sees films.
_KEPT = (
    *("network", "width", "sex_width", "head_widths", "head_pool", "body_weights"),
    *("region_filters", "region_pool", "region_widths", "size", "regions"),
)
_TOGETHER = 32
_MOST_PIXELS = 4096


@dataclasses.dataclass(frozen=True, eq=False)
class AgeModel:
    """A network that tells bone age, and what there is to know of its answers.

    Attributes:
      settings: of the run; those of the network and of the view are kept.
      view: how it sees films, of `age_settings.VIEWS`.
      sex_use: `input`, or `unknown` where it does not look at sex.
      published: whether its body does with grey levels what published weights expect, those of the
        file `settings.body_weights`, which must then be there.
      image_shape: `(H, W, 1)` of what it sees, or `(R, H, W, 1)`.
      params: its parameters.
      norm_stats: its stored statistics.
      scale: what its outputs are measured in.
      lines: corrections by sex of what it reads.
      widths: half widths of its intervals, from films that nothing was learned or chosen from; None
        where there were too few of them.
      strengths: films to the strength by which `age_adaptation` fits a ridge to as many.
      key_points: `hand_regions.weights_sha256` of the network that found the key points of its
        films; empty for a view without them.
      method: `age_sight.method_of` its view when it was trained.
      learned: `fingerprints_of` the films that it was trained or chosen on, in its view.
      data: where the run's films came from.
      about: what it is and how good, heading to sentence.
      made_by: versions of what made it.
    """

    settings: AgeSettings
    view: str
    sex_use: str
    published: bool
    image_shape: tuple[int, ...]
    params: Any
    norm_stats: Any
    scale: AgeScale
    lines: AgeLines = NO_CHANGE
    widths: HalfWidths | None = None
    strengths: Mapping[int, float] = dataclasses.field(default_factory=dict)
    key_points: str = ""
    method: int = 0
    learned: Collection[str] = frozenset()
    data: Sequence[Mapping[str, Any]] = ()
    about: Mapping[str, str] = dataclasses.field(default_factory=dict)
    made_by: Mapping[str, str] = dataclasses.field(
        default_factory=lambda: {"metabone": metabone.__version__, "jax": jax.__version__}
    )

    @functools.cached_property
    def made(self) -> AgeNetwork:
        """Its network."""
        return _network(self.settings, self.image_shape, self.sex_use, self.published)

    @property
    def knows_sex(self) -> bool:
        """Whether it looks at sex."""
        return self.sex_use == "input" and self.settings.sex_width > 0

    def read(self, films: AgedFilms) -> np.ndarray:
        """Months `[N]` float32 of films in its view, corrected by sex.

        Raises:
          InputError: films of another view.
        """
        return self.read_images(films.images, films.sex)

    def read_images(self, images: np.ndarray, sex: np.ndarray) -> np.ndarray:
        """`read` of images `[N, ...]` uint8 in its view and sex `[N]`."""
        return self.lines.months(self._uncorrected(images, sex), sex).astype(np.float32)

    def read_uncorrected(self, films: AgedFilms) -> np.ndarray:
        """`read` without correction."""
        return self._uncorrected(films.images, films.sex)

    def features(self, films: AgedFilms) -> np.ndarray:
        """What its head is given of films in its view, `[N, D]` float32."""
        return chunked(self._look, with_sex_row(films.images, films.sex), size=_TOGETHER)

    def intervals(self, months: np.ndarray, sex: np.ndarray) -> np.ndarray | None:
        """`[N, 2]` months around `[N]` read ones, 0 at least; None where none are claimed."""
        if self.widths is None:
            return None
        half = self.widths.of(sex)
        return np.maximum(np.stack([months - half, months + half], axis=1), 0.0)

    def _uncorrected(self, images: np.ndarray, sex: np.ndarray) -> np.ndarray:
        if images.shape[1:] != self.image_shape:
            raise InputError(
                f"films of shape {images.shape[1:]}: the model sees {self.image_shape}"
            )
        found = self._read(self.params, self.norm_stats, with_sex_row(images, sex))
        if not np.isfinite(found).all():
            raise InputError(
                f"the model reads no finite age on {np.sum(~np.isfinite(found))} of {len(found)} "
                "films: its weights are damaged, or no network's"
            )
        return found

    @functools.cached_property
    def _look(self):
        body = self.made.network.body
        return jax.jit(lambda images: body(self.params, self.norm_stats, scaled(images), False)[0])

    @functools.cached_property
    def _read(self):
        return read_months(self.made.network, self.scale, batch=_TOGETHER)


def fingerprints_of(films: AgedFilms) -> list[str]:
    """By which films in a view are known again, see `fingerprints_of_images`."""
    return fingerprints_of_images(films.images)


def fingerprints_of_images(images: np.ndarray) -> list[str]:
    """The first digits of `image_fingerprints` of `[N, ...]` uint8."""
    return [each[:16] for each in image_fingerprints(images)]


def save_age_model(folder: str | os.PathLike, model: AgeModel) -> Path:
    """Writes a model into a new folder, whole or not at all.

    Args:
      folder: is made; what is there already is never touched.
      model: to keep.

    Returns:
      The folder.

    Raises:
      InputError: it exists already, or cannot be written.
    """
    leaves = as_leaves({"params": model.params, "norm_stats": model.norm_stats})
    weights = save_tensors(contiguous(leaves))
    record = {
        "format": _FORMAT,
        "version": _VERSION,
        "made_by": model.made_by,
        "settings": {name: getattr(model.settings, name) for name in _KEPT},
        "view": model.view,
        "sex_use": model.sex_use,
        "published": model.published,
        "image_shape": model.image_shape,
        "scale": model.scale._asdict(),
        "lines": model.lines._asdict(),
        "widths": None if model.widths is None else model.widths._asdict(),
        "strengths": model.strengths,
        "key_points_sha256": model.key_points,
        "method": model.method,
        "learned": sorted(model.learned),
        "data": model.data,
        "about": model.about,
        "sha256": {WEIGHTS: hashlib.sha256(weights).hexdigest()},
    }
    text = json.dumps(plain(record), indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    return write_folder(folder, {WEIGHTS: weights, RECORD: text.encode("utf-8")})


def is_age_model(folder: str | os.PathLike) -> bool:
    """Whether a folder is that of a model that tells bone age, or of a run that has one."""
    place = _place(folder) / RECORD
    record = read_json(place) if place.is_file() else None
    return isinstance(record, dict) and record.get("format") == _FORMAT


def load_age_model(folder: str | os.PathLike) -> AgeModel:
    """Loads what `save_age_model` wrote; nothing is unpickled.

    Args:
      folder: of the model, or of the run of `bone-age` that it is of.

    Returns:
      The model; its answers are the same to the bit on the same machine.

    Raises:
      InputError: there is no model, or it is damaged, of another version, or needs a file that is
        missing.
    """
    path = _place(folder)
    if not (path / RECORD).is_file():
        raise InputError(
            f"{path}: no model of bone age; expected a run of metabone bone-age that is complete, "
            "or a folder that metabone calibrate wrote"
        )
    record = read_json(path / RECORD)
    if not isinstance(record, dict) or record.get("format") != _FORMAT:
        raise InputError(f"{path / RECORD}: not a model of bone age of metabone")
    if record.get("version") != _VERSION:
        raise InputError(
            f"{path / RECORD}: version {str(record.get('version'))[:20]!r} of the format, expected "
            f"{_VERSION}"
        )
    try:
        known = _known(record)
        made = _network(
            known["settings"], known["image_shape"], known["sex_use"], known["published"]
        )
        params, norm_stats = _weights(path / WEIGHTS, made, record["sha256"][WEIGHTS])
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        if isinstance(error, InputError):
            raise InputError(f"{path}: {error}") from None
        raise InputError(f"{path}: damaged ({type(error).__name__} in {RECORD})") from None
    return AgeModel(params=params, norm_stats=norm_stats, **known)


def _place(folder: str | os.PathLike) -> Path:
    path = Path(folder).expanduser()
    inner = path / MODEL
    return inner if not (path / RECORD).is_file() and (inner / RECORD).is_file() else path


def _network(
    settings: AgeSettings, image_shape: tuple[int, ...], sex_use: str, published: bool
) -> AgeNetwork:
    # A network depends on the shape of films alone, so none of them are needed.
    none = np.zeros(0, "U1")
    films = AgedFilms(
        np.zeros((0, *image_shape), np.uint8),
        np.zeros(0, np.float32),
        none,
        none,
        none,
        Provenance("none", "simulated", "", 0, "", ""),
    )
    return network_of(settings, films, sex_use, published)


def _known(record: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a model but for its weights; anything amiss raises `ValueError` or alike."""
    settings = _settings(record["settings"])
    shape = tuple(record["image_shape"])
    scale = AgeScale(*_numbers(record["scale"], AgeScale._fields))
    lines = AgeLines(
        *(tuple(_finite(value) for value in record["lines"][sex]) for sex in AgeLines._fields)
    )
    widths = record["widths"]
    if widths is not None:
        level, everyone = _numbers(widths, ("level", "everyone"))
        by_sex = (widths["male"], widths["female"])
        own = [None if width is None else _finite(width) for width in by_sex]
        widths = HalfWidths(level, everyone, *own)
        if not 0 < level < 1 or any(width is not None and width < 0 for width in widths):
            raise ValueError
    fits = (
        len(shape) in (3, 4)
        and all(isinstance(side, int) and 1 <= side <= _MOST_PIXELS for side in shape)
        and shape[-1] == 1
        and (len(shape) == 4) == (record["view"] == "regions")
        and record["view"] in VIEWS
        and record["sex_use"] in SEX_USES
        and isinstance(record["published"], bool)
        and settings.network in NETWORKS
        and scale.deviation > 0
        and all(0 < _finite(value) for value in record["strengths"].values())
        and (record["view"] != "regions" or len(region_set(settings.regions)) == shape[0])
        and all(len(line) == 2 for line in lines)
        and isinstance(record["key_points_sha256"], str)
        and type(record["method"]) is int
    )
    if not fits:
        raise ValueError
    return {
        "settings": settings,
        "view": record["view"],
        "sex_use": record["sex_use"],
        "published": record["published"],
        "image_shape": shape,
        "scale": scale,
        "lines": lines,
        "widths": widths,
        "strengths": {int(n): _finite(value) for n, value in record["strengths"].items()},
        "key_points": record["key_points_sha256"],
        "method": record["method"],
        "learned": frozenset(map(str, record["learned"])),
        "data": tuple(dict(entry) for entry in record["data"]),
        "about": {str(head): str(text) for head, text in record["about"].items()},
        "made_by": {str(name): str(text) for name, text in record["made_by"].items()},
    }


def _settings(given: Mapping[str, Any]) -> AgeSettings:
    default, values = AgeSettings(), {}
    for name in _KEPT:
        kind, value = type(getattr(default, name)), given[name]
        value = tuple(value) if kind is tuple else value
        wholes = value if kind is tuple else ()
        if not isinstance(value, (int, float) if kind is float else kind):
            raise ValueError
        if not all(isinstance(whole, int) and 1 <= whole <= 2**16 for whole in wholes):
            raise ValueError
        values[name] = value
    return dataclasses.replace(default, **values)


def _weights(path: Path, made: AgeNetwork, sha256: str) -> tuple[Any, Any]:
    shapes = jax.eval_shape(
        lambda key: dict(
            zip(("params", "norm_stats"), made.network.init(key, made.image_shape), strict=True)
        ),
        jax.random.key(0),
    )
    with open_tensors(path) as file:
        if file.sha256 != sha256:
            raise InputError(f"{WEIGHTS} is damaged (not what {RECORD} says)")
        expected = paths(shapes)
        differing = sorted({*expected} ^ {*file.tensors})
        if differing:
            raise InputError(f"{WEIGHTS} is of another network: {shown(differing[0])}")
        for name, leaf in expected.items():
            found = file.tensors[name]
            if (found.shape, found.dtype) != (leaf.shape, str(leaf.dtype)):
                raise InputError(
                    f"{WEIGHTS} is of another network: {name} of {found.dtype} {found.shape}, "
                    f"expected {leaf.dtype} {leaf.shape}"
                )
        leaves = {name: file.tensors[name].read() for name in expected}
    for name, leaf in leaves.items():
        if not np.isfinite(leaf).all():
            raise InputError(f"{WEIGHTS} holds numbers in {name} that are not finite")
    tree = as_tree(leaves, shapes)
    return tree["params"], tree["norm_stats"]


def _numbers(given: Mapping[str, Any], names: Sequence[str]) -> list[float]:
    return [_finite(given[name]) for name in names]


def _finite(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError
    return float(value)
