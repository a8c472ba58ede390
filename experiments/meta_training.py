"""How the tasks of an outer step are mapped, and meta-training as every experiment does it."""

import dataclasses
import os
from collections.abc import Callable
from typing import Any

import jax

from metabone.errors import InputError
from metabone.training.feed import Feed
from metabone.training.loop import TrainResult, train
from metabone.training.meta import meta_state, meta_step, on_all_devices, on_one_device
from metabone.training.run import Run

MAPPINGS = ("scan", "overlap", "vmap", "devices")


def check_mapping(mapping: str, meta_batch: int) -> None:
    """Raises `InputError` for a mapping of tasks that `meta_step` does not take."""
    if mapping in MAPPINGS:
        return
    at_once = int(mapping) if mapping.isdecimal() else 0
    if at_once < 1 or meta_batch % at_once:
        raise InputError(
            f"--mapping={mapping}: expected {', '.join(MAPPINGS)} or a divisor of "
            f"--meta_batch={meta_batch}"
        )


def make_devices(mapping: str, meta_batch: int) -> None:
    """Has a CPU's cores be devices where tasks are to be dealt out to them.

    To be called before JAX looks for its devices.

    Raises:
      InputError: what devices there are cannot share the tasks.
    """
    if mapping != "devices":
        return
    if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        most = min(os.cpu_count() or 1, meta_batch)
        fitting = [count for count in range(1, most + 1) if meta_batch % count == 0]
        jax.config.update("jax_num_cpu_devices", fitting[-1])
    devices = jax.local_device_count()
    if devices < 2 or meta_batch % devices:
        raise InputError(
            f"--mapping=devices: --meta_batch={meta_batch} tasks cannot be dealt out to {devices} "
            f"device{'s'[: devices > 1]} equally"
        )


def meta_train(
    run: Run,
    phase: str,
    learner: Any,
    optimizer: Any,
    sample: Callable[..., Any],
    meta_params: Any,
    data: Any,
    validate: Callable[[Any], float],
    *,
    meta_batch: int,
    clip: float | None,
    mapping: str,
    **settings: Any,
) -> TrainResult:
    """Meta-trains a learner, or finds that done.

    Args:
      run: keeps checkpoints and metrics.
      phase: names them.
      learner: see `meta_step`, as `optimizer`, `sample`, `meta_batch` and `clip`.
      optimizer: of the outer loop.
      sample: draws a task.
      meta_params: to start from.
      data: what tasks are drawn from; an `ImageStore`, or a `Feed`.
      validate: from meta-parameters to accuracy on held-out classes.
      meta_batch: tasks a step.
      clip: largest norm of the mean gradient.
      mapping: in `MAPPINGS`, or a number in digits.
      **settings: of `train`.

    Returns:
      What `train` does; its states lie on one device.
    """
    start = meta_state(meta_params, optimizer)
    if mapping == "devices":
        start = on_all_devices(start)
        data = data if isinstance(data, Feed) else on_all_devices(data)
    trained = train(
        meta_step(
            learner,
            optimizer,
            sample,
            meta_batch=meta_batch,
            clip=clip,
            mapping=int(mapping) if mapping.isdecimal() else mapping,
        ),
        start,
        data,
        validate=lambda state: {"accuracy": validate(on_one_device(state.meta_params))},
        checkpoints=run.checkpoints(phase),
        metrics=run.metrics,
        phase=phase,
        **settings,
    )
    state, best = (on_one_device(each) for each in (trained.state, trained.best_state))
    return dataclasses.replace(trained, state=state, best_state=best)
