"""What the throughput benchmark computes: episodes and first weights as NumPy, and their cost.

Everything is drawn from a seed here, without JAX or PyTorch, so that each contender's process gets
the same numbers and pays for no library but its own.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

_TAPS = 9
_BYTES = 4


@dataclass(frozen=True)
class Setting:
    """One meta-step of second-order MAML in numbers.

    Attributes:
      name: of the setting.
      side: height and width of an image.
      channels: of an image.
      ways: classes of a task.
      shots: support images a class.
      queries: query images a class.
      tasks: of one meta-step.
      inner_steps: gradient steps on the support images.
      inner_rate: of the loss averaged over examples.
      blocks: 3x3 convolutions, each with batch normalisation and ReLU.
      filters: channels of each.
      halvings: how many of the first blocks halve the image's sides.
      widths: hidden nodes between the blocks and the classes.
      downsample: `pool` (2x2 max-pool after the block) or `stride` (2, of its convolution).
    """

    name: str
    side: int
    channels: int
    ways: int
    shots: int
    queries: int
    tasks: int
    inner_steps: int
    inner_rate: float
    blocks: int = 4
    filters: int = 64
    halvings: int = 4
    widths: tuple[int, ...] = ()
    downsample: str = "pool"


SETTINGS = {
    setting.name: setting
    for setting in (
        # Finn et al. 2017, their rate of 0.4 on losses summed over the 5 examples.
        Setting("omniglot_5w1s", 28, 1, 5, 1, 1, 32, 1, 2.0),
        Setting("mini_5w5s", 84, 3, 5, 5, 15, 4, 5, 0.05, filters=32),
        # Min and Kang 2018, network b, with pools where the library's default is strides.
        Setting("smi", 64, 3, 5, 20, 15, 2, 5, 0.05, blocks=7, widths=(256, 256)),
    )
}


class Episodes(NamedTuple):
    """The tasks of one meta-step, stacked.

    Attributes:
      support_images: `[tasks, ways * shots, side, side, channels]` float32.
      support_labels: `[tasks, ways * shots]` int32.
      query_images: `[tasks, ways * queries, side, side, channels]` float32.
      query_labels: `[tasks, ways * queries]` int32.
    """

    support_images: np.ndarray
    support_labels: np.ndarray
    query_images: np.ndarray
    query_labels: np.ndarray


class Layer(NamedTuple):
    """What one layer costs an image on its way forward.

    Attributes:
      products: multiply-adds.
      values: numbers of feature maps that are read and written.
    """

    products: int
    values: int


def shrunk(setting: Setting) -> Setting:
    """The same setting in seconds instead of minutes: few tasks, images, filters and steps.

    Args:
      setting: any.

    Returns:
      A setting of the same name, blocks and downsampling.
    """
    return replace(
        setting,
        side=min(setting.side, 32),
        shots=min(setting.shots, 2),
        queries=min(setting.queries, 2),
        tasks=2,
        inner_steps=min(setting.inner_steps, 2),
        filters=8,
        widths=tuple(min(width, 16) for width in setting.widths),
    )


def draw_weights(setting: Setting, seed: int) -> dict[str, Any]:
    """First weights, named and shaped as in `conv_net`'s parameters.

    Kernels are He-normal `[3, 3, C, O]` and `[inputs, outputs]`, that of the classes normal of
    0.01; biases are zero, and scales one half: with ones these inner steps overshoot, and what
    contenders round differently grows to 3e-5 of the loss. The head's first kernel takes maps
    flattened in the order H, W, C.

    Args:
      setting: any.
      seed: of the weights.

    Returns:
      A nested dict of float32 arrays.
    """
    rng = np.random.default_rng([seed, 0])

    def normal(deviation: float, *shape: int) -> np.ndarray:
        return rng.normal(0, deviation, shape).astype(np.float32)

    weights: dict[str, Any] = {}
    inputs, filters = setting.channels, setting.filters
    for index in range(setting.blocks):
        kernel = normal(np.sqrt(2 / (_TAPS * inputs)), 3, 3, inputs, filters)
        weights[f"conv_{index}"] = {"kernel": kernel}
        weights[f"norm_{index}"] = {
            "scale": np.full(filters, 0.5, np.float32),
            "bias": np.zeros(filters, np.float32),
        }
        inputs = filters
    head = {}
    inputs = _last_side(setting) ** 2 * filters
    for index, width in enumerate(setting.widths):
        kernel = normal(np.sqrt(2 / inputs), inputs, width)
        head[f"hidden_{index}"] = {"kernel": kernel, "bias": np.zeros(width, np.float32)}
        inputs = width
    kernel = normal(0.01, inputs, setting.ways)
    head["classes"] = {"kernel": kernel, "bias": np.zeros(setting.ways, np.float32)}
    return weights | {"head": head}


def draw_episodes(setting: Setting, seed: int) -> Episodes:
    """Tasks that can be learned: an image is its class's mean plus noise, both uniform.

    Args:
      setting: any.
      seed: of the images.

    Returns:
      The episodes of one meta-step.
    """
    rng = np.random.default_rng([seed, 1])
    shape = (setting.side, setting.side, setting.channels)
    means = rng.random((setting.tasks, setting.ways, 1, *shape), np.float32)

    def examples(each: int) -> tuple[np.ndarray, np.ndarray]:
        noise = rng.random((setting.tasks, setting.ways, each, *shape), np.float32)
        images = (means + noise - 1.0).reshape(setting.tasks, -1, *shape)
        labels = np.repeat(np.arange(setting.ways, dtype=np.int32), each)
        return images, np.tile(labels, (setting.tasks, 1))

    return Episodes(*examples(setting.shots), *examples(setting.queries))


def layers(setting: Setting) -> list[Layer]:
    """What each convolution and dense layer costs one image forward, in order.

    A convolution counts all nine taps at every output pixel, those on the padding included. The
    values are the input and output of a convolution with its output again as input and output of
    normalisation and ReLU taken together, and input and output of a pool; input and output of a
    dense layer. Weights are not counted.

    Args:
      setting: any.

    Returns:
      One `Layer` each.
    """
    found = []
    side, inputs, filters = setting.side, setting.channels, setting.filters
    for index in range(setting.blocks):
        halve = index < setting.halvings
        before = side * side * inputs
        if halve and setting.downsample == "stride":
            side = -(-side // 2)
        maps = side * side * filters
        values = before + maps + 2 * maps
        products = _TAPS * inputs * maps
        if halve and setting.downsample == "pool":
            side //= 2
            values += maps + side * side * filters
        found.append(Layer(products, values))
        inputs = filters
    inputs = side * side * filters
    for width in (*setting.widths, setting.ways):
        found.append(Layer(inputs * width, inputs + width))
        inputs = width
    return found


def flops(setting: Setting) -> int:
    """Multiplications and additions of one meta-step, in convolutions and dense layers alone.

    The rule: a multiply-add is 2, and a convolution is counted directly, all taps at full size.
    Each product of two arrays in turn costs two like it when it is differentiated, one an operand,
    but nothing differentiates in the images. So with F for all layers forward and f for the first
    of them, an image costs

    - 3 F - f in the gradient of a support step (forward, by weights, by inputs),
    - 2 (3 F - f) - 2 f in the differentiation of that gradient,
    - 3 F - f as a query.

    What is computed again to save memory is not counted, nor are normalisation, pools, losses and
    optimisers.

    Args:
      setting: any.

    Returns:
      The count.
    """
    products = [layer.products for layer in layers(setting)]
    forward, first = 2 * sum(products), 2 * products[0]
    step = 3 * forward - first
    twice = 2 * step - 2 * first
    support = setting.inner_steps * setting.ways * setting.shots * (step + twice)
    return setting.tasks * (support + setting.ways * setting.queries * step)


def activation_bytes(setting: Setting) -> int:
    """Bytes of feature maps that one meta-step reads and writes, if each is touched once a pass.

    With V for the float32 values of `layers` forward, an image costs 3 V in a support step (forward
    and, backward, values and cotangents), 6 V in the differentiation of that step, and 3 V as a
    query. Fusion and caches may do with less, separate passes over one map need more.

    Args:
      setting: any.

    Returns:
      The count.
    """
    values = _BYTES * sum(layer.values for layer in layers(setting))
    support = setting.inner_steps * setting.ways * setting.shots * 9 * values
    return setting.tasks * (support + setting.ways * setting.queries * 3 * values)


def _last_side(setting: Setting) -> int:
    side = setting.side
    for _ in range(setting.halvings):
        side = side // 2 if setting.downsample == "pool" else -(-side // 2)
    return side
