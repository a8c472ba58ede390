import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

from metabone.datasets.source import load_images, open_images
from metabone.errors import InputError


@pytest.fixture
def classes(tmp_path, film):
    """Three classes of two images, one of them an RGB JPEG."""
    for number, name in enumerate(["femur", "radius", "ulna"] * 2):
        folder = tmp_path / "classes" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.png").write_bytes(film(number))
    return tmp_path / "classes"


def load(path, data_dir, **options):
    return load_images(f"folder:{path}", data_dir=str(data_dir), **{"size": 16, **options})


def test_each_folder_is_a_class(classes, data_dir):
    images = load(classes, data_dir)
    assert images.class_names == ("femur", "radius", "ulna")
    assert images.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert images.images.shape == (6, 16, 16, 1) and images.images.dtype == np.uint8
    assert images.class_counts() == {"femur": 2, "radius": 2, "ulna": 2}
    assert images.provenance.kind == "real"


@pytest.mark.parametrize("wrap", ["", "bones/"])
def test_a_zip_with_or_without_a_folder_around_reads_the_same(classes, data_dir, tmp_path, wrap):
    path = tmp_path / "classes.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in classes.rglob("*.png"):
            archive.write(file, wrap + file.relative_to(classes).as_posix())
    zipped, plain = load(path, data_dir), load(classes, data_dir)
    np.testing.assert_array_equal(zipped.images, plain.images)
    assert zipped.class_names == plain.class_names
    assert zipped.provenance.sha256 == plain.provenance.sha256


def test_colour_conversions_are_counted_on_the_record(classes, data_dir, encode):
    rgb = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    (classes / "ulna" / "rgb.jpg").write_bytes(encode(rgb, "JPEG"))
    grey, colour = load(classes, data_dir), load(classes, data_dir, channels=3)
    assert "RGB to grey by ITU-R 601-2 luma (1 of 7 images)" in grey.provenance.conversions
    assert "grey repeated to RGB (6 of 7 images)" in colour.provenance.conversions
    assert colour.images.shape == (7, 16, 16, 3)


def test_folders_below_a_class_belong_to_it(classes, data_dir, film):
    (classes / "ulna" / "left").mkdir()
    (classes / "ulna" / "left" / "9.png").write_bytes(film(9))
    assert load(classes, data_dir).class_counts()["ulna"] == 3


def test_classes_and_counts_are_told(classes, data_dir, film, capsys):
    (classes / "ulna" / "9.png").write_bytes(film(9))
    load(classes, data_dir)
    told = f"folder:{classes}: 7 images of 3 classes: femur 2, radius 2, ulna 3\n"
    assert capsys.readouterr().err == told
    for number in range(9):
        (classes / f"x{number}").mkdir()
        (classes / f"x{number}" / "0.png").write_bytes(film(20 + number))
    load(classes, data_dir)
    assert capsys.readouterr().err.endswith(", x4 1, x5 1, x6 1, ...\n")


def test_litter_of_other_systems_and_texts_are_passed_over_on_the_record(
    classes, data_dir, film, capsys
):
    plain = load(classes, data_dir)
    capsys.readouterr()
    litter = ["Thumbs.db", "Desktop.ini", "Icon\r", "ehthumbs.db", "labels.csv", "README"]
    litter += ["lost+found/x", "$RECYCLE.BIN/x.png", "@eaDir/0.png/SYNOPHOTO_THUMB_M.jpg"]
    litter += [".thumbnails/0.png", "__MACOSX/._0.png"]
    for number, name in enumerate(litter):
        for place in (classes / name, classes / "ulna" / name):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(film(100 + number))
    images = load(classes, data_dir)
    assert images.class_counts() == {"femur": 2, "radius": 2, "ulna": 2}
    assert images.provenance.sha256 == plain.provenance.sha256
    note = (
        "passed over: $RECYCLE.BIN (2 files), .thumbnails (2 files), @eaDir (2 files), "
        "Desktop.ini (2 files), Icon (2 files), README (2 files), Thumbs.db (2 files), "
        "__MACOSX (2 files), ehthumbs.db (2 files), labels.csv (2 files), and 1 more"
    )
    assert note in images.provenance.conversions
    assert capsys.readouterr().err.endswith(f"; {note}\n")


def test_masks_and_thumbnails_below_a_class_are_no_images_of_it(tmp_path, data_dir, film):
    root = tmp_path / "covid"
    for label in ("COVID", "Normal"):
        for kind in ("images", "masks", "lung_masks", "thumbs"):
            (root / label / kind).mkdir(parents=True)
            for n in range(3):
                (root / label / kind / f"{n}.png").write_bytes(
                    film(len(label) * 100 + 10 * len(kind) + n)
                )
        for n, name in enumerate(["9.png", "9_mask.png", "9_mask_1.png", "8_mask.png"]):
            (root / label / name).write_bytes(film(len(label) * 50 + n))
    images = load(root, data_dir)
    # Nothing is known of 8_mask.png, as there is no 8.png.
    assert images.class_counts() == {"COVID": 5, "Normal": 5}
    assert images.provenance.conversions[0] == (
        "passed over: *_mask.png (4 files), lung_masks (6 files), masks (6 files), thumbs (6 files)"
    )


def test_a_class_called_masks_is_a_class(tmp_path, data_dir, film):
    for number, name in enumerate(["faces", "masks"]):
        (tmp_path / "x" / name).mkdir(parents=True)
        (tmp_path / "x" / name / "0.png").write_bytes(film(number))
    assert load(tmp_path / "x", data_dir).class_names == ("faces", "masks")


def lay_out(root, names, film):
    for number, name in enumerate(names):
        (root / name).mkdir(parents=True)
        (root / name / "0.png").write_bytes(film(number))
    return root


@pytest.mark.parametrize(
    ("tops", "below", "first"),
    [
        (["train", "val", "test"], ["A", "B"], "train"),
        (["fold_1", "fold_2"], ["A", "B"], "fold_1"),
        (["Training", "Testing"], ["A"], "Training"),
        (["site1", "site2"], ["A", "B"], "site1"),
    ],
)
@pytest.mark.parametrize("wrap", ["", "around/"])
def test_parts_above_the_classes_are_refused(tops, below, first, wrap, tmp_path, film, one_line):
    names = [f"{wrap}{top}/{name}" for top in tops for name in below]
    root = lay_out(tmp_path / "root", names, film)
    packed = shutil.make_archive(str(tmp_path / "packed"), "zip", root)
    for path, how in ((root, "give one part, such as folder:"), (packed, "unpack it and give one")):
        with pytest.raises(InputError) as caught:
            load(path, tmp_path / "prepared")
        given = f"folder:{path}/{wrap}{first}"
        one_line(caught, f"the same folders ({', '.join(below)}) stand below", how, given)
    if len(below) > 1:
        assert load(root / wrap / first, tmp_path / "prepared").class_names == tuple(below)


def test_a_part_that_lacks_a_class_is_a_part_all_the_same(tmp_path, film):
    names = ["train/A", "train/B", "test/A", "chest_xray/train"]
    with pytest.raises(InputError, match=r"the same folders \(A\) stand below test, train"):
        load(lay_out(tmp_path / "root", names, film), tmp_path / "prepared")


def test_parts_and_other_folders_below_classes_belong_to_the_class(tmp_path, data_dir, film):
    for at, names in enumerate([["A/train", "A/test", "B/train", "B/test"], ["A/l", "A/r", "B/l"]]):
        root = lay_out(tmp_path / str(at), names, film)
        assert load(root, data_dir).class_names == ("A", "B")
    root = lay_out(tmp_path / "mixed", ["A/l", "A/r", "B/l", "B/r"], film)
    (root / "A" / "9.png").write_bytes(film(9))
    assert load(root, data_dir).class_counts() == {"A": 3, "B": 2}


def test_copies_within_a_class_are_used_once_on_the_record(classes, data_dir, film, encode, capsys):
    plain = load(classes, data_dir)
    capsys.readouterr()
    shutil.copy(classes / "ulna" / "2.png", classes / "ulna" / "1.png")
    (classes / "ulna" / "left").mkdir()
    # Other bytes, the same pixels.
    (classes / "ulna" / "left" / "2.png").write_bytes(
        encode(np.asarray(Image.open(classes / "ulna" / "2.png")), compress_level=0)
    )
    images = load(classes, data_dir)
    assert images.class_counts() == {"femur": 2, "radius": 2, "ulna": 2}
    assert len(np.unique(images.images, axis=0)) == 6
    note = "2 copies of other images of their class left out"
    assert note in images.provenance.conversions and images.provenance.count == 6
    assert images.provenance.sha256 == plain.provenance.sha256
    told = f"folder:{classes}: 6 images of 3 classes: femur 2, radius 2, ulna 2; {note}\n"
    assert capsys.readouterr().err == told
    some = open_images(f"folder:{classes}", data_dir=str(data_dir), size=16)
    np.testing.assert_array_equal(some.read(np.arange(6)), images.images)


@pytest.mark.parametrize("wrap", ["", "bones/"])
def test_source_json_beside_the_classes_states_citation_and_terms(classes, data_dir, wrap):
    if wrap:
        around = classes.with_name("around")
        around.mkdir()
        classes = shutil.move(classes, around / "bones").parent
    assert load(classes, data_dir).provenance.licence == "not stated: the user's own images"
    (classes / wrap / "source.json").write_text('{"citation": "Doe (2020)"}')
    provenance = load(classes, data_dir).provenance
    assert provenance.citation == "Doe (2020)"
    assert provenance.licence == "not stated: the user's own images"


@pytest.mark.parametrize("packed", [False, True])
def test_pictures_of_other_formats_are_read_by_their_content(packed, tmp_path, data_dir, encode):
    rng = np.random.default_rng(0)
    greys = rng.integers(0, 256, (8, 16, 16), np.uint8)
    deep = greys[7].astype(np.uint16) * 257
    files = {
        "A/0.tif": encode(greys[0], "TIFF"),
        "A/1.BMP": encode(greys[1], "BMP"),
        "A/2.webp": encode(greys[2], "WEBP", lossless=True),
        "A/3.gif": encode(greys[3], "GIF"),
        "B/4.jfif": encode(np.full((16, 16), 90, np.uint8), "JPEG"),
        "B/5.png": encode(greys[5], "TIFF", compression="tiff_lzw"),
        "B/6": encode(greys[6]),
        "B/7.TIFF": encode(deep, "TIFF"),
    }
    root = tmp_path / "formats"
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    path = shutil.make_archive(str(root), "zip", root) if packed else root
    images = load(path, data_dir)
    greys[4] = 90
    np.testing.assert_array_equal(images.images[..., 0], greys)
    assert "16 to 8 bits by value / 257 (1 of 8 images)" in images.provenance.conversions
    opened = open_images(f"folder:{path}", size=16, channels=3, data_dir=str(data_dir))
    np.testing.assert_array_equal(opened.read(np.arange(8)), greys[..., None].repeat(3, -1))


def deep_films(root, encode, tops):
    """Class A holds a ramp up to each top, turned each time, class B noise of 12 bits."""
    for name in "AB":
        (root / name).mkdir(parents=True)
    for number, top in enumerate(tops):
        ramp = np.linspace(0, top, 256).round().astype(np.uint16).reshape(16, 16)
        (root / "A" / f"{number}.png").write_bytes(encode(np.rot90(ramp, number)))
    noise = np.random.default_rng(0).integers(0, 4096, (16, 16), np.uint16)
    (root / "B" / "0.png").write_bytes(encode(noise))
    return noise


def test_all_sixteen_bit_films_of_a_set_are_scaled_by_the_bits_that_it_uses(
    tmp_path, data_dir, encode, capsys
):
    # An under-exposed film stays darker than its neighbours.
    noise = deep_films(tmp_path / "x", encode, [4095, 2047, 900])
    images = load(tmp_path / "x", data_dir)
    assert images.images.max((1, 2, 3)).tolist()[:3] == [255, 127, 56]
    expected = np.floor(noise / 4095 * 255 + 0.5)
    assert np.abs(images.images[3, ..., 0] - expected).max() <= 1
    told = "4 images of 16 bits scaled by the 12 that the set uses"
    assert told in images.provenance.conversions
    assert capsys.readouterr().err.endswith(f"; {told}\n")
    assert "16 to 8 bits, of which 12 are used (4 of 4 images)" in images.provenance.conversions
    part = open_images(f"folder:{tmp_path / 'x'}", size=16, data_dir=str(data_dir)).keep([1, 2])
    assert part.whole().images.max() == part.read([0]).max() == 127


def test_full_range_films_are_read_beside_twelve_bits_and_the_dark_ones_told(
    tmp_path, data_dir, encode
):
    deep_films(tmp_path / "x", encode, [65535, 16383, 0])
    images = load(tmp_path / "x", data_dir)
    assert images.images.max((1, 2, 3)).tolist() == [255, 64, 0, 16]
    assert (
        "4 images of 16 bits scaled by the 16 that the set uses, of which 2 are dark: an eighth "
        "of that or less"
    ) in images.provenance.conversions


def test_ink_on_a_transparent_page_is_laid_over_white_unless_told(tmp_path, data_dir, encode):
    root = tmp_path / "ink"
    for number, name in enumerate("AB"):
        drawn = np.zeros((16, 16, 4), np.uint8)
        drawn[number : 4 + number, 4:9, 3] = 255
        (root / name).mkdir(parents=True)
        (root / name / "0.png").write_bytes(encode(drawn))
    images = load(root, data_dir)
    assert images.images[0, 0, 4, 0] == 0 and images.images[0, 9, 9, 0] == 255
    note = "transparency laid over {} (2 of 2 images)"
    assert note.format("white") in images.provenance.conversions
    (root / "A" / "1.png").write_bytes(encode(np.full((16, 16), 200, np.uint8)))
    (root / "source.json").write_text('{"transparency": "black"}')
    # All that is drawn in black on black is one picture.
    with pytest.raises(InputError, match="the same image under two labels"):
        load(root, data_dir)
    drawn[..., :3] = 255
    (root / "B" / "0.png").write_bytes(encode(drawn))
    images = load(root, data_dir)
    assert images.images[2, 1, 4, 0] == 255 and images.images[2, 9, 9, 0] == 0
    assert "transparency laid over black (2 of 3 images)" in images.provenance.conversions
    (root / "source.json").write_text('{"transparency": "grey"}')
    with pytest.raises(InputError, match="transparency is 'grey', expected white or black"):
        load(root, data_dir)


def test_a_picture_of_several_pages_is_one_line(classes, data_dir, one_line):
    page = Image.open(classes / "ulna" / "2.png")
    page.save(classes / "ulna" / "3.tif", save_all=True, append_images=[page])
    with pytest.raises(InputError) as caught:
        load(classes, data_dir)
    one_line(caught, "ulna/3.tif: more than one page; save each as a file of its own")
    assert not data_dir.exists()


def empty_class(folder, film):
    (folder / "wrist").mkdir()


def text_named_jpg(folder, film):
    (folder / "ulna" / "note.jpg").write_text("an ulna")


def other_file(folder, film):
    (folder / "ulna" / "note.txt").write_text("an ulna")


def image_outside(folder, film):
    (folder / "0.png").write_bytes(film(0))


def same_image_in_two_classes(folder, film):
    (folder / "ulna" / "copy.png").write_bytes((folder / "femur" / "0.png").read_bytes())


def one_class(folder, film):
    shutil.rmtree(folder / "femur")
    shutil.rmtree(folder / "radius")


def nothing(folder, film):
    one_class(folder, film)
    shutil.rmtree(folder / "ulna")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (empty_class, "class folder 'wrist' holds no images"),
        (text_named_jpg, "ulna/note.jpg: not a PNG, JPEG, TIFF, BMP, WebP or GIF image"),
        (other_file, "ulna/note.txt: not a PNG, JPEG, TIFF, BMP, WebP or GIF image"),
        (image_outside, "0.png: lies outside the classes"),
        (same_image_in_two_classes, "are the same image under two labels"),
        (one_class, "holds 1 class folders, expected two or more"),
        (nothing, "holds 0 class folders, expected two or more"),
    ],
)
def test_bad_folders_are_one_line(spoil, message, classes, data_dir, film, one_line):
    spoil(classes, film)
    with pytest.raises(InputError) as caught:
        load(classes, data_dir)
    one_line(caught, message, str(classes))
    assert not data_dir.exists()


def test_an_empty_class_in_a_zip_is_refused(classes, data_dir, tmp_path):
    empty_class(classes, None)
    path = shutil.make_archive(str(tmp_path / "packed"), "zip", classes)
    with pytest.raises(InputError, match="class folder 'wrist' holds no images"):
        load(path, data_dir)


def test_a_missing_folder_or_wrong_channels_are_named(classes, data_dir, tmp_path):
    with pytest.raises(InputError, match="nothing: no such file or folder"):
        load(tmp_path / "nothing", data_dir)
    with pytest.raises(InputError, match=r"channels must be 1 \(grey\) or 3 \(RGB\), not 2"):
        load(classes, data_dir, channels=2)
    assert not data_dir.exists()
