import io
import json
import shutil

import numpy as np
import pytest
import tensorflow_datasets as tfds

from metabone.datasets.prepared import _Info, _quiet
from metabone.datasets.source import load_images, open_images
from metabone.errors import InputError

features = tfds.features


def pixels(number):
    return np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)


class Bones(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Two splits of images, as a user would have prepared them."""

    VERSION = tfds.core.Version("1.2.0")
    code_path = None

    def __init__(self, *, described, supervised, values, **options):
        self.described, self.supervised, self.values = described, supervised, values
        super().__init__(**options)

    def _info(self):
        return _Info(
            builder=self,
            features=features.FeaturesDict(self.described),
            supervised_keys=self.supervised,
            citation="Doe (2020).\nBones.",
            license="CC0",
        )

    def _split_generators(self, dl_manager):
        half = len(self.values) // 2
        return {"train": enumerate(self.values[:half]), "test": enumerate(self.values[half:])}

    def _generate_examples(self):
        raise NotImplementedError


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    return tmp_path / "tfds"


@pytest.fixture
def make(root, encode):
    """Prepares a data set; returns the folder of its version."""

    def make(described=None, supervised=("image", "label"), labels=(1, 0, 1, 0), **renamed):
        image, label = renamed.get("image", "image"), renamed.get("label", "label")
        described = described or {
            image: features.Image(shape=(None, None, 3)),
            label: features.ClassLabel(names=["ulna", "femur"]),
            "weights": features.Sequence(np.float32),
        }
        values = []
        for number, value in enumerate(labels):
            values.append({image: io.BytesIO(encode(pixels(number))), label: value})
            values[-1] |= {"weights": []} if "weights" in described else {}
        builder = Bones(described=described, supervised=supervised, values=values, data_dir=root)
        with _quiet():
            builder.download_and_prepare(file_format="array_record")
        return root / "bones" / "1.2.0"

    return make


def load(data_dir, name="bones", **options):
    options = {"size": 8, "channels": 3, **options}
    return load_images(f"tfds:{name}", data_dir=str(data_dir), **options)


def by_pixels(images):
    return {
        images.images[row].tobytes(): images.class_names[images.labels[row]] for row in range(4)
    }


EXPECTED = {pixels(number).tobytes(): ("femur", "ulna")[number % 2] for number in range(4)}


def test_all_splits_of_a_prepared_set_are_read(make, data_dir):
    make()
    images = load(data_dir)
    assert images.class_names == ("femur", "ulna")
    assert by_pixels(images) == EXPECTED
    assert images.provenance.source == "tfds:bones"
    assert (images.provenance.citation, images.provenance.licence) == ("Doe (2020). Bones.", "CC0")


def test_it_reads_as_the_same_images_in_a_folder(make, data_dir, tmp_path, encode):
    make()
    for number in range(4):
        file = tmp_path / "own" / ("femur", "ulna")[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encode(pixels(number)))
    own = open_images(f"folder:{tmp_path / 'own'}", size=8, data_dir=str(data_dir))
    assert open_images("tfds:bones", size=8, data_dir=str(data_dir)).provenance.sha256 == (
        own.provenance.sha256
    )


def test_supervised_keys_name_the_features(make, data_dir):
    described = {
        "film": features.Image(shape=(None, None, 3)),
        "bone": features.Text(),
    }
    labels = ("femur", "ulna", "femur", "ulna")
    make(described, ("film", "bone"), labels, image="film", label="bone")
    assert by_pixels(load(data_dir)) == EXPECTED


def test_without_supervised_keys_image_and_label_are_taken(make, data_dir):
    make(supervised=None)
    assert by_pixels(load(data_dir)) == EXPECTED


def test_labels_without_names_are_numbers(make, data_dir):
    described = {
        "image": features.Image(shape=(None, None, 3)),
        "label": features.ClassLabel(num_classes=12),
    }
    make(described, labels=(3, 11, 3, 11))
    assert load(data_dir).class_names == ("03", "11")


def test_config_and_version_are_found(make, root, data_dir, one_line):
    place = make()
    (root / "bones" / "left").mkdir()
    shutil.copytree(place, root / "bones" / "left" / "1.2.0")
    for name in ("bones:1.2.0", "bones/left", "bones/left:1.2.0"):
        assert len(load(data_dir, name)) == 4
    with pytest.raises(
        InputError, match=r"holds no version 2\.0\.0, but '1\.2\.0', 'left'"
    ) as caught:
        load(data_dir, "bones:2.0.0")
    one_line(caught)


@pytest.mark.parametrize("name", ["../x", "a/..", "/etc", "a:b", "a/b/c", "a\nb"])
def test_a_name_that_is_no_name_is_refused(name, root, data_dir, one_line):
    with pytest.raises(InputError, match="expected NAME, NAME/CONFIG") as caught:
        load(data_dir, name)
    one_line(caught)
    assert not data_dir.exists()


def test_what_is_not_prepared_is_not_downloaded(root, data_dir, one_line):
    with pytest.raises(InputError, match="prepare it first") as caught:
        load(data_dir, "mnist")
    one_line(caught, "array_record", "TensorFlow", "TFDS_DATA_DIR")
    assert not root.exists() and not data_dir.exists()


def edit(file, old, new):
    def spoil(place):
        text = (place / file).read_text()
        assert old in text
        (place / file).write_text(text.replace(old, new))

    return spoil


def truncate(place):
    for path in place.glob("*array_record*"):
        path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            edit("features.json", "tensorflow_datasets.core.features.text", "os.path"),
            "not tfds' own",
        ),
        (edit("features.json", "{", "["), "not a complete tfds data set"),
        (edit("dataset_info.json", '"array_record"', '"tfrecord"'), "expected array_record"),
        (lambda place: (place / "dataset_info.json").unlink(), "not a complete tfds data set"),
        (lambda place: (place / "features.json").unlink(), "not a complete tfds data set"),
        (truncate, "damaged record"),
    ],
)
def test_a_damaged_set_is_one_line(spoil, message, make, data_dir, one_line):
    described = {
        "image": features.Image(shape=(None, None, 3)),
        "label": features.Text(),
    }
    spoil(make(described, labels=("a", "b", "a", "b")))
    with pytest.raises(InputError) as caught:
        load(data_dir)
    one_line(caught, message)
    assert not data_dir.exists()


def test_a_label_beyond_range_is_refused(make, data_dir, one_line):
    described = {
        "image": features.Image(shape=(None, None, 3)),
        "label": features.ClassLabel(num_classes=12),
    }
    place = make(described, labels=(3, 11, 3, 11))
    edit("features.json", '"12"', '"5"')(place)
    with pytest.raises(InputError, match=r"a label beyond range 0\.\.4: 11") as caught:
        load(data_dir)
    one_line(caught)


@pytest.mark.parametrize(
    ("described", "message"),
    [
        ({"image": features.Text(), "label": features.Text()}, "'image' is no Image feature"),
        (
            {"image": features.Image(shape=(None, None, 3)), "label": features.Scalar(np.int64)},
            "neither a ClassLabel nor a Text",
        ),
        ({"image": features.Image(shape=(None, None, 3)), "age": features.Text()}, "no features"),
    ],
)
def test_other_features_are_refused(described, message, make, root, data_dir, one_line):
    # Only what describes the set is read before it is refused.
    place = make()
    features.FeaturesDict(described).save_metadata(place)
    (place / "features.json").write_text(json.dumps(features.FeaturesDict(described).to_json()))
    edit("dataset_info.json", '"supervisedKeys"', '"unknown"')
    info = json.loads((place / "dataset_info.json").read_text())
    del info["supervisedKeys"]
    (place / "dataset_info.json").write_text(json.dumps(info))
    with pytest.raises(InputError) as caught:
        load(data_dir)
    one_line(caught, message)
    assert not data_dir.exists()
