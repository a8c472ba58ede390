"""The experiment as its user starts it, on a few simulated films."""

import json

import jax
import numpy as np
import pytest

from experiments.key_points_settings import PRESETS, KeyPointSettings, check
from metabone.errors import InputError
from metabone.workflows.point_net_files import point_net_of

SMALL = ("--simulated_films=4", "--unseen_films=2", "--steps=2", "--batch=2")


@pytest.mark.slow
def test_a_run_keeps_its_network_and_figures_and_is_shown_again(starter, tmp_path):
    flags = [*SMALL, f"--runs_dir={tmp_path}", "--run=small"]
    status, printed, said = starter.start("experiments.key_points", flags)
    assert status == 0, said
    folder = tmp_path / "key_points" / "small"
    result = json.loads((folder / "result.json").read_text())
    metrics = [row["metric"] for row in result["rows"]]
    assert result["complete"] and metrics == ["point_error", "points_beyond", "joints_within"]
    assert {row["kind"] for row in result["rows"]} == {"simulated"}
    assert "simulated films, unseen" in printed and (folder / "report.html").exists()
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(point_net_of(folder)))
    before = (folder / "result.json").read_bytes()
    assert starter.start("experiments.key_points", flags)[0] == 0
    assert (folder / "result.json").read_bytes() == before


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"on": "real"}, "--on=real: needs annotated films, --annotations and --films"),
        ({"annotations": "a.json"}, "--annotations and --films: expected both or neither"),
        ({"on": "drawn"}, "--on=drawn: expected one of simulated, real, both"),
        ({"steps": 0}, "--steps=0: expected at least 1"),
        (
            {"on": "both", "annotations": "a", "films": "b", "batch": 15},
            "--batch=15: expected a positive multiple of 2",
        ),
    ],
)
def test_settings_that_cannot_be_are_said_before_anything_is_read(settings, said):
    with pytest.raises(InputError, match=said):
        check(KeyPointSettings(**settings))


def test_presets_are_settings_that_can_be():
    films = {"annotations": "hands.json", "films": "films"}
    for preset in PRESETS.values():
        check(KeyPointSettings(**dict(preset.values) | films))
    check(KeyPointSettings(**PRESETS["demo"].values))
