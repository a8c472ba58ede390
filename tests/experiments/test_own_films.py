"""The way from one's own labelled films to predictions, as its user goes it."""

import csv
import io
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

import metabone as mb
from metabone.workflows.demo_films import write_demo_films

TINY = {
    "size": 16,
    "meta_classes": 9,
    "meta_images": 4,
    "filters": 2,
    "ways": 2,
    "queries": 2,
    "meta_queries": 1,
    "tasks": 5,
    "meta_steps": 4,
    "meta_batch": 2,
    "validate_every": 2,
    "validation_tasks": 2,
    "validation_classes": 2,
    "test_classes": 2,
    "learners": "r2d2",
}


def table(path, reader=csv.DictReader):
    return list(reader(io.StringIO(path.read_text(), newline="")))


def flags(**settings):
    return [f"--{name.removesuffix('_')}={value}" for name, value in settings.items()]


@pytest.fixture
def command(starter):
    """Runs a command that must end well, and gives what it printed."""

    def run(name, **settings):
        status, printed, said = starter.start("metabone", [name, *flags(**settings)])
        assert status == 0, said
        return printed

    return run


@pytest.fixture
def refused(starter):
    """Runs a command that must end in one line, and gives it."""

    def run(name, **settings):
        status, _, said = starter.start("metabone", [name, *flags(**settings)])
        (line,) = [line for line in said.splitlines() if line.startswith("error: ")]
        assert status == 2 and line.isprintable()
        return line

    return run


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """What `metabone demo --write_films` leaves."""
    return write_demo_films(tmp_path_factory.mktemp("demo") / "films")


@pytest.fixture
def small(tmp_path):
    """Two classes of films that brightness tells apart, and new ones with a spoilt file."""
    rng = np.random.default_rng(0)

    def write(path, level):
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.normal(level, 12, (20, 24)) + np.linspace(-30, 30, 24) * level / 100
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)

    for number in range(5):
        write(tmp_path / "small" / "=dark" / f"{number}.png", 60)
        write(tmp_path / "small" / "light" / f"{number}.png", 180)
    write(tmp_path / "new" / "+1.png", 60)
    write(tmp_path / "new" / "deep" / "2.png", 180)
    (tmp_path / "new" / "3.png").write_bytes(b"no film")
    return tmp_path / "small", tmp_path / "new"


def test_demo_films_are_sixty_whose_truth_is_told(films):
    assert len(list((films / "train").rglob("*.png"))) == 40
    rows = table(films / "new-films-truth.csv")
    assert sorted(row["file"] for row in rows) == sorted(
        path.name for path in (films / "new").iterdir()
    )
    assert sorted(row["label"] for row in rows) == ["left"] * 10 + ["right"] * 10
    with Image.open(films / "train" / "left" / "01.png") as film:
        assert film.size == (512, 512)


@pytest.mark.slow
def test_shipped_learner_reads_demo_films_better_than_guessing(films, command, tmp_path):
    model, out = tmp_path / "model", tmp_path / "out"
    printed = command("adapt", films=films / "train", from_="simulated", out=model)
    assert "Classes: left 20, right 20" in printed
    assert "Verdict: Better than guessing" in printed
    assert "Chance: 50.0 %" in printed and "untrained" in printed
    command("predict", model=model, films=films / "new", out=out)
    truth = {row["file"]: row["label"] for row in table(films / "new-films-truth.csv")}
    rows = table(out / "predictions.csv")
    assert len(rows) == 20
    assert sum(row["answer"] == truth[row["file"]] for row in rows) >= 15
    for row in rows:
        assert float(row["p(left)"]) + float(row["p(right)"]) == pytest.approx(1, abs=1e-5)


@pytest.mark.slow
def test_the_whole_way_from_training_to_files_that_are_given_away(
    starter, small, command, tmp_path
):
    labelled, new = small
    status, _, said = starter.start(
        "experiments.benchmark",
        flags(runs_dir=tmp_path, run="tiny", data_dir=tmp_path / "data", **TINY),
    )
    assert status == 0, said
    run, model = tmp_path / "benchmark" / "tiny", tmp_path / "model"
    printed = command("adapt", films=labelled, from_=run, arm="r2d2", out=model)
    assert "r2d2, from simulated:bones" in printed

    out = tmp_path / "out"
    printed = command("predict", model=model, films=new, out=out)
    assert "2 films read" in printed and "1 could not be read: 3.png" in printed
    rows = table(out / "predictions.csv", csv.reader)
    assert rows[0] == ["file", "answer", "p(=dark)", "p(light)", "set at 90 %", "warning"]
    assert [row[0] for row in rows[1:]] == ["'+1.png", "3.png", "deep/2.png"]
    assert rows[2][1:5] == [""] * 4
    assert rows[2][5] == "Could not be read: not a DICOM, PNG, JPEG, TIFF, BMP, WebP or GIF file"
    assert {row[1] for row in rows[1:]} <= {"'=dark", "light", ""}
    page = (out / "predictions.html").read_text()
    assert "no medical device" in page and "deep/2.png" in page and "3.png" in page
    assert not re.search(r"(?:src|href)=\"(?!data:|#)", page)

    command("export", model=model, out=tmp_path / "given")
    assert "no medical device" in (tmp_path / "given" / "MODEL_CARD.md").read_text()
    shown_in_chromium(out / "predictions.html", tmp_path)


def shown_in_chromium(page, folder):
    """Checks that a browser shows the page whole: its text, and its films rather than blanks."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium here; all but the look of the page was tested")
    shot = folder / "page.png"
    ask = [
        browser,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={folder / 'b'}",
    ]
    subprocess.run(
        [*ask, f"--screenshot={shot}", "--window-size=1000,1600", f"file://{page}"],
        check=True,
        capture_output=True,
        timeout=120,
    )
    found = subprocess.run(
        [*ask, "--dump-dom", f"file://{page}"],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    ).stdout
    assert "deep/2.png" in found and "Film by film" in found
    pixels = np.asarray(Image.open(io.BytesIO(shot.read_bytes())).convert("L"))
    assert pixels.shape == (1600, 1000) and len(np.unique(pixels)) > 50


def test_labels_of_a_table_with_patients_keep_their_films_together(small, command, tmp_path):
    labelled, _ = small
    lines = ["file;label;patient"]
    for name in ("=dark", "light"):
        lines += [f"{name}/{number}.png;{name};{name}{number // 2}" for number in range(5)]
    (labelled / "films.csv").write_text("\ufeff" + "\n".join(lines))
    model = tmp_path / "model"
    printed = command("adapt", films=labelled / "films.csv", from_="simulated", out=model)
    assert "Patients: 6" in printed and "count as one: 6 in all" in printed
    assert mb.load(model).evaluation.folds == 3


def test_what_adapt_cannot_take_is_one_line(small, refused, tmp_path):
    labelled, _ = small
    out = tmp_path / "model"
    assert "--films is missing" in refused("adapt", out=out)
    assert "exists already" in refused("adapt", films=labelled, out=labelled)
    assert "nowhere: no such file or folder" in refused("adapt", films="nowhere", out=out)
    wrong = refused("adapt", films=labelled, from_=tmp_path / "norun", out=out)
    assert "norun" in wrong
    (labelled / "light" / "5.png").write_bytes((labelled / "=dark" / "0.png").read_bytes())
    assert "the same image under two labels" in refused("adapt", films=labelled, out=out)
    (labelled / "light" / "5.png").write_bytes(b"no film")
    wrong = refused("adapt", films=labelled, out=out)
    assert "light/5.png: not a DICOM, PNG, JPEG, TIFF, BMP, WebP or GIF file" in wrong
    assert not out.exists()


def test_what_predict_and_export_cannot_take_is_one_line(small, refused, tmp_path):
    _, new = small
    out = tmp_path / "out"
    assert "no model" in refused("predict", model=tmp_path, films=new, out=out)
    assert "no model" in refused("export", model=tmp_path, out=out)
    assert "exists already" in refused("predict", model=tmp_path, films=new, out=new)
    assert not out.exists()
