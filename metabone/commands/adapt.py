"""A model of your own labelled films, and how well it reads films like them.

  metabone adapt --films=DIR --from=simulated --out=MODEL
  metabone adapt --films=films.csv --from=runs/benchmark/RUN --arm=protonet --out=MODEL
  metabone adapt --films=DIR --backbone=dinov2_s14 --backbone_weights=FILE --out=MODEL
  metabone adapt --films=hands.csv --regions=min_kang_6 --from=hog --ordered --out=MODEL

DIR holds one folder of DICOM, PNG, JPEG or TIFF files a class. A csv names file and label, and the
patient where known, so that films of one patient are never learned from and tested on at once; of
DICOM films without such a column the files tell. Three films a class are the fewest; the more, the
surer is what is said of the model.

With --regions films of hands are read as a person does: each is turned, its key points are found,
the regions are cut out, and each is learned by itself. A film that is no hand, or cut off at a
region, is named and left out. That takes 0.2 seconds a film, after half a minute.

Accuracy is by cross-validation, with its 95 % interval, beside chance and simpler readings; the
last line says whether the model is better than guessing. From the learner that metabone ships it
takes 10 to 30 seconds on two cores for up to 100 films.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from metabone import workflows
from metabone.commands.command import Call, Command
from metabone.errors import InputError
from metabone.workflows.setting_values import did_you_mean
from metabone.workflows.settings import check_choice, setting

_SHIPPED = ("simulated", "hog")


@dataclasses.dataclass(frozen=True)
class AdaptSettings:
    """Which films, which learner, and where the model goes."""

    films: str = setting(
        "",
        "Folder or zip with one folder a class, or csv of file,label and, if known, patient, sex.",
        "Films",
    )
    from_: str = setting(
        "simulated",
        "What is adapted: simulated, the small learner that metabone ships; hog, histograms of "
        "gradients and a head that nothing was trained for; or the folder of a run of smi, "
        "meta-dataset or benchmark.",
        "Model",
    )
    backbone: str = setting(
        "",
        "Instead of --from: a published network, such as efficientnet_lite0, resnet50 or "
        "dinov2_s14, whose features a probe is fitted to.",
        "Model",
    )
    backbone_weights: str = setting(
        "", "File of its published weights, safetensors or Keras .h5.", "Model"
    )
    backbone_crops: int = setting(
        1,
        "Crops of a film that its features are the mean of: 1 (the whole film), 5 (corners and "
        "middle) or 10 (mirrored too).",
        "Model",
    )
    arm: str = setting(
        "", "Which learner of a run that has several; by default its first.", "Model"
    )
    regions: str = setting(
        "",
        "Which regions of hands are read, each by itself: min_kang_6, hand_11, fishman_6, "
        "rus_13, wrist or carpals; empty for films as a whole.",
        "Hands",
    )
    key_points: str = setting(
        "",
        "Run of key-points, or file of its weights, that regions are found by; empty for the "
        "weights that metabone ships.",
        "Hands",
    )
    sex: str = setting(
        "no",
        "use, if the csv's column sex (F or M) or the DICOM files tell it: --from=hog --ordered "
        "then reads it beside the film.",
        "Hands",
    )
    ordered: bool = setting(
        False,
        "Classes are stages in order: hog learns one score with cut points, and errors are told in "
        "stages.",
        "Model",
    )
    classes: tuple[str, ...] = setting(
        (), "All classes in order; by default the order of their names.", "Model"
    )
    out: str = setting("", "Folder of the model, which is made.", "Model")
    seed: int = setting(0, "Of how films are dealt into parts, and of adaptation.", "Model")


def main(call: Call) -> None:
    """Adapts, says how good the model is, and saves it."""
    from metabone.datasets import own_films
    from metabone.workflows.hand_regions import check_regions

    config = call.config
    for name in ("films", "out"):
        if not getattr(config, name):
            raise InputError(f"--{name} is missing; --help says what it is")
    learner = _learner_of(config, call.given)
    named = learner == config.from_ and learner not in _SHIPPED
    if named and not Path(config.from_).is_dir():
        close = did_you_mean(config.from_, _SHIPPED)
        raise InputError(f"--from={config.from_}: no such folder{close}")
    check_choice(config, "sex", ("no", "use"))
    if config.regions:
        check_regions(config.regions)
    out = workflows.check_new(config.out)
    films = own_films.read_labelled_films(config.films)
    for line in own_films.films_in_words(films):
        print(line)
    about = learner if isinstance(learner, str) else learner.about["learner"]
    print(f"Learner: {about}{config.arm and f', {config.arm}'}", flush=True)
    model = workflows.adapt(
        films,
        learner=learner,
        arm=config.arm,
        seed=config.seed,
        regions=config.regions,
        key_points=config.key_points,
        ordered=config.ordered,
        classes=config.classes,
        sex=config.sex == "use",
    )
    for file, reason in model.about["refused"].items():
        print(f"Refused: {file}: {reason}")
    print()
    for head, text in model.summary().items():
        print(f"{head}: {text}")
    print(f"\nmodel: {model.save(out)}")


def _learner_of(config: AdaptSettings, given: Sequence[str]) -> Any:
    if not config.backbone and not config.backbone_weights:
        if config.backbone_crops != 1:
            raise InputError(
                f"--backbone_crops={config.backbone_crops}: is for --backbone, which is not given"
            )
        return config.from_
    # Networks are imported where one of them is named: no `--help` waits for them.
    from metabone.nets.published_backbones import BACKBONES
    from metabone.workflows.backbone_learner import backbone_learner

    if "from_" in given or config.arm:
        raise InputError("--backbone: leave out --from and --arm, which name another learner")
    check_choice(config, "backbone", BACKBONES)
    if not Path(config.backbone_weights).is_file():
        raise InputError(f"--backbone_weights={config.backbone_weights}: no such file")
    name = f"{config.backbone}:{config.backbone_weights}"
    return backbone_learner(name, ordered=config.ordered, crops=config.backbone_crops)


COMMAND = Command("adapt", "A model of your own labelled films.", __doc__, AdaptSettings, {}, main)
