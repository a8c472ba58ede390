"""A run's folder: opened by one process at a time, continued only under the settings it began with.

`runs_dir/experiment/name/` holds `config.json`, `metrics.jsonl`, `events/` (TensorBoard),
`checkpoints/` (one folder a phase) and `result.json`; the report joins them later. Where all is
trained several times, each training but the first has such files in `trainings/<number>/`.
"""

import datetime
import fcntl
import functools
import importlib.metadata
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

import jax

import metabone
from metabone.errors import InputError
from metabone.training.checkpoints import Checkpoints
from metabone.training.json_files import differences, plain, read_json, write_json_atomically
from metabone.training.results import ResultFile
from metabone.training.writers import MetricsWriter

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+=-]{0,99}")


class Run:
    """A run that this process holds. Made by `open_run`; a context manager.

    Attributes:
      path: its folder.
      experiment: name of the experiment.
      config: the resolved settings as they are written, plain JSON values.
      seed: the run's seed, or None.
      continued: whether the run existed before.
    """

    def __init__(self, path: Path, record: dict[str, Any], continued: bool, lock: TextIO):
        self.path = path
        self.experiment: str = record["experiment"]
        self.config: dict[str, Any] = record["config"]
        self.seed: int | None = record["seed"]
        self.continued = continued
        self._record = record
        self._lock = lock
        self._trainings: dict[int, Run] = {}

    @functools.cached_property
    def results(self) -> ResultFile:
        """Its `result.json`."""
        return ResultFile(self.path / "result.json", self.experiment)

    @functools.cached_property
    def metrics(self) -> MetricsWriter:
        """Its `metrics.jsonl` and TensorBoard events."""
        return MetricsWriter(self.path / "metrics.jsonl", self.path / "events")

    def checkpoints(self, phase: str, min_seconds: float = 20.0) -> Checkpoints:
        """The checkpoints of one phase, `checkpoints/<phase>/`.

        Args:
          phase: a name as a run's.
          min_seconds: see `Checkpoints`.

        Returns:
          Checkpoints that carry the run's settings, and tell `results` the time with each save.
        """
        folder = self.path / "checkpoints" / _checked_name("phase", phase)
        settings = {"config": self.config, "seed": self.seed}
        return Checkpoints(
            folder, settings=settings, min_seconds=min_seconds, on_save=self.results.tick
        )

    def training(self, index: int) -> "Run":
        """The same run with checkpoints, metrics and arrays of one of its trainings.

        Args:
          index: 0 is the run itself; training i lies in `trainings/<i + 1>/`.

        Returns:
          The run, with the same settings and `results`.
        """
        if index == 0:
            return self
        if index not in self._trainings:
            folder = training_folder(self.path, index)
            folder.mkdir(parents=True, exist_ok=True)
            again = Run(folder, self._record, self.continued, self._lock)
            again.__dict__["results"] = self.results
            self._trainings[index] = again
        return self._trainings[index]

    def record_data(self, entries: Sequence[Any]) -> None:
        """Writes down which data the run uses, in `config.json` and `result.json`.

        Args:
          entries: one a source: a mapping or dataclass with e.g. role, source, kind and sha256.

        Raises:
          InputError: if the run was begun with other data.
        """
        entries = plain(list(entries))
        known = self._record.get("data")
        if known is not None and known != entries:
            differing = differences(_by_role(known), _by_role(entries))
            raise InputError(f"run {self.path} was started with other data: {differing}")
        if known is None:
            self._record["data"] = entries
            write_json_atomically(self.path / "config.json", self._record)
        if not self.results.complete:
            self.results.set(data=entries)

    def discard(self) -> None:
        """Closes a run, and removes it if this process began it: bad input leaves nothing.

        What was trained already is worth more than a tidy folder: then the run stays.
        """
        self.close()
        if self.continued or any(self.path.glob("**/checkpoints/*/*")):
            return
        shutil.rmtree(self.path)
        for folder in self.path.parents[:2]:
            if any(folder.iterdir()):
                break
            folder.rmdir()

    def close(self) -> None:
        """Lets another process have the run."""
        for run in (self, *self._trainings.values()):
            if "metrics" in run.__dict__:
                run.metrics.close()
        self._lock.close()

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *_) -> None:
        self.close()


def training_folder(run: Path, index: int) -> Path:
    """Where training `index` of a run lies: the first in the run's own folder."""
    return run if index == 0 else run / "trainings" / str(index + 1)


def open_run(
    runs_dir: str | os.PathLike,
    experiment: str,
    name: str,
    config: Any,
    *,
    seed: int | None = None,
) -> Run:
    """Starts a run, or continues it if it was started with the same settings.

    The run is held until it is closed or the process ends, however it ends.

    Args:
      runs_dir: folder of all runs; made if missing.
      experiment: name of the experiment.
      name: name of the run: letters, digits and `._+=-`, beginning with a letter or digit.
      config: the resolved settings, a mapping or dataclass with a JSON form. Only what the result
        depends on: a run with a different value is another run.
      seed: the run's seed, part of its settings; `config["seed"]`, if any, when it is not given.

    Returns:
      The run.

    Raises:
      InputError: if a name is not usable, the folder cannot be written, another process holds the
        run, or it was started with other settings; nothing is left behind then.
    """
    experiment = _checked_name("experiment", experiment)
    name = _checked_name("run", name)
    config = plain(config)
    seed = config.get("seed") if seed is None else seed
    path = Path(runs_dir).expanduser().absolute() / experiment / name
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = (path / ".lock").open("a", encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write the run folder {path}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(f"run {path} is in use by another process") from error
        record, continued = _record(path, experiment, name, config, seed)
    except BaseException:
        lock.close()
        raise
    return Run(path, record, continued, lock)


def _record(path, experiment, name, config, seed) -> tuple[dict[str, Any], bool]:
    """What `config.json` says, written if the run is new."""
    file = path / "config.json"
    now = circumstances()
    if not file.exists():
        record = {"experiment": experiment, "name": name, "seed": seed, "config": config} | now
        write_json_atomically(file, record)
        return record, False
    record = read_json(file)
    if not isinstance(record, dict) or not {"experiment", "seed", "config"} <= record.keys():
        raise InputError(f"{file} is not a run's config (expected experiment, seed and config)")
    old = {**record["config"], "seed": record["seed"]}
    differing = differences(old, {**config, "seed": seed})
    if differing:
        raise InputError(f"run {path} was started with other settings: {differing}")
    latest = record.get("continued", [record])[-1]
    if _is_finished(path):
        return record, True
    if any(latest.get(key) != now[key] for key in ("versions", "git_revision", "devices")):
        # Bits may differ from here on, so say so where the run is described.
        record["continued"] = [*record.get("continued", []), now]
        write_json_atomically(file, record)
    return record, True


def _is_finished(path: Path) -> bool:
    """Whether nothing is left to do, so that whoever opens the run only looks at it."""
    file = path / "result.json"
    return file.exists() and read_json(file).get("complete") is True


def circumstances() -> dict[str, Any]:
    """When, by what and on what a run is carried out; none of it makes it another run.

    Returns:
      Date (UTC), command line, host, devices, versions and git revision, plain JSON values.
    """
    first = jax.devices()[0]
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": shlex.join(sys.orig_argv),
        "host": platform.node(),
        "devices": {
            "platform": first.platform,
            "kind": first.device_kind,
            "count": jax.device_count(),
        },
        "versions": versions(),
        "git_revision": git_revision(),
    }


def versions() -> dict[str, str]:
    """Versions of Python and of what a result depends on."""
    found = {"python": platform.python_version()}
    for package in ("metabone", "jax", "jaxlib", "flax", "optax"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "unknown"
    return found


def git_revision() -> str | None:
    """The commit of the source in use, with `-dirty` if it was changed since.

    Returns:
      None where there is no git or the package is not in a repository of its own.
    """
    folder = Path(metabone.__file__).parent

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments],
            check=True,
            capture_output=True,
            text=True,
            timeout=10,
        ).stdout.strip()

    try:
        # An installed copy may lie within somebody else's repository, which does not track it.
        git("ls-files", "--error-unmatch", "__init__.py")
        revision = git("rev-parse", "HEAD")
        return f"{revision}-dirty" if git("status", "--porcelain", "-uno") else revision
    except (OSError, subprocess.SubprocessError):
        return None


def is_run_name(name: str) -> bool:
    """Whether a run may be called so: it names a folder on any file system."""
    return _NAME.fullmatch(name) is not None


def _checked_name(what: str, name: str) -> str:
    if not is_run_name(name):
        raise InputError(
            f"{what} name {name!r} must be letters, digits and ._+=- only, "
            "beginning with a letter or digit"
        )
    return name


def _by_role(entries: list[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for index, entry in enumerate(entries):
        role = str(entry.get("role", index)) if isinstance(entry, dict) else str(index)
        found[f"{role} {index}" if role in found else role] = entry
    return found
