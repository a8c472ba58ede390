import dataclasses

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from metabone.datasets.images import ImageSet
from metabone.errors import InputError
from metabone.provenance import Provenance
from metabone.training.run import open_run
from metabone.workflows.class_parts import ClassParts
from metabone.workflows.feature_settings import FeatureSettings, check_features
from metabone.workflows.feature_table import FeatureData, fill_feature_table
from metabone.workflows.target_sets import TargetSet, check_apart, name_of

CONFIG = FeatureSettings(
    **{"size": 32, "channels": 1, "backbone": "conv4", "backbone_width": 0.1},
    **{"backbones": ("random",), "feature_learners": ("probe", "ordinal_probe", "protonet")},
    **{"feature_steps": 3, "feature_hidden": (4,), "meta_shots": 1, "meta_queries": 1, "ways": 2},
    **{"shots": (2,), "queries": 3, "draws": 7, "maml_draws": 0, "validation_tasks": 2},
    **{"validate_every": 3, "meta_batch": 1},
)


def provenance(name):
    return Provenance(name, "real", "0" * 64, 1, "none", "none")


def pictures(rng, labels):
    """Brighter from class to class, in noise."""
    noise = rng.integers(0, 200, (len(labels), 32, 32, 1))
    return np.clip(noise + 12 * labels[:, None, None, None], 0, 255).astype(np.uint8)


def target_of(name, classes, seed, ordered):
    labels = np.repeat(np.arange(classes), 9).astype(np.int32)
    images = pictures(np.random.default_rng(seed), labels)
    names = tuple(map(str, range(classes)))
    return TargetSet(name, images, labels, names, None, ordered, provenance(name))


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 6).astype(np.int32)
    sets = [
        ImageSet(pictures(rng, labels), labels, ("a", "b", "c"), provenance("meta"))
        for _ in range(2)
    ]
    targets = (target_of("grades", 3, 1, True), target_of("findings", 2, 2, False))
    return FeatureData(ClassParts(*sets, None), targets, ())


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    with open_run(folder, "medical", "run", dataclasses.asdict(CONFIG)) as opened:
        fill_feature_table(CONFIG, opened, data, folder / "features")
        yield opened


def reading(run, row):
    name = "-".join(str(row[key]) for key in ("learning", "model", "shots", "target"))
    with np.load(run.path / "readings" / f"{name}.npz") as kept:
        return {key: kept[key] for key in ("votes", "truth", "films")}


def test_every_learner_has_a_row_on_every_target_that_it_can_read(run):
    cells = {(row["learning"], row["target"]) for row in run.results.rows}
    both = {(name, target) for name in ("probe", "protonet") for target in ("grades", "findings")}
    assert cells == both | {("ordinal_probe", "grades")}
    assert len(run.results.rows) == len(cells)
    for row in run.results.rows:
        ordered = row["target"] == "grades"
        assert ("kappa" in row) == ordered and row["ways"] == (3 if ordered else 2)
        assert row["n"] == 7 and row["trainings"] == 1 and row["model"] == "random"
        kept = reading(run, row)
        assert kept["truth"].shape == (7, 3 * row["ways"])
        assert row["mean"] == pytest.approx((kept["votes"][:, 0] == kept["truth"]).mean())


def test_learners_are_asked_the_same_images_and_compared_with_the_probe_in_pairs(run):
    rows = {(r["learning"], r["target"]): r for r in run.results.rows}
    ours, first = rows["protonet", "findings"], rows["probe", "findings"]
    np.testing.assert_array_equal(reading(run, ours)["films"], reading(run, first)["films"])
    assert ours["to_probe"] == pytest.approx(ours["mean"] - first["mean"])
    assert ours["to_probe_ci95"] > 0 and "to_probe" not in first


def test_area_under_the_curve_is_that_of_the_answers(run, data, monkeypatch):
    found = {}

    def kept(scores, films, truth, shots):
        found["scores"], found["truth"] = np.asarray(scores), np.asarray(truth)
        return real(scores, films, truth, shots)

    from metabone.workflows import feature_table

    real = feature_table.auroc_interval
    monkeypatch.setattr(feature_table, "auroc_interval", kept)
    again = dataclasses.replace(CONFIG, feature_learners=("probe",), draw_seed=1)
    with open_run(run.path.parent, "medical", "again", dataclasses.asdict(again)) as other:
        fill_feature_table(again, other, data, run.path.parent / "features")
        row = other.results.rows[-1]
    assert row["target"] == "findings"
    areas = [
        roc_auc_score(truth, scores[:, 1])
        for truth, scores in zip(found["truth"], found["scores"], strict=True)
    ]
    assert row["auroc"] == pytest.approx(np.mean(areas))


def test_a_run_that_holds_all_rows_measures_nothing_again(run, data):
    before = run.results.rows
    fill_feature_table(CONFIG, run, data, run.path / "nowhere")
    assert run.results.rows == before and not (run.path / "nowhere").exists()


def test_an_image_that_is_learned_from_is_no_target(data):
    check_apart(data.parts, data.targets)
    target = data.targets[0]
    images = target.images.copy()
    images[3] = data.parts.train.images[0]
    with pytest.raises(InputError, match="grades"):
        check_apart(data.parts, (target._replace(images=images),))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"backbones": ("resnet18",)}, "NAME:FILE with a file that is there"),
        ({"backbones": ("resnet18:/nowhere",)}, "NAME:FILE with a file that is there"),
        ({"backbones": ("random", "random")}, "expected different"),
        ({"feature_learners": ("prob",)}, "expected different ones of probe"),
        ({"targets": ()}, "expected different"),
        ({"draws": 1}, "--draws=1: expected at least 2"),
        ({"maml_draws": 1}, "expected 0 or at least 2"),
    ],
)
def test_settings_that_cannot_be_are_refused_in_one_line(changes, said):
    with pytest.raises(InputError, match=said):
        check_features(dataclasses.replace(CONFIG, **changes))


def test_a_target_is_called_by_the_last_part_of_its_source():
    assert name_of("retinamnist:a/b/retinamnist.npz") == "retinamnist"
    assert name_of("rsna:/data/rsna_512px") == "rsna_512px"
