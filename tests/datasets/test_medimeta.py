import shutil
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from metabone.datasets.medimeta import is_ordered, list_medimeta
from metabone.datasets.source import load_images
from metabone.errors import InputError
from metabone.workflows.source_check import check_source

INFO = """
id: eyes
name: Eyes
tasks:
  - task_name: DR level
    task_target: ORDINAL_REGRESSION
    labels:
      0: none
      4: Légère
      10: severe
  - task_name: "shows a vessel"
    task_target: BINARY_CLASSIFICATION
    labels:
      0: no
      1: yes
  - task_name: findings
    task_target: MULTILABEL_CLASSIFICATION
    labels:
      0: cyst
      1: scar
input_size: [3,8,8]
total_num_samples: 6
license: "CC BY-SA 4.0"
original_data:
    - name: ours
      citations:
          - "A. Author, Eyes
          of many (2020)"
"""
LEVELS = (10, 0, 4, 0, 10, 0)
VESSELS = (0, 1, 1, 0, 1, 0)
NAMES = {0: "00 none", 4: "04 Légère", 10: "10 severe"}


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), np.uint8)


@pytest.fixture
def eyes(tmp_path, pixels, encode):
    """A set as its authors' writer leaves it."""
    root = tmp_path / "eyes"
    for folder in ("images", "splits", "task_labels", "original_splits"):
        (root / folder).mkdir(parents=True)
    for row, image in enumerate(pixels):
        (root / f"images/{row:06d}.tiff").write_bytes(encode(image, "TIFF"))
    with h5py.File(root / "images.hdf5", "w") as file:
        file.create_dataset("images", data=pixels)
    for part, rows in {"train": (0, 1, 2), "val": (3,), "test": (4, 5)}.items():
        lines = "\n".join(f"images/{row:06d}.tiff" for row in rows)
        (root / f"splits/{part}.txt").write_text(lines)
    np.save(root / "task_labels/DR level", LEVELS)
    np.save(root / "task_labels/shows a vessel", VESSELS)
    np.save(root / "task_labels/findings", np.eye(6, 2, dtype=int))
    rows = [f"images/{row:06d}.tiff,{'ppq'[row // 2]}{'' if row < 4 else 'r'}" for row in range(5)]
    table = ["filepath,patient_id", *rows, "images/000005.tiff,"]
    (root / "annotations.csv").write_text("\n".join(table) + "\n")
    (root / "info.yaml").write_text(INFO, encoding="utf-8")
    (root / "LICENSE").write_text("terms")
    return root


def load(path, data_dir):
    return load_images(f"medimeta:{path}", size=8, channels=3, data_dir=str(data_dir))


def same(one, other):
    np.testing.assert_array_equal(one.images, other.images)
    assert one.class_names == other.class_names and one.labels.tolist() == other.labels.tolist()
    assert one.provenance.sha256 == other.provenance.sha256


def test_a_task_s_images_come_in_its_classes_and_with_their_patients(eyes, pixels, data_dir):
    images = load(eyes / "DR level", data_dir)
    order = [1, 3, 5, 2, 0, 4]
    np.testing.assert_array_equal(images.images, pixels[order])
    assert images.class_names == tuple(NAMES.values())
    assert images.labels.tolist() == [0, 0, 0, 1, 2, 2]
    assert images.patients.tolist() == ["p", "p", "of images/000005.tiff", "p", "p", "qr"]
    assert images.provenance.licence == "CC BY-SA 4.0"
    assert images.provenance.citation.endswith("A. Author, Eyes of many (2020)")
    assert is_ordered(eyes / "DR level") and not is_ordered(eyes / "shows a vessel")


def test_words_that_yaml_takes_for_truths_stay_the_names_of_classes(eyes, pixels, data_dir):
    images = load(eyes / "shows a vessel", data_dir)
    assert images.class_names == ("no", "yes")
    np.testing.assert_array_equal(images.images, pixels[[0, 3, 5, 1, 2, 4]])


def test_a_zip_a_zip_around_the_folder_and_hdf5_alone_hold_the_same(eyes, tmp_path, data_dir):
    plain = load(eyes / "DR level", data_dir)
    for place, archive in ((eyes, "flat"), (tmp_path, "wrapped")):
        path = tmp_path / f"{archive}.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as written:
            for file in sorted(eyes.rglob("*")):
                written.write(file, file.relative_to(place))
        same(load(path / "DR level", data_dir), plain)
    shutil.rmtree(eyes / "images")
    same(load(eyes / "DR level", data_dir), plain)


def test_splits_and_patients_are_seen_by_the_check_of_a_source(eyes):
    found = check_source(f"medimeta:{eyes}/DR level", shots=1, queries=1)
    assert found.classes == {"00 none": 3, "04 Légère": 1, "10 severe": 2}
    assert "parts: test 2, train 3, val 1" in found.holds
    assert any(said.startswith("1 patient in several parts: p") for said in found.suspects)


def test_a_set_without_splits_has_no_parts_and_one_task_needs_no_name(eyes):
    shutil.rmtree(eyes / "splits")
    (eyes / "annotations.csv").unlink()
    tasks = INFO.split("  - task_name")
    (eyes / "info.yaml").write_text("  - task_name".join(tasks[:2] + tasks[3:]), encoding="utf-8")
    with list_medimeta(eyes) as (_, listing):
        assert listing.parts == listing.groups == {}
        assert list(listing.files.values()) == [NAMES[level] for level in LEVELS]


KNOWN = "tasks of one label an image are 'DR level', 'shows a vessel'"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", f"its {KNOWN}; give one, such as medimeta:"),
        ("/findings", f"task 'findings' is multilabel classification; its {KNOWN}"),
        ("/DR", f"holds no task 'DR'; its {KNOWN}"),
        ("/images", "images holds no info.yaml"),
        ("/images/x", "images/x: no such file or folder, and"),
        ("/y/x", "y: no such file or folder"),
    ],
)
def test_a_path_without_a_task_that_can_be_read_is_told_which_there_are(eyes, name, said, one_line):
    with pytest.raises(InputError) as caught, list_medimeta(Path(f"{eyes}{name}")):
        pass
    one_line(caught, said)


def info(old, new):
    return lambda root: (root / "info.yaml").write_text(INFO.replace(old, new), encoding="utf-8")


def levels(*values):
    return lambda root: np.save(root / "task_labels/DR level", values)


def hdf5(**options):
    def write(root):
        shutil.rmtree(root / "images")
        with h5py.File(root / "images.hdf5", "w") as file:
            file.create_dataset("images", **options)

    return write


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (info("tasks:", "tasks: ["), "info.yaml: not YAML"),
        (info("tasks:", "task:"), "expected a mapping with a list of tasks"),
        (info("task_target", "target"), "a task without task_name or task_target"),
        (info("4: Lé", "four: Lé"), "label 'four': expected a number with the name of a class"),
        (info("Légère", "none"), "2 labels called 'none'"),
        (info("10: severe", "9: severe"), "label 0 is 10, expected one of 0, 4, 9"),
        (info("name: Eyes", "name: &a [" + "[" * 9999), "not YAML"),
        (info("name: Eyes", "x" * 2**18), "above the limit of 256 KiB"),
        (levels(0, 4), "has no label; 6 images and 2 labels"),
        (levels(0, 0, 0, 0, 0, 0), "labels of 1 classes"),
        (levels((0, 4), (4, 0)), "labels of shape (2, 2), expected one label an image"),
        (levels(0.5, 4), "of type float64, expected bool or whole numbers"),
        (lambda root: np.save(root / "task_labels/DR level", [{}]), "of type object"),
        (lambda root: (root / "task_labels/DR level.npy").unlink(), "DR level.npy: no such file"),
        (lambda root: (root / "images/000003.tiff").unlink(), "000003.tiff: is missing"),
        (lambda root: (root / "splits/val.txt").unlink(), "1 images in none; first images/000003"),
        (lambda root: (root / "splits/val.txt").write_text("a"), "'a' is none of the images"),
        (
            lambda root: (root / "splits/val.txt").write_text("images/000004.tiff"),
            "images/000004.tiff is in val as well",
        ),
        (lambda root: (root / "annotations.csv").write_bytes(b"\xff"), "not a CSV file"),
        (hdf5(shape=(6, 8, 8), dtype="u1", chunks=(1, 8, 8)), "no 'images' in one plain block"),
        (hdf5(shape=(6, 8, 8), dtype="u1"), "no 'images' in one plain block"),
        (hdf5(data=np.zeros((6, 8, 8))), "'images' of float64 and shape (6, 8, 8)"),
        (hdf5(data=np.zeros((5, 8, 8), np.uint8)), "5 images and 6 labels"),
    ],
)
def test_another_layout_is_refused_in_one_line(eyes, spoil, said, one_line):
    spoil(eyes)
    with pytest.raises(InputError) as caught, list_medimeta(eyes / "DR level"):
        pass
    one_line(caught, said)


def test_a_folder_of_several_sets_asks_for_one(eyes, tmp_path, one_line):
    shutil.copytree(eyes, tmp_path / "ears")
    with pytest.raises(InputError) as caught, list_medimeta(tmp_path):
        pass
    one_line(caught, "holds several sets (ears, eyes); give one, such as medimeta:")
