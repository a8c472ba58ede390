"""What experiments, the command `metabone` and a user's script call, in a few lines each.

Names are imported when they are first asked for, so that `--help` waits for none of them.
"""

from metabone.lazy import lazy_names

_MODULES = {
    "arms": ("Target", "arms"),
    "backbones": ("embed", "pretrain", "pretrained_backbone", "published_backbone"),
    "class_parts": ("ClassParts", "in_parts", "open_sources", "split_by_table", "split_images"),
    "comparison": ("Comparison", "compare"),
    "devices": ("make_devices",),
    "earlier_runs": ("with_backbone_of", "with_trained_settings"),
    "family_table": ("FamilyTable", "Protocol"),
    "film_table": ("Reading", "fill_film_table"),
    "learned_runs": ("arms_of", "load_learner"),
    "meta_training": ("meta_train",),
    "networks": ("check_networks", "describe"),
    "task_table": ("TaskTable", "fill_task_table"),
    "trained": ("Trained",),
}

__getattr__, __dir__ = lazy_names(
    __name__,
    {name: f"{__name__}.{module}" for module, names in _MODULES.items() for name in names},
)
