"""Named tensors in a safetensors or HDF5 file that nobody vouches for; nothing is unpickled."""

import contextlib
import hashlib
import math
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from metabone.errors import InputError

MAX_FILE_BYTES = 2 * 2**30
"""VGG16 with its classifier takes 0.55 GB in float32, 1.1 GB in float64."""

ITEM_BYTES = {"float16": 2, "bfloat16": 2, "float32": 4, "float64": 8}
"""The dtypes that are read, by the bytes of one number."""

_MAX_HEADER_BYTES = 2**20  # of safetensors; VGG16's takes a few thousand
_MAX_NAMES = 1000
_MAX_DEPTH = 8  # of HDF5 groups, which may hold each other in a ring
_HDF5 = b"\x89HDF\r\n\x1a\n"
_PICKLED = (".pt", ".pth", ".bin", ".pkl", ".pickle")
_SAFETENSORS_DTYPES = {"F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64"}


class StoredTensor(NamedTuple):
    """A tensor that has not been read.

    Attributes:
      shape: as the file states it.
      dtype: its name in NumPy where it is in `ITEM_BYTES`, else whatever tells a reader of messages
        what it is.
      read: reads it, in the file's dtype; only while the file is open, and only after `shape` and
        `dtype` have been found to be what was expected.
    """

    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], np.ndarray]


class TensorFile(NamedTuple):
    """An open file.

    Attributes:
      kind: `safetensors` or `hdf5`.
      tensors: by name; in HDF5 the groups are part of it, `/` between them.
      size: bytes of the file.
      sha256: of the file.
    """

    kind: Literal["safetensors", "hdf5"]
    tensors: Mapping[str, StoredTensor]
    size: int
    sha256: str


@contextlib.contextmanager
def open_tensors(path: Path, below: str = "") -> Iterator[TensorFile]:
    """Opens a file of named tensors; what it is, its first bytes tell and not its name.

    Args:
      path: The file.
      below: In HDF5, the group at the root that holds the tensors, if it exists; else the root.

    Yields:
      Its tensors, none of which has been read.

    Raises:
      InputError: It is missing, too large, damaged or of another kind; or, in HDF5, it leads
        elsewhere by links.
    """
    kind, size, sha256 = _examine(path)
    with contextlib.ExitStack() as stack:
        if kind == "safetensors":
            tensors = _open_safetensors(path, stack)
        else:
            tensors = _open_hdf5(path, below, stack)
        yield TensorFile(kind, tensors, size, sha256)


def _examine(path: Path) -> tuple[Literal["safetensors", "hdf5"], int, str]:
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if not path.is_file():
        raise InputError(f"{path}: not a regular file; expected a .safetensors or .h5 file")
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > MAX_FILE_BYTES:
                raise InputError(f"{path}: above the limit of {MAX_FILE_BYTES >> 30} GiB")
            head = file.read(256)
            file.seek(0)
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({_reason(error)})") from None
    if head.startswith(_HDF5):
        return "hdf5", size, sha256
    # Eight bytes of length, then JSON; the length may well look like the start of a pickle.
    if head[8:9] == b"{":
        if int.from_bytes(head[:8], "little") > _MAX_HEADER_BYTES:
            raise InputError(
                f"{path}: not a safetensors file (a header above {_MAX_HEADER_BYTES >> 20} MiB)"
            )
        return "safetensors", size, sha256
    is_pickle = head[:1] == b"\x80" and head[1:2] in (b"\2", b"\3", b"\4", b"\5")
    if is_pickle or b"data.pkl" in head or path.suffix.lower() in _PICKLED:
        raise InputError(
            f"{path}: PyTorch's pickles (.pth, .pt, .bin) are never read, as they can run code; "
            "convert it to .safetensors where you trust it"
        )
    raise InputError(f"{path}: neither a safetensors nor an HDF5 file (truncated, or another kind)")


def _open_safetensors(path: Path, stack: contextlib.ExitStack) -> dict[str, StoredTensor]:
    from safetensors import SafetensorError, safe_open

    def tensor(name: str) -> StoredTensor:
        # Its bfloat16 arrives as ml_dtypes' NumPy dtype, which JAX has registered.
        part = file.get_slice(name)
        dtype = _SAFETENSORS_DTYPES.get(part.get_dtype(), part.get_dtype())
        return StoredTensor(tuple(part.get_shape()), dtype, lambda: file.get_tensor(name))

    try:
        file = stack.enter_context(safe_open(path, framework="numpy"))
        return {name: tensor(name) for name in file.keys()}
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path}: not a complete safetensors file ({_reason(error)}); truncated?"
        ) from None


def _open_hdf5(path: Path, below: str, stack: contextlib.ExitStack) -> dict[str, StoredTensor]:
    import h5py

    tensors: dict[str, StoredTensor] = {}
    seen = 0

    def walk(group: Any, prefix: str, depth: int) -> None:
        nonlocal seen
        for name in group:
            seen += 1
            where = prefix + name
            if seen > _MAX_NAMES or depth > _MAX_DEPTH:
                raise InputError(
                    f"{path}: more than {_MAX_NAMES} names or {_MAX_DEPTH} groups deep; "
                    "expected the weights of one network"
                )
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise InputError(f"{path}: {shown(where)} is a link; links are not followed")
            item = group[name]
            if isinstance(item, h5py.Group):
                walk(item, where + "/", depth + 1)
            elif isinstance(item, h5py.Dataset):
                shape = tuple(item.shape or ())
                dtype = item.dtype.newbyteorder("=").name
                tensors[where] = StoredTensor(shape, dtype, _hdf5_reader(path, where, item))

    try:
        # No lock: the file is only read, and may lie where locks are not to be had.
        root = stack.enter_context(h5py.File(path, "r", locking=False))
        inner = below and isinstance(root.get(below, getlink=True), h5py.HardLink)
        walk(root[below] if inner and isinstance(root[below], h5py.Group) else root, "", 1)
    except InputError:
        raise
    except (OSError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: not a complete HDF5 file ({_reason(error)}); truncated?"
        ) from None
    return tensors


def _hdf5_reader(path: Path, where: str, dataset: Any) -> Callable[[], np.ndarray]:
    def read() -> np.ndarray:
        import h5py

        # One plain block, as Keras writes it. Chunks can be compressed a thousandfold, virtual and
        # external data come from other files, and what was never written would be filled in.
        plan = dataset.id.get_create_plist()
        plain = plan.get_layout() in (h5py.h5d.CONTIGUOUS, h5py.h5d.COMPACT)
        stored = dataset.id.get_storage_size()
        size = math.prod(dataset.shape) * dataset.dtype.itemsize
        if not plain or plan.get_external_count() or stored != size:
            raise InputError(
                f"{path}: {shown(where)} is chunked, compressed, virtual, in another file or "
                "incomplete; expected one plain block of numbers"
            )
        try:
            return dataset[()]
        except (OSError, RuntimeError, ValueError) as error:
            raise InputError(f"{path}: {shown(where)} cannot be read ({_reason(error)})") from None

    return read


def shown(name: str) -> str:
    """A name from a file, fit for a message.

    Args:
      name: any string.

    Returns:
      It in quotes, printable, at most 60 characters of it.
    """
    return ascii(name if len(name) <= 60 else name[:57] + "...")


def _reason(error: Exception) -> str:
    return " ".join(str(getattr(error, "strerror", None) or error).split())[:200]
