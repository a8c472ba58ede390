"""Sources prepared once into ArrayRecords, by tfds builders that need no TensorFlow."""

import contextlib
import fcntl
import io
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds
from tensorflow_datasets.core.utils import tqdm_utils
from tensorflow_datasets.proto import tf_example_pb2

from metabone.datasets.data_dir import resolve_data_dir
from metabone.errors import InputError

SPLIT = "train"
"""tfds' name for the only split: what is held out is decided by hash, later and on the record."""

_UNFINISHED = "unfinished-"


class _Info(tfds.core.DatasetInfo):
    def initialize_from_bucket(self) -> None:
        """Asks no bucket for a description of the user's own files."""


class RecordBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A tfds builder over records that were read and checked before.

    A source derives from it and states `VERSION`, `FEATURES`, `DESCRIPTION`, `CITATION`,
    `LICENCE` and `HOMEPAGE`. Records keep their order, so that an index always means the same one.

    Attributes:
      records: Yields one mapping a record, as `FEATURES` names its values; an image is given as the
        bytes of its file.
    """

    VERSION = tfds.core.Version("1.0.0")
    DESCRIPTION = ""
    CITATION = ""
    LICENCE = ""
    HOMEPAGE = ""

    # tfds looks beside the code for lists of downloads; these builders download nothing.
    code_path = None

    def __init__(self, *, records: Callable[[], Iterable[Mapping[str, Any]]], data_dir: Path):
        self.records = records
        super().__init__(data_dir=data_dir)

    def features(self) -> tfds.features.FeaturesDict:
        """What a record holds."""
        raise NotImplementedError

    def _info(self) -> tfds.core.DatasetInfo:
        return _Info(
            builder=self,
            description=self.DESCRIPTION,
            features=self.features(),
            homepage=self.HOMEPAGE,
            citation=self.CITATION,
            license=self.LICENCE,
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        del dl_manager
        return {SPLIT: self._generate_examples()}

    def _generate_examples(self):
        yield from enumerate(self.records())


class Records(Sequence[dict[str, Any]]):
    """Prepared records by position: images as the bytes of their files, text as bytes, numbers.

    tfds' own parser takes ten times as long on small images, more than decoding them does.
    """

    def __init__(self, source: Sequence[bytes]):
        self._source = source

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, row: int) -> dict[str, Any]:
        if not 0 <= row < len(self):
            raise IndexError(row)
        return self.some([row])[0]

    def some(self, rows: Sequence[int]) -> list[dict[str, Any]]:
        """Reads many records at once, several times as fast as one by one."""
        return [_parse(record) for record in self._source.__getitems__([int(row) for row in rows])]


def _parse(record: bytes) -> dict[str, Any]:
    features = tf_example_pb2.Example.FromString(record).features.feature
    return {
        name: getattr(feature, feature.WhichOneof("kind")).value[0]
        for name, feature in features.items()
    }


def prepare(
    make_builder: Callable[[Path], RecordBuilder],
    *,
    name: str,
    fingerprint: str,
    data_dir: str | os.PathLike | None,
    check: Callable[[], None],
) -> Records:
    """Writes a source's records unless they are there already, and opens them.

    Nothing is written before `check` has passed. Records are written to a folder beside their
    place and moved there in one step; what a killed process left is removed by the next one.

    Args:
      make_builder: Called with the folder to write to.
      name: Name of the source's folder under `data_dir`.
      fingerprint: Hex digest of the source's content; other content is prepared anew.
      data_dir: See `resolve_data_dir`.
      check: Reads every record and raises `InputError` for the first that is bad.

    Returns:
      The records in order, images as the bytes of their files.

    Raises:
      InputError: From `check`; or `data_dir` cannot be written, or what lies there is damaged.
    """
    root = resolve_data_dir(data_dir)
    place = root / name / fingerprint[:20]
    if not place.is_dir():
        check()
        try:
            root.mkdir(parents=True, exist_ok=True)
            with _only_writer(root):
                if not place.is_dir():
                    _write(make_builder, place, root)
        except (OSError, RuntimeError) as error:  # The record writer's own are RuntimeError.
            reason = getattr(error, "strerror", None) or " ".join(str(error).split())
            raise InputError(
                f"data_dir {root}: cannot be written ({reason}); "
                "set METABONE_DATA_DIR or data_dir to a folder that can"
            ) from None
    return _open(place)


def _write(make_builder: Callable[[Path], RecordBuilder], place: Path, root: Path) -> None:
    # The lock is ours, so a folder of this name belongs to no living process.
    for left_over in root.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(left_over)
    unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=root))
    try:
        builder = make_builder(unfinished)
        with _quiet():
            builder.download_and_prepare(file_format="array_record")
        place.parent.mkdir(exist_ok=True)
        os.rename(builder.data_dir, place)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _open(place: Path) -> Records:
    try:
        raw = tfds.decode.DeserializeMethod.RAW_BYTES
        builder = tfds.builder_from_directory(place)
        records = Records(builder.as_data_source(split=SPLIT, deserialize_method=raw))
        records[len(records) - 1]  # A record file cut short has lost its index, which stands last.
        return records
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{place}: the prepared records are damaged ({reason}); delete that folder"
        ) from None


@contextlib.contextmanager
def _only_writer(root: Path) -> Iterator[None]:
    # The system gives the lock back when its holder dies, however it dies.
    with open(root / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    shown = tqdm_utils._active
    tqdm_utils.display_progress_bar(False)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        tqdm_utils.display_progress_bar(shown)
