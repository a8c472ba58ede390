"""What published files of Xception call its tensors."""

from collections.abc import Mapping

from metabone.nets.keras_names import KerasNames, enough
from metabone.nets.published_layouts import Layout, Place, Stored
from metabone.nets.tensor_files import StoredTensor
from metabone.nets.torch_names import torch_conv_norm, torch_norm, with_torch_classes
from metabone.nets.xception import BLOCKS, LAST


def xception_layout(tensors: Mapping[str, StoredTensor], kind: str, classifier: bool) -> Layout:
    """The layout of timm's `legacy_xception`, or of Keras, whose max-pools are padded otherwise.

    Args:
      tensors: of the file.
      kind: `safetensors`, or `hdf5` for Keras.
      classifier: whether its classes are wanted; they may be there in any case.

    Returns:
      The layout.
    """
    if kind == "safetensors":
        layout = Layout("timm's Xception", _timm_arrays(), epsilon=1e-5)
        return with_torch_classes(layout, "fc", classifier)
    names = KerasNames(tensors)
    layout = Layout(
        "Keras's Xception", _keras_arrays(names), options={"pools": "same"}, epsilon=1e-3
    )
    return names.with_classes(layout, classifier)


def _timm_arrays() -> dict[Place, Stored]:
    arrays = torch_conv_norm("stem_1", "conv1", "bn1") | torch_conv_norm("stem_2", "conv2", "bn2")

    def separable(unit: str, convolution: str, norm: str) -> None:
        turn = (2, 3, 1, 0)
        arrays["params", unit, "depthwise"] = Stored(f"{convolution}.conv1.weight", turn)
        arrays["params", unit, "pointwise"] = Stored(f"{convolution}.pointwise.weight", turn)
        arrays.update(torch_norm(unit, norm))

    for block, channels in enumerate(BLOCKS, start=1):
        # A block is a row of ReLU, convolution, normalisation; the first begins without the ReLU.
        for index in range(len(channels)):
            layer = 3 * index + (0 if block == 1 else 1)
            names = (f"block{block}.rep.{layer}", f"block{block}.rep.{layer + 1}")
            separable(f"block_{block}_separable_{index + 1}", *names)
        if len(channels) == 2:
            names = (f"block{block}.skip", f"block{block}.skipbn")
            arrays |= torch_conv_norm(f"block_{block}_shortcut", *names)
    for index in range(1, len(LAST) + 1):
        separable(f"last_{index}", f"conv{index + 2}", f"bn{index + 2}")
    return arrays


def _keras_arrays(names: KerasNames) -> dict[Place, Stored]:
    arrays: dict[Place, Stored] = {}

    def plain(unit: str, convolution: str, norm: str) -> None:
        arrays["params", unit, "kernel"] = names.kernel(convolution)
        arrays.update(names.norm(unit, norm))

    def separable(unit: str, layer: str) -> None:
        depthwise = names.name(layer, "depthwise_kernel")
        arrays["params", unit, "depthwise"] = Stored(depthwise, (0, 1, 3, 2))
        arrays["params", unit, "pointwise"] = Stored(names.name(layer, "pointwise_kernel"))
        arrays.update(names.norm(unit, f"{layer}_bn"))

    for index in (1, 2):
        plain(f"stem_{index}", f"block1_conv{index}", f"block1_conv{index}_bn")
    halving = [block for block, channels in enumerate(BLOCKS, start=1) if len(channels) == 2]
    convolutions = names.numbered("conv2d", "convolution2d")
    convolutions = enough(convolutions, len(halving), "conv2d")
    norms = names.numbered("batch_normalization", "batchnormalization")
    norms = enough(norms, len(halving), "batch_normalization")
    for block, convolution, norm in zip(halving, convolutions, norms, strict=True):
        plain(f"block_{block}_shortcut", convolution, norm)
    for block, channels in enumerate(BLOCKS, start=1):
        for index in range(1, len(channels) + 1):
            # Keras counts the stem as its first block.
            layer = f"block{block + 1}_sepconv{index}"
            separable(f"block_{block}_separable_{index}", layer)
    for index in range(1, len(LAST) + 1):
        separable(f"last_{index}", f"block14_sepconv{index}")
    return arrays
