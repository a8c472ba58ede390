import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from metabone.report.predictions import FilmPage, write_predictions

CLASSES = ["early", "middle", "late"]
MODEL = {
    "Adapted to": "60 films in 3 classes",
    "Accuracy": "71.0 ± 5.0 % by cross-validation; guessing is right in 33.3 %",
}


def film(number=0, **changes):
    grey = np.full((64, 48), 40 + number % 100, np.uint8)
    given = {
        "file": f"film_{number}.png",
        "image": grey,
        "answer": "middle",
        "probabilities": (0.125, 0.625, 0.25),
        "conformal": ("middle", "late"),
        "warning": "",
        "nearest": ((grey, "late", "train/near.png"),),
        "occlusion": np.array([[0.0, 0.5], [-0.5, 0.25]]),
    }
    return FilmPage(**given | changes)


@pytest.fixture
def page_of(tmp_path, read):
    def write(*films, model=MODEL, classes=CLASSES):
        path = tmp_path / "predictions.html"
        write_predictions(path, title="New films", classes=classes, films=films, model=model)
        assert [p.name for p in tmp_path.iterdir()] == ["predictions.html"]
        return read(path)

    return write


def picture(uri):
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


def test_film_is_told_in_words_and_percent(page_of):
    words = page_of(film()).words
    assert "1 film was read. None had to be marked." in words
    assert "film_0.png Read as middle , 62.5 %" in words
    assert "early 12.5 % middle 62.5 % late 25.0 %" in words
    assert "At 90 % it is one of middle or late." in words
    assert "late train/near.png" in words
    assert "lowers the probability of middle by 50 points" in words


def test_head_says_how_good_the_model_is_and_that_it_is_no_medical_device(page_of):
    words = page_of(film()).words
    assert words.index("no medical device") < words.index("film_0.png")
    assert "Accuracy 71.0 ± 5.0 % by cross-validation; guessing is right in 33.3 %" in words


def test_map_is_opaque_where_the_probability_fell_and_clear_where_it_rose(page_of):
    (heat,) = [i for i in page_of(film()).attributes("img") if i.get("class") == "heat"]
    alpha = np.asarray(picture(heat["src"]))[..., 3]
    assert alpha[[0, 0, -1, -1], [0, -1, 0, -1]].tolist() == [0, 175, 0, 88]


def test_film_whose_every_place_matters_little_has_a_sentence_and_no_map(page_of):
    page = page_of(film(occlusion=np.full((4, 4), 0.019)))
    assert "No single place mattered" in page.words
    assert not [i for i in page.attributes("img") if i.get("class") == "heat"]


@pytest.mark.parametrize(
    ("conformal", "sentence"),
    [
        ((), "No class fits at 90 %"),
        (("late",), "At 90 % it is late alone."),
        (CLASSES, "At 90 % every class is possible"),
    ],
)
def test_set_of_any_size_is_a_sentence(page_of, conformal, sentence):
    assert sentence in page_of(film(conformal=conformal)).words


def test_marked_film_is_set_apart_in_its_own_place_and_in_the_table(page_of):
    page = page_of(film(0), film(1, warning="It is unlike all others."))
    assert "1 of them is marked: do not rely on its answer." in page.words
    assert page.words.count("\N{WARNING SIGN}") == 2
    assert "Do not rely on this answer. It is unlike all others." in page.words
    assert [p for p in page.attributes("p") if p.get("class") == "warning"]


def test_page_is_self_contained(page_of):
    page = page_of(film())
    assert not {"script", "link", "iframe", "base", "object"} & {tag for tag, _ in page.tags}
    addresses = [attrs[k] for _, attrs in page.tags for k in ("src", "href") if k in attrs]
    assert addresses and all(a.startswith(("#", "data:image/")) for a in addresses)


def test_hostile_names_stay_text(page_of, tmp_path):
    name = '"><script>alert(1)</script>\u202e\n\ud800.png'
    page_of(
        film(file=name, answer=name, warning=name, nearest=((film().image, name, name),)),
        model={name: name},
    )
    html = (tmp_path / "predictions.html").read_text("utf-8")
    assert "<script" not in html and "\u202e" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\ufffd\ufffd\ufffd.png" in html


def test_table_leads_to_each_film_and_pictures_load_when_seen(page_of):
    page = page_of(film(0), film(1))
    targets = {attrs["id"] for _, attrs in page.tags if "id" in attrs}
    links = [a["href"][1:] for a in page.attributes("a")]
    assert links[-2:] == ["film-1", "film-2"] and set(links) <= targets
    assert all(image["loading"] == "lazy" for image in page.attributes("img"))


def test_large_films_become_small_pictures_of_the_same_shape(page_of):
    large = np.zeros((1600, 800, 3), np.uint8)
    shown = page_of(film(image=large)).attributes("img")[0]
    assert picture(shown["src"]).size == (160, 320)


def test_of_five_hundred_films_all_are_in_the_table_and_a_hundred_in_full(page_of, tmp_path):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (512, 512), np.uint8)  # nothing compresses worse
    page = page_of(*(film(i, image=noise) for i in range(500)))
    assert "The first 100 of 500 films are shown in full" in page.words
    assert len(page.attributes("article")) == 100 and "film_499.png" in page.words
    assert (tmp_path / "predictions.html").stat().st_size < 25_000_000


def test_of_many_classes_the_likeliest_have_bars_and_the_rest_one_line(page_of):
    classes = [f"class {i}" for i in range(12)]
    probabilities = [0.01, 0.02, *[0.097] * 10]
    page = page_of(film(probabilities=probabilities, answer="class 2"), classes=classes)
    assert "The other 2 classes together: 3.0 %" in page.words
    assert not re.search(r"class 1 2\.0 %", page.words)


def test_probabilities_that_are_not_one_a_class_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"film_0\.png: 2 probabilities for 3 classes"):
        write_predictions(
            tmp_path / "p.html",
            title="",
            classes=CLASSES,
            films=[film(probabilities=[0.5, 0.5])],
            model={},
        )
    assert list(tmp_path.iterdir()) == []


def test_what_regions_do_to_the_answer_stands_in_a_table_the_strongest_first(page_of):
    words = page_of(film(occlusion=None, drops={"ulna": -0.031, "radius <1>": 0.4})).words
    assert "the probability of middle changes when one region is not looked at" in words
    assert "without points radius <1> -40 ulna +3" in words
