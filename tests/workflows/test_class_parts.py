import numpy as np
import pytest
from PIL import Image

from experiments.benchmark import load_classes
from experiments.benchmark_settings import BenchmarkSettings
from metabone.workflows.class_parts import split_by_table

WNIDS = tuple(f"n0000000{number}" for number in range(7))
PART_OF = dict(zip(WNIDS, ["test", "train", "val", "train", "val", "test", "train"], strict=True))


@pytest.fixture
def mini(tmp_path):
    """mini-ImageNet as published, seven classes of two images."""
    root = tmp_path / "mini"
    (root / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for part in ("train", "val", "test"):
        lines = ["filename,label"]
        for wnid in (wnid for wnid, own in PART_OF.items() if own == part):
            for number in range(2):
                name = f"{wnid}{number:08d}.jpg"
                pixels = rng.integers(0, 256, (8, 8, 3), np.uint8)
                Image.fromarray(pixels).save(root / "images" / name)
                lines.append(f"{name},{wnid}")
        (root / f"{part}.csv").write_text("\n".join(lines) + "\n")
    return root


def test_the_benchmark_follows_the_split_that_its_source_is_published_in(mini, tmp_path, capsys):
    config = BenchmarkSettings(source=f"mini_imagenet:{mini}", ways=2, size=8, channels=3)
    names = load_classes(config, str(tmp_path / "prepared")).names
    assert {wnid: part for part, own in names.items() for wnid in own} == {
        wnid: "validation" if part == "val" else part for wnid, part in PART_OF.items()
    }
    assert capsys.readouterr().err.endswith(
        f"mini_imagenet:{mini}: its classes are parted as published: 2 test, 3 train, 2 val\n"
    )


def test_a_file_or_a_number_comes_before_the_published_split(tmp_path):
    table = tmp_path / "split.csv"
    table.write_text("".join(f"{wnid},train\n" for wnid in WNIDS))
    by_hash = split_by_table("", "x", WNIDS, 2, 0, validation=2, test=2)
    asked = split_by_table("", "x", WNIDS, 2, 0, validation=2, test=2, published=PART_OF)
    assert asked == by_hash
    filed = split_by_table(str(table), "x", WNIDS, 2, 0, published=PART_OF)
    assert filed == split_by_table(str(table), "x", WNIDS, 2, 0)
    assert filed["test"] != [0, 5]


def test_a_part_that_is_not_at_hand_is_taken_from_training_classes():
    known = {wnid: part for wnid, part in PART_OF.items() if part != "test"}
    split = split_by_table("", "x", tuple(known), 1, 0, published=known)
    assert split["validation"] == [1, 3]
    assert len(split["test"]) == 1 and len(split["train"]) == 2
    assert sorted(split["train"] + split["test"]) == [0, 2, 4]
