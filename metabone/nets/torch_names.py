"""Where PyTorch's files hold the arrays of a convolution, its normalisation and a classifier."""

from metabone.nets.published_layouts import Place, Stored


def torch_conv_norm(unit: str, convolution: str, norm: str) -> dict[Place, Stored]:
    """The arrays of a `ConvNorm`.

    Args:
      unit: our name.
      convolution: name of the `Conv2d`, depthwise or not.
      norm: name of the `BatchNorm2d`.

    Returns:
      Their places and names.
    """
    return {("params", unit, "kernel"): Stored(f"{convolution}.weight", (2, 3, 1, 0))} | {
        (tree, unit, "norm", ours): Stored(f"{norm}.{theirs}")
        for tree, ours, theirs in (
            ("params", "scale", "weight"),
            ("params", "bias", "bias"),
            ("norm_stats", "mean", "running_mean"),
            ("norm_stats", "var", "running_var"),
        )
    }


def torch_classes(name: str) -> dict[Place, Stored]:
    """The arrays of a linear classifier.

    Args:
      name: of the `Linear`.

    Returns:
      Their places and names.
    """
    place = ("params", "head", "classes")
    return {
        (*place, "kernel"): Stored(f"{name}.weight", (1, 0)),
        (*place, "bias"): Stored(f"{name}.bias"),
    }


def is_counter(name: str) -> bool:
    """Whether a tensor counts the batches that a `BatchNorm2d` has seen, which nobody needs."""
    return name.endswith(".num_batches_tracked")
