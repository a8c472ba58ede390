"""Films of hands with bone ages, in every view that settings ask for."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from metabone.datasets.film_groups import kept_together
from metabone.errors import InputError
from metabone.radiograph.aged_films import AgedFilms
from metabone.workflows.age_settings import AgeSettings
from metabone.workflows.age_views import load_aged
from metabone.workflows.seeds import seeds_of


def load_hands(config: AgeSettings, view: str, data_dir: str | None) -> AgedFilms:
    """The films that settings name, in one view.

    Args:
      config: of the run.
      view: of its `views`.
      data_dir: where prepared records lie.
    """
    return load_aged(
        config.films,
        view=view,
        size=config.size,
        regions=config.regions,
        key_points=config.key_points,
        data_dir=data_dir,
        seed=seeds_of(config).split,
        hands=config.simulated_films,
    )


def seen_in_all_views(films: Mapping[str, AgedFilms]) -> dict[str, AgedFilms]:
    """The films that every view has, in one order, so that all views are measured on the same.

    Args:
      films: by view.

    Raises:
      InputError: no film is in all views, or one has another age or sex in another view.
    """
    common = sorted(set.intersection(*({*each.ids.tolist()} for each in films.values())))
    if not common:
        raise InputError(f"no film is in all of the views {', '.join(films)}")
    kept = {}
    for view, each in films.items():
        place = {name: row for row, name in enumerate(each.ids.tolist())}
        kept[view] = each.keep(np.array([place[name] for name in common]))
    first = next(iter(kept.values()))
    for view, each in kept.items():
        differs = (each.months != first.months) | (each.sex != first.sex)
        if differs.any():
            raise InputError(
                f"film {each.ids[differs][0]!a} has another age or sex in view '{view}'"
            )
    # Who is one patient in any view is one in all.
    patients = kept_together(common, *(each.patients.tolist() for each in kept.values()))
    return {view: dataclasses.replace(each, patients=patients) for view, each in kept.items()}
