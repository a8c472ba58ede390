"""Where Keras's HDF5 files of any age hold the arrays of a layer."""

import re
from collections.abc import Iterable

from metabone.nets.published_layouts import Layout, Place, Stored

_ROLES = {
    "kernel": ("kernel", "W"),
    "bias": ("bias", "b"),
    "gamma": ("gamma",),
    "beta": ("beta",),
    "moving_mean": ("moving_mean", "running_mean"),
    # Keras 1 calls the variance so.
    "moving_variance": ("moving_variance", "running_std"),
    "depthwise_kernel": ("depthwise_kernel",),
    "pointwise_kernel": ("pointwise_kernel",),
}
_ROLE_OF = {alias: role for role, aliases in _ROLES.items() for alias in aliases}
# `LAYER/LAYER/kernel:0`, and in Keras 1 `LAYER/LAYER_W:0`, a number behind it or not.
_LAST = re.compile(
    rf"(?:^|_)({'|'.join(sorted(_ROLE_OF, key=len, reverse=True))})(?:_\d+)?(?::0)?$"
)
_NUMBERED = re.compile(r"(.*?)_?(\d*)")


class KerasNames:
    """The names in one file, by layer and role.

    Args:
      names: of its tensors, below `model_weights/` where it has that group.
    """

    def __init__(self, names: Iterable[str]):
        self._names: dict[tuple[str, str], str] = {}
        for name in names:
            layer, last = name.split("/")[0], name.split("/")[-1]
            found = _LAST.search(last)
            if layer != last and found:
                self._names.setdefault((layer, _ROLE_OF[found[1]]), name)
        self._layers = dict.fromkeys(layer for layer, _ in self._names)

    def name(self, layer: str, role: str) -> str:
        """What the file calls a layer's array; where it has none, what a new file would."""
        return self._names.get((layer, role), f"{layer}/{layer}/{role}")

    def numbered(self, *stems: str) -> list[str]:
        """The layers that Keras has named itself, such as `conv2d` or `conv2d_7`, in their order.

        Args:
          *stems: their names without number, in the words of different versions.

        Returns:
          Their names.
        """
        found = []
        for layer in self._layers:
            stem, number = _NUMBERED.fullmatch(layer).groups()
            if stem in stems:
                found.append((int(number or 0), layer))
        return [layer for _, layer in sorted(found)]

    def kernel(self, layer: str) -> Stored:
        """The kernel of a convolution or of a fully connected layer."""
        return Stored(self.name(layer, "kernel"))

    def norm(self, unit: str, layer: str, scale: bool = True) -> dict[Place, Stored]:
        """The arrays of a normalisation.

        Args:
          unit: our name of what it belongs to.
          layer: theirs.
          scale: whether it has one.

        Returns:
          Their places and names.
        """
        return {
            (tree, unit, "norm", ours): Stored(self.name(layer, theirs))
            for tree, ours, theirs in (
                ("params", "scale", "gamma"),
                ("params", "bias", "beta"),
                ("norm_stats", "mean", "moving_mean"),
                ("norm_stats", "var", "moving_variance"),
            )
            if scale or ours != "scale"
        }

    def with_classes(self, layout: Layout, classifier: bool) -> Layout:
        """A layout with the layer `predictions`, or without the need of it.

        Args:
          layout: of the body.
          classifier: whether it is wanted; it may be there in any case.

        Returns:
          The layout.
        """
        if not classifier:
            return layout._replace(ignored=lambda name: name.startswith("predictions/"))
        place = ("params", "head", "classes")
        classes = {
            (*place, "kernel"): self.kernel("predictions"),
            (*place, "bias"): Stored(self.name("predictions", "bias")),
        }
        return layout._replace(arrays={**layout.arrays, **classes})


def enough(layers: list[str], count: int, stem: str) -> list[str]:
    """Some layers, and where there are fewer than expected, what the next would be called.

    Args:
      layers: from `KerasNames.numbered`.
      count: how many there should be.
      stem: their name without number.

    Returns:
      `count` names.
    """
    new = [f"{stem}_{number}" if number else stem for number in range(count)]
    return [*layers[:count], *new[len(layers) :]]
