"""What a run on small medical sets depends on, and its presets."""

import dataclasses
from functools import partial

from metabone.commands.command import Preset
from metabone.errors import InputError
from metabone.workflows.feature_settings import FeatureSettings, check_features
from metabone.workflows.settings import check_learner, check_least, setting

_classes = partial(setting, theme="Classes to learn from")


@dataclasses.dataclass(frozen=True)
class MedicalSettings(FeatureSettings):
    """What the figures of a run depend on."""

    meta_sources: tuple[str, ...] = _classes(
        ("simulated:bones",),
        "Sources of labelled images, or all of them embeddings:FILE.npz, merged into one list of "
        "classes.",
    )
    same_classes: str = _classes(
        "", "CSV of class names of different sources that mean the same, two a line."
    )
    validation_classes: int = _classes(0, "Classes to choose checkpoints on; 0 for a tenth.")
    meta_classes: int = _classes(300, "Classes of a simulated source.")
    meta_images: int = _classes(40, "Images a class of a simulated source.")


_SMALL = dict(
    backbone="conv4",
    backbone_width=0.5,
    filters=16,
    hidden=(64,),
    adapts="head",
    inner_rate=0.1,
    learn_rates=True,
    meta_rate=3e-3,
    meta_shots=5,
    meta_queries=5,
    pretrain_rate=3e-3,
    validation_tasks=50,
    test_steps=20,
)
PRESETS = {
    "demo": Preset(
        _SMALL
        | dict(
            size=32,
            channels=1,
            target_size=64,
            filters=8,
            backbone_width=0.25,
            meta_classes=60,
            meta_images=20,
            pretrain_steps=200,
            feature_steps=200,
            meta_steps=200,
            validate_every=100,
            draws=100,
            maml_draws=20,
        ),
        takes="minutes on two cores, not timed to its end",
        expect="simulated hands and bones: shows that it works, and no more",
    ),
    "real": Preset(
        _SMALL
        | dict(
            size=84,
            channels=3,
            pretrain_flip=True,
            pretrain_steps=3000,
            feature_steps=1500,
            meta_steps=1500,
            meta_flip=True,
        ),
        takes="38 minutes on two shared cores",
        expect="real images of four sets: the probe or a logistic head ahead or level (docs)",
    ),
}


def check(config: MedicalSettings) -> None:
    """Raises `InputError` for settings that cannot be, before anything is read or compiled."""
    check_learner(config)
    check_features(config)
    check_least(config, {"validation_classes": 0, "meta_classes": 1, "meta_images": 1})
    for name in ("pretrained", "backbone_weights"):
        if getattr(config, name):
            raise InputError(f"--{name}: name backbones in --backbones, a published one NAME:FILE")
