import json

import pytest

from metabone.errors import InputError
from metabone.report.result import Presentation
from metabone.report.write import SECTIONS, write_report


@pytest.fixture(scope="module")
def html(complete_run):
    return write_report(complete_run).read_text("utf-8")


@pytest.fixture(scope="module")
def page(html, parse):
    return parse(html)


def test_page_answers_the_question_first(page):
    assert page.words.index("in 6 of 6 cells") < page.words.index("46.0 ± 1.2")
    assert "in 6 of them by more than the two 95 % intervals together" in page.words


def test_page_is_self_contained(page):
    assert not {"script", "link", "iframe", "base", "object"} & {tag for tag, _ in page.tags}
    for _, attrs in page.tags:
        for name in ("src", "href", "xlink:href"):
            assert (attrs.get(name) or "#").startswith(("#", "data:image/"))


def test_every_figure_and_table_of_results_wears_the_kind_of_its_data(html):
    for chunk in html.split("<figcaption>")[1:] + html.split("<caption>")[1:]:
        assert chunk.startswith('<span class="badge">simulated ')


def test_real_films_wear_another_badge_and_no_caution(run_of, result_of):
    folder = run_of(result_of(kind="real"), metrics=False, examples=False)
    html = write_report(folder).read_text("utf-8")
    assert '<span class="badge real">real films</span>' in html
    assert "drawn by a computer" not in html


def test_published_figures_are_marked_as_of_another_data_set(page):
    assert "[42.4]" in page.words
    assert "measured on another data set, 865 private hand-wrist films" in page.words


def test_every_picture_is_described_and_every_header_has_a_scope(page):
    pictures = page.attributes("svg")
    assert len(pictures) == 1 + 4 + 8 + 6  # shots, regions, films, three phases of two
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in pictures)
    assert all(th["scope"] in ("row", "col") for th in page.attributes("th"))


def test_sections_stand_in_order(page):
    headings = [
        "Results",
        "Results, transductive",
        "Regions, 20 shots",
        "Confusions",
        "Example films",
        "Learning curves",
        "Data",
        "Published figures",
        "How it was run",
    ]
    places = [page.words.index(f" {heading} ") for heading in headings]
    assert places == sorted(places)


def test_confusion_cells_have_their_share_and_their_count(run_of, result_of, read):
    result = result_of()
    result["confusions"] = [
        {
            "learning": "meta",
            "model": "scratch",
            "shots": 20,
            "norm": "inductive",
            "matrix": [[3, 1, 0, 0, 0]] + [[0] * 5] * 4,
        }
    ]
    words = read(write_report(run_of(result, metrics=False, examples=False))).words
    assert "1-2 75 % 3 25 % 1 0 % 0" in words
    assert "3-4 - 0 - 0" in words  # a class that was never asked has no share


def test_films_say_in_words_what_colour_says(page):
    films = [svg for svg in page.attributes("svg") if svg.get("class") == "film"]
    assert len(films) == 8
    assert films[0]["aria-label"].startswith("Film 1. True SMI 1-2, read as SMI 1-2: right; 4 of 6")
    dashed = [rect for rect in page.attributes("rect") if "stroke-dasharray" in rect]
    assert dashed and all(rect["stroke"] == "#ff8a1f" for rect in dashed)


def test_incomplete_run_says_so_before_anything_else(run_of, result_of, read):
    folder = run_of(result_of(complete=False), metrics=False, examples=False)
    words = read(write_report(folder)).words
    assert words.index("Incomplete: this run has not finished") < words.index("When only a few")


def test_run_that_has_only_begun_still_has_a_page(tmp_path, read):
    (tmp_path / "config.json").write_text('{"experiment": "smi", "seed": 3}')
    words = read(write_report(tmp_path)).words
    assert "Incomplete" in words and "There is no figure yet." in words


def test_folder_without_a_run_is_refused_and_left_empty(tmp_path):
    with pytest.raises(InputError):
        write_report(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_files_say_is_never_taken_for_html(run_of, result_of, parse):
    attack = '<script>alert("1")</script><b>'
    text = json.dumps(result_of())
    for name in ("simulated:smi", "SMI 1-2", "scratch", "simulated:bones", "thumb, distal phalanx"):
        text = text.replace(json.dumps(name)[1:-1], json.dumps(attack)[1:-1])
    result = json.loads(text) | {"conclusion": attack, "experiment": attack}
    config = {attack: attack, "versions": {attack: attack}}
    metrics = json.dumps({"phase": attack, "step": 1, "loss": 1.0, f"loss{attack}": 2.0})
    html = write_report(run_of(result, config, metrics)).read_text("utf-8")
    assert "<script" not in html and "<b>" not in html
    parse(html)


def test_same_files_give_the_same_small_page(run_of, html):
    again = write_report(run_of()).read_text("utf-8")
    assert again == html
    assert len(html.encode()) < 3_000_000


def test_nothing_but_the_page_is_left_behind(complete_run, html):
    files = {path.name for path in complete_run.iterdir()}
    inputs = {"config.json", "result.json", "metrics.jsonl", "examples.npz"}
    assert files == inputs | {"report.html"}


def test_experiment_without_regions_skips_what_it_has_not(run_of, result_of, read):
    result = result_of(regions=1, experiment="other_images")
    for name in ("confusions", "region_names"):
        del result[name]
    words = read(write_report(run_of(result, metrics=False, examples=False))).words
    for absent in ("Regions", "Confusions", "Example", "Learning curves", "Min and Kang"):
        assert absent not in words


def test_another_experiment_brings_its_own_words_and_sections(run_of, read):
    def own(run, show):
        return f"<p>{run.result['seed']} of {show.noun}</p>"

    show = Presentation("Bone age", question="How far off?", noun="radiographs")
    words = read(write_report(run_of(), presentation=show, sections=(*SECTIONS[:2], own))).words
    assert words.startswith("Bone age Bone age How far off? simulated radiographs")
    assert words.endswith("0 of radiographs")


def one_arm(mean, **more):
    row = {"learning": "base", "model": "pretrained", "norm": None, "metric": "accuracy"}
    rows = [row | {"shots": shots, "mean": mean + shots / 1000} for shots in (5, 10)]
    return {"experiment": "pretrain", "complete": True, "rows": rows, "ways": 5} | more


def test_headline_says_with_figures_when_all_is_near_chance(run_of, result_of, read):
    result = result_of()
    for row in result["rows"]:
        row["mean"] = 0.26 if row["learning"] == "meta" else 0.19
    words = read(write_report(run_of(result, metrics=False, examples=False))).words
    assert (
        "simulated films All 12 accuracies are near chance, between 19.0 and 26.0 %, where "
        "guessing is right in 20.0 %: hardly anything was learned. Meta-learning is above"
    ) in words


def test_headline_puts_accuracies_beside_guessing_where_something_was_learned(page):
    assert "Accuracies are between 38.0 and 73.0 %; guessing is right in 20.0 %." in page.words


def test_what_compares_nothing_is_told_by_its_figures(run_of, read):
    words = read(write_report(run_of(one_arm(0.5), metrics=False, examples=False))).words
    assert "Base pretrained: 50.5 % at 5 shots and 51.0 % at 10 shots. Accuracies are" in words
    words = read(write_report(run_of(one_arm(0.2, ways=None), name="b", examples=False))).words
    assert "Base pretrained: 20.5 % at 5 shots" in words and "guessing" not in words


def test_contents_lead_to_every_section(page):
    sections = [attrs["id"] for attrs in page.attributes("section")]
    assert sections[:3] == ["results", "results-transductive", "regions-20-shots"]
    assert [a["href"] for a in page.attributes("a")] == [f"#{name}" for name in sections]
    assert len(set(sections)) == len(sections)


def test_bars_are_named_after_the_regions(html):
    assert html.count(">thumb,<") == 4 and html.count(">middle phalanx<") == 8


def test_curves_of_accuracy_are_in_percent(page):
    assert "Accuracy, %" in page.words and "Accuracy: training 8" in page.words
    assert "validation 77.0 % at step 400" in page.words  # 0.8 - 0.6 exp(-3)


def test_classes_of_long_names_are_numbered_where_there_is_no_room(run_of, result_of, read):
    result = result_of()
    names = ["scaphoid fracture", "lunate", "hamate", "capitate", "triquetrum"]
    page = read(write_report(run_of(result | {"class_names": names})))
    assert "true 1 2 3 4 5 1 scaphoid fracture" in page.words
    assert "Classes: 1 scaphoid fracture; 2 lunate; 3 hamate; 4 capitate" in page.words
    film = page.words.index("\N{CHECK MARK} True scaphoid fracture, read as scaphoid fracture")
    assert set(page.words[:film].split()[-8:-2]) <= set("12345")  # the labels on its boxes


def test_lists_and_settings_read_as_words(run_of, result_of, read):
    result = result_of()
    result["data"][0]["conversions"] = ["seed 0", "LANCZOS to 32x32"]
    config = {
        "date": "2026-11-25T12:00:00Z",
        "command": "metabone smi",
        "data": result["data"],
        "config": {"shots": [5, 10], "pooled": False, "split": None},
    }
    words = read(write_report(run_of(result, config, examples=False))).words
    assert "Preparation seed 0; LANCZOS to 32x32" in words
    assert "Date 2026-11-25T12:00:00Z Command metabone smi" in words
    assert words.endswith("All 3 settings shots 5, 10 pooled no split none")
    assert '["' not in words
