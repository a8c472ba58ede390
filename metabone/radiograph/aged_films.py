"""Films of people whose age, or bone age, is known: what a network that tells age learns from."""

import dataclasses
import hashlib

import numpy as np

from metabone.errors import InputError
from metabone.provenance import Provenance


@dataclasses.dataclass(frozen=True)
class AgedFilms:
    """Films as host arrays: `N` films.

    Attributes:
      images: `[N, H, W, 1]` uint8, or `[N, R, H, W, 1]` for films cut into `R` regions.
      months: `[N]` float32, bone age, or the patient's age of films that show no hand.
      sex: `[N]` str, `'F'`, `'M'`, or `''` where it is not known.
      patients: `[N]` str, who is on the film; a split keeps a patient on one side.
      ids: `[N]` str, what a film is called in tables.
      provenance: where the films came from.
      looks: `[N, 64, 64]` uint8, by which near copies are found, see `datasets.near_copies`; None
        where none are to be expected.

    Raises:
      InputError: lengths that differ, ages that are not finite, another sex.
    """

    images: np.ndarray
    months: np.ndarray
    sex: np.ndarray
    patients: np.ndarray
    ids: np.ndarray
    provenance: Provenance
    looks: np.ndarray | None = None

    def __post_init__(self):
        for name in ("months", "sex", "patients", "ids"):
            found = np.asarray(getattr(self, name)).shape
            if found != (len(self.images),):
                raise InputError(
                    f"{name} of shape {found} for {len(self.images)} films: expected one a film"
                )
        if not np.isfinite(self.months).all():
            raise InputError(
                f"age of film {self.ids[~np.isfinite(self.months)][0]!a} is not finite"
            )
        unknown = sorted({*np.asarray(self.sex).tolist()} - {"F", "M", ""})
        if unknown:
            raise InputError(f"sex {unknown[0]!r}: expected 'F', 'M', or '' where it is not known")

    def __len__(self) -> int:
        return len(self.images)

    def keep(self, rows: np.ndarray) -> "AgedFilms":
        """The films at some positions, in that order."""
        rows = np.asarray(rows)
        own = ("images", "months", "sex", "patients", "ids", "looks")
        values = {name: getattr(self, name) for name in own}
        kept = {name: None if value is None else value[rows] for name, value in values.items()}
        return dataclasses.replace(self, **kept)

    def without_sex(self) -> "AgedFilms":
        """The same films, the sex of none of which is known."""
        return dataclasses.replace(self, sex=np.full(len(self), ""))

    def seals(self) -> np.ndarray:
        """One hash a film of its pixels, age and sex together.

        Two arrays of films hold the same films under the same labels if they hold the same seals:
        a film with another's sex or age, or with other pixels, has a seal that is not among them.

        Returns:
          `[N]` str, SHA-256 in hexadecimal digits.
        """
        months = np.asarray(self.months, "<f4")
        return np.array(
            [
                hashlib.sha256(
                    b"\0".join((image.tobytes(), month.tobytes(), str(sex).encode()))
                ).hexdigest()
                for image, month, sex in zip(self.images, months, self.sex, strict=True)
            ],
            "U64",
        )
