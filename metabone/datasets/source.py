"""The one string that names where images come from."""

import dataclasses
import difflib
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metabone.datasets.images import Images, ImageSet
from metabone.errors import InputError
from metabone.radiograph.films import FilmSet
from metabone.radiograph.stages import MERGE_SMI, MONTH_CUTS, MergeTable

if TYPE_CHECKING:
    import contextlib

    from metabone.datasets.labelled import LabelledImages, Listing

KINDS = {
    "rsna": "rsna:DIR, hand films: labels.csv with images.zip or images/",
    "hands": "hands:DIR, hand films that metabone prepare-hands wrote",
    "chest": "chest:DIR, chest films with ages of patients: labels.csv, or the NIH's, with images",
    "folder": "folder:PATH, labelled images: a folder or zip with one folder a class",
    "tiny_imagenet": "tiny_imagenet:PATH, the official zip or its folder, at any image size",
    "mini_imagenet": "mini_imagenet:PATH, images/ with train.csv and so on, or train.zip and so on",
    "cifar100": "cifar100:PATH, the official python archive, or cifar100 alone, which downloads it",
    "omniglot": "omniglot:PATH, one of the official zips, a folder of them, or an npz",
    "medmnist": "medmnist:FILE.npz, a two-dimensional set with one label an image",
    "retinamnist": "retinamnist:FILE.npz, the set of MedMNIST with grades of retinopathy",
    "medimeta": "medimeta:DIR or medimeta:DIR/TASK, a set of MedIMeta as a folder or zip",
    "embeddings": "embeddings:FILE.npz, vectors and labels, for the experiment medical alone",
    "tfds": "tfds:NAME or tfds:NAME/CONFIG:VERSION, a tfds data set prepared as array_record",
    "simulated": "simulated:smi or simulated:hands, hand films, or simulated:bones, images",
}
# A module is imported when its source is opened: tfds takes a second that `--help` can do without.
_LISTERS = {
    "folder": ("folder", "list_folder"),
    "tiny_imagenet": ("imagenet", "list_tiny_imagenet"),
    "mini_imagenet": ("imagenet", "list_mini_imagenet"),
    "cifar100": ("cifar100", "list_cifar100"),
    "omniglot": ("npz", "list_omniglot"),
    "medmnist": ("npz", "list_medmnist"),
    "retinamnist": ("npz", "list_retinamnist"),
    "medimeta": ("medimeta", "list_medimeta"),
    "tfds": ("tfds_source", "list_tfds"),
}
_FILMS = ("rsna", "hands")
_DOWNLOADED = ("cifar100",)  # Their kind alone is a source.
IMAGE_KINDS = (*_LISTERS, "simulated")
SIMULATED = ("smi", "hands", "bones")


@dataclasses.dataclass(frozen=True)
class Source:
    """A source string, taken apart.

    Attributes:
      kind: A key of `KINDS`.
      name: What stands after the colon: a path, or the name of a simulation or tfds data set;
        empty where the source is to be downloaded.
      text: The string as given.
    """

    kind: str
    name: str
    text: str

    @property
    def path(self) -> Path:
        """The name as a path, `~` expanded."""
        return Path(self.name).expanduser()

    def __str__(self) -> str:
        return self.text


def parse_source(text: str) -> Source:
    """Takes a source string apart; looks at no file.

    Args:
      text: `kind:path` or `kind:name`; or a kind alone that can be downloaded.

    Returns:
      Its parts.

    Raises:
      InputError: The kind is unknown, or nothing stands after the colon.

    Example:
      >>> parse_source("rsna:films/2017").kind
      'rsna'
    """
    kind, _, name = text.strip().partition(":")
    if kind not in KINDS:
        guess = difflib.get_close_matches(kind.lower(), KINDS, n=1)
        hint = f"did you mean '{guess[0]}'? " if guess else ""
        raise InputError(f"unknown source '{text}': {hint}Known are {'; '.join(KINDS.values())}")
    if not name and text.strip() not in _DOWNLOADED:
        raise InputError(f"source '{text}' stops short; write {KINDS[kind]}")
    if kind == "simulated" and name not in SIMULATED:
        guess = difflib.get_close_matches(name.lower(), SIMULATED, n=1)
        hint = f"; did you mean 'simulated:{guess[0]}'?" if guess else ""
        known = " and ".join(f"simulated:{known}" for known in SIMULATED)
        raise InputError(f"unknown source '{text}': simulated are {known}{hint}")
    return Source(kind, name, text.strip())


def are_hands(source: str | Source) -> bool:
    """Whether a source is films of hands, from which tasks can be cut by age; no labelled images.

    >>> [are_hands(name) for name in ("simulated:hands", "rsna:DIR", "simulated:bones")]
    [True, True, False]
    """
    source = parse_source(source) if isinstance(source, str) else source
    return source.kind in _FILMS or source.text == "simulated:hands"


def are_embeddings(source: str | Source) -> bool:
    """Whether a source is features computed elsewhere, see `embeddings.load_embeddings`.

    >>> [are_embeddings(name) for name in ("embeddings:a.npz", "folder:a")]
    [True, False]
    """
    return (parse_source(source) if isinstance(source, str) else source).kind == "embeddings"


def refuse_embeddings(source: Source) -> None:
    """Raises `InputError` for vectors where images or films are asked for."""
    if are_embeddings(source):
        raise InputError(
            f"source '{source}' gives vectors and no images; only the experiment medical learns "
            "from them: metabone medical --meta_sources=embeddings:... --targets=embeddings:..."
        )


def load_films(
    source: str | Source,
    *,
    size: int = 64,
    merge: MergeTable = MERGE_SMI,
    cuts: Sequence[float] = MONTH_CUTS,
    data_dir: str | None = None,
    seed: int = 0,
    examples: int = 12,
    regions: str = "min_kang_6",
    hands: int = 1000,
) -> FilmSet:
    """Loads hand films, the target of an adaptation.

    Args:
      source: `hands:DIR`, `rsna:DIR`, `simulated:smi` or `simulated:hands`.
      size: Height and width of a region.
      merge: Stages of each class, where films have stages (simulated:smi, or labels of hands).
      cuts: Bone ages in months at which a new class begins, where classes are of age (not smi).
      data_dir: Where prepared records lie; by default `$METABONE_DATA_DIR` or `~/.cache/metabone`.
      seed: Of a simulation.
      examples: Number of whole films to keep for a report.
      regions: Of `radiograph.region_sets.REGION_SETS`, where films are cut along their bones
        (`hands:DIR` and `simulated:hands`).
      hands: Films of `simulated:hands`.

    Returns:
      The films; those of stages that `merge` leaves out are not among them.

    Raises:
      InputError: The source cannot be used; the message says why.
    """
    source = parse_source(source) if isinstance(source, str) else source
    refuse_embeddings(source)
    match source.kind, source.name:
        case "rsna", _:
            from metabone.datasets import rsna

            return rsna.load(
                source.path,
                source=source.text,
                size=size,
                cuts=cuts,
                data_dir=data_dir,
                examples=examples,
            )
        case "hands", _:
            from metabone.datasets.hands import load

            return load(
                source.path,
                source=source.text,
                regions=regions,
                size=size,
                cuts=cuts,
                merge=merge,
                examples=examples,
            )
        case "simulated", "hands":
            from metabone.datasets import simulated

            return simulated.load_hands(
                source=source.text,
                size=size,
                cuts=cuts,
                regions=regions,
                count=hands,
                seed=seed,
                examples=examples,
            )
        case "simulated", "smi":
            from metabone.datasets import simulated

            return simulated.load_smi(
                source=source.text, size=size, merge=merge, seed=seed, examples=examples
            )
    known = "; ".join(KINDS[kind] for kind in ("hands", "rsna", "simulated"))
    raise InputError(f"source '{source}' gives no hand films; {known}")


def open_images(
    source: str | Source,
    *,
    size: int = 64,
    channels: int = 1,
    data_dir: str | None = None,
    seed: int = 0,
    classes: int = 300,
    images_per_class: int = 20,
) -> Images:
    """Opens labelled images, the classes of meta-training, without reading more than their labels.

    Args:
      source: Of one of `IMAGE_KINDS`.
      size: Height and width.
      channels: 1 or 3.
      data_dir: Where prepared records lie; by default `$METABONE_DATA_DIR` or `~/.cache/metabone`.
      seed: Of a simulation.
      classes: Number of classes of a simulation.
      images_per_class: Images a class of a simulation.

    Returns:
      The images, ordered by class; simulated ones are in memory at once.

    Raises:
      InputError: The source cannot be used; the message says why.
    """
    source = parse_source(source) if isinstance(source, str) else source
    refuse_embeddings(source)
    if channels not in (1, 3):
        raise InputError(f"channels must be 1 (grey) or 3 (RGB), not {channels}")
    if source.kind in _LISTERS:
        from metabone.datasets.labelled import open_labelled

        with list_images(source, data_dir=data_dir) as (builder, listing):
            return open_labelled(
                builder,
                listing,
                source=source.text,
                size=size,
                channels=channels,
                data_dir=data_dir,
            )
    if source.text == "simulated:bones":
        from metabone.datasets import simulated

        return simulated.load_bones(
            source=source.text,
            size=size,
            channels=channels,
            seed=seed,
            classes=classes,
            images_per_class=images_per_class,
        )
    known = "; ".join(KINDS[kind] for kind in _LISTERS)
    raise InputError(f"source '{source}' gives no labelled classes; {known}; or simulated:bones")


def list_images(
    source: str | Source, *, data_dir: str | None = None, parted: bool = False
) -> "contextlib.AbstractContextManager[tuple[type[LabelledImages], Listing]]":
    """Lists the files of labelled images, none of which is decoded, while its context is open.

    Args:
      source: Of one of `IMAGE_KINDS` that has files.
      data_dir: Where what is downloaded lies.
      parted: Whether a folder's classes may lie below folders of parts.

    Returns:
      A context whose value is the builder of the source's records, and what it consists of.

    Raises:
      InputError: The source cannot be used, on entering; the message says why.
    """
    source = parse_source(source) if isinstance(source, str) else source
    module, function = _LISTERS[source.kind]
    lister = getattr(importlib.import_module(f"metabone.datasets.{module}"), function)
    if not source.name:
        return lister(None, data_dir)
    if source.kind == "folder":
        return lister(source.path, parted)
    return lister(source.name if source.kind == "tfds" else source.path)


def load_images(source: str | Source, **options: Any) -> ImageSet:
    """Loads labelled images into memory; the arguments are those of `open_images`."""
    return open_images(source, **options).whole()
