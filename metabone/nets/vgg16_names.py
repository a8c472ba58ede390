"""What the published files of VGG16's weights call the tensors of its convolutional part."""

from collections.abc import Collection, Mapping
from typing import Literal, NamedTuple

Role = Literal["kernel", "bias", "scale", "offset", "mean", "var"]

STAGES = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
"""Convolutions and filters of each, at width 1."""

CONVOLUTIONS = tuple(
    f"{stage}_{index}"
    for stage, (convolutions, _) in enumerate(STAGES, start=1)
    for index in range(1, convolutions + 1)
)
"""`1_1` to `5_3`, as `networks.vgg16` names them."""

# torchvision's names and timm's, and those of Keras's published file.
_CLASSIFIERS = ("classifier.", "pre_logits.", "head.", "fc1/", "fc2/", "predictions/")


class Layout(NamedTuple):
    """How one kind of file stores the convolutional part.

    Attributes:
      title: for messages.
      names: `(convolution, role)` to the tensor's name.
      optional: names that may be there and are not needed.
      output_first: whether kernels are `[O, I, 3, 3]`, as in PyTorch, or `[3, 3, I, O]`.
      batch_norm: whether batch normalisation follows each convolution.
    """

    title: str
    names: Mapping[tuple[str, Role], str]
    optional: frozenset[str]
    output_first: bool
    batch_norm: bool


def torch_layout(found: Collection[str]) -> Layout:
    """The layout of torchvision and of timm, which name the convolutional part alike.

    Args:
      found: the names in the file; whether the second layer holds weights tells VGG16 with batch
        normalisation, where it is the first normalisation, from VGG16 without, where it is a ReLU.

    Returns:
      The layout.
    """
    batch_norm = "features.1.weight" in found
    names: dict[tuple[str, Role], str] = {}
    optional = set()
    layer = 0
    previous = CONVOLUTIONS[0]
    for convolution in CONVOLUTIONS:
        if convolution[0] != previous[0]:
            layer += 1  # the stage's max-pool
        previous = convolution
        names[convolution, "kernel"] = f"features.{layer}.weight"
        names[convolution, "bias"] = f"features.{layer}.bias"
        if batch_norm:
            norm = f"features.{layer + 1}"
            names[convolution, "scale"] = f"{norm}.weight"
            names[convolution, "offset"] = f"{norm}.bias"
            names[convolution, "mean"] = f"{norm}.running_mean"
            names[convolution, "var"] = f"{norm}.running_var"
            optional.add(f"{norm}.num_batches_tracked")
        layer += 3 if batch_norm else 2
    title = f"torchvision's VGG16 {'with' if batch_norm else 'without'} batch normalisation"
    return Layout(title, names, frozenset(optional), True, batch_norm)


def keras_layout(found: Collection[str]) -> Layout:
    """The layout of the file that Keras publishes, or of one that a later Keras has written.

    Args:
      found: the names in the file, below `model_weights/` where it has that group.

    Returns:
      The layout.
    """
    stems = {name: "block{}_conv{}".format(*name.split("_")) for name in CONVOLUTIONS}
    kernel, bias = "{0}/{0}/kernel:0", "{0}/{0}/bias:0"
    for pair in (
        ("{0}/{0}_W_1:0", "{0}/{0}_b_1:0"),
        ("{0}/{0}/kernel", "{0}/{0}/bias"),
    ):
        if pair[0].format(stems["1_1"]) in found:
            kernel, bias = pair
    names: dict[tuple[str, Role], str] = {}
    for convolution, stem in stems.items():
        names[convolution, "kernel"] = kernel.format(stem)
        names[convolution, "bias"] = bias.format(stem)
    return Layout("Keras's VGG16", names, frozenset(), False, False)


def is_classifier(name: str) -> bool:
    """Whether a tensor is of the fully connected part.

    Args:
      name: in the file.

    Returns:
      True for what torchvision, timm and Keras name so.
    """
    return name.startswith(_CLASSIFIERS)


def shapes(layout: Layout, filters: int) -> dict[str, tuple[int, ...]]:
    """The shapes of a file's tensors.

    Args:
      layout: of the file.
      filters: of the first convolution.

    Returns:
      Name to shape, of all that `layout.names` names.
    """
    width = filters / STAGES[0][1]
    expected: dict[str, tuple[int, ...]] = {}
    inputs = 3
    for convolution in CONVOLUTIONS:
        outputs = max(1, round(STAGES[int(convolution[0]) - 1][1] * width))
        kernel = (outputs, inputs, 3, 3) if layout.output_first else (3, 3, inputs, outputs)
        for role in ("kernel", "bias", "scale", "offset", "mean", "var"):
            if (convolution, role) in layout.names:
                shape = kernel if role == "kernel" else (outputs,)
                expected[layout.names[convolution, role]] = shape
        inputs = outputs
    return expected
