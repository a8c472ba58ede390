import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from metabone.errors import InputError
from metabone.report import age_plots
from metabone.report.plots import Line
from metabone.report.run_folder import read_run
from metabone.report.runs import compare_runs, run_lines
from metabone.report.write import write_report
from tests.report.age_runs import FILMS, write_age_run


@pytest.fixture(scope="module")
def age_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "bone_age" / "first"
    folder.mkdir(parents=True)
    return folder, write_age_run(folder)


@pytest.fixture(scope="module")
def page(age_run, read):
    return read(write_report(age_run[0]))


def alts(page):
    return [attrs["aria-label"] for attrs in page.attributes("svg")]


def test_the_page_has_every_section_and_the_answer_beside_the_median(page):
    ids = [attrs["id"] for attrs in page.attributes("section")]
    assert ids[:6] == [
        *("bone-age", "published-errors", "errors-by-film-and-by-age"),
        *("intervals", "changed-films", "activation-maps"),
    ]
    assert "Bone age is read with a mean absolute error of" in page.words
    assert "The median of the training ages is off by 55.2 months" in page.words
    assert "real films" in page.words and "rotation +20 degrees 31.0 9.4 17.4" in page.words


def test_no_film_is_named(age_run, page):
    assert "film 17" in np.load(next((age_run[0] / "predictions").iterdir()))["ids"]
    assert not any(f"film {number}" in page.words for number in range(1, FILMS))


def test_charts_are_of_the_lowest_error_of_each_view_and_say_its_figures(age_run, page):
    rows = [row for row in age_run[1]["rows"] if row["films"] == 2000]
    plots = [alt for alt in alts(page) if alt.startswith("Bland-Altman")]
    for view, alt in zip(("regions", "squashed"), plots, strict=True):
        own = [row["groups"]["all"] for row in rows if row["view"] == view]
        best = min(own, key=lambda group: group["mae"])
        low, high = best["limits"]
        assert (
            f"bias {best['bias']:+.1f} months, limits of agreement {low:+.1f} to {high:+.1f}" in alt
        )
    assert sum(alt.startswith("Mean absolute error by age") for alt in alts(page)) == 2
    assert sum(alt.startswith("Error over training films") for alt in alts(page)) == 2


def test_maps_stand_with_their_captions_and_a_lost_one_is_said(age_run, page, tmp_path, read):
    pictures = {attrs["alt"]: attrs for attrs in page.attributes("img")}
    assert list(pictures) == [
        f"The {which} film, off by 2." for which in ("best", "median", "worst")
    ]
    assert all(own["src"].startswith("data:image/jpeg") for own in pictures.values())
    assert {(own["width"], own["height"]) for own in pictures.values()} == {("96", "64")}
    mapped = [row for row in age_run[1]["rows"] if row.get("maps")]
    plain = [{name: row[name] for name in row if name != "bands"} for row in mapped]
    (tmp_path / "result.json").write_text(json.dumps(age_run[1] | {"rows": plain}))
    lost = read(write_report(tmp_path))
    assert "The best film, off by 2. The picture is not in the run's folder." in lost.words
    assert not lost.attributes("img") and not lost.attributes("svg")


def test_lists_of_runs_have_the_lowest_error_and_pairs_by_task_are_refused(age_run):
    folder, result = age_run
    (line,) = run_lines(folder.parent.parent).rows
    best = min(result["rows"], key=lambda row: row["groups"]["all"]["mae"])["groups"]["all"]
    assert str(line[5]) == f"paced, 2,000 films: {best['mae']:.1f} ± {best['mae_ci95']:.1f} months"
    with pytest.raises(InputError, match="bone ages in months, expected figures of tasks"):
        compare_runs(folder, folder)


def test_readings_and_maps_that_are_none_are_said(tmp_path):
    (tmp_path / "result.json").write_text('{"rows": [{"groups": {}}]}')
    for folder in ("predictions", "maps"):
        (tmp_path / folder).mkdir()
    months = np.zeros(3)
    np.savez(tmp_path / "predictions/a.npz", months=months, sex=months, predicted=months)
    with pytest.raises(InputError, match=r"a.npz: predicted \(3,\), months \(3,\) and sex \(3,\)"):
        read_run(tmp_path)
    (tmp_path / "predictions/a.npz").unlink()
    (tmp_path / "maps/a.png").write_text("no picture")
    with pytest.raises(InputError, match=r"a.png: not a picture"):
        read_run(tmp_path)


def test_rows_need_a_metric_or_groups(tmp_path):
    (tmp_path / "result.json").write_text('{"rows": [{"arm": "all"}]}')
    with pytest.raises(InputError, match="objects with a metric or groups"):
        read_run(tmp_path)


def test_films_of_a_chart_are_thinned_and_no_sex_is_left_out():
    months = np.linspace(20, 220, 1500)
    sex = np.array(["M", "F", ""] * 500)
    svg = age_plots.bland_altman(
        months, months[None] + 3, sex, bias=3.0, limits=(-7.0, 13.0), alt='a < "b"'
    )
    root = ET.fromstring(svg)
    assert root.attrib["aria-label"] == 'a < "b"'
    uses = svg.count("<use")
    assert 500 <= uses <= 650 and "#0000" not in svg
    assert all(name in svg for name in ("male", "female", "sex unknown", "+13.0", "-7.0", "+3.0"))


def test_numbers_of_films_are_on_a_logarithmic_axis():
    lines = [Line("random", 0, 0, [50, 200, 800], [30, 20, 10], [3, 2, 1])]
    svg = age_plots.errors_over_films(lines, "words", median=33.0)
    at = {
        text.text: float(text.attrib["x"])
        for text in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
        if text.text in ("50", "200", "800")
    }
    assert at["200"] - at["50"] == pytest.approx(at["800"] - at["200"], rel=0.02)
    assert "median of the training ages" in svg
