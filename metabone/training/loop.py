"""The training loop. It knows no learner: any pure step is trained, saved and resumed alike.

Steps are counted from 1 wherever they are said or written: "step 7" is the one that was given
`index` 6, and a checkpoint at step 7 has it behind it.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from metabone.errors import InputError, TrainingDiverged
from metabone.training.checkpoints import Checkpoints, Progress
from metabone.training.feed import Feed
from metabone.training.fused_steps import FusedSteps, Step, Window, first_not_finite, owned
from metabone.training.progress import ProgressLine, duration
from metabone.training.writers import MetricsWriter

# Long enough that what happens between windows costs nothing, short enough to look alive.
_WINDOW_SECONDS = 2.0


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """What training ended with.

    Attributes:
      state: the state after the last step.
      best_state: the state at the best validation; the last one without validation.
      best_step: steps done by then.
      best_value: the metric then; None without validation.
      history: one mapping a validation, `step` and its metrics.
      seconds: time spent training, over all restarts of the run.
      compile_seconds: of it tracing and compilation, in this process; 0 if nothing was left to do.
      first_step_seconds: from the call to the end of its first step, compilation included.
      steps_per_second: in this process, compilation, validation and saving excluded.
    """

    state: Any
    best_state: Any
    best_step: int
    best_value: float | None
    history: tuple[Mapping[str, Any], ...]
    seconds: float
    compile_seconds: float
    first_step_seconds: float
    steps_per_second: float


def train(
    step: Step,
    state: Any,
    data: Any,
    *,
    steps: int,
    seed: int | jax.Array,
    window: int = 200,
    validate: Callable[[Any], Mapping[str, Any]] | None = None,
    validate_every: int | None = None,
    best_metric: str = "accuracy",
    best_mode: str = "max",
    settled: Callable[[tuple[Mapping[str, Any], ...]], bool] | None = None,
    checkpoints: Checkpoints | None = None,
    metrics: MetricsWriter | None = None,
    phase: str = "meta",
    progress: bool = True,
) -> TrainResult:
    """Trains, or continues where the checkpoints end, to the same bits either way.

    Steps run on the device in windows with one fetch of metrics each. All windows share a single
    compilation and their lengths, which follow the clock, cannot change a result. Order at a
    boundary: metrics are written, then the state is validated, then saved; so whatever a kill
    leaves behind a checkpoint is dropped and done again.

    Args:
      step: `(state, data, seed, index) -> (state, metrics)`, pure; `index` is an int32 scalar from
        0, `metrics` a dict of scalars. The tree, shapes and dtypes of the state never change.
      state: the initial state, any pytree of arrays. It is copied, so the caller's stays valid.
      data: any pytree of arrays, given to each step; or a `Feed`, whose windows bound how many
        steps are taken between two fetches. The caller closes it.
      steps: how many steps in all.
      seed: an integer in 0 .. 2**32 - 1, given to the step as a uint32 scalar, or a typed key.
      window: the most steps between two fetches; the actual number makes windows of about two
        seconds, and the first has a single step so that the first sign of life comes early.
      validate: from a state to numbers by name. It must not donate its argument.
      validate_every: steps between validations; None for one at the end. The end is always one.
      best_metric: which of them chooses the best state; ties go to the earlier.
      best_mode: `'max'` or `'min'`.
      settled: from the history of validations to whether training ends here, before `steps`.
      checkpoints: where the state is kept; None to keep it in memory alone.
      metrics: where metrics are written.
      phase: name of this training in messages and metrics.
      progress: whether to report on stderr.

    Returns:
      The last and the best state and how it went.

    Raises:
      InputError: if the checkpoint found is not this training's; nothing was compiled then.
      TrainingDiverged: if a metric or the state stops being finite.
      ValueError: if an argument is out of range.
    """
    entered = time.perf_counter()
    _check(steps, window, validate_every, best_mode)
    seed = _seed_array(seed)
    state = owned(state)
    if isinstance(data, Feed):
        window = min(window, data.longest)
    else:
        data = jax.tree.map(jnp.asarray, data)
    at = Progress(step=0)
    best_state = None
    if checkpoints is not None and (saved := checkpoints.restore(state)) is not None:
        at = saved.progress
        if at.step > steps:
            raise InputError(f"{saved.path} has {at.step} steps behind it, but steps is {steps}")
        if at.best_step not in (None, at.step):
            best_state = checkpoints.restore(state, best=True).state
        state = saved.state
    if metrics is not None:
        metrics.truncate(phase, at.step)
    if best_state is None:
        best_state = owned(state)
    started_at, seconds_before = at.step, at.seconds
    compile_seconds = first_step_seconds = stepping = 0.0

    line = ProgressLine(phase, at.step, steps, progress)
    try:
        done = at.step == steps or _is_settled(settled, at)
        if not done:
            if at.step:
                line.say(f"{phase}: continuing after step {at.step} of {steps}")
            fused = FusedSteps(step, state, data, seed, min(window, steps))
            compile_seconds = fused.compile_seconds
        length = 1
        while not done:
            boundary = _next_boundary(at.step, steps, validate_every)
            ran = fused.run(state, at.step, min(length, window, boundary - at.step))
            state = ran.state
            stepping += ran.seconds
            if not first_step_seconds:
                first_step_seconds = time.perf_counter() - entered
                line.say(
                    f"{phase}: first step after {duration(first_step_seconds)} "
                    f"({duration(compile_seconds)} compiling)"
                )
            if metrics is not None:
                metrics.write_steps(phase, at.step + 1, ran.metrics)
            if not ran.finite:
                raise TrainingDiverged(_diverged(phase, at.step, steps, ran, checkpoints))
            length = max(1, int(_WINDOW_SECONDS * ran.count / max(ran.seconds, 1e-6)))
            at = dataclasses.replace(at, step=at.step + ran.count)
            line.advance(ran.count, {k: float(np.mean(v)) for k, v in ran.metrics.items()})

            validated = at.step == boundary and validate is not None
            if validated:
                found = {k: float(v) for k, v in validate(state).items()}
                if metrics is not None:
                    metrics.write_validation(phase, at.step, found)
                value = _best_value(phase, at.step, found, best_metric)
                at = dataclasses.replace(at, history=(*at.history, {"step": at.step, **found}))
                if at.best_value is None or _better(value, at.best_value, best_mode):
                    at = dataclasses.replace(at, best_step=at.step, best_value=value)
                    best_state = owned(state)
            done = at.step == steps or (validated and _is_settled(settled, at))
            if checkpoints is not None and (validated or done or checkpoints.due()):
                seconds = seconds_before + time.perf_counter() - entered
                at = dataclasses.replace(at, seconds=seconds)
                checkpoints.save(state, at)
    finally:
        line.close()
    finished = at.step > started_at
    return TrainResult(
        state=state,
        best_state=best_state if at.best_step is not None else state,
        best_step=at.best_step if at.best_step is not None else at.step,
        best_value=at.best_value,
        history=at.history,
        seconds=seconds_before + (time.perf_counter() - entered if finished else 0.0),
        compile_seconds=compile_seconds,
        first_step_seconds=first_step_seconds,
        steps_per_second=(at.step - started_at) / stepping if stepping else 0.0,
    )


def _check(steps, window, validate_every, best_mode):
    if steps < 0:
        raise ValueError(f"steps (={steps}) must not be negative")
    if window < 1:
        raise ValueError(f"window (={window}) must be at least 1")
    if validate_every is not None and validate_every < 1:
        raise ValueError(f"validate_every (={validate_every}) must be at least 1")
    if best_mode not in ("max", "min"):
        raise ValueError(f"best_mode (={best_mode!r}) must be 'max' or 'min'")


def _is_settled(settled, at: Progress) -> bool:
    return settled is not None and bool(at.history) and settled(at.history)


def _seed_array(seed):
    if hasattr(seed, "dtype"):
        return jnp.asarray(seed)
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed (={seed}) must lie in 0 .. 2**32 - 1")
    return jnp.asarray(np.uint32(seed))


def _next_boundary(done: int, steps: int, every: int | None) -> int:
    return steps if every is None else min(steps, (done // every + 1) * every)


def _better(value: float, best: float, mode: str) -> bool:
    return value > best if mode == "max" else value < best


def _best_value(phase: str, step: int, found: Mapping[str, float], name: str) -> float:
    if name not in found:
        raise ValueError(f"best_metric '{name}' is not among the validation's {sorted(found)}")
    if not math.isfinite(found[name]):
        raise TrainingDiverged(
            f"{phase}: '{name}' is {found[name]} in the validation of step {step}"
        )
    return found[name]


def _diverged(phase: str, before: int, steps: int, ran: Window, checkpoints) -> str:
    bad = [name for name, values in ran.metrics.items() if not np.isfinite(values[-1])]
    where = (
        f"metric '{bad[0]}' is {ran.metrics[bad[0]][-1]}"
        if bad
        else (f"'{first_not_finite(ran.state)}' in the state is not finite")
    )
    kept = ""
    if checkpoints is not None and (last := checkpoints.last_step()) is not None:
        kept = f"; the state after step {last} is kept in {checkpoints.directory}"
    return (
        f"{phase}: {where} at step {before + ran.count} of {steps}; try a lower learning rate, "
        f"gradient clipping or fewer inner steps, under a new run name{kept}"
    )
