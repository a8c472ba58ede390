"""The rows a run found, in a file that is whole at every moment."""

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metabone.errors import InputError
from metabone.training.json_files import plain, read_json, write_json_atomically


class ResultFile:
    """`result.json`: rows are added as they are found, and found again after a restart.

    Args:
      path: the file; read if it exists.
      experiment: name of the experiment, written in it.

    Raises:
      InputError: if the file is there but is not such a file.
    """

    def __init__(self, path: str | os.PathLike, experiment: str):
        self.path = Path(path)
        self._content: dict[str, Any] = {
            "experiment": experiment,
            "complete": False,
            "seconds": 0.0,
            "data": [],
            "rows": [],
        }
        if self.path.exists():
            found = read_json(self.path)
            if not isinstance(found, dict) or not self._content.keys() <= found.keys():
                raise InputError(f"{self.path} is not a result file (expected its {_KEYS})")
            self._content = found
        self._seconds_before = self._content["seconds"]
        self._began = time.monotonic()

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows so far, copies."""
        return [dict(row) for row in self._content["rows"]]

    @property
    def complete(self) -> bool:
        """Whether the last row is written."""
        return self._content["complete"]

    @property
    def seconds(self) -> float:
        """Time spent on the run, over all restarts; it stands still once complete."""
        if self.complete:
            return self._content["seconds"]
        return self._seconds_before + time.monotonic() - self._began

    def find(self, **fields: Any) -> dict[str, Any] | None:
        """Finds a row that is already there, so that its work is not done again.

        Args:
          **fields: what the row says of itself, e.g. `learning="meta", shots=5`.

        Returns:
          A copy of the first row with all these values, or None.
        """
        wanted = plain(fields)
        return next((dict(row) for row in self._content["rows"] if _has(row, wanted)), None)

    def get(self, name: str, default: Any = None) -> Any:
        """A field that `set` wrote, or the default."""
        return self._content.get(name, default)

    def append(self, *rows: Mapping[str, Any]) -> None:
        """Adds rows, all of them or none; a figure that is not finite becomes null.

        Args:
          *rows: mappings with a JSON form.
        """
        self._write(rows=[*self._content["rows"], *map(plain, rows)])

    def replace(self, rows: Sequence[Mapping[str, Any]], **fields: Any) -> None:
        """Puts rows where the rows with all these values were, or last if there were none.

        Args:
          rows: mappings with a JSON form.
          **fields: as for `find`.
        """
        wanted, found = plain(fields), self._content["rows"]
        at = next((i for i, row in enumerate(found) if _has(row, wanted)), len(found))
        after = [row for row in found[at:] if not _has(row, wanted)]
        self._write(rows=[*found[:at], *map(plain, rows), *after])

    def set(self, **fields: Any) -> None:
        """Sets other fields than the rows, e.g. `data=[...]`.

        Args:
          **fields: values with a JSON form.
        """
        self._write(**plain(fields))

    def tick(self) -> None:
        """Writes the time spent so far, which a kill would otherwise forget."""
        self._write()

    def finish(self) -> None:
        """Declares the last row written."""
        self._write(complete=True)

    def _write(self, **changes: Any) -> None:
        self._content = self._content | {"seconds": round(self.seconds, 3)} | changes
        write_json_atomically(self.path, self._content)


_KEYS = "experiment, complete, seconds, data and rows"


def _has(row: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(name in row and row[name] == value for name, value in wanted.items())
