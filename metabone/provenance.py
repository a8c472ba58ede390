"""Where a set of images came from, as it is written down with every run."""

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class Provenance:
    """The origin of a set of images, whatever it is then used for.

    Attributes:
      source: The source string as it was given, e.g. `'rsna:films'`.
      kind: `'real'` or `'simulated'`; a figure on simulated data says so wherever it is printed.
      sha256: Content of the loaded set, `metabone.datasets.fingerprints.content_sha256` in hex: the
        same for the same pixels and labels in any order and from any container.
      count: Number of images or films.
      citation: What to cite, one line.
      licence: Terms of use as far as they are known.
      conversions: What was done to the pixels between file and array, one sentence each.
    """

    source: str
    kind: Literal["real", "simulated"]
    sha256: str
    count: int
    citation: str
    licence: str
    conversions: tuple[str, ...] = ()
