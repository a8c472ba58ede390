"""The folder of prepared hands, as it was written, as a person edited it, and as a foe did."""

import json

import numpy as np
import pytest

from metabone.datasets.prepared_hands import FilmRow, films_text, is_safe_name, read_prepared
from metabone.errors import InputError
from tests.datasets.hand_folders import ABOUT, edit, hand, write_hands


@pytest.fixture
def folder(tmp_path):
    return write_hands(tmp_path / "hands", refused=(2,))


def test_what_was_written_is_read(folder):
    prepared = read_prepared(folder)
    assert prepared.names == ("h0", "h1", "h2", "h3")
    assert prepared.usable.tolist() == [True, True, False, True]
    assert prepared.sexes == ("F", "M", "F", "M") and prepared.patients == prepared.names
    assert prepared.refusals == {"h2": "no hand: unsure by 2 %"}
    assert not prepared.corrected.any() and (prepared.uncertainty == np.float32(0.02)).all()
    for number, name in enumerate(prepared.names):
        film, points = hand(number)
        np.testing.assert_array_equal(prepared.read_film(name), film)
        np.testing.assert_array_equal(prepared.points[number], points)


def test_a_moved_point_is_taken_as_it_stands_and_makes_a_refused_film_usable(folder):
    x, y = read_prepared(folder).points[2, 11]
    edit(folder, "points.csv", f"h2,middle DIP,{x!s},{y!s},", "h2,middle DIP,99.5,40,")
    prepared = read_prepared(folder)
    assert prepared.corrected.tolist() == [False, False, True, False]
    assert prepared.usable.all() and not prepared.refusals
    assert prepared.points[2, 11].tolist() == [99.5, 40.0]


def test_a_spreadsheet_may_write_semicolons_decimal_commas_and_another_order(folder):
    plain = read_prepared(folder)
    head, *lines = (folder / "points.csv").read_text().splitlines()
    foreign = [line.replace(",", ";").replace(".", ",") for line in [head, *reversed(lines)]]
    (folder / "points.csv").write_bytes("\r\n".join(foreign).encode("utf-8-sig"))
    again = read_prepared(folder)
    np.testing.assert_array_equal(again.points, plain.points)
    assert not again.corrected.any()


def test_the_status_of_a_film_is_a_persons_to_change(folder):
    edit(folder, "films.csv", "h2,,refused", "h2,,usable")
    edit(folder, "films.csv", "h0,,usable", "h0,,refused")
    prepared = read_prepared(folder)
    assert prepared.usable.tolist() == [False, True, True, True]
    assert prepared.refusals == {"h0": "refused"}


def test_films_of_one_patient_are_told_to_be_so(tmp_path):
    rows = [FilmRow(f"h{n}", status="usable", patient="1" if n < 2 else "") for n in range(3)]
    prepared = read_prepared(write_hands(tmp_path / "x", count=3, rows=rows))
    assert prepared.patients == ("patient 1", "patient 1", "h2")


def test_no_cell_of_a_film_begins_as_a_formula():
    text = films_text([FilmRow("a", file="=1+1.png", warnings="-x")])
    assert "'=1+1.png" in text and "'-x" in text


@pytest.mark.parametrize(
    "name", ["", "..", ".a", "-a", "a/b", "a\\b", "a b", "ä", "a" * 101, "a\n"]
)
def test_names_that_are_no_file_of_the_folder_are_none(name):
    assert not is_safe_name(name)
    assert is_safe_name("1377") and is_safe_name("_a-b.c")


def _about(**changes):
    return lambda folder: (folder / "prepared.json").write_text(json.dumps(ABOUT | changes))


def _replace(name, old, new):
    return lambda folder: edit(folder, name, old, new)


def _bytes(name, data):
    return lambda folder: (folder / name).write_bytes(data)


def _less(name):
    return lambda folder: (folder / name).unlink()


def _link(name, to):
    def spoil(folder):
        (folder / name).unlink()
        (folder / name).symlink_to(to)

    return spoil


def _twice(folder):
    lines = (folder / "points.csv").read_text().splitlines()
    (folder / "points.csv").write_text("\n".join([*lines, lines[1]]))


def _all_one(folder):
    lines = (folder / "points.csv").read_text().splitlines()
    same = [
        ",".join([*line.split(",")[:2], "5", "5", *line.split(",")[4:]])
        if line.startswith("h1,")
        else line
        for line in lines
    ]
    (folder / "points.csv").write_text("\n".join(same))


BAD = {
    "unfinished": (_less("prepared.json"), "no prepared hands"),
    "not json": (_bytes("prepared.json", b"{"), "prepared.json: not JSON"),
    "deep json": (_bytes("prepared.json", b"[" * 50_000), "prepared.json: not JSON"),
    "long json": (_bytes("prepared.json", b" " * 70_000), "prepared.json: above the limit"),
    "a list": (_bytes("prepared.json", b"[1]"), "not of format 1"),
    "later format": (_about(format=2), "not of format 1"),
    "no weights": (_about(key_points=None), "prepared.json: expected the text of"),
    "weights of numbers": (_about(key_points={"name": 1, "sha256": 2}), "expected the text of"),
    "lines in a text": (_about(citation="a\nb"), "expected the text of"),
    "unknown regions": (_about(regions="toes"), "regions 'toes': expected one of"),
    "films missing": (_less("films.csv"), "films.csv: no such file"),
    "films no text": (_bytes("films.csv", b"\xff\xfe"), "films.csv: not a text file"),
    "films without column": (_replace("films.csv", "status", "state"), "must name status once"),
    "a name that leads out": (_replace("films.csv", "h1,,", "../h1,,"), "is no film's name"),
    "a name twice": (_replace("films.csv", "h1,,", "h0,,"), "line 3: h0 is there twice"),
    "unknown status": (_replace("films.csv", "h1,,usable", "h1,,good"), "line 3: status 'good'"),
    "unknown sex": (
        _replace("films.csv", "h1,,usable,,,,,,,,,,,M", "h1,,usable,,,,,,,,,,,X"),
        "sex 'X'",
    ),
    "cells missing": (_bytes("films.csv", films_text([]).encode() + b"h0,x\n"), "another number"),
    "quote left open": (_bytes("films.csv", films_text([]).encode() + b'"h0'), "films.csv, line"),
    "a long cell": (_replace("films.csv", "h1,,", "h1," + "x" * 2001 + ","), "too long"),
    "a bell in a cell": (_replace("films.csv", "h1,,", "h1,\a,"), "cannot be printed"),
    "points missing": (_less("points.csv"), "points.csv: no such file"),
    "points of nobody": (_replace("films.csv", "h1,,", "h9,,"), "no readable film 'h1'"),
    "unknown point": (
        _replace("points.csv", "h1,ring tip", "h1,ring toe"),
        "'ring toe' is none of",
    ),
    "a point missing": (
        lambda f: (f / "points.csv").write_text(
            "\n".join((f / "points.csv").read_text().split("\n")[:-2])
        ),
        "little tip of h3 is missing",
    ),
    "a point twice": (_twice, "wrist of h0 is there twice"),
    "all points one": (_all_one, "the points of h1 are all one"),
    "points link": (_link("points.csv", "/etc/passwd"), "points.csv: a link"),
}


@pytest.mark.parametrize("spoil", [pytest.param(case, id=name) for name, case in BAD.items()])
def test_a_spoilt_folder_is_one_line(spoil, folder, one_line):
    action, message = spoil
    action(folder)
    with pytest.raises(InputError) as caught:
        read_prepared(folder)
    one_line(caught, message)


@pytest.mark.parametrize("cell", ["nan", "inf", "1e9", "x", ""])
def test_a_place_that_is_none_is_one_line(cell, folder, one_line):
    x = read_prepared(folder).points[0, 0, 0]
    edit(folder, "points.csv", f"h0,wrist,{x!s},", f"h0,wrist,{cell},")
    with pytest.raises(InputError, match=r"points\.csv, line 2") as caught:
        read_prepared(folder)
    one_line(caught, "is no")


def test_a_film_that_is_none_is_one_line(folder, tmp_path, one_line):
    prepared = read_prepared(folder)
    _bytes("films/h0.png", b"x")(folder)
    _less("films/h1.png")(folder)
    _link("films/h3.png", tmp_path / "secret")(folder)
    for name, message in (("h0", "not a PNG"), ("h1", "no such file"), ("h3", "a link")):
        with pytest.raises(InputError, match=message) as caught:
            prepared.read_film(name)
        one_line(caught, f"{name}.png")
    with pytest.raises(InputError, match=r"no film '\.\./labels'"):
        prepared.read_film("../labels")


def test_a_missing_folder_names_the_command(tmp_path):
    with pytest.raises(InputError, match="no such folder; metabone prepare-hands makes one"):
        read_prepared(tmp_path / "x")
