"""What a source holds, drops, converts and what in it is suspect."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image, ImageOps

from metabone.commands.check import COMMAND, CheckSettings
from metabone.commands.command import Call
from metabone.errors import InputError
from metabone.workflows.source_check import check_in_words, check_source


def picture(seed, side=64, mode="L"):
    rng = np.random.default_rng(seed)
    shape = (12, 12, 3) if mode == "RGB" else (12, 12)
    small = Image.fromarray(rng.integers(0, 256, shape).astype(np.uint8))
    return small.resize((side, side), Image.Resampling.BICUBIC)


@pytest.fixture
def folder(tmp_path):
    """Three classes of 4, 4 and 5 images."""
    for label, count in (("femur", 4), ("radius", 4), ("ulna", 5)):
        (tmp_path / "x" / label).mkdir(parents=True)
        for number in range(count):
            name = f"{number}.png"
            picture(100 * len(label) + number).save(tmp_path / "x" / label / name)
    return tmp_path / "x"


def look(place, **options):
    return check_source(f"folder:{place}", **{"shots": 2, "queries": 2, **options})


def test_a_source_without_faults_is_told_in_a_screen_and_is_fine(folder):
    found = look(folder)
    assert found.classes == {"femur": 4, "radius": 4, "ulna": 5} and found.images == 13
    assert found.holds == (
        "labelled images: 13 images of 3 classes: femur 4, radius 4, ulna 5",
        "patients: not told apart",
        "width and height: 64x64",
        "stored as PNG L (13)",
    )
    assert found.drops == found.suspects == found.near_copies == ()
    lines = check_in_words(found)
    assert lines[0] == f"folder:{folder}" and len(lines) <= 24
    assert lines[-1] == "  Verdict:  fine: nothing found that deserves a second look"
    assert "all 78 pairs of 13 different images" in found.compared


def test_what_is_passed_over_is_told_as_its_reader_tells_it(folder):
    (folder / "Thumbs.db").write_bytes(b"x")
    (folder / "ulna" / "masks").mkdir()
    picture(1).save(folder / "ulna" / "masks" / "0.png")
    assert look(folder).drops == ("passed over: Thumbs.db, masks",)


def test_all_files_that_cannot_be_read_are_counted_and_three_named(folder):
    for number in range(4):
        (folder / "ulna" / f"bad{number}.png").write_bytes(b"no image")
    found = look(folder)
    (told,) = found.suspects
    assert told.startswith("4 images that cannot be read, for which the source is refused: ")
    assert all(f"bad{n}.png: not a" in told for n in range(3)) and told.endswith(", ...")
    assert "bad3" not in told and found.images == 13


def test_copies_are_told_by_what_they_contradict(folder):
    shutil.copy(folder / "ulna/0.png", folder / "ulna/9.png")
    found = look(folder)
    same = "ulna/0.png = ulna/9.png"
    assert found.drops == (f"1 copy of other images of their class, left out: {same}",)
    assert found.suspects == ()
    # Other bytes, the same pixels, as colours.
    Image.open(folder / "ulna/1.png").convert("RGB").save(folder / "femur/9.png")
    assert look(folder).suspects == (
        "1 set of identical images that stand under two labels, for which the source is refused: "
        "femur/9.png = ulna/1.png",
    )


def test_near_copies_are_told_with_classes_and_parts_those_between_classes_first(folder, tmp_path):
    for part in ("train", "test"):
        (tmp_path / "parted" / part).mkdir(parents=True)
        for label in ("femur", "radius", "ulna"):
            (tmp_path / "parted" / part / label).mkdir()
    parted = tmp_path / "parted"
    for file in folder.rglob("*.png"):
        shutil.copy(file, parted / "train" / file.relative_to(folder))
    for number in range(4):
        for label in ("femur", "radius", "ulna"):
            picture(900 + 10 * len(label) + number).save(parted / f"test/{label}/{number}.png")
    shown = Image.open(folder / "ulna/0.png")
    shown.save(parted / "test/ulna/jpeg.jpg", quality=50)
    ImageOps.invert(Image.open(folder / "radius/1.png")).save(parted / "train/femur/negative.png")
    Image.open(folder / "femur/2.png").resize((32, 32)).save(parted / "train/femur/half.png")
    found = look(parted)
    (told,) = found.suspects
    assert told == (
        "3 pairs of near copies, 1 between classes, 1 between parts, 1 inverted: "
        "train/femur/negative.png ~ train/radius/1.png (femur and radius), "
        "test/ulna/jpeg.jpg ~ train/ulna/0.png (test and train), "
        "train/femur/2.png ~ train/femur/half.png"
    )
    assert [pair.inverted for pair in found.near_copies].count(True) == 1
    assert found.holds[1] == "parts: test 13, train 15"
    alone = look(parted, part="train")
    assert alone.images == 15 and alone.suspects[0].startswith("2 pairs of near copies")
    with pytest.raises(InputError, match="no part 'dev'; its parts are test, train"):
        look(parted, part="dev")
    with pytest.raises(InputError, match="no part 'train'; it has no parts"):
        look(folder, part="train")


def test_conversions_are_counted(folder):
    deep = (np.asarray(picture(1)).astype(np.uint16) * 16) + 15
    Image.fromarray(deep).save(folder / "ulna/deep.png")
    picture(2, mode="RGB").convert("P", palette=Image.Palette.ADAPTIVE).save(
        folder / "ulna/palette.png"
    )
    clear = picture(3, mode="RGB")
    clear.putalpha(picture(4))
    clear.save(folder / "ulna/clear.png")
    assert look(folder).converts == (
        "1 images of 16 bits scaled by the 12 that the set uses",
        "transparency laid over white (1 of 16 images)",
        "colours to grey by luma where one channel is asked for (2 of 16)",
        "grey repeated to RGB where three channels are asked for (14 of 16)",
        "padded with black to a square, LANCZOS to the size that is asked for",
    )


def test_flat_images_and_classes_too_small_or_unlike_are_told(folder):
    Image.new("L", (64, 64), 7).save(folder / "radius/flat.png")
    for number in range(40):
        picture(1000 + number, side=16).save(folder / f"ulna/more{number}.png")
    found = look(folder, shots=2, queries=3)
    assert found.suspects == (
        "1 image of one grey or nearly: radius/flat.png",
        "1 class with fewer than the 5 images of 2 shots and 3 queries: femur 4",
        "classes of unlike size: ulna 45, femur 4",
    )
    assert "width and height: 16x16 to 64x64" in found.holds


def test_films_of_a_table_tell_patients_and_copies_across_them(folder, tmp_path):
    shutil.copy(folder / "ulna/0.png", folder / "ulna/9.png")
    rows = [f"x/{file.relative_to(folder)}" for file in sorted(folder.rglob("*.png"))]
    lines = [f"{row},{row.split('/')[1]},P{number // 2}" for number, row in enumerate(rows)]
    (tmp_path / "films.csv").write_text("\n".join(["file,label,patient", *lines]))
    found = check_source(str(tmp_path / "films.csv"), shots=2, queries=2)
    assert found.holds[1] == "patients: 7, each with 2 images"
    assert found.suspects == (
        "1 set of identical images that stand under two patients: x/ulna/0.png = x/ulna/9.png",
    )
    assert check_source(str(folder), shots=2, queries=2).holds[0].startswith("labelled films: 14")


def test_hands_tell_ages_and_a_film_of_two_ages(tmp_path):
    (tmp_path / "images").mkdir()
    for number in range(12):
        picture(number).save(tmp_path / "images" / f"{number}.png")
    shutil.copy(tmp_path / "images/3.png", tmp_path / "images/4.png")
    rows = [f"{number},{60 + 10 * number}" for number in range(12)]
    (tmp_path / "labels.csv").write_text("\n".join(["id,boneage", *rows]))
    found = check_source(f"rsna:{tmp_path}", shots=1, queries=1)
    assert "ages: 60 to 170 months" in found.holds
    assert found.suspects[0] == (
        "1 set of identical images that stand under two ages, for which the source is refused: "
        "3.png = 4.png"
    )


def test_arrays_of_a_source_in_parts_are_read_by_their_reader(tmp_path):
    images = np.stack([np.asarray(picture(n, 28)) for n in range(8)])
    labels = np.array([[0], [1]] * 4)
    arrays = {"train_images": images, "train_labels": labels}
    arrays |= {"test_images": images[:2], "test_labels": labels[:2]}
    np.savez(tmp_path / "x.npz", **arrays)
    found = check_source(f"medmnist:{tmp_path / 'x.npz'}", shots=1, queries=1)
    assert found.holds[1] == "parts: test 2, train 8"
    assert found.drops[0] == "2 of 2 images of test are copies of images of train"
    assert found.suspects == (
        "2 sets of identical images that stand under two parts: "
        "train_images[000000] = test_images[000000], train_images[000001] = test_images[000001]",
    )


def test_a_source_that_cannot_be_used_at_all_is_refused(folder, tmp_path):
    with pytest.raises(InputError, match="unknown source"):
        check_source("folders:x")
    with pytest.raises(InputError, match="expected 1 or more"):
        look(folder, shots=0)
    for file in folder.rglob("*.png"):
        file.write_bytes(b"x")
    with pytest.raises(InputError, match="no image can be read; the first: "):
        look(folder)


def test_the_command_ends_in_one_where_something_is_suspect(folder, capsys):
    def call(**settings):
        config = CheckSettings(source=(f"folder:{folder}",), shots=2, queries=2, **settings)
        return COMMAND.main(Call(COMMAND, config, (), ""))

    assert call() == 0
    assert capsys.readouterr().out.endswith("nothing found that deserves a second look\n")
    Image.open(folder / "ulna/0.png").resize((32, 32)).save(folder / "femur/half.png")
    assert call(json=True) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["verdict"] == "look again: 1 thing deserves a second look"
    assert told["near_copies"][0]["labels"] == ["femur", "ulna"]
    with pytest.raises(InputError, match="expected one source, not 0"):
        COMMAND.main(Call(COMMAND, CheckSettings(), (), ""))
