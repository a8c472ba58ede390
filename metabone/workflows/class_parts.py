"""Which classes are trained on, chosen on and tested on."""

import dataclasses
import hashlib
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from metabone.datasets.combined import CombinedImages, combine, read_class_table, tell_unused
from metabone.datasets.fingerprints import check_disjoint, image_fingerprints
from metabone.datasets.images import Images, ImageSet
from metabone.datasets.memory import choose
from metabone.datasets.source import open_images, parse_source
from metabone.episodes.splits import split_names
from metabone.errors import InputError
from metabone.training.json_files import read_json
from metabone.training.run import Run
from metabone.workflows.backbones import seen_fingerprints
from metabone.workflows.earlier_runs import check_backbone, check_unseen, data_of, save_seen

PARTS = ("train", "validation", "test")


class ClassParts(NamedTuple):
    """Images of disjoint classes by what they are for; classes are numbered from 0 in each.

    Attributes:
      train: to meta-train on, in memory or in records; None where another run has.
      validation: to choose settings on; likewise.
      test: of classes that were never seen; None where the test is on something else.
      split: hash of which classes are where; empty where it is not asked for.
    """

    train: Images | None
    validation: ImageSet | None
    test: ImageSet | None
    split: str = ""

    @property
    def names(self) -> dict[str, list[str]]:
        """Part to the names of its classes, of the parts that there are."""
        found = {part: getattr(self, part) for part in PARTS}
        return {part: list(own.class_names) for part, own in found.items() if own is not None}


def split_classes(
    names: Sequence[str], ways: int, seed: int, validation: int = 0, test: int = 0
) -> dict[str, list[int]]:
    """Classes to train on, to validate on, and to test on.

    Args:
      names: all classes.
      ways: classes a task.
      seed: another is another split.
      validation: classes to validate on; 0 for a tenth, at least `ways`.
      test: likewise.

    Returns:
      Part to its classes, ascending.

    Raises:
      InputError: a part has fewer classes than a task.
    """
    tenth = max(ways, len(names) // 10)
    sizes = {"validation": validation or tenth, "test": test or tenth}
    sizes = {"train": len(names) - sum(sizes.values()), **sizes}
    for part, size in sizes.items():
        if size < ways:
            raise InputError(
                f"{len(names)} classes of meta-data: {ways} ways need as many to train on, to "
                f"validate on and to test on each; {part} would have {max(0, size)}"
            )
    return split_names(names, sizes, salt=str(seed))


def part_of(images: Images, rows: Sequence[int]) -> Images:
    """The images of some classes, where they were: in memory or in records."""
    return images.keep(np.flatnonzero(np.isin(images.labels, rows)))


def open_sources(
    sources: Sequence[str],
    *,
    size: int,
    channels: int,
    data_dir: str | None = None,
    same_classes: str = "",
    taken: Mapping[str, str] | None = None,
    **simulated: int,
) -> CombinedImages:
    """Several sources as one list of classes, without those that are taken; see `combine`.

    Args:
      sources: source strings.
      size: height and width of the images.
      channels: 1 or 3.
      data_dir: see `open_images`.
      same_classes: path of a table of classes that mean the same, two a line; empty for none.
      taken: classes that are used elsewhere, and where.
      **simulated: seed, classes and images_per_class of simulated sources.
    """
    for source in sources:
        parse_source(source)
    options = dict(size=size, channels=channels, data_dir=data_dir, **simulated)
    parts = [open_images(source, **options) for source in sources]
    same = read_class_table(Path(same_classes)) if same_classes else {}
    return combine(parts, same, taken or {})


def split_images(
    images: Images,
    ways: int,
    seed: int,
    *,
    validation: int = 0,
    test: int = 0,
    memory_gib: float = 4.0,
) -> ClassParts:
    """Parts of disjoint classes by hash; what is held out is small and always in memory.

    Args:
      images: all of them.
      ways: see `split_classes`, as `seed`, `validation` and `test`.
      seed: of the split.
      validation: classes.
      test: classes.
      memory_gib: a larger training part stays in its records, to be streamed.
    """
    split = split_classes(images.class_names, ways, seed, validation, test)
    own = {part: part_of(images, rows) for part, rows in split.items()}
    size, _, channels = images.read([0]).shape[1:]
    choice = choose(len(own["train"]), size, channels, int(memory_gib * 2**30))
    print(f"meta-training: {choice.reason}", file=sys.stderr)
    train = own["train"] if choice.stream else own["train"].whole()
    return ClassParts(train, own["validation"].whole(), own["test"].whole())


def test_elsewhere(
    folder: Path, images: Images, name: str
) -> tuple[ClassParts, dict[str, list[str]], list[dict[str, Any]]]:
    """Classes that another run's learners are tested on.

    Args:
      folder: of that run.
      images: of the classes; none of them may be among those that the run learned from.
      name: of their source, for messages.

    Returns:
      The parts, the names of the classes of each part, and the record of the run's own data.

    Raises:
      InputError: the run has seen some of the images.
    """
    parts = ClassParts(None, None, images.whole())
    check_unseen(folder, image_fingerprints(parts.test.images), name)
    learned = read_json(folder / "result.json")["meta_classes"]
    names = {part: learned[part] for part in PARTS[:2]} | parts.names
    return parts, names, data_of(folder)


def learned_here(run: Run, parts: ClassParts, pretrained: str = "") -> dict[str, list[str]]:
    """Keeps the hashes of what a run learns from; the names of the classes of each part.

    Args:
      run: whose folder keeps them.
      parts: of the classes.
      pretrained: folder of a pretrain run, which may not have been trained on held-out classes.

    Raises:
      InputError: it was.
    """
    names = parts.names
    check_backbone(pretrained, (*names["validation"], *names["test"]))
    seen = (*seen_fingerprints(parts.train), *seen_fingerprints(parts.validation))
    save_seen(run.path, seen)
    return names


def split_by_table(
    table: str,
    source: str,
    names: Sequence[str],
    ways: int,
    seed: int,
    *,
    validation: int = 0,
    test: int = 0,
    published: Mapping[str, str] | None = None,
) -> dict[str, list[int]]:
    """Positions of each part's classes as a file or the source says; else by hash.

    Args:
      table: path of a CSV of class,part (train, val, test); empty for none. Parts that it lacks are
        taken from train, by hash.
      source: names the images in messages.
      names: all classes.
      ways: classes a task.
      seed: of what is drawn by hash.
      validation: classes to validate on, where the file does not say; 0 for a tenth.
      test: likewise.
      published: part of each class as its source comes, see `RecordImages.class_parts`; followed,
        and told on stderr, where there is no file and no number is asked for.

    Returns:
      Part to its classes.

    Raises:
      InputError: the file leaves a class out, or says what was also asked for by number.
    """
    asked = {"validation": validation, "test": test}
    if table:
        said = read_class_table(Path(table))
        tell_unused(sorted(set(said) - set(names)), table)
    elif published and not any(asked.values()):
        said = published
        counts = ", ".join(f"{count} {part}" for part, count in Counter(said.values()).items())
        print(f"{source}: its classes are parted as published: {counts}", file=sys.stderr)
    else:
        return split_classes(names, ways, seed, **asked)
    parts: dict[str, list[int]] = {part: [] for part in PARTS}
    for row, name in enumerate(names):
        part = said.get(name, "not named")
        part = "validation" if part == "val" else part
        if part not in parts:
            raise InputError(
                f"{table}: class {name!a} of {source} is {part!a}, expected train, val or test"
            )
        parts[part].append(row)
    for part, count in asked.items():
        if parts[part] and count:
            raise InputError(f"--{part}_classes={count}: {table} says which those are")
    train = parts["train"]
    tenth = max(ways, len(train) // 10)
    lacking = {part: count or tenth for part, count in asked.items() if not parts[part]}
    drawn = split_names([names[row] for row in train], lacking, salt=str(seed))
    parts |= {part: [train[place] for place in places] for part, places in drawn.items()}
    parts["train"] = [row for row in train if row not in parts["validation"] + parts["test"]]
    return parts


def in_parts(
    images: ImageSet, split: Mapping[str, Sequence[int]], rotations: bool = False
) -> ClassParts:
    """Images in memory by part, checked to share none, with the hash of the split.

    Args:
      images: all of them.
      split: part to its classes.
      rotations: whether each class turned is a class too, in the same part; see `with_rotations`.
    """
    parts = {part: part_of(images, rows) for part, rows in split.items()}
    check_disjoint(*((part, own.images) for part, own in parts.items()))
    places = sorted(f"{part}/{name}" for part, own in parts.items() for name in own.class_names)
    digest = hashlib.sha256("\n".join(places).encode()).hexdigest()[:12]
    if rotations:
        parts = {part: with_rotations(own) for part, own in parts.items()}
    return ClassParts(**parts, split=digest)


def with_rotations(images: ImageSet) -> ImageSet:
    """Each class and its three rotations, as four classes (Santoro et al. 2016)."""
    count = len(images.class_names)
    return dataclasses.replace(
        images,
        images=np.concatenate([np.rot90(images.images, turns, (1, 2)) for turns in range(4)]),
        labels=np.concatenate([images.labels + turns * count for turns in range(4)]),
        class_names=tuple(
            f"{name}, {90 * turns} degrees" for turns in range(4) for name in images.class_names
        ),
        patients=None if images.patients is None else np.tile(images.patients, 4),
    )
