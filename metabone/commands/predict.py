"""What a model says of new films, as a table and as a page.

  metabone predict --model=MODEL --films=DIR --out=DIR

MODEL is what `metabone adapt` wrote. The films are DICOM, PNG, JPEG or TIFF files at any depth of a
folder or zip, a single one, or those that a csv names under `file` (and tells the `sex` of, for a
model that uses it). `predictions.csv` has for each film the answer, one probability a class, the
classes of its 90 % set and a warning; `predictions.html` shows the films, the labelled ones most
like each, and where in the film the answer comes from. It needs no other file and holds the films.

MODEL may also be a run of `metabone bone-age`, or what `metabone calibrate` wrote. Then a film's
answer is its bone age in months, with the interval that holds the true one in 9 of 10 films, by
sex; the map shows what makes the answer older or younger. Films that are no hands are refused.

A film unlike all that an adapted model saw is marked. What cannot be read, and of a model of
regions what is no hand, has a row that says so. Hundred films take 20 seconds on two cores.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import metabone as mb
from metabone import workflows
from metabone.commands.command import Call, Command
from metabone.errors import InputError
from metabone.workflows.settings import check_least, setting


@dataclasses.dataclass(frozen=True)
class PredictSettings:
    """Which model reads which films."""

    model: str = setting(
        "", "Folder that adapt or calibrate wrote, or run of bone-age.", "Predictions"
    )
    films: str = setting("", "Folder, zip, csv or film.", "Predictions")
    out: str = setting("", "Folder of table and page, which is made.", "Predictions")
    maps: int = setting(
        100, "Films of the page that show where the answer comes from, at most 100.", "Predictions"
    )
    key_points: str = setting(
        "",
        "Run of key-points, or file of its weights, that the model was made with, if any.",
        "Predictions",
    )


def main(call: Call) -> None:
    """Predicts and writes."""
    config = call.config
    for name in ("model", "films", "out"):
        if not getattr(config, name):
            raise InputError(f"--{name} is missing; --help says what it is")
    check_least(config, {"maps": 0})
    out = workflows.check_new(config.out)
    if workflows.is_age_model(config.model):
        aged = workflows.load_age_model(config.model)
        own = dict(maps=config.maps, key_points=config.key_points)
        ages = workflows.write_age_files(aged, config.films, out, **own)
        _tell(workflows.ages_in_words(aged, ages), out)
        return
    model = mb.load(config.model, key_points=config.key_points)
    read = workflows.write_prediction_files(model, config.films, out, maps=config.maps)
    _tell(workflows.predictions_in_words(model, read), out)


def _tell(lines: Sequence[str], out: Path) -> None:
    for line in lines:
        print(line)
    print(f"\ntable: {out / 'predictions.csv'}\npage: {out / 'predictions.html'}")


COMMAND = Command("predict", "What a model says of new films.", __doc__, PredictSettings, {}, main)
