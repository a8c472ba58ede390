import pytest

from metabone.datasets.source import KINDS, load_films, load_images, parse_source
from metabone.errors import InputError


def test_a_source_string_is_taken_apart():
    source = parse_source(" rsna:/data/a:b ")
    assert (source.kind, source.name, source.text) == ("rsna", "/data/a:b", "rsna:/data/a:b")
    assert str(source.path) == "/data/a:b"
    assert "~" not in str(parse_source("folder:~/x").path)


@pytest.mark.parametrize("text", ["", "films", "rnsa:films", "/data/films", "tdfs:x", ":x"])
def test_an_unknown_kind_lists_the_known_ones(text, one_line):
    with pytest.raises(InputError, match="unknown source") as caught:
        parse_source(text)
    one_line(caught, f"'{text}'", *KINDS.values())


def test_a_slip_of_the_pen_is_guessed():
    with pytest.raises(InputError, match="did you mean 'rsna'"):
        parse_source("rnsa:films")
    with pytest.raises(InputError, match="did you mean 'simulated:bones'"):
        parse_source("simulated:bone")


@pytest.mark.parametrize(
    "text", ["rsna", "rsna:", "folder", "simulated", "simulated:", "cifar100:", "tfds"]
)
def test_a_source_without_a_name_says_what_to_write(text, one_line):
    with pytest.raises(InputError, match="stops short") as caught:
        parse_source(text)
    one_line(caught, f"'{text}'", KINDS[text.strip(":")])


def test_a_source_that_is_downloaded_needs_no_name():
    assert (parse_source("cifar100").kind, parse_source(" cifar100 ").name) == ("cifar100", "")


def test_films_and_images_are_not_mixed_up(tmp_path):
    with pytest.raises(InputError, match="'simulated:bones' gives no hand films"):
        load_films("simulated:bones")
    with pytest.raises(InputError, match="gives no hand films"):
        load_films(f"folder:{tmp_path}")
    with pytest.raises(InputError, match="'simulated:smi' gives no labelled classes"):
        load_images("simulated:smi")
