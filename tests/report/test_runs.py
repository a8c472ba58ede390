import json

import numpy as np
import pytest
from scipy import stats

from metabone.errors import InputError
from metabone.report.runs import compare_runs, run_lines, sweep_table

LABELS = {"learning": "meta", "model": "scratch", "shots": 5}
NORMS = ("inductive", "transductive")


def texts(table):
    return [[str(cell) for cell in row] for row in table.rows]


def result_with(means, seed=0, sha256="a1", test=("x", "y"), **more):
    rows = [
        LABELS | {"norm": norm, "metric": "accuracy", "mean": mean, "ci95": 0.02, "unit": "tasks"}
        for norm, mean in zip(NORMS, means, strict=False)
    ]
    return {
        "experiment": "meta_dataset",
        "complete": True,
        "seconds": 93.0,
        "seed": seed,
        "ways": 5,
        "data": [{"role": "meta", "kind": "simulated", "sha256": sha256}],
        "meta_classes": {"train": ["z"], "test": list(test)},
        "rows": rows,
    } | more


def write(folder, result, accuracies=None, name="meta-scratch-5", queries=15, date=None):
    (folder / "accuracies").mkdir(parents=True)
    config = {"config": {"queries": queries, "ways": 5}} | ({"date": date} if date else {})
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "result.json").write_text(json.dumps(result))
    if accuracies is not None:
        np.save(folder / "accuracies" / f"{name}.npy", accuracies)
    return folder


@pytest.fixture
def accuracies():
    """`[40, 2]` of two runs on the same tasks: what is common is far larger than what differs."""
    rng = np.random.default_rng(0)
    common = rng.uniform(0.2, 0.8, (40, 1))
    return [common + rng.uniform(0.0, 0.05 + 0.1 * run, (40, 2)) for run in range(2)]


@pytest.fixture
def pair(tmp_path, accuracies):
    """Write the two runs with what differs given, and compare them."""

    def compare(kept=(True, True), one=None, other=None, **files):
        folders = []
        for name, values, keep, changes in zip(
            "ab", accuracies, kept, (one or {}, other or {}), strict=True
        ):
            result = result_with(values.mean(0)) | changes
            own = {k: v[name] for k, v in files.items()}
            folders.append(write(tmp_path / name, result, values if keep else None, **own))
        return compare_runs(*folders)

    return compare


def test_difference_on_the_same_tasks_is_paired_and_each_norm_has_its_own(pair, accuracies):
    table = pair()
    assert table.columns == (
        *("learning", "model", "shots", "norm"),
        *("A", "B", "B - A", "paired by task"),
    )
    for column, line in enumerate(texts(table)):
        apart = 100 * (accuracies[1] - accuracies[0])[:, column]
        low, high = stats.ttest_1samp(apart, 0).confidence_interval(0.95)
        figures = [f"{100 * run[:, column].mean():.1f} ± 2.0 %" for run in accuracies]
        expected = f"{apart.mean():+.1f} ± {(high - low) / 2:.1f} points"
        assert line == ["meta", "scratch", "5", NORMS[column], *figures, expected, "yes"]
        assert (high - low) / 2 < 2.0 < stats.sem(100 * accuracies[0][:, column])
    assert table.notes[-1] == "Chance: 20.0 %."
    assert table.title == "A against B: accuracy, mean ± 95 % interval; simulated data"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"seed": 1}, "they have other seeds, 0 and 1"),
        ({"ways": 2, "meta_classes": {"test": ["x"]}}, "they were tested on other classes"),
        ({"data": [{"role": "meta", "sha256": "b2"}]}, "they were measured on other data"),
        ({"data": []}, "the data of a run are not recorded"),
    ],
)
def test_runs_of_other_tasks_are_not_paired_and_a_note_says_why(pair, accuracies, change, reason):
    table = pair(other=change)
    assert f"Differences are not paired: {reason}." in table.notes
    mean = 100 * (accuracies[1] - accuracies[0])[:, 0].mean()
    assert texts(table)[0][-2:] == [f"{mean:+.1f} points", "no"]


def test_other_numbers_of_queries_make_other_tasks(pair):
    table = pair(queries={"a": 15, "b": 5})
    assert (
        "Differences are not paired: they have other numbers of queries, 15 and 5." in table.notes
    )


def test_other_classes_of_training_make_no_other_tasks(pair):
    table = pair(other={"meta_classes": {"train": ["w"], "test": ["x", "y"]}})
    assert texts(table)[0][-1] == "yes"


@pytest.mark.parametrize(
    ("kept", "reason"),
    [
        ((True, False), "B keeps no figures of single tasks"),
        ((False, False), "A and B keep no figures of single tasks"),
    ],
)
def test_run_that_kept_no_accuracies_is_named(pair, kept, reason):
    assert texts(pair(kept=kept))[0][-1] == reason


def test_accuracies_that_are_not_those_of_the_row_are_not_used(pair):
    table = pair(other=result_with([0.9, 0.9]))
    assert texts(table)[0][-1] == "B keeps no figures of single tasks"


def test_damaged_accuracies_count_as_none(tmp_path, pair):
    pair()
    (tmp_path / "b" / "accuracies" / "meta-scratch-5.npy").write_bytes(b"\x93NUMPY cut")
    table = compare_runs(tmp_path / "a", tmp_path / "b")
    assert texts(table)[0][-1] == "B keeps no figures of single tasks"


def test_other_numbers_of_tasks_are_not_paired(tmp_path, accuracies):
    few = accuracies[1][:30]
    write(tmp_path / "a", result_with(accuracies[0].mean(0)), accuracies[0])
    write(tmp_path / "b", result_with(few.mean(0)), few)
    table = compare_runs(tmp_path / "a", tmp_path / "b")
    assert texts(table)[0][-1] == "40 and 30 tasks"


def test_benchmark_keeps_one_norm_under_the_learners_name(tmp_path, accuracies):
    for name, values in zip("ab", accuracies, strict=True):
        write(tmp_path / name, result_with(values.mean(0)), values[:, 0], name="meta")
    lines = texts(compare_runs(tmp_path / "a", tmp_path / "b"))
    assert [line[-1] for line in lines] == ["yes", "A and B keep no figures of single tasks"]


def test_names_in_a_result_lead_to_no_other_folder(tmp_path):
    outside = np.full(4, 0.5)
    np.save(tmp_path / "secret.npy", outside)
    result = result_with([0.5])
    result["rows"][0]["learning"] = "../../secret"
    for name in "ab":
        write(tmp_path / name, result)
    line = texts(compare_runs(tmp_path / "a", tmp_path / "b"))[0]
    assert line[-1] == "A and B keep no figures of single tasks"


def test_votes_are_compared_and_single_regions_are_not(pair, accuracies):
    def voted(values):
        whole = result_with(values.mean(0))["rows"]
        regions = [row | {"region": 1, "mean": 0.1} for row in whole]
        return {"rows": [row | {"region": "vote"} for row in whole] + regions}

    table = pair(one=voted(accuracies[0]), other=voted(accuracies[1]))
    assert len(table.rows) == 2 and texts(table)[1][-1] == "yes"


def test_cells_of_one_run_alone_and_of_an_unfinished_one_are_told(pair):
    table = pair(other={"rows": [], "complete": False})
    assert texts(table)[0][-3:] == ["-", "-", "-"]
    assert table.notes[-1] == "B is not complete."


def test_folder_without_a_run_cannot_be_compared(tmp_path):
    with pytest.raises(InputError, match=r"no config\.json and no result\.json"):
        compare_runs(tmp_path, tmp_path)


def test_every_run_is_a_line_and_a_damaged_one_is_named(tmp_path):
    write(tmp_path / "smi" / "late", result_with([0.7]), date="2026-11-25T12:30:05+00:00")
    early = result_with([0.6], complete=False)
    write(tmp_path / "smi" / "early", early, date="2026-11-24T08:00:00+00:00")
    write(tmp_path / "pretrain" / "old", result_with([]) | {"seconds": None})
    (tmp_path / "smi" / "broken").mkdir()
    (tmp_path / "smi" / "broken" / "result.json").write_text("{")
    (tmp_path / "smi" / ".cache").mkdir()
    (tmp_path / "a file").write_text("")
    table = run_lines(tmp_path)
    assert table.title == f"3 runs in {tmp_path}"
    best = "meta scratch, 5 shots: {} ± 2.0 %"
    rest = ["20.0 %", "1 min 33 s"]
    assert texts(table) == [
        ["pretrain", "old", "-", "yes", "simulated", "-", "-", "-"],
        ["smi", "broken", "-", "damaged", "-", "-", "-", "-"],
        ["smi", "early", "2026-11-24 08:00", "no", "simulated", best.format("60.0"), *rest],
        ["smi", "late", "2026-11-25 12:30", "yes", "simulated", best.format("70.0"), *rest],
    ]
    assert "broken/result.json: not JSON" in table.notes[1]


@pytest.mark.parametrize("text", ['{"rows": [{"metric": "accuracy", "mean": "x", "shots": 5}]}'])
def test_result_of_odd_types_is_damaged_and_not_fatal(tmp_path, text):
    (tmp_path / "smi" / "odd").mkdir(parents=True)
    (tmp_path / "smi" / "odd" / "result.json").write_text(text)
    table = run_lines(tmp_path)
    assert texts(table)[0][:4] == ["smi", "odd", "-", "damaged"]
    assert table.notes[-1].startswith("Damaged: ") and "smi/odd" in table.notes[-1]


def test_best_of_an_error_is_the_smallest(tmp_path):
    rows = [
        LABELS | {"model": model, "norm": None, "metric": "mae", "mean": mean}
        for model, mean in (("scratch", 12.0), ("pretrained", 9.0))
    ]
    write(tmp_path / "bone_age" / "run", result_with([]) | {"rows": rows})
    assert texts(run_lines(tmp_path))[0][5:7] == ["meta pretrained, 5 shots: 9.0 months", "-"]


def test_folder_of_runs_that_is_not_there_is_refused_and_an_empty_one_is_not(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        run_lines(tmp_path / "none")
    assert run_lines(tmp_path).rows == ()


def test_sweep_has_a_line_a_combination_with_mean_and_spread_over_seeds():
    runs = {
        "inner_rate=0.1, seed=0": result_with([0.50, 0.1]),
        "inner_rate=0.1, seed=1": result_with([0.60, 0.1], seed=1),
        "inner_rate=0.4, seed=0": result_with([0.70, 0.1], complete=False),
        "inner_rate=0.4, seed=1": result_with([], seed=1),
    }
    table = sweep_table(runs)
    assert table.title == "Accuracy, % at 5 shots; mean over seeds; simulated data"
    assert table.columns == ("settings", "seeds", "meta scratch")
    assert texts(table) == [
        ["inner_rate=0.1", "2", "55.0 (7.1)"],
        ["inner_rate=0.4", "2", "70.0, 1 of 2 seeds"],
    ]
    assert table.notes[1:] == ("Chance: 20.0 %.", "Not complete: inner_rate=0.4, seed=0.")


def test_sweep_over_seeds_alone_is_one_line():
    runs = {f"seed={seed}": result_with([0.5 + seed / 10], seed=seed) for seed in range(3)}
    assert texts(sweep_table(runs)) == [["as given", "3", "60.0 (10.0)"]]


def test_sweep_names_shots_and_metric_where_they_differ():
    other = result_with([0.7])
    other["rows"] = [row | {"shots": 1} for row in other["rows"]]
    table = sweep_table({"shots=5": result_with([0.5]), "shots=1": other})
    assert table.columns[2:] == (
        "meta scratch, 5 shots, Accuracy, %",
        "meta scratch, 1 shot, Accuracy, %",
    )
    assert [line[2:] for line in texts(table)] == [["50.0", "-"], ["-", "70.0"]]
