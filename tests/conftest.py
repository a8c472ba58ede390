"""What the tests share: float64 for the references."""

import jax
import pytest


@pytest.fixture
def x64():
    """Computes in float64 for the length of one test."""
    with jax.enable_x64(True):
        yield
