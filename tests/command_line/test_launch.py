import os
import re
import subprocess
import sys

import pytest


def one_line(done, status):
    assert (done.returncode, done.stdout) == (status, "")
    (line,) = done.stderr.splitlines()
    return line


def test_what_a_user_gets_wrong_ends_in_one_line_and_status_2(toy):
    assert one_line(toy("--stepps=3"), 2).startswith("error: unknown flag --stepps (did you mean")
    assert one_line(toy("--source=nowhere"), 2) == "error: source 'nowhere': no such folder"


def test_training_that_diverges_ends_in_one_line_and_status_1(toy):
    assert one_line(toy("--source=chaos"), 1) == "error: 'loss' is nan at step 7"


def test_a_command_may_end_in_a_status_of_its_own(toy):
    done = toy("--source=suspect")
    assert (done.returncode, done.stdout, done.stderr) == (1, "look again\n", "")


@pytest.mark.parametrize("word", ["--help", "-h", "help", "--steps=x -h"])
def test_help_is_asked_for_in_any_usual_way(toy, word):
    done = toy(*word.split())
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(
        "python -m toy [--preset=NAME] [--name=value ...]\n\nToy runs, in"
    )


def test_the_version_is_told(toy):
    done = toy("--version")
    assert (done.returncode, done.stdout) == (0, "metabone 0.1.0\n")


@pytest.mark.parametrize("argument", ["--help", "--steps=3"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_whoever_reads_may_leave_early(toy_folder, argument, unbuffered):
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "toy", argument],
        stdout=writing,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
        cwd=toy_folder,
        text=True,
        timeout=60,
    )
    os.close(writing)
    # The status that the shell gives to what SIGPIPE has ended.
    assert (done.returncode, done.stderr) == (141, "")


def test_a_fault_of_ours_keeps_its_traceback(toy_folder):
    code = (
        "from metabone.experiments.command_line.launch import end\n"
        "def body(): raise BrokenPipeError('of a socket')\n"
        "end(body)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=toy_folder, timeout=60
    )
    assert done.returncode == 1
    assert done.stderr.endswith("BrokenPipeError: of a socket\n")


def test_the_log_has_all_that_is_said_with_the_time_and_warnings_of_libraries(toy, tmp_path):
    done = toy("--source=words", f"--log_dir={tmp_path / 'logs'}", PYTHONWARNINGS="default")
    assert done.returncode == 0
    # A progress bar is redrawn in place, and what libraries warn of is not shown.
    assert done.stderr.startswith("first\nsecond\nbar 1\rbar 2\rbar 3\n") or (
        # Text mode reads a carriage return as the end of a line.
        done.stderr.startswith("first\nsecond\nbar 1\nbar 2\nbar 3\n")
    )
    assert "slow path" not in done.stderr
    (file,) = (tmp_path / "logs").iterdir()
    assert re.fullmatch(r"toy-\d{8}T\d{6}\.log", file.name)
    lines = file.read_text().splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", line) for line in lines)
    said = [line[20:] for line in lines]
    assert said[0].startswith("command: ") and "--source=words" in said[0]
    assert said[1:5] == ["warning of jax: slow path", "first", "second", "bar 3"]
    assert "UserWarning: old name" in said[5]


def test_a_log_that_cannot_be_written_is_said_at_once(toy, tmp_path):
    (tmp_path / "file").write_text("")
    line = one_line(toy(f"--log_dir={tmp_path / 'file'}"), 2)
    assert line.startswith(f"error: --log_dir={tmp_path / 'file'}: cannot write ")
