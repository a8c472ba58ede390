"""The example that strangers read first runs as it stands, but for its sizes."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

README = Path(__file__).parents[2] / "README.md"


@pytest.mark.slow
def test_the_readmes_example_runs_within_ten_lines(tmp_path, monkeypatch, capsys):
    (block,) = re.findall(r"^```python\n(.*?)^```$", README.read_text("utf-8"), re.M | re.S)
    assert len([line for line in block.splitlines() if line.strip()]) <= 10
    rng = np.random.default_rng(0)
    for grey, name in enumerate(("dark", "light")):
        (tmp_path / "films/train" / name).mkdir(parents=True)
        for index in range(6):
            pixels = rng.integers(100 * grey, 100 * grey + 100, (32, 32), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "films/train" / name / f"{index}.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("METABONE_DATA_DIR", str(tmp_path / "data"))
    for whole, small in (("steps=300", "steps=1"), ("size=28)\nl", "size=28, classes=15)\nl")):
        assert whole in block
        block = block.replace(whole, small)
    exec(compile(block, README.name, "exec"), {})
    assert "guessing" in capsys.readouterr().out
