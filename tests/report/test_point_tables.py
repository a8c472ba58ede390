import json

import numpy as np
import pytest

from metabone.errors import InputError
from metabone.report.point_tables import points_in_words, points_table
from metabone.report.result_tables import all_tables
from metabone.report.tables import to_text
from metabone.report.write import write_report


def _row(metric, mean, kind="real", n=92, **more):
    labels = {"trained_on": "real", "measured_on": "a held-out fifth", "kind": kind}
    return labels | {"metric": metric, "mean": mean, "n": n, "unit": "hands"} | more


WORST = {"wrist": 0.016, "ring tip": 0.01}
RESULT = {
    "experiment": "key_points",
    "complete": True,
    "rows": [
        _row(
            "point_error", 0.0085, low=0.0081, high=0.009, worst={"wrist": 0.016, "ring tip": 0.01}
        ),
        _row("points_beyond", 0.0026),
        _row("joints_within", 0.978, low=0.924, high=0.994),
        _row("point_error", 0.0074, "simulated", 200),
    ],
}


def test_a_line_a_set_of_films_with_every_figure_and_the_worst_points_below():
    table = points_table(RESULT)
    assert [[str(cell) for cell in row] for row in table.rows] == [
        [
            *("real", "real films, a held-out fifth", "92"),
            *("0.85 (0.81 to 0.90)", "0.26", "97.8 (92.4 to 99.4)"),
        ],
        ["real", "simulated films, a held-out fifth", "200", "0.74", "-", "-"],
    ]
    assert "wrist 1.60 and ring tip 1.00" in table.notes[0] and len(table.notes) == 1
    assert [to_text(one) for one in all_tables(RESULT)] == [to_text(table)]
    assert "INCOMPLETE" in points_table(RESULT | {"complete": False}).title


def test_a_sentence_names_each_median_and_the_kind_of_its_films():
    assert points_in_words(RESULT) == (
        "Points are off by a median of 0.85 % of hand length on 92 real films and 0.74 % of hand "
        "length on 200 simulated films."
    )


def test_results_of_other_kinds_have_neither():
    other = {"rows": [{"metric": "accuracy", "mean": 0.5, "shots": 5}]}
    assert points_table(other) is None and points_in_words(other) == ""


def test_the_page_has_the_answer_the_table_and_the_films_with_both_points(tmp_path, read):
    (tmp_path / "result.json").write_text(json.dumps(RESULT))
    plain = read(write_report(tmp_path))
    assert "The key points of hands" in plain.words and "97.8 (92.4 to 99.4)" in plain.words
    assert "off by a median of 0.85 %" in plain.words and not plain.attributes("circle")
    points = np.array([[[10, 20], [30, 20]]], np.float32)
    films = np.zeros((1, 40, 50), np.uint8)
    np.savez(tmp_path / "points.npz", films=films, points=points, read=points + np.array([0, 5]))
    drawn = read(write_report(tmp_path))
    assert "off by 10.0 % of the film's longer side" in drawn.words
    at = [(float(c["cx"]), float(c["cy"])) for c in drawn.attributes("circle")]
    assert at == [(10.5, 20.5), (10.5, 25.5), (30.5, 20.5), (30.5, 25.5)]


def test_points_that_do_not_fit_their_films_are_said(tmp_path):
    (tmp_path / "result.json").write_text(json.dumps(RESULT))
    arrays = {"films": np.zeros((2, 40, 50), np.uint8), "points": np.zeros((1, 21, 2))}
    np.savez(tmp_path / "points.npz", **arrays, read=arrays["points"])
    with pytest.raises(InputError, match=r"points.npz: films uint8 \(2, 40, 50\), points"):
        write_report(tmp_path)
