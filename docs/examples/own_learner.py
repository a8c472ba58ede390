"""A learner of your own: matching networks (Vinyals et al. 2016), trained and tested."""

import jax
import jax.numpy as jnp
import optax
from noisy_classes import known, task, unseen

from metabone.evaluation.tasks import task_accuracies
from metabone.learners.base import MetaLearner, cross_entropy, query_gradient
from metabone.nets.networks import fully_connected
from metabone.training.loop import train
from metabone.training.meta import meta_state, meta_step


def matching(network, ways, sharpness=10.0):
    """Answers by the labels of the support images that look alike, in a learned embedding."""

    def embed(meta_params, images):
        features = network.apply(*meta_params, images, True)[0]
        return features / jnp.linalg.norm(features, axis=-1, keepdims=True)

    def adapt(meta_params, support, key):
        return meta_params, embed(meta_params, support.images), jax.nn.one_hot(support.labels, ways)

    def predict(adapted, images):
        meta_params, seen, labels = adapted
        attention = jax.nn.softmax(sharpness * embed(meta_params, images) @ seen.T)
        return jnp.log(attention @ labels + 1e-6)

    gradient = query_gradient(adapt, predict, cross_entropy)
    return MetaLearner(network.init, gradient, adapt, predict)


learner, optimizer = matching(fully_connected(16, widths=(32,)), ways=5), optax.adam(3e-3)
start = meta_state(learner.init(jax.random.key(0), (8, 8, 1)), optimizer)
step = meta_step(learner, optimizer, task, meta_batch=4)
trained = train(step, start, known, steps=250, seed=0, progress=False).state
accuracies = task_accuracies(learner, task, tasks=100, seed=1)
before, after = (accuracies(s.meta_params, unseen).mean() for s in (start, trained))
print(f"accuracy on unseen classes: {before:.2f} before, {after:.2f} after meta-training")
