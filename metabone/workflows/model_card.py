"""The card that goes with an exported model: what it is, on what, how good, and what it is not."""

from collections.abc import Mapping
from typing import Any

from metabone.workflows.film_evaluation import verdict_first
from metabone.workflows.model import Model

CAUTION = (
    "This is no medical device. It is made for research and teaching, was not tested on patients, "
    "and must not be used to diagnose or to treat anyone."
)

_PATIENTS = "Patients were named and kept together."
_NO_PATIENTS = (
    "Patients were not named: films of one patient may have been learned from and tested on at "
    "once, which makes figures too good."
)


def model_card(model: Model, program: str, weights: str) -> str:
    """Writes the card in Markdown.

    Args:
      model: the model.
      program: name of the exported program's file.
      weights: name of the weights' file.

    Returns:
      The card.
    """
    told = verdict_first(model.summary())
    lines = [f"| {_cell(head)} | {_cell(text)} |" for head, text in told.items()]
    counts = [f"| {_cell(str(name))} | {count} |" for name, count in model.counts.items()]
    stated = [
        f"- {name.capitalize()}: {_line(str(model.about[name]))}"
        for name in ("citation", "licence")
        if name in model.about
    ]
    notes = [f"- {_line(note)}" for note in model.about["notes"]]
    origin = [
        f"- {_line(str(name)).replace('_', ' ')}: {_line(_told(value))}"
        for name, value in model.about["learner"].items()
    ]
    patients = _PATIENTS if model.about["patients_known"] else _NO_PATIENTS
    return "\n".join(
        [
            "# Model card",
            "",
            f"**{CAUTION}**",
            "",
            f"Reads one film, `{list(model.image_shape)}` uint8, as one of {len(model.classes)} "
            "classes.",
            "",
            "## How good it is",
            "",
            "| | |",
            "| --- | --- |",
            *lines,
            "",
            "## Data",
            "",
            "| Class | Films |",
            "| --- | --- |",
            *counts,
            "",
            patients,
            "",
            *stated,
            *notes,
            "",
            "## Learner",
            "",
            *origin,
            f"- adapted with seed {model.about['seed']}",
            "",
            "## Intended use",
            "",
            "To study how films like those of the table above are told apart, by people who know "
            "how they were taken. Films from elsewhere, of other ages, views or devices, are "
            "outside of it: the figures above say nothing about them. This program does not mark "
            "such films; `metabone predict` does.",
            "",
            "## Use",
            "",
            *_use(model, program),
            f"`{weights}` holds the weights, which are in the program as well.",
            "",
        ]
    )


def _use(model: Model, program: str) -> list[str]:
    size, _, channels = model.view.shape
    shape = ", ".join(map(str, (1, *model.image_shape)))
    classes = ", ".join(_code(str(name)) for name in model.classes)
    load = f'model = jax.export.deserialize(bytearray(np.fromfile("{program}", np.uint8)))'
    answer = f'["probabilities"])  # of {classes}'
    if model.hands is None and not model.view.sex:
        mode = "L" if channels == 1 else "RGB"
        needed = "With `pip install jax flatbuffers pillow`:"
        lines = [
            "import jax, numpy as np, PIL.Image as pil, PIL.ImageOps as ops",
            load,
            f'film = pil.open("film.png").convert("{mode}")',
            "film = ops.pad(film, [max(film.size)] * 2)"
            f".resize(({size}, {size}), pil.Resampling.LANCZOS)",
            f"print(model.call(np.asarray(film).reshape({shape})){answer}",
        ]
        how = (
            "Films are padded with black to a square and resized by Lanczos, as labelled ones "
            "were; what is not 8 bits is scaled first."
        )
    else:
        needed = "With `pip install jax flatbuffers`, and the films as metabone has cut them:"
        lines = [
            "import jax, numpy as np",
            load,
            f'film = np.load("film.npy")  # uint8 [{shape}]',
            f"print(model.call(film){answer}",
        ]
        cuts = [
            "`metabone.workflows.film_arrays.FilmView` makes what the program takes out of a film"
        ]
        if model.hands is not None:
            names = ", ".join(_line(region.name) for region in model.hands.regions)
            cuts.append(f"regions in this order: {names}")
        if model.view.sex:
            cuts.append("the last row of pixels tells sex: 0 female, 255 male, 128 not known")
        how = "; ".join(cuts) + "."
    return [
        needed,
        "",
        "```python",
        *lines,
        "```",
        "",
        f"Images of any number are taken at once; `logits` and `features` are given too. {how}",
    ]


def _told(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{name} {_percent(each)}" for name, each in value.items())
    return str(value)


def _percent(value: Any) -> str:
    return f"{100 * value:.1f} %" if isinstance(value, float) else str(value)


def _code(text: str) -> str:
    """Text that cannot break out of its line, nor end the block of code that it is in."""
    clean = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return clean.replace("`", "'")


def _line(text: str) -> str:
    """Text that cannot break out of its line, nor be taken for markup."""
    return _code(text).replace("<", "&lt;")


def _cell(text: str) -> str:
    return _line(text).replace("|", "\\|")
