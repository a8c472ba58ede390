"""What is known of a film: format, greys, spacing, side, view, sex and age, and what is odd.

  metabone inspect FILE ...

Reads DICOM (compressed DICOM needs `pip install 'metabone[dicom]'`), PNG, JPEG and TIFF, and says
what is done to the greys between file and array. Nothing that identifies a patient is read.
"""

import dataclasses

from metabone.commands.command import Call, Command
from metabone.errors import InputError
from metabone.workflows.settings import setting


@dataclasses.dataclass(frozen=True)
class InspectSettings:
    """Which films."""

    files: tuple[str, ...] = setting((), "Files of films.", "Films")


def main(call: Call) -> None:
    """Prints what is known of each."""
    from metabone.imaging.inspect import inspect_text

    if not call.config.files:
        raise InputError("inspect: expected the file of a film")
    print("\n\n".join(inspect_text(file) for file in call.config.files))


COMMAND = Command(
    "inspect",
    "What is known of a film, from DICOM, PNG, JPEG or TIFF.",
    __doc__,
    InspectSettings,
    {},
    main,
    positional="files",
)
