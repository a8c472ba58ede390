from pathlib import Path

import jax
import numpy as np

import metabone.workflows
from metabone.workflows.shipped import load_simulated, shipped_learner


def test_shipped_learner_is_small_and_has_its_card_and_command_beside_it():
    folder = Path(metabone.workflows.__file__).parent
    assert (folder / "simulated.safetensors").stat().st_size < 2**20
    card = (folder / "simulated.md").read_text()
    assert "no medical device" in card and "python -m benchmarks.shipped_learner" in card
    assert (folder.parents[1] / "benchmarks" / "shipped_learner.py").is_file()


def test_shipped_learner_serves_any_number_of_classes_by_its_own_parameter_types():
    trained = load_simulated()
    assert trained.about["kind"] == "simulated"
    template = jax.eval_shape(
        lambda key: shipped_learner(2).init(key, trained.image_shape), jax.random.key(0)
    )
    assert jax.tree.structure(template) == jax.tree.structure(trained.meta_params)
    for leaf, expected in zip(*map(jax.tree.leaves, (trained.meta_params, template)), strict=True):
        assert leaf.shape == expected.shape and leaf.dtype == np.float32
    for ways in (2, 7):
        assert trained.learner_for(ways).predict is not None
