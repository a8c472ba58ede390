import numpy as np
import pytest

from metabone.datasets.combined import combine, read_class_table
from metabone.datasets.fingerprints import image_fingerprints
from metabone.datasets.images import ImageSet
from metabone.datasets.source import open_images
from metabone.errors import InputError
from metabone.provenance import Provenance


def source_of(name, classes, seed=0, size=4):
    """Noise in memory: a count of images for each class."""
    labels = np.repeat(np.arange(len(classes)), list(classes.values())).astype(np.int32)
    rng = np.random.default_rng((seed, *name.encode()))
    images = rng.integers(0, 256, (len(labels), size, size, 1), np.uint8)
    provenance = Provenance(name, "real", f"hash of {name}", len(labels), f"cite {name}", "open")
    return ImageSet(images, labels, tuple(classes), provenance)


def images_by_class(images):
    """Fingerprints of each class's images."""
    prints = np.asarray(image_fingerprints(images.whole().images))
    return {
        name: set(prints[images.labels == label]) for label, name in enumerate(images.class_names)
    }


LION, WOLF, FISH = "n00000001", "n00000002", "n00000003"


def test_a_class_with_the_same_wnid_stays_with_the_first_source_alone():
    first = source_of("folder:first", {LION: 2, WOLF: 3})
    second = source_of("folder:second", {LION: 4, FISH: 1})
    found = combine([first, second])
    assert found.class_names == (LION, WOLF, FISH)
    assert found.class_sources == (0, 0, 1)
    assert found.labels.tolist() == [0, 0, 1, 1, 1, 2] and found.labels.dtype == np.int32
    np.testing.assert_array_equal(found.whole().images[:5], first.images)
    np.testing.assert_array_equal(found.whole().images[5], second.images[4])
    assert [each._asdict() for each in found.dropped] == [
        {
            "class_name": LION,
            "source": "folder:second",
            "kept_as": LION,
            "kept_in": "folder:first",
            "count": 4,
        }
    ]
    assert found.provenances[0] == first.provenance
    assert found.provenances[1].count == 1
    assert found.provenances[1].conversions == (
        "1 classes (4 images) left out that folder:first has as well",
    )
    assert found.provenance.source == "folder:first + folder:second"
    assert found.provenance.count == len(found) == 6


def test_a_class_stays_with_the_first_of_three_sources():
    sources = [
        source_of("a", {WOLF: 1, LION: 2}),
        source_of("b", {LION: 3, FISH: 1}),
        source_of("c", {FISH: 5, LION: 1, "n00000009": 2}),
    ]
    found = combine(sources)
    assert found.class_names == (WOLF, LION, FISH, "n00000009")
    assert {(d.source, d.class_name, d.kept_in, d.count) for d in found.dropped} == {
        ("b", LION, "a", 3),
        ("c", FISH, "b", 5),
        ("c", LION, "a", 1),
    }


def test_the_table_says_which_other_names_are_the_same_class():
    first, second = source_of("first", {LION: 2}), source_of("second", {"lion": 3, "wolf": 1})
    found = combine([first, second], same={"lion": LION})
    assert found.class_names == (LION, "wolf")
    (dropped,) = found.dropped
    assert dropped == ("lion", "second", LION, "first", 3)
    # The other way round, and by a name that is no wnid.
    first = source_of("first", {LION: 2, FISH: 1})
    found = combine([second, first], same={"lion": LION})
    assert found.class_names == ("lion", "wolf", FISH)
    assert found.dropped == ((LION, "first", "lion", "second", 2),)
    found = combine([second, source_of("third", {"Loewe": 2, "x": 1})], same={"Loewe": "lion"})
    assert found.class_names == ("lion", "wolf", "x")
    assert found.dropped == (("Loewe", "third", "lion", "second", 2),)


def test_equal_names_that_are_no_wnids_are_told_apart_by_their_source():
    first = source_of("folder:first", {"crane": 2, "a": 1})
    second = source_of("folder:second", {"b": 1, "crane": 3})
    found = combine([first, second])
    assert found.class_names == ("folder:first/crane", "a", "b", "folder:second/crane")
    assert found.labels.tolist() == [0, 0, 1, 2, 3, 3, 3] and found.dropped == ()


def test_an_image_under_two_labels_of_two_sources_is_refused(one_line):
    first, second = source_of("first", {"a": 2, "b": 1}), source_of("second", {"c": 2, "d": 2})
    second.images[3] = first.images[1]
    with pytest.raises(InputError) as caught:
        combine([first, second])
    one_line(caught, "image 3 of second", "image 1 of first", "same image under two labels")


def test_a_file_under_two_labels_of_two_prepared_sources_is_refused(tmp_path, film, one_line):
    for number, name in enumerate(["one/a", "one/b", "two/c", "two/d"]):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "0.png").write_bytes(film(number))
    parts = [prepared(tmp_path, name) for name in ("one", "two")]
    assert combine(parts).class_names == ("a", "b", "c", "d")
    (tmp_path / "two" / "d" / "1.png").write_bytes(film(0))
    with pytest.raises(InputError) as caught:
        combine([parts[0], prepared(tmp_path, "two")])
    one_line(caught, "image 0 of folder:", "same image under two labels")


def prepared(tmp_path, name):
    return open_images(f"folder:{tmp_path / name}", size=8, data_dir=str(tmp_path / "prepared"))


@pytest.fixture
def both_kinds(tmp_path, film):
    """Two sources with a class in common, one in records and one in memory."""
    for number in range(6):
        folder = tmp_path / "one" / (LION, WOLF, FISH)[number % 3]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.png").write_bytes(film(number))
    records = prepared(tmp_path, "one")
    memory = source_of("memory", {"crane": 3, WOLF: 2, "gull": 2}, size=8)
    return combine([records, memory]), records, memory


def test_read_gives_rows_in_any_order_across_the_border_of_two_parts(both_kinds):
    found, records, memory = both_kinds
    expected = np.concatenate([records.whole().images, memory.images[[0, 1, 2, 5, 6]]])
    np.testing.assert_array_equal(found.whole().images, expected)
    for rows in ([5, 6], [6, 5], [10, 0, 7, 0, 5], [0, 1], [8], np.arange(11)[::-1], []):
        read = found.read(np.asarray(rows, int))
        assert read.dtype == np.uint8 and read.shape == (len(rows), 8, 8, 1)
        np.testing.assert_array_equal(read, expected[np.asarray(rows, int)])


@pytest.mark.parametrize("rows", [[0, 4, 5, 6, 9], [9, 6, 5, 4, 0], [1, 2], [6, 7, 10]])
def test_what_is_kept_reads_as_the_same_rows_of_the_whole(both_kinds, rows):
    found, _, _ = both_kinds
    kept = found.keep(np.asarray(rows))
    rows = np.sort(rows)
    assert len(kept) == len(rows) and len(kept.sha256s) == len(rows)
    np.testing.assert_array_equal(kept.whole().images, found.whole().images[rows])
    np.testing.assert_array_equal(kept.read(np.arange(len(rows))), found.read(rows))
    names = [found.class_names[label] for label in found.labels[rows]]
    assert [kept.class_names[label] for label in kept.labels] == names
    assert kept.labels.max() + 1 == len(kept.class_names) == len(kept.class_sources)
    assert [kept.class_sources[label] for label in kept.labels] == (rows >= 6).astype(int).tolist()
    assert kept.sha256s == tuple(found.sha256s[row] for row in rows)
    # What is kept of what was kept.
    again = kept.keep(np.array([len(rows) - 1]))
    np.testing.assert_array_equal(again.whole().images, found.read(rows[-1:]))


def test_no_image_is_lost_or_changes_its_class(both_kinds):
    found, records, memory = both_kinds
    alone = images_by_class(memory) | images_by_class(records)
    assert images_by_class(found) == alone


def test_classes_that_are_taken_are_dropped_whatever_the_order():
    first = source_of("first", {LION: 2, "wolf": 3, "crane": 1})
    found = combine([first], same={"wolf": WOLF}, taken={LION: "a run", WOLF: "a run", FISH: "it"})
    assert found.class_names == ("crane",)
    assert found.dropped == ((LION, "first", LION, "a run", 2), ("wolf", "first", WOLF, "a run", 3))
    (provenance,) = found.provenances
    assert provenance.conversions == ("2 classes (5 images) left out that a run has as well",)
    # A name that is no wnid tells nothing of what it names.
    assert combine([first], taken={"crane": "a run"}).class_names == (LION, "wolf", "crane")


def test_a_source_with_nothing_left_is_refused(one_line):
    first, second = source_of("first", {LION: 2, WOLF: 1}), source_of("second", {WOLF: 1, LION: 1})
    with pytest.raises(InputError) as caught:
        combine([first, second])
    one_line(caught, "second", "all of its classes")
    with pytest.raises(InputError, match="first"):
        combine([first], taken={LION: "a run", WOLF: "a run"})


def test_the_table_of_equal_classes_is_read_with_blanks_and_empty_lines(tmp_path):
    path = tmp_path / "same.csv"
    path.write_text('lion, n00000001\n\n"grey wolf",n00000002\n')
    assert read_class_table(path) == {"lion": LION, "grey wolf": WOLF}


def test_a_table_that_a_spreadsheet_saved_keeps_its_first_row(tmp_path):
    path = tmp_path / "same.csv"
    path.write_bytes(f"\ufefflion,{LION}\r\n".encode())
    first, second = (
        source_of("first", {"lion": 1, "cat": 1}),
        source_of("second", {LION: 1, "fish": 1}),
    )
    assert combine([first, second], read_class_table(path)).class_names == ("lion", "cat", "fish")


def test_rows_of_a_table_that_join_nothing_are_told(capsys):
    first = source_of("first", {"lion": 1, "cat": 1})
    second = source_of("second", {"panthera": 1, "fish": 1, "felis": 1})
    same = {"lion": "panthera", "cat": "a cat", "felis": "a cat"}
    both = combine([first, second], same)
    assert [each.class_name for each in both.dropped] == ["panthera", "felis"]
    assert capsys.readouterr().err == ""
    combine([first, second], {"lion": "panterha", "lionn": "fish", "cat": "felis"})
    assert capsys.readouterr().err == (
        "table of equal classes: 2 rows name no class at hand and are not used; the first is "
        "'lion,panterha'\n"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        (b"lion,n00000001\nwolf\n", "'wolf': expected two names"),
        (b"lion,\n", "'lion,': expected two names"),
        (b"lion,a,b\n", "'lion,a,b': expected two names"),
        (b"lion,n00000001\nlion,n00000002\n", "'lion' stands twice on the left"),
        (b"\xff\xfe,a\n", "cannot be read"),
        (b'"' + b"a" * 200_000 + b'",b\n', "cannot be read"),
    ],
    ids=["missing", "one cell", "empty cell", "three cells", "twice", "no text", "huge"],
)
def test_a_bad_table_of_equal_classes_is_one_line(tmp_path, content, message, one_line):
    path = tmp_path / "same.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_class_table(path)
    one_line(caught, str(path), message)
