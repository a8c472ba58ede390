import pytest

from metabone.report import published, result


def cell(learning, mean, ci95=0.01, model="scratch", shots=5, metric="accuracy", **more):
    return {
        "learning": learning,
        "model": model,
        "shots": shots,
        "norm": "inductive",
        "metric": metric,
        "mean": mean,
        "ci95": ci95,
    } | more


def test_published_figures_are_those_of_table_3_and_4():
    figures = {
        arm: [published.min_kang_2018(*arm, shots) for shots in (5, 10, 20)]
        for arm in published.MIN_KANG_2018_TABLE_3
    }
    assert figures == {
        ("base", "pretrained"): [0.424, 0.457, 0.506],
        ("base", "scratch"): [0.231, 0.314, 0.386],
        ("meta", "pretrained"): [0.471, 0.571, 0.693],
        ("meta", "scratch"): [0.533, 0.566, 0.659],
    }
    assert published.MIN_KANG_2018.regions == (0.630, 0.459, 0.500, 0.699, 0.599, 0.500)


@pytest.mark.parametrize(
    ("kinds", "label"),
    [
        (["simulated"], "simulated films"),
        (["real"], "real films"),
        (["simulated", "real"], "real and simulated films"),
        ([None], "films of unstated kind"),
        ([], "films of unstated kind"),
    ],
)
def test_label_says_what_the_target_films_are(kinds, label):
    data = [{"role": "target", "kind": kind} for kind in kinds]
    assert result.data_label({"data": data}, "films") == label


def test_kind_of_the_meta_data_does_not_colour_the_target():
    data = [{"role": "meta", "kind": "simulated"}, {"role": "target", "kind": "real"}]
    assert result.data_label({"data": data}, "films") == "real films"


def test_gain_is_meta_minus_base_in_the_same_cell():
    rows = [cell("base", 0.5), cell("meta", 0.75), cell("meta", 0.9, shots=10)]
    (gain,) = result.gains(rows)
    assert (gain.model, gain.shots) == ("scratch", 5)
    assert gain.difference == pytest.approx(0.25)
    assert gain.together == pytest.approx(0.02)
    assert gain.beyond


def test_gain_within_the_intervals_is_not_clear():
    rows = [cell("base", 0.50, 0.02), cell("meta", 0.53, 0.02)]
    assert not result.gains(rows)[0].beyond


def test_gain_on_the_same_tasks_is_clear_by_their_paired_interval():
    rows = [cell("base", 0.50, 0.02, to_meta_ci95=0.01), cell("meta", 0.53, 0.02)]
    (gain,) = result.gains(rows)
    assert gain.together == 0.01 and gain.paired and gain.beyond
    assert not result.gains([cell("base", 0.5), cell("meta", 0.6)])[0].paired


def test_smaller_error_is_a_gain():
    rows = [cell("base", 12.0, 0.5, metric="mae"), cell("meta", 9.0, 0.5, metric="mae")]
    assert result.gains(rows)[0].difference == pytest.approx(3.0)


def test_cell_without_a_figure_is_not_compared():
    assert result.gains([cell("base", None), cell("meta", 0.5)]) == []


def test_vote_answers_for_the_film_where_there_are_regions():
    rows = [cell("meta", 0.4, region=1), cell("meta", 0.6, region="vote")]
    assert [r["mean"] for r in result.main_rows({"rows": rows}, "inductive")] == [0.6]
    assert len(result.region_rows({"rows": rows}, "inductive")) == 0  # one region is no choice


def test_a_single_region_answers_for_the_film_where_no_vote_was_held():
    rows = [cell("meta", 0.4, region=1)]
    assert result.main_rows({"rows": rows}, "inductive") == rows


def test_headline_norm_comes_first_in_whatever_order_the_rows_are():
    rows = [{"norm": "transductive"}, {"norm": "inductive"}]
    assert result.norms_of({"rows": rows}) == ["inductive", "transductive"]


def test_unknown_experiment_is_called_by_its_name():
    assert result.presentation_of({"experiment": "other_images"}).title == "other images"
