"""The files of a folder or of a zip, read alike, one at a time and never unpacked to disk."""

import contextlib
import hashlib
import lzma
import os
import stat
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO

from metabone.errors import InputError

MAX_FILE_BYTES = 256 * 2**20
"""Of a file that is read whole; above any image file that `imaging.film.MAX_PIXELS` lets pass."""

MAX_RATIO = 200
"""Unpacked to packed size of a whole zip; images hardly compress, bombs reach thousands."""

_RATIO_FREE_BYTES = 64 * 2**20
_LITTER = {
    "thumbs.db",
    "ehthumbs.db",
    "ehthumbs_vista.db",
    "desktop.ini",
    "icon\r",
    "__macosx",
    "lost+found",
    "$recycle.bin",
    "system volume information",
    "@eadir",
    "#recycle",
}
"""In small letters; names that begin with a dot are litter as well."""


class Members:
    """The files below one folder or in one zip, by relative name; see `open_members`.

    Attributes:
      path: The folder or zip.
      names: Relative names with `/`, sorted; what operating systems leave behind is not among them.
      folders: Relative names of the folders, sorted; also of those that hold nothing.
      passed_over: What operating systems leave behind, sorted.
      closing: What is closed when the folder or zip is.
    """

    def __init__(
        self,
        path: Path,
        names: Iterable[str],
        folders: Iterable[str],
        archive: zipfile.ZipFile | None,
        stored_as: Mapping[str, str] | None = None,
    ):
        self.path = path
        self.closing = contextlib.ExitStack()
        self._stored_as = stored_as or {}
        listed_names = sorted(names)
        self.names = tuple(name for name in listed_names if not litter_in(name))
        self.passed_over = tuple(name for name in listed_names if litter_in(name))
        listed = {folder for folder in folders if not litter_in(folder)}
        for name in (*self.names, *listed):
            listed.update(str(parent) for parent in PurePosixPath(name).parents)
        self.folders = tuple(sorted(listed - {"."}))
        self._archive = archive

    def where(self, name: str) -> str:
        """Names a file for a message: `folder/name` or `file.zip:name`."""
        return f"{self.path}:{name}" if self._archive else os.path.join(self.path, name)

    def read(self, name: str) -> bytes:
        """Reads one file.

        Raises:
          InputError: It cannot be read, is damaged or encrypted, or is too large.
        """
        if self._archive and self.size(name) > MAX_FILE_BYTES:
            raise InputError(self._too_large(name))
        with self.open(name) as file:
            data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise InputError(self._too_large(name))
        return data

    def size(self, name: str) -> int:
        """Bytes of a file, as its folder or the zip's directory states them."""
        if self._archive:
            return self._archive.getinfo(self._stored_as[name]).file_size
        return (self.path / name).stat().st_size

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """Opens one file to be read in pieces; of a zip's no more is unpacked than is asked for.

        Raises:
          InputError: It cannot be read, is damaged or encrypted; also while it is read.
        """
        try:
            if self._archive:
                stream = self._archive.open(self._stored_as[name])
            else:
                stream = open(self.path / name, "rb")
            with stream:
                yield stream
        except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError):
            raise InputError(f"{self.where(name)}: damaged in the zip file") from None
        except InputError:
            raise
        except (OSError, RuntimeError, NotImplementedError, ValueError) as error:
            reason = getattr(error, "strerror", None) or " ".join(str(error).split())
            raise InputError(f"{self.where(name)}: cannot be read ({reason})") from None

    def _too_large(self, name: str) -> str:
        return f"{self.where(name)}: above the limit of {MAX_FILE_BYTES >> 20} MiB"

    def fingerprint(self) -> str:
        """Hashes names and contents: of the zip file as it is, or of every file of a folder."""
        digest = hashlib.sha256()
        if self._archive:
            with open(self.path, "rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        for name in self.names:
            digest.update(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest())
            digest.update(hashlib.sha256(self.read(name)).digest())
        return digest.hexdigest()


@contextlib.contextmanager
def open_members(path: Path) -> Iterator[Members]:
    """Opens a folder or a zip file for reading.

    Args:
      path: A folder, or a file in zip format.

    Yields:
      Its files.

    Raises:
      InputError: It is missing, or no complete zip file; or the zip holds a name that leads out of
        it, a name twice, an encrypted file, or more bytes than its size can honestly hold.
    """
    if path.is_dir():
        members = Members(path, *_walk(path), None)
        with members.closing:
            yield members
        return
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError):
        raise InputError(f"{path}: not a complete zip file (truncated, or no zip)") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    with archive:
        infos = archive.infolist()
        for info in infos:
            _check_member(info, path)
        _check_total(infos, path)
        names, folders, stored_as = [], [], {}
        for info in infos:
            name = _name(info)
            if name in stored_as:
                raise InputError(f"{path}: holds '{name}' twice")
            if name.endswith("/"):
                folders.append(name.rstrip("/"))
            else:
                names.append(name)
                stored_as[name] = info.filename
        members = Members(path, names, folders, archive, stored_as)
        with members.closing:
            yield members


def _walk(path: Path) -> tuple[list[str], list[str]]:
    # A folder that cannot be listed must not pass for an empty one.
    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename}: cannot be read ({error.strerror})")

    names, folders = [], []
    for parent, inner, files in os.walk(path, onerror=refuse, followlinks=True):
        base = Path(parent).relative_to(path)
        for folder in tuple(inner):
            name = (base / folder).as_posix()
            linked = (path / name).is_symlink()
            if litter_in(name):
                inner[:] = [each for each in inner if each != folder or not linked]
            else:
                _check_printable(name, path)
                if linked:
                    _check_link(path, path / name)
            folders.append(name)
        for file in files:
            name = (base / file).as_posix()
            if not litter_in(name):
                _check_printable(name, path)
                if not (path / name).is_file():
                    raise InputError(f"{path / name}: not a regular file")
                if (path / name).is_symlink():
                    _check_inside(path, path / name)
            names.append(name)
    return names, folders


def _check_inside(root: Path, link: Path) -> Path:
    target = link.resolve()
    if not target.is_relative_to(root.resolve()):
        raise InputError(f"{link}: a link that leads out of {root}; links are followed inside it")
    return target


def _check_link(root: Path, link: Path) -> None:
    """Refuses a link to a folder that leads out of the root, or round in a circle."""
    target = _check_inside(root, link)
    around = root
    for part in ("", *link.parent.relative_to(root).parts):
        around = around / part
        if around.resolve().is_relative_to(target):
            raise InputError(f"{link}: a link to a folder that holds it")


def litter_in(name: str) -> str:
    """The part of a relative name that makes it one that operating systems leave behind, or "".

    Example:
      >>> litter_in("ulna/@eaDir/0.png/SYNOPHOTO_THUMB_M.jpg")
      '@eaDir'
    """
    parts = PurePosixPath(name).parts
    return next((part for part in parts if part[0] == "." or part.lower() in _LITTER), "")


def _check_printable(name: str, path: Path) -> None:
    if not name.isprintable():
        raise InputError(f"{path}: holds {name!a}, a name with characters that cannot be printed")


def _name(info: zipfile.ZipInfo) -> str:
    # Some programs on Windows part folders by backslashes.
    return info.filename.replace("\\", "/")


def _check_member(info: zipfile.ZipInfo, path: Path) -> None:
    name = _name(info)
    parts = name.split("/")
    # `orig_filename` still shows a NUL, which `filename` is cut at.
    if ".." in parts or parts[0] == "" or "\0" in info.orig_filename or ":" in parts[0]:
        raise InputError(f"{path}: holds {info.orig_filename!a}, a name that leads out of the zip")
    if not litter_in(name):
        _check_printable(name, path)
    if stat.S_ISLNK(info.external_attr >> 16):
        raise InputError(f"{path}: holds '{name}', a link and no file")
    if info.flag_bits & 0x1:
        raise InputError(f"{path}: '{name}' is encrypted; unlock it first")


def _check_total(infos: list[zipfile.ZipInfo], path: Path) -> None:
    total = sum(info.file_size for info in infos)
    packed = path.stat().st_size
    if total > _RATIO_FREE_BYTES and total > MAX_RATIO * packed:
        raise InputError(
            f"{path}: unpacks from {packed} to {total} bytes, over {MAX_RATIO} times its size "
            "(a zip bomb?)"
        )
