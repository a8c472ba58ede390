"""Where PyTorch's files hold the arrays of a convolution, its normalisation and a classifier."""

from collections.abc import Mapping

from metabone.nets.published_layouts import Layout, Place, Stored


def torch_conv_norm(unit: str, convolution: str, norm: str) -> dict[Place, Stored]:
    """The arrays of a `ConvNorm`.

    Args:
      unit: our name.
      convolution: name of the `Conv2d`, depthwise or not.
      norm: name of the `BatchNorm2d`.

    Returns:
      Their places and names.
    """
    kernel = Stored(f"{convolution}.weight", (2, 3, 1, 0))
    return {("params", unit, "kernel"): kernel} | torch_norm(unit, norm)


def torch_norm(unit: str, norm: str) -> dict[Place, Stored]:
    """The arrays of a batch normalisation.

    Args:
      unit: our name of what it belongs to.
      norm: name of the `BatchNorm2d`.

    Returns:
      Their places and names.
    """
    return {
        (tree, unit, "norm", ours): Stored(f"{norm}.{theirs}")
        for tree, ours, theirs in (
            ("params", "scale", "weight"),
            ("params", "bias", "bias"),
            ("norm_stats", "mean", "running_mean"),
            ("norm_stats", "var", "running_var"),
        )
    }


def torch_layout(
    title: str,
    units: Mapping[str, tuple[str, str]],
    classes: str,
    classifier: bool,
    *,
    epsilon: float,
    ignored: tuple[str, ...] = (),
) -> Layout:
    """The layout of a network whose arrays are all of `ConvNorm` and of a linear classifier.

    Args:
      title: for messages.
      units: by our name, those of the `Conv2d` and of the `BatchNorm2d`.
      classes: name of the `Linear`.
      classifier: whether it is wanted; it may be there in any case.
      epsilon: of the normalisation.
      ignored: how names begin that may be there and are not needed.

    Returns:
      The layout.
    """
    arrays: dict[Place, Stored] = {}
    for unit, names in units.items():
        arrays |= torch_conv_norm(unit, *names)
    return with_torch_classes(Layout(title, arrays, epsilon=epsilon), classes, classifier, ignored)


def with_torch_classes(
    layout: Layout, classes: str, classifier: bool, ignored: tuple[str, ...] = ()
) -> Layout:
    """A layout with a linear classifier, or without the need of it.

    Args:
      layout: of the body.
      classes: name of the `Linear`.
      classifier: whether it is wanted; it may be there in any case.
      ignored: how other names begin that may be there and are not needed.

    Returns:
      The layout; it ignores counters of batches too.
    """
    arrays, place = dict(layout.arrays), ("params", "head", "classes")
    if classifier:
        arrays[*place, "kernel"] = Stored(f"{classes}.weight", (1, 0))
        arrays[*place, "bias"] = Stored(f"{classes}.bias")
    else:
        ignored = (*ignored, f"{classes}.")
    return layout._replace(
        arrays=arrays,
        ignored=lambda name: name.startswith(ignored) or name.endswith(".num_batches_tracked"),
    )
