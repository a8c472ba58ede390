import dataclasses
import json

import pytest

from metabone.errors import InputError
from metabone.training.json_files import read_json
from metabone.training.run import open_run
from metabone.workflows.setting_values import grid
from metabone.workflows.sweeps import carry_out_grid, run_name


@dataclasses.dataclass(frozen=True)
class Settings:
    rate: float = 0.5
    order: int = 2
    source: str = ""
    pooled: bool = False
    shots: tuple[int, ...] = (5,)
    seed: int = 4


def test_a_grid_is_every_combination_with_values_of_the_setting_s_own_type():
    cells = grid(Settings(), "rate=0.1, 1;pooled=true,false", seeds=2)
    assert len(cells) == 8
    assert cells[0] == {"rate": 0.1, "pooled": True, "seed": 4}
    assert cells[1] == {"rate": 0.1, "pooled": True, "seed": 5}
    assert cells[2] == {"rate": 0.1, "pooled": False, "seed": 4}
    assert cells[7] == {"rate": 1.0, "pooled": False, "seed": 5}
    assert isinstance(cells[7]["rate"], float)
    assert grid(Settings(), "", seeds=3) == [{"seed": 4}, {"seed": 5}, {"seed": 6}]
    assert grid(Settings(), "order=1", seeds=0) == [{"order": 1}]


@pytest.mark.parametrize(
    ("sweep", "seeds", "message"),
    [
        ("ratte=1", 0, "no setting 'ratte' (did you mean rate?)"),
        ("rate", 0, "expected name=value,value"),
        ("rate=", 0, "expected name=value,value"),
        ("shots=1,2", 0, "of a setting that is no list"),
        ("rate=0.1,x", 0, "--rate=x: expected a number"),
        ("rate=0.1,0.10", 0, "named twice"),
        ("rate=0.1;rate=0.2", 0, "named twice"),
        ("seed=1,2", 2, "--seeds and --sweep=seed: name the seeds once"),
        ("", -1, "--seeds=-1: expected at least 1"),
    ],
)
def test_a_grid_that_cannot_be_is_refused(sweep, seeds, message):
    with pytest.raises(InputError) as caught:
        grid(Settings(), sweep, seeds)
    assert message in str(caught.value)


def test_a_run_is_called_after_its_settings_or_a_hash_where_no_folder_can_be():
    assert run_name("demo", {"rate": 1e-05, "seed": 0}) == "demo+rate=1e-05+seed=0"
    names = {run_name("demo", {"source": f"folder:/films/{i}"}) for i in range(2)}
    assert len(names) == 2
    assert all(len(name) == len("demo+01234567") and "/" not in name for name in names)


def row(mean):
    labels = dict(learning="meta", model="scratch", shots=5, norm="inductive", region="vote")
    return labels | dict(metric="accuracy", mean=mean, ci95=0.01, n=2, unit="tasks", paper=None)


@pytest.fixture
def start(tmp_path):
    """Carries a run out in this process; a rate above 5 fails, below 0 is wrong."""
    begun = []

    def carry_out(cell, name):
        begun.append(name)
        if not 0 <= cell.get("rate", 0) <= 5:
            return 1 if cell["rate"] > 0 else 2
        with open_run(tmp_path, "toy", name, dataclasses.replace(Settings(), **cell)) as run:
            run.results.append(row(cell["rate"] / 10 + cell["seed"] / 100))
            run.results.finish()
        return 0

    carry_out.begun = begun
    return carry_out


def test_what_is_complete_is_not_done_again_and_what_failed_is(start, tmp_path, capsys):
    cells = grid(Settings(), "rate=1,9", seeds=2)
    for _ in range(2):
        assert carry_out_grid(cells, Settings(), tmp_path / "toy", "base", start) == 1
    complete = ["base+rate=1.0+seed=4", "base+rate=1.0+seed=5"]
    failed = ["base+rate=9.0+seed=4", "base+rate=9.0+seed=5"]
    assert start.begun == [*complete, *failed, *failed]
    out, err = capsys.readouterr()
    assert err.splitlines()[:2] == ["run 1 of 4: rate=1.0, seed=4", "run 2 of 4: rate=1.0, seed=5"]
    # Mean and standard deviation over both seeds, 0.14 and 0.15.
    assert "14.5 (0.7)" in out
    kept = read_json(tmp_path / "toy" / "base+sweep.json")
    assert [run["run"] for run in kept["runs"]] == complete
    assert kept["runs"][1]["settings"] == {"rate": 1.0, "seed": 5}
    assert kept["runs"][1]["rows"][0]["mean"] == pytest.approx(0.15)
    assert kept["failed"] == failed


def test_a_run_of_other_settings_or_a_begun_one_is_started(start, tmp_path):
    (cell,) = cells = grid(Settings(), "rate=1", seeds=1)
    assert carry_out_grid(cells, Settings(), tmp_path / "toy", "base", start) == 0
    file = tmp_path / "toy" / run_name("base", cell) / "result.json"
    file.write_text(json.dumps(read_json(file) | {"complete": False}))
    for config in (Settings(), Settings(order=1)):
        start.begun.clear()
        carry_out_grid(
            cells, config, tmp_path / "toy", "base", lambda *_: start.begun.append(1) or 1
        )
        assert start.begun == [1]


def test_settings_on_which_no_run_depends_make_no_other_run(start, tmp_path):
    @dataclasses.dataclass(frozen=True)
    class More(Settings):
        write: str = "there"

    cells = grid(Settings(), "rate=1", seeds=1)
    for config in (Settings(), More()):
        assert carry_out_grid(cells, config, tmp_path / "toy", "base", start) == 0
    assert len(start.begun) == 1


def test_a_wrong_setting_ends_a_sweep_at_once(start, tmp_path):
    cells = grid(Settings(), "rate=-1,1", seeds=0)
    assert carry_out_grid(cells, Settings(), tmp_path / "toy", "base", start) == 2
    assert start.begun == ["base+rate=-1.0"]
    assert not (tmp_path / "toy").exists()
