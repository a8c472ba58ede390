"""By which rule the learners of the family answer, and what protocols ask of them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metabone.episodes.types import Examples
from metabone.report.conditions import RUNNING, TRANSDUCTIVE, WITH_SUPPORT
from metabone.workflows.family import entry_of
from metabone.workflows.family_protocols import Asked, Protocol, asked_of, most_queries
from metabone.workflows.family_settings import LEARNERS, FamilySettings

CONFIG = FamilySettings(size=16, filters=8, ways=2, meta_steps=10)


@pytest.mark.parametrize("name", ["logistic_head", "probe"])
def test_a_fitted_head_is_asked_by_the_labelled_images_alone_and_by_what_was_kept(name):
    entry, key = entry_of(name, CONFIG), jax.random.key(0)
    images = jax.random.uniform(key, (6, 16, 16, 1))
    support = Examples(images[:4], jnp.array([0, 1, 0, 1]))

    @jax.jit
    def answers(of_training):
        params = entry.asked["inductive"].init(key, images.shape[1:])
        kept = jax.tree.map(lambda leaf: leaf + of_training, params.norm_stats)
        learned = params._replace(norm_stats=kept)
        return [
            learner.predict(learner.adapt(learned, support, key), images[4:])
            for learner in (entry.asked["inductive"], entry.asked["running"])
        ]

    (alone, kept), (same, other) = answers(0.0), answers(-0.5)
    np.testing.assert_array_equal(alone, same)
    assert not np.allclose(kept, other)


def asked(name, source, protocols=("ours", "paper"), **settings):
    config = dataclasses.replace(CONFIG, ways=5, **settings)
    protocol = Protocol(source, 2000, 15, protocols, (0,), (name,))
    return asked_of(name, entry_of(name, config), protocol, config), most_queries(protocol, config)


@pytest.mark.parametrize("name", LEARNERS)
def test_our_protocol_asks_every_learner_by_the_support_first_and_names_other_rules(name):
    found, most = asked(name, "simulated:bones")
    own = ["running"] * (name in ("maml_plus_plus", "protonet", "r2d2", "logistic_head", "probe"))
    assert found == {"ours": Asked(["inductive", "transductive", *own], 15, 2000)} and most == 15


@pytest.mark.parametrize(
    ("name", "source", "shots", "rule", "queries", "tasks"),
    [
        ("maml", "mini_imagenet:DIR", 5, TRANSDUCTIVE, 5, 600),
        ("protonet", "mini_imagenet:DIR", 1, RUNNING, 15, 600),
        ("r2d2", "mini_imagenet:DIR", 1, RUNNING, 47, 10_000),
        ("reptile", "mini_imagenet:DIR", 5, WITH_SUPPORT, 1, 10_000),
        ("reptile", "omniglot:FILE", 1, TRANSDUCTIVE, 1, 10_000),
    ],
)
def test_a_papers_protocol_is_that_of_its_authors(name, source, shots, rule, queries, tasks):
    found, most = asked(name, source, shots=shots)
    assert list(found) == ["ours", "paper"] and found["paper"] == Asked([rule], queries, tasks)
    assert rule in entry_of(name, CONFIG).asked and most == max(15, queries)
    found, most = asked(name, source, ("ours",), shots=shots)
    assert list(found) == ["ours"] and most == 15
