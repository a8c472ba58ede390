import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metabone.datasets.fingerprints import image_fingerprints
from metabone.episodes.sampling import scale
from metabone.errors import InputError
from metabone.nets import feature_store
from metabone.nets.feature_store import FeatureStore, weights_sha256
from metabone.nets.network import Network
from metabone.nets.networks import conv_net

SHAPE = (8, 8, 1)


def _init(key, image_shape):
    kernel = jax.random.normal(key, (*image_shape, 2, 3)) / 8
    return {"kernel": kernel}, {"mean": jnp.arange(6.0).reshape(2, 3)}


def _apply(params, norm_stats, images, use_batch_stats):
    assert not use_batch_stats
    found = jnp.tensordot(images, params["kernel"], 3) - norm_stats["mean"]
    return jnp.tanh(found), norm_stats


LAYER = Network(_init, _apply)  # compiles at once


def trained(seed=0):
    return LAYER.init(jax.random.key(seed), SHAPE)


def noise(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *SHAPE), np.uint8)


def store_in(folder, weights=None, prepare=scale, what="scale", backbone=LAYER):
    weights = trained() if weights is None else weights
    return FeatureStore(folder, backbone, *weights, prepare, weights_sha256(*weights, what))


class Source:
    """Images that note which of them were asked for."""

    def __init__(self, images):
        self.images, self.fingerprints = images, image_fingerprints(images)
        self.asked = []

    def read(self, rows):
        self.asked.append(rows.tolist())
        return self.images[rows]


def plainly(images, weights=None, prepare=scale):
    """The reference in float64 NumPy."""
    params, stats = jax.tree.map(np.float64, trained() if weights is None else weights)
    prepared = np.float64(prepare(jnp.asarray(images)))
    found = np.tanh(np.tensordot(prepared, params["kernel"], 3) - stats["mean"])
    return found.reshape(len(images), -1)


def test_features_are_those_of_the_backbone_flattened(tmp_path):
    source = Source(noise(20))
    found = store_in(tmp_path)(source.read, source.fingerprints)
    assert found.dtype == np.float32 and found.shape == (20, 6)
    np.testing.assert_allclose(found, plainly(source.images), rtol=1e-5, atol=1e-6)


def test_the_bits_are_those_of_one_forward_pass_whatever_else_was_missing(tmp_path):
    backbone = conv_net(0, blocks=1, filters=3, halvings=1)
    params, stats = backbone.init(jax.random.key(0), SHAPE)
    weights = (params, jax.tree.map(lambda leaf: leaf + 0.25, stats))
    source = Source(noise(20))
    # Exactly, as all batches have one size wherever an image stands in them.
    batch = np.concatenate([source.images, np.zeros((236, *SHAPE), np.uint8)])
    fresh = jax.jit(lambda images: backbone.apply(*weights, scale(images), False)[0])(batch)
    store = store_in(tmp_path, weights, backbone=backbone)
    for rows in ([19, 3], list(range(20))):
        some = Source(source.images[rows])
        found = store(some.read, some.fingerprints)
        np.testing.assert_array_equal(found, np.asarray(fresh).reshape(256, -1)[rows])


def test_a_second_call_computes_nothing(tmp_path, monkeypatch):
    source, counts = Source(noise(5)), []
    first = store_in(tmp_path)(source.read, source.fingerprints, counts.append)
    assert source.asked == [[0, 1, 2, 3, 4]] and counts == [5]

    def never(*args, **kwargs):
        raise AssertionError("computed once more")

    monkeypatch.setattr(feature_store, "features", never)
    again = store_in(tmp_path)(never, source.fingerprints, never)
    np.testing.assert_array_equal(again, first)


def test_missing_images_alone_are_computed(tmp_path, monkeypatch):
    source = Source(noise(6))
    store = store_in(tmp_path)
    before = store(
        lambda rows: source.images[[1, 4]][rows], [source.fingerprints[i] for i in (1, 4)]
    )
    computed = []

    def counted(program, params, stats, images, features=feature_store.features):
        computed.append(len(images))
        return features(program, params, stats, images)

    monkeypatch.setattr(feature_store, "features", counted)
    found = store(source.read, source.fingerprints)
    assert source.asked == [[0, 2, 3, 5]] and computed == [4]
    np.testing.assert_array_equal(found[[1, 4]], before)


def test_an_image_that_occurs_twice_is_computed_once(tmp_path):
    images = noise(3)[[2, 0, 2, 1, 0]]
    source, counts = Source(images), []
    found = store_in(tmp_path)(source.read, source.fingerprints, counts.append)
    assert source.asked == [[0, 1, 3]] and counts == [3]
    np.testing.assert_allclose(found, plainly(images), rtol=1e-5, atol=1e-6)


def test_other_weights_or_another_preprocessing_have_features_of_their_own(tmp_path):
    def negative(images):
        return -scale(images)

    source = Source(noise(3))
    params, stats = trained()
    changed = (params, {"mean": stats["mean"] + 0.5})
    variants = [
        (trained(), scale, "scale"),
        (trained(1), scale, "scale"),
        (changed, scale, "scale"),
        (trained(), negative, "negative"),
    ]
    for number, (weights, prepare, what) in enumerate(variants):
        found = store_in(tmp_path, weights, prepare, what)(source.read, source.fingerprints)
        expected = plainly(source.images, weights, prepare)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
        assert len(source.asked) == len(list(tmp_path.iterdir())) == number + 1


def test_a_backbones_hash_tells_names_shapes_types_and_values():
    base = {"a": np.zeros(4, np.float32)}
    others = [
        {"b": np.zeros(4, np.float32)},
        {"a": np.zeros((2, 2), np.float32)},
        {"a": np.zeros(4, np.int32)},
        {"a": np.array([0, 0, 0, 1], np.float32)},
    ]
    hashes = {weights_sha256(params, {}) for params in [base, *others]}
    hashes |= {weights_sha256({}, base), weights_sha256(base, {}, "what")}
    assert len(hashes) == 7
    assert weights_sha256({"a": np.zeros(4, np.float32)}, {}) in hashes


def cut(shard):
    shard.write_bytes(shard.read_bytes()[:-40])


def garbage(shard):
    shard.write_bytes(b"no features at all")


def nothing(shard):
    shard.write_bytes(b"")


def changed_value(shard):
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)


def other_arrays(shard):
    np.savez(shard, images=np.zeros(3))


def numbers_for_names(shard):
    np.savez(shard, fingerprints=np.arange(3), features=np.zeros((3, 2), np.float32))


def too_few_rows(shard):
    with np.load(shard) as arrays:
        names, found = arrays["fingerprints"], arrays["features"]
    np.savez(shard, fingerprints=names, features=found[:-1])


def single_array(shard):
    with shard.open("wb") as file:
        np.save(file, np.zeros(3))


def unknown_compression(shard):
    content = bytearray(shard.read_bytes())
    content[content.rfind(b"PK\x01\x02") + 10] = 99
    shard.write_bytes(content)


@pytest.mark.parametrize(
    "spoil",
    [
        cut,
        garbage,
        nothing,
        changed_value,
        other_arrays,
        numbers_for_names,
        too_few_rows,
        single_array,
        unknown_compression,
    ],
    ids=lambda spoil: spoil.__name__,
)
def test_a_damaged_shard_is_one_line_that_names_it(tmp_path, spoil):
    source = Source(noise(3))
    store = store_in(tmp_path)
    store(source.read, source.fingerprints)
    (shard,) = store.folder.glob("*.npz")
    spoil(shard)
    with pytest.raises(InputError) as caught:
        store(source.read, source.fingerprints)
    assert str(caught.value).startswith(f"{shard}: damaged (")
    assert str(caught.value).isprintable()
    shard.unlink()  # as it says
    store(source.read, source.fingerprints)
    assert source.asked == [[0, 1, 2]] * 2


def test_an_interrupted_call_keeps_what_it_has_computed(tmp_path, monkeypatch):
    monkeypatch.setattr(feature_store, "_SHARD", 4)
    source = Source(noise(10))
    store = store_in(tmp_path)

    def interrupted(rows):
        if 4 in rows:
            raise KeyboardInterrupt
        return source.read(rows)

    with pytest.raises(KeyboardInterrupt):
        store(interrupted, source.fingerprints)
    assert source.asked == [[0, 1, 2, 3]]
    counts = []
    found = store(source.read, source.fingerprints, counts.append)
    assert source.asked == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]] and counts == [4, 2]
    left_alone = store_in(tmp_path / "other")(source.read, source.fingerprints)
    np.testing.assert_array_equal(found, left_alone)
    assert len(list(store.folder.iterdir())) == 3


def test_one_compilation_serves_all_shards(tmp_path, monkeypatch):
    monkeypatch.setattr(feature_store, "_SHARD", 2)
    traces = []

    def traced(*args):
        traces.append(args)
        return _apply(*args)

    source = Source(noise(5))
    store = store_in(tmp_path, backbone=Network(_init, traced))
    store(source.read, source.fingerprints)
    assert len(source.asked) == 3 and len(traces) == 1


def test_a_shard_that_was_not_finished_is_no_shard(tmp_path):
    source = Source(noise(3))
    store = store_in(tmp_path)
    store.folder.mkdir(parents=True)
    (store.folder / "tmp0.part").write_bytes(b"half of a shard")
    found = store(source.read, source.fingerprints)
    np.testing.assert_array_equal(store(source.read, source.fingerprints), found)
    (shard,) = store.folder.glob("*.npz")
    assert zipfile.is_zipfile(shard)


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    source = Source(noise(1))
    with pytest.raises(InputError, match=r"file.*cannot be written.*Not a directory"):
        store_in(tmp_path / "file")(source.read, source.fingerprints)
