"""Runs whose learners, backbones or data a later one builds on, and what it must not share."""

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from metabone.errors import InputError
from metabone.stored_arrays import load_arrays, save_arrays
from metabone.training.checkpoints import load_checkpoint
from metabone.training.json_files import read_json
from metabone.training.run import training_folder
from metabone.workflows.settings import BACKBONES_OWN, LearnerSettings
from metabone.workflows.variants import HEADS, PAPER_MODELS, SEX, variants_of

_SEEN = "seen_images.npz"
_MOST_TOLD = 10

Settings = TypeVar("Settings", bound=LearnerSettings)


def finished_run(
    folder: Path, experiments: Sequence[str], what: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The `config.json` and `result.json` of a run that has ended.

    Args:
      folder: of the run.
      experiments: which experiments' runs will do.
      what: names the folder in messages, such as a flag.

    Raises:
      InputError: it is no run of these, or not complete.
    """
    record = read_json(folder / "config.json")
    if not isinstance(record, dict) or record.get("experiment") not in experiments:
        raise InputError(f"{what}{folder}: not the folder of a run of {' or '.join(experiments)}")
    result = read_json(folder / "result.json")
    if not isinstance(result, dict) or not result.get("complete"):
        raise InputError(f"{what}{folder}: this run is not complete")
    return record, result


def with_trained_settings(
    config: Settings,
    given: Sequence[str],
    *,
    flag: str,
    run: str | os.PathLike,
    experiments: Sequence[str],
    asked_now: Sequence[str],
    unless_given: Sequence[str] = (),
    phases: Sequence[str] | None = None,
) -> Settings:
    """The settings of a trained run, but for what is asked of its learners now.

    Args:
      config: of this command line.
      given: which settings its flags name.
      flag: the one that names the run.
      run: its folder.
      experiments: which experiments' runs will do.
      asked_now: settings that may differ from the run's.
      unless_given: those of them that stay the run's where no flag names them.
      phases: the trainings that are needed of it; by default all.

    Returns:
      The settings; every other one that the run has is the run's. Its checkpoints are read once
      here, so that damaged ones are told of before anything starts.

    Raises:
      InputError: no finished run, damaged checkpoints, or a flag of what was trained.
    """
    folder = Path(run)
    record, _ = finished_run(folder, experiments, f"--{flag}=")
    for name in given:
        if name not in asked_now:
            few = ", ".join(f"--{asked}" for asked in asked_now) if len(asked_now) < 12 else ""
            advice = f"with --{flag} choose among {few}" if few else "leave it out"
            raise InputError(f"--{name} is the trained run's own; {advice}")
    stored = stored_settings(record["config"], type(config))
    for index in range(stored.get("trainings", 1)):
        for phase in _phases_of(stored) if phases is None else phases:
            load_checkpoint(training_folder(folder, index) / "checkpoints" / phase, best=True)
    asked = [name for name in asked_now if name in given or name not in unless_given]
    kept = {name: getattr(config, name) for name in asked}
    return dataclasses.replace(config, **(stored | kept))


def learned_folder(run: str, training: int) -> Path | None:
    """Where a run keeps what one of its trainings has learned; None where no run is named."""
    return training_folder(Path(run), training) if run else None


def with_backbone_of(config: Settings, given: Sequence[str]) -> Settings:
    """The settings, those of its backbone from the run that `--pretrained` names, if any.

    Args:
      config: of this command line.
      given: which settings its flags name.

    Returns:
      The settings.

    Raises:
      InputError: as of `with_trained_settings`.
    """
    if not config.pretrained:
        return config
    names = [field.name for field in dataclasses.fields(config)]
    return with_trained_settings(
        config,
        given,
        flag="pretrained",
        run=config.pretrained,
        experiments=["pretrain"],
        asked_now=[name for name in names if name not in BACKBONES_OWN],
        phases=["pretrain"],
    )


def stored_settings(record: Mapping[str, Any], settings: type) -> dict[str, Any]:
    """The fields of `settings` that a run's `config.json` holds, tuples again where they were."""
    defaults = {field.name: field.default for field in dataclasses.fields(settings)}
    return {
        name: tuple(value) if isinstance(defaults[name], tuple) else value
        for name, value in record.items()
        if name in defaults
    }


def _phases_of(stored: Mapping[str, Any]) -> tuple[str, ...]:
    """The trainings that a run's learners consist of."""
    plain = [("models", PAPER_MODELS), ("heads", HEADS[:1]), ("sex", SEX[:1])]
    variants = variants_of(*(stored.get(name, value) for name, value in plain))
    phases = [f"meta_{variant.slug}" for variant in variants]
    elsewhere = stored.get("backbone_weights") or stored.get("pretrained")
    if not elsewhere and any("pretrained" in variant.model for variant in variants):
        phases.append("pretrain")
    films = (
        "supervised" if "supervised" in name else name for name in stored.get("film_learners", ())
    )
    return (*phases, *dict.fromkeys(f"film_{name}" for name in films))


def save_seen(folder: Path, fingerprints: Sequence[str]) -> None:
    """Keeps the hashes of the images that a run trained or chose its learners on.

    Args:
      folder: of the run.
      fingerprints: SHA-256 in hex of each image as it was seen.
    """
    save_arrays(folder / _SEEN, prefixes=_prefixes(fingerprints))


def check_unseen(folder: Path, fingerprints: Sequence[str], name: str) -> None:
    """Checks that a run has not seen images that its learners are now to be measured on.

    Args:
      folder: of the run.
      fingerprints: of the images, at the run's size and channels.
      name: of the source, for the message.

    Raises:
      InputError: It has.
    """
    path = folder / _SEEN
    if not path.exists():
        raise InputError(f"{path}: no such file; the run is of an older version")
    seen = load_arrays(path, ("prefixes",))["prefixes"]
    again = np.isin(_prefixes(fingerprints), seen).sum()
    if again:
        raise InputError(
            f"{name}: {again} of its images are among those that {folder} learned from"
        )


def check_backbone(folder: str, held_out: Iterable[str]) -> None:
    """Checks that a pretrain run was not trained on classes that are held out here.

    Args:
      folder: of the run; empty if there is none.
      held_out: names of classes to choose settings on or to test on.

    Raises:
      InputError: It was.
    """
    if not folder:
        return
    trained = set(read_json(Path(folder) / "result.json")["meta_classes"]["train"])
    both = sorted(trained & set(held_out))
    if both:
        raise InputError(
            f"--pretrained={folder}: was trained on {len(both)} classes that are held out here, "
            f"such as {both[0]!a}; use its sources, seed and class numbers"
        )


def data_of(folder: Path) -> list[dict[str, Any]]:
    """The records of the data that a run's learners were trained on."""
    record = read_json(folder / "config.json")
    entries = record.get("data", []) if isinstance(record, dict) else []
    return [entry for entry in entries if isinstance(entry, dict) and entry.get("role") == "meta"]


def classes_seen(folder: Path) -> dict[str, str]:
    """Classes that a run trained or chose its learners on, and where they were."""
    split = read_json(folder / "result.json")["meta_classes"]
    parts = ("train", "validation")
    return {name: str(folder) for part in parts for name in split.get(part, [])}


def shared_by_name(folder: Path, names: Iterable[str], sources: Iterable[str] = ()) -> list[str]:
    """Classes of which a run has learned from other images, as far as their names tell.

    Capitals, spaces and underscores make no difference. Numbers name classes of one source alone.

    Args:
      folder: of the run.
      names: of classes that its learners are to be measured on.
      sources: they are of.

    Returns:
      Those of them whose names are of classes that the run trained or chose its learners on.
    """
    same_source = set(sources) & {entry.get("source") for entry in data_of(folder)}
    learned = {_plain(name) for name in classes_seen(folder)}
    return [
        name
        for name in names
        if _plain(name) in learned and (same_source or not _plain(name).isdecimal())
    ]


def _plain(name: str) -> str:
    return name.casefold().replace("_", " ").strip()


def shared_in_words(shared: Sequence[str]) -> str:
    """What is to be said beside figures on such classes; empty for none.

    Args:
      shared: of `shared_by_name`.
    """
    if not shared:
        return ""
    some = ", ".join(shared[:_MOST_TOLD]) + (", ..." if len(shared) > _MOST_TOLD else "")
    return (
        f"Other images of classes that were trained on: {some}; of these it is not true that they "
        "were never seen."
    )


def searched_by(folder: Path) -> list[dict[str, Any]]:
    """What a run's search for base learning's settings found, best first in each cell."""
    return read_json(folder / "result.json").get("search", [])


def _prefixes(fingerprints: Sequence[str]) -> np.ndarray:
    return np.asarray([int(fingerprint[:16], 16) for fingerprint in fingerprints], np.uint64)
