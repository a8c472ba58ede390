"""What the tests share: float64 for the references, and how what they run is compiled."""

import jax
import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Spares the backend's optimisations, a third of the time, where they are not the subject."""
    spared = item.get_closest_marker("optimized") is None
    jax.config.update("jax_disable_most_optimizations", spared)


@pytest.fixture
def x64():
    """Computes in float64 for the length of one test."""
    with jax.enable_x64(True):
        yield
