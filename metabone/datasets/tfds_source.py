"""Data sets that the user has already prepared with tfds, as array_record."""

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds
from tensorflow_datasets.proto import tf_example_pb2

from metabone.datasets.labelled import LabelledImages, Listing
from metabone.errors import InputError

_NAME = re.compile(r"(\w+)(?:/([\w][\w.+-]*))?(?::(\d+\.\d+\.\d+))?", re.ASCII)
_VERSION = re.compile(r"\d+\.\d+\.\d+", re.ASCII)
_OWN = "tensorflow_datasets.core.features."
_BLOCK = 512
_ADVICE = "metabone prepares none itself, as that needs TensorFlow"


class TfdsImages(LabelledImages):
    """The labelled images of another tfds data set, all its splits; it states its own terms."""

    VERSION = tfds.core.Version("1.0.0")
    DESCRIPTION = "Images and labels of a tfds data set."
    CITATION = "as the tfds data set's own"
    LICENCE = "as the tfds data set's own"
    AMBIGUOUS = 0.01


@contextlib.contextmanager
def list_tfds(name: str) -> Iterator[tuple[type[LabelledImages], Listing]]:
    """Lists all splits of a prepared tfds data set; downloads and prepares nothing of it.

    The image and the label are the features that its supervised keys name, or `image` and `label`.
    They are copied like any source's, so that they are checked and hashed only once. The data set
    is looked for in `$TFDS_DATA_DIR` or `~/tensorflow_datasets`.

    Args:
      name: `NAME`, `NAME/CONFIG` or either with `:VERSION`; by default the highest version.

    Yields:
      The builder, and the images.

    Raises:
      InputError: It is not there, not as array_record, has no image and label, or is damaged.
    """
    place = _place(name)
    builder = _builder(place, name)
    info = builder.info
    image_key, label_key = _keys(info, place)
    label_text = _label_text(info.features[label_key], place)
    try:
        raw = tfds.decode.DeserializeMethod.RAW_BYTES
        records = builder.as_data_source(split=None, deserialize_method=raw)
        label_of: dict[str, str] = {}
        places: dict[str, tuple[str, int]] = {}
        for split, row, record in _all(records):
            file = f"{split}[{row:07d}]"
            label_of[file] = label_text(_value(record, label_key, f"{place}: {file}"))
            places[file] = (split, row)
    except InputError:
        raise
    except Exception as error:  # The reader's own errors are of any type.
        raise InputError(f"{place}: damaged records ({_reason(error)})") from None
    if len(set(label_of.values())) < 2:
        raise InputError(f"{place}: holds fewer than two classes, expected two or more")

    def where(file: str) -> str:
        return f"{place}: {file}"

    def read(file: str) -> bytes:
        split, row = places[file]
        try:
            [record] = records[split].__getitems__([row])
        except Exception as error:
            raise InputError(f"{where(file)}: damaged record ({_reason(error)})") from None
        image = _value(record, image_key, where(file))
        if not isinstance(image, bytes):
            raise InputError(f"{where(file)}: '{image_key}' is not stored as an image file")
        return image

    terms = info.redistribution_info.license if info.redistribution_info else ""
    stated = type(
        "TfdsImages",
        (TfdsImages,),
        {
            "CITATION": _line(info.citation) or TfdsImages.CITATION,
            "LICENCE": _line(terms) or TfdsImages.LICENCE,
        },
        skip_registration=True,
    )
    parts = {file: split for file, (split, _) in places.items()}
    yield stated, Listing(label_of, read, _fingerprint(place), where, parts=parts)


def _place(name: str) -> Path:
    """The folder of a data set's version."""
    match = _NAME.fullmatch(name)
    if not match:
        raise InputError(f"tfds:{name!a}: expected NAME, NAME/CONFIG, or either with :VERSION")
    root = Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()
    base = root / match[1] / (match[2] or "")
    try:
        inner = sorted(path.name for path in base.iterdir() if path.is_dir())
    except OSError:
        raise InputError(f"tfds:{name}: {base} is no folder; {_prepare(name)}") from None
    versions = [version for version in inner if _VERSION.fullmatch(version)]
    versions.sort(key=lambda version: [int(part) for part in version.split(".")])
    if match[3] in versions:
        return base / match[3]
    if not match[3] and versions:
        return base / versions[-1]
    held = ", ".join(ascii(folder) for folder in inner[:12]) or "nothing"
    wanted = f"version {match[3]}" if match[3] else "version"
    raise InputError(f"tfds:{name}: {base} holds no {wanted}, but {held}; {_prepare(name)}")


def _prepare(name: str) -> str:
    return (
        f"prepare it first: tfds.builder('{name}').download_and_prepare("
        f"file_format='array_record'), or set TFDS_DATA_DIR; {_ADVICE}"
    )


def _builder(place: Path, name: str) -> tfds.core.DatasetBuilder:
    try:
        described = json.loads((place / "features.json").read_text("utf-8"))
        for feature in _classes(described):
            # tfds imports the module of each; a data set is not to choose what is imported.
            if not feature.startswith(_OWN):
                shown = ascii(feature)[1:-1][:80]
                raise InputError(f"{place}: has a feature of {shown}, which is not tfds' own")
        builder = tfds.builder_from_directory(place)
        stored = builder.info.file_format.value
        supported = bool(builder.info.splits)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{place}: not a complete tfds data set ({_reason(error)})") from None
    if stored != "array_record":
        raise InputError(f"{place}: stored as {stored}, expected array_record; {_prepare(name)}")
    if not supported:
        raise InputError(f"{place}: holds no split")
    return builder


def _classes(described: Any) -> Iterator[str]:
    """All names of Python classes in a `features.json`."""
    if isinstance(described, dict):
        for key, value in described.items():
            if key == "pythonClassName":
                yield str(value)
            else:
                yield from _classes(value)
    elif isinstance(described, list):
        for value in described:
            yield from _classes(value)


def _keys(info: tfds.core.DatasetInfo, place: Path) -> tuple[str, str]:
    """Names of the features that hold the image and the label."""
    features = info.features
    keys = info.supervised_keys or ("image", "label")
    if len(keys) != 2 or not all(isinstance(key, str) and key in features for key in keys):
        held = ", ".join(sorted(features))
        raise InputError(f"{place}: has no features 'image' and 'label', but {held}")
    image, label = keys
    if not isinstance(features[image], tfds.features.Image):
        raise InputError(f"{place}: '{image}' is no Image feature")
    if features[image].np_dtype != "uint8":
        raise InputError(f"{place}: '{image}' is of {features[image].np_dtype}, expected uint8")
    if not isinstance(features[label], tfds.features.ClassLabel | tfds.features.Text):
        raise InputError(f"{place}: '{label}' is neither a ClassLabel nor a Text feature")
    return image, label


def _label_text(feature: Any, place: Path) -> Callable[[Any], str]:
    """How a stored label becomes the name of a class."""
    if isinstance(feature, tfds.features.ClassLabel):
        names = [feature.int2str(label) for label in range(feature.num_classes or 0)]
        width = len(str(len(names) - 1)) if names == [str(n) for n in range(len(names))] else 0
        names = [name.zfill(width) for name in names]

        def text(label: Any) -> str:
            if not isinstance(label, int) or not 0 <= label < len(names):
                raise InputError(f"{place}: a label beyond range 0..{len(names) - 1}: {label!a}")
            return names[label]
    else:

        def text(label: Any) -> str:
            shown = label.decode("utf-8", "replace") if isinstance(label, bytes) else ""
            if not shown or not shown.isprintable():
                raise InputError(f"{place}: a label that is no printable text: {label!a}"[:300])
            return shown

    return text


def _all(records: Any) -> Iterator[tuple[str, int, bytes]]:
    for split in sorted(records):
        for start in range(0, len(records[split]), _BLOCK):
            rows = list(range(start, min(start + _BLOCK, len(records[split]))))
            for row, record in zip(rows, records[split].__getitems__(rows), strict=True):
                yield split, row, record


def _value(record: bytes, key: str, where: str) -> Any:
    feature = tf_example_pb2.Example.FromString(record).features.feature[key]
    kind = feature.WhichOneof("kind")
    values = getattr(feature, kind).value if kind else ()
    if len(values) != 1:
        raise InputError(f"{where}: holds {len(values)} values of '{key}', expected one")
    return values[0]


def _fingerprint(place: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in place.iterdir() if path.is_file()):
        with open(path, "rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.name}\n{content}\n".encode())
    return digest.hexdigest()


def _line(text: str | None) -> str:
    return " ".join((text or "").split())


def _reason(error: Exception) -> str:
    reason = getattr(error, "strerror", None) or _line(str(error))[:200]
    return reason if reason.isprintable() and reason else type(error).__name__
