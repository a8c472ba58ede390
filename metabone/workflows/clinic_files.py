"""A model of bone age corrected by the films of a clinic, and what other corrections would do."""

import dataclasses
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from metabone.datasets.source import parse_source
from metabone.errors import InputError
from metabone.evaluation.conformal import LEVEL
from metabone.radiograph.aged_films import AgedFilms
from metabone.report.clinic_page import (
    ClinicCurve,
    clinic_table,
    winners_in_words,
    write_clinic_page,
)
from metabone.report.tables import to_text
from metabone.training.json_files import plain, write_json_atomically
from metabone.workflows.age_calibration import fit_lines, left_out_months, widths_of
from metabone.workflows.age_model import MODEL, AgeModel, fingerprints_of, save_age_model
from metabone.workflows.age_sight import check_sight
from metabone.workflows.age_views import load_aged
from metabone.workflows.clinic_curve import COUNTS, DRAWS, Draws, clinic_curve, winners
from metabone.workflows.new_folder import check_new, new_folder

PAGE, RESULT = "calibration.html", "calibration.json"
# Five films, or some of as many patients, and others to be asked.
_FEWEST_TO_COMPARE, _FEWEST_PATIENTS = 25, 6


class Calibrated(NamedTuple):
    """A model corrected by local films.

    Attributes:
      model: the corrected one.
      before: mean absolute error of the uncorrected one on these films, months.
      left_out: of the corrected one, each film read by lines fitted to those of other patients.
    """

    model: AgeModel
    before: float
    left_out: float


def local_films(
    model: AgeModel, source: str | os.PathLike, *, key_points: str = "", data_dir: str | None = None
) -> AgedFilms:
    """Loads a clinic's films as a model sees them.

    Args:
      model: that is to read them.
      source: `rsna:DIR` or `hands:DIR`; a folder alone is the latter where `metabone
        prepare-hands` wrote it, else the former.
      key_points: where the network that finds key points is, if not the package's.
      data_dir: where prepared films lie.

    Raises:
      InputError: they cannot be read, the model was trained on some of them, or on films seen
        otherwise.
    """
    text = os.fspath(source)
    if not text.startswith(("rsna:", "hands:")):
        kind = "hands" if (Path(text).expanduser() / "prepared.json").is_file() else "rsna"
        text = f"{kind}:{text}"
    source = parse_source(text)
    check_sight(model, key_points)
    films = load_aged(
        source,
        view=model.view,
        size=model.image_shape[-2],
        regions=model.settings.regions,
        key_points=key_points,
        data_dir=data_dir,
    )
    known = [each in model.learned for each in fingerprints_of(films)]
    if any(known):
        raise InputError(
            f"{source}: the model was trained on {sum(known)} of these {len(films)} films (the "
            f"first is {films.ids[known.index(True)]}): expected films that are new to it"
        )
    return films


def calibrate(model: AgeModel, films: AgedFilms) -> Calibrated:
    """Corrects a model by lines by sex, fitted to local films.

    Its half widths are of films left out patient by patient; where films are too few for them, none
    are claimed. A correction that the model has already is replaced.

    Args:
      model: to correct.
      films: of the clinic, in its view.
    """
    read = model.read_uncorrected(films)
    given = (films.months, films.sex, model.scale)
    off = left_out_months(read, *given, patients=films.patients) - films.months
    untold = None
    if model.knows_sex:
        without = model.read_uncorrected(films.without_sex())
        untold = _left_out_without_sex(model, films, read, without) - films.months
    level = LEVEL if model.widths is None else model.widths.level
    before = float(np.abs(read - films.months).mean())
    left_out = float(np.abs(off).mean())
    lines = fit_lines(read, *given)
    told = (
        f"By {len(films)} local films, a line by sex: {_in_words(lines.male)} for males, "
        f"{_in_words(lines.female)} for females. On these films the mean absolute error was "
        f"{before:.1f} months without it, and is {left_out:.1f} with lines fitted to the others."
    )
    corrected = dataclasses.replace(
        model,
        lines=lines,
        widths=widths_of(off, films.sex, level, untold),
        learned=frozenset({*model.learned, *fingerprints_of(films)}),
        data=(*model.data, {"role": "local films", **dataclasses.asdict(films.provenance)}),
        about={**model.about, "Corrected": told},
    )
    return Calibrated(corrected, before, left_out)


def write_calibration(
    model: AgeModel, films: AgedFilms, out: str | os.PathLike, *, draws: Draws = DRAWS
) -> tuple[Calibrated, ClinicCurve | None]:
    """Corrects a model, compares corrections, and writes all of it.

    Args:
      model: to correct.
      films: of the clinic, in its view.
      out: is made: the model in `model/`, `calibration.json` and `calibration.html`.
      draws: see `clinic_curve`.

    Returns:
      The corrected model, and the comparison; None of too few films for one.
    """
    check_new(out)
    found = calibrate(model, films)
    curve = None
    patients = len(set(films.patients.tolist()))
    if len(films) >= _FEWEST_TO_COMPARE and patients >= _FEWEST_PATIENTS:
        rows = clinic_curve(model, films, counts=COUNTS, draws=draws)
        curve = ClinicCurve(str(films.provenance.source), rows, winners(rows))
    with new_folder(out) as folder:
        save_age_model(folder / MODEL, found.model)
        write_json_atomically(folder / RESULT, _record(found, films, curve))
        write_clinic_page(
            folder / PAGE,
            title=f"Bone age corrected by {len(films)} films",
            told=found.model.about,
            curves=[] if curve is None else [curve],
            label=f"{films.provenance.kind} films",
        )
    return found, curve


def calibration_in_words(found: Calibrated, curve: ClinicCurve | None) -> list[str]:
    """What was found, in a few lines and a table."""
    widths = found.model.widths
    lines = [found.model.about["Corrected"]]
    if widths is None:
        lines.append("No interval is claimed: the films are too few for one.")
    else:
        own = {"males": widths.male, "females": widths.female, "anyone": widths.everyone}
        told = ", ".join(f"{name} {width:.1f}" for name, width in own.items() if width is not None)
        lines.append(f"Half widths of {100 * widths.level:g} % intervals, months: {told}.")
    if curve is None:
        lines.append(
            f"Corrections are compared from {_FEWEST_TO_COMPARE} films of {_FEWEST_PATIENTS} "
            "patients on."
        )
        return lines
    return [*lines, "", to_text(clinic_table(curve)), "", *winners_in_words(curve)]


def _left_out_without_sex(
    model: AgeModel, films: AgedFilms, read: np.ndarray, without: np.ndarray
) -> np.ndarray:
    """What lines fitted to films of all other patients say of each film if its sex is not told."""
    found = np.empty(len(films))
    for patient in np.unique(films.patients):
        own = films.patients == patient
        lines = fit_lines(read[~own], films.months[~own], films.sex[~own], model.scale)
        found[own] = lines.months(without[own], np.full(own.sum(), ""))
    return found


def _record(found: Calibrated, films: AgedFilms, curve: ClinicCurve | None) -> dict[str, Any]:
    return plain(
        {
            "films": len(films),
            "source": films.provenance,
            "lines": found.model.lines._asdict(),
            "widths": None if found.model.widths is None else found.model.widths._asdict(),
            "mae_before": found.before,
            "mae_left_out": found.left_out,
            "curve": None if curve is None else curve.rows,
            "winners": None if curve is None else curve.winners,
        }
    )


def _in_words(line: tuple[float, float]) -> str:
    return f"{line[0]:+.1f} months + {line[1]:.3f} x read"
