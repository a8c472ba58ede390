"""Films with ages in parts that no stage of training can get past: one split for all of them."""

from typing import NamedTuple

import numpy as np

from metabone.datasets.near_copies import refuse_near_copies
from metabone.episodes.splits import split_names
from metabone.errors import InputError
from metabone.radiograph.aged_films import AgedFilms
from metabone.training.age_scale import OF_240, AgeScale, fit_scale

_LEAST = 8


class AgeParts(NamedTuple):
    """Films by what they are for; no patient is in two of them.

    Attributes:
      train: to learn from.
      validation: to choose steps on.
      test: to be measured on.
    """

    train: AgedFilms
    validation: AgedFilms
    test: AgedFilms

    @property
    def learn(self) -> int:
        """Films that are known before the test: those to learn from and those to choose on."""
        return len(self.train) + len(self.validation)

    def of_sex(self, sex: str) -> "AgeParts":
        """The films of one sex, `'F'` or `'M'`."""
        return AgeParts(*(part.keep(np.flatnonzero(part.sex == sex)) for part in self))


def part_films(
    films: AgedFilms,
    *,
    test: float = 0.1,
    validation: float = 0.1,
    learn: int = 0,
    seed: int = 0,
) -> AgeParts:
    """Parts films by a hash of the patient: the same on every machine, whatever is asked besides.

    The test part depends on `test` and `seed` alone. Fewer films to learn from are the first of all
    of them in the order of the hash, so that a larger number holds a smaller.

    Args:
      films: of all parts.
      test: share of the patients who are only measured on.
      validation: share of the patients to choose on, of all, or of `learn` and the test part's
        complement.
      learn: films to learn from and to choose on together, about; 0 for all but the test part.
      seed: another is another split.

    Returns:
      The parts, checked to share no patient and, where films have `looks`, no near copy.

    Raises:
      InputError: shares that leave a part without films, or fewer films than `learn`.
    """
    if not (0 < test < 1 and 0 < validation < 1 and test + validation < 1):
        raise InputError(
            f"shares of the test (={test:g}) and validation (={validation:g}) parts: expected "
            "each above 0 and both together below 1"
        )
    patients = np.asarray(films.patients, str)
    names = sorted(set(patients.tolist()))
    (held,) = split_names(names, {"test": round(test * len(names))}, salt=f"ages {seed}").values()
    is_test = np.isin(patients, [names[place] for place in held])
    others = sorted(set(patients[~is_test].tolist()))
    # In the order of the hash, since each number of names takes one more of it.
    order = _in_order(others, f"ages {seed}")
    rest = np.flatnonzero(~is_test)
    if learn > len(rest):
        raise InputError(f"{learn} films to learn from: {films.provenance.source} has {len(rest)}")
    place = {name: rank for rank, name in enumerate(order)}
    ranked = rest[np.argsort([place[name] for name in patients[rest]], kind="stable")]
    chosen = ranked[: learn or len(ranked)]
    share = validation / (1.0 - test)
    to_choose = max(_LEAST, round(share * len(chosen)))
    # Whole patients: what is chosen on begins where a patient begins.
    cut = max(0, len(chosen) - to_choose)
    while 0 < cut < len(chosen) and patients[chosen[cut]] == patients[chosen[cut - 1]]:
        cut -= 1
    parts = AgeParts(
        films.keep(np.sort(chosen[:cut])),
        films.keep(np.sort(chosen[cut:])),
        films.keep(np.flatnonzero(is_test)),
    )
    for name, part in zip(AgeParts._fields, parts, strict=True):
        if len(part) < _LEAST:
            raise InputError(
                f"{films.provenance.source}: {len(part)} films of {len(films)} for {name}; "
                f"expected at least {_LEAST} in each part"
            )
    check_apart(parts)
    return parts


def _in_order(names: list[str], salt: str) -> list[str]:
    sizes = {str(rank): 1 for rank in range(len(names))}
    return [names[place] for (place,) in split_names(names, sizes, salt).values()]


def check_apart(parts: AgeParts) -> None:
    """Raises `InputError` where two parts share a patient, a film or a near copy of one."""
    named = dict(zip(AgeParts._fields, parts, strict=True))
    for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
        first, second = named[one], named[other]
        both = sorted({*first.patients.tolist()} & {*second.patients.tolist()})
        if both:
            raise InputError(f"patient {both[0]!a} is in '{one}' and in '{other}'")
        refuse_near_copies(one, first, other, second, "ids")


def check_stage(
    parts: AgeParts, train: AgedFilms, validation: AgedFilms, scale: AgeScale, stage: str
) -> None:
    """Checks what a stage of training is given against the one split that all stages have.

    A film is known by its pixels, age and sex together, so this finds a test film in training, a
    split drawn anew, a validation film that was augmented, and sex or ages in another order than
    the films. A stage before, such as on films of chests, has parts of its own.

    Args:
      parts: as the films were parted.
      train: what the stage learns from.
      validation: what its steps are chosen on.
      scale: what its outputs are measured in.
      stage: its name, for messages.

    Raises:
      InputError: any of these; or a scale that is not of the training films alone.
    """
    seals = {
        name: {*part.seals().tolist()} for name, part in zip(parts._fields, parts, strict=True)
    }
    tested = {*parts.test.patients.tolist()}
    given = {"train": train, "validation": validation}
    found = {name: each.seals().tolist() for name, each in given.items()}
    for name, films in given.items():
        for film, patient, seal in zip(films.ids, films.patients, found[name], strict=True):
            if seal in seals["test"] or patient in tested:
                raise InputError(f"stage '{stage}': film {film} of the test part is in its {name}")
    for name, films in given.items():
        for film, seal in zip(films.ids, found[name], strict=True):
            if seal not in seals[name]:
                known = any(seal in each for each in seals.values())
                wrong = (
                    "is of another part"
                    if known
                    else "has other pixels, age or sex than where the films were parted"
                )
                raise InputError(f"stage '{stage}': film {film} in its {name} part {wrong}")
    if scale not in (OF_240, fit_scale(train.months)):
        raise InputError(
            f"stage '{stage}': outputs are scaled by other ages ({scale.mean:.2f} +- "
            f"{scale.deviation:.2f} months) than those of its {len(train)} training films"
        )


def check_unseen(films: AgedFilms, tests: AgedFilms, stage: str) -> None:
    """Checks that an earlier stage, of other films, learns from none that are measured on.

    Args:
      films: that the stage learns from.
      tests: the test part of what comes after it.
      stage: its name, for messages.

    Raises:
      InputError: a film in both; or a near copy of one, where both have `looks`.
    """
    pixels = {image.tobytes() for image in tests.images}
    for film, image in zip(films.ids, films.images, strict=True):
        if image.tobytes() in pixels:
            raise InputError(f"stage '{stage}': film {film} of the test part is among its films")
    refuse_near_copies(stage, films, "test", tests, "ids")
