"""The experiment on a few annotated films, without its training."""

import json

import jax
import numpy as np
import pytest
from PIL import Image

from experiments.key_points import COMMAND, main
from experiments.key_points_settings import PRESETS, KeyPointSettings, check
from metabone import workflows
from metabone.commands.command import Call
from metabone.errors import InputError
from metabone.workflows.point_net_files import point_net_of, shipped_point_net
from tests.radiograph.posed_hands import left_hand


def _annotated(folder):
    """Ten films of noise whose points are set, and the settings that name them."""
    points = [v for x, y in left_hand(60, (45, 85)).tolist() for v in (x, y, 2)]
    images = [{"id": k, "width": 90, "height": 100} for k in range(10)]
    hands = [{"image_id": k, "lefthand_kpts": points} for k in range(10)]
    annotations = folder / "hands.json"
    annotations.write_text(json.dumps({"images": images, "annotations": hands}))
    (folder / "films").mkdir()
    rng = np.random.default_rng(0)
    for k in range(10):
        film = Image.fromarray(rng.integers(0, 256, (100, 90)).astype(np.uint8))
        film.save(folder / "films" / f"{k}.png")
    return {"annotations": str(annotations), "films": str(folder / "films")}


@pytest.fixture
def trained(monkeypatch):
    """What training was asked for; compiling it would take half a minute."""
    asked = []

    def train(sets, **options):
        asked.append(([len(films.images) for films in sets], options))
        return shipped_point_net()

    monkeypatch.setattr(workflows, "train_key_points", train)
    return asked


def test_a_run_keeps_its_network_and_figures_and_is_shown_again(trained, tmp_path, capsys):
    config = KeyPointSettings(on="real", steps=7, batch=4, seed=3, **_annotated(tmp_path))
    call = Call(COMMAND, config, (), "real", str(tmp_path / "runs"), "small")
    main(call)
    ((films, options),) = trained
    assert films == [8]
    assert (options["steps"], options["batch_size"], options["seed"]) == (7, 4, 3)
    folder = tmp_path / "runs" / "key_points" / "small"
    assert options["checkpoints"].directory == folder / "checkpoints" / "key_points"
    result = json.loads((folder / "result.json").read_text())
    metrics = [row["metric"] for row in result["rows"]]
    assert result["complete"] and metrics == ["point_error", "points_beyond", "joints_within"]
    assert {(row["kind"], row["n"]) for row in result["rows"]} == {("real", 2)}
    assert "real films, a held-out fifth" in capsys.readouterr().out
    assert "<circle" in (folder / "report.html").read_text()
    for leaf, kept in zip(
        *map(jax.tree.leaves, (shipped_point_net(), point_net_of(folder))), strict=True
    ):
        np.testing.assert_array_equal(leaf, kept)
    before = (folder / "result.json").read_bytes()
    main(call)
    assert len(trained) == 1 and (folder / "result.json").read_bytes() == before


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
