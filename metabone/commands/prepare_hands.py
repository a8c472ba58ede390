"""Raw films of hands, turned, cropped and with their key points, or refused with a reason.

  metabone prepare-hands --films=DIR --out=DIR
  metabone prepare-hands --films=DIR --out=DIR --key_points=runs/key_points/RUN

Films are DICOM (compressed DICOM needs `pip install 'metabone[dicom]'`), PNG, JPEG or TIFF, at any
depth of a folder or zip; or a folder of labels.csv (id; bone_age_months or stage; sex) with ID.jpg
or alike in images.zip, in images/ or beside it. Out comes a folder that --target=hands:DIR reads:

  films/NAME.png      a left hand each, fingers up, bones bright, 8 bits
  films.csv           a row a file: what was done to it, and why it is refused
  points.csv          21 key points a film, in pixels of films/NAME.png
  contact_sheet.html  every film small with its points and regions: look at it
  labels.csv          as it was given; write it yourself where the films came without

Move a point by changing its x and y in points.csv: a corrected film counts as usable, whatever it
was refused for. A film can also be taken or left out by its status in films.csv, usable or refused.
The same command then draws the contact sheet anew. If it was stopped, it goes on where it was.

Nothing that names a patient is written. Since names of files may do so, films are called by their
id in labels.csv, which you chose, or by the first 12 digits of what `sha256sum FILE` prints, and no
other file is named; --keep_names calls them by their files. Patients are numbered where the files
tell them apart. A film of 512 pixels takes 0.2 seconds on a core, a thousand some minutes.
"""

import dataclasses

from metabone import interrupt, workflows
from metabone.commands.command import Call, Command
from metabone.errors import InputError
from metabone.workflows.settings import setting


@dataclasses.dataclass(frozen=True)
class PrepareHandsSettings:
    """Which films, and where they go."""

    films: str = setting("", "Folder or zip of films, or folder with labels.csv.", "Films")
    out: str = setting("", "Folder of the prepared hands, which is made or continued.", "Films")
    key_points: str = setting(
        "",
        "Run or file of the weights that find key points; by default those that metabone ships, "
        "which were trained on simulated films alone.",
        "Hands",
    )
    regions: str = setting(
        "min_kang_6",
        "Which regions a film must show: min_kang_6, hand_11, fishman_6, rus_13, wrist or carpals.",
        "Hands",
    )
    keep_names: bool = setting(
        False, "Whether films are called by their files, whose names may name patients.", "Films"
    )


def main(call: Call) -> None:
    """Prepares, and says how many films are usable."""
    config = call.config
    for name in ("films", "out"):
        if not getattr(config, name):
            raise InputError(f"--{name} is missing; --help says what it is")
    interrupt.line = "interrupted; the same command continues"
    prepared = workflows.prepare_hands(
        config.films,
        config.out,
        key_points=config.key_points,
        regions=config.regions,
        keep_names=config.keep_names,
    )
    for line in workflows.hands_in_words(prepared):
        print(line)


COMMAND = Command(
    "prepare-hands",
    "Raw films of hands, made canonical and checked.",
    __doc__,
    PrepareHandsSettings,
    {},
    main,
)
