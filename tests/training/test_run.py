import dataclasses
import datetime
import json
import platform
import shlex
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metabone.errors import InputError
from metabone.training.checkpoints import Progress
from metabone.training.json_files import read_json, write_json_atomically
from metabone.training.results import ResultFile
from metabone.training.run import git_revision, is_run_name, open_run, versions


@dataclasses.dataclass(frozen=True)
class Config:
    meta_steps: int = 300
    shots: tuple[int, ...] = (5, 10)


def one_line(error, *parts):
    assert str(error.value).isprintable()
    for part in parts:
        assert part in str(error.value)


def test_a_new_run_writes_down_what_it_is(tmp_path):
    with open_run(tmp_path, "smi", "first", Config(), seed=4) as run:
        assert run.path == tmp_path / "smi" / "first" and not run.continued
    record = read_json(run.path / "config.json")
    assert record["experiment"] == "smi" and record["name"] == "first" and record["seed"] == 4
    assert record["config"] == {"meta_steps": 300, "shots": [5, 10]}
    assert record["versions"] == versions() and set(versions()) >= {"python", "jax", "optax"}
    assert record["git_revision"] == git_revision()
    date = datetime.datetime.fromisoformat(record["date"])
    assert abs(datetime.datetime.now(datetime.UTC) - date) < datetime.timedelta(minutes=1)
    assert shlex.split(record["command"]) == sys.orig_argv
    assert record["host"] == platform.node()
    device = jax.devices()[0]
    assert record["devices"] == {
        "platform": device.platform,
        "kind": device.device_kind,
        "count": jax.device_count(),
    }


def test_the_same_settings_continue_a_run_and_others_are_refused(tmp_path):
    open_run(tmp_path, "smi", "first", Config(), seed=4).close()
    with open_run(tmp_path, "smi", "first", Config(), seed=4) as run:
        assert run.continued and run.config == {"meta_steps": 300, "shots": [5, 10]}
    with pytest.raises(InputError) as caught:
        open_run(tmp_path, "smi", "first", Config(meta_steps=500, shots=(5,)), seed=4)
    one_line(caught, str(run.path), "meta_steps 300 vs 500, shots [5, 10] vs [5]")
    with pytest.raises(InputError, match="seed 4 vs 5"):
        open_run(tmp_path, "smi", "first", Config(), seed=5)
    open_run(tmp_path, "smi", "first", Config(), seed=4).close()


def test_other_versions_are_added_to_the_record(tmp_path):
    with open_run(tmp_path, "smi", "first", {}) as run:
        file = run.path / "config.json"
    record = read_json(file)
    record["versions"]["jax"] = "0.9.0"
    write_json_atomically(file, record)
    for _ in range(2):
        open_run(tmp_path, "smi", "first", {}).close()
        found = read_json(file)
        assert found["versions"]["jax"] == "0.9.0"
        assert [entry["versions"] for entry in found["continued"]] == [versions()]


def test_other_devices_are_added_to_the_record_and_another_command_is_not(tmp_path):
    with open_run(tmp_path, "smi", "first", {}) as run:
        file = run.path / "config.json"
    record = read_json(file)
    record |= {"command": "python -m another", "date": "2020-01-01T00:00:00+00:00", "host": "x"}
    write_json_atomically(file, record)
    open_run(tmp_path, "smi", "first", {}).close()
    assert read_json(file) == record
    record["devices"]["count"] += 1
    write_json_atomically(file, record)
    open_run(tmp_path, "smi", "first", {}).close()
    (entry,) = read_json(file)["continued"]
    assert entry["devices"]["count"] == record["devices"]["count"] - 1
    assert shlex.split(entry["command"]) == sys.orig_argv


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "/etc/x", "a\\b", "a b", "-x", "x\n", "x" * 101]
)
def test_a_name_that_is_no_folder_name_is_refused(tmp_path, name):
    with pytest.raises(InputError) as caught:
        open_run(tmp_path / "runs", "smi", name, {})
    one_line(caught, repr(name))
    assert not is_run_name(name)
    assert not (tmp_path / "runs").exists()


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError) as caught:
        open_run(tmp_path / "file" / "runs", "smi", "first", {})
    one_line(caught, "cannot write the run folder", str(tmp_path / "file" / "runs"))


def test_a_config_that_is_not_ours_is_refused(tmp_path):
    for content, message in [("{", "is not JSON"), ("[]", "is not a run's config")]:
        folder = tmp_path / "smi" / "first"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(content)
        with pytest.raises(InputError, match=message) as caught:
            open_run(tmp_path, "smi", "first", {})
        one_line(caught, str(folder / "config.json"))


def test_one_process_at_a_time_holds_a_run_and_a_kill_releases_it(tmp_path):
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time; from metabone.training.run import open_run\n"
            "run = open_run(sys.argv[1], 'smi', 'first', {})\n"
            "print('held', flush=True); time.sleep(60)",
            str(tmp_path),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(InputError, match="is in use by another process") as caught:
            open_run(tmp_path, "smi", "first", {})
        one_line(caught, str(tmp_path / "smi" / "first"))
    finally:
        holder.kill()
        holder.communicate()
    open_run(tmp_path, "smi", "first", {}).close()


def test_data_is_written_down_and_other_data_refused(tmp_path):
    entry = {"role": "target", "source": "simulated:smi", "kind": "simulated", "sha256": "ab"}
    with open_run(tmp_path, "smi", "first", {}) as run:
        run.record_data([entry])
        assert read_json(run.path / "config.json")["data"] == [entry]
        assert read_json(run.path / "result.json")["data"] == [entry]
    with open_run(tmp_path, "smi", "first", {}) as run:
        run.record_data([entry])
        with pytest.raises(InputError, match=r'other data: target.sha256 "ab" vs "cd"'):
            run.record_data([entry | {"sha256": "cd"}])


def test_checkpoints_of_a_run_carry_its_settings_and_tick_its_clock(tmp_path):
    with open_run(tmp_path, "smi", "first", {"a": 1}, seed=2) as run:
        checkpoints = run.checkpoints("meta")
        checkpoints.save({"w": jnp.ones(2)}, Progress(1))
        assert checkpoints.directory == run.path / "checkpoints" / "meta"
        found = checkpoints.restore({"w": jnp.zeros(2)})
        assert found.settings == {"config": {"a": 1}, "seed": 2}
        assert read_json(run.path / "result.json")["seconds"] > 0


def test_rows_are_found_again_and_seconds_add_up(tmp_path):
    path = tmp_path / "result.json"
    results = ResultFile(path, "smi")
    row = {"learning": "meta", "shots": 5, "mean": np.float32(0.7), "ci95": np.nan}
    results.append(row, {"learning": "meta", "shots": 10, "mean": 0.8})
    written = read_json(path)
    assert written["complete"] is False and written["experiment"] == "smi"
    assert written["rows"][0] == {"learning": "meta", "shots": 5, "mean": 0.7, "ci95": None}

    written["seconds"] = 100.0
    path.write_text(json.dumps(written))
    again = ResultFile(path, "smi")
    assert again.find(learning="meta", shots=10)["mean"] == 0.8
    assert again.find(learning="meta", shots=20) is None
    assert again.find(region=1) is None
    again.append({"learning": "base", "shots": 5})
    again.set(data=[{"role": "target"}])
    again.finish()
    written = read_json(path)
    assert written["complete"] and len(written["rows"]) == 3 and written["seconds"] >= 100
    assert ResultFile(path, "smi").seconds == written["seconds"]
    assert [p.name for p in tmp_path.iterdir()] == ["result.json"]


def test_a_result_file_that_is_not_ours_is_refused(tmp_path):
    (tmp_path / "result.json").write_text('{"rows": []}')
    with pytest.raises(InputError, match="is not a result file"):
        ResultFile(tmp_path / "result.json", "smi")


def test_a_failed_write_leaves_the_old_file(tmp_path):
    write_json_atomically(tmp_path / "a.json", {"a": 1})
    with pytest.raises(TypeError, match="has no JSON form"):
        write_json_atomically(tmp_path / "a.json", {"a": object()})
    assert read_json(tmp_path / "a.json") == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
