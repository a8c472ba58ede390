"""Meta-learning in a loop of your own, from metabone's functions."""

import jax
import jax.numpy as jnp
import optax
from noisy_classes import known, task, unseen

from metabone.evaluation.tasks import task_accuracies
from metabone.learners.maml import maml
from metabone.nets.networks import fully_connected

network = fully_connected(5, widths=(32,))
learner = maml(network, inner_rate=0.1, inner_steps=3, test_steps=3)
optimizer = optax.adam(3e-3)


@jax.jit
def step(meta_params, state, store, index):
    """One outer step: Adam along the mean meta-gradient of four tasks."""

    def meta_gradient(number):
        episode = task(store, 0, index, number)
        return learner.meta_gradient(meta_params, episode, jax.random.key(number))[0]

    gradients = jax.lax.map(meta_gradient, jnp.arange(4))
    gradient = jax.tree.map(lambda leaf: leaf.mean(0), gradients)
    updates, state = optimizer.update(gradient, state)
    return optax.apply_updates(meta_params, updates), state


accuracies = task_accuracies(learner, task, tasks=100, seed=1)
init = jax.jit(learner.init, static_argnums=1)
meta_params = init(jax.random.key(0), (8, 8, 1))
state = optimizer.init(meta_params)
before = accuracies(meta_params, unseen).mean()
for index in range(250):
    meta_params, state = step(meta_params, state, known, index)
after = accuracies(meta_params, unseen).mean()
print(f"accuracy on unseen classes: {before:.2f} before, {after:.2f} after meta-training")
