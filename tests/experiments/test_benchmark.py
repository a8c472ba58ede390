"""The comparison of learners as its user starts it, and its parts."""

import dataclasses
import json
import os

import numpy as np
import pytest

from experiments.benchmark_presets import PRESETS
from experiments.benchmark_settings import BenchmarkSettings, check
from metabone.datasets.images import ImageSet
from metabone.datasets.source import load_images
from metabone.errors import InputError
from metabone.provenance import Provenance
from metabone.workflows.class_parts import split_by_table, with_rotations
from metabone.workflows.comparison import compare, ranking_of
from metabone.workflows.family import entry_of
from metabone.workflows.learned_runs import arms_of, load_learner

LEARNERS = ["maml_plus_plus", "reptile", "protonet", "logistic_head", "probe"]
# The least of everything: all that this run can show is that it hangs together.
SETTINGS = {
    "size": 32,  # of 16, last maps are one pixel, features often all zero, and answers ties
    "meta_classes": 9,
    "meta_images": 4,
    "filters": 2,
    "ways": 2,
    "queries": 2,
    "meta_queries": 1,
    "tasks": 5,
    "meta_steps": 4,
    "meta_batch": 2,
    "inner_steps": 1,
    "test_steps": 1,
    "validate_every": 2,
    "validation_tasks": 2,
    "validation_classes": 2,
    "test_classes": 2,
    "pretrain_steps": 2,
    "pretrain_batch": 2,
    "reptile_batch": 2,
    "reptile_test_steps": 1,
    "rotations": "true",
    "learners": ",".join(LEARNERS),
}


@pytest.fixture(scope="module")
def start(tmp_path_factory, starter):
    folder = tmp_path_factory.mktemp("benchmark")

    def run(name, **changes):
        settings = SETTINGS | {"runs_dir": folder, "data_dir": folder / "data", "run": name}
        flags = [f"--{key}={value}" for key, value in (settings | changes).items()]
        return *starter.start("experiments.benchmark", flags), folder / "benchmark" / name

    return run


@pytest.mark.slow
def test_every_learner_has_its_rows_and_place_however_tasks_are_mapped_or_the_run_restarted(start):
    status, printed, said, path = start("whole")
    assert status == 0, said
    result = json.loads((path / "result.json").read_text())
    assert result["complete"] is True
    rules = {name: ["inductive", "transductive", "running"] for name in LEARNERS}
    rules["reptile"] = rules["reptile"][:2]
    told = [(row["learning"], row["norm"]) for row in result["rows"]]
    assert told == [(name, rule) for name in LEARNERS for rule in rules[name]]
    for row in result["rows"]:
        assert row["n"] == 5 and row["queries"] == 2
        assert 0 <= row["mean"] <= 1 and row["train_seconds"] > 0 and row["split"]
    steps = {row["learning"]: row["test_steps"] for row in result["rows"]}
    assert steps == {"maml_plus_plus": 1, "reptile": 1} | dict.fromkeys(LEARNERS[2:])
    # Classes are split before they are turned.
    split = result["meta_classes"]
    assert len(split["train"]) == 4 * 5 and len(split["test"]) == 4 * 2
    upright = [{name.split(",")[0] for name in part} for part in split.values()]
    assert not set.intersection(*upright) and len(set.union(*upright)) == 9
    # A learner's place is by its accuracies, which its row is the mean of.
    for entry in result["ranking"]:
        kept = np.load(path / "accuracies" / f"{entry['learning']}.npy")
        rows = [r for r in result["rows"] if r["learning"] == entry["learning"]]
        assert kept.mean() == pytest.approx(rows[0]["mean"]) == pytest.approx(entry["mean"])
    assert "Ranking on the same 5 tasks" in printed
    assert f"{result['ranking'][0]['learning']} answers best" in (path / "report.html").read_text()
    status, *_ = start("whole")
    assert status == 0
    assert json.loads((path / "result.json").read_text()) == result
    if os.cpu_count() > 1:
        # Dealt out to two devices, the tasks train the same learner.
        status, _, said, other = start("devices", mapping="devices", learners="protonet")
        assert status == 0, said
        losses = [losses_of(each, "protonet") for each in (path, other)]
        assert len(losses[0]) == SETTINGS["meta_steps"]
        assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.slow
def test_learners_of_a_comparison_loaded_from_a_script_answer_as_they_were_measured(start):
    status, _, said, path = start("whole")
    assert status == 0, said
    assert arms_of(path) == tuple(LEARNERS)
    result = json.loads((path / "result.json").read_text())
    images = load_images("simulated:bones", size=SETTINGS["size"], classes=9, images_per_class=4)
    test = with_rotations(
        images.keep(
            np.flatnonzero(
                np.isin(
                    [images.class_names[label] for label in images.labels],
                    [name.split(",")[0] for name in result["meta_classes"]["test"]],
                )
            )
        )
    )
    learners = {name: load_learner(path, name) for name in LEARNERS}
    found = compare(learners, test, ways=2, shots=1, queries=2, tasks=5)
    for name in LEARNERS:
        kept = np.load(path / "accuracies" / f"{name}.npy")
        np.testing.assert_allclose(found.accuracies[name], kept, err_msg=name)
    # One that solves for its head serves any number of classes, the others as many as they had.
    assert learners["protonet"].learner_for(4) is not None
    with pytest.raises(InputError, match="3 classes, but this learner was trained to tell 2"):
        learners["reptile"].learner_for(3)


def losses_of(path, phase):
    lines = map(json.loads, (path / "metrics.jsonl").read_text().splitlines())
    return [line["loss"] for line in lines if line["phase"] == phase and "loss" in line]


def test_ranking_is_by_the_mean_with_paired_differences_to_the_best():
    rng = np.random.default_rng(0)
    task = rng.normal(0.6, 0.2, 50)  # what tasks have in common cancels
    found = {"worse": task - 0.1, "best": task, "near": task - 0.01 + rng.normal(0, 0.001, 50)}
    best, near, worse = ranking_of(found)
    assert [each["learning"] for each in (best, near, worse)] == ["best", "near", "worse"]
    assert worse["to_best"] == pytest.approx(-0.1) and worse["ci95"] < 0.01
    assert near["to_best"] + near["ci95"] < 0


def test_rotated_classes_are_classes_of_the_turned_images():
    images = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 1), np.uint8)
    provenance = Provenance("made", "simulated", "0", 6, "none", "any")
    turned = with_rotations(
        ImageSet(images, np.arange(6, dtype=np.int32) % 2, ("a", "b"), provenance)
    )
    assert len(turned) == 24 and len(turned.class_names) == 8
    for turns in range(4):
        rows = np.flatnonzero(turned.labels == 2 * turns + 1)
        np.testing.assert_array_equal(turned.images[rows], np.rot90(images[1::2], turns, (1, 2)))
        assert turned.class_names[2 * turns + 1] == f"b, {90 * turns} degrees"


NAMES = tuple("abcdefghij")


def split_of(config, names):
    asked = dict(validation=config.validation_classes, test=config.test_classes)
    place = (config.split, config.source, names, config.ways, config.split_seed)
    return split_by_table(*place, **asked)


def test_published_split_is_followed_and_what_it_lacks_comes_from_its_training_classes(tmp_path):
    file = tmp_path / "classes.csv"
    parts = {**dict.fromkeys("abcdefgh", "train"), "i": "val", "j": "val"}
    file.write_text("class,split\n" + "".join(f"{name},{p}\n" for name, p in parts.items()))
    config = BenchmarkSettings(split=str(file), ways=2)
    split = split_of(config, NAMES)
    assert split["validation"] == [8, 9]
    assert len(split["test"]) == 2 and len(split["train"]) == 6
    assert sorted(split["train"] + split["test"]) == list(range(8))
    file.write_text(file.read_text() + "k,test\n")
    assert split_of(config, (*NAMES, "k"))["test"] == [10]
    assert split_of(config, (*NAMES, "k"))["train"] == list(range(8))


def test_other_seeds_train_and_test_on_the_same_classes_unless_the_split_is_drawn_anew(tmp_path):
    part = tmp_path / "classes.csv"
    part.write_text("".join(f"{name},train\n" for name in NAMES))
    for file in ("", str(part)):
        config = BenchmarkSettings(split=file, ways=2)
        split = split_of(config, NAMES)
        assert split_of(dataclasses.replace(config, seed=1), NAMES) == split
        assert split_of(dataclasses.replace(config, split_seed=1), NAMES)["test"] != split["test"]


def test_a_split_that_a_spreadsheet_saved_keeps_its_first_row_and_tells_slips(tmp_path, capsys):
    file = tmp_path / "classes.csv"
    file.write_bytes("\ufeffa,test\r\nb,val\r\nc,train\r\nd,train\r\ne,train\r\n".encode())
    settings = BenchmarkSettings(split=str(file), ways=1)
    split = split_of(settings, ("a", "b", "c", "d"))
    assert split == {"train": [2, 3], "validation": [1], "test": [0]}
    told = "1 rows name no class at hand and are not used; the first is 'e'"
    assert capsys.readouterr().err == f"{file}: {told}\n"


@pytest.mark.parametrize(
    ("text", "changes", "message"),
    [
        ("a,train\n", {}, "class 'b' of simulated:bones is 'not named'"),
        ("a,train\nb,dev\n", {}, "class 'b' of simulated:bones is 'dev', expected train"),
        ("a,train\nb,val\n", {"validation_classes": 2}, "--validation_classes=2: .* which those"),
    ],
)
def test_split_that_does_not_fit_is_refused(tmp_path, text, changes, message):
    file = tmp_path / "classes.csv"
    file.write_text(text)
    with pytest.raises(InputError, match=message):
        split_of(BenchmarkSettings(split=str(file), ways=2, **changes), ("a", "b"))


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_can_be(name):
    config = BenchmarkSettings(**PRESETS[name].values)
    check(config)
    for learner in config.learners:
        entry_of(learner, config)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"meta_ways": 9}, "--meta_ways=9: only protonet and r2d2"),
        ({"meta_ways": 1, "learners": ("protonet",)}, "--meta_ways=1"),
        ({"meta_shots": -1}, "--meta_shots=-1"),
        ({"learners": ("maml", "mamel")}, "--learners=maml,mamel"),
        ({"learners": ("maml", "maml")}, "different ones"),
        ({"protocol": ()}, "--protocol="),
        ({"ways": 1}, "--ways=1"),
        ({"tasks": 1}, "--tasks=1"),
        ({"meta_rate": 0.0}, "--meta_rate=0.0"),
        ({"imaml_rate": -1.0}, "--imaml_rate=-1.0"),
        ({"proximity": 0.0}, "--proximity=0.0"),
        ({"split_seed": -1}, "--split_seed=-1"),
        ({"also_steps": (-1,)}, "--also_steps=-1"),
        ({"channels": 2}, "--channels=2"),
        ({"norm": "batch"}, "--norm=batch"),
        ({"norm": "running", "learners": ("protonet", "maml")}, "--norm=running: only .*protonet"),
        ({"schedule": "linear"}, "--schedule=linear"),
        ({"clip_by": "sum"}, "--clip_by=sum"),
        ({"rate_end": 1.5}, "--rate_end=1.5: expected a share"),
        ({"first_order_until": -0.1}, "--first_order_until=-0.1"),
        ({"reptile_moments": "some"}, "--reptile_moments=some"),
        ({"ridge": 0.0}, "--ridge=0.0"),
        ({"protocol": ("paper",)}, "--protocol=paper: maml has no published conditions on sim"),
    ],
)
def test_impossible_settings_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        check(BenchmarkSettings(**changes))


def write_split(file, parts):
    names = [f"bone {number:03d}" for number in range(SETTINGS["meta_classes"])]
    rows = zip(names, parts.split(), strict=True)
    file.write_text("".join(f"{name},{part}\n" for name, part in rows))


@pytest.mark.slow
def test_embeddings_learn_from_wider_tasks_and_an_edited_split_is_refused(start, tmp_path):
    file = tmp_path / "split.csv"
    write_split(file, "test test val val train train train train train")
    wider = dict(learners="r2d2", meta_ways=4, meta_shots=2, split=file)
    wider |= dict(test_classes=0, validation_classes=0)
    status, _, said, path = start("wider", **wider)
    assert status == 0, said
    kept = (path / "result.json").read_bytes()
    rows = json.loads((path / "result.json").read_text())["rows"]
    assert {(row["ways"], row["shots"]) for row in rows} == {(2, 1)}
    # Of 4 ways: where nothing is learned yet the loss is log 4, not log 2.
    first = losses_of(path, "r2d2")[0]
    assert first == pytest.approx(np.log(4), rel=0.3)
    # One class changes places: what was tested on would be trained on under the same name.
    write_split(file, "train test val val test train train train train")
    status, _, said, _ = start("wider", **wider)
    assert status == 2 and "started with other data" in said, said
    assert (path / "result.json").read_bytes() == kept


@pytest.mark.slow
def test_too_few_images_end_in_one_line_before_anything_is_written(start):
    status, _, said, path = start("short", queries=9)
    assert status == 2 and said.count("\n") == 1
    assert said.startswith("error: shots (=1) + queries (=9) need 10 images a class")
    assert not path.exists()
