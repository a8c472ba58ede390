"""A command of its own, since what all commands share is tested apart from what they do."""

import os
import signal
import subprocess
import sys

import pytest

_COMMAND = '''"""Toy runs, in no time.

  python -m toy --rate=0.25

Nothing is learned from
them.
"""

import dataclasses
import json
import sys

from metabone.errors import InputError, TrainingDiverged
from metabone.commands.command import Command, Preset
from metabone.experiments.command_line.launch import launch
from metabone.workflows.settings import setting


@dataclasses.dataclass(frozen=True)
class Settings:
    source: str = setting("", "Where images come from.", "Images")
    steps: int = setting(10, "Outer steps.", "Training")
    rate: float = setting(0.5, "Rate of the inner loop.", "Training")
    pooled: bool = setting(False, "All regions together.", "Images")
    shots: tuple[int, ...] = setting((5, 10), "Support films a class.", "Images")
    cuts: tuple[float, ...] = setting((84.0,), "Months.", "Images")
    names: tuple[str, ...] = setting((), "What to call them.", "Images")
    seed: int = setting(0, "Of everything that is drawn.", "Training")


PRESETS = {
    "small": Preset(dict(steps=3, shots=(1,)), "a second", "nothing"),
    "large": Preset(dict(rate=0.25, pooled=True), "two seconds on two cores", "simulated: 51 %"),
}


def fill(run, config):
    if config.rate > 5:
        raise TrainingDiverged("'loss' is nan\\n at step 7")
    if config.rate < 0:
        raise InputError(f"--rate={config.rate}: expected at least 0")
    mean = config.rate / 10 + config.seed / 100
    labels = dict(learning="meta", model="scratch", shots=5, norm="inductive", region="vote")
    figures = dict(metric="accuracy", mean=mean, ci95=0.01, n=2, unit="tasks", paper=None)
    run.results.append(labels | figures)
    run.results.finish()


def main(call):
    config = call.config
    if config.source == "nowhere":
        raise InputError("source 'nowhere':\\n  no such folder")
    if config.source == "words":
        import logging
        import warnings

        logging.getLogger("jax").warning("slow %s", "path")
        print("first\\nsecond", file=sys.stderr)
        sys.stderr.write("bar 1\\rbar 2\\r")
        sys.stderr.write("bar 3\\n")
        warnings.warn("old name")
    elif config.source == "chaos":
        raise TrainingDiverged("'loss' is nan\\n at step 7")
    elif config.source == "sleep":
        import pathlib
        import time

        pathlib.Path(config.names[0]).touch()
        time.sleep(60)
    elif config.source == "suspect":
        print("look again")
        return 1
    elif config.source == "run":
        call.carry_out(config, lambda run: fill(run, config))
    else:
        said = dataclasses.asdict(config) | {"given": call.given, "preset": call.preset}
        print(json.dumps(said | {"runs_dir": call.runs_dir, "data_dir": call.data_dir}))


COMMAND = Command("toy", "Toy runs.", __doc__, Settings, PRESETS, main, runs=True)

if __name__ == "__main__":
    launch(COMMAND)
'''


@pytest.fixture(scope="session")
def toy_folder(tmp_path_factory):
    """Where `python -m toy` finds it."""
    folder = tmp_path_factory.mktemp("toy")
    (folder / "toy.py").write_text(_COMMAND)
    return folder


@pytest.fixture(scope="session")
def toy(toy_folder):
    """Calls the command, each time in a process of its own."""

    def call(*arguments, **options):
        return subprocess.run(
            [sys.executable, "-m", "toy", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=120,
            cwd=toy_folder,
            env=os.environ | {"JAX_PLATFORMS": "cpu"} | options,
        )

    return call


@pytest.fixture
def interruptible():
    """Starts a process that hears SIGINT, which what starts the tests may have told to ignore."""
    begun = []

    def start(*arguments, **options):
        # What is ignored here is ignored there; what has a handler here has none there. Set before
        # it starts and not in the child, since a process with JAX in it is not to be forked.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            process = subprocess.Popen(
                [sys.executable, *map(str, arguments)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                **options,
            )
        finally:
            signal.signal(signal.SIGINT, before)
        begun.append(process)
        return process

    yield start
    for process in begun:
        process.kill()
        process.communicate()
