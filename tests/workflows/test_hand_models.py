"""Models that read regions of hands, on films that stand for hands: bright ones, cut in six."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from PIL import Image
from scipy.special import softmax

import metabone as mb
from metabone.episodes.sampling import scale
from metabone.episodes.types import Examples
from metabone.learners.embedding import r2d2
from metabone.nets.networks import conv_net
from metabone.workflows import adaptation, hand_regions
from metabone.workflows.canonical_hands import METHOD
from metabone.workflows.hand_regions import HandCut, HandRegions
from metabone.workflows.hog_learner import REGION_BLUR
from metabone.workflows.learned_runs import features_of
from metabone.workflows.model import KNOWN, NO_SEX
from metabone.workflows.prediction_files import write_prediction_files
from metabone.workflows.trained import Trained

SIX = "min_kang_6"
DARK = "no hand: it is dark"


def cut(self, films):
    """Six parts of a film of 16 x 24 pixels; dark films are refused."""
    self.check()
    cuts = []
    for film in films:
        small = [film[8 * (part // 3) :, 8 * (part % 3) :][:8, :8] for part in range(6)]
        regions = np.stack(small)
        dark = film.max() < 20
        refusal = DARK if dark else ""
        cuts.append(HandCut(None if dark else regions, film, ("turned",), refusal))
    return cuts


def stand_ins(patch):
    patch.setattr(hand_regions, "point_net_of", lambda given: ())
    patch.setattr(
        hand_regions, "weights_sha256", lambda net: "0" * 64 if net == () else "another network"
    )
    zeros = np.zeros((6, 64, 64, 2), np.float32)
    patch.setattr(hand_regions, "simulated_templates", lambda regions: zeros)
    patch.setattr(HandRegions, "cut", cut)


@pytest.fixture(autouse=True)
def hands(monkeypatch):
    stand_ins(monkeypatch)


@pytest.fixture(scope="module")
def trained():
    """A learner as it is before anything was learned."""
    network = conv_net(0, blocks=2, halvings=2, filters=3, downsample="stride")
    params = r2d2(network, 2).init(jax.random.key(0), (8, 8, 1))
    about = {"learner": "R2-D2", "source": "nothing", "kind": "simulated"}
    return Trained(
        lambda ways: r2d2(network, ways), params, (8, 8, 1), scale, features_of(network), about
    )


def sloped(seed, each=8, names=("a", "b", "c")):
    """Films whose parts tell the class by how their greys slope."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(names)), each)
    films = rng.normal(130, 12, (len(labels), 16, 24))
    films += np.tile(np.linspace(-50, 50, 8), 3) * (labels[:, None, None] - 1)
    return films.clip(0, 255).astype(np.uint8), np.asarray(names)[labels]


@pytest.fixture(scope="module")
def model(trained):
    with pytest.MonkeyPatch.context() as patch:
        stand_ins(patch)
        films, labels = sloped(0)
        films[5] = films[20] = 3
        return mb.adapt(films, labels, learner=trained, regions=SIX, ordered=True)


def regions_of(films):
    parts = films.reshape(-1, 2, 8, 3, 8).transpose(0, 1, 3, 2, 4)
    return parts.reshape(-1, 6, 8, 8, 1)


def test_each_region_is_a_task_and_answers_are_the_mean_of_their_probabilities(model, trained):
    films, labels = sloped(0)
    kept = [row for row in range(24) if row not in (5, 20)]
    numbers = np.searchsorted(model.classes, labels).astype(np.int32)[kept]
    known, asked = regions_of(films[kept]), regions_of(sloped(1)[0])
    learner = trained.learner_for(3)
    each = []
    for region in range(6):
        support = Examples(trained.prepare(known[:, region]), numbers)
        adapted = learner.adapt(trained.meta_params, support, jax.random.key(0))
        logits = learner.predict(adapted, trained.prepare(asked[:, region]))
        each.append(softmax(np.asarray(logits, np.float64), -1))
    mean = np.log(np.mean(each, 0)) / model.evaluation.temperature
    found = model.predict(sloped(1)[0])
    np.testing.assert_allclose(found.probabilities, softmax(mean, -1), atol=2e-3)
    without = (np.sum(each, 0)[None] - each) / 5
    without = softmax(np.log(without) / model.evaluation.temperature, -1)
    rows, best = np.arange(24), mean.argmax(-1)
    drops = found.probabilities[rows, best] - without[:, rows, best]
    np.testing.assert_allclose(found.drops, drops.T, atol=4e-3)


def test_films_that_are_no_hands_are_named_left_out_and_get_no_answer(model):
    assert model.about["refused"] == {"image 5": DARK, "image 20": DARK}
    assert model.counts == {"a": 7, "b": 8, "c": 7} and len(model.films.files) == 22
    assert model.summary()["Regions"].endswith("Films refused as no hands that can be read: 2.")
    films, _ = sloped(1, each=1)
    films[1] = 3
    found = model.predict(films)
    alone = model.predict(films[[0, 2]])
    assert found.answers[1] is None and found.conformal[1] == ()
    assert found.warnings[1] == f"Not read: {DARK}."
    assert np.isnan(found.probabilities[1]).all() and (found.nearest[1] == -1).all()
    np.testing.assert_array_equal(found.answers[[0, 2]], alone.answers)
    np.testing.assert_array_equal(found.probabilities[[0, 2]], alone.probabilities)
    nothing = model.predict(films[[1]])
    assert nothing.answers.tolist() == [None] and nothing.probabilities.shape == (1, 3)


def test_films_on_disk_that_are_no_hands_have_a_row_that_says_why(model, tmp_path):
    (tmp_path / "new").mkdir()
    Image.fromarray(np.full((16, 24), 3, np.uint8)).save(tmp_path / "new" / "dark.png")
    (tmp_path / "new" / "text.dcm").write_bytes(b"no film")
    for place, hands in (("one", 0), ("two", 1)):
        if hands:
            Image.fromarray(sloped(1)[0][0]).save(tmp_path / "new" / "hand.tif")
        read = write_prediction_files(model, tmp_path / "new", tmp_path / place)
        rows = (tmp_path / place / "predictions.csv").read_text().splitlines()
        assert rows[1] == f"dark.png,,,,,,Not read: {DARK}."
        assert rows[-1].startswith('text.dcm,,,,,,"Could not be read: not a DICOM')
        assert len(read.files) == hands and len(rows) == 3 + hands
        page = (tmp_path / place / "predictions.html").read_text()
        assert f"dark.png: {DARK}" in page
    answer = model.predict(sloped(1)[0][:1])
    assert rows[2].split(",")[1] == str(answer.answers[0])
    assert "thumb, distal phalanx" in page


def test_too_few_hands_of_a_class_are_one_line(trained):
    films, labels = sloped(0, each=3)
    films[4] = 3
    with pytest.raises(mb.InputError) as caught:
        mb.adapt(films, labels, learner=trained, regions=SIX)
    assert str(caught.value) == (
        f"class 'b' has 2 films left, without those that were refused (image 4: {DARK}); at least "
        "3 a class are needed"
    )


def test_stages_are_judged_by_how_far_answers_are_off(model):
    found = model.evaluation
    assert 0 <= found.stage_error <= (1 - found.accuracy.value) * 2
    assert found.stage_error >= 1 - found.accuracy.value
    assert found.kappa > 0.5 and "Stages" in model.summary()
    assert model.films.thumbnails.shape == (22, 96, 96, 1)
    assert model.predict(sloped(0)[0][:1]).warnings == (KNOWN,)
    with pytest.raises(mb.InputError, match=r"predict\(...\).drops tells"):
        model.explain(sloped(0)[0][0])


def test_a_model_of_hands_is_found_again_and_refuses_other_key_points(model, tmp_path, monkeypatch):
    folder = model.save(tmp_path / "model")
    record = json.loads((folder / "model.json").read_text())
    told = {"name": SIX, "key_points_sha256": "0" * 64, "method": METHOD}
    assert record["regions"] == told
    films, _ = sloped(2)
    found, loaded = model.predict(films), mb.load(folder)
    np.testing.assert_array_equal(loaded.predict(films).probabilities, found.probabilities)
    np.testing.assert_array_equal(loaded.predict(films).drops, found.drops)
    monkeypatch.setattr(hand_regions, "point_net_of", lambda given: given)
    other = mb.load(folder, key_points="other.safetensors")
    with pytest.raises(mb.InputError) as caught:
        other.hands.check()
    older = dataclasses.replace(loaded.hands, method=METHOD - 1)
    with pytest.raises(mb.InputError, match=r"another way to see hands \(\d+\) than that of this"):
        older.check()
    assert str(caught.value) == (
        "key points by other.safetensors (sha256 another netw): the model was adapted with others "
        "(000000000000); --key_points says where they are"
    )


@pytest.mark.parametrize("spoil", ["name", "templates", "not finite", "no regions"])
def test_what_is_wrong_about_regions_in_a_folder_is_one_line(model, tmp_path, spoil):
    templates = model.hands.templates.copy()
    if spoil == "templates":
        templates = templates[:5]
    elif spoil == "not finite":
        templates[0, 0, 0, 0] = np.inf
    spoilt = dataclasses.replace(model.hands, templates=templates)
    folder = dataclasses.replace(model, hands=spoilt).save(tmp_path / "model")
    record = json.loads((folder / "model.json").read_text())
    if spoil == "name":
        record["regions"]["name"] = "../wrist"
    elif spoil == "no regions":
        record["regions"] = None
    (folder / "model.json").write_text(json.dumps(record))
    with pytest.raises(mb.InputError, match=r"model: damaged \(\w+ in model.json\)$"):
        mb.load(folder)


def test_the_exported_program_takes_regions_and_its_card_says_which(model, tmp_path):
    from metabone.workflows.export import export_model

    folder = export_model(model, tmp_path / "out")
    card = (folder / "MODEL_CARD.md").read_text()
    assert "`[6, 8, 8, 1]`" in card and "thumb, distal phalanx, middle finger" in card
    program = jax.export.deserialize(bytearray((folder / "prediction.jax_export").read_bytes()))
    films, _ = sloped(3)
    found = program.call(regions_of(films))["probabilities"]
    np.testing.assert_allclose(found, model.predict(films).probabilities, atol=1e-6)


def test_sex_is_read_beside_the_film_where_stages_are_ordered():
    _, labels = sloped(4, each=10, names=("a", "b"))
    rng = np.random.default_rng(4)
    films = rng.integers(100, 104, (23, 16, 24)).astype(np.uint8)  # Nothing to see.
    sex = ["F"] * 10 + ["M"] * 10
    model = mb.adapt(films[:20], labels, learner="hog", ordered=True, sex=sex)
    assert model.image_shape == (65, 64, 1) and model.evaluation.accuracy.value >= 0.9
    found = model.predict([films[20]] * 3, sex=["F", "M", ""])
    assert found.answers[:2].tolist() == ["a", "b"]
    assert found.warnings == ("", "", NO_SEX)
    assert found.probabilities[0, 0] > found.probabilities[2, 0] > found.probabilities[1, 0]
    assert model.explain(films[21]).shape == (16, 24)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(regions="min_kang"), "regions 'min_kang': expected one of min_kang_6, hand_11"),
        (dict(regions="", key_points="x"), "key_points are for films that are read by regions"),
        (dict(sex=["F"] * 24), "sex is used by learner 'hog' with ordered classes alone"),
        (dict(sex=True, ordered=True), "sex: expected 'F', 'M' or '' a film"),
        (dict(sex=["F"], ordered=True), "1 of sex for 24 films"),
        (dict(sex=["f"] * 24, ordered=True, regions=""), "sex 'f': expected 'F', 'M'"),
        (dict(classes=["a", "b"]), "classes a, b: expected those of the films, each once: a, b, c"),
    ],
)
def test_what_is_no_hand_model_is_one_line(change, message):
    films, labels = sloped(0)
    with pytest.raises(mb.InputError) as caught:
        mb.adapt(films, labels, **dict(learner="hog", regions=SIX) | change)
    assert message in str(caught.value) and str(caught.value).isprintable()


def test_gradients_of_regions_are_smoothed_and_those_of_films_as_a_whole_are_not(monkeypatch):
    told = []

    def record(**given):
        told.append(given["blur"])
        raise InterruptedError

    monkeypatch.setattr(adaptation, "hog_learner", record)
    films, labels = sloped(0)
    for regions in ("", SIX):
        with pytest.raises(InterruptedError):
            mb.adapt(films, labels, learner="hog", regions=regions, ordered=True)
    assert told == [0.0, REGION_BLUR]
