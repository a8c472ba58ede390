"""The family on kept features of a frozen network: what it stands on, and what is refused."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import benchmark
from experiments.benchmark_settings import BenchmarkSettings, check, on_features
from metabone.commands.command import Call
from metabone.datasets.images import ImageSet
from metabone.datasets.source import load_images
from metabone.episodes.types import Examples
from metabone.errors import InputError
from metabone.learners.probe import probe
from metabone.nets.network import Network
from metabone.nets.networks import conv_net
from metabone.nets.preprocessing import Preprocessing, preparation
from metabone.nets.published_backbones import PublishedBackbone
from metabone.nets.stored_features import stored_features
from metabone.provenance import Provenance
from metabone.training.run import open_run
from metabone.workflows import backbones, family_features
from metabone.workflows.class_parts import ClassParts
from metabone.workflows.comparison import compare
from metabone.workflows.family import entry_of
from metabone.workflows.family_settings import LEARNERS, ON_FEATURES
from metabone.workflows.learned_runs import load_learner

LEARNED = ("maml_plus_plus", "reptile", "protonet", "logistic_head", "probe")


def settings(tmp_path, **changes):
    file = tmp_path / "weights.safetensors"
    file.touch()
    given = dict(backbone="resnet18", backbone_weights=str(file)) | changes
    return dataclasses.replace(BenchmarkSettings(), **given)


def test_features_are_standardised_by_the_training_classes_alone(tmp_path):
    def sums(params, norm_stats, images, use_batch_stats):
        return images.sum((1, 3)), norm_stats

    network = Network(lambda key, shape: ({}, {}), sums)
    backbone = backbones.Backbone(network, {}, {}, lambda images: images / 2, "1" * 64)
    rng = np.random.default_rng(0)
    about = Provenance("made", "simulated", "0", 8, "none", "any")
    labels = np.arange(8, dtype=np.int32) % 2
    parts = [
        ImageSet(rng.integers(0, high, (8, 2, 3, 1), np.uint8), labels, ("a", "b"), about)
        for high in (256, 200, 100)
    ]
    with open_run(tmp_path, "benchmark", "one", {"seed": 0}) as run:
        found = family_features.on_features(
            backbone, ClassParts(*parts, split="s"), run, tmp_path / "kept"
        )
    plain = [part.images.sum((1, 3)) / 2 for part in parts]
    for part, values in zip(("train", "validation", "test"), plain, strict=True):
        expected = (values - plain[0].mean(0)) / (plain[0].std(0) + 1e-3)
        np.testing.assert_allclose(getattr(found, part).images, expected, rtol=1e-4, atol=1e-4)
        np.testing.assert_array_equal(getattr(found, part).labels, labels)
    assert found.split == "s" and (run.path / "feature_scale.npz").exists()


def test_a_probe_of_the_family_is_the_probe_on_the_features_as_they_are(tmp_path):
    config = settings(tmp_path, ways=2)
    entry, key = entry_of("probe", config), jax.random.key(0)
    assert entry.trained is None and list(entry.asked) == ["inductive"]
    features = jax.random.normal(key, (7, 5))
    support = Examples(features[:4], jnp.array([0, 1, 0, 1]))

    def answers(learner):
        adapted = learner.adapt(learner.init(key, (5,)), support, key)
        return learner.predict(adapted, features[4:])

    found, expected = jax.jit(
        lambda: (answers(entry.asked["inductive"]), answers(probe(stored_features(), 2)))
    )()
    np.testing.assert_array_equal(found, expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", ON_FEATURES)
def test_every_learner_on_features_tells_far_clusters_apart(tmp_path, name):
    config = settings(tmp_path, ways=2, feature_hidden=(16,), inner_rate=0.3)
    entry, key = entry_of(name, config), jax.random.key(0)
    centres = jnp.array([[3.0, 0, 0], [-3.0, 0, 0]])
    labels = jnp.arange(12) % 2
    features = centres[labels] + 0.1 * jax.random.normal(key, (12, 3))

    @jax.jit
    def answers(features):
        learner = entry.asked["inductive"]
        support = Examples(features[:8], labels[:8])
        adapted = learner.adapt(learner.init(key, (3,)), support, key)
        return learner.predict(adapted, features[8:]).argmax(-1)

    np.testing.assert_array_equal(answers(features), labels[8:])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"learners": ("maml", "probe", "boil")}, "is frozen, and maml and boil would adapt it"),
        ({"backbone_weights": "nowhere"}, "--backbone_weights=nowhere: no such file"),
        ({"backbone": ""}, "--backbone=: expected one of"),
        ({"backbone": "conv4"}, "--backbone=conv4: expected one of efficientnet_lite0"),
        ({"backbone_crops": 3}, "--backbone_crops=3: expected one of 1, 5, 10"),
        ({"norm": "transductive"}, "meet no batch norm"),
        ({"protocol": ("ours", "paper")}, "--protocol=ours,paper: papers train their networks"),
        ({"feature_hidden": ()}, "--feature_hidden"),
    ],
)
def test_settings_that_cannot_be_on_features_are_one_line(tmp_path, changes, said):
    with pytest.raises(InputError, match=said):
        check(settings(tmp_path, **{"learners": ("probe",)} | changes))


def test_learners_that_adapt_the_backbone_are_left_out_unless_they_are_asked_for(tmp_path):
    config = settings(tmp_path)
    assert set(LEARNERS) - set(on_features(config, ()).learners) == {"maml", "boil"}
    check(on_features(config, ()))
    assert on_features(config, ("learners",)).learners == LEARNERS
    assert on_features(BenchmarkSettings(), ()).learners == LEARNERS


@pytest.mark.slow
def test_learners_of_a_run_on_features_answer_alike_when_loaded(tmp_path, monkeypatch, capsys):
    network, expected = conv_net(0, filters=4, norm_scale=False), Preprocessing(32)
    prepare, line = preparation(expected)
    params, stats = jax.tree.map(np.asarray, network.init(jax.random.key(0), (32, 32, 3)))

    def load(name, path, *, crops):
        del name, path, crops
        return PublishedBackbone(network, params, stats, prepare, 32, line, "0" * 64, expected)

    monkeypatch.setattr(backbones, "load_backbone", load)
    least = dict.fromkeys(("meta_steps", "meta_batch", "validate_every", "validation_tasks"), 2)
    few = dict(size=32, channels=3, meta_classes=9, meta_images=4, ways=2, queries=2, tasks=5)
    more = dict(meta_queries=1, inner_steps=1, test_steps=1, reptile_batch=2, feature_hidden=(4,))
    more |= dict(reptile_test_steps=1, validation_classes=2, test_classes=2, learners=LEARNED)
    config = settings(tmp_path, **least, **few, **more)
    benchmark.main(
        Call(benchmark.COMMAND, config, (), "demo", str(tmp_path), "run", str(tmp_path / "data"))
    )
    printed, path = " ".join(capsys.readouterr().out.split()), tmp_path / "benchmark/run"
    assert "kept features of resnet18, frozen, weights of weights.safetensors" in printed
    result = json.loads((path / "result.json").read_text())
    told = [(row["learning"], row["model"], row["norm"]) for row in result["rows"]]
    assert told == [(name, "2 ways on frozen resnet18", "inductive") for name in LEARNED]
    images = load_images(
        "simulated:bones", size=32, channels=3, classes=9, images_per_class=4, seed=0
    )
    names = np.array(images.class_names)[images.labels]
    test = images.keep(np.flatnonzero(np.isin(names, result["meta_classes"]["test"])))
    learners = {name: load_learner(path, name) for name in LEARNED}
    assert learners["probe"].about["learner"] == "probe on frozen resnet18"
    found = compare(learners, test, ways=2, shots=1, queries=2, tasks=5)
    for name in LEARNED:
        kept = np.load(path / "accuracies" / f"{name}.npy")
        np.testing.assert_allclose(found.accuracies[name], kept, err_msg=name)
