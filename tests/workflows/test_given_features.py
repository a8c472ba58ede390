import dataclasses
import re

import numpy as np
import pytest

from experiments.medical_settings import MedicalSettings
from metabone.errors import InputError
from metabone.training.run import open_run
from metabone.workflows.class_parts import ClassParts
from metabone.workflows.feature_settings import check_features
from metabone.workflows.feature_table import FeatureData, fill_feature_table
from metabone.workflows.given_features import as_given, open_embeddings, split_embeddings
from metabone.workflows.target_sets import TargetSet, load_targets, name_of

CONFIG = MedicalSettings(
    **{"feature_learners": ("nearest_mean",), "ways": 2, "shots": (2,), "queries": 3, "draws": 7},
    **{"meta_shots": 1, "meta_queries": 1},
)


def write(path, classes, seed, length=3, count=12, **more):
    """Classes far from each other, in noise; numbers as large as no network gives them."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), count)
    vectors = 1000 + 90 * rng.normal(size=(classes, length))[labels] + rng.normal(size=(1, length))
    vectors = vectors + 0.1 * rng.normal(size=vectors.shape)
    groups = np.arange(len(labels)) // 2
    np.savez(path, vectors=vectors, labels=labels, groups=groups, **more)
    return f"embeddings:{path}"


@pytest.fixture
def sources(tmp_path):
    return [write(tmp_path / f"{name}.npz", classes, 1) for name, classes in (("a", 9), ("b", 2))]


def given(sources, **changes):
    config = dataclasses.replace(CONFIG, targets=tuple(sources[1:]), **changes)
    return as_given(config, sources[:1])


def test_embeddings_are_the_only_backbone_and_maml_is_said_to_be_left_out(sources, capsys):
    found = given(sources)
    assert found.backbones == ("embeddings",) and found.maml_draws == 0
    assert "MAML from scratch, which needs images, is left out" in capsys.readouterr().err
    check_features(found)
    assert as_given(found, sources[:1]) == found
    assert as_given(CONFIG, CONFIG.meta_sources) == CONFIG


def test_embeddings_and_images_are_not_mixed_and_no_backbone_is_asked(sources):
    with pytest.raises(InputError, match="simulated:hands: other sources are embeddings; meta-"):
        as_given(CONFIG, sources[:1])
    with pytest.raises(InputError, match="simulated:bones: other sources are embeddings; meta-"):
        as_given(dataclasses.replace(CONFIG, targets=tuple(sources)), ("simulated:bones",))
    with pytest.raises(InputError, match="--backbones=random: sources are embeddings"):
        given(sources, backbones=("random",))
    with pytest.raises(InputError, match="--backbones=embeddings: expected conv4, random"):
        check_features(dataclasses.replace(CONFIG, backbones=("embeddings",)))


def test_vectors_of_another_length_are_refused(sources, tmp_path):
    other = write(tmp_path / "c.npz", 2, 2, length=4)
    config = given([*sources, other])
    targets = load_targets(config, 0, None)
    said = f"{other}: vectors of 4 numbers, and of 3 in {sources[0]}; expected embeddings of one"
    with pytest.raises(InputError, match=re.escape(said)):
        open_embeddings(sources[:1], targets)
    with pytest.raises(InputError, match=re.escape(said)):
        open_embeddings([sources[0], other], targets[:1])


def test_a_target_of_embeddings_keeps_groups_and_is_not_ordered(sources):
    (target,) = load_targets(given(sources), 0, None)
    assert (target.name, target.ordered, target.class_names) == ("b", False, ("0", "1"))
    assert target.groups.tolist() == [row // 2 for row in range(24)]
    with pytest.raises(InputError, match=r"need 7 patients or other groups a class; .* has 6"):
        load_targets(given(sources, queries=5), 0, None)


def test_a_target_of_embeddings_is_ordered_where_its_file_says_so(sources, tmp_path):
    graded = write(tmp_path / "c.npz", 3, 5, ordered=np.array(True))
    (target,) = load_targets(given([sources[0], graded]), 0, None)
    assert target.ordered and len(target.class_names) == 3


def test_classes_of_embeddings_are_parted_and_none_is_lost(sources):
    parts = split_embeddings(open_embeddings(sources[:1], ()), 2, 0, test=2)
    names = [name for own in parts.names.values() for name in own]
    assert sorted(names) == [str(label) for label in range(9)]
    assert [len(own) for own in parts.names.values()] == [5, 2, 2]
    with np.load(sources[0].partition(":")[2]) as held:
        ours = np.isin(held["labels"], [int(name) for name in parts.train.class_names])
        np.testing.assert_array_equal(parts.train.images, held["vectors"][ours].astype("f4"))
        assert len(np.unique(parts.train.patients)) == len(np.unique(held["groups"][ours]))


def test_learners_stand_on_the_vectors_standardised_by_the_meta_classes(sources, tmp_path):
    stored = []

    class Kept(TargetSet):
        def store(self, values):
            stored.append(values)
            return super().store(values)

    config = given(sources)
    parts = split_embeddings(open_embeddings(sources[:1], ()), 2, 0, test=2)
    (target,) = load_targets(config, 0, None)
    targets = (Kept(*target),)
    with open_run(tmp_path, "medical", "run", dataclasses.asdict(config)) as run:
        data = FeatureData(ClassParts(*parts), targets, targets)
        fill_feature_table(config, run, data, tmp_path / "nowhere")
        (row,) = run.results.rows
    train = parts.train.images.astype(np.float64)
    with np.load(sources[1].partition(":")[2]) as held:
        expected = (held["vectors"] - train.mean(0)) / (train.std(0) + 1e-3)
    np.testing.assert_allclose(stored.pop(), expected, atol=1e-4)
    assert (row["learning"], row["model"], row["target"]) == ("nearest_mean", "embeddings", "b")
    assert row["n"] == 7 and row["mean"] == 1.0
    assert not (tmp_path / "nowhere").exists()


def test_a_set_of_medimeta_is_called_by_its_folder_and_its_task(tmp_path):
    (tmp_path / "bus").mkdir()
    assert name_of(f"medimeta:{tmp_path}/bus/case category") == "bus case category"
    assert name_of(f"medimeta:{tmp_path}/bus") == "bus"
