"""Runs a command to its end: help, errors in one line, the log, and the exit status."""

import os
import select
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from metabone import interrupt
from metabone.commands.command import Command
from metabone.errors import InputError, TrainingDiverged
from metabone.training.log import keep_log, quieten

from .flags import parse
from .help import help_text
from .sweep import sweep


def launch(command: Command, arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs a command and ends the process.

    Status 0 is done, unless the command says another; 2 is what a user got wrong, in one line; 1 is
    training that diverged, in one line, or a fault of ours; 130 is Ctrl-C, in one line.

    Args:
      command: the command.
      arguments: its command line after the program's name; those of this process by default.
    """
    interrupt.install()
    # jaxlib reads it when it is imported.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if arguments is None:
        spec = sys.modules["__main__"].__spec__
        program, arguments = f"python -m {spec.name}" if spec else sys.argv[0], sys.argv[1:]
    else:
        program = f"metabone {command.name.replace('_', '-')}"
    end(lambda: _run(command, program, arguments))


def end(body: Callable[[], int | None]) -> NoReturn:
    """Does something, turns errors of users into one line, and ends the process.

    Args:
      body: may return an exit status.
    """
    try:
        status = body() or 0
        sys.stdout.flush()
    except InputError as error:
        status = _say(error, 2)
    except TrainingDiverged as error:
        status = _say(error, 1)
    except BrokenPipeError:
        if not _reader_has_gone():
            raise
        # As if SIGPIPE had ended us.
        status = 141
    sys.exit(status)


def wants_help(arguments: Sequence[str]) -> bool:
    """Whether a command line asks for help rather than for something to be done."""
    return not {"-h", "-help", "--help"}.isdisjoint(arguments) or arguments[:1] == ["help"]


def _run(command: Command, program: str, arguments: Sequence[str]) -> int:
    if wants_help(arguments):
        print(help_text(command, program))
        return 0
    if "--version" in arguments:
        print(f"metabone {version()}")
        return 0
    parsed = parse(command, arguments)
    quieten()
    if parsed.log_dir:
        interrupt.tell.append(keep_log(parsed.log_dir, command.name))
    if parsed.runs.sweep or parsed.runs.seeds:
        return sweep(parsed, arguments)
    return command.main(parsed.call) or 0


def _reader_has_gone() -> bool:
    """Whether nobody reads what is printed, as after `| head`; nothing more is printed then."""
    pipe = select.poll()
    pipe.register(sys.stdout, 0)
    if not pipe.poll(0):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True


def version() -> str:
    """Of metabone."""
    import metabone

    return metabone.__version__


def _say(error: Exception, status: int) -> int:
    print("error: " + " ".join(str(error).split()), file=sys.stderr)
    return status
