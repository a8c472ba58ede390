"""Presets named after a learner do as its authors did."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments.benchmark_presets import PRESETS, settings_of
from experiments.benchmark_settings import BenchmarkSettings, check
from metabone.report.few_shot_papers import LINES, conditions_of
from metabone.workflows.family import entry_of


def config_of(preset):
    return BenchmarkSettings(**PRESETS[preset].values)


@pytest.mark.parametrize("line", LINES, ids=lambda line: "-".join(map(str, line[:5])))
def test_each_setting_is_the_published_one(line):
    config = BenchmarkSettings(**settings_of(line))
    check(config)
    assert sum(settings_of(line) == preset.values for preset in PRESETS.values()) == 1
    assert config.learners == (line.learning,) and config.protocol == ("ours", "paper")
    assert (config.ways, config.shots) == (line.ways, line.shots)
    assert config.meta_batch == line.meta_batch
    assert config.meta_steps == (line.meta_steps or 20_000)
    assert (config.meta_ways, config.size) == (line.train_ways, 84 if "mini" in line[0] else 28)
    images = (config.meta_shots or config.shots) + config.meta_queries
    assert images == (line.train_shots or line.shots) + line.train_queries
    if line.learning == "reptile":
        assert config.reptile_rate == line.inner_rate and config.reptile_sum is line.summed
        assert config.inner_steps == line.inner_steps and config.reptile_moments == "kept"
        assert config.reptile_test_steps == line.test_steps
        return
    assert (config.meta_rate, config.schedule) == (line.meta_rate, line.schedule)
    if line.schedule == "cosine":
        assert config.rate_end == line.rate_end
    if line.inner_steps is not None and line.learning != "imaml":
        assert (config.inner_steps, config.test_steps) == (line.inner_steps, line.test_steps)
        # The mean over ways x shots images is a ways-th of the sum over them, divided by shots.
        expected = line.inner_rate * (line.ways if line.summed else 1)
        assert config.inner_rate == pytest.approx(expected)
    assert (config.clip_by == "value") is (line.clip is not None)
    assert all(getattr(config, name) == value for name, value in line.more.items())


# Typed from the repositories, not from the table.
@pytest.mark.parametrize(
    ("preset", "values"),
    [
        ("maml_omniglot_5w1s", dict(inner_rate=2.0, inner_steps=1, test_steps=3, meta_batch=32)),
        ("maml_omniglot_20w5s", dict(inner_rate=2.0, inner_steps=5, meta_queries=5, average=True)),
        ("maml_omniglot_5w5s", dict(schedule="constant", adapt_norms=False, norm_scale=False)),
        ("maml_mini_5w5s", dict(meta_batch=4, inner_rate=0.05, test_steps=10, clip_by="value")),
        ("maml_mini_5w5s_paper", dict(meta_batch=2, filters=32, meta_queries=15)),
        ("boil_mini_5w5s", dict(inner_rate=0.5, adapt_norms=True, meta_steps=30_000, filters=64)),
        (
            "maml_plus_plus_omniglot_20w1s",
            dict(first_order_until=0.0, step_weights_until=0.1, rate_end=0.01, clip_by="none"),
        ),
        (
            "maml_plus_plus_mini_5w1s",
            dict(inner_rate=0.1, rate_end=1.0, clip=10.0, clip_by="value", meta_steps=50_000),
        ),
        ("maml_plus_plus_mini_5w1s_paper", dict(inner_rate=0.01, first_order_until=0.5)),
        ("reptile_omniglot_5w1s", dict(meta_shots=9, meta_queries=1, reptile_test_batch=5)),
        ("reptile_omniglot_20w1s", dict(reptile_rate=5e-4, reptile_batch=20, meta_steps=200_000)),
        ("reptile_mini_5w5s", dict(meta_shots=14, inner_steps=8, reptile_test_batch=15)),
        ("protonet_mini_5w1s", dict(meta_ways=30, norm="running", schedule="halving")),
        ("protonet_mini_5w5s", dict(meta_ways=20, meta_queries=15, meta_rate=1e-3)),
        ("r2d2_mini_5w1s", dict(ridge=50.0, ridge_scale=1e-4, ridge_as_code=True, meta_rate=5e-3)),
        ("r2d2_omniglot_5w5s", dict(ridge_scale=10.0, meta_ways=60, norm="running")),
        ("r2d2_mini_5w5s_paper", dict(ridge_as_code=False, meta_ways=16)),
        ("imaml_omniglot_5w1s", dict(proximity=2.0, imaml_steps=16, imaml_rate=0.1)),
    ],
)
def test_presets_hold_what_the_repositories_say(preset, values):
    config = config_of(preset)
    assert {name: getattr(config, name) for name in values} == values


def updates(optimizer, gradients):
    state, found = optimizer.init(gradients[0]), []
    for gradient in gradients:
        update, state = optimizer.update(gradient, state, gradient)
        found.append(update)
    return found


@pytest.mark.parametrize("shots", [1, 5])
def test_maml_bounds_each_element_of_the_gradient_of_its_summed_loss_at_ten(shots):
    line = conditions_of("mini_imagenet", "maml", 5, shots)
    ours = entry_of("maml", BenchmarkSettings(**settings_of(line)))
    assert ours.clip is None
    # Of the mean over 75 queries; theirs is the sum, divided by shots.
    gradients = [jnp.array([0.001, -0.4, 3.0]), jnp.array([0.5, 0.1, -0.02])]
    theirs = optax.chain(optax.clip(10.0), optax.adam(1e-3))
    expected = updates(theirs, [gradient * 75 / shots for gradient in gradients])
    np.testing.assert_allclose(updates(ours.optimizer, gradients), expected, rtol=1e-4)


def test_rates_fall_as_they_are_asked_to():
    def rates(**settings):
        config = BenchmarkSettings(meta_rate=0.1, meta_steps=4, halve_every=2, **settings)
        # Adam moves by its rate where the gradient stays the same.
        return -np.array(updates(entry_of("anil", config).optimizer, [jnp.ones(())] * 5))

    np.testing.assert_allclose(rates(schedule="constant"), [0.1] * 5, rtol=1e-4)
    np.testing.assert_allclose(rates(schedule="halving"), [0.1, 0.1, 0.05, 0.05, 0.025], rtol=1e-4)
    half = 0.5 * (1 + np.cos(np.pi * np.arange(5) / 4))
    expected = 0.1 * (0.2 + 0.8 * half)
    np.testing.assert_allclose(rates(schedule="cosine", rate_end=0.2), expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("settings", "count"),
    # Four kernels, kernel and bias of the head; a scale and a bias of each of four batch norms.
    [({}, 14), ({"adapt_norms": False}, 6), ({"norm_scale": False}, 10)],
)
def test_batch_norms_adapt_and_have_a_scale_only_if_they_are_asked_to(settings, count):
    learner = entry_of("meta_sgd", BenchmarkSettings(**settings)).trained
    params = jax.eval_shape(lambda key: learner.init(key, (28, 28, 1)), jax.random.key(0))
    assert len(params.rates) == count
