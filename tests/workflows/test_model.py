import dataclasses
import hashlib
import json
import os
import subprocess
import sys

import jax
import jax.export
import numpy as np
import pytest
import safetensors.numpy
from PIL import Image

import metabone as mb
from metabone.datasets.film_bytes import OwnFilm
from metabone.datasets.own_films import LabelledFilms, read_labelled_films
from metabone.datasets.stated import Stated
from metabone.episodes.sampling import scale
from metabone.learners.embedding import r2d2
from metabone.nets.networks import conv_net
from metabone.workflows import adaptation
from metabone.workflows.export import export_model
from metabone.workflows.film_evaluation import evaluate
from metabone.workflows.folds import deal_folds
from metabone.workflows.learned_runs import features_of
from metabone.workflows.model import BLANK, KNOWN, UNLIKE
from metabone.workflows.prediction_files import predictions_in_words, write_prediction_files
from metabone.workflows.prediction_program import PredictionProgram
from metabone.workflows.trained import Trained
from tests.imaging.conftest import dicom_file

SIZE = 8


def trained_of(make=r2d2, norm="inductive", features=True, **options):
    """A learner as it is before anything was learned."""
    network = conv_net(0, blocks=2, halvings=2, filters=3, downsample="stride")
    learner = make(network, 2, norm=norm, **options)
    params = learner.init(jax.random.key(0), (SIZE, SIZE, 1))
    return Trained(
        lambda ways: make(network, ways, norm=norm, **options),
        params,
        (SIZE, SIZE, 1),
        scale,
        features_of(network) if features else None,
        {"learner": "R2-D2", "source": "nothing", "kind": "simulated"},
    )


def bright(seed, each=10, names=("a", "b"), size=SIZE, noise=12):
    """Classes that brightness tells apart."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(names)), each)
    slope = np.linspace(-1, 1, size) * (20 + 60 * labels[:, None, None])
    images = 120 + slope + rng.normal(0, noise, (len(labels), size, size))
    return images.clip(0, 255).astype(np.uint8), np.asarray(names)[labels]


@pytest.fixture(scope="module")
def trained():
    return trained_of()


@pytest.fixture(scope="module")
def model(trained):
    return mb.adapt(*bright(0), learner=trained)


@pytest.fixture
def fresh(model):
    """The model, not compiled yet: tests differ in how programs are compiled."""
    return dataclasses.replace(model, program=PredictionProgram(model.program.data, "model"))


def same(one, two):
    np.testing.assert_array_equal(one.answers, two.answers)
    np.testing.assert_array_equal(one.probabilities, two.probabilities)
    np.testing.assert_array_equal(one.distances, two.distances)
    np.testing.assert_array_equal(one.nearest, two.nearest)
    assert one.conformal == two.conformal and one.warnings == two.warnings


def test_what_can_be_told_apart_is_and_the_model_says_so(model):
    assert model.evaluation.accuracy.value == 1.0
    assert model.verdict.startswith("Better than guessing: 100.0 %")
    images, labels = bright(1)
    found = model.predict(images)
    np.testing.assert_array_equal(found.answers, labels)
    np.testing.assert_allclose(found.probabilities.sum(-1), 1, rtol=1e-6)
    names = model.films.labels[found.nearest[:, 0]]
    assert (np.asarray(model.classes)[names] == labels).mean() > 0.9


@pytest.mark.optimized
def test_answers_on_a_film_are_the_same_whichever_films_are_asked_with_it(fresh):
    images, _ = bright(2, each=20)
    together = fresh.predict(images)
    for rows in ([3], [3, 0], range(3, 39)):
        alone = fresh.predict(images[list(rows)])
        np.testing.assert_array_equal(alone.probabilities[0], together.probabilities[3])
    program = jax.export.deserialize(bytearray(fresh.program.data))
    for count in (1, 2, 7, 40):
        found = np.asarray(program.call(images[:count, ..., None])["probabilities"])
        np.testing.assert_array_equal(found, together.probabilities[:count])


def test_integers_stay_integers_and_sizes_and_colours_do_not_matter(trained):
    images, labels = bright(3, names=("a", "b"), size=20)
    numbers = np.where(labels == "a", 4, 7)
    colour = [np.repeat(image[..., None], 3, -1) for image in images]
    grey = mb.adapt(images, numbers, learner=trained)
    again = mb.adapt(colour, numbers.tolist(), learner=trained)
    assert grey.classes == (4, 7) and grey.predict(images).answers.dtype.kind == "i"
    np.testing.assert_array_equal(
        grey.predict(colour).probabilities, again.predict(images).probabilities
    )
    assert "RGB to grey by ITU-R 601-2 luma (20 of 20 films)" in again.about["notes"]
    assert "padded with black to a square, LANCZOS to 8x8 (20 of 20 films)" in grey.about["notes"]


def test_three_films_a_class_are_enough_and_their_sets_hold_all_classes(trained):
    images, labels = bright(4, each=3)
    model = mb.adapt(images, labels, learner=trained)
    assert model.evaluation.folds == 3 and model.evaluation.set_limit == 0
    assert model.predict(images).conformal == (("a", "b"),) * 6
    assert "too few" in model.summary()["Sets at 90 %"]


def test_learners_without_features_or_with_more_outputs_serve():
    wide = trained_of(features=False)
    five = wide._replace(learner_for=lambda ways: r2d2(conv_net_of(), 5))
    model = mb.adapt(*bright(5), learner=five)
    assert model.about["likeness"] == "pixels"
    assert model.predict(bright(6)[0]).probabilities.shape == (20, 2)
    assert model.films.features.shape == (20, SIZE * SIZE)


def conv_net_of():
    return conv_net(0, blocks=2, halvings=2, filters=3, downsample="stride")


def test_transductive_learner_is_refused():
    with pytest.raises(mb.InputError, match="depends on the films asked with it"):
        mb.adapt(*bright(0), learner=trained_of(norm="transductive"))


def test_film_unlike_all_labelled_ones_is_marked_and_films_like_them_are_not(model):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 2, (5, SIZE, SIZE), np.uint8) * 255
    flat = np.full((1, SIZE, SIZE), 120, np.uint8)
    found = model.predict(np.concatenate([noise, flat]))
    assert found.warnings == (UNLIKE,) * 5 + (BLANK,)
    like = model.predict(bright(7, each=100)[0]).warnings
    assert np.mean([bool(warning) for warning in like]) < 0.2
    assert model.predict(bright(0)[0]).warnings == (KNOWN,) * 20


def test_copies_and_patients_are_never_learned_from_and_tested_on(trained, monkeypatch):
    seen = []

    def spy(labels, units, classes, seed):
        folds = deal_folds(labels, units, classes, seed)
        seen.append((units, folds))
        return folds

    monkeypatch.setattr(adaptation, "deal_folds", spy)
    images, labels = bright(8)
    images[11] = images[12]
    model = mb.adapt(images, labels, learner=trained, groups=[n // 2 for n in range(20)])
    ((units, folds),) = seen
    assert units[11] == units[12] == units[13] == units[10] and folds[11] == folds[12]
    assert model.evaluation.units == 9 and "9 in all" in model.summary()["Accuracy"]


class DicomFilms(LabelledFilms):
    """Films on disk whose files name patients, two films each, but for the last two."""

    def read(self, channels):
        for row, image in enumerate(bright(8)[0]):
            yield OwnFilm(image, (), group=f"hash {row // 2}" if row < 18 else None)


def test_patients_that_files_name_are_kept_together_unless_the_user_names_some(trained):
    labels = tuple(bright(8)[1].tolist())
    files = tuple(f"{row}.dcm" for row in range(20))
    films = DicomFilms("films", files, labels, None, None, None, (), Stated("", ""))
    model = mb.adapt(films, learner=trained)
    assert model.evaluation.units == 11 and not model.about["patients_known"]
    (note,) = [note for note in model.about["notes"] if "patients" in note]
    assert note.startswith("patients told apart by the DICOM files' own numbers (18 of 20 films)")
    assert "hash" not in json.dumps(model.about)
    named = films._replace(groups=tuple(f"p{row % 10}" for row in range(20)))
    model = mb.adapt(named, learner=trained)
    assert (
        model.evaluation.units == 10
        and model.about["patients_known"]
        and not any("DICOM" in n for n in model.about["notes"])
    )


def test_nothing_that_a_dicom_file_says_of_its_patient_is_written_or_told(trained, tmp_path, capfd):
    planted = ["Planted^Jane", "ID-4711-XY", "19991231", "St. Planted", "free planted words"]
    keys = ["PatientName", "PatientID", "PatientBirthDate", "InstitutionName", "PatientComments"]
    images, labels = bright(8)
    for row, (image, label) in enumerate(zip(images, labels, strict=True)):
        path = tmp_path / "films" / label / f"{row}"
        path.parent.mkdir(parents=True, exist_ok=True)
        own = dict(zip(keys, planted, strict=True)) | {"PatientID": f"{planted[1]}{row}"}
        path.write_bytes(dicom_file(image, BurnedInAnnotation="YES", **own))
    (tmp_path / "films" / "a" / "cut").write_bytes(path.read_bytes()[:-40])
    with pytest.raises(mb.InputError) as caught:
        mb.adapt(read_labelled_films(tmp_path / "films"), learner=trained)
    told = [str(caught.value)]
    out = tmp_path / "out"
    (tmp_path / "films" / "a" / "cut").rename(tmp_path / "cut")
    model = mb.adapt(read_labelled_films(tmp_path / "films"), learner=trained)
    assert model.evaluation.units == 20 and model.about["patients_known"]
    assert any("marks are burnt into the pixels" in note for note in model.about["notes"])
    (tmp_path / "cut").rename(tmp_path / "films" / "a" / "cut")
    model.save(out / "model")
    export_model(model, out / "export")
    read = write_prediction_files(model, tmp_path / "films", out / "answers")
    assert len(read.files) == 20 and list(read.unreadable) == ["a/cut"]
    told += [*capfd.readouterr(), *predictions_in_words(model, read), *model.summary().values()]
    written = b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file())
    everything = written + "\n".join(told).encode()
    assert not [word for word in planted if word.encode() in everything]


def test_sex_that_no_film_on_disk_tells_is_one_line():
    labels = tuple(bright(8)[1].tolist())
    files = tuple(f"{row}.dcm" for row in range(20))
    films = DicomFilms("films", files, labels, None, None, None, (), Stated("", ""))
    with pytest.raises(mb.InputError, match="sex is told of no film: expected a column sex in a"):
        mb.adapt(films, learner="hog", ordered=True, sex=True)


@pytest.mark.parametrize("dimensions", [2, 30])
@pytest.mark.parametrize("classes", [2, 3])
def test_noise_is_not_better_than_guessing_in_19_of_20_sets(classes, dimensions):
    """By the fold's own answers: what matters is how cross-validation scatters, not the network."""
    passed = 0
    count = 20 * classes
    for seed in range(100):
        rng = np.random.default_rng(seed)
        labels = np.arange(count) % classes
        features = rng.normal(size=(count, dimensions))
        folds = deal_folds(labels, np.arange(count), range(classes), seed)
        logits = np.empty((count, classes))
        for fold in range(5):
            known, asked = folds != fold, folds == fold
            means = [features[known & (labels == label)].mean(0) for label in range(classes)]
            logits[asked] = -((features[asked][:, None] - np.stack(means)) ** 2).sum(-1)
        passed += evaluate(logits, labels, folds, np.arange(count), {}).better
    assert passed / 100 <= 0.05


def test_noise_is_told_from_knowledge_in_words(trained):
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (30, SIZE, SIZE), np.uint8)
    model = mb.adapt(images, np.arange(30) % 2, learner=trained)
    assert not model.evaluation.better
    assert model.verdict.startswith("Not better than guessing, as far as 30 films can tell")
    assert "the commonest class gets 50.0 %" in model.verdict


def test_occlusion_shows_where_the_answer_comes_from(trained):
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    images = rng.normal(100, 5, (40, SIZE, SIZE))
    images[:, :4, :4] += 100 * labels[:, None, None]
    model = mb.adapt(images.astype(np.uint8), labels, learner=trained)
    found = model.explain(images[1].astype(np.uint8))
    assert found.shape == (SIZE, SIZE) and found.dtype == np.float32
    assert found[:4, :4].mean() > 2 * np.abs(found[4:, 4:]).mean()
    assert found[:4, :4].mean() > 0.1


def test_occlusion_of_an_oblong_film_has_its_shape(model):
    assert model.explain(np.random.default_rng(0).integers(0, 256, (10, 31), np.uint8)).shape == (
        10,
        31,
    )


@pytest.mark.optimized
def test_loaded_model_answers_the_same_to_the_bit(fresh, tmp_path):
    folder = fresh.save(tmp_path / "new" / "model")
    assert [path.name for path in folder.parent.iterdir()] == ["model"]
    loaded = mb.load(folder)
    images, _ = bright(9)
    same(fresh.predict(images), loaded.predict(images))
    np.testing.assert_array_equal(fresh.explain(images[0]), loaded.explain(images[0]))
    assert loaded.summary() == fresh.summary()
    assert dataclasses.asdict(loaded.evaluation) == dataclasses.asdict(fresh.evaluation)


def test_model_never_overwrites(model, tmp_path):
    with pytest.raises(mb.InputError, match="exists already"):
        model.save(tmp_path)
    assert not list(tmp_path.iterdir())


def test_half_written_model_is_never_taken_for_one(model, tmp_path, monkeypatch):
    def stop(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.rename", stop)
    with pytest.raises(mb.InputError, match=r"cannot be written \(No space left"):
        model.save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def saved(model, tmp_path):
    return model.save(tmp_path / "model")


def cut(path):
    path.write_bytes(path.read_bytes()[:100])


def other_version(path):
    path.write_text(path.read_text().replace('"version": 1', '"version": 2'))


def without_classes(path):
    record = json.loads(path.read_text())
    del record["classes"]
    path.write_text(json.dumps(record))


def fewer_classes(path):
    record = json.loads(path.read_text())
    record["classes"] = record["classes"][:1]
    path.write_text(json.dumps(record))


def foreign(path):
    path.write_text('{"format": "another"}')


def a_list(path):
    path.write_text("[]")


def bottomless(path):
    path.write_text("[" * 200_000)


def replaced(path, data):
    """As one would who can write the checksum too."""
    path.write_bytes(data)
    record = json.loads((path.parent / "model.json").read_text())
    record["sha256"][path.name] = hashlib.sha256(data).hexdigest()
    (path.parent / "model.json").write_text(json.dumps(record))


def another_program(path):
    shape = jax.ShapeDtypeStruct((3,), np.float32)
    replaced(path, bytes(jax.export.export(jax.jit(lambda x: {"x": x}))(shape).serialize()))


def narrower_features(path):
    tensors = safetensors.numpy.load(path.read_bytes())
    tensors["features"] = np.ascontiguousarray(tensors["features"][:, :1])
    replaced(path, safetensors.numpy.save(tensors))


@pytest.mark.parametrize(
    ("file", "spoil", "message"),
    [
        ("program.jax_export", cut, "program.jax_export: damaged"),
        ("weights.safetensors", cut, "weights.safetensors: damaged"),
        ("films.safetensors", cut, "films.safetensors: damaged"),
        ("films.safetensors", os.remove, "films.safetensors: cannot be read"),
        ("model.json", cut, "is not JSON"),
        ("model.json", other_version, "version '2' of the format, expected 1"),
        ("model.json", without_classes, "damaged (KeyError in model.json)"),
        ("model.json", fewer_classes, "damaged (ValueError in model.json)"),
        ("model.json", foreign, "not a model of metabone"),
        ("model.json", a_list, "not a model of metabone"),
        ("model.json", bottomless, "model.json is not JSON"),
        ("program.jax_export", another_program, "program.jax_export: no program of a model"),
        ("films.safetensors", narrower_features, "damaged (ValueError in model.json)"),
    ],
)
def test_damaged_and_foreign_folders_are_one_line(saved, file, spoil, message):
    spoil(saved / file)
    with pytest.raises(mb.InputError) as caught:
        mb.load(saved)
    assert message in str(caught.value) and str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_no_model_is_one_line(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(mb.InputError, match=f"{name}: no model"):
        mb.load(tmp_path / name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(labels=None), "no labels"),
        (dict(labels=["a"] * 20), "1 classes; expected two or more"),
        (dict(labels=["a"] * 18 + ["b"] * 2), "class 'b' has 2 films; at least 3"),
        (dict(labels=["a"] * 3), "3 labels for 20 films"),
        (dict(labels=[0.5] * 20), "expected one string or integer a film"),
        (dict(labels=[1, "b"] * 10), "labels are strings and numbers; expected all of one kind"),
        (dict(classes=["a", "b", "c"]), "classes a, b, c: expected those of the films"),
        (dict(groups=[1] * 3), "3 groups for 20 films"),
        (dict(groups=[1] * 20), "all its films are copies or of one patient"),
        (dict(seed=2**32), "seed (=4294967296)"),
        (dict(arm="maml"), "arm 'maml': only a run has several learners"),
        (dict(learner="nowhere"), "nowhere"),
        (dict(learner=mb.protonet(lambda: None, ways=2)), "learner is a MetaLearner: expected"),
        (dict(images=np.zeros((20, 8, 8))), "image 0: of dtype float64, expected uint8"),
        (dict(images=np.full((20, 8, 8), np.nan)), "image 0: has values that are not finite"),
        (dict(images=np.zeros((20, 8, 8, 2), np.uint8)), "image 0: of shape (8, 8, 2)"),
        (dict(images=np.zeros((20, 8, 8), np.uint8)), "are the same image under two labels"),
    ],
)
def test_what_cannot_be_adapted_to_is_one_line(trained, change, message):
    images, labels = bright(0)
    given = dict(images=images, labels=labels, learner=trained) | change
    with pytest.raises(mb.InputError) as caught:
        mb.adapt(given.pop("images"), given.pop("labels"), **given)
    assert message in str(caught.value)


@pytest.mark.optimized
def test_exported_program_answers_the_same_to_the_bit_with_jax_alone(fresh, tmp_path):
    folder = export_model(fresh, tmp_path / "out")
    assert sorted(path.name for path in folder.iterdir()) == [
        "MODEL_CARD.md",
        "prediction.jax_export",
        "weights.safetensors",
    ]
    images, _ = bright(10)
    np.save(tmp_path / "images.npy", images[..., None])
    code = """
import sys
sys.modules["metabone"] = None  # whoever imports it fails
import jax, numpy as np
model = jax.export.deserialize(bytearray(open("out/prediction.jax_export", "rb").read()))
np.save("found.npy", model.call(np.load("images.npy"))["probabilities"])
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=120)
    found = np.load(tmp_path / "found.npy")
    np.testing.assert_array_equal(found, fresh.predict(images).probabilities)


def test_no_folder_of_this_machine_is_in_the_program(model):
    import metabone

    assert str(metabone.__path__[0]).encode() not in model.program.data


@pytest.mark.optimized
def test_card_tells_data_accuracy_what_it_is_not_and_how_to_call_it(fresh, tmp_path, monkeypatch):
    folder = export_model(fresh, tmp_path / "out")
    card = (folder / "MODEL_CARD.md").read_text()
    assert "This is no medical device" in card
    assert "| a | 10 |" in card and "Better than guessing: 100.0 % (95 % interval 83.9" in card
    assert "50.0 % by always answering the commonest class" in card
    film = np.random.default_rng(0).integers(0, 256, (20, 32), np.uint8)
    Image.fromarray(film).save(folder / "film.png")
    code = card.split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(folder)
    exec(code.replace("print(", "said.append("), {"said": (said := [])})
    np.testing.assert_array_equal(said[0], fresh.predict([film]).probabilities)
    assert len(code.strip().splitlines()) == 5


def test_card_tells_the_learners_own_figures_in_words(model):
    from metabone.workflows.model_card import model_card

    figures = {"accuracy_on_simulated_hands": {"left and right hands": 0.991}}
    about = {**model.about, "learner": {"learner": "R2-D2", **figures}}
    card = model_card(dataclasses.replace(model, about=about), "program", "weights")
    assert "- accuracy on simulated hands: left and right hands 99.1 %" in card


def test_the_cards_program_names_classes_as_they_are_and_stays_one_block(model):
    from metabone.workflows.model_card import model_card

    odd = dataclasses.replace(model, classes=("<12 months", "`b`\n```"))
    card = model_card(odd, "program", "weights")
    assert "# of <12 months, 'b'\N{REPLACEMENT CHARACTER}'''\n" in card
    assert "| &lt;12 months | 10 |" in card and card.count("```") == 2


def test_classes_come_in_the_order_that_is_given(trained):
    images, labels = bright(12, names=("late", "early", "middle"))
    order = ["early", "middle", "late"]
    model = mb.adapt(images, labels, learner=trained, classes=order, ordered=True)
    assert model.classes == tuple(order) and list(model.counts) == order
    numbers = [order.index(label) for label in labels]
    np.testing.assert_array_equal(model.films.labels, numbers)
    assert "stages on the average" in model.summary()["Stages"]


def test_stage_error_and_kappa_are_those_of_the_answers():
    answers = np.array([0, 1, 2, 2, 0, 2])
    labels = np.array([0, 1, 2, 0, 0, 1])
    parts = np.array([0, 0, 0, 1, 1, 1]), np.arange(6)
    found = evaluate(np.eye(3)[answers], labels, *parts, {}, ordered=True)
    assert found.stage_error == pytest.approx(3 / 6)
    by_chance = np.mean((labels[:, None] - answers) ** 2)
    assert found.kappa == pytest.approx(1 - (5 / 6) / by_chance)
    plain = evaluate(np.eye(3)[answers], labels, *parts, {})
    assert plain.stage_error is None and plain.kappa is None
