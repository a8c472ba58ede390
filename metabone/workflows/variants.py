"""Which models are compared: what they see, what head reads it, whether sex is known. Light."""

from collections.abc import Sequence
from typing import NamedTuple

from metabone.errors import InputError

MODELS = ("scratch", "pretrained", "hog", "hog + pretrained")
HEADS = ("softmax", "ordinal")
SEX = ("without", "with")


class Variant(NamedTuple):
    """One model of a table.

    Attributes:
      model: of `MODELS`.
      ordinal: whether its head is ordinal (proportional odds), not softmax.
      sex: whether the head is told the sex beside the image.
    """

    model: str
    ordinal: bool = False
    sex: bool = False

    @property
    def name(self) -> str:
        """What its rows are called.

        >>> Variant("hog", ordinal=True, sex=True).name
        'hog, ordinal head, sex'
        """
        parts = [self.model, *["ordinal head"] * self.ordinal, *["sex"] * self.sex]
        return ", ".join(parts)

    @property
    def slug(self) -> str:
        """What its checkpoints are called."""
        parts = [self.model.replace(" + ", "_and_"), *["ordinal"] * self.ordinal]
        return "_".join([*parts, *["sex"] * self.sex])


PAPER_MODELS = MODELS[:2]
PAPER = tuple(map(Variant, PAPER_MODELS))
"""The models of Min and Kang (2018)."""


def check_variants(models: Sequence[str], heads: Sequence[str], sex: Sequence[str]) -> None:
    """Raises `InputError` for models, heads or sex that are none, or that stand twice."""
    for flag, given, known in (
        ("models", models, MODELS),
        ("heads", heads, HEADS),
        ("sex", sex, SEX),
    ):
        if not given or not set(given) <= set(known) or len(set(given)) < len(given):
            raise InputError(
                f"--{flag}={','.join(given)}: expected some of {', '.join(known)}, each once"
            )


def variants_of(
    models: Sequence[str], heads: Sequence[str], sex: Sequence[str]
) -> tuple[Variant, ...]:
    """All models with all heads, without and with sex.

    Args:
      models: some of `MODELS`.
      heads: some of `HEADS`.
      sex: some of `SEX`.

    Returns:
      The variants; those of one model stand together.
    """
    return tuple(
        Variant(model, head == "ordinal", known == "with")
        for model in models
        for head in heads
        for known in sex
    )
