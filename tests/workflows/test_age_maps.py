"""Pictures of the films whose age was read best, middling and worst."""

from typing import Any, NamedTuple

import numpy as np
import pytest

from metabone.errors import InputError
from metabone.nets.age_net import age_features
from metabone.nets.network import Network
from metabone.provenance import Provenance
from metabone.radiograph.aged_films import AgedFilms
from metabone.training.age_scale import AgeScale
from metabone.workflows import age_maps
from metabone.workflows.age_maps import age_map_files, chosen_films

SIDE = 16
SCALE = AgeScale(100.0, 10.0)


class Fitted(NamedTuple):
    params: Any
    norm_stats: Any
    scale: AgeScale


def body_apply(params, norm_stats, images, use_batch_stats):
    return images.reshape(len(images), SIDE // 4, 4, SIDE // 4, 4, 1).mean((2, 4)), norm_stats


def head(params, features):
    """Twice the mean grey and half the sex."""
    return features[:, :1] * 2 + 0.5 * features[:, 1:]


def features_of(params, norm_stats, images, use_batch_stats):
    maps, _ = body_apply(params, norm_stats, images[:, :-1], False)
    return age_features(maps, images), norm_stats


def apply(params, norm_stats, images, use_batch_stats):
    return head(params, features_of(params, norm_stats, images, False)[0]), norm_stats


BODY = Network(lambda key, shape: ({}, {}), body_apply)
NETWORK = Network(lambda key, shape: ({}, {}), apply, features_of, head)
FITTED = Fitted({"head": {"sex": {}}}, {}, SCALE)


def aged_films(images, months):
    count = len(images)
    ids = np.array([f"f{row}" for row in range(count)])
    sex = np.array(["F", "M"] * count)[:count]
    about = Provenance("made:here", "simulated", "0" * 64, count, "none", "none")
    return AgedFilms(images, np.asarray(months, np.float32), sex, ids, ids, about)


@pytest.fixture
def films():
    images = np.random.default_rng(0).integers(0, 256, (7, SIDE, SIDE, 1)).astype(np.uint8)
    images[:, :4, :4] = 255
    scaled = images / 127.5 - 1
    sex = np.array([-1, 1, -1, 1, -1, 1, -1])
    read = 100 + 10 * (2 * scaled.mean((1, 2, 3)) + 0.5 * sex)
    # Off by 3, 0, 6, 1, 5, 2, 4.
    return aged_films(images, read - np.array([3, 0, -6, 1, 5, 2, 4]))


@pytest.fixture
def drawn(monkeypatch):
    kept = []

    def write(folder, films, maps, captions):
        kept.append((films, maps))
        return [{"file": "", "caption": caption} for caption in captions]

    monkeypatch.setattr(age_maps, "write_map_pictures", write)
    return kept


def test_pictures_are_of_the_best_the_median_and_the_worst_film(films, tmp_path):
    found = age_map_files(NETWORK, FITTED, films, np.arange(7), tmp_path, body=BODY, each=1)
    told = [each["caption"].split(" months")[0] for each in found]
    kinds = (("Best", "male", 1), ("Median", "female", 0), ("Worst", "female", 2))
    assert told == [f"{kind}: {sex}, {films.months[row]:.0f}" for kind, sex, row in kinds]
    assert all((tmp_path / each["file"]).is_file() for each in found)
    # Neither file nor caption says which film it is.
    assert not any(name in f"{found}" for name in films.ids.tolist())
    assert "male" in found[0]["caption"] and "(-6.0)" in found[2]["caption"]


def test_only_the_films_asked_for_are_chosen_from(films, drawn, tmp_path):
    found = age_map_files(NETWORK, FITTED, films, [0, 3, 5], tmp_path)
    told = [each["caption"].split(",")[1].split(" months")[0] for each in found]
    assert told == [f" {films.months[row]:.0f}" for row in (3, 5, 0)]


def test_maps_are_in_months_and_do_not_cover_the_row_of_sex(films, drawn, tmp_path):
    age_map_files(NETWORK, FITTED, films, [0], tmp_path, body=BODY)
    (shown, maps), *_ = drawn
    image = films.images[0, ..., 0]
    np.testing.assert_array_equal(shown[0], image)
    scaled = image / 127.5 - 1
    # Linear in the mean grey: 20 months a unit, whatever lies elsewhere.
    np.testing.assert_allclose(16 * maps["Grad-CAM"].mean(), 20 * scaled.mean(), atol=1e-4)
    patch = SIDE // 6
    expected = 20 * (scaled[:patch, :patch] - scaled.mean()).sum() / SIDE**2
    assert maps["falls if covered"][0, 0, 0] == pytest.approx(expected, abs=1e-4)


def test_regions_stand_side_by_side_and_each_is_covered_by_itself(drawn, tmp_path):
    images = np.full((1, 3, 4, 4, 1), 100, np.uint8)
    images[0, 2, :2, :2] = 250

    def third_region(params, norm_stats, images, use_batch_stats):
        assert images.shape[1:] == (3, 5, 4, 1)
        return images[:, 2, :4].mean((1, 2)) + images[:, 0, 4, 0], norm_stats

    network = Network(lambda key, shape: ({}, {}), third_region)
    age_map_files(network, FITTED, aged_films(images, [100]), [0], tmp_path)
    (shown, maps), *_ = drawn
    assert shown.shape == (1, 8, 8)
    np.testing.assert_array_equal(shown[0, 4:, :4], images[0, 2, ..., 0])
    grey = np.rint(images.mean())
    assert (shown[0, 4:, 4:] == grey).all()
    found = maps["falls if covered"][0]
    lit = 10 * (250 - shown.mean()) / 127.5 * 4 / 16
    assert found[4, 0] == pytest.approx(lit, rel=1e-3)
    assert not found[:4].any() and not found[4:, 4:].any()


@pytest.mark.parametrize(
    ("count", "each", "kinds"),
    [(1, 2, "B"), (2, 2, "BW"), (3, 5, "BMW"), (9, 2, "BBMMWW"), (8, 4, "BBMMWW")],
)
def test_no_film_is_chosen_twice(count, each, kinds):
    found = chosen_films(np.random.default_rng(count).normal(size=count), each)
    assert "".join(kind[0] for kind, _ in found) == kinds
    assert len({row for _, row in found}) == len(found)


def test_what_cannot_be_shown_is_refused(films, tmp_path):
    with pytest.raises(InputError, match="0 films, each"):
        age_map_files(NETWORK, FITTED, films, [], tmp_path)
    regions = aged_films(np.zeros((1, 2, 4, 4, 1), np.uint8), [1])
    with pytest.raises(InputError, match="films cut into regions"):
        age_map_files(NETWORK, FITTED, regions, [0], tmp_path, body=BODY)
