"""The command `metabone`, also as `python -m metabone`."""

import importlib
import importlib.util
from typing import NoReturn


def main() -> NoReturn:
    """Runs `metabone COMMAND ...`, and ends the process."""
    # In a checkout that is not installed, experiments lie beside metabone.
    installed = importlib.util.find_spec("metabone.experiments") is not None
    experiments = "metabone.experiments" if installed else "experiments"
    importlib.import_module(f"{experiments}.command_line.front").main()


if __name__ == "__main__":
    main()
