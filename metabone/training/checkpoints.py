"""The last and the best training state of a phase, whole or not at all.

A folder holds at most two checkpoints, `step_00000300` and the like. Each is renamed into its place
and says itself which one is the best so far, so a process killed at any moment leaves either the
previous pair or the new one.
"""

import dataclasses
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from metabone.errors import InputError
from metabone.training.json_files import differences, plain
from metabone.training.stored_tree import read_note, read_tree, write_tree

_PREFIX = "step_"


@dataclasses.dataclass(frozen=True)
class Progress:
    """Where training stands, stored with a checkpoint.

    Attributes:
      step: steps done.
      best_step: steps done when the best metric was reached; None before the first validation.
      best_value: the best metric so far; None before the first validation.
      seconds: time spent training so far, over all restarts.
      history: one mapping a validation, with `step` and the metrics.
    """

    step: int
    best_step: int | None = None
    best_value: float | None = None
    seconds: float = 0.0
    history: tuple[Mapping[str, Any], ...] = ()


@dataclasses.dataclass(frozen=True)
class Restored:
    """A checkpoint that was read.

    Attributes:
      state: the tree that was asked for, bit for bit as it was saved.
      progress: where training stood.
      settings: the settings that it was saved under.
      path: its folder.
    """

    state: Any
    progress: Progress
    settings: Any
    path: Path


class Checkpoints:
    """The last and the best checkpoint of one phase of a run.

    Args:
      directory: their folder, made when the first is saved. Only one process may write to it.
      settings: what the training depends on, anything with a JSON form; a checkpoint saved under
        other settings is refused.
      min_seconds: `due` is False for this long after a save, which keeps the cost of saving small
        beside short windows. Validations and the end of training are saved regardless.
      on_save: called after each save.
    """

    def __init__(
        self,
        directory: str | os.PathLike,
        *,
        settings: Any = None,
        min_seconds: float = 20.0,
        on_save: Callable[[], None] | None = None,
    ):
        self.directory = Path(directory).absolute()
        self._settings = plain(settings)
        self._min_seconds = min_seconds
        self._on_save = on_save
        self._last_save = time.monotonic()

    def due(self) -> bool:
        """Whether enough time has passed since the last save for another between validations."""
        return time.monotonic() - self._last_save >= self._min_seconds

    def last_step(self) -> int | None:
        """The step of the last checkpoint, or None if there is none yet."""
        return max(_steps(self.directory), default=None)

    def save(self, state: Any, progress: Progress) -> None:
        """Saves the state and drops all but it and the best one.

        Args:
          state: any pytree of arrays; typed random keys are stored as their data.
          progress: where training stands. If `best_step` equals `step`, this is the best.
        """
        path = self.directory / _name(progress.step)
        if not path.exists():
            self.directory.mkdir(parents=True, exist_ok=True)
            write_tree(path, state, {"progress": plain(progress), "settings": self._settings})
        self._keep_only(progress.step, progress.best_step)
        self._last_save = time.monotonic()
        if self._on_save is not None:
            self._on_save()

    def restore(self, template: Any, *, best: bool = False) -> Restored | None:
        """Reads the last checkpoint, or the best.

        Args:
          template: a tree of arrays, or of `jax.ShapeDtypeStruct`, like the state that was saved.
            Leaves come back with the sharding of the template's.
          best: whether the best is wanted. Before the first validation it is the last.

        Returns:
          The checkpoint, or None if there is none yet.

        Raises:
          InputError: if the checkpoint is not this project's, is damaged, was saved under other
            settings, or holds another tree, shape or dtype; the message names the first leaf that
            differs.
        """
        if not _steps(self.directory):
            return None
        path, note = _choose(self.directory, best)
        differing = differences(note["settings"], self._settings)
        if differing:
            raise InputError(f"{path} was saved under other settings: {differing}")
        return Restored(read_tree(path, template), _progress(note), note["settings"], path)

    def _keep_only(self, *steps: int | None) -> None:
        kept = {_name(step) for step in steps if step is not None}
        for path in self.directory.iterdir():
            # Also what a killed process left of a checkpoint that it was writing or removing.
            if path.name.lstrip(".").startswith(_PREFIX) and path.name not in kept:
                shutil.rmtree(path, ignore_errors=True)


def load_checkpoint(
    directory: str | os.PathLike, template: Any = None, *, best: bool = True, part: str = ""
) -> Restored:
    """Reads a checkpoint for evaluation, whatever settings it was saved under.

    Args:
      directory: the folder of one phase's checkpoints, or one checkpoint in it.
      template: a tree of arrays or `jax.ShapeDtypeStruct` to fill; None to read what is there as
        nested dicts of NumPy arrays, typed random keys as their data.
      best: the best checkpoint rather than the last.
      part: path of a subtree, e.g. `'meta_params'`; empty for the whole state.

    Returns:
      The checkpoint.

    Raises:
      InputError: if there is none, it is not this project's or damaged, it has no such part, or
        the part is another tree, shape or dtype than the template.
    """
    path, note = _choose(Path(directory).absolute(), best)
    return Restored(read_tree(path, template, part), _progress(note), note["settings"], path)


def _name(step: int) -> str:
    return f"{_PREFIX}{step:08d}"


def _steps(directory: Path) -> dict[int, Path]:
    if not directory.is_dir():
        return {}
    found = {p.name.removeprefix(_PREFIX): p for p in directory.glob(f"{_PREFIX}*")}
    return {int(name): path for name, path in found.items() if name.isdecimal()}


def _choose(directory: Path, best: bool) -> tuple[Path, dict[str, Any]]:
    """The folder of the last or best checkpoint, and its note."""
    if directory.name.startswith(_PREFIX):
        return directory, read_note(directory)
    steps = _steps(directory)
    if not steps:
        raise InputError(f"no checkpoint in {directory}")
    path = steps[max(steps)]
    note = read_note(path)
    best_step = note["progress"]["best_step"]
    if best and best_step is not None and best_step != max(steps):
        path = directory / _name(best_step)
        note = read_note(path)
    return path, note


def _progress(note: Mapping[str, Any]) -> Progress:
    return Progress(**dict(note["progress"], history=tuple(note["progress"]["history"])))
