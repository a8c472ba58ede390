"""Bodies for regression end in maps, at every size, and published ones see what they should."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metabone.errors import InputError
from metabone.nets.age_net import age_net
from metabone.nets.published_backbones import load_backbone
from metabone.nets.regression_bodies import BODIES, body_of, published_body
from tests.nets.backbone_files import save, tensors_of

KEY = jax.random.key(0)


def shapes_of(network, size):
    """Maps of two grey images, without computing them."""

    def look(images):
        params, stats = network.init(KEY, (size, size, 1))
        return network.apply(params, stats, images, False)[0]

    return jax.eval_shape(look, jax.ShapeDtypeStruct((2, size, size, 1), jnp.float32)).shape


_slow = pytest.mark.slow  # Each is traced within seconds, and they are many.


@pytest.mark.parametrize(
    ("name", "size", "expected"),
    [
        ("conv4", 64, (4, 4, 16)),
        ("conv4", 500, (31, 31, 16)),
        ("resnet18", 64, (2, 2, 128)),
        ("xception", 64, (2, 2, 512)),
        ("inception_v3", 64, (2, 2, 512)),
        *(
            pytest.param(*case, marks=_slow)
            for case in (
                ("resnet18", 500, (16, 16, 128)),
                ("resnet50", 64, (2, 2, 512)),
                ("resnet50", 500, (16, 16, 512)),
                ("xception", 299, (10, 10, 512)),
                ("xception", 500, (16, 16, 512)),
                ("inception_v3", 149, (5, 5, 512)),
                ("inception_v3", 150, (3, 3, 512)),
                ("inception_v3", 299, (8, 8, 512)),
                ("inception_v3", 500, (14, 14, 512)),
            )
        ),
    ],
)
def test_bodies_at_a_quarter_of_their_width_give_maps_at_every_size(name, size, expected):
    assert shapes_of(body_of(name, width=0.25, size=size), size) == (2, *expected)


@_slow
def test_the_winners_maps_are_8x8_of_2048_from_299_pixels():
    assert shapes_of(body_of("inception_v3", size=299), 299) == (2, 8, 8, 2048)


@_slow
def test_the_winners_head_on_them_sees_the_means_of_2x2_pixels():
    network = age_net(body_of("inception_v3", size=299), pool=2)
    params, _ = jax.eval_shape(lambda: network.init(KEY, (300, 299, 1)))
    assert params["head"]["hidden_0"]["kernel"].shape == (4 * 4 * 2048 + 32, 1000)


def test_a_published_body_gives_the_maps_whose_means_are_the_published_features(tmp_path):
    path = save(tmp_path / "weights.safetensors", tensors_of("resnet18", width=0.25))
    network, params, stats = published_body("resnet18", path, width=0.25)
    published = load_backbone("resnet18", path, size=64, grey="sum", width=0.25)
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 1), np.uint8)

    @jax.jit
    def look(params, stats, images):
        maps, _ = network.apply(params, stats, images / 127.5 - 1, False)
        prepared = published.prepare(images)
        return maps, published.network.apply(params, stats, prepared, False)[0]

    jax.tree.map(np.testing.assert_array_equal, params, published.params)
    maps, features = look(params, stats, images)
    assert maps.shape == (2, 2, 2, 128) and np.ptp(features) > 0.1
    np.testing.assert_allclose(maps.mean((1, 2)), features, rtol=1e-4, atol=1e-5)


def test_a_published_body_has_the_parameters_of_the_drawn_one(tmp_path):
    path = save(tmp_path / "weights.safetensors", tensors_of("resnet18", width=0.25))
    _, params, stats = published_body("resnet18", path, width=0.25)
    drawn = jax.eval_shape(lambda: body_of("resnet18", width=0.25, size=64).init(KEY, (64, 64, 1)))
    assert jax.tree.map(jnp.shape, (params, stats)) == jax.tree.map(jnp.shape, drawn)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: body_of("vgg", size=64), f"body 'vgg': expected one of {', '.join(BODIES)}"),
        (lambda: body_of("conv4", size=15), "size (=15): expected at least 16 pixels a side"),
        (lambda: body_of("conv4", width=0, size=64), "width (=0): expected a number above 0"),
        (
            lambda: published_body("conv4", "no_file"),
            "body 'conv4': expected one of resnet18, resnet50, xception, inception_v3",
        ),
    ],
)
def test_what_is_unknown_or_too_small_is_refused(call, message):
    with pytest.raises(InputError) as raised:
        call()
    assert str(raised.value) == message


@pytest.mark.parametrize("name", ["vgg16", "dinov2_s14", "rad_dino"])
def test_what_has_no_maps_is_refused_before_its_file_is_opened(name):
    with pytest.raises(InputError, match="maps"):
        load_backbone(name, "no_file", maps=True)
