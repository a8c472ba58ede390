import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from metabone.datasets.annotated_hands import held_out_fifth, load_annotated_hands
from metabone.errors import InputError
from tests.radiograph.posed_hands import left_hand

FRAME = (300, 400)  # width, height


def _coco(count=12, frame=FRAME):
    points = left_hand(200, (150, 320))
    values = [v for x, y in points.tolist() for v in (x, y, 2)]
    sides = ("lefthand_kpts", "righthand_kpts")
    return {
        "images": [{"id": f"h{k}", "width": frame[0], "height": frame[1]} for k in range(count)],
        "annotations": [
            {"image_id": f"h{k}", sides[k % 2]: values, sides[1 - k % 2]: [0] * 63}
            for k in range(count)
        ],
    }


def _film(seed, size=FRAME):
    pixels = np.random.default_rng(seed).integers(0, 256, size[::-1]).astype(np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture
def annotated(tmp_path):
    """Writes annotations and films, some of them changed, and reads them."""

    def read(count=12, size=FRAME, change=None, films=(), archive=False):
        (tmp_path / "hands.json").write_text(json.dumps(_coco(count)))
        made = {f"h{k}.png": _film(k, size) for k in range(count)}
        made = {**made, **dict(films)}
        made = {name: film for name, film in made.items() if film is not None}
        if archive:
            with zipfile.ZipFile(tmp_path / "films.zip", "w") as file:
                for name, film in made.items():
                    out = io.BytesIO()
                    film.save(out, "png")
                    file.writestr(f"inner/{name}", out.getvalue())
            return load_annotated_hands(tmp_path / "hands.json", tmp_path / "films.zip")
        (tmp_path / "films").mkdir()
        for name, film in made.items():
            film.save(tmp_path / "films" / name)
        return load_annotated_hands(tmp_path / "hands.json", tmp_path / "films")

    return read


def test_films_of_their_frames_size_are_taken_as_they_are(annotated):
    hands = annotated(films={"other.png": _film(99)})
    assert hands.names == tuple(f"h{k}" for k in range(12))
    np.testing.assert_array_equal(hands.films[3], np.asarray(_film(3)))
    np.testing.assert_allclose(hands.points[0], left_hand(200, (150, 320)), atol=1e-3)
    # Right hands, whose left is all zero, are as good.
    np.testing.assert_array_equal(hands.points[1], hands.points[0])
    assert hands.provenance.kind == "real" and hands.provenance.conversions == ()


def test_a_squashed_copy_is_given_back_its_aspect_and_its_points_follow(annotated):
    hands = annotated(size=(100, 100), archive=True)
    assert hands.films[0].shape == (133, 100)
    expected = (left_hand(200, (150, 320)) + 0.5) * [100 / 300, 133 / 400] - 0.5
    np.testing.assert_allclose(hands.points[0], expected, atol=1e-3)
    assert "12 of 12 given back" in hands.provenance.conversions[0]


def test_what_a_set_is_depends_on_pixels_and_points(annotated, tmp_path):
    first = annotated().provenance.sha256
    points = _coco()
    points["annotations"][0]["lefthand_kpts"][0] += 1
    (tmp_path / "hands.json").write_text(json.dumps(points))
    again = load_annotated_hands(tmp_path / "hands.json", tmp_path / "films")
    assert again.provenance.sha256 != first
    _film(77).save(tmp_path / "films" / "h5.png")
    third = load_annotated_hands(tmp_path / "hands.json", tmp_path / "films")
    assert len({first, again.provenance.sha256, third.provenance.sha256}) == 3


@pytest.mark.parametrize(
    ("films", "said"),
    [
        ({"h3.png": None}, r"films: holds no film of id 'h3', annotated in .*hands.json"),
        ({"h3.jpg": _film(50)}, r"h3.png: a second film of id 'h3'"),
        ({"h7.png": _film(3)}, r"h7.png: the same film as that of id 'h3'"),
        ({"h7.png": _film(7, (1000, 20))}, r"h7.png: 1000 x 20 pixels; .* set on 300 x 400"),
    ],
    ids=["missing", "twice", "copy", "aspect"],
)
def test_films_that_do_not_fit_their_annotations_are_said_in_one_line(annotated, films, said):
    with pytest.raises(InputError, match=said):
        annotated(films=films)


def test_a_handful_of_hands_is_too_few(annotated):
    with pytest.raises(InputError, match="9 annotated hands; expected at least 10"):
        annotated(count=9)


def test_a_fifth_is_held_out_by_name_whatever_the_order():
    names = [f"hand {k}" for k in range(103)]
    parts = held_out_fifth(names)
    assert len(parts["test"]) == 20 and sorted(parts["test"] + parts["train"]) == list(range(103))
    other = held_out_fifth(names[::-1])
    assert {names[k] for k in parts["test"]} == {names[::-1][k] for k in other["test"]}
