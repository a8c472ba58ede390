"""Simulated films to try things on, or the demonstration of skeletal maturity.

  metabone demo
  metabone demo --write_films=DIR

Without `--write_films` this is `metabone smi`, its demo. With it, 60 simulated hand films are
written: DIR/train/CLASS/*.png to adapt to, DIR/new/*.png to predict, and what these are in
DIR/new-films-truth.csv. That takes 15 seconds on two cores.
"""

import dataclasses

from metabone import workflows
from metabone.commands.command import Call, Command
from metabone.errors import InputError
from metabone.workflows.settings import setting

from . import smi
from .command_line.launch import launch
from .smi_settings import PRESETS, SmiSettings


@dataclasses.dataclass(frozen=True)
class DemoSettings(SmiSettings):
    """Where films go, and the settings of smi."""

    write_films: str = setting("", "Write simulated films into this folder, and end.", "Films")


def main(call: Call) -> None:
    """Writes films, or runs smi."""
    if "write_films" in call.given:
        if not call.config.write_films:
            raise InputError("--write_films: expected the name of a folder, which is made")
        folder = workflows.write_demo_films(call.config.write_films)
        print(f"films: {folder}\n  {folder / 'train'}, one folder a class\n  {folder / 'new'}")
        return
    names = [field.name for field in dataclasses.fields(SmiSettings)]
    config = SmiSettings(**{name: getattr(call.config, name) for name in names})
    smi.main(dataclasses.replace(call, config=config))


COMMAND = Command(
    "demo",
    "Skeletal maturity on simulated films, or such films in folders.",
    __doc__,
    DemoSettings,
    {"demo": PRESETS["demo"]},
    main,
    runs=True,
    experiment=smi.COMMAND.name,
)

if __name__ == "__main__":
    launch(COMMAND)
