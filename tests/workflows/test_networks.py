"""What the arms of the table share."""

import dataclasses

import jax
import pytest

from experiments.smi_settings import PRESETS, SmiSettings
from metabone.workflows.networks import backbone_network, maml_of
from metabone.workflows.settings import TRAINABLE


@pytest.mark.parametrize("backbone", TRAINABLE)
def test_a_backbone_is_its_trained_network_without_the_head(backbone):
    config = SmiSettings(backbone=backbone, backbone_width=0.25)
    trained, frozen = (
        jax.eval_shape(
            lambda key, network=network: network.init(key, (64, 64, 1)), jax.random.key(0)
        )
        for network in (
            backbone_network(config, 7, config.pretrain_hidden),
            backbone_network(config, 0, ()),
        )
    )
    body = {name: leaf for name, leaf in trained[0].items() if name != "head"}
    assert body == frozen[0] and trained[1] == frozen[1]
    assert trained[0]["head"]["hidden_0"]["kernel"].shape[1] == 256
    assert trained[0]["head"]["classes"]["kernel"].shape == (256, 7)


def test_only_the_paper_preset_adapts_the_whole_network():
    key, shape = jax.random.key(0), (64, 64, 1)
    for name, preset in PRESETS.items():
        config = dataclasses.replace(SmiSettings(), **preset.values)
        network = backbone_network(config, 5, (4,))
        params, _ = jax.eval_shape(lambda key, network=network: network.init(key, shape), key)
        learner = maml_of(dataclasses.replace(config, learn_rates=True), network, config.adapts)
        rates = jax.eval_shape(lambda key, of=learner: of.init(key, shape), key).rates
        adapting = params if name == "paper" else params["head"]
        assert len(rates) == len(jax.tree.leaves(adapting))
