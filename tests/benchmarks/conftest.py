"""The benchmarks are no installed package: they run, and are imported, from the repository."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
