import dataclasses

import jax
import numpy as np
import pytest

from metabone.errors import InputError
from metabone.nets.networks import conv_net
from metabone.nets.preprocessing import Preprocessing, preparation
from metabone.nets.published_backbones import PublishedBackbone
from metabone.workflows import adaptation, backbone_learner, backbones
from metabone.workflows.settings import LearnerSettings, check_learner


@pytest.fixture
def published(monkeypatch):
    """A small network in the place of any that is published; which were asked for."""
    network, asked = conv_net(0, filters=4), []

    def load(name, path, *, crops=1):
        asked.append((name, str(path)))
        expected = Preprocessing(32)
        prepare, line = preparation(expected)
        line += f", {crops} crops"
        trees = network.init(jax.random.key(0), (32, 32, 3))
        params, stats = jax.tree.map(np.asarray, trees)
        return PublishedBackbone(network, params, stats, prepare, 32, line, "0" * 64, expected)

    for module in (backbone_learner, backbones):
        monkeypatch.setattr(module, "load_backbone", load)
    return asked


def films(count=5):
    rng = np.random.default_rng(0)
    labels = ["dark"] * count + ["bright"] * count
    shift = np.repeat([0, 60], count)[:, None, None]
    return (rng.integers(0, 180, (2 * count, 40, 40)) + shift).astype(np.uint8), labels


@pytest.mark.parametrize(("ordered", "head"), [(False, "a probe"), (True, "an ordinal probe")])
def test_a_published_backbone_is_adapted_to_own_films(published, ordered, head):
    images, labels = films()
    classes = ("dark", "bright") if ordered else ()
    model = adaptation.adapt(
        images, labels, learner="resnet18:FILE", ordered=ordered, classes=classes
    )
    assert published == [("resnet18", "FILE")]
    assert model.about["learner"]["learner"] == f"resnet18 and {head}"
    assert "FILE" in model.about["learner"]["source"]
    answers = model.predict(images).answers
    assert np.mean(np.asarray(answers) == np.asarray(labels)) == 1.0


def test_what_is_said_of_a_learner_on_several_crops_names_their_number(published):
    trained = backbone_learner.backbone_learner("resnet18:FILE", crops=10)
    assert trained.about["learner"] == "resnet18, the mean of 10 crops, and a probe"


def test_a_backbone_without_its_file_is_one_line():
    with pytest.raises(InputError, match="resnet18:FILE with its published weights"):
        backbone_learner.backbone_learner("resnet18")
    assert not backbone_learner.is_backbone("runs/resnet18")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"backbone": "resnet19"}, "--backbone=resnet19: expected one of vgg16, conv4"),
        ({"backbone": "dinov2_s14"}, "--backbone_weights=FILE names its published weights"),
        ({"backbone": "conv4", "backbone_weights": "f"}, "nobody publishes"),
        ({"backbone_weights": "f", "pretrained": "run"}, "name one backbone, not two"),
        ({"backbone_crops": 5}, "--backbone_crops=5: is for published backbones"),
        ({"backbone_crops": 5, "backbone_weights": "f"}, "vgg16 is read whole"),
        ({"backbone_crops": 2, "backbone_weights": "f"}, "expected one of 1, 5, 10"),
    ],
)
def test_backbones_that_cannot_be_are_refused_before_anything_is_read(changes, said):
    with pytest.raises(InputError, match=said):
        check_learner(dataclasses.replace(LearnerSettings(), **changes))


def test_experiments_freeze_the_backbone_that_their_settings_name(published):
    config = dataclasses.replace(
        LearnerSettings(), backbone="xception", backbone_weights="x.safetensors"
    )
    check_learner(config)
    found = backbones.given_backbone(config, None)
    assert published == [("xception", "x.safetensors")]
    other = backbones.published_backbone("resnet50", "x.safetensors")
    config = dataclasses.replace(config, backbone_crops=5)
    check_learner(config)
    cropped = backbones.given_backbone(config, None)
    # The same weights under another name, or on other crops, are other features.
    assert len({each.identity for each in (found, other, cropped)}) == 3
