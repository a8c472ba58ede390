"""What a source of images holds, drops, converts, and what in it deserves a second look.

  metabone check folder:DIR
  metabone check rsna:DIR
  metabone check films.csv --shots=10 --queries=5
  metabone check medmnist:FILE.npz --part=train --json

It takes every source that experiments take, and folders and tables of films as `metabone adapt`
takes them, reads each image as they do, and writes nothing. Named are files that cannot be read,
one image under two labels, patients or parts, near copies (the same picture recompressed, resized
or inverted) within and between parts, images of one grey, and classes that are too small. The exit
status is 0 where nothing is found, 1 where something deserves a second look, and 2 where the source
cannot be used at all. A thousand small images take
some seconds, 20,000 about half a minute, and a minute more when they are read for the first time.
"""

import dataclasses
import json

from metabone.commands.command import Call, Command
from metabone.errors import InputError
from metabone.workflows.settings import setting


@dataclasses.dataclass(frozen=True)
class CheckSettings:
    """Which source, and what tasks are to be drawn from it."""

    source: tuple[str, ...] = setting((), "A source, or a folder, zip or table of films.", "Source")
    part: str = setting("", "Part of it that alone is looked at, such as train.", "Source")
    shots: int = setting(5, "Labelled images a class that a task takes.", "Tasks")
    queries: int = setting(15, "Images a class that a task asks for.", "Tasks")
    json: bool = setting(False, "Print all of it as JSON, near copies included.", "Output")


def main(call: Call) -> int:
    """Prints what was found; the exit status."""
    from metabone.workflows.source_check import check_in_words, check_source

    config = call.config
    if len(config.source) != 1:
        raise InputError(f"check: expected one source, not {len(config.source)}")
    found = check_source(
        config.source[0],
        part=config.part,
        shots=config.shots,
        queries=config.queries,
        data_dir=call.data_dir,
    )
    if config.json:
        print(json.dumps(dataclasses.asdict(found) | {"verdict": found.verdict}, indent=2))
    else:
        print("\n".join(check_in_words(found)))
    return 1 if found.suspects else 0


COMMAND = Command(
    "check",
    "What a source of images holds, and what in it is suspect.",
    __doc__,
    CheckSettings,
    {},
    main,
    positional="source",
)
