"""What a pre-trained backbone and its figures depend on."""

import dataclasses
from functools import partial

from metabone.commands.command import Preset
from metabone.errors import InputError
from metabone.workflows.settings import check_least, setting

from .meta_dataset_settings import PRESETS as META_DATASET
from .meta_dataset_settings import MetaDatasetSettings
from .meta_dataset_settings import check as check_meta_dataset

_tried = partial(setting, theme="Layers that the features are tried with")


@dataclasses.dataclass(frozen=True)
class PretrainSettings(MetaDatasetSettings):
    """Settings of `experiments.meta_dataset`; those of meta-learning are not looked at."""

    base_rate: float = _tried(1e-3, "Adam's rate of the layers that the features are tried with.")
    base_steps: int = _tried(50, "Their full-batch steps.")
    base_decay: float = _tried(1e-2, "Their weight decay.")


_PROMISES = {
    "demo": ("half a minute on two cores", "simulated images: 68 / 73 / 78 % with 5 / 10 / 20"),
    "cpu": ("not timed alone", "not measured alone; see meta_dataset's pre-trained base rows"),
    "paper": ("days on two cores, so for a GPU", "not measured to its end"),
}
PRESETS = {name: Preset(preset.values, *_PROMISES[name]) for name, preset in META_DATASET.items()}


def check(config: PretrainSettings) -> None:
    """Raises `InputError` for settings that cannot be, before anything is read or compiled."""
    check_meta_dataset(config)
    check_least(config, {"base_steps": 0})
    if config.trainings > 1:
        raise InputError(f"--trainings={config.trainings}: one backbone is trained here")
    for name in ("evaluate", "pretrained", "backbone_weights"):
        if getattr(config, name):
            raise InputError(f"--{name}: a backbone is trained here, not taken from elsewhere")
