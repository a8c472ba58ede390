import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metabone.radiograph.growth import (
    STAGE_CUTS,
    bone_age_months,
    epiphysis_at,
    maturity_for_stage,
    stage_of,
)


def test_stages_rise_with_maturity_and_all_eleven_occur():
    stages = np.asarray(stage_of(jnp.linspace(0.0, 1.0, 500)))
    assert np.all(np.diff(stages) >= 0)
    assert sorted(set(stages.tolist())) == list(range(1, 12))


def test_a_cut_point_belongs_to_the_higher_stage():
    np.testing.assert_array_equal(stage_of(jnp.asarray(STAGE_CUTS)), np.arange(2, 12))


@pytest.mark.parametrize("stage", [1, 6, 11])
def test_a_maturity_drawn_for_a_stage_lies_in_it(stage):
    keys = jax.random.split(jax.random.key(3), 200)
    drawn = jax.vmap(maturity_for_stage, (0, None))(keys, jnp.int32(stage))
    assert np.all(np.asarray(stage_of(drawn)) == stage)
    width = 1 / 11
    assert drawn.min() < (stage - 1) * width + 0.02
    assert drawn.max() > stage * width - 0.02


def test_bone_age_is_known_at_both_ends_and_girls_are_ahead():
    ends = jnp.array([0.0, 1.0])
    np.testing.assert_allclose(bone_age_months(ends, jnp.array([0, 0])), [60, 204])
    np.testing.assert_allclose(bone_age_months(ends, jnp.array([1, 1])), [60, 222])


def test_the_epiphysis_widens_then_caps_then_fuses():
    epi = epiphysis_at(jnp.linspace(0.0, 1.0, 101))
    for name in ("width", "thickness", "capping", "fusion"):
        assert np.all(np.diff(getattr(epi, name)) >= 0), name
    assert np.all(np.diff(epi.gap) <= 0)
    as_wide, capped, fused = (
        int(np.argmax(np.asarray(v) >= t))
        for v, t in ((epi.width, 0.95), (epi.capping, 0.95), (epi.fusion, 0.95))
    )
    assert as_wide < capped < fused
    # The scar comes with fusion and fades after it.
    assert epi.scar[50] == 0
    assert 60 < int(np.argmax(epi.scar)) < 95
    assert epi.scar[-1] < 0.1
