import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metabone.episodes.graded import graded_store
from metabone.episodes.sampling import draw, learner_key, sample, scale, task_key
from metabone.episodes.splits import split_names
from metabone.episodes.store import ImageStore, build_store, check_enough
from metabone.episodes.streams import Stream, TrainingStream, stream_key
from metabone.errors import InputError

COUNTS = (9, 12, 7, 30)


def _store(**options):
    labels = np.repeat(np.arange(len(COUNTS)), COUNTS)
    # Each pixel tells its image, so that an episode can be traced back.
    images = np.arange(len(labels), dtype=np.uint8)[:, None, None, None] * np.ones(
        (1, 2, 2, 1), np.uint8
    )
    return build_store(images, labels, **options), labels


def _draws(store, count, **sizes):
    many = jax.jit(
        lambda store: jax.lax.map(
            lambda step: draw(task_key(0, step, 0), store, **sizes), jnp.arange(count)
        )
    )
    return jax.tree.map(np.asarray, many(store))


def test_an_episode_is_a_pure_function_of_seed_step_and_task():
    store, _ = _store()
    sizes = {"ways": 3, "shots": 2, "queries": 4}
    draws = jax.jit(lambda *at: sample(store, *at, **sizes))
    first, again = draws(1, 2, 3), draws(1, 2, 3)
    jax.tree.map(np.testing.assert_array_equal, first, again)
    for other in ((2, 2, 3), (1, 3, 3), (1, 2, 4)):
        assert np.any(draws(*other).support.images != first.support.images)


def test_support_and_query_are_distinct_images_of_the_classes_drawn():
    store, labels = _store()
    drawn = _draws(store, 50, ways=3, shots=2, queries=5)
    for classes, support, query in zip(*drawn, strict=True):
        assert len(set(classes)) == 3
        both = np.concatenate([support, query], 1)
        assert len(np.unique(both)) == both.size
        np.testing.assert_array_equal(labels[both], np.repeat(classes[:, None], 7, 1))


def test_labels_follow_the_draws_class_order_and_images_are_scaled():
    store, labels = _store()
    episode = sample(store, 0, 0, 0, ways=4, shots=3, queries=2)
    drawn = draw(task_key(0, 0, 0), store, 4, 3, 2)
    np.testing.assert_array_equal(episode.support.labels, np.repeat(np.arange(4), 3))
    rows = np.rint((np.asarray(episode.support.images[:, 0, 0, 0]) + 1) * 127.5).astype(int)
    np.testing.assert_array_equal(
        labels[rows], np.asarray(drawn.classes)[np.asarray(episode.support.labels)]
    )


def test_every_image_and_class_order_comes_up_equally_often():
    store, labels = _store()
    drawn = _draws(store, 4000, ways=2, shots=1, queries=1)
    counts = np.bincount(drawn.support.reshape(-1), minlength=len(labels))
    for label, size in enumerate(COUNTS):
        share = counts[labels == label] / counts[labels == label].sum()
        # Each class is drawn about 2,000 times as support.
        assert np.all(np.abs(share - 1 / size) < 5 * np.sqrt(1 / size / 2000))
    first = np.bincount(drawn.classes[:, 0], minlength=4) / 4000
    assert np.all(np.abs(first - 0.25) < 5 * np.sqrt(0.25 * 0.75 / 4000))


def test_no_patient_is_in_support_and_query_even_across_classes():
    labels = np.repeat(np.arange(3), 40)
    # Patients of one, two and many films, most with films in several classes.
    patients = np.random.default_rng(0).integers(0, 60, len(labels))
    store = build_store(np.zeros((120, 1), np.uint8), labels, groups=patients)
    check_enough(store, 3, 2, 3)
    drawn = _draws(store, 200, ways=3, shots=2, queries=3)
    for support, query in zip(drawn.support, drawn.query, strict=True):
        used = patients[np.concatenate([support.reshape(-1), query.reshape(-1)])]
        assert len(set(used)) == 15


def test_a_split_indexes_some_classes_of_the_same_images():
    store, labels = _store(classes=[3, 1])
    drawn = _draws(store, 20, ways=2, shots=2, queries=5)
    assert set(labels[drawn.support].reshape(-1)) == {1, 3}
    np.testing.assert_array_equal(
        labels[drawn.support[:, 0, 0]], np.array([3, 1])[drawn.classes[:, 0]]
    )


def test_scale_leaves_features_alone():
    np.testing.assert_array_equal(scale(jnp.array([0, 255], jnp.uint8)), [-1.0, 1.0])
    np.testing.assert_array_equal(scale(jnp.array([3.5, -2.0])), [3.5, -2.0])


@pytest.mark.parametrize(
    ("ways", "shots", "queries", "message"),
    [
        (5, 1, 1, r"ways \(=5\): the source has 4 classes"),
        (4, 5, 3, r"shots \(=5\) \+ queries \(=3\) need 8 images a class; class 'c' has 7"),
        (4, 0, 3, r"shots \(=0\)"),
        (4, 1, -2, r"queries \(=-2\)"),
    ],
)
def test_too_few_images_are_named_before_anything_is_compiled(ways, shots, queries, message):
    with pytest.raises(InputError, match=message):
        check_enough(_store()[0], ways, shots, queries, class_names="abcd")


@pytest.mark.parametrize("wrong", ["ways", "shots", "queries"])
def test_empty_tasks_are_no_tasks(wrong):
    sizes = dict(ways=2, shots=1, queries=1) | {wrong: 0}
    with pytest.raises(InputError, match=rf"{wrong} \(=0\): expected at least 1"):
        sample(_store()[0], 0, 0, 0, **sizes)


@pytest.mark.parametrize("shape", [(2, 4, 4, 1), (2, 4)])
@pytest.mark.parametrize(
    "dtype", [np.uint16, np.int8, np.int64, bool, np.complex64, object, "S1", "U2", "M8[s]", "V1"]
)
def test_images_that_nothing_would_scale_are_refused_in_one_line(dtype, shape):
    with pytest.raises(InputError, match=r"^images are .*: expected uint8, 0 to 255, or floats"):
        build_store(np.zeros(shape, dtype), np.zeros(2, int))


def test_lists_are_looked_at_as_arrays_are():
    with pytest.raises(InputError, match="images are int64: expected uint8"):
        build_store([[[[0]]], [[[255]]]], [0, 1])
    with pytest.raises(InputError, match="images: rows of unequal lengths"):
        build_store([[0.0], [0.0, 1.0]], [0, 1])
    store = build_store([[0.5], [1.5]], [3, 1])
    np.testing.assert_array_equal(store.images, [[0.5], [1.5]])
    np.testing.assert_array_equal(store.members, [[1], [0]])


def test_labels_from_one_are_as_good_as_from_zero_unless_they_go_beyond_the_names():
    images = np.zeros((3, 1))
    np.testing.assert_array_equal(build_store(images, [1, 3, 2]).members, [[0], [2], [1]])
    with pytest.raises(InputError, match=r"labels go to 3, and class_names names 3: .* 0 \.\. 2"):
        build_store(images, [1, 3, 2], class_names=("ulna", "radius", "lunate"))


def test_too_few_patients_are_named_even_where_images_suffice():
    labels = np.repeat([0, 1], 10)
    one_patient_each = build_store(np.zeros((20, 1)), labels, groups=labels)
    with pytest.raises(InputError, match=r"need 2 patients.*class 0 has 1"):
        check_enough(one_patient_each, 2, 1, 1)
    shared = build_store(np.zeros((20, 1)), labels, groups=np.tile(np.arange(10), 2))
    check_enough(shared, 2, 2, 3)
    with pytest.raises(InputError, match=r"need 6 patients.*has 4"):
        check_enough(shared, 2, 3, 3)


def test_stores_that_cannot_be_are_refused():
    with pytest.raises(InputError, match="3 images and 2 labels"):
        build_store(np.zeros((3, 1)), np.zeros(2, int))
    with pytest.raises(InputError, match="class 'b' has no images"):
        build_store(np.zeros((2, 1)), np.zeros(2, int), classes=[0, 1], class_names="ab")
    with pytest.raises(InputError, match="class 0 has 2 images; expected at least 3"):
        build_store(np.zeros((2, 1)), np.zeros(2, int), at_least=3)
    with pytest.raises(InputError, match=r"images of shape \(2, 4, 4\): expected \[N, H, W, C\]"):
        build_store(np.zeros((2, 4, 4), np.uint8), np.zeros(2, int))


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["ulna", "ulna"]),
        ["ulna", "ulna"],
        [0, None],
        None,
        np.zeros(2),
        np.eye(2, dtype=int),
        np.array([True, True]),
    ],
)
def test_labels_that_are_not_one_integer_an_image_are_refused(labels):
    with pytest.raises(InputError, match="expected one integer an image"):
        build_store(np.zeros((2, 1)), labels)


class _NeitherLikeNorUnlike:
    """As pandas.NA, which answers a comparison by itself and has no truth value."""

    def __ne__(self, other):
        return self

    def __bool__(self):
        raise TypeError("boolean value of NA is ambiguous")


@pytest.mark.parametrize(
    "none", [None, float("nan"), np.datetime64("NaT"), _NeitherLikeNorUnlike()]
)
def test_an_image_without_a_patient_is_named(none):
    with pytest.raises(InputError, match="image 1 has no group"):
        build_store(np.zeros((2, 1)), np.zeros(2, int), groups=np.array([3, none], object))
    with pytest.raises(InputError, match="image 1 has no group"):
        graded_store(np.zeros((2, 1)), [1, 2], groups=np.array([3, none], object))


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([3], "1 group ids and 2 labels"),
        (7, r"groups of shape \(\): expected one id an image"),
        ("ab", r"groups of shape \(\): expected one id an image"),
        ([(1, 2), (1, 3)], r"groups of shape \(2, 2\): expected one id an image"),
        ([(1,), (1, 3)], "groups: rows of unequal lengths"),
        (np.array([1, "a"], object), r"several kinds \(int, str\)"),
    ],
)
def test_groups_that_are_not_one_id_an_image_are_refused_in_one_line(groups, message):
    with pytest.raises(InputError, match=message):
        build_store(np.zeros((2, 1)), np.zeros(2, int), groups=groups)


def test_a_class_that_is_too_small_is_named_by_the_sampler_inside_jit_too():
    labels = np.repeat(np.arange(3), [4, 3, 4])
    images = np.zeros((len(labels), 2, 2, 1), np.uint8)
    store = build_store(images, labels, class_names=("ulna", "radius", "lunate"))
    draws = jax.jit(lambda store: sample(store, 0, 0, 0, ways=3, shots=2, queries=2))
    with pytest.raises(InputError, match="need 4 images a class; class 'radius' has 3"):
        draws(store)
    with pytest.raises(InputError, match=r"ways \(=4\): the source has 3 classes"):
        sample(store, 0, 0, 0, ways=4, shots=1, queries=1)
    unknown = ImageStore(images, store.members, None, None)
    with pytest.raises(InputError, match="need 5 images a class; the largest class has 4"):
        sample(unknown, 0, 0, 0, ways=2, shots=2, queries=3)
    one_each = build_store(images, labels, groups=labels)
    with pytest.raises(InputError, match="need 2 patients or other groups a class; class 0 has 1"):
        sample(one_each, 0, 0, 0, ways=2, shots=1, queries=1)


@pytest.mark.parametrize("seed", [-1, 2**32, np.int64(-5)])
def test_seeds_that_would_be_another_are_refused(seed):
    with pytest.raises(InputError, match=rf"seed \(={seed}\): expected 0 \.\. 2\*\*32 - 1"):
        task_key(seed, 0, 0)


def test_streams_keep_the_bits_that_figures_depend_on():
    key = task_key(2**32 - 1, 3, 4)
    plain = jax.random.fold_in(jax.random.fold_in(jax.random.key(2**32 - 1), 3), 4)
    found = [stream_key(key, stream) for stream in Stream]
    expected = [*jax.random.split(plain), *(jax.random.fold_in(plain, n) for n in (2, 3))]
    np.testing.assert_array_equal(*(jax.random.key_data(jnp.stack(k)) for k in (found, expected)))
    assert learner_key(key) == found[Stream.LEARNER]
    assert list(TrainingStream) == [0, 1]
    # Drawn when streams were numbers.
    drawn = draw(task_key(7, 3, 1), _store()[0], 3, 2, 1)
    assert drawn.classes.tolist() == [0, 3, 1]
    assert drawn.support.tolist() == [[0, 8], [41, 46], [18, 20]]


def test_a_split_depends_on_names_alone():
    names = [f"n{i:04d}" for i in range(300)]
    sizes = {"train": 240, "validation": 30, "test": 30}
    parts = split_names(names, sizes)
    assert {part: len(rows) for part, rows in parts.items()} == sizes
    assert sorted(row for part in parts.values() for row in part) == list(range(300))
    turned = split_names(names[::-1], sizes)
    assert {names[i] for i in parts["test"]} == {names[::-1][i] for i in turned["test"]}
    assert split_names(names, sizes, salt="other")["test"] != parts["test"]
    with pytest.raises(InputError, match=r"cannot split 3 names into 2 \+ 2"):
        split_names(names[:3], {"train": 2, "test": 2})
    with pytest.raises(InputError, match="'n0001' occurs twice"):
        split_names(["n0001", "n0001"], {"train": 1})


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_image_that_is_not_finite_is_named(value):
    images = np.zeros((4, 2, 2, 1), np.float32)
    images[2, 1, 0] = value
    with pytest.raises(InputError, match="image 2 holds numbers that are not finite"):
        build_store(images, np.array([0, 0, 1, 1]))
