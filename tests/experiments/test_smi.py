"""The experiment as its user starts it: a command line, a folder of films, a folder of runs."""

import json
import signal
import struct
import subprocess
import sys
import time
import zipfile
import zlib

import jax
import numpy as np
import pytest
from PIL import Image

from metabone.training.checkpoints import Checkpoints, Progress, load_checkpoint
from metabone.workflows.earlier_runs import save_seen

MONTHS = (60, 70, 80, 90, 140, 150, 160, 170)
CUT = 130  # four films a class

# The least of everything: all that this run can show is that it hangs together.
SETTINGS = {
    "regions": "hand",
    "cuts": [CUT],
    "shots": [1],
    "queries": 1,
    "draws": 2,
    "filters": 2,
    "hidden": [4],
    "pretrain_hidden": [4],
    "backbone_width": 0.02,
    "meta_classes": 20,
    "meta_images": 6,
    "meta_steps": 60,
    "head_steps": 20,
    "meta_batch": 1,
    "meta_shots": 1,
    "meta_queries": 1,
    "inner_steps": 1,
    "test_steps": 1,
    "order": 1,
    "validate_every": 10,
    "validation_tasks": 2,
    "pretrain_steps": 2,
    "pretrain_batch": 4,
    "base_steps": 1,
}
PHASES = {"meta_scratch": 60, "pretrain": 2, "meta_pretrained": 20}
ARMS = {
    *[(learning, model) for learning in ("meta", "base") for model in ("scratch", "pretrained")],
    ("probe", "pretrained"),
}


def flags_of(settings):
    def text(value):
        return ",".join(map(str, value)) if isinstance(value, list) else value

    return [f"--{name}={text(value)}" for name, value in settings.items()]


def make_films(folder):
    """A folder like the bone-age challenge's: noise, half of it younger than the cut."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = ["id,bone_age_months,sex"]
    for index, months in enumerate(MONTHS):
        rows.append(f"{100 + index},{months},{'FM'[index % 2]}")
        pixels = rng.integers(0, 256, (64, 64), np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{100 + index}.png")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture
def films(tmp_path):
    return make_films(tmp_path / "films")


def in_folder(folder, flags):
    """The flags, with `folder/runs` and `folder/data` to write to."""
    return [f"--runs_dir={folder / 'runs'}", f"--data_dir={folder / 'data'}", *flags]


def launch(folder, flags, environment):
    """Starts the experiment as its user does."""
    return subprocess.Popen(
        [sys.executable, "-m", "experiments.smi", *in_folder(folder, flags)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def ended(tmp_path, starter):
    """Runs the experiment in `tmp_path` to its end."""
    return lambda *flags: starter.start("experiments.smi", in_folder(tmp_path, flags))


@pytest.fixture
def few_images(tmp_path):
    """Six classes of two images to meta-train on, cheaper than rendering bones."""
    rng = np.random.default_rng(1)
    for label in "abcdef":
        (tmp_path / "images" / label).mkdir(parents=True)
        for index in range(2):
            pixels = rng.integers(0, 256, (64, 64), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / label / f"{index}.png")
    return f"folder:{tmp_path / 'images'}"


def pack(films):
    """The images as a zip instead of a folder."""
    with zipfile.ZipFile(films / "images.zip", "w") as archive:
        for file in sorted((films / "images").iterdir()):
            archive.write(file, file.name)
            file.unlink()
    (films / "images").rmdir()
    return films / "images.zip"


def png_of(width, height):
    """A PNG file whose header tells of any size and whose data end at once."""

    def chunk(name, content):
        checksum = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = zlib.compress(b"")
    chunks = (chunk(b"IHDR", header), chunk(b"IDAT", data), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


# Each breaks one thing and returns the flags that differ and what the message must say.
def missing_image(films):
    (films / "images" / "103.png").unlink()
    return {}, [films / "images", "1 of 8 rows have no image (the first is '103')"]


def unreadable_image(films):
    (films / "images" / "103.png").write_bytes(b"no image at all")
    return {}, [films / "images" / "103.png", "not a PNG, JPEG"]


def missing_label(films):
    labels = films / "labels.csv"
    rows = labels.read_text().splitlines(keepends=True)
    labels.write_text("".join(row for row in rows if not row.startswith("103,")))
    return {}, [labels, "1 of 8 images have no row"]


def unknown_source(films):
    return {"target": f"rnsa:{films}"}, [f"rnsa:{films}", "rsna"]


def unknown_flag(films):
    return {"drawz": 2}, ["drawz", "draws"]


def unknown_role(films):
    return {"adapts": "tail"}, ["--adapts=tail", "all, head"]


def unknown_mapping(films):
    return {"mapping": "tasks"}, ["--mapping=tasks", "scan, overlap, vmap", "--meta_batch="]


def unknown_backbone(films):
    return {"backbone": "resnet"}, ["--backbone=resnet", "vgg16, conv4"]


def no_draws(films):
    return {"draws": -1}, ["--draws=-1", "at least 2"]


def no_shots(films):
    return {"shots": 0}, ["--shots=0", "at least 1"]


def truncated_zip(films):
    archive = pack(films)
    archive.write_bytes(archive.read_bytes()[:-100])
    return {}, [archive, "zip"]


def bomb(films):
    (films / "images" / "103.png").write_bytes(png_of(50_000, 50_000))
    return {}, [films / "images" / "103.png", "megapixels"]


def folder_that_is_no_run(films):
    return {"evaluate": films}, [films]


@pytest.mark.parametrize(
    "spoil",
    [
        missing_image,
        unreadable_image,
        missing_label,
        unknown_source,
        unknown_flag,
        unknown_role,
        unknown_mapping,
        unknown_backbone,
        no_draws,
        no_shots,
        truncated_zip,
        bomb,
        folder_that_is_no_run,
    ],
    ids=lambda spoil: spoil.__name__,
)
def test_bad_input_is_one_line_before_anything_is_written(tmp_path, films, ended, spoil):
    changed, parts = spoil(films)
    assert_refused(ended(*flags_of({"target": f"rsna:{films}"} | SETTINGS | changed)), parts)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["films"]


def test_too_few_films_of_a_class_are_named_before_a_run_is_begun(tmp_path, films, ended):
    flags = flags_of({"target": f"rsna:{films}"} | SETTINGS | {"shots": [3], "queries": 2})
    assert_refused(
        ended(*flags),
        ["shots (=3) + queries (=2) need 5", f"< {CUT} months", "has 4"],
    )
    assert_only_whole_records(tmp_path)


def test_a_run_folder_that_cannot_be_written_is_named(tmp_path, films, few_images, ended):
    # A place below a file cannot be written by anybody, not even by root.
    (tmp_path / "file").write_text("")
    flags = {"target": f"rsna:{films}", "meta_source": few_images}
    place = {"runs_dir": tmp_path / "file" / "runs"}
    assert_refused(
        ended(*flags_of(SETTINGS | flags | place)), [tmp_path / "file" / "runs", "Not a directory"]
    )
    (tmp_path / "file").unlink()
    assert_only_whole_records(tmp_path)


@pytest.fixture
def trained(tmp_path, few_images):
    """A finished run whose three checkpoints are of some other model."""
    folder = tmp_path / "trained"
    record = {"experiment": "smi", "config": SETTINGS | {"meta_source": few_images}}
    for phase in PHASES:
        checkpoints = Checkpoints(folder / "checkpoints" / phase)
        checkpoints.save({"somebody": {"elses": np.zeros(3)}}, Progress(step=1))
    (folder / "config.json").write_text(json.dumps(record))
    (folder / "result.json").write_text(json.dumps({"complete": True}))
    save_seen(folder, [])
    return folder


@pytest.mark.parametrize("damage", ["another_tree", "garbage"])
def test_a_foreign_checkpoint_is_refused_and_leaves_no_run(tmp_path, films, trained, ended, damage):
    checkpoint = trained / "checkpoints" / "meta_scratch" / "step_00000001"
    says = "of another model"
    if damage == "garbage":
        (checkpoint / "description.json").write_bytes(b"\x80garbage")
        says = "description.json"
    flags = {"target": f"rsna:{films}", "evaluate": trained, "shots": 1, "queries": 1, "cuts": CUT}
    assert_refused(ended(*flags_of(flags)), [checkpoint, says])
    assert_only_whole_records(tmp_path, "trained")


def test_a_run_that_is_not_finished_is_not_evaluated(tmp_path, films, trained, ended):
    (trained / "result.json").write_text(json.dumps({"complete": False}))
    assert_refused(
        ended(f"--evaluate={trained}", f"--target=rsna:{films}"), [trained, "not complete"]
    )
    assert not (tmp_path / "runs").exists()


def assert_refused(ended, parts):
    status, printed, complaint = ended
    assert status == 2, complaint
    assert printed == ""
    *counted, line = complaint.splitlines()
    assert all(" images of " in each for each in counted)
    assert line.startswith("error: ") and line.isprintable()
    for part in parts:
        assert str(part) in line


def assert_only_whole_records(folder, *others):
    """No run was begun; films that were read without complaint may have been prepared."""
    assert {path.name for path in folder.iterdir()} <= {"films", "images", "data", *others}
    prepared = list((folder / "data").glob("*"))
    assert not [path for path in prepared if path.name.startswith("unfinished")]
    for records in (folder / "data").glob("[!.]*/*"):
        assert (records / "dataset_info.json").is_file()


class Miniature:
    """One folder in which the miniature runs."""

    def __init__(self, folder, films, starter):
        self.folder = folder
        self._flags = flags_of({"target": f"rsna:{films}", "run": "miniature"} | SETTINGS)
        self._starter = starter

    @property
    def path(self):
        return self.folder / "runs" / "smi" / "miniature"

    def launch(self):
        return launch(self.folder, self._flags, self._starter.environment)

    def finish(self, *flags):
        flags = in_folder(self.folder, flags or self._flags)
        status, printed, said = self._starter.start("experiments.smi", flags)
        assert status == 0, said
        return printed

    def result(self):
        return json.loads((self.path / "result.json").read_text())

    def steps_done(self, phase):
        try:
            lines = (self.path / "metrics.jsonl").read_text().splitlines()
        except FileNotFoundError:
            return 0
        steps = [line for line in lines if f'"{phase}"' in line and "validation/" not in line]
        return len(steps)


@pytest.fixture(scope="module")
def shared(tmp_path_factory, starter):
    return make_films(tmp_path_factory.mktemp("shared") / "films"), starter


@pytest.fixture(scope="module")
def whole(tmp_path_factory, shared):
    """The miniature, left alone until its end, as a user starts it."""
    run = Miniature(tmp_path_factory.mktemp("whole"), *shared)
    process = run.launch()
    run.printed, said = process.communicate(timeout=600)
    assert process.returncode == 0, said
    return run


@pytest.mark.slow
def test_the_experiment_ends_in_five_learners_rows_and_a_report(whole):
    result = whole.result()
    assert result["experiment"] == "smi" and result["complete"] is True
    assert result["seconds"] > 0 and result["seed"] == 0
    assert result["region_names"] == ["hand"]
    assert result["class_names"] == [f"bone age < {CUT} months", f"bone age >= {CUT} months"]
    target, meta = result["data"]
    assert (target["role"], target["kind"], target["count"]) == ("target", "real", len(MONTHS))
    assert (meta["role"], meta["kind"], meta["count"]) == ("meta", "simulated", 20 * 6)
    parts = result["meta_classes"].values()
    assert len(set().union(*parts)) == sum(map(len, parts)) == 20

    kinds = {(*arm, "inductive") for arm in ARMS}  # and where there is batch norm:
    kinds |= {(*arm, "transductive") for arm in ARMS if arm[1] == "scratch"}
    assert {(r["learning"], r["model"], r["norm"]) for r in result["rows"]} == kinds
    assert len(result["rows"]) == len(kinds)
    found = {(c["learning"], c["model"], c["norm"]): c["matrix"] for c in result["confusions"]}
    for row in result["rows"]:
        expected = {"shots": 1, "metric": "accuracy", "region": "vote", "n": 2, "unit": "draws"}
        assert row.items() >= expected.items()
        # Two draws of two queries: the matrix tells the mean once more.
        matrix = np.array(found[row["learning"], row["model"], row["norm"]])
        assert matrix.sum(1).tolist() == [2, 2]
        assert row["mean"] == row["mean_of_first_5"] == matrix.trace() / 4
        assert row["ci95_draws"] >= 0 and row["std"] >= 0 and row["tie_rate"] == 0
    report = (whole.path / "report.html").read_text()
    assert f"bone age &lt; {CUT} months" in report
    assert str(whole.path / "result.json") in whole.printed
    assert str(whole.path / "report.html") in whole.printed


@pytest.mark.slow
def test_a_finished_experiment_started_again_changes_nothing(whole):
    def content():
        files = {path for path in whole.path.rglob("*") if path.is_file()}
        # It notes if the code was changed meanwhile.
        return {path: path.read_bytes() for path in files - {whole.path / "config.json"}}

    before = content()
    assert whole.finish() == whole.printed
    assert content() == before


@pytest.mark.slow
def test_a_trained_run_reads_the_films_it_was_measured_on_to_the_same_figures(whole, shared):
    asked = {name: SETTINGS[name] for name in ("cuts", "shots", "queries", "draws")}
    flags = {"run": "read", "evaluate": whole.path, "target": f"rsna:{shared[0]}"}
    whole.finish(*flags_of(asked | flags))
    read = whole.path.with_name("read")
    again = json.loads((read / "result.json").read_text())
    assert again["rows"] == whole.result()["rows"]
    assert again["confusions"] == whole.result()["confusions"]
    assert not (read / "checkpoints").exists()  # nothing was trained


@pytest.mark.slow
def test_an_experiment_killed_twice_ends_with_the_bits_of_one_left_alone(tmp_path, shared, whole):
    parts = Miniature(tmp_path, *shared)
    # Once in the middle of meta-training, behind its first checkpoint ...
    first = SETTINGS["validate_every"]
    kill(parts.launch(), when=lambda: parts.steps_done("meta_scratch") > first)
    checkpoints = Checkpoints(parts.path / "checkpoints" / "meta_scratch")
    assert 0 < checkpoints.last_step() < PHASES["meta_scratch"]
    # ... and once when some rows are written and others are not.
    kill(parts.launch(), when=lambda: parts.result()["rows"])
    assert 0 < len(parts.result()["rows"]) < len(whole.result()["rows"])
    assert not parts.result()["complete"]
    parts.finish()

    for name in ("complete", "rows", "confusions", "data", "meta_classes"):
        assert parts.result()[name] == whole.result()[name], name
    metrics = [(run.path / "metrics.jsonl").read_bytes() for run in (parts, whole)]
    assert metrics[0] == metrics[1]
    for phase, steps in PHASES.items():
        for best in (False, True):
            left_alone, continued = (
                load_checkpoint(run.path / "checkpoints" / phase, best=best)
                for run in (whole, parts)
            )
            assert left_alone.progress.step == continued.progress.step
            assert best or continued.progress.step == steps
            jax.tree.map(np.testing.assert_array_equal, left_alone.state, continued.state)
            assert jax.tree.leaves(continued.state)


def kill(process, when, timeout=300):
    """Kills a process once something is so; it must not have ended by itself."""
    ends = time.monotonic() + timeout
    while not when():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < ends, "waited in vain for the moment to kill"
        time.sleep(0.005)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
