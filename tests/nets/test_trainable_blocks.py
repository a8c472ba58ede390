"""Blocks and layers hold every parameter once, from the top down, and come back together."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metabone.errors import InputError
from metabone.nets.age_net import age_net
from metabone.nets.film_nets import over_regions
from metabone.nets.networks import conv_net
from metabone.nets.regression_bodies import BODIES, body_of
from metabone.nets.trainable_blocks import (
    blocks_down_to,
    blocks_of,
    layers_of,
    mask_of,
    merge_params,
    split_params,
    top_layers,
)

BLOCKS = {
    "conv4": ["block4", "block3", "block2", "block1"],
    "resnet18": ["layer4", "layer3", "layer2", "layer1", "stem"],
    "resnet50": ["layer4", "layer3", "layer2", "layer1", "stem"],
    "xception": ["exit", "middle", "entry"],
    "inception_v3": [
        *(f"Mixed_7{letter}" for letter in "cba"),
        *(f"Mixed_6{letter}" for letter in "edcba"),
        *(f"Mixed_5{letter}" for letter in "dcb"),
        "stem",
    ],
}
# Those with kernels in the networks as published, the classifier aside.
LAYERS = {"conv4": 4, "resnet18": 20, "resnet50": 53, "xception": 40, "inception_v3": 94}


@pytest.fixture(scope="module")
def params_of():
    """Parameters of a body with a head, as shapes, by the body's name."""
    made = {}

    def shapes(name):
        if name not in made:
            body = body_of(name, width=0.05, size=64)
            params = jax.eval_shape(lambda: body.init(jax.random.key(0), (64, 64, 1)))[0]
            layer = {
                "kernel": jax.ShapeDtypeStruct((2, 2), jnp.float32),
                "bias": jax.ShapeDtypeStruct((2,), jnp.float32),
            }
            head = {each: layer for each in ("age", "hidden_0", "hidden_1", "sex")}
            made[name] = {**params, "head": head}
        return made[name]

    return shapes


def leaves_of(params):
    found = jax.tree_util.tree_leaves_with_path(params)
    return sorted(tuple(key.key for key in path) for path, _ in found)


def top_names(blocks):
    """The first keys of what is in blocks."""
    return {path[0] for block in blocks for path in block.paths}


@pytest.mark.parametrize("name", BODIES)
def test_every_parameter_is_in_one_block_and_in_one_layer(params_of, name):
    params = params_of(name)
    for parts in (blocks_of(name, params), layers_of(name, params)):
        assert sorted(path for part in parts for path in part.paths) == leaves_of(params)
        assert all(part.paths for part in parts)


@pytest.mark.parametrize("name", BODIES)
def test_blocks_come_from_the_top(params_of, name):
    assert [block.name for block in blocks_of(name, params_of(name))] == ["head", *BLOCKS[name]]


@pytest.mark.parametrize("name", BODIES)
def test_layers_with_kernels_are_as_many_as_published(params_of, name):
    params = params_of(name)
    layers = layers_of(name, params)
    assert len(layers) == LAYERS[name] + 4
    assert len({layer.name for layer in layers}) == len(layers)
    for layer in layers:
        kernels = {path[-1] for path in layer.paths} & {"kernel", "pointwise"}
        assert len(kernels) == 1, layer.name


@pytest.mark.parametrize("name", BODIES)
def test_layers_are_in_the_order_of_their_blocks(params_of, name):
    params = params_of(name)
    in_layers = [path for layer in layers_of(name, params) for path in layer.paths]
    in_blocks = [path for block in blocks_of(name, params) for path in block.paths]
    assert in_layers == in_blocks


def test_the_flows_of_xception_are_those_of_its_paper(params_of):
    blocks = {block.name: block for block in blocks_of("xception", params_of("xception"))}
    assert {name.split("_separable")[0] for name in top_names([blocks["middle"]])} == {
        f"block_{index}" for index in range(4, 12)
    }
    assert {"block_12_shortcut", "last_1", "last_2"} < top_names([blocks["exit"]])
    assert {"stem_1", "stem_2", "block_1_shortcut", "block_3_shortcut"} < top_names(
        [blocks["entry"]]
    )


@pytest.mark.parametrize(
    ("name", "count", "last"),
    [
        ("resnet18", 4, ["head/age", "head/hidden_1", "head/hidden_0", "head/sex"]),
        ("resnet18", 6, ["stage_4_block_1_conv_2", "stage_4_block_1_conv_1"]),
        (
            "resnet18",
            9,
            ["stage_4_block_0_conv_2", "stage_4_block_0_conv_1", "stage_4_block_0_shortcut"],
        ),
        ("xception", 6, ["last_2", "last_1"]),
        ("xception", 7, ["block_12_separable_2"]),
        ("inception_v3", 6, ["Mixed_7c_branch_pool", "Mixed_7c_branch3x3dbl_3b"]),
        ("inception_v3", 98, ["Conv2d_2a_3x3", "Conv2d_1a_3x3"]),
        ("conv4", 8, ["conv_3", "conv_2", "conv_1", "conv_0"]),
    ],
)
def test_the_last_layers_are_counted_from_the_top(params_of, name, count, last):
    names = [layer.name for layer in top_layers(name, params_of(name), count)]
    assert len(names) == count and names[-len(last) :] == last


def test_a_layer_has_its_normalisation_with_it(params_of):
    layer = top_layers("conv4", params_of("conv4"), 5)[-1]
    assert set(layer.paths) == {("conv_3", "kernel"), ("norm_3", "scale"), ("norm_3", "bias")}
    separable = top_layers("xception", params_of("xception"), 5)[-1]
    assert {path[1:] for path in separable.paths} == {
        ("depthwise",), ("pointwise",), ("norm", "scale"), ("norm", "bias")
    }  # fmt: skip


def test_a_stage_trains_all_from_the_top_to_its_block(params_of):
    params = params_of("xception")
    for count, name in enumerate(("head", "exit", "middle", "entry"), start=1):
        assert blocks_down_to("xception", params, name) == blocks_of("xception", params)[:count]
    assert blocks_down_to("xception", params, "all") == blocks_of("xception", params)


def test_a_body_over_regions_and_one_without_head_have_the_same_blocks():
    body = over_regions(conv_net(0, filters=2), 3, average=True)
    network = age_net(body, sex_width=1, widths=(2,))
    key, shape = jax.random.key(0), (3, 17, 16, 1)
    params = jax.eval_shape(lambda: network.init(key, shape))[0]
    assert [block.name for block in blocks_of("conv4", params)] == ["head", *BLOCKS["conv4"]]
    own = {name: leaf for name, leaf in params.items() if name != "head"}
    assert blocks_of("conv4", own) == blocks_of("conv4", params)[1:]


def small():
    params = {
        "conv_0": {"kernel": jnp.ones((2, 3))},
        "norm_0": {"scale": jnp.full(3, 2.0), "bias": jnp.zeros(3)},
        "head": {"age": {"kernel": jnp.full((3, 1), 3.0), "bias": jnp.ones(1)}},
    }
    return params, jnp.array([[1.0, -2.0], [0.5, 4.0]])


def apply(params, inputs):
    hidden = inputs @ params["conv_0"]["kernel"] * params["norm_0"]["scale"]
    head = params["head"]["age"]
    return ((hidden + params["norm_0"]["bias"]) @ head["kernel"] + head["bias"]).sum()


def test_a_mask_marks_what_is_in_blocks_or_below_paths():
    params, _ = small()
    head = {"age": {"kernel": True, "bias": True}}
    unmarked = {"conv_0": {"kernel": False}, "norm_0": {"scale": False, "bias": False}}
    assert mask_of(params, blocks_down_to("conv4", params, "head")) == {**unmarked, "head": head}
    assert mask_of(params, [("head",)]) == {**unmarked, "head": head}
    assert mask_of(params, [("norm_0", "scale"), ("conv_0",)]) == {
        "conv_0": {"kernel": True},
        "norm_0": {"scale": True, "bias": False},
        "head": {"age": {"kernel": False, "bias": False}},
    }
    assert all(jax.tree.leaves(mask_of(params, blocks_of("conv4", params))))
    assert not any(jax.tree.leaves(mask_of(params, [])))


def test_what_is_split_comes_back_and_the_gradient_is_that_of_the_whole():
    params, inputs = small()
    mask = mask_of(params, [("norm_0",), ("head", "age", "kernel")])
    trainable, frozen = split_params(params, mask)
    assert len(jax.tree.leaves(trainable)) == 3 and len(jax.tree.leaves(frozen)) == 2
    merged = merge_params(trainable, frozen)
    assert jax.tree.structure(merged) == jax.tree.structure(params)
    jax.tree.map(np.testing.assert_array_equal, merged, params)
    found = jax.grad(lambda some: apply(merge_params(some, frozen), inputs))(trainable)
    whole = jax.grad(apply)(params, inputs)
    jax.tree.map(np.testing.assert_array_equal, found, split_params(whole, mask)[0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda params: blocks_of("vgg", params),
            "network 'vgg': expected one of conv4, resnet18, resnet50, xception, inception_v3",
        ),
        (
            lambda params: blocks_of("resnet18", params),
            "parameter conv_0/kernel: expected those of resnet18",
        ),
        (
            lambda params: blocks_down_to("conv4", params, "exit"),
            "block 'exit' of conv4: expected one of head, block1, all",
        ),
        (
            lambda params: top_layers("conv4", params, 3),
            "the last 3 layers of conv4: expected 1 to 2, which it has",
        ),
        (
            lambda params: top_layers("conv4", params, 0),
            "the last 0 layers of conv4: expected 1 to 2, which it has",
        ),
        (
            lambda params: mask_of(params, [("norm_0", "gain")]),
            "no parameter at norm_0/gain: expected a path below conv_0, head, norm_0",
        ),
    ],
)
def test_what_is_unknown_is_refused_with_what_there_is(call, message):
    with pytest.raises(InputError) as raised:
        call(small()[0])
    assert str(raised.value) == message
