import numpy as np
import pytest

from metabone.datasets.annotated_hands import AnnotatedHands
from metabone.provenance import Provenance
from metabone.radiograph.hand_views import PointedFilms
from metabone.radiograph.landmarks import hand_length, point_number
from metabone.stored_arrays import load_arrays
from metabone.training.run import open_run
from metabone.workflows import key_point_errors, key_point_films
from metabone.workflows.hand_reading import HandPoints
from metabone.workflows.key_point_errors import error_rows, fill_error_rows, point_errors
from metabone.workflows.key_point_films import Measured, parted_films
from tests.radiograph.posed_hands import left_hand


@pytest.fixture
def reads(monkeypatch):
    """What is read of films: the values of their first pixels, to the right of where points are."""

    def read(net, films):
        right = np.array([[film[0, 0], 0.0] for film in films])
        points = left_hand(100) + right[:, None]
        return HandPoints(points, np.zeros((len(films), 21), np.float32))

    monkeypatch.setattr(key_point_errors, "read_key_points", read)


def _films(*away):
    films = [np.full((40, 40), value, np.uint8) for value in away]
    return films, np.stack([left_hand(100)] * len(away))


def test_errors_are_distances_in_lengths_of_the_true_hand():
    points = np.stack([left_hand(100), left_hand(200)])
    errors = point_errors(points + np.array([0.0, 6.0]), points)
    expected = 6 / np.array([hand_length(left_hand(100)), hand_length(left_hand(200))])
    np.testing.assert_allclose(errors, np.repeat(expected[:, None], 21, 1), rtol=1e-9)


def test_rows_tell_the_median_and_what_is_far_off():
    errors = np.full((50, 21), 0.01)
    errors[:, point_number("wrist")] = 0.03
    errors[0, point_number("thumb IP")] = 0.2  # in the middle of a region
    errors[1, point_number("little tip")] = 0.2  # in none
    rows = {row["metric"]: row for row in error_rows(errors, kind="real")}
    assert rows["point_error"]["mean"] == rows["point_error"]["low"] == 0.01
    assert next(iter(rows["point_error"]["worst"].items())) == ("wrist", 0.03)
    assert rows["points_beyond"]["mean"] == pytest.approx(2 / (50 * 21))
    # 49 of 50 by Wilson's formula.
    within = rows["joints_within"]
    assert (within["mean"], within["n"], within["kind"]) == (0.98, 50, "real")
    assert (within["low"], within["high"]) == pytest.approx((0.8950, 0.9965), abs=1e-3)


def test_the_medians_interval_covers_that_of_other_hands():
    rng = np.random.default_rng(0)
    true = 0.01  # median of the mixture below, by symmetry of the logarithm
    covered = 0
    for _ in range(30):
        hand = rng.normal(0, 0.4, (40, 1))
        errors = true * np.exp(hand + rng.normal(0, 0.5, (40, 21)))
        row = error_rows(errors)[0]
        covered += row["low"] <= true <= row["high"]
    assert covered >= 26


def test_what_a_run_holds_already_is_not_measured_again(reads, tmp_path):
    sets = [Measured(name, "real", *_films(1, 2)) for name in ("a", "b")]
    with open_run(tmp_path, "key_points", "run", {"seed": 0}) as run:
        fill_error_rows(run, None, "real", sets[:1])
        first = run.results.rows
        fill_error_rows(run, None, "real", sets)
        assert run.results.rows[:3] == first and len(run.results.rows) == 6
        kept = load_arrays(run.path / "points.npz", ("films", "points", "read"))
        # Films of 40 pixels stand in squares of 160; the worst comes first.
        away = (kept["read"] - kept["points"]) / 4
        np.testing.assert_allclose(away, [[[2, 0]] * 21, [[1, 0]] * 21], atol=1e-4)
        assert [int(film[80, 80]) for film in kept["films"]] == [2, 1]
        assert [row["measured_on"] for row in run.results.rows] == ["a"] * 3 + ["b"] * 3


def _squares(first, count):
    """Films of one gray level each, 4 pixels wide and 6 high in the middle of a square of 8."""
    images = np.zeros((count, 8, 8), np.uint8)
    images[:, 1:7, 2:6] = np.arange(first, first + count)[:, None, None]
    points = np.full((count, 21, 2), 3.5, np.float32)
    boxes = np.tile(np.array([2, 1, 5, 6], np.float32), (count, 1))
    return PointedFilms(images, points, boxes, np.zeros(count, np.float32))


@pytest.fixture
def simulated(monkeypatch):
    monkeypatch.setattr(
        key_point_films, "simulate_pointed_films", lambda seed, count, _: _squares(seed, count)
    )


def _hands(count=10):
    films = [np.full((12, 9), 100 + k, np.uint8) for k in range(count)]
    points = np.full((count, 21, 2), 5.0, np.float32)
    names = tuple(f"hand {k}" for k in range(count))
    return AnnotatedHands(
        names, tuple(films), points, Provenance("films", "real", "", count, "", "")
    )


def _roles(films):
    return [(entry["role"], entry["kind"]) for entry in films.data]


def test_simulated_films_that_are_measured_are_no_part_of_those_trained_on(simulated):
    films = parted_films("simulated", None, simulated=3, unseen=2, seed=5)
    (training,), (measured,) = films.training, films.measured
    assert training.images.max(axis=(1, 2)).tolist() == [5, 6, 7]
    assert [np.unique(film).tolist() for film in measured.films] == [[8], [9]]
    assert measured.films[0].shape == (6, 4) and measured.kind == "simulated"
    np.testing.assert_array_equal(measured.points[0], np.full((21, 2), [1.5, 2.5]))
    assert _roles(films) == [("meta", "simulated"), ("target", "simulated")]


def test_of_annotated_films_a_fifth_is_measured_and_not_trained_on(simulated):
    films = parted_films("both", _hands(), simulated=3, unseen=2, seed=5)
    real, drawn = films.training
    assert len(real.images) == 8 and len(drawn.images) == 3
    held, unseen = films.measured
    assert (held.name, held.kind, len(held.films)) == ("a held-out fifth", "real", 2)
    assert unseen.kind == "simulated"
    levels = {int(film[0, 0]) for film in held.films}
    assert not levels & {int(image[80, 80]) for image in real.images}
    assert _roles(films) == [("meta", "real"), ("target", "real"), ("meta", "simulated")]
    alone = parted_films("real", _hands(), simulated=0, unseen=0, seed=5)
    assert len(alone.training) == len(alone.measured) == 1


def test_a_network_that_saw_no_real_film_is_measured_on_all(simulated):
    films = parted_films("simulated", _hands(), simulated=3, unseen=2, seed=5)
    assert [(each.name, len(each.films)) for each in films.measured] == [
        *(("a held-out fifth", 2), ("all", 10), ("unseen", 2)),
    ]
    assert _roles(films) == [("target", "real"), ("meta", "simulated")]
