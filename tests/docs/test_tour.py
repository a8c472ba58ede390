"""The page that shows the whole library runs as it stands."""

import re
from pathlib import Path

import pytest

TOUR = Path(__file__).parents[2] / "docs" / "tour.md"


@pytest.mark.slow
def test_every_block_of_the_tour_runs_after_those_before_it():
    blocks = re.findall(r"^```python\n(.*?)^```$", TOUR.read_text("utf-8"), re.M | re.S)
    assert len(blocks) >= 8
    names = {}
    for number, block in enumerate(blocks):
        exec(compile(block, f"{TOUR.name}, block {number + 1}", "exec"), names)
    # What the page promises of an adapted model.
    assert names["predictions"].probabilities.shape == (2, len(set(names["labels"])))
    assert names["relief"].shape == (16, 16)
    assert 0 <= names["found"].rows[0]["mean"] <= 1
