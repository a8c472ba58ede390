"""Typed settings as flags: each field of a frozen dataclass is one, presets give the defaults."""

import dataclasses
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from absl import app, flags

from metabone.errors import InputError

Settings = TypeVar("Settings")

# `--help` lists the flags of the module that is run: what is defined here belongs to the caller.
flags.disclaim_key_flags()


def setting(default: Any, text: str) -> Any:
    """A field of a settings dataclass.

    Args:
      default: int, float, str, bool, or a tuple of ints or floats; its type is the flag's.
      text: what `--help` says.

    Returns:
      The dataclass field.
    """
    return dataclasses.field(default=default, metadata={"help": text})


def define_flags(settings: type, presets: Mapping[str, Mapping[str, Any]], default: str) -> None:
    """Defines one flag a field, and `--preset`.

    Args:
      settings: a dataclass made of `setting` fields.
      presets: name to the fields that differ from the dataclass's defaults.
      default: the preset that holds when none is named.
    """
    flags.DEFINE_enum("preset", default, sorted(presets), "Which settings hold where no flag does.")
    for field in dataclasses.fields(settings):
        values = {name: preset.get(field.name, field.default) for name, preset in presets.items()}
        _define(field.name, field.default, f"{field.metadata['help']} [{by_preset(values)}]")


def resolve(settings: type[Settings], presets: Mapping[str, Mapping[str, Any]]) -> Settings:
    """The settings of this command line: flags over the preset over the defaults.

    Args:
      settings: the dataclass.
      presets: as given to `define_flags`.

    Returns:
      An instance.

    Raises:
      InputError: a list flag that is not a list of numbers.
    """
    values = dict(presets[flags.FLAGS.preset])
    for field in dataclasses.fields(settings):
        given = flags.FLAGS[field.name]
        if given.present:
            values[field.name] = _typed(field.name, given.value, field.default)
    return settings(**values)


def launch(main: Callable[[], None]) -> None:
    """Runs an experiment: what a user got wrong ends in one line and exit status 2.

    Args:
      main: takes no arguments; flags are parsed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

    def run(arguments: Sequence[str]) -> None:
        # Here, since absl.app sets levels of its own when it starts.
        for name in ("jax", "orbax", "absl", "tensorflow_datasets"):
            logging.getLogger(name).setLevel(logging.ERROR)
        if len(arguments) > 1:
            _stop(f"unexpected argument {arguments[1]!r}; settings are written --name=value")
        # Imported late, so that a wrong flag is answered at once.
        from metabone.training.loop import TrainingDiverged

        try:
            main()
        except InputError as error:
            _stop(str(error))
        except TrainingDiverged as error:
            _stop(str(error), status=1)
        except KeyboardInterrupt:
            _stop("interrupted; the same command continues the run", status=130)

    app.run(run, flags_parser=_parse)


def _parse(arguments: Sequence[str]) -> Sequence[str]:
    try:
        return flags.FLAGS(arguments)
    except flags.Error as error:
        _stop(f"{error}; --help lists them all")
    except BrokenPipeError:
        # Such as `--help | head`: whoever reads has read enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except SystemExit:
        # absl leaves `--help` with status 1, as if something had gone wrong.
        sys.exit(0)


def _stop(message: str, status: int = 2) -> None:
    print("error: " + " ".join(message.split()), file=sys.stderr)
    sys.exit(status)


def _define(name: str, default: Any, text: str) -> None:
    # No default of absl's own: it would stand in `--help` beside the presets'.
    if isinstance(default, bool):
        flags.DEFINE_bool(name, None, text)
    elif isinstance(default, int):
        flags.DEFINE_integer(name, None, text)
    elif isinstance(default, float):
        flags.DEFINE_float(name, None, text)
    elif isinstance(default, tuple):
        flags.DEFINE_list(name, None, text)
    else:
        flags.DEFINE_string(name, None, text)


def by_preset(values: Mapping[str, Any]) -> str:
    """Each preset's value as `--help` shows it; of many presets only the first two.

    Args:
      values: of one setting, by preset.

    Returns:
      Such as `3 in demo, 10 in paper`, or `3` where all have that.
    """
    if len({_shown(value) for value in values.values()}) == 1:
        return _shown(next(iter(values.values())))
    named = list(values)[: len(values) if len(values) <= 4 else 2]
    shown = ", ".join(f"{_shown(values[name])} in {name}" for name in named)
    if len({_shown(values[name]) for name in named}) == 1:
        shown = f"{_shown(values[named[0]])} in {' and '.join(named)}"
    return shown + ", other presets their own" * (len(values) > len(named))


def _typed(name: str, value: Any, default: Any) -> Any:
    if not isinstance(default, tuple):
        return value
    kind = type(default[0])
    try:
        return tuple(kind(part) for part in value)
    except ValueError:
        given = ",".join(value)
        raise InputError(
            f"--{name}={given}: expected {kind.__name__}s, such as {_shown(default)}"
        ) from None


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(str(part) for part in value)
    return str(value) if value != "" else "none"
