"""What a reader needs of the best network of a run: how sturdy it is, and where it looks."""

from typing import Any

import numpy as np

from metabone.evaluation.robustness import robustness
from metabone.radiograph.aged_films import AgedFilms
from metabone.radiograph.sex import with_sex_row
from metabone.training.run import Run
from metabone.workflows.age_settings import AgeSettings
from metabone.workflows.age_table import AgeTable
from metabone.workflows.fit_regressor import FittedRegressor


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
    row, fitted, _, parts = found
    told: dict[str, Any] = {}
    if config.robustness and row.view != "regions":
        told["robustness"] = sturdiness(fitted, parts.test)
    known = run.results.find(**row._asdict())
    run.results.replace([{**known, **told, "best": True}], **row._asdict())


def sturdiness(fitted: FittedRegressor, films: AgedFilms) -> list[dict[str, Any]]:
    """The same films turned, mirrored, dimmed and otherwise changed, read again.

    Args:
      fitted: reads them.
      films: whole ones.

    Returns:
      `evaluation.robustness.robustness`'s rows.
    """
    read = reading_of(fitted)
    return robustness(lambda images: read(images, films.sex), films.images, films.months)


def reading_of(fitted: FittedRegressor) -> Any:
    """`(images [N, H, W, 1] uint8, sex [N]) -> months [N]` of a network."""
    from metabone.training.regression import read_months

    months = read_months(fitted.network, fitted.scale)

    def read(images: np.ndarray, sex: np.ndarray) -> np.ndarray:
        return months(fitted.params, fitted.norm_stats, with_sex_row(images, sex))

    return read
