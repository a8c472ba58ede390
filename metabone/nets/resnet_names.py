"""What torchvision's and timm's files of ResNets call their tensors: the same."""

from collections.abc import Mapping

from metabone.nets.published_layouts import Layout
from metabone.nets.resnet import RESNET18, RESNET50, blocks_of
from metabone.nets.tensor_files import StoredTensor
from metabone.nets.torch_names import torch_layout


def resnet18_layout(tensors: Mapping[str, StoredTensor], kind: str, classifier: bool) -> Layout:
    """The layout of ResNet-18.

    Args:
      tensors: of the file; nothing depends on them.
      kind: of the file; nothing depends on it.
      classifier: whether its classes are wanted; they may be there in any case.

    Returns:
      The layout.
    """
    del tensors, kind
    return _layout("ResNet-18", RESNET18, 2, classifier)


def resnet50_layout(tensors: Mapping[str, StoredTensor], kind: str, classifier: bool) -> Layout:
    """The layout of ResNet-50; see `resnet18_layout`."""
    del tensors, kind
    return _layout("ResNet-50", RESNET50, 3, classifier)


def _layout(title: str, stages: tuple[int, ...], convolutions: int, classifier: bool) -> Layout:
    units = {"stem": ("conv1", "bn1")}
    for stage, index in blocks_of(stages):
        ours, theirs = f"stage_{stage}_block_{index}", f"layer{stage}.{index}"
        for number in range(1, convolutions + 1):
            units[f"{ours}_conv_{number}"] = (f"{theirs}.conv{number}", f"{theirs}.bn{number}")
        # The first stage of ResNet-18 has as many channels as the stem, and its size.
        if index == 0 and (stage > 1 or convolutions == 3):
            shortcut = f"{theirs}.downsample"
            units[f"{ours}_shortcut"] = (f"{shortcut}.0", f"{shortcut}.1")
    return torch_layout(f"torchvision's {title}", units, "fc", classifier, epsilon=1e-5)
