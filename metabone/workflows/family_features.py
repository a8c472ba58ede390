"""The family on kept features of a frozen published network, in the place of images."""

import dataclasses
from pathlib import Path

from metabone.training.run import Run
from metabone.workflows.backbones import Backbone, embed
from metabone.workflows.class_parts import PARTS, ClassParts
from metabone.workflows.family_settings import FamilySettings
from metabone.workflows.feature_scaling import save_scaling, scaling_of


def on_features(
    backbone: Backbone, classes: ClassParts, run: Run, features_dir: str | Path
) -> ClassParts:
    """The same classes with features for images, standardised by those of the training classes.

    Args:
      backbone: of `backbones.published_backbone`.
      classes: images in memory.
      run: keeps how features are scaled.
      features_dir: where features are kept, see `backbones.embed`.

    Returns:
      The parts, whose images are `[N, D]` float32.
    """
    found = {part: embed(backbone, features_dir, getattr(classes, part)) for part in PARTS}
    scaling = scaling_of(found["train"], backbone.identity)
    save_scaling(run.path, scaling)
    scaled = {
        part: dataclasses.replace(getattr(classes, part), images=scaling(each))
        for part, each in found.items()
    }
    return classes._replace(**scaled)


def features_in_words(config: FamilySettings) -> str:
    """What the rows of a table on features are, in two sentences."""
    seen = "each image" if config.backbone_crops == 1 else f"{config.backbone_crops} crops of each"
    widths = ", ".join(map(str, config.feature_hidden))
    return (
        f"Every learner stands on kept features of {config.backbone}, frozen, weights of "
        f"{Path(config.backbone_weights).name}, of {seen}; they are standardised by the training "
        f"classes. What is meta-learned on them has {widths} hidden nodes; the fitted heads are "
        "linear."
    )
