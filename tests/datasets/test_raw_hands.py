"""Files of hand films: where they may lie, and what their films are called."""

import hashlib
import zipfile

import pytest

from metabone.datasets.prepared_hands import is_safe_name
from metabone.datasets.raw_hands import open_raw_hands
from metabone.errors import InputError


def listed(path, **options):
    with open_raw_hands(path, **options) as raw:
        return raw, {name: raw.read(file) for name, file in zip(raw.names, raw.files, strict=True)}


@pytest.fixture
def loose(tmp_path, film):
    folder = tmp_path / "loose"
    for number, name in enumerate(["Doe^Jane.dcm", "a/x.png", "b/x.png", "b/X.PNG"]):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(film(number))
    return folder


def test_films_of_labels_are_called_by_their_id_in_each_layout(rsna_dir):
    raw, images = listed(rsna_dir)
    assert raw.names == tuple(str(100 + number) for number in range(6))
    assert raw.shown[0] == "100.png" and [row.id for row in raw.labels] == list(raw.names)
    with zipfile.ZipFile(rsna_dir / "images.zip", "w") as archive:
        for file in sorted((rsna_dir / "images").iterdir()):
            archive.write(file, file.name)
            file.rename(rsna_dir / file.name)
    (rsna_dir / "images").rmdir()
    zipped, again = listed(rsna_dir)
    (rsna_dir / "images.zip").unlink()
    beside, third = listed(rsna_dir)
    assert images == again == third
    assert raw.fingerprint == zipped.fingerprint == beside.fingerprint


def test_a_few_rows_without_a_film_stop_nothing(rsna_dir, film):
    rows = "".join(f"{n},120,F\n" for n in range(106, 111))
    for n in range(106, 110):
        (rsna_dir / "images" / f"{n}.png").write_bytes(film(n))
    (rsna_dir / "labels.csv").write_text((rsna_dir / "labels.csv").read_text() + rows)
    raw, _ = listed(rsna_dir)
    assert raw.names == tuple(str(n) for n in range(100, 110)) and len(raw.labels) == 11


def test_films_without_labels_are_called_by_what_their_files_hold(loose, film):
    raw, images = listed(loose)
    digests = {hashlib.sha256(film(number)).hexdigest()[:12]: film(number) for number in range(4)}
    assert images == {f"film-{digest}": data for digest, data in digests.items()}
    assert raw.shown == ("",) * 4 and raw.labels is None


def test_names_are_kept_where_that_is_asked_for_and_safe_and_told_apart(loose, film):
    (loose / "--é.png").write_bytes(film(8))
    raw, _ = listed(loose, keep_names=True)
    assert raw.names == ("_", "Doe_Jane", "x", "X-2", "x-3")
    assert all(map(is_safe_name, raw.names))
    assert raw.shown == raw.files and "a/x.png" in raw.shown


def test_files_of_the_same_bytes_are_told_apart(loose, film):
    (loose / "copy.png").write_bytes(film(1))
    name = f"film-{hashlib.sha256(film(1)).hexdigest()[:12]}"
    raw, _ = listed(loose)
    assert {name, f"{name}-2"} < set(raw.names)


def test_the_fingerprint_is_of_names_contents_labels_and_terms(rsna_dir, film):
    prints = [listed(rsna_dir)[0].fingerprint, listed(rsna_dir, keep_names=True)[0].fingerprint]
    (rsna_dir / "source.json").write_text('{"licence": "CC0"}')
    raw, _ = listed(rsna_dir)
    assert raw.stated.licence == "CC0"
    prints.append(raw.fingerprint)
    labels = (rsna_dir / "labels.csv").read_text()
    (rsna_dir / "labels.csv").write_text(labels.replace("100,60,F", "100,61,F"))
    prints.append(listed(rsna_dir)[0].fingerprint)
    (rsna_dir / "images" / "100.png").write_bytes(film(50))
    prints.append(listed(rsna_dir)[0].fingerprint)
    assert len(set(prints)) == 5
    assert prints[-1] == listed(rsna_dir)[0].fingerprint


def test_a_file_that_cannot_be_read_is_listed_all_the_same(tmp_path, film):
    path = tmp_path / "films.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("good.png", film(0))
        archive.writestr("bad.png", film(1))
    data = bytearray(path.read_bytes())
    data[data.index(film(1)[:60]) + 50] ^= 1
    path.write_bytes(data)
    with open_raw_hands(path) as raw:
        assert raw.files == ("bad.png", "good.png")
        with pytest.raises(InputError, match="damaged"):
            raw.read("bad.png")


def _rename(old, new):
    return lambda folder: (folder / old).rename(folder / new)


def _labels(old, new):
    def spoil(folder):
        text = (folder / "labels.csv").read_text()
        (folder / "labels.csv").write_text(text.replace(old, new))

    return spoil


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_rename("images/103.png", "images/x.png"), "holds no film of id '103'"),
        (_rename("images/103.png", "images/102.dcm"), "a second film of '102'"),
        (_labels("103,", "-103,"), "id '-103' of labels.csv is no safe name"),
        (_labels("103,", "..,"), "id '..' of labels.csv is no safe name"),
        (_labels("103,", "103/,"), "id '103/' of labels.csv is no safe name"),
        (lambda folder: (folder / "images.zip").touch(), "both images.zip and images/"),
        (lambda folder: (folder / "source.json").write_text("{"), "source.json: not JSON"),
        (lambda folder: [file.unlink() for file in (folder / "images").iterdir()], "no films"),
    ],
)
def test_labels_and_files_that_do_not_fit_are_one_line(spoil, message, rsna_dir, one_line):
    spoil(rsna_dir)
    with pytest.raises(InputError) as caught:
        listed(rsna_dir)
    one_line(caught, message)


def test_ids_that_differ_in_capitals_alone_are_refused(rsna_dir, film):
    _labels("103,", "a,")(rsna_dir)
    _labels("104,", "A,")(rsna_dir)
    _rename("images/103.png", "images/a.png")(rsna_dir)
    _rename("images/104.png", "images/A.png")(rsna_dir)
    with pytest.raises(InputError, match="nothing but capitals"):
        listed(rsna_dir)
