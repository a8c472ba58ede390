"""What a reader needs of the best network of a run: itself, how sturdy it is, where it looks."""

from typing import Any

import numpy as np

from metabone.evaluation.robustness import robustness
from metabone.radiograph.aged_films import AgedFilms
from metabone.radiograph.sex import with_sex_row
from metabone.training.regression import read_months
from metabone.training.run import Run
from metabone.workflows.age_keeping import age_model_of
from metabone.workflows.age_maps import age_map_files
from metabone.workflows.age_model import MODEL, save_age_model
from metabone.workflows.age_settings import AgeSettings
from metabone.workflows.age_table import AgeRow, AgeTable
from metabone.workflows.fit_regressor import FittedRegressor

MAPS = "maps"
"""Folder of a run that holds pictures of films and of what its network looks at."""


def keep_best(config: AgeSettings, run: Run, table: AgeTable) -> None:
    """Keeps the network that is chosen by its validation part, and what is read off it.

    Args:
      config: of the run.
      run: whose `model/` and `maps/` are written, and whose results say which network it is.
      table: of the first training.
    """
    found = table.best()
    if found is None:
        return
    row, fitted, made, parts = found
    known = run.results.find(**row._asdict())
    told: dict[str, Any] = {"best": True}
    if config.robustness and row.view != "regions":
        told["robustness"] = sturdiness(fitted, parts.test)
    if config.maps:
        told["maps"] = age_map_files(
            made.network,
            fitted,
            parts.test,
            np.arange(len(parts.test)),
            run.path / MAPS,
            body=None if row.view == "regions" else made.body,
            pool=config.head_pool or "mean",
            each=config.maps,
        )
    if not (run.path / MODEL).exists():
        model = age_model_of(
            config,
            fitted,
            parts,
            view=row.view,
            sex_use=row.sex,
            published=row.origin == "published",
            about=_about(row, known),
        )
        save_age_model(run.path / MODEL, model)
    run.results.replace([{**known, **told}], **row._asdict())


def _about(row: AgeRow, known: dict[str, Any]) -> dict[str, str]:
    error = known["groups"]["all"]
    width = error["mae_ci95"]
    return {
        "Trained": f"{row.arm} of the network, begun {row.origin}, on {row.films} films; it sees "
        f"them {row.view}, sex {row.sex}.",
        "Error": f"{error['mae']:.1f}"
        + ("" if width is None else f" +- {width:.1f}")
        + f" months on {error['n']} films of other patients (95 % interval).",
    }


def sturdiness(fitted: FittedRegressor, films: AgedFilms) -> list[dict[str, Any]]:
    """The same films turned, mirrored, dimmed and otherwise changed, read again.

    Args:
      fitted: reads them.
      films: whole ones.

    Returns:
      `evaluation.robustness.robustness`'s rows.
    """
    months = read_months(fitted.network, fitted.scale)

    def read(images: np.ndarray) -> np.ndarray:
        return months(fitted.params, fitted.norm_stats, with_sex_row(images, films.sex))

    return robustness(read, films.images, films.months)
