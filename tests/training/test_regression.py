import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from metabone.nets.network import Network
from metabone.training.age_scale import AgeScale, fit_scale
from metabone.training.regression import AgeData, age_step, equal_chances, read_months
from metabone.training.supervised import SupervisedState, epoch_batch

SCALE = AgeScale(100.0, 40.0)


def mean_grey():
    """Age as `bottom * mean grey + top`: two layers that can be frozen."""

    def init(key, image_shape):
        return {"low": jnp.float32(0.5), "head": jnp.float32(0.1)}, {"mean": jnp.zeros(())}

    def apply(params, norm_stats, images, use_batch_stats):
        grey = images[:, :-1].mean((1, 2, 3))
        stats = {"mean": grey.mean()} if use_batch_stats else norm_stats
        return (params["low"] * grey + params["head"])[:, None], stats

    return Network(init, apply)


def films(count=12):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 3, 2, 1), np.uint8)
    return images, rng.uniform(20, 200, count).astype(np.float32)


def one_step(mask, *, loss="mae", chances=None, optimizer=None):
    images, months = films()
    network, optimizer = mean_grey(), optimizer or optax.sgd(0.1)
    params, stats = network.init(None, None)
    trained = {name: leaf for name, leaf in params.items() if mask[name]}
    trained = {name: trained.get(name) for name in params}
    state = SupervisedState(params, stats, optimizer.init(trained))
    step = age_step(network, optimizer, SCALE, mask, batch_size=4, loss=loss, clip=1e6)
    data = AgeData(jnp.asarray(images), jnp.asarray(months), chances)
    return jax.jit(step)(state, data, jnp.uint32(7), jnp.int32(1))


def by_hand(loss):
    """Loss, mean error in months and gradients in NumPy, float64."""
    images, months = films()
    rows = np.asarray(epoch_batch(7, 1, 12, 4))
    grey = (images[rows, :-1] / 127.5 - 1.0).mean((1, 2, 3))
    error = 0.5 * grey + 0.1 - (months[rows] - 100.0) / 40.0
    if loss == "mae":
        slope, value = np.sign(error), np.abs(error).mean()
    else:
        slope, value = 2 * error, np.square(error).mean()
    gradients = {"low": (slope * grey).mean(), "head": slope.mean()}
    return value, 40.0 * np.abs(error).mean(), gradients, grey.mean()


@pytest.mark.parametrize("loss", ["mae", "mse"])
def test_a_step_is_the_gradient_of_the_loss_by_hand(loss):
    state, metrics = one_step({"low": True, "head": True}, loss=loss)
    value, months, gradients, grey = by_hand(loss)
    np.testing.assert_allclose(metrics["loss"], value, rtol=1e-5)
    np.testing.assert_allclose(metrics["mae"], months, rtol=1e-5)
    np.testing.assert_allclose(state.params["low"], 0.5 - 0.1 * gradients["low"], rtol=1e-5)
    np.testing.assert_allclose(state.params["head"], 0.1 - 0.1 * gradients["head"], rtol=1e-5)
    np.testing.assert_allclose(state.norm_stats["mean"], 0.05 * grey, rtol=1e-4, atol=1e-7)


def test_what_is_frozen_stays_to_the_bit_and_has_no_state_of_the_optimiser():
    state, _ = one_step({"low": False, "head": True}, optimizer=optax.adam(0.1))
    assert state.params["low"] == np.float32(0.5)
    assert state.params["head"] != np.float32(0.1)
    assert len(jax.tree.leaves(state.opt_state)) == 3  # its count and two moments of the head


def test_equal_chances_draw_each_band_of_ages_as_often_as_any_other():
    months = np.array([10.0] * 900 + [130.0] * 90 + [300.0] * 10)
    chances = equal_chances(months)
    assert chances[-1] == 1.0
    np.testing.assert_allclose(chances[[899, 989]], [1 / 3, 2 / 3], atol=1e-5)


def test_films_are_drawn_by_their_chances():
    rare = np.zeros(12, np.float32)
    rare[5:] = 1.0  # the sixth film alone
    _, metrics = one_step({"low": True, "head": True}, chances=jnp.asarray(rare))
    images, months = films()
    grey = (images[5, :-1] / 127.5 - 1.0).mean()
    expected = np.abs(100.0 + 40.0 * (0.5 * grey + 0.1) - months[5])
    np.testing.assert_allclose(metrics["mae"], expected, rtol=1e-5)


def test_films_are_read_each_by_itself_whatever_comes_with_them():
    images, _ = films()
    network = mean_grey()
    params, stats = network.init(None, None)
    read = read_months(network, SCALE, batch=5)
    together = read(params, stats, images)
    grey = (images[:, :-1] / 127.5 - 1.0).mean((1, 2, 3))
    np.testing.assert_allclose(together, 100.0 + 40.0 * (0.5 * grey + 0.1), rtol=1e-5)
    np.testing.assert_array_equal(read(params, stats, images[3:4]), together[3:4])


def test_the_scale_is_of_the_ages_given_and_gives_them_back():
    scale = fit_scale([30.0, 60.0, 120.0])
    assert scale.mean == 70.0
    np.testing.assert_allclose(scale.deviation, np.std([30.0, 60.0, 120.0]))
    back = scale.months(scale.standardised(jnp.array([[30.0], [120.0]])))
    np.testing.assert_allclose(back, [30.0, 120.0], rtol=1e-6)
