"""The folder in which prepared data are kept."""

import os
from pathlib import Path


def resolve_data_dir(data_dir: str | os.PathLike | None) -> Path:
    """Says where records lie: as given, or `$METABONE_DATA_DIR`, or `~/.cache/metabone`."""
    given = data_dir or os.environ.get("METABONE_DATA_DIR") or "~/.cache/metabone"
    return Path(given).expanduser().absolute()
