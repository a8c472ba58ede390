"""Small tables that a person may have edited in a spreadsheet, and that nobody vouches for."""

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from metabone.errors import InputError

_MAX_BYTES = 64 * 2**20
_MAX_CELL = 2000


def read_bounded(place: Path, most: int = _MAX_BYTES) -> bytes:
    """Reads a file of a folder of unknown origin.

    Args:
      place: of the file.
      most: bytes that it may have.

    Returns:
      Its bytes.

    Raises:
      InputError: it is missing, unreadable, too large, or a link, which may lead anywhere.
    """
    if place.is_symlink():
        raise InputError(f"{place}: a link; expected a file of this folder")
    try:
        if not place.is_file():
            raise InputError(f"{place}: no such file")
        with open(place, "rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise InputError(f"{place}: cannot be read ({error.strerror or error})") from None
    if len(data) > most:
        raise InputError(f"{place}: above the limit of {most >> 20 or most / 2**20:g} MiB")
    return data


def table_rows(
    place: Path,
    columns: Sequence[str],
    optional: Sequence[str] = (),
    means: Mapping[str, str] | None = None,
) -> Iterator[tuple[str, dict[str, str]]]:
    """Reads a table in UTF-8, parted by commas, semicolons or tabs; empty rows are passed over.

    Args:
      place: of the table.
      columns: that its first line names. Capitals make no difference, and `Bone Age (months)` is
        `bone_age_months`.
      optional: that it may name; others are not read.
      means: from other names of columns to those.

    Yields:
      Where a row stands, for a message, and its cells by column, those of `optional` that are
      there.

    Raises:
      InputError: it is unreadable, lacks a column, or a row has another number of cells.
    """
    try:
        text = read_bounded(place).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{place}: not a text file in UTF-8") from None
    header = text.split("\n", 1)[0]
    parting = max(",;\t", key=header.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=parting, strict=True)
    means = means or {}
    try:
        plain = [plain_name(name) for name in reader.fieldnames or []]
        given = [means.get(name, name) for name in plain]
        reader.fieldnames = given
        wrong = [column for column in columns if given.count(column) != 1]
        wrong += [column for column in optional if given.count(column) > 1]
        if wrong:
            raise InputError(f"{place}: its first line must name {wrong[0]} once")
        wanted = [*columns, *(column for column in optional if column in given)]
        for cells in reader:
            where = f"{place}, line {reader.line_num}"
            if None in cells or None in cells.values():
                raise InputError(f"{where}: has another number of cells than the first line")
            found = {column: cells[column].strip() for column in wanted}
            if not any(map(str.strip, cells.values())):
                continue
            if any(len(cell) > _MAX_CELL or not cell.isprintable() for cell in found.values()):
                raise InputError(f"{where}: a cell that is too long or cannot be printed")
            yield where, found
    except csv.Error as error:
        raise InputError(f"{place}, line {reader.line_num}: {error}") from None


def plain_name(column: str) -> str:
    """The name of a column in small letters, whatever stands between its words.

    >>> plain_name(" Bone Age (months)")
    'bone_age_months'
    """
    return re.sub(r"[\W_]+", "_", column.lower()).strip("_")


def number_of(cell: str, where: str, low: float, high: float) -> float:
    """The number in a cell.

    Args:
      cell: with a decimal point, or with a comma as in spreadsheets of many countries.
      where: names its row in messages.
      low: the least.
      high: the largest.

    Raises:
      InputError: it is none, or not within the bounds.

    >>> number_of("12,5", "line 2", 0, 100)
    12.5
    """
    try:
        # Python reads 1_5 as 15; a table never means that.
        number = float(cell.replace(",", ".").replace("_", "?"))
    except ValueError:
        raise InputError(f"{where}: {cell!a} is no number") from None
    if not (math.isfinite(number) and low <= number <= high):
        raise InputError(f"{where}: {cell} is not in {low:g}..{high:g}")
    return number


def table_text(columns: Sequence[str], lines: Iterable[Iterable[str]]) -> str:
    """A table as `table_rows` reads it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(lines)
    return text.getvalue()
