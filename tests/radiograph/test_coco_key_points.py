import json
from pathlib import Path

import numpy as np
import pytest

from metabone.errors import InputError
from metabone.radiograph.coco_key_points import read_coco_hands
from metabone.radiograph.landmarks import is_right_hand

REAL = Path("../shared/data/rsna_annotations/keypoints_coco.json")


def _content():
    set_points = [value for k in range(21) for value in (10 + k, 20 + 2 * k, 2)]
    return {
        "images": [
            {"id": "a", "width": 100, "height": 200},
            {"id": "b", "width": 50, "height": 80},
        ],
        "annotations": [
            {"image_id": "a", "lefthand_kpts": set_points, "righthand_kpts": [0] * 63},
            {"image_id": "b", "lefthand_kpts": [0] * 63, "righthand_kpts": set_points},
        ],
    }


def _write(tmp_path, content):
    path = tmp_path / "hands.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_left_and_right_hands_are_read_in_order(tmp_path):
    hands = read_coco_hands(_write(tmp_path, _content()))
    assert list(hands) == ["a", "b"]
    assert [hand.right for hand in hands.values()] == [False, True]
    assert hands["b"].points[3].tolist() == [13, 26]
    assert (hands["a"].width, hands["a"].height) == (100, 200)


def test_points_follow_a_copy_of_another_size_by_the_edges_of_pixels(tmp_path):
    hand = read_coco_hands(_write(tmp_path, _content()))["a"]
    # A point at the edge between two pixels of the film is there on a copy of a tenth, too.
    at = hand._replace(points=np.array([[49.5, 99.5], [-0.5, 199.5]])).in_frame(10, 20)
    assert at.tolist() == [[4.5, 9.5], [-0.5, 19.5]]


def _changed(change):
    content = _content()
    change(content)
    return content


WRONG = {
    "not json": ("{", "not JSON"),
    "deep": ("[" * 100_000, "not JSON"),
    "a list": ([], "a list; expected"),
    "no images": ({"annotations": []}, "no list 'images'"),
    "row": ({"images": [3], "annotations": []}, r"images\[0\] is a int"),
    "empty": ({"images": [], "annotations": []}, "no annotations"),
    "width": (_changed(lambda c: c["images"][0].update(width="9")), "width is '9'"),
    "nan": (
        json.dumps(_content()).replace('"width": 100', '"width": NaN'),
        "width is 'nan'; expected a number",
    ),
    "zero": (_changed(lambda c: c["images"][0].update(height=0)), "100 x 0 pixels"),
    "id": (_changed(lambda c: c["images"][0].update(id=None)), "id is 'None'"),
    "unknown": (_changed(lambda c: c["annotations"][0].update(image_id="z")), "'z' is not among"),
    "twice": (_changed(lambda c: c["annotations"][1].update(image_id="a")), "a second hand"),
    "short": (_changed(lambda c: c["annotations"][0]["lefthand_kpts"].pop()), "not 21 times"),
    "word": (
        _changed(lambda c: c["annotations"][0]["lefthand_kpts"].__setitem__(0, "x")),
        "not 21 times",
    ),
    "none": (_changed(lambda c: c["annotations"][0].update(lefthand_kpts=[])), "0 hands"),
    "both": (
        _changed(lambda c: c["annotations"][0].update(righthand_kpts=[1] * 63)),
        "2 hands with key points",
    ),
    "outside": (
        _changed(lambda c: c["annotations"][0]["lefthand_kpts"].__setitem__(0, 101)),
        "outside 100 x 200",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_in_one_line_with_its_place(tmp_path, name):
    content, said = WRONG[name]
    path = _write(tmp_path, content)
    with pytest.raises(InputError, match=said) as raised:
        read_coco_hands(path)
    assert str(raised.value).startswith(str(path)) and "\n" not in str(raised.value)


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_coco_hands(tmp_path / "none.json")


@pytest.mark.skipif(not REAL.exists(), reason="needs the annotations of ../shared/data")
def test_the_annotated_hands_are_460_of_which_24_lie_as_right_hands():
    hands = read_coco_hands(REAL)
    right = np.array([hand.right for hand in hands.values()])
    lie = is_right_hand(np.stack([hand.points for hand in hands.values()]))
    assert (len(hands), right.sum()) == (460, 24)
    assert (right == lie).all()
