"""Times the preparation of many small images: `python -m benchmarks.preparation`.

Writes a zip of 20,000 JPEG images, 64x64 in 100 classes, to a temporary folder; prints one line of
JSON for the first open (which checks and prepares), the second, and reading all into memory.
"""

import argparse
import io
import json
import os
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from metabone.datasets.source import open_images

_SIDE = 64


def write_zip(path: Path, images: int, classes: int) -> None:
    """Writes images of smoothed noise, which compress about as photographs do.

    Args:
      path: Of the zip.
      images: Their number, shared out evenly.
      classes: Number of folders.
    """
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(images):
            coarse = Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8))
            file = io.BytesIO()
            coarse.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC).save(file, "JPEG")
            archive.writestr(f"class_{number % classes:03d}/{number:06d}.jpg", file.getvalue())


def timed(what: str, call: Callable[[], Any], **facts: Any) -> Any:
    """Calls, and prints how long that took as a line of JSON."""
    start = time.perf_counter()
    result = call()
    seconds = round(time.perf_counter() - start, 2)
    print(json.dumps({"what": what, "seconds": seconds, **facts}), flush=True)
    return result


def main() -> None:
    """Prepares, opens again and reads."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--classes", type=int, default=100)
    options = parser.parse_args()
    facts = {"images": options.images, "classes": options.classes, "cores": os.cpu_count()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "images.zip"
        timed("write zip", lambda: write_zip(path, options.images, options.classes), **facts)

        def opened() -> Any:
            return open_images(f"folder:{path}", size=_SIDE, channels=1, data_dir=folder)

        timed("first open (prepare)", opened, megabytes=path.stat().st_size // 10**6, **facts)
        images = timed("second open", opened, **facts)
        timed("read whole", images.whole, **facts)


if __name__ == "__main__":
    main()
