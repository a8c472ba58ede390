import dataclasses
import json
import re

import pytest

from metabone import interrupt
from metabone.commands.command import Call, Command
from metabone.errors import InputError
from metabone.workflows.settings import setting


@dataclasses.dataclass(frozen=True)
class Settings:
    rate: float = setting(0.5, "Rate of the inner loop.")
    shots: tuple[int, ...] = setting((5,), "Support films a class.")
    seed: int = setting(0, "Of everything that is drawn.")


COMMAND = Command("toy", "Toy runs.", "Toy runs.", Settings, {}, print, runs=True)
ROW = dict(learning="meta", model="scratch", shots=5, norm="inductive", region="vote")


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.setattr(interrupt, "line", "interrupted")
    return Call(COMMAND, Settings(), (), "demo", str(tmp_path / "runs"))


def fill(run):
    figures = dict(metric="accuracy", mean=0.25, ci95=0.01, n=2, unit="tasks", paper=None)
    run.results.append(ROW | figures)
    run.results.finish()


def test_a_run_is_filled_once_and_shown_each_time(call, capsys, tmp_path):
    shown = []
    for own_fill in (fill, None):
        call.carry_out(call.config, own_fill)
        shown.append(capsys.readouterr().out)
    (run,) = (tmp_path / "runs" / "toy").iterdir()
    assert re.search(r"meta +scratch +25\.0 ± 1\.0", shown[0])
    assert shown[0].splitlines()[-2:] == [
        f"result: {run / 'result.json'}",
        f"report: {run / 'report.html'}",
    ]
    assert shown[1] == shown[0]
    assert interrupt.line == "interrupted; the same command continues the run"


def test_a_run_is_called_after_its_preset_and_a_hash_of_its_settings(call, tmp_path):
    for config in (Settings(), Settings(rate=0.1), Settings(seed=1), Settings()):
        call.carry_out(config, fill)
    dataclasses.replace(call, run="mine").carry_out(Settings(), fill)
    names = sorted(path.name for path in (tmp_path / "runs" / "toy").iterdir())
    assert len(names) == 4 and names[-1] == "mine"
    assert all(re.fullmatch("demo-[0-9a-f]{6}", name) for name in names[:-1])
    # As runs were called before: sha256 of the sorted settings.
    record = json.loads((tmp_path / "runs" / "toy" / names[0] / "config.json").read_text())
    assert record["config"].keys() == {"rate", "shots", "seed"}


def test_the_runs_of_a_command_may_be_those_of_another(call, tmp_path):
    command = COMMAND._replace(name="short", experiment="toy")
    dataclasses.replace(call, command=command, run="mine").carry_out(Settings(), fill)
    assert (tmp_path / "runs" / "toy" / "mine" / "result.json").is_file()


def test_what_is_impossible_leaves_nothing_behind(call, tmp_path):
    def impossible(run):
        raise InputError("too few films")

    with pytest.raises(InputError, match="too few films"):
        call.carry_out(call.config, impossible)
    assert not (tmp_path / "runs").exists()


def test_what_was_trained_before_an_error_stays_for_the_same_command_to_continue(call, tmp_path):
    def impossible(run):
        (run.training(1).checkpoints("all").directory / "step_00000001").mkdir(parents=True)
        raise InputError("too few films")

    with pytest.raises(InputError, match="too few films"):
        call.carry_out(call.config, impossible)
    (run,) = (tmp_path / "runs" / "toy").iterdir()
    assert (run / "trainings" / "2" / "checkpoints" / "all" / "step_00000001").is_dir()


def test_a_finished_run_of_other_data_is_refused(call):
    call.carry_out(call.config, fill, [{"role": "target", "sha256": "0a"}])
    with pytest.raises(InputError, match=r"other data: target.sha256 \"0a\" vs \"0b\""):
        call.carry_out(call.config, None, [{"role": "target", "sha256": "0b"}])
