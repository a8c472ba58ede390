"""What a film's header may tell: a short list of facts, each from a closed list of answers.

A file's texts hold names, dates and numbers of patients, in fields made for them and in others. So
nothing is passed on as written: codes are compared with DICOM's own terms, numbers are parsed, and
the rest is dropped.
"""

import hashlib
import hmac
import math
import re
from collections.abc import Iterable

from metabone.imaging.elements import Dataset

PATIENT_ID = 0x00100020
_PATIENT_SEX = 0x00100040
_PATIENT_AGE = 0x00101010
_MODALITY = 0x00080060
_BODY_PART = 0x00180015
_VIEW = 0x00185101
_LATERALITY = 0x00200060
_IMAGE_LATERALITY = 0x00200062
_PIXEL_SPACING = 0x00280030
_IMAGER_SPACING = 0x00181164
_SCANNED_SPACING = 0x00182010
_BURNED_IN = 0x00280301
_RECOGNIZABLE = 0x00280302
_LOSSY = 0x00282110

TAGS = frozenset(
    (
        PATIENT_ID,
        _PATIENT_SEX,
        _PATIENT_AGE,
        _MODALITY,
        _BODY_PART,
        _VIEW,
        _LATERALITY,
        _IMAGE_LATERALITY,
        _PIXEL_SPACING,
        _IMAGER_SPACING,
        _SCANNED_SPACING,
        _BURNED_IN,
        _RECOGNIZABLE,
        _LOSSY,
    )
)
"""The elements that `facts` and `warnings` look at."""

MODALITIES = frozenset("CR CT DX ES IO IVUS MG MR NM OP OT PT PX RF RG SC US XA XC".split())
"""Those that a picture of one frame comes from (PS3.3 C.7.3.1.1.1)."""

VIEWS = frozenset(
    "AP PA LL RL RLD LLD RLO LLO LPO RPO LAO RAO DP PD CC MLO ML LM LMO LATERAL OBLIQUE".split()
)
"""Ways to stand before the beam (PS3.3 C.8.1.2, C.8.7.5 and what devices write)."""

BODY_PARTS = frozenset(
    "ABDOMEN ANKLE ARM BREAST CALCANEUS CHEST CLAVICLE COCCYX CSPINE ELBOW EXTREMITY FEMUR FINGER "
    "FOOT FOREARM HAND HEAD HIP HUMERUS JAW KNEE LEG LSPINE NECK PATELLA PELVIS RADIUS RADIUSULNA "
    "RIB SACRUM SCAPULA SHOULDER SKULL SPINE SSPINE STERNUM THIGH THUMB TIBIAFIBULA TOE TSPINE "
    "ULNA WHOLEBODY WRIST".split()
)
"""Terms of PS3.16 annex L that a radiograph may show."""

OLDEST_MONTHS = 90 * 12
"""Ages above 89 years name too few people; they become this (45 CFR 164.514(b)(2)(i)(C))."""

MIN_SALT = 16
"""Bytes of a salt that nobody tries out."""

_SPACINGS = (
    (_PIXEL_SPACING, "Pixel Spacing"),
    (_IMAGER_SPACING, "Imager Pixel Spacing, at the detector rather than the bone"),
    (_SCANNED_SPACING, "Nominal Scanned Pixel Spacing, of a digitised film"),
)
# Months in a day, a week, a month, a year.
_UNITS = {"D": 12 / 365.25, "W": 84 / 365.25, "M": 1.0, "Y": 12.0}


def facts(dataset: Dataset, salt: bytes | None) -> dict[str, object]:
    """Collects what is known of a film.

    Args:
      dataset: with the elements of `TAGS`.
      salt: makes `group`; without it there is none.

    Returns:
      Fields of `Film` by name.
    """
    laterality = _one_of(dataset, _IMAGE_LATERALITY, "LR") or _one_of(dataset, _LATERALITY, "LR")
    return {
        "spacing": spacing(dataset)[0],
        "laterality": laterality,
        "view": _one_of(dataset, _VIEW, VIEWS),
        "sex": _one_of(dataset, _PATIENT_SEX, "FM"),
        "age_months": _age(dataset),
        "modality": _one_of(dataset, _MODALITY, MODALITIES),
        "body_part": _one_of(dataset, _BODY_PART, BODY_PARTS),
        "group": _group(dataset, salt),
    }


def spacing(dataset: Dataset) -> tuple[tuple[float, float] | None, str]:
    """Finds millimetres between rows and columns.

    Args:
      dataset: with the elements of `TAGS`.

    Returns:
      Both, or None; and a sentence on where they come from, empty for the obvious place.
    """
    for tag, source in _SPACINGS:
        numbers = decimals(dataset, tag)
        if len(numbers) == 2 and all(0.01 <= number <= 10 for number in numbers):
            note = "" if tag == _PIXEL_SPACING else f"spacing by {source}"
            return (numbers[0], numbers[1]), note
    return None, ""


def warnings(dataset: Dataset, lossy: bool) -> list[str]:
    """Collects what a careful reader should know, apart from greys.

    Args:
      dataset: with the elements of `TAGS`.
      lossy: whether the file's own compression may lose something.

    Returns:
      Sentences.
    """
    notes = []
    if _one_of(dataset, _BURNED_IN, ("YES",)):
        notes.append("marks are burnt into the pixels, and may name the patient")
    if _one_of(dataset, _RECOGNIZABLE, ("YES",)):
        notes.append("the picture itself may show who the patient is")
    if _one_of(dataset, _LOSSY, ("01",)):
        notes.append("compressed with loss at some time")
    elif lossy:
        notes.append("its compression may have lost something")
    known, note = spacing(dataset)
    if note:
        notes.append(note)
    if known is not None and abs(known[0] / known[1] - 1) > 0.01:
        notes.append("pixels are not square; nothing here makes them so")
    if any(dataset.value(_PATIENT_AGE).strip(b" \0")) and _age(dataset) is None:
        notes.append("the patient's age is not written as DICOM asks for, and not read")
    return notes


def decimals(dataset: Dataset, tag: int) -> list[float]:
    """Parses a text of decimal numbers; empty if one of them is none or not finite."""
    try:
        numbers = [float(text) for text in dataset.texts(tag)]
    except ValueError:
        return []
    return numbers if all(math.isfinite(number) for number in numbers) else []


def _one_of(dataset: Dataset, tag: int, terms: Iterable[str]) -> str | None:
    words = dataset.texts(tag)
    word = words[0].upper() if words else ""
    return word if word and word in tuple(terms) else None


def _age(dataset: Dataset) -> int | None:
    texts = dataset.texts(_PATIENT_AGE)
    match = re.fullmatch(r"(\d{3})([DWMY])", texts[0]) if texts else None
    if match is None:
        return None
    return min(int(int(match[1]) * _UNITS[match[2]]), OLDEST_MONTHS)


def _group(dataset: Dataset, salt: bytes | None) -> str | None:
    identifier = dataset.value(PATIENT_ID).strip(b" \0")
    if salt is None or not identifier:
        return None
    return hmac.new(salt, identifier, hashlib.sha256).hexdigest()[:16]
