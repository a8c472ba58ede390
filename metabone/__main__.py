"""The command `metabone`, also as `python -m metabone`."""

import importlib
import importlib.util
from typing import NoReturn

from metabone.interrupt import install


def main() -> NoReturn:
    """Runs `metabone COMMAND ...`, and ends the process."""
    # First of all, so that Ctrl-C ends in one line from here on.
    install()
    # In a checkout that is not installed, experiments lie beside metabone.
    installed = importlib.util.find_spec("metabone.experiments") is not None
    experiments = "metabone.experiments" if installed else "experiments"
    importlib.import_module(f"{experiments}.command_line.front").main()


if __name__ == "__main__":
    main()
