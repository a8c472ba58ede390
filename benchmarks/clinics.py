"""Measures how many films of another clinic each correction of bone ages needs.

    python -m benchmarks.clinics --run=RUN --films=rsna:DIR --out=DIR

Clinics are simulated on real films that the run of `metabone bone-age` neither learned from nor
chose on: as they are; in another exposure; read by a rater who says 6 months more; in half the
resolution; and all three at once. Of each, corrections are fitted to 5 to 200 films, drawn many
times, and asked of the others, see `workflows.clinic_curve`. Prints a table a clinic and writes
`clinics.html` and `clinics.json`.
"""

import argparse
import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from metabone.errors import InputError
from metabone.evaluation.robustness import halved
from metabone.radiograph.aged_films import AgedFilms
from metabone.report.clinic_page import (
    ClinicCurve,
    clinic_table,
    winners_in_words,
    write_clinic_page,
)
from metabone.report.tables import to_text
from metabone.training.json_files import write_json_atomically
from metabone.workflows.age_adaptation import exposed
from metabone.workflows.age_model import AgeModel, fingerprints_of, load_age_model
from metabone.workflows.age_sight import check_sight
from metabone.workflows.age_views import load_aged
from metabone.workflows.clinic_curve import Draws, clinic_curve, winners
from metabone.workflows.new_folder import check_new, new_folder

# None of those that the strength of adaptation was learned from.
_GAMMA = 1.4
_OFFSET = 6.0


def held_out(model: AgeModel, films: AgedFilms) -> AgedFilms:
    """Films of patients of whom the model has learned from no film.

    Args:
      model: of a run on some of these films.
      films: all, in its view.

    Raises:
      InputError: it has learned from none of them, so that they are others, or seen otherwise.
    """
    learned = np.isin(fingerprints_of(films), sorted(model.learned))
    if not learned.any():
        raise InputError(
            f"{films.provenance.source}: the model was trained on none of these {len(films)} "
            "films; expected those of its run, seen alike"
        )
    return films.keep(np.flatnonzero(~np.isin(films.patients, films.patients[learned])))


def half_as_fine(films: AgedFilms) -> AgedFilms:
    """Films, or their regions, with half the pixels in each direction, brought back to size."""
    flat = films.images.reshape(-1, *films.images.shape[-3:])
    return dataclasses.replace(films, images=halved(flat).reshape(films.images.shape))


def read_older(films: AgedFilms) -> AgedFilms:
    """The same films, read by a rater who says 6 months more."""
    return dataclasses.replace(films, months=films.months + np.float32(_OFFSET))


def in_another_exposure(films: AgedFilms) -> AgedFilms:
    """Films whose middling greys are darker."""
    return exposed(films, _GAMMA)


CLINICS: dict[str, Callable[[AgedFilms], AgedFilms]] = {
    "As they are": lambda films: films,
    f"Another exposure (gamma {_GAMMA:g})": in_another_exposure,
    f"A rater who says {_OFFSET:g} months more": read_older,
    "Half the resolution": half_as_fine,
    "All three": lambda films: read_older(in_another_exposure(half_as_fine(films))),
}


def main() -> int:
    """Measures; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", required=True, help="run of bone-age, or folder of its model")
    parser.add_argument("--films", required=True, help="films of that run, such as rsna:DIR")
    parser.add_argument("--out", type=Path, required=True, help="folder of the page, is made")
    parser.add_argument("--key_points", default="", help="those that the run was made with")
    parser.add_argument("--data_dir", default=None, help="where prepared films lie")
    parser.add_argument("--draws", type=int, default=200, help="of corrections in closed form")
    parser.add_argument("--head_draws", type=int, default=20, help="on which the head is trained")
    parser.add_argument("--whole_draws", type=int, default=3, help="the whole network likewise")
    given = parser.parse_args()
    check_new(given.out)
    model = load_age_model(given.run)
    check_sight(model, given.key_points)
    films = held_out(
        model,
        load_aged(
            given.films,
            view=model.view,
            size=model.image_shape[-2],
            regions=model.settings.regions,
            key_points=given.key_points,
            data_dir=given.data_dir,
        ),
    )
    print(f"{len(films)} films held out of {given.films}", flush=True)
    draws = Draws(given.draws, given.head_draws, given.whole_draws)
    curves = []
    for name, change in CLINICS.items():
        rows = clinic_curve(model, change(films), draws=draws)
        curve = ClinicCurve(name, rows, winners(rows))
        print("\n".join(["", to_text(clinic_table(curve)), *winners_in_words(curve)]), flush=True)
        curves.append(curve)
    with new_folder(given.out) as folder:
        write_json_atomically(
            folder / "clinics.json",
            {"films": len(films), "clinics": [curve._asdict() for curve in curves]},
        )
        write_clinic_page(
            folder / "clinics.html",
            title=f"Bone age at other clinics, simulated on {len(films)} films",
            told={**model.about, "Strengths of adaptation": str(dict(model.strengths))},
            curves=curves,
            label=f"{films.provenance.kind} films",
        )
    print(f"\npage: {given.out / 'clinics.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
