"""Networks that tell bone age, trained and measured on one split: rows of a run."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from metabone.errors import InputError
from metabone.evaluation.age_errors import age_bands, age_groups, median_baselines
from metabone.evaluation.conformal import coverage, half_widths, least_films
from metabone.radiograph.aged_films import AgedFilms
from metabone.stored_arrays import load_arrays, save_arrays
from metabone.training.age_scale import OF_240, fit_scale
from metabone.training.run import Run
from metabone.workflows.age_origins import AgeNetwork, Origins, network_of, recipe_of, stages_of
from metabone.workflows.age_parts import AgeParts, part_films
from metabone.workflows.age_settings import AgeSettings
from metabone.workflows.fit_regressor import FittedRegressor, Stage, fit_regressor
from metabone.workflows.seeds import seeds_of

MEAN_OF_VIEWS = "mean of views"
PREDICTIONS = "predictions"


class AgeRow(NamedTuple):
    """What a row of the table is of.

    Attributes:
      arm: what is trained.
      origin: what its weights began with; empty for one that has none, as the next.
      view: how films are seen.
      films: that are learned from and chosen on.
      sex: how sex is used.
    """

    arm: str
    origin: str
    view: str
    films: int
    sex: str

    @property
    def file(self) -> str:
        """A name for its files."""
        parts = (self.arm, self.origin, self.view, str(self.films), self.sex)
        return "-".join(part.replace(" ", "_").replace(":", "_") for part in parts if part)


class _Fit(NamedTuple):
    """What must be trained for a row: one network, or one of either sex.

    Attributes:
      row: the row.
      made: the network.
      origin: as the settings name it.
      parts: of its films, as it sees them.
      stages: one a network and stage, by sex; of one network under the empty name.
    """

    row: AgeRow
    made: AgeNetwork
    origin: str
    parts: Mapping[str, AgeParts]
    stages: Mapping[str, list[Stage]]


class AgeTable:
    """One training of all rows that settings ask for.

    Args:
      config: of that training, see `seeds.trainings_of`.
      run: keeps rows, predictions and checkpoints.
      films: by view.
      data_dir: where prepared records lie.
      training: which of the run's trainings; rows are of all up to it.
    """

    def __init__(
        self,
        config: AgeSettings,
        run: Run,
        films: Mapping[str, AgedFilms],
        data_dir: str | None,
        training: int = 0,
    ):
        self._config, self._run, self._training = config, run, training
        self._own = run.training(training)
        self._parts = {
            (view, count): part_films(
                of_view,
                test=config.test_share,
                validation=config.validation_share,
                learn=count,
                seed=seeds_of(config).split,
            )
            for view, of_view in films.items()
            for count in config.train_films
        }
        self._films = dict(films)
        tests = {view: parts.test for (view, _), parts in self._parts.items()}
        self._origins = Origins(config, tests, self._own, data_dir)

    def fill(self) -> None:
        """Trains and measures what the run does not hold yet.

        Raises:
          InputError: what a row needs cannot be had; before any of them is trained.
        """
        left = [fit for fit in self._fits() if not self._is_done(fit.row)]
        for fit in left:
            self._origins.look(fit.origin, fit.row.view)
        (self._run.path / PREDICTIONS).mkdir(exist_ok=True)
        self._medians()
        for fit in left:
            if self._is_done(fit.row):  # Two numbers of films may be the same.
                continue
            fitted = self._train(fit)
            predicted = self._predict(fit, fitted)
            errors = [each.validation_mae for each in fitted.values()]
            seconds = sum(each.seconds for each in fitted.values())
            more = self._intervals(fit, fitted, predicted)
            self._write(fit.row, fit.parts, predicted, float(np.mean(errors)), seconds, more)
        self._means_of_views()

    def best(self) -> tuple[AgeRow, FittedRegressor, AgeNetwork, AgeParts] | None:
        """The network of the lowest error on its validation part, among those of most films.

        Returns:
          Its row, the network as trained, and the films that it saw; None where each row has a
          network of either sex.
        """
        most = max(self._config.train_films, key=lambda count: count or np.inf)
        films = {parts.learn for (_, count), parts in self._parts.items() if count == most}
        found = [
            (self._run.results.find(**fit.row._asdict())["validation_mae"][self._training], fit)
            for fit in self._fits()
            if fit.row.films in films and fit.row.sex != "separate"
        ]
        if not found:
            return None
        _, fit = min(found, key=lambda pair: pair[0])
        return fit.row, self._train(fit)[""], fit.made, fit.parts[""]

    def _fits(self) -> Iterator[_Fit]:
        config = self._config
        for (view, _), parts in self._parts.items():
            for sex_use in config.sexes:
                for origin in config.origins:
                    seen = _seen(parts, sex_use)
                    made = network_of(config, parts.train, sex_use, origin == "published")
                    for arm in config.arms:
                        yield from self._fits_of(arm, origin, view, sex_use, made, seen)

    def _fits_of(
        self,
        arm: str,
        origin: str,
        view: str,
        sex_use: str,
        made: AgeNetwork,
        seen: Mapping[str, AgeParts],
    ) -> Iterator[_Fit]:
        learn = sum(parts.learn for parts in seen.values())
        shapes = _shapes(made)
        named = {
            sex: stages_of(
                self._config,
                arm,
                "_".join(filter(None, (origin.replace(":", "_"), view, str(learn), sex_use, sex))),
                made,
                shapes,
                len(parts.train),
            )
            for sex, parts in seen.items()
        }
        for index, (label, _) in enumerate(next(iter(named.values()))):
            row = AgeRow(label, origin.replace(":", " "), view, learn, sex_use)
            stages = {sex: of_sex[index][1] for sex, of_sex in named.items()}
            yield _Fit(row, made, origin, seen, stages)

    def _train(self, fit: _Fit) -> dict[str, FittedRegressor]:
        config = self._config
        start = self._origins.start(fit.origin, fit.row.view, fit.made, fit.row.sex)
        return {
            sex: fit_regressor(
                fit.made.network,
                start,
                parts,
                fit.stages[sex],
                recipe_of(config, fit.row.view, len(parts.train)),
                OF_240 if config.output == "of_240" else fit_scale(parts.train.months),
                seed=seeds_of(config).train,
                run=self._own,
            )
            for sex, parts in fit.parts.items()
        }

    def _predict(self, fit: _Fit, fitted: Mapping[str, FittedRegressor]) -> np.ndarray:
        test = self._test(fit.row.view)
        predicted = np.full(len(test), np.nan, np.float32)  # A film that is not read is no zero.
        for sex, network in fitted.items():
            films = fit.parts[sex].test
            predicted[np.isin(test.ids, films.ids)] = network.read(films)
        return predicted

    def _test(self, view: str) -> AgedFilms:
        return next(parts.test for (own, _), parts in self._parts.items() if own == view)

    def _is_done(self, row: AgeRow) -> bool:
        known = self._run.results.find(**row._asdict())
        return known is not None and known["trainings"] > self._training

    def _write(
        self,
        row: AgeRow,
        parts: Mapping[str, AgeParts],
        predicted: np.ndarray,
        validation_mae: float | None,
        seconds: float,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        views = [view for view, _ in self._parts]
        test = self._test(row.view if row.view in views else views[0])
        before = self._kept(row)
        predicted = np.concatenate([before[: self._training], predicted[None]])
        save_arrays(
            self._run.path / PREDICTIONS / f"{row.file}.npz",
            # Films are told apart by their order, and patients by numbers: neither is named.
            months=test.months,
            sex=np.asarray(test.sex, str),
            patients=np.unique(test.patients, return_inverse=True)[1].ravel(),
            predicted=predicted,
        )
        known = self._run.results.find(**row._asdict()) or {}
        chosen = [*known.get("validation_mae", [])[: self._training], validation_mae]
        spent = [*known.get("seconds", [])[: self._training], round(seconds, 1)]
        told = (test.months, test.sex, test.patients)
        self._run.results.replace(
            [
                {
                    # What was read off the first training stays.
                    **known,
                    **row._asdict(),
                    "trainings": len(predicted),
                    "test_films": len(test),
                    "validation_films": sum(len(each.validation) for each in parts.values()),
                    "validation_mae": chosen,
                    "seconds": spent,
                    "groups": age_groups(predicted, *told),
                    "bands": age_bands(predicted, *told),
                    **(more or {}),
                }
            ],
            **row._asdict(),
        )

    def _intervals(
        self, fit: _Fit, fitted: Mapping[str, FittedRegressor], predicted: np.ndarray
    ) -> dict[str, Any]:
        """How many test films intervals hold that are as wide as validation films were off."""
        if self._training:
            return {}
        level, chosen = self._config.level, [each.validation for each in fit.parts.values()]
        off = [
            np.abs(network.read(films) - films.months)
            for network, films in zip(fitted.values(), chosen, strict=True)
        ]
        test = self._test(fit.row.view)
        # Those of the row's own films, though a network that is blind to sex was not told.
        sexes = dict(zip(self._films[fit.row.view].ids, self._films[fit.row.view].sex, strict=True))
        sex = np.array([sexes[name] for films in chosen for name in films.ids])
        if min(np.sum(sex == each) for each in ("F", "M")) < least_films(level):
            return {}
        widths = half_widths(np.concatenate(off), level, sex)
        return {"conformal": coverage(np.abs(predicted - test.months), widths, test.sex)}

    def _kept(self, row: AgeRow) -> np.ndarray:
        file: Path = self._run.path / PREDICTIONS / f"{row.file}.npz"
        if not file.is_file():
            return np.zeros((0, len(self._test(next(view for view, _ in self._parts)))), np.float32)
        return load_arrays(file, ("predicted",))["predicted"]

    def _medians(self) -> None:
        for parts in self._parts.values():
            learned = np.concatenate([parts.train.months, parts.validation.months])
            sexes = np.concatenate([parts.train.sex, parts.validation.sex])
            said = median_baselines(learned, sexes, parts.test.sex)
            for arm, predicted in (("median", said.median), ("median by sex", said.by_sex)):
                row = AgeRow(arm, "", "", parts.learn, "")
                if not self._is_done(row):
                    self._write(row, {"": parts}, predicted.astype(np.float32), None, 0.0)

    def _means_of_views(self) -> None:
        views = self._config.views
        if len(views) < 2:
            return
        for fit in self._fits():
            if fit.row.view != views[0]:
                continue
            each = [fit.row._replace(view=view) for view in views]
            row = fit.row._replace(view=MEAN_OF_VIEWS)
            if self._is_done(row) or any(not self._is_done(of_view) for of_view in each):
                continue
            predicted = np.mean([self._kept(of_view)[self._training] for of_view in each], axis=0)
            self._write(row, fit.parts, predicted, None, 0.0)


def _shapes(made: AgeNetwork) -> Any:
    return jax.eval_shape(
        lambda key: made.network.init(key, made.image_shape)[0], jax.random.key(0)
    )


def _seen(parts: AgeParts, sex_use: str) -> dict[str, AgeParts]:
    """The parts as networks see them: one network, or one of either sex."""
    if sex_use == "separate":
        for name, part in zip(AgeParts._fields, parts, strict=True):
            told = [int((part.sex == sex).sum()) for sex in ("F", "M")]
            if sum(told) < len(part) or not all(told):
                raise InputError(
                    f"--sexes=separate: {told[0]} females, {told[1]} males and "
                    f"{len(part) - sum(told)} films of unknown sex for {name}; expected films of "
                    "either sex, and none of unknown sex"
                )
        return {sex: parts.of_sex(sex) for sex in ("F", "M")}
    if sex_use == "unknown":
        return {"": AgeParts(*(part.without_sex() for part in parts))}
    return {"": parts}
