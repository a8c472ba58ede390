import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

from metabone.datasets.imagenet import TinyImagenet
from metabone.datasets.source import load_images
from metabone.errors import InputError

WNIDS = ("n01443537", "n01629819")
PARTS = {"train": ("n01532829", "n01558993"), "val": ("n01855672", "n02091244")}


def colour(encode, number):
    pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
    return encode(pixels, "JPEG")


def add(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


@pytest.fixture
def tiny(tmp_path, encode):
    """The official layout, three training images a class; val and test are not of this kind."""
    root = tmp_path / "tiny-imagenet-200"
    for number in range(6):
        wnid = WNIDS[number % 2]
        add(root / f"train/{wnid}/images/{wnid}_{number}.JPEG", colour(encode, number))
    for wnid in WNIDS:
        add(root / f"train/{wnid}/{wnid}_boxes.txt", b"box")
    # The same image as one of training's: were val read, this would be two labels.
    add(root / "val/images/val_0.JPEG", colour(encode, 0))
    add(root / "val/val_annotations.txt", b"val_0.JPEG\tn01443537\t0\t0\t62\t57\n")
    add(root / "test/images/test_0.JPEG", colour(encode, 1))
    add(root / "words.txt", b"n01443537\tgoldfish\n")
    add(root / "wnids.txt", b"n01443537\n")
    return root


@pytest.fixture
def mini(tmp_path, encode):
    """Two parts of two classes, two images each."""
    root = tmp_path / "mini"
    for start, (part, wnids) in enumerate(PARTS.items()):
        for number in range(4):
            data = colour(encode, 10 * start + number)
            add(root / part / wnids[number % 2] / f"{number}.jpg", data)
    return root


def pack(folder, path, inside=""):
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, f"{inside}{file.relative_to(folder).as_posix()}")
    return path


def load(kind, path, data_dir, **options):
    return load_images(f"{kind}:{path}", data_dir=str(data_dir), **{"size": 8, **options})


def test_tiny_imagenet_reads_alike_from_folder_and_zip(tiny, tmp_path, data_dir):
    images = load("tiny_imagenet", tiny, data_dir, channels=3)
    assert images.class_counts() == {WNIDS[0]: 3, WNIDS[1]: 3}
    assert images.images.shape == (6, 8, 8, 3)
    for name, inside in (("wrapped.zip", "tiny-imagenet-200/"), ("bare.zip", "")):
        packed = load("tiny_imagenet", pack(tiny, tmp_path / name, inside), data_dir, channels=3)
        np.testing.assert_array_equal(packed.images, images.images)
        assert packed.provenance.sha256 == images.provenance.sha256


def test_mini_imagenet_reads_alike_from_folders_and_zips(mini, tmp_path, data_dir):
    images = load("mini_imagenet", mini, data_dir)
    assert images.class_names == tuple(sorted(PARTS["train"] + PARTS["val"]))
    assert images.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    for name, wrap in (("wrapped", True), ("bare", False)):
        (tmp_path / name).mkdir()
        for part in PARTS:
            pack(mini / part, tmp_path / name / f"{part}.zip", f"{part}/" if wrap else "")
        packed = load("mini_imagenet", tmp_path / name, data_dir)
        np.testing.assert_array_equal(packed.images, images.images)
    shutil.rmtree(mini / "val")
    assert load("mini_imagenet", mini, data_dir).class_names == PARTS["train"]


@pytest.fixture
def published(tmp_path, encode):
    """The authors' layout: three images of each of six classes, two of them a part."""
    root = tmp_path / "published"
    parts = {**PARTS, "test": ("n01930112", "n01981276")}
    number = 0
    for part, wnids in parts.items():
        lines = ["filename,label"]
        for wnid in wnids:
            for at in range(3):
                name = f"{wnid}{at:08d}.jpg"
                add(root / "images" / name, colour(encode, number))
                lines.append(f"{name},{wnid}")
                number += 1
        # As Excel saves it: a BOM, lines that end twice.
        add(root / f"{part}.csv", "\r\n".join([*lines, ""]).encode("utf-8-sig"))
    return root


@pytest.mark.parametrize("inside", [None, "", "mini-imagenet/"])
def test_mini_imagenet_as_its_authors_publish_it_keeps_their_split(
    inside, published, tmp_path, data_dir
):
    path = published if inside is None else pack(published, tmp_path / "mini.zip", inside)
    images = load("mini_imagenet", path, data_dir, channels=3)
    tests = ("n01930112", "n01981276")
    assert images.class_counts() == dict.fromkeys((*PARTS["train"], *PARTS["val"], *tests), 3)
    assert images.class_parts == (
        dict.fromkeys(PARTS["train"], "train")
        | dict.fromkeys(PARTS["val"], "val")
        | dict.fromkeys(tests, "test")
    )
    expected = np.asarray(Image.open(published / "images" / "n0209124400000002.jpg"))
    np.testing.assert_array_equal(images.images[-1], expected)


def test_parts_in_zips_are_kept_as_well_and_one_alone_is_none(mini, data_dir):
    assert load("mini_imagenet", mini, data_dir).class_parts == (
        dict.fromkeys(PARTS["train"], "train") | dict.fromkeys(PARTS["val"], "val")
    )
    shutil.rmtree(mini / "val")
    assert load("mini_imagenet", mini, data_dir).class_parts == {}


def test_png_copies_of_mini_imagenet_are_read(mini, data_dir, encode):
    wnid = PARTS["train"][0]
    (mini / "train" / wnid / "0.jpg").unlink()
    add(mini / "train" / wnid / "0.PNG", encode(np.full((8, 8, 3), 9, np.uint8)))
    assert load("mini_imagenet", mini, data_dir).images[0].max() == 9


def test_lines_and_images_without_each_other_are_left_out_up_to_a_share(
    published, data_dir, encode
):
    with open(published / "train.csv", "a") as table:
        table.write("lost.jpg,n01532829\n")
    add(published / "images" / "spare.jpg", colour(encode, 99))
    images = load("mini_imagenet", published, data_dir)
    assert len(images) == 18
    assert images.provenance.conversions[1:3] == (
        "1 of 19 lines of tables have no image and are left out",
        "1 of 19 images stand in no table and are left out",
    )


def retable(table, text):
    def spoil(root):
        (root / table).write_text(text)

    return spoil


HEAD = "filename,label\n"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (retable("val.csv", "n01855672,x\n"), "val.csv: its first line must be filename,label"),
        (retable("val.csv", ""), "val.csv: its first line must be filename,label"),
        (retable("val.csv", HEAD + "a,b,c\n"), "val.csv, line 2: 'a,b,c': expected filename"),
        (retable("val.csv", HEAD + "../a,b\nc,b\n"), "line 2: no such file 'images/../a' (2 of 14"),
        (
            retable("val.csv", HEAD + "n0153282900000000.jpg,x\n"),
            "val.csv, line 2: 'n0153282900000000.jpg' stands in train.csv as well",
        ),
        (
            retable("val.csv", HEAD + "n0185567200000000.jpg,n01532829\n"),
            "class 'n01532829' stands in train.csv as well; parts share no class",
        ),
        (lambda root: (root / "test.csv").unlink(), "6 of 18 images stand in no table; at most"),
    ],
)
def test_tables_that_do_not_fit_are_one_line(spoil, message, published, data_dir, one_line):
    spoil(published)
    with pytest.raises(InputError) as caught:
        load("mini_imagenet", published, data_dir)
    one_line(caught, message, str(published))
    assert not data_dir.exists()


def test_an_ambiguous_image_is_left_out_on_the_record(tiny, data_dir, encode):
    # One image twice in 200 is one in a hundred, the largest share that passes.
    for number in range(6, 199):
        wnid = WNIDS[number % 2]
        add(tiny / f"train/{wnid}/images/{wnid}_{number}.JPEG", colour(encode, number))
    source = tiny / f"train/{WNIDS[0]}/images/{WNIDS[0]}_0.JPEG"
    shutil.copy(source, tiny / f"train/{WNIDS[1]}/images/copy.JPEG")
    assert TinyImagenet.AMBIGUOUS == 0.01
    images = load("tiny_imagenet", tiny, data_dir)
    assert len(images) == 198
    assert "2 images that stand under two labels left out" in images.provenance.conversions


def test_more_ambiguous_images_are_refused(tiny, data_dir, one_line):
    source = tiny / f"train/{WNIDS[0]}/images/{WNIDS[0]}_0.JPEG"
    shutil.copy(source, tiny / f"train/{WNIDS[1]}/images/copy.JPEG")
    with pytest.raises(InputError, match="same image under two labels") as caught:
        load("tiny_imagenet", tiny, data_dir)
    one_line(caught, "copy.JPEG", f"{WNIDS[0]}_0.JPEG")
    assert not data_dir.exists()


def test_an_ambiguous_image_of_one_s_own_is_always_refused(tmp_path, data_dir, encode):
    for number in range(199):
        add(tmp_path / f"own/{WNIDS[number % 2]}/{number}.jpg", colour(encode, number))
    add(tmp_path / f"own/{WNIDS[1]}/copy.jpg", colour(encode, 0))
    with pytest.raises(InputError, match="same image under two labels"):
        load("folder", tmp_path / "own", data_dir)


def stray(root):
    add(root / f"train/{WNIDS[0]}/images/notes.txt", b"fish")


def empty(root):
    (root / "train/n01641577/images").mkdir(parents=True)


def one_class(root):
    shutil.rmtree(root / "train" / WNIDS[0])


def no_train(root):
    shutil.rmtree(root / "train")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (stray, "notes.txt: expected only images at train/<wnid>/images/*.JPEG"),
        (empty, "class folder 'n01641577' holds no images"),
        (one_class, "holds one class, expected two or more"),
        (no_train, "holds no image at train/<wnid>/images/*.JPEG"),
    ],
)
def test_another_layout_is_one_line(spoil, message, tiny, data_dir, one_line):
    spoil(tiny)
    with pytest.raises(InputError) as caught:
        load("tiny_imagenet", tiny, data_dir)
    one_line(caught, message, str(tiny))
    assert not data_dir.exists()


def test_parts_of_mini_imagenet_must_be_there_once(mini, tmp_path, data_dir, one_line):
    pack(mini / "train", mini / "train.zip")
    with pytest.raises(InputError, match=r"has both train\.zip and train/") as caught:
        load("mini_imagenet", mini, data_dir)
    one_line(caught)
    with pytest.raises(InputError, match=r"holds none of train\.zip"):
        load("mini_imagenet", mini / "train", data_dir)
    with pytest.raises(InputError, match="no such folder"):
        load("mini_imagenet", tmp_path / "nothing", data_dir)
