"""The examples of the documentation run, and do what they say."""

import runpy
from pathlib import Path

_EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


def test_a_loop_of_ones_own_learns_to_tell_classes_that_it_has_never_seen():
    found = runpy.run_path(str(_EXAMPLES / "own_loop.py"))
    assert found["before"] < 0.6
    assert found["after"] > 0.75
