"""The experiment on prepared hands: learned from some patients, read from others, staged again."""

import dataclasses
import json

import numpy as np
import pytest

from experiments.smi import fill
from experiments.smi_settings import PRESETS, SmiSettings, check, preset_of
from metabone.datasets import hands
from metabone.datasets.source import load_films
from metabone.errors import InputError
from metabone.training.run import open_run
from tests.datasets.hand_folders import write_hands

LEAST = dict(
    regions="wrist",
    cuts=(130.0,),
    shots=(1,),
    queries=1,
    draws=2,
    filters=2,
    backbone_width=0.02,
    hidden=(4,),
    pretrain_hidden=(4,),
    pretrain_steps=2,
    pretrain_batch=4,
    meta_share=0.6,
    meta_steps=2,
    head_steps=2,
    meta_batch=1,
    meta_shots=1,
    meta_queries=1,
    inner_steps=1,
    test_steps=1,
    validate_every=2,
    validation_tasks=2,
    base_steps=1,
    models=("hog",),
    heads=("ordinal",),
    sex=("with",),
    film_learners=("supervised_cuts",),
    film_filters=2,
    film_hidden=(4,),
    film_steps=2,
    film_tasks=2,
    film_minibatch=4,
    film_shots=1,
    film_queries=1,
    film_validate_every=2,
)


@pytest.mark.slow
def test_hands_learned_from_and_hands_read_share_no_patient_and_stages_can_be_cut_anew(
    tmp_path, monkeypatch
):
    drawn = np.random.default_rng(0).random((1, 64, 64, 2)).astype(np.float32)
    monkeypatch.setattr(hands, "simulated_templates", lambda regions: drawn)
    folder = write_hands(tmp_path / "hands", count=24)
    ages = [f"h{number},{60 + 6 * number},{'FM'[number % 2]}\n" for number in range(24)]
    (folder / "labels.csv").write_text("".join(["id,bone_age_months,sex\n", *ages]))
    source = f"hands:{folder}"
    config = SmiSettings(target=source, meta_source=source, **LEAST)
    check(config)
    # Drawn hands are all alike, and would be taken for copies.
    films = load_films(source, regions="wrist", cuts=config.cuts)
    films = dataclasses.replace(films, looks=None)
    with open_run(tmp_path, "smi", "first", config) as run:
        fill(config, run, films, None, str(tmp_path / "data"))
        path = run.path
    result = json.loads((path / "result.json").read_text())
    assert result["complete"]
    found = {(row["learning"], row["model"]) for row in result["rows"]}
    named = "hog, ordinal head, sex"
    assert found == {
        *[("meta", named), ("linear", named), ("probe", named)],
        ("supervised cuts", "all regions, sex"),
    }
    assert result["meta_classes"] == {"train": ["10 hands"], "validation": ["4 hands"]}

    again = dataclasses.replace(config, evaluate=str(path), cuts=(120.0,))
    films = load_films(source, regions="wrist", cuts=again.cuts)
    with open_run(tmp_path, "smi", "again", again) as run:
        fill(again, run, films, None, str(tmp_path / "data"))
        staged = json.loads((run.path / "result.json").read_text())
        assert not (run.path / "checkpoints").exists()  # nothing was trained
    assert len(staged["rows"]) == len(result["rows"])


def test_real_films_have_presets_of_their_own():
    assert preset_of({}) == preset_of({"target": "simulated:smi"}) == "demo"
    assert preset_of({"target": "rsna:DIR", "regions": "hand"}) == "demo"
    assert preset_of({"target": "rsna:DIR"}) == "real"
    assert preset_of({"target": "hands:DIR", "meta_source": "rsna:DIR"}) == "hands"
    assert preset_of({"target": "rsna:DIR", "evaluate": "runs/smi/x"}) == "demo"


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_possible(preset):
    check(SmiSettings(**PRESETS[preset].values | dict(meta_source="simulated:hands")))


@pytest.mark.parametrize(
    "changed, message",
    [
        (
            dict(film_learners=("maml",)),
            "--film_learners: learned from hands; --meta_source=simulated:bo",
        ),
        (
            dict(region_weights=True),
            "--region_weights: learned from hands; --meta_source=simulated",
        ),
        (dict(film_learners=("mml",)), "--film_learners=mml: expected some of supervised_cuts"),
        (dict(models=("hogg",)), "--models=hogg: expected some of scratch"),
        (dict(meta_share=1.0), "--meta_share=1.0: expected a number between 0 and 1"),
        (dict(film_hidden=(0,)), "--film_hidden=0: expected numbers of at least 1"),
    ],
)
def test_what_cannot_be_is_refused(changed, message):
    with pytest.raises(InputError, match=message):
        check(SmiSettings(**changed))
