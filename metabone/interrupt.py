"""Ctrl-C ends a command in one line and status 130 at any moment. Imports nothing heavy."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable

line = "interrupted"
"""What is said; a run that the same command continues says so once it is open."""

tell: list[Callable[[str], None]] = []
"""Told the line too, such as a log."""

child: subprocess.Popen | None = None
"""A command of ours that runs meanwhile: it is interrupted instead, and says so."""

_once = threading.Lock()


def install() -> None:
    """Takes Ctrl-C over for the rest of the process.

    Python hands a signal to its main thread between two steps of the interpreter, which may be
    minutes away while something compiles, and an exception would unwind into threads that still
    compute. So a thread that waits for the signal alone ends the process where it stands: all that
    a run keeps is written at once or not at all.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGINT) in (_handle, signal.SIG_IGN):
        return
    waiting, written = os.pipe()
    os.set_blocking(written, False)
    signal.signal(signal.SIGINT, _handle)
    signal.set_wakeup_fd(written, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(waiting,), name="interrupt", daemon=True).start()


def _watch(waiting: int) -> None:
    while signalled := os.read(waiting, 1):
        if signalled[0] == signal.SIGINT:
            _end()


def _handle(*_) -> None:
    _end()


def _end() -> None:
    if child is not None:
        child.send_signal(signal.SIGINT)
    elif _once.acquire(blocking=False):
        # Not through sys.stderr, whose lock another thread may hold. On a terminal the line begins
        # below a progress bar.
        os.write(2, (os.isatty(2) * "\n" + line + "\n").encode())
        for each in tell:
            each(line)
        os._exit(130)
