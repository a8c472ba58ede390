import json

import pytest


@pytest.mark.slow
def test_a_grid_is_carried_out_as_runs_of_their_own_and_told_in_one_table(toy, tmp_path):
    flags = [
        "--source=run",
        "--preset=large",
        "--nopooled",
        "--shots=1,2",
        f"--runs_dir={tmp_path}",
    ]
    done = toy(*flags, "--sweep=rate=0.5,9", "--sweep=steps=7", "--run=mine")
    # Of the two one diverges, which does not keep the other from being told.
    assert done.returncode == 1
    failed = tmp_path / "toy" / "mine+rate=9.0+steps=7"
    assert done.stderr.splitlines() == [
        "run 1 of 2: rate=0.5, steps=7",
        "run 2 of 2: rate=9.0, steps=7",
        "error: 'loss' is nan at step 7",
        f"run {failed} failed",
    ]
    (line,) = [line for line in done.stdout.splitlines() if "steps=7" in line]
    assert line.split()[-1] == "5.0"
    record = json.loads((tmp_path / "toy" / "mine+rate=0.5+steps=7" / "config.json").read_text())
    assert record["config"] == {
        "source": "run",
        "steps": 7,
        "rate": 0.5,
        "pooled": False,
        "shots": [1, 2],
        "cuts": [84.0],
        "names": [],
        "seed": 0,
    }
    kept = json.loads((tmp_path / "toy" / "mine+sweep.json").read_text())
    assert kept["failed"] == [failed.name]
    assert [run["settings"] for run in kept["runs"]] == [{"rate": 0.5, "steps": 7}]


def test_a_grid_that_cannot_be_is_told_before_anything_is_begun(toy, tmp_path):
    done = toy("--source=run", "--sweep=ratte=1", f"--runs_dir={tmp_path / 'runs'}")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: --sweep=ratte=1: no setting 'ratte' (did you mean rate?)\n"
    assert not (tmp_path / "runs").exists()
