"""A run killed with SIGKILL at random moments ends as one that was left alone."""

import random
import subprocess
import sys
import time

import numpy as np
import pytest

from metabone.training.checkpoints import Checkpoints, load_checkpoint

_TRAINING = """
import sys, time
import jax, jax.numpy as jnp, optax
from metabone.training.loop import train
from metabone.training.run import open_run
from metabone.training.supervised import supervised_state, supervised_step

images = jax.random.randint(jax.random.key(0), (50, 4, 4, 1), 0, 256).astype(jnp.uint8)
labels = images.mean(axis=(1, 2, 3)).astype(jnp.int32) % 3

def apply(params, norm_stats, images, use_batch_stats):
    return images.reshape(len(images), -1) @ params["w"], {"mean": images.mean(axis=0)}

def loss(logits, labels):
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

def validate(state):
    time.sleep(0.05)
    # Neither rising nor falling, so the best is not always the last.
    return {"accuracy": jnp.sin(1e3 * state.params["w"].sum())}

optimizer = optax.adam(0.01)
step = supervised_step(apply, optimizer, loss, lambda x: x.astype(jnp.float32) / 255, batch_size=8)
state = supervised_state({"w": jnp.zeros((16, 3))}, {"mean": jnp.zeros((4, 4, 1))}, optimizer)
with open_run(sys.argv[1], "kill", "run", {"steps": 60}, seed=1) as run:
    print("training", flush=True)
    train(step, state, (images, labels), steps=60, seed=1, window=int(sys.argv[2]),
          validate=validate, validate_every=6, checkpoints=run.checkpoints("pretrain", 0.0),
          metrics=run.metrics, phase="pretrain", progress=False)
print("done", flush=True)
"""


def launch(folder, window):
    command = [sys.executable, "-W", "error", "-c", _TRAINING, str(folder), str(window)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def trained(folder):
    checkpoints = folder / "kill" / "run" / "checkpoints" / "pretrain"
    return [load_checkpoint(checkpoints, best=best) for best in (False, True)]


@pytest.mark.slow
def test_killed_and_continued_training_ends_with_the_same_bits(tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert launch(whole, 200).communicate()[0].split() == ["training", "done"]

    rng = random.Random(0)
    checkpoints = Checkpoints(parts / "kill" / "run" / "checkpoints" / "pretrain")
    steps_left_behind = []
    for kill in range(3):
        process = launch(parts, rng.randint(1, 9))
        assert process.stdout.readline() == "training\n"
        before = checkpoints.last_step()
        # The first is killed wherever it is, the others once they are under way.
        while kill and checkpoints.last_step() == before and process.poll() is None:
            time.sleep(0.01)
        time.sleep(rng.uniform(0.0, 0.4))
        process.kill()
        if process.communicate()[0]:
            break
        steps_left_behind.append(checkpoints.last_step())
    assert set(steps_left_behind) & set(range(1, 60))
    process = launch(parts, 4)
    assert process.communicate()[0].split() == ["training", "done"]

    lines = [(f / "kill" / "run" / "metrics.jsonl").read_bytes() for f in (whole, parts)]
    assert lines[0] == lines[1] and lines[0].count(b"\n") == 60 + 10
    for left_alone, continued in zip(trained(whole), trained(parts), strict=True):
        assert left_alone.progress.step == continued.progress.step
        assert left_alone.progress.best_value == continued.progress.best_value
        assert left_alone.progress.history == continued.progress.history
        np.testing.assert_array_equal(
            left_alone.state["params"]["w"], continued.state["params"]["w"], strict=True
        )
        assert left_alone.state.keys() == continued.state.keys()
    kept = sorted(p.name for p in (parts / "kill/run/checkpoints/pretrain").iterdir())
    assert kept == sorted(p.name for p in (whole / "kill/run/checkpoints/pretrain").iterdir())
