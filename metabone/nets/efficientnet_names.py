"""What published files of EfficientNet-Lite0 call its tensors."""

from collections.abc import Mapping

from metabone.nets.efficientnet import STAGES
from metabone.nets.published_layouts import Layout
from metabone.nets.tensor_files import StoredTensor
from metabone.nets.torch_names import torch_layout


def efficientnet_layout(tensors: Mapping[str, StoredTensor], kind: str, classifier: bool) -> Layout:
    """The layout of timm's `tf_efficientnet_lite0`, or of the package that came before it.

    Args:
      tensors: of the file.
      kind: of the file; both are safetensors.
      classifier: whether its classes are wanted; they may be there in any case.

    Returns:
      The layout: timm's unless names begin as in `efficientnet_lite_pytorch`.
    """
    del kind
    if "_conv_stem.weight" in tensors:
        title, classes = "efficientnet_lite_pytorch's EfficientNet-Lite0", "_fc"
        units = _package_units()
    else:
        title, classes = "timm's EfficientNet-Lite0", "classifier"
        units = _timm_units()
    return torch_layout(title, units, classes, classifier, epsilon=1e-3)


def _blocks():
    """Of each block: its number, stage, number in the stage, and whether it expands."""
    number = 0
    for stage, (blocks, _, _, expansion, _) in enumerate(STAGES):
        for index in range(blocks):
            yield number, stage, index, expansion > 1
            number += 1


def _package_units() -> dict[str, tuple[str, str]]:
    units = {"stem": ("_conv_stem", "_bn0"), "last": ("_conv_head", "_bn1")}
    for number, _, _, expands in _blocks():
        ours, theirs = f"block_{number}", f"_blocks.{number}"
        if expands:
            units[f"{ours}_expand"] = (f"{theirs}._expand_conv", f"{theirs}._bn0")
        units[f"{ours}_depthwise"] = (f"{theirs}._depthwise_conv", f"{theirs}._bn1")
        units[f"{ours}_project"] = (f"{theirs}._project_conv", f"{theirs}._bn2")
    return units


def _timm_units() -> dict[str, tuple[str, str]]:
    units = {"stem": ("conv_stem", "bn1"), "last": ("conv_head", "bn2")}
    for number, stage, index, expands in _blocks():
        ours, theirs = f"block_{number}", f"blocks.{stage}.{index}"
        parts = ("expand", "depthwise", "project") if expands else ("depthwise", "project")
        convolutions = ("conv_pw", "conv_dw", "conv_pwl") if expands else ("conv_dw", "conv_pw")
        for place, (part, name) in enumerate(zip(parts, convolutions, strict=True), start=1):
            units[f"{ours}_{part}"] = (f"{theirs}.{name}", f"{theirs}.bn{place}")
    return units
