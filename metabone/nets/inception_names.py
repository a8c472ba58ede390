"""What published files of Inception V3 call its tensors."""

from collections.abc import Mapping

from metabone.nets.inception import units
from metabone.nets.keras_names import KerasNames, enough
from metabone.nets.published_layouts import Layout
from metabone.nets.tensor_files import StoredTensor
from metabone.nets.torch_names import torch_layout


def inception_layout(tensors: Mapping[str, StoredTensor], kind: str, classifier: bool) -> Layout:
    """The layout of torchvision and timm, or of Keras, whose average pools count no padding.

    Args:
      tensors: of the file.
      kind: `safetensors`, or `hdf5` for Keras.
      classifier: whether its classes are wanted; they may be there in any case.

    Returns:
      The layout.
    """
    ours = [f"{block}_{unit}".lstrip("_") for block, unit in units()]
    if kind == "safetensors":
        theirs = [f"{block}.{unit}".lstrip(".") for block, unit in units()]
        return torch_layout(
            "torchvision's Inception V3",
            {a: (f"{b}.conv", f"{b}.bn") for a, b in zip(ours, theirs, strict=True)},
            "fc",
            classifier,
            epsilon=1e-3,
            ignored=("AuxLogits.",),
        )
    names = KerasNames(tensors)
    convolutions = enough(names.numbered("conv2d", "convolution2d"), len(ours), "conv2d")
    norms = names.numbered("batch_normalization", "batchnormalization")
    norms = enough(norms, len(ours), "batch_normalization")
    arrays = {}
    for unit, convolution, norm in zip(ours, convolutions, norms, strict=True):
        arrays["params", unit, "kernel"] = names.kernel(convolution)
        arrays |= names.norm(unit, norm, scale=False)
    layout = Layout(
        "Keras's Inception V3",
        arrays,
        options={"count_padding": False},
        epsilon=1e-3,
        ones=frozenset(("params", unit, "norm", "scale") for unit in ours),
    )
    return names.with_classes(layout, classifier)
