"""Sources that are embeddings: features computed elsewhere, for which no network is run."""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from metabone.datasets.combined import CombinedImages, combine, read_class_table
from metabone.datasets.embeddings import load_embeddings
from metabone.datasets.source import are_embeddings, parse_source
from metabone.errors import InputError
from metabone.workflows.class_parts import PARTS, ClassParts, part_of, split_classes
from metabone.workflows.feature_settings import EMBEDDINGS, OWN_BACKBONES, FeatureSettings
from metabone.workflows.target_sets import TargetSet

Settings = TypeVar("Settings", bound=FeatureSettings)


def as_given(config: Settings, meta_sources: Sequence[str]) -> Settings:
    """Settings as they are used: of embeddings, which are the only backbone, and without MAML.

    Args:
      config: of the run.
      meta_sources: to learn from.

    Returns:
      The settings; the same where no source is embeddings. What is left out is told on stderr.

    Raises:
      InputError: some sources are embeddings and others are not, or backbones are asked for.
    """
    sources = (*meta_sources, *config.targets)
    others = [source for source in sources if not are_embeddings(source)]
    if len(others) == len(sources):
        return config
    if others:
        raise InputError(
            f"{others[0]}: other sources are embeddings; meta-sources and targets must then all be "
            "embeddings, of one network"
        )
    if config.backbones not in (OWN_BACKBONES, (EMBEDDINGS,)):
        raise InputError(
            f"--backbones={','.join(config.backbones)}: sources are embeddings, which no backbone "
            "is asked for; leave it out"
        )
    told = "sources are embeddings: MAML from scratch, which needs images, is left out"
    print(told, file=sys.stderr)
    return dataclasses.replace(config, backbones=(EMBEDDINGS,), maml_draws=0)


def open_embeddings(
    sources: Sequence[str], targets: Sequence[TargetSet], same_classes: str = ""
) -> CombinedImages:
    """Several sources of embeddings as one list of classes; see `class_parts.open_sources`.

    Args:
      sources: source strings, each `embeddings:FILE.npz`.
      targets: embeddings as well, to be measured on.
      same_classes: path of a table of classes that mean the same; empty for none.

    Raises:
      InputError: vectors differ in length, and as the sources say.
    """
    parts = [load_embeddings(parse_source(source).path, source) for source in sources]
    first = parts[0].images.shape[1]
    for each in (*parts[1:], *targets):
        if each.images.shape[1] != first:
            raise InputError(
                f"{each.provenance.source}: vectors of {each.images.shape[1]} numbers, and of "
                f"{first} in {sources[0]}; expected embeddings of one network"
            )
    return combine(parts, read_class_table(Path(same_classes)) if same_classes else None)


def split_embeddings(
    images: CombinedImages, ways: int, seed: int, *, validation: int = 0, test: int = 0
) -> ClassParts:
    """Parts of disjoint classes by hash, in memory; the arguments are those of `split_images`."""
    split = split_classes(images.class_names, ways, seed, validation, test)
    return ClassParts(*(part_of(images, split[part]).whole() for part in PARTS))
