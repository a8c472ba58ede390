"""Ctrl-C at moments that used to end in a traceback or a segmentation fault."""

import os
import signal
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

_BEGIN = """
from metabone import interrupt
interrupt.install()
import sys
def now(what):
    print(what, flush=True)
"""
_IMPORTING = """
now("here")
import jax, flax.linen, optax, orbax.checkpoint, scipy.stats, matplotlib.pyplot
import time; time.sleep(60)
"""
_COMPILING = """
import jax, jax.numpy as jnp
def deep(x):
    for i in range(600):
        x = jnp.sin(x @ x + i) * jnp.cumsum(x, 0)
    return x
lowered = jax.jit(deep).lower(jnp.ones((16, 16)))
now("here")
lowered.compile()
now("compiled")
"""
_THREADS = """
from concurrent.futures import ThreadPoolExecutor
import jax, jax.numpy as jnp
def work(i):
    while True:
        jax.block_until_ready(jax.jit(lambda x: jnp.tanh(x @ x + i))(jnp.ones((64, 64))))
with ThreadPoolExecutor(2) as pool:
    running = [pool.submit(work, i) for i in range(2)]
    now("here")
    [each.result() for each in running]
"""


@pytest.mark.parametrize("wait", [0.0, 0.4])
@pytest.mark.parametrize(
    "moment", [_IMPORTING, _COMPILING, _THREADS], ids=["importing", "compiling", "threads"]
)
def test_it_ends_in_one_line_and_status_130(interruptible, moment, wait):
    process = interruptible("-c", _BEGIN + moment, env=os.environ | {"JAX_PLATFORMS": "cpu"})
    assert process.stdout.readline() == "here\n"
    time.sleep(wait)
    process.send_signal(signal.SIGINT)
    out, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (130, "interrupted\n")
    # Not only once the compiler has returned.
    assert out == ""


@pytest.mark.parametrize("wait", [0.0, 0.5])
def test_an_experiment_is_interruptible_from_its_first_import_on(interruptible, tmp_path, wait):
    process = interruptible("-m", "experiments.smi", f"--runs_dir={tmp_path}", cwd=ROOT)
    tasks = Path(f"/proc/{process.pid}/task")
    while process.poll() is None and len(list(tasks.iterdir())) < 2:
        # Until a second thread waits for the signal.
        time.sleep(0.002)
    time.sleep(wait)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (130, "interrupted\n")


def test_importing_experiments_elsewhere_leaves_the_signal_alone(interruptible):
    code = "import signal, experiments; print(signal.getsignal(signal.SIGINT).__name__)"
    out, _ = interruptible("-c", code, cwd=ROOT).communicate(timeout=30)
    assert out == "default_int_handler\n"


def test_a_process_that_is_told_to_ignore_it_goes_on(interruptible):
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        f"{_BEGIN}\nimport os; os.kill(os.getpid(), signal.SIGINT); now('still here')"
    )
    process = interruptible("-c", code)
    assert process.communicate(timeout=30) == ("still here\n", "")
    assert process.returncode == 0


def test_a_run_says_that_the_same_command_continues_it_and_the_log_has_the_line(
    interruptible, tmp_path
):
    code = (
        f"{_BEGIN}\n"
        "from metabone.training.log import keep_log\n"
        f"interrupt.tell.append(keep_log({str(tmp_path)!r}, 'toy'))\n"
        "interrupt.line = 'interrupted; the same command continues the run'\n"
        "now('here')\nimport time; time.sleep(60)"
    )
    process = interruptible("-c", code)
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert said == "interrupted; the same command continues the run\n"
    (log,) = tmp_path.iterdir()
    assert log.read_text().splitlines()[-1][20:] == said.rstrip()


@pytest.mark.parametrize("whom", ["the sweep alone", "its terminal"])
def test_a_sweep_ends_with_its_run_in_one_line(interruptible, toy_folder, tmp_path, whom):
    started = tmp_path / "started"
    process = interruptible(
        *("-m", "toy", "--source=sleep", f"--names={started}", "--seeds=2"),
        f"--runs_dir={tmp_path}",
        cwd=toy_folder,
        start_new_session=True,
    )
    assert process.stderr.readline() == "run 1 of 2: seed=0\n"
    while process.poll() is None and not started.exists():
        time.sleep(0.02)
    if whom == "its terminal":
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (130, "interrupted\n")
