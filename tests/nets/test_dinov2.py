"""DINOv2 against what `benchmarks/dinov2_originals.py` has stored of PyTorch's networks."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from benchmarks.drawn_weights import draw_images, draw_tensors
from metabone.errors import InputError
from metabone.nets.dinov2 import dinov2, resized_positions
from metabone.nets.published_backbones import load_backbone

_STORED = Path(__file__).with_name("dinov2_reference.npz")
_WIDTH = 1 / 3
_CHANNELS = 128
_REG = {"registers": 4}


def _shapes(origin, registers=0, depth=12, channels=_CHANNELS, grid=37):
    """Names and shapes in a file, told apart from the layout that is tested."""
    of_class = 0 if registers and origin == "timm" else 1
    shapes = {
        "cls_token": (1, 1, channels),
        "pos_embed": (1, of_class + grid**2, channels),
        "patch_embed.proj.weight": (channels, 3, 14, 14),
        "patch_embed.proj.bias": (channels,),
        "norm.weight": (channels,),
        "norm.bias": (channels,),
    }
    if origin == "Meta":
        shapes["mask_token"] = (1, channels)
    if registers:
        name = "register_tokens" if origin == "Meta" else "reg_token"
        shapes[name] = (1, registers, channels)
    dense = {"attn.qkv": (3, 1), "attn.proj": (1, 1), "mlp.fc1": (4, 1), "mlp.fc2": (1, 4)}
    for index in range(depth):
        for name in ("norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias"):
            shapes[f"blocks.{index}.{name}"] = (channels,)
        for name in ("ls1.gamma", "ls2.gamma"):
            shapes[f"blocks.{index}.{name}"] = (channels,)
        for name, (out, into) in dense.items():
            shapes[f"blocks.{index}.{name}.weight"] = (out * channels, into * channels)
            shapes[f"blocks.{index}.{name}.bias"] = (out * channels,)
    return shapes


def _file(folder, *of, **how):
    path = folder / "weights.safetensors"
    save_file(draw_tensors(_shapes(*of, **how)), path)
    return path


@pytest.mark.parametrize(("origin", "ending"), [("Meta", "_patches"), ("timm", "")])
@pytest.mark.parametrize("name", ["dinov2_s14", "dinov2_s14_reg"])
def test_a_file_gives_the_tokens_of_its_original(tmp_path, name, origin, ending):
    path = _file(tmp_path, origin, **(_REG if "reg" in name else {}))
    loaded = load_backbone(name + ending, path, width=_WIDTH, size=56)
    images = draw_images(2, 56)[:, :42].astype(np.float32) / 127.5 - 1
    features = jax.jit(loaded.network.apply, static_argnums=3)(
        loaded.params, loaded.norm_stats, images, False
    )[0]
    with np.load(_STORED, allow_pickle=False) as stored:
        # Class token and mean of patches, every third number of both together.
        all_of = {key: stored[key] if ending else stored[key][:, :43] for key in stored.files}
    expected = all_of.pop(f"{name} {origin}")
    # What another image, file or rule for positions gives differs by more than is allowed.
    assert np.abs(expected[0] - expected[1]).max() > 0.01
    assert min(np.abs(other - expected).max() for other in all_of.values()) > 0.01
    assert features.shape == (2, 2 * _CHANNELS if ending else _CHANNELS)
    # Closer than 1e-4: another epsilon would show only here.
    np.testing.assert_allclose(features[:, ::3], expected, rtol=0, atol=1e-5)


def _cubic(distance, a):
    """Keys's kernel (1981)."""
    x = abs(distance)
    if x < 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0


def _weights(before, after, antialias):
    """What each old point gives each new one, `[after, before]` float64."""
    scale = before / (after if antialias else after + 0.1)
    widened, a = (max(scale, 1.0), -0.5) if antialias else (1.0, -0.75)
    weights = np.zeros((after, before))
    for new in range(after):
        at = (new + 0.5) * scale - 0.5
        for old in range(-3, before + 3):
            weight = _cubic((old - at) / widened, a)
            if antialias and 0 <= old < before:
                weights[new, old] += weight
            elif not antialias:
                weights[new, min(max(old, 0), before - 1)] += weight
    return weights / weights.sum(1, keepdims=True)


@pytest.mark.parametrize("antialias", [False, True])
def test_positions_are_resized_in_both_directions_by_the_rule_told(antialias):
    learned = np.random.default_rng(0).normal(size=(6, 6, 3)).astype(np.float32)
    found = jax.jit(resized_positions, static_argnums=(1, 2, 3))(learned, 4, 9, antialias)
    rows, columns = _weights(6, 4, antialias), _weights(6, 9, antialias)
    expected = np.einsum("yr,xc,rcd->yxd", rows, columns, learned)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_positions_of_as_many_patches_are_left_alone():
    learned = jnp.arange(12.0).reshape(2, 2, 3)
    for antialias in (False, True):
        np.testing.assert_array_equal(resized_positions(learned, 2, 2, antialias), learned)


def test_grey_images_may_meet_the_patches_kernel_summed_over_its_channels(tmp_path):
    path = _file(tmp_path, "timm", channels=64, grid=2)
    colour, grey = (
        load_backbone("dinov2_s14", path, width=1 / 6, size=28, grey=rule).params["patches"]
        for rule in ("repeat", "sum")
    )
    kernel = colour["kernel"].astype(np.float64).sum(2, keepdims=True)
    np.testing.assert_allclose(grey["kernel"], kernel, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(grey["bias"], colour["bias"])


@pytest.mark.parametrize(
    ("name", "width", "size", "means", "deviations"),
    [
        ("dinov2_s14", 1 / 6, 224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ("rad_dino", 1 / 12, 518, (0.5307,) * 3, (0.2583,) * 3),
    ],
)
def test_each_backbone_prepares_images_as_its_weights_expect(
    tmp_path, name, width, size, means, deviations
):
    loaded = load_backbone(name, _file(tmp_path, "Meta", channels=64, grid=2), width=width)
    prepared = loaded.prepare(np.full((1, size, size, 1), 51, np.uint8))
    assert prepared.shape == (1, size, size, 3)
    expected = (0.2 - np.array(means)) / np.array(deviations)
    np.testing.assert_allclose(prepared[0, 0, 0], expected, rtol=1e-5)
    assert f"bicubic to {size} pixels" in loaded.preprocessing


@pytest.mark.parametrize(
    ("name", "stored", "message"),
    [
        (
            "dinov2_s14_reg",
            ("Meta", {}),
            "not Meta's DINOv2 ViT-S/14 with registers: missing 'register_tokens'",
        ),
        (
            "dinov2_s14_reg",
            ("timm", {}),
            "not timm's DINOv2 ViT-S/14 with registers: missing 'reg_token'",
        ),
        (
            "dinov2_s14",
            ("Meta", _REG),
            "not Meta's DINOv2 ViT-S/14: surplus 'register_tokens'",
        ),
        ("dinov2_s14_reg", ("timm", {"registers": 1}), "'reg_token' is (1, 1, 64), expected (1, 4"),
        ("dinov2_s14", ("Meta", {"depth": 11}), "not Meta's DINOv2 ViT-S/14: missing 'blocks.11."),
        ("dinov2_s14", ("timm", {"depth": 13}), "not timm's DINOv2 ViT-S/14: surplus 'blocks.12."),
        (
            "dinov2_b14",
            ("Meta", {}),
            "not Meta's DINOv2 ViT-B/14: 'patch_embed.proj.weight' is (64",
        ),
    ],
)
def test_a_file_of_another_network_is_refused_by_what_differs(tmp_path, name, stored, message):
    origin, how = stored
    path = _file(tmp_path, origin, channels=64, grid=2, **how)
    with pytest.raises(InputError) as refused:
        load_backbone(name, path, width=1 / 6, size=28)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_classifier_is_read_where_there_is_one_and_missed_where_there_is_none(tmp_path):
    path = _file(tmp_path, "timm", channels=64, grid=2)
    with pytest.raises(InputError, match=r"head\.bias is missing.*no classifier"):
        load_backbone("dinov2_s14", path, width=1 / 6, size=28, classifier=True)
    tensors = draw_tensors(
        {**_shapes("timm", channels=64, grid=2), "head.weight": (5, 64), "head.bias": (5,)}
    )
    save_file(tensors, path)
    loaded = load_backbone("dinov2_s14", path, width=1 / 6, size=28, classifier=True)
    features = np.random.default_rng(0).normal(size=(2, 64)).astype(np.float32)
    np.testing.assert_allclose(
        loaded.network.head(loaded.params, features),
        features @ tensors["head.weight"].T + tensors["head.bias"],
        rtol=0,
        atol=1e-5,
    )


def test_images_and_widths_that_do_not_fit_are_refused(tmp_path):
    path = _file(tmp_path, "timm", channels=64, grid=2)
    with pytest.raises(InputError, match="images of 30x30 pixels: DINOv2 expects multiples of 14"):
        load_backbone("dinov2_s14", path, width=1 / 6, size=30)
    with pytest.raises(InputError, match=r"expected \[n, H, W, C\]"):
        dinov2(0, channels=64).init(jax.random.key(0), (28, 28))
    with pytest.raises(InputError, match="384 channels: expected a multiple of 64"):
        load_backbone("dinov2_s14", path, width=0.25)
    with pytest.raises(InputError, match="classes"):
        dinov2(-1, channels=64)


def test_positions_that_are_no_square_are_refused(tmp_path):
    shapes = {**_shapes("timm", channels=64, grid=2), "pos_embed": (1, 4, 64)}
    path = tmp_path / "weights.safetensors"
    save_file(draw_tensors(shapes), path)
    with pytest.raises(InputError, match=r"'pos_embed' is \(1, 4, 64\), expected \(1, 1370, 64\)"):
        load_backbone("dinov2_s14", path, width=1 / 6, size=28)
