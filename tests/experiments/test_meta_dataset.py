"""The experiment as its user starts it: folders of labelled images, a folder of runs."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from experiments.meta_dataset import with_possible_shots
from experiments.meta_dataset_settings import MetaDatasetSettings, candidates
from metabone.datasets.combined import combine
from metabone.datasets.fingerprints import image_fingerprints
from metabone.datasets.source import load_films, load_images
from metabone.errors import InputError
from metabone.evaluation.tasks import Candidate, TaskFigures
from metabone.learners.maml import MamlParams
from metabone.nets.networks import fully_connected
from metabone.training.results import ResultFile
from metabone.workflows import task_table
from metabone.workflows.arms import Arm
from metabone.workflows.comparison import compare
from metabone.workflows.earlier_runs import save_seen, searched_by
from metabone.workflows.learned_runs import arms_of, load_learner
from metabone.workflows.task_table import TaskTable, fill_task_table

NAMES = [f"n{number:08}" for number in range(1, 12)]
SHARED = NAMES[5]  # of both sources
IMAGES = 6  # a class

# The least of everything: all that this run can show is that it hangs together.
SETTINGS = {
    "size": 16,
    "channels": 3,
    "filters": 2,
    "hidden": [4],
    "backbone": "conv4",
    "backbone_width": 0.03,
    "pretrain_hidden": [4],
    "pretrain_steps": 2,
    "pretrain_batch": 4,
    "meta_steps": 20,
    "head_steps": 20,
    "meta_batch": 1,
    "meta_shots": 1,
    "meta_queries": 1,
    "inner_steps": 1,
    "test_steps": 1,
    "order": 1,
    "adapts": "head",
    "validate_every": 10,
    "validation_tasks": 2,
    "ways": 2,
    "shots": [5],  # the first column of the preset
    "queries": 1,
    "tasks": 5,
    "search_tasks": 2,
    "search_rates": [0.001, 0.03],
    "search_steps": [1, 4],
    "search_decays": [0.01],
}
ASKED = ("shots", "queries", "tasks")
CHOICES = [(rate, steps, 0.01) for rate in (0.001, 0.03) for steps in (1, 4)]
ARMS = {
    *[(learning, model) for learning in ("meta", "base") for model in ("scratch", "pretrained")],
    ("probe", "pretrained"),
}


def flags_of(settings):
    def text(value):
        return ",".join(map(str, value)) if isinstance(value, list) else value

    return [f"--{name}={text(value)}" for name, value in settings.items()]


def make_source(folder, names, seed, count=IMAGES):
    """Classes of noise, of several sizes, some grey."""
    rng = np.random.default_rng(seed)
    for name in names:
        (folder / name).mkdir(parents=True)
        for index in range(count):
            size = rng.integers(8, 17, 2)
            pixels = rng.integers(0, 256, (*size, 3) if index % 2 else tuple(size), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{index}.png")
    return f"folder:{folder}"


def make_films(folder):
    """Hand films of noise, four younger and four older than 130 months."""
    (folder / "images").mkdir(parents=True)
    rows = ["id,bone_age_months,sex"]
    for index, months in enumerate((60, 70, 80, 90, 140, 150, 160, 170)):
        rows.append(f"{100 + index},{months},{'FM'[index % 2]}")
        pixels = np.random.default_rng(index).integers(0, 256, (32, 32), np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{100 + index}.png")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return f"rsna:{folder}"


class Place:
    """Sources, and where the runs of this file are."""

    def __init__(self, folder, starter):
        self.folder = folder
        self.sources = [
            make_source(folder / "one", NAMES[:6], seed=1),
            make_source(folder / "two", NAMES[5:], seed=2),
        ]
        self.environment = starter.environment
        self._starter = starter

    def flags(self, run, settings, runs_dir=None):
        where = {"runs_dir": runs_dir or self.folder / "runs", "data_dir": self.folder / "data"}
        return flags_of(where | {"run": run} | settings)

    def start(self, flags, module="experiments.meta_dataset"):
        """Runs an experiment to its end: exit status, standard output, standard error."""
        return self._starter.start(module, flags)

    def finish(self, *args, **kwargs):
        status, printed, said = self.start(*args, **kwargs)
        assert status == 0, said
        return printed

    def path(self, run, experiment="meta_dataset"):
        return self.folder / "runs" / experiment / run

    def result(self, run, experiment="meta_dataset"):
        return json.loads((self.path(run, experiment) / "result.json").read_text())


@pytest.fixture(scope="module")
def place(tmp_path_factory, starter):
    return Place(tmp_path_factory.mktemp("meta_dataset"), starter)


def miniature(place, **changes):
    return SETTINGS | {"meta_sources": place.sources} | changes


@pytest.fixture(scope="module")
def whole(place):
    """The miniature, left alone until its end, as a user starts it."""
    command = [sys.executable, "-m", "experiments.meta_dataset"]
    process = subprocess.run(
        [*command, *place.flags("whole", miniature(place))],
        env=place.environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert process.returncode == 0, process.stderr
    place.printed = process.stdout
    return place.result("whole")


def assert_refused(started, *parts):
    status, printed, said = started
    assert status == 2, said
    assert printed == ""
    *before, line = said.splitlines()
    # What was counted, and whether it is held in memory or streamed.
    assert all(each.startswith("meta-training: ") or " images of " in each for each in before)
    assert line.startswith("error: ") and line.isprintable()
    for part in parts:
        assert str(part) in line


@pytest.mark.slow
def test_the_experiment_ends_in_five_learners_rows_and_a_report(place, whole):
    assert whole["experiment"] == "meta_dataset" and whole["complete"] is True
    kinds = {
        (*arm, shots, norm)
        for arm in ARMS
        for shots in SETTINGS["shots"]
        for norm in ("inductive", "transductive")
        if (arm[1], norm) != ("pretrained", "transductive")  # heads have no batch norm
    }
    found = {(r["learning"], r["model"], r["shots"], r["norm"]): r for r in whole["rows"]}
    assert found.keys() == kinds and len(whole["rows"]) == len(kinds) == 7
    for row in whole["rows"]:
        expected = {"metric": "accuracy", "n": 5, "unit": "tasks"}
        assert row.items() >= expected.items()
        # Five tasks of two queries.
        assert row["mean"] == row["mean_of_first_5"] == pytest.approx(round(row["mean"] * 10) / 10)
        assert row["ci95"] >= 0
    for name in ("result.json", "report.html"):
        assert str(place.path("whole") / name) in place.printed
        assert (place.path("whole") / name).is_file()


@pytest.mark.slow
def test_each_of_several_trainings_is_the_run_of_its_own_seed_on_the_same_tasks(place, whole):
    place.finish(place.flags("twice", miniature(place, trainings=2)))
    place.finish(place.flags("second", miniature(place, train_seed=1)))
    second, twice = place.result("second"), place.result("twice")
    assert len(twice["rows"]) == len(second["rows"]) == len(whole["rows"])
    fields = ("learning", "model", "shots", "norm")
    by_cell = [{tuple(r[f] for f in fields): r for r in one["rows"]} for one in (whole, second)]
    for row in twice["rows"]:
        first, again = (rows[tuple(row[f] for f in fields)] for rows in by_cell)
        if (row["learning"], row["model"]) == ("base", "scratch"):
            # Nobody trains it: it is the same whatever training there is.
            assert row["trainings"] == 0 and row["mean"] == first["mean"] == again["mean"]
            continue
        assert row["trainings"] == 2
        means = row["training_means"]
        assert means[0] == pytest.approx(first["mean"])
        assert row["mean"] == pytest.approx(np.mean(means))
        assert row["ci95"] >= abs(means[0] - means[1])
        if row["learning"] == "meta":  # base keeps what was found best for the first training
            assert means[1] == pytest.approx(again["mean"])
    for name in ("checkpoints/meta_scratch", "accuracies", "metrics.jsonl"):
        assert (place.path("twice") / "trainings/2" / name).exists()
    # Its learners are read again, each training's own.
    flags = {"evaluate": place.path("twice"), "target": make_source(place.folder / "t", "ab", 9)}
    place.finish(place.flags("elsewhere", flags | {"tasks": 5}))
    rows = [r for r in place.result("elsewhere")["rows"] if r["learning"] == "meta"]
    assert {row["trainings"] for row in rows} == {2}


@pytest.mark.slow
def test_a_class_of_both_sources_counts_once_and_parts_share_no_class(place, whole):
    assert whole["dropped_classes"] == [
        {
            "class_name": SHARED,
            "source": place.sources[1],
            "kept_as": SHARED,
            "kept_in": place.sources[0],
            "count": IMAGES,
        }
    ]
    parts = whole["meta_classes"]
    assert [len(parts[part]) for part in ("train", "validation", "test")] == [7, 2, 2]
    assert sorted([*parts["train"], *parts["validation"], *parts["test"]]) == NAMES
    one, two = whole["data"]
    assert (one["role"], one["source"], one["count"]) == ("meta", place.sources[0], 36)
    assert (two["role"], two["source"], two["count"]) == ("meta", place.sources[1], 30)
    left_out = f"1 classes (6 images) left out that {place.sources[0]} has as well"
    assert left_out in two["conversions"] and left_out not in one["conversions"]


@pytest.mark.slow
def test_every_choice_for_base_learning_is_on_record_best_first(whole):
    for model in ("scratch", "pretrained"):
        for shots in SETTINGS["shots"]:
            found = [e for e in whole["search"] if (e["model"], e["shots"]) == (model, shots)]
            tried = [tuple(entry["options"].values()) for entry in found]
            np.testing.assert_allclose(sorted(tried), CHOICES, rtol=1e-6)
            assert list(found[0]["options"]) == ["rate", "steps", "decay"]
            means = [entry["mean"] for entry in found]
            assert means == sorted(means, reverse=True)
            assert {entry["n"] for entry in found} == {SETTINGS["search_tasks"]}
    assert len(whole["search"]) == 2 * len(CHOICES)


@pytest.fixture
def spied(monkeypatch):
    """Base learning without any: which choices are searched, and with which tasks are measured."""
    searched, measured = [], []

    def search(measure, candidates, *args, **kwargs):
        searched.append(candidates)
        return [Candidate(candidates[2], 0.9, 0.1, 2), Candidate(candidates[0], 0.5, 0.1, 2)]

    def measure_tasks(measure, options, *args, **kwargs):
        measured.append(options)
        return TaskFigures(np.full((5, 2), 0.5), np.zeros((5, 2)))

    monkeypatch.setattr(task_table, "search", search)
    monkeypatch.setattr(task_table, "measure_tasks", measure_tasks)
    monkeypatch.setattr(TaskTable, "store", lambda *given: None)
    return searched, measured


def fill(folder, **changes):
    """Fills the rows of one model; its results are in `folder`."""
    config = MetaDatasetSettings(shots=(5, 20), search_rates=(0.1, 0.3), **changes)
    folder.mkdir(exist_ok=True)
    run = SimpleNamespace(results=ResultFile(folder / "result.json", "meta_dataset"), path=folder)
    run.training = lambda index: run
    target = SimpleNamespace(images=np.zeros((1, 3)))
    arm = Arm("pretrained", fully_connected(5, ()), None, lambda: None, None, target)
    searched = searched_by(Path(config.evaluate)) if config.evaluate else None
    sizes = (config.ways, config.shots, config.queries, config.tasks)
    table = TaskTable(*sizes, candidates(config), config.search_tasks, searched, False, 0)
    fill_task_table([arm], run, table)
    return run.results


def test_rows_of_base_have_the_paired_interval_of_meta_minus_base(tmp_path, spied, monkeypatch):
    common = np.linspace(0.2, 0.8, 5)[:, None] * [1, 1]  # what makes a task hard is hard for both
    apart = np.array([[0.1, 0.02], [0.12, 0.04], [0.09, 0.03], [0.11, 0.02], [0.1, 0.05]])

    def measure_tasks(measure, options, *args, **kwargs):
        own = common + (0 if options else apart)
        return TaskFigures(own, 0 * own)

    monkeypatch.setattr(task_table, "measure_tasks", measure_tasks)
    results = fill(tmp_path / "run", tasks=5)
    for row in results.get("rows", []):
        if row["learning"] == "meta":
            assert "to_meta_ci95" not in row
            continue
        column = ["inductive", "transductive"].index(row["norm"])
        expected = stats.t.ppf(0.975, 4) * stats.sem(apart[:, column])
        assert row["to_meta_ci95"] == pytest.approx(expected) and expected < row["ci95"] / 5


def test_base_learning_uses_the_best_choice_of_its_search_and_searches_once(tmp_path, spied):
    searched, measured = spied
    results = fill(tmp_path / "run")
    assert [len(offered) for offered in searched] == [24, 24]  # 2 rates, 4 steps, 3 decays
    best = searched[0][2]
    assert best == {"rate": np.float32(0.1), "steps": 25, "decay": np.float32(10)}
    assert measured == [{}, {}, best, best]  # meta at 5 and 20 shots, base likewise
    assert [(e["shots"], e["mean"]) for e in results.get("search")] == [
        (5, 0.9),
        (5, 0.5),
        (20, 0.9),
        (20, 0.5),
    ]
    # Killed behind the search, before the rows were written.
    found = json.loads((tmp_path / "run" / "result.json").read_text())
    (tmp_path / "run" / "result.json").write_text(json.dumps(found | {"rows": []}))
    fill(tmp_path / "run")
    assert len(searched) == 2 and measured[4:] == measured[:4]
    assert all(isinstance(options["steps"], np.int32) for options in measured if options)


def test_learners_of_a_run_take_its_choice_at_the_nearest_number_of_shots(tmp_path, spied):
    searched, measured = spied
    fill(tmp_path / "run")
    record = json.loads((tmp_path / "run" / "result.json").read_text())
    for entry in record["search"]:
        entry["options"]["steps"] = float(entry["shots"])
    (tmp_path / "run" / "result.json").write_text(json.dumps(record))
    measured.clear()
    fill(tmp_path / "other", evaluate=str(tmp_path / "run"), target="folder:x")
    assert [options["steps"] for options in measured if options] == [5, 20]
    assert len(searched) == 2  # of the first run


def trained_copy(place, run, name):
    shutil.copytree(place.path(run), place.path(name))
    return place.path(name)


@pytest.mark.slow
def test_a_finished_experiment_started_again_changes_nothing(place, whole):
    def content():
        files = {path for path in place.path("whole").rglob("*") if path.is_file()}
        # It notes if the code was changed meanwhile.
        return {path: path.read_bytes() for path in files if path.name != "config.json"}

    before = content()
    assert place.finish(place.flags("whole", miniature(place))) == place.printed
    assert content() == before


@pytest.mark.slow
def test_a_streamed_run_killed_in_the_middle_ends_with_the_figures_of_one_in_memory(place, whole):
    flags = place.flags("streamed", miniature(place, memory_gib=0))
    process = subprocess.Popen(
        [sys.executable, "-m", "experiments.meta_dataset", *flags],
        env=place.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    ends = time.monotonic() + 300
    while not rows_of(place.path("streamed")):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < ends, "waited in vain for the moment to kill"
        time.sleep(0.005)
    process.kill()
    assert "above the 0 bytes allowed: streamed" in process.communicate()[1]
    assert process.returncode == -signal.SIGKILL
    assert 0 < len(rows_of(place.path("streamed"))) < len(whole["rows"])

    place.finish(flags)
    streamed = place.result("streamed")
    for name in ("complete", "rows", "search", "data", "meta_classes", "dropped_classes"):
        assert streamed[name] == whole[name], name
    metrics = [(place.path(run) / "metrics.jsonl").read_text() for run in ("streamed", "whole")]
    assert metrics[0] == metrics[1]


def rows_of(run):
    try:
        return json.loads((run / "result.json").read_text())["rows"]
    except FileNotFoundError:
        return []


@pytest.mark.slow
def test_learners_measured_once_more_on_their_own_unseen_classes_give_the_same_rows(place, whole):
    together = place.folder / "together"
    for source in reversed(place.sources):  # the first has the class of both
        shutil.copytree(source.removeprefix("folder:"), together, dirs_exist_ok=True)
    for file in (place.folder / "one" / SHARED).iterdir():
        shutil.copy(file, together / SHARED)
    asked = {name: SETTINGS[name] for name in ASKED}
    flags = {"evaluate": place.path("whole"), "target": f"folder:{together}"}
    place.finish(place.flags("again", asked | flags))
    again = place.result("again")
    # The paper's figures are of its own classes alone.
    assert again["rows"] == [row | {"paper": None} for row in whole["rows"]]
    assert again["meta_classes"] == whole["meta_classes"]
    seen = {*whole["meta_classes"]["train"], *whole["meta_classes"]["validation"]}
    assert {entry["class_name"] for entry in again["dropped_classes"]} == seen
    assert not (place.path("again") / "checkpoints").exists()  # nothing was trained


@pytest.mark.slow
def test_learners_of_a_run_loaded_from_a_script_are_those_that_the_run_measured(place, whole):
    sources = [
        load_images(source, size=16, channels=3, data_dir=str(place.folder / "data"))
        for source in place.sources
    ]
    images = combine(sources)
    test = images.keep(
        np.flatnonzero(np.isin(images.class_names, whole["meta_classes"]["test"])[images.labels])
    )
    assert arms_of(place.path("whole")) == ("scratch", "pretrained")
    learners = {arm: load_learner(place.path("whole"), arm) for arm in ("scratch", "pretrained")}
    assert all(isinstance(each.meta_params, MamlParams) for each in learners.values())
    found = compare(learners, test.whole(), ways=2, shots=5, queries=1, tasks=5)
    for row in found.rows:
        labels = {"learning": "meta", "model": row["learning"], "norm": "inductive"}
        (measured,) = [r for r in whole["rows"] if r.items() >= labels.items()]
        assert row["mean"] == pytest.approx(measured["mean"])
    about = learners["pretrained"].about
    assert (about["kind"], about["ways"], about["run"]) == ("real", 2, "meta_dataset/whole")
    with pytest.raises(InputError, match="has no learner 'protonet'; it has scratch, pretrained"):
        load_learner(place.path("whole"), "protonet")


@pytest.mark.slow
def test_learners_are_measured_on_other_classes_in_the_columns_of_their_run(place, whole):
    split = whole["meta_classes"]
    seen = [split["train"][0], split["validation"][1]]
    others = [split["test"][0], "n00000021"]
    target = make_source(place.folder / "others", [*seen, *others], seed=3)
    flags = {"evaluate": place.path("whole"), "target": target, "queries": 1, "tasks": 5}
    place.finish(place.flags("others", flags))
    found = place.result("others")
    assert {(r["learning"], r["model"]) for r in found["rows"]} == ARMS
    assert len(found["rows"]) == len(whole["rows"])
    assert {(r["shots"], r["n"], r["paper"]) for r in found["rows"]} == {(5, 5, None)}
    assert "left out" not in found["learners"]
    assert found["meta_classes"] == split | {"test": sorted(others)}
    dropped = [(e["class_name"], e["kept_in"], e["count"]) for e in found["dropped_classes"]]
    assert dropped == [(name, str(place.path("whole")), IMAGES) for name in sorted(seen)]
    entries = [(entry["role"], entry["source"]) for entry in found["data"]]
    assert entries == [("target", target), *(("meta", source) for source in place.sources)]


@pytest.mark.slow
def test_a_target_with_images_that_the_run_learned_from_is_refused(place, whole):
    target = make_source(place.folder / "mixed", ["n00000031", "n00000032"], seed=4)
    trained = whole["meta_classes"]["train"][0]
    folder = place.folder / ("one" if trained in NAMES[:6] else "two") / trained
    for index in (0, 1):
        shutil.copy(folder / f"{index}.png", place.folder / "mixed/n00000032" / f"again{index}.png")
    asked = {name: SETTINGS[name] for name in ASKED}
    flags = {"evaluate": place.path("whole"), "target": target}
    started = place.start(place.flags("mixed", asked | flags))
    assert_refused(started, f"{target}: 2 of its images", place.path("whole"))
    assert not place.path("mixed").exists()


CUTS = {"regions": "hand", "cuts": 130, "shots": 1, "queries": 1, "draws": 2, "base_steps": 1}


@pytest.mark.slow
def test_the_learners_read_films_without_further_training(place, whole):
    target = make_films(place.folder / "films")
    flags = {"meta_learner": place.path("whole"), "target": target} | CUTS
    place.finish(place.flags("films", flags), module="experiments.smi")
    found = place.result("films", "smi")
    assert found["complete"] is True
    kinds = {(*arm, "inductive") for arm in ARMS}  # and where there is batch norm:
    kinds |= {(*arm, "transductive") for arm in ARMS if arm[1] == "scratch"}
    assert {(r["learning"], r["model"], r["norm"]) for r in found["rows"]} == kinds
    assert {(r["shots"], r["n"], r["unit"]) for r in found["rows"]} == {(1, 2, "draws")}
    entries = [(entry["role"], entry["source"]) for entry in found["data"]]
    assert entries == [("target", target), *(("meta", source) for source in place.sources)]
    assert not (place.path("films", "smi") / "checkpoints").exists()
    assert not (place.path("films", "smi") / "metrics.jsonl").exists()


@pytest.mark.slow
def test_films_that_the_learners_were_trained_on_are_refused(place, whole):
    """As meta-training would have seen them: grey repeated to the three channels of the run."""
    target = make_films(place.folder / "seen films")
    films = load_films(target, size=16, cuts=[130], data_dir=str(place.folder / "data"))
    regions = films.regions.reshape(-1, *films.regions.shape[2:])
    folder = trained_copy(place, "whole", "saw_films")
    save_seen(folder, image_fingerprints(np.repeat(regions[:3], 3, axis=-1)))
    flags = {"meta_learner": folder, "target": target} | CUTS
    started = place.start(place.flags("refused", flags), module="experiments.smi")
    assert_refused(started, target, "3 of its images", folder)
    assert not place.path("refused", "smi").exists()


@pytest.mark.slow
def test_a_run_to_evaluate_needs_a_target(place, whole):
    started = place.start(place.flags("refused", {"evaluate": place.path("whole")}))
    assert_refused(started, "--evaluate=RUN", "--target=SOURCE")
    assert not place.path("refused").exists()


# Each returns the settings to start with and what the message must say.
def target_without_evaluate(place, folder):
    return miniature(place, target=place.sources[0]), ["--evaluate=RUN", "--target=SOURCE"]


def unknown_source(place, folder):
    sources = [place.sources[0], f"foldr:{folder}"]
    return miniature(place, meta_sources=sources), [f"foldr:{folder}", "folder"]


def too_few_classes(place, folder):
    return miniature(place, ways=4), ["11 classes", "4 ways", "train"]


def too_few_images(place, folder):
    return miniature(place, shots=[1, 6]), ["shots (=6) + queries (=1) need 7", "has 6"]


def no_rate(place, folder):
    return miniature(place, search_rates=0), ["--search_rates=0", "above 0"]


def run_of_another_experiment(place, folder):
    (folder / "run").mkdir()
    (folder / "run" / "config.json").write_text(json.dumps({"experiment": "smi", "config": {}}))
    flags = {"evaluate": folder / "run", "target": place.sources[0]}
    return flags, [folder / "run", "meta_dataset"]


@pytest.mark.parametrize(
    "spoil",
    [
        target_without_evaluate,
        unknown_source,
        too_few_classes,
        too_few_images,
        no_rate,
        run_of_another_experiment,
    ],
    ids=lambda spoil: spoil.__name__,
)
def test_bad_input_is_one_line_and_leaves_no_run(place, tmp_path, spoil):
    settings, parts = spoil(place, tmp_path)
    started = place.start(place.flags("refused", settings, runs_dir=tmp_path / "runs"))
    assert_refused(started, *parts)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("asked", "evaluate", "left"),
    [(False, "run", (5,)), (True, "run", (5, 10)), (False, "", (5, 10))],
)
def test_columns_that_a_target_cannot_fill_are_left_out_unless_asked_for(asked, evaluate, left):
    config = MetaDatasetSettings(evaluate=evaluate, shots=(5, 10), queries=15)
    found, notes = with_possible_shots(config, np.repeat([0, 1], [20, 40]), asked)
    assert found.shots == left
    assert len(notes) == (left == (5,))
    assert all("10 shots left out: with 15 queries" in note for note in notes)
