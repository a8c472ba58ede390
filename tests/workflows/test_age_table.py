import dataclasses

import numpy as np
import pytest

from metabone.datasets.images import ImageSet
from metabone.errors import InputError
from metabone.provenance import Provenance
from metabone.radiograph.aged_films import AgedFilms
from metabone.stored_arrays import load_arrays
from metabone.training.run import open_run
from metabone.workflows import age_origins
from metabone.workflows.age_films import seen_in_all_views
from metabone.workflows.age_origins import Origins
from metabone.workflows.age_settings import AgeSettings
from metabone.workflows.age_table import AgeTable

CONFIG = AgeSettings(
    views=("squashed",),
    size=32,
    network="conv4",
    width=0.0625,
    head_widths=(),
    sex_width=2,
    steps=6,
    batch=8,
    shift=0.0,
    rotation=0.0,
    zoom=0.0,
    flip=False,
    arms=("head", "paced"),
)


def films(seed=0, count=60):
    rng = np.random.default_rng(seed)
    ids = np.array([f"f{index:02}" for index in range(count)])
    return AgedFilms(
        rng.integers(0, 256, (count, 32, 32, 1), np.uint8),
        rng.uniform(12, 228, count).astype(np.float32),
        np.array(["F", "M"] * (count // 2)),
        ids,
        ids,
        Provenance("films", "simulated", "0" * 64, count, "", "", ()),
    )


def fill(path, config, views=None, training=0):
    views = views or {"squashed": films()}
    with open_run(path, "bone_age", "a", {}, seed=0) as run:
        table = AgeTable(config, run, views, None, training)
        table.fill()
        return (
            run.path,
            {(row["arm"], row["view"], row["sex"]): row for row in run.results.rows},
            table,
        )


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    config = dataclasses.replace(CONFIG, test_share=0.2, validation_share=0.2)
    return fill(tmp_path_factory.mktemp("runs"), config)


def test_each_arm_has_a_row_and_so_have_the_medians(filled):
    _, rows, _ = filled
    assert list(rows) == [
        ("median", "", ""),
        ("median by sex", "", ""),
        ("head", "squashed", "input"),
        ("paced", "squashed", "input"),
    ]
    assert {(row["films"], row["test_films"]) for row in rows.values()} == {(48, 12)}


def test_figures_are_those_of_the_predictions_that_are_kept(filled):
    path, rows, table = filled
    names = ("months", "sex", "predicted")
    kept = load_arrays(path / "predictions" / "paced-random-squashed-48-input.npz", names)
    off = np.abs(kept["predicted"][0] - kept["months"])
    groups = rows["paced", "squashed", "input"]["groups"]
    np.testing.assert_allclose(groups["all"]["mae"], off.mean(), rtol=1e-5)
    np.testing.assert_allclose(groups["male"]["mae"], off[kept["sex"] == "M"].mean(), rtol=1e-5)
    np.testing.assert_array_equal(kept["months"], table.best()[3].test.months)


def test_predictions_that_are_kept_name_no_film_and_no_patient(filled):
    path, _, _ = filled
    for file in (path / "predictions").iterdir():
        with np.load(file) as kept:
            assert {*kept} == {"months", "sex", "patients", "predicted"}
            np.testing.assert_array_equal(kept["patients"], np.arange(12))


def test_the_median_is_that_of_all_that_is_known_before_the_test(filled):
    _, rows, table = filled
    _, _, _, parts = table.best()
    known = np.concatenate([parts.train.months, parts.validation.months])
    expected = np.abs(np.median(known) - parts.test.months).mean()
    np.testing.assert_allclose(rows["median", "", ""]["groups"]["all"]["mae"], expected, rtol=1e-5)


def test_a_second_training_joins_the_first_in_every_row(tmp_path):
    config = dataclasses.replace(CONFIG, arms=("head",), test_share=0.2, validation_share=0.2)
    _, rows, _ = fill(tmp_path, config)
    with open_run(tmp_path, "bone_age", "a", {}, seed=0) as run:
        first = run.results.find(arm="head")
        run.results.replace([{**first, "best": True}], arm="head")
    path, rows, _ = fill(tmp_path, dataclasses.replace(config, train_seed=1), training=1)
    row = rows["head", "squashed", "input"]
    assert row["best"]
    assert row["trainings"] == 2
    assert len(row["groups"]["all"]["training_means"]) == 2
    name = "head-random-squashed-48-input.npz"
    predicted = load_arrays(path / "predictions" / name, ("predicted",))["predicted"]
    assert predicted.shape == (2, 12)
    assert (predicted[0] != predicted[1]).all()


def test_networks_of_either_sex_read_their_own_and_one_without_sex_is_blind_to_it(tmp_path):
    config = dataclasses.replace(
        CONFIG, arms=("all",), sexes=("separate", "unknown"), test_share=0.3, validation_share=0.3
    )
    path, rows, _ = fill(tmp_path, config)
    assert [key for key in rows if key[0] == "all"] == [
        ("all", "squashed", "separate"),
        ("all", "squashed", "unknown"),
    ]
    name = "all-random-squashed-42-separate.npz"
    kept = load_arrays(path / "predictions" / name, ("sex", "predicted"))
    assert (kept["predicted"] != 0).all()
    assert {*kept["sex"]} == {"F", "M"}


@pytest.mark.parametrize(
    ("sexes", "told"),
    [(["F", "M", ""] * 20, "of unknown sex"), (["F"] * 60, "0 males and 0 films")],
)
def test_networks_of_either_sex_need_the_sex_of_every_film(tmp_path, monkeypatch, sexes, told):
    monkeypatch.setattr(AgeTable, "_train", lambda *_: pytest.fail("something is trained"))
    config = dataclasses.replace(CONFIG, sexes=("input", "separate"))
    given = dataclasses.replace(films(), sex=np.array(sexes))
    with pytest.raises(InputError, match=f"--sexes=separate: .*{told}"):
        fill(tmp_path, dataclasses.replace(config, test_share=0.2), {"squashed": given})


def test_what_an_origin_lacks_is_told_before_anything_is_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(AgeTable, "_train", lambda *_: pytest.fail("something is trained"))
    for settings, told in (
        (dict(origins=("random", "chest"), chest=f"chest:{tmp_path}/a"), "/a: no such folder"),
        (dict(origins=("random", "images"), images=f"folder:{tmp_path}/b"), "/b: no such file"),
        (dict(arms=("head", "last:50")), "the last 50 layers"),
    ):
        config = dataclasses.replace(CONFIG, test_share=0.2, validation_share=0.2, **settings)
        with pytest.raises(InputError, match=told):
            fill(tmp_path / "runs", config)


def test_of_two_views_the_mean_is_a_row_of_the_same_films(tmp_path):
    first = films()
    other = dataclasses.replace(films(), images=films(1).images[::-1])
    # Another order, and one film less.
    views = seen_in_all_views(
        {"squashed": first, "aligned": other.keep(np.arange(len(other))[::-1][:-1])}
    )
    config = dataclasses.replace(
        CONFIG, views=tuple(views), arms=("head",), test_share=0.2, validation_share=0.2
    )
    path, rows, _ = fill(tmp_path, config, views)
    each = [
        load_arrays(
            path / "predictions" / f"head-random-{view}-47-input.npz", ("months", "predicted")
        )
        for view in ("squashed", "aligned", "mean_of_views")
    ]
    np.testing.assert_array_equal(each[0]["months"], each[1]["months"])
    mean = (each[0]["predicted"] + each[1]["predicted"]) / 2
    np.testing.assert_allclose(each[2]["predicted"], mean, rtol=1e-6)
    assert rows["head", "mean of views", "input"]["validation_mae"] == [None]


def test_natural_images_that_hold_a_film_of_the_test_part_are_refused(tmp_path, monkeypatch):
    tests = films().keep(np.arange(12))
    others = films(1).images[:20].copy()
    planted = others.copy()
    planted[3] = tests.images[5]

    def given(images):
        origin = Provenance("folder:x", "real", "0" * 64, 20, "", "", ())
        labels = np.arange(20, dtype=np.int32) % 2
        return lambda *_, **__: ImageSet(images, labels, ("a", "b"), origin, None)

    config = dataclasses.replace(CONFIG, origins=("images",), images="folder:x")
    with open_run(tmp_path, "bone_age", "a", {}, seed=0) as run:
        origins = Origins(config, {"squashed": tests}, run, None)
        monkeypatch.setattr(age_origins, "open_images", given(planted))
        with pytest.raises(InputError, match="folder:x: holds a film that is measured on"):
            origins.look("images", "squashed")
        monkeypatch.setattr(age_origins, "open_images", given(others))
        assert len(origins.look("images", "squashed")) == 20
        assert run.results.get("origins")["images"]["source"] == "folder:x"
