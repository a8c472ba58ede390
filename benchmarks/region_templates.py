"""Makes the templates of regions that come with the package, from simulated films alone.

python -m benchmarks.region_templates --out=metabone/radiograph
"""

import argparse
from pathlib import Path

import numpy as np

from metabone.radiograph.region_sets import REGION_SETS
from metabone.radiograph.region_templates import SHIPPED, render_templates
from metabone.stored_arrays import save_arrays


def main() -> None:
    """Renders them and writes the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the file")
    out = parser.parse_args().out / SHIPPED
    templates = render_templates(REGION_SETS["min_kang_6"])
    save_arrays(out, templates=templates.astype(np.float16))
    print(f"{out}: {out.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
