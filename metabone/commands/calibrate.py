"""A model of bone age corrected by the films of your own clinic.

  metabone calibrate --model=RUN --films=DIR --out=DIR

RUN is a run of `metabone bone-age`. DIR has films and a `labels.csv` of id, bone_age_months, sex,
and patient where one has several films (as `rsna:DIR`), or, for a model of regions, is what
`metabone prepare-hands` made (as `hands:DIR`). A line by sex, months = a + b x read, is fitted to
the films, shrunk towards no change as by 1 to 12 films; `model/` holds the corrected model, for
`metabone predict`, with intervals from films left out patient by patient.

With 25 films or more, of 6 patients or more, it says what other corrections would do with 5 to 200
of them, the others held out, many times over: none, a shift, a line by sex, the head or the whole
network trained on, and a meta-learned adaptation; `calibration.html` has the curve, and from how
many films each is worth it. Training the whole network takes minutes; --whole_draws=0 leaves it
out.
"""

import dataclasses

from metabone import workflows
from metabone.commands.command import Call, Command
from metabone.errors import InputError
from metabone.workflows.settings import check_least, setting


@dataclasses.dataclass(frozen=True)
class CalibrateSettings:
    """Which model, which films, and where the corrected model goes."""

    model: str = setting("", "Run of bone-age, or folder of its model.", "Calibration")
    films: str = setting("", "Folder of films with labels.csv, or rsna:DIR, hands:DIR.", "Films")
    out: str = setting("", "Folder of the corrected model and the page, made.", "Calibration")
    key_points: str = setting(
        "", "Run of key-points, or file of its weights, that the model was made with.", "Films"
    )
    draws: int = setting(200, "Draws of local films that are corrected by lines.", "Comparison")
    head_draws: int = setting(20, "Draws on which the head is trained; 0 for none.", "Comparison")
    whole_draws: int = setting(
        3, "Draws on which the whole network is trained; 0 for none.", "Comparison"
    )


def main(call: Call) -> None:
    """Calibrates, compares and writes."""
    config = call.config
    for name in ("model", "films", "out"):
        if not getattr(config, name):
            raise InputError(f"--{name} is missing; --help says what it is")
    check_least(config, {"draws": 1, "head_draws": 0, "whole_draws": 0})
    out = workflows.check_new(config.out)
    model = workflows.load_age_model(config.model)
    films = workflows.local_films(
        model, config.films, key_points=config.key_points, data_dir=call.data_dir
    )
    draws = workflows.Draws(config.draws, config.head_draws, config.whole_draws)
    found, curve = workflows.write_calibration(model, films, out, draws=draws)
    for line in workflows.calibration_in_words(found, curve):
        print(line)
    print(f"\nmodel: {out / 'model'}\npage: {out / 'calibration.html'}")


COMMAND = Command(
    "calibrate",
    "A model of bone age corrected by films of your own clinic.",
    __doc__,
    CalibrateSettings,
    {},
    main,
)
