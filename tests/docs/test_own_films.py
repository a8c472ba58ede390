"""The example of hands on the page of one's own films runs as it stands, and so do its promises."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import metabone as mb
from metabone.workflows import hand_regions
from metabone.workflows.prediction_files import write_prediction_files

PAGE = Path(__file__).parents[2] / "docs" / "own-films.md"


@pytest.mark.slow
def test_simulated_hands_are_read_by_their_regions_from_raw_films_to_a_page(tmp_path, monkeypatch):
    # Flat templates move nothing, and need no film to be drawn.
    flat = np.zeros((6, 64, 64, 2), np.float32)
    monkeypatch.setattr(hand_regions, "simulated_templates", lambda regions: flat)
    (block,) = [
        block
        for block in re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
        if "regions=" in block
    ]
    names = {}
    exec(compile(block, PAGE.name, "exec"), names)
    model, found = names["model"], names["found"]
    assert model.evaluation.accuracy.value >= 0.8 and found.drops.shape == (2, 6)

    films = tmp_path / "films"
    films.mkdir()
    turned = np.rot90(255 - names["films"][0])  # Inverted, fingers to the left.
    Image.fromarray(np.ascontiguousarray(turned)).save(films / "turned.tif")
    noise = np.random.default_rng(0).integers(0, 256, (300, 300), np.uint8)
    Image.fromarray(noise).save(films / "noise.png")
    loaded = mb.load(model.save(tmp_path / "model"))
    read = write_prediction_files(loaded, films, tmp_path / "out")
    assert read.files == ("turned.tif",) and list(read.refused) == ["noise.png"]
    rows = list(csv.DictReader((tmp_path / "out" / "predictions.csv").read_text().splitlines()))
    assert rows[0]["answer"] == "" and rows[0]["warning"].startswith("Not read: no hand")
    assert rows[1]["answer"] == str(found.answers[0])
    assert abs(float(rows[1]["p(3)"]) - found.probabilities[0, 0]) < 0.1
    page = (tmp_path / "out" / "predictions.html").read_text()
    assert "when one region is not looked at" in page and "thumb, distal phalanx" in page
