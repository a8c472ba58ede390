"""A model of your own labelled films, and how well it reads films like them.

  metabone adapt --films=DIR --from=simulated --out=MODEL
  metabone adapt --films=films.csv --from=runs/benchmark/RUN --arm=protonet --out=MODEL

DIR holds one folder of PNG or JPEG files a class. A csv names file and label, and the patient where
known, so that films of one patient are never learned from and tested on at once. Three films a
class are the fewest; the more, the surer is what is said of the model.

Accuracy is by cross-validation, with its 95 % interval, beside chance and simpler readings; the
last line says whether the model is better than guessing. From the learner that metabone ships it
takes 10 to 30 seconds on two cores for up to 100 films.
"""

import dataclasses
from pathlib import Path

from metabone import workflows
from metabone.commands.command import Call, Command
from metabone.errors import InputError
from metabone.workflows.setting_values import did_you_mean
from metabone.workflows.settings import setting


@dataclasses.dataclass(frozen=True)
class AdaptSettings:
    """Which films, which learner, and where the model goes."""

    films: str = setting(
        "",
        "Folder or zip with one folder a class, or csv of file,label and, if known, patient.",
        "Films",
    )
    from_: str = setting(
        "simulated",
        "What is adapted: simulated, the small learner that metabone ships, or the folder of a run "
        "of smi, meta-dataset or benchmark.",
        "Model",
    )
    arm: str = setting(
        "", "Which learner of a run that has several; by default its first.", "Model"
    )
    out: str = setting("", "Folder of the model, which is made.", "Model")
    seed: int = setting(0, "Of how films are dealt into parts, and of adaptation.", "Model")


def main(call: Call) -> None:
    """Adapts, says how good the model is, and saves it."""
    from metabone.datasets import own_films

    config = call.config
    for name in ("films", "out"):
        if not getattr(config, name):
            raise InputError(f"--{name} is missing; --help says what it is")
    if config.from_ != "simulated" and not Path(config.from_).is_dir():
        close = did_you_mean(config.from_, ("simulated",))
        raise InputError(f"--from={config.from_}: no such folder{close}")
    out = workflows.check_new(config.out)
    films = own_films.read_labelled_films(config.films)
    for line in own_films.films_in_words(films):
        print(line)
    print(f"Learner: {config.from_}{config.arm and f', {config.arm}'}", flush=True)
    model = workflows.adapt(films, learner=config.from_, arm=config.arm, seed=config.seed)
    print()
    for head, text in model.summary().items():
        print(f"{head}: {text}")
    print(f"\nmodel: {model.save(out)}")


COMMAND = Command("adapt", "A model of your own labelled films.", __doc__, AdaptSettings, {}, main)
