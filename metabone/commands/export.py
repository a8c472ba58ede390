"""A model as files that need no metabone: a program, its weights, and a card.

  metabone export --model=MODEL --out=DIR

MODEL is what `metabone adapt` wrote. `prediction.jax_export` loads with `jax.export` alone and
answers the same to the bit, `weights.safetensors` are its weights, and `MODEL_CARD.md` says on what
it was adapted, how good it is, how to call it in five lines, and that it is no medical device. None
of the films is in it. It takes 5 seconds.
"""

import dataclasses

import metabone as mb
from metabone import workflows
from metabone.commands.command import Call, Command
from metabone.errors import InputError
from metabone.workflows.settings import setting


@dataclasses.dataclass(frozen=True)
class ExportSettings:
    """Which model goes where."""

    model: str = setting("", "Folder that adapt wrote.", "Export")
    out: str = setting("", "Folder of the files, which is made.", "Export")


def main(call: Call) -> None:
    """Writes the files."""
    config = call.config
    for name in ("model", "out"):
        if not getattr(config, name):
            raise InputError(f"--{name} is missing; --help says what it is")
    out = workflows.check_new(config.out)
    made = workflows.export_model(mb.load(config.model), out)
    for file in sorted(made.iterdir()):
        print(file)


COMMAND = Command(
    "export", "A model as files that need no metabone.", __doc__, ExportSettings, {}, main
)
