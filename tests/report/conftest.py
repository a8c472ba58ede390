import json
from html.parser import HTMLParser

import numpy as np
import pytest

VOID = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """Reads a page, checks that its tags nest, and keeps what the tests ask about."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.text = [], [], []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)

    def attributes(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]

    @property
    def words(self):
        return " ".join(" ".join(self.text).replace("\xa0", " ").split())


ARMS = [("base", "pretrained"), ("base", "scratch"), ("meta", "pretrained"), ("meta", "scratch")]
LEVEL = {
    ("base", "pretrained"): 0.46,
    ("base", "scratch"): 0.38,
    ("meta", "pretrained"): 0.57,
    ("meta", "scratch"): 0.62,
}
PAPER = {
    ("base", "pretrained"): (0.424, 0.457, 0.506),
    ("base", "scratch"): (0.231, 0.314, 0.386),
    ("meta", "pretrained"): (0.471, 0.571, 0.693),
    ("meta", "scratch"): (0.533, 0.566, 0.659),
}
CLASSES = ["SMI 1-2", "SMI 3-4", "SMI 5-6", "SMI 7-9", "SMI 10-11"]


def fake_result(regions=6, kind="simulated", complete=True, experiment="smi"):
    rng = np.random.default_rng(0)
    rows, confusions = [], []
    for norm in ("inductive", "transductive"):
        for arm in ARMS:
            for i, shots in enumerate((5, 10, 20)):
                mean = LEVEL[arm] + 0.055 * i + 0.01 * (norm == "transductive")
                common = {
                    "learning": arm[0],
                    "model": arm[1],
                    "shots": shots,
                    "norm": norm,
                    "metric": "accuracy",
                    "ci95": 0.012 - 0.002 * i,
                    "n": 100,
                    "unit": "draws",
                    "std": 0.06,
                }
                whole = {
                    "mean": mean,
                    "paper": PAPER[arm][i],
                    "mean_of_first_5": mean + 0.013,
                }
                if regions > 1:
                    whole |= {"region": "vote", "tie_rate": 0.09 - 0.01 * i}
                rows.append(common | whole)
                for r in range(1, regions + 1 if regions > 1 else 0):
                    level = mean - 0.12 + 0.02 * (r % 3)
                    rows.append(common | {"region": r, "mean": level, "paper": None})
                counts = rng.multinomial(1500, np.ones(5) / 5, size=5)
                counts = counts // 2 + np.diag(rng.integers(700, 1100, 5))
                confusions.append(
                    {
                        "learning": arm[0],
                        "model": arm[1],
                        "shots": shots,
                        "norm": norm,
                        "matrix": counts.tolist(),
                    }
                )
    source = {"simulated": "simulated:smi", "real": "rsna:films"}[kind]
    names = [
        "thumb, distal phalanx",
        "middle finger, distal phalanx",
        "middle finger, middle phalanx",
        "middle finger, proximal phalanx",
        "ring finger, distal phalanx",
        "ring finger, middle phalanx",
    ]
    return {
        "experiment": experiment,
        "complete": complete,
        "seconds": 393.1,
        "seed": 0,
        "data": [
            {
                "role": "target",
                "source": source,
                "kind": kind,
                "sha256": "3f9a" * 16,
                "citation": "" if kind == "simulated" else "Halabi et al. (2019), Radiology 290",
                "licence": "",
                "conversion": "one channel, 512 x 512",
                "count": 865,
            },
            {
                "role": "meta",
                "source": "simulated:bones",
                "kind": "simulated",
                "sha256": "a01b" * 16,
                "count": 180000,
            },
        ],
        "rows": rows if complete else rows[: len(rows) // 5],
        "confusions": confusions if complete else [],
        "class_names": CLASSES,
        "region_names": names if regions == 6 else ["whole hand"],
    }


BODIES = ("scratch", "pretrained", "hog", "hog + pretrained")
MODELS = [
    body + head + sex for body in BODIES for head in ("", ", ordinal head") for sex in ("", ", sex")
]
OF_WHOLE_FILMS = ("supervised cuts", "supervised linear", "score and cuts", "protonet")
BEST = ("meta", "hog + pretrained, ordinal head, sex")


def crowded_result():
    """Twenty models, some with a linear head, each by vote and mean; one is best by its mean."""
    arms = [(learning, model) for model in MODELS[:8] for learning in ("meta", "base", "linear")]
    arms += [(learning, model) for model in MODELS[8:] for learning in ("meta", "linear")]
    arms += [(learning, "all regions, sex") for learning in OF_WHOLE_FILMS]
    rows = []
    for norm in ("inductive", "transductive"):
        for place, (learning, model) in enumerate(arms):
            if norm == "transductive" and learning not in ("meta", "base"):
                continue
            for i, shots in enumerate((5, 10, 20)):
                level = 0.3 + 0.005 * place + 0.04 * i
                common = {"learning": learning, "model": model, "shots": shots, "norm": norm}
                common |= {"metric": "accuracy", "unit": "draws", "n": 100, "ci95": 0.03}
                common |= {"covers": "other films of these classes", "ci95_draws": 0.01}
                common |= {"mae_stages": 1 - level, "mae_stages_ci95": 0.04}
                common |= {"kappa": level + 0.2, "kappa_ci95": 0.02}
                paper = PAPER.get((learning, model), [None] * 3)[i]
                rows.append(common | {"region": "vote", "mean": level, "paper": paper})
                rows[-1] |= {"tie_rate": 0.1, "mean_of_first_5": level}
                if model == "all regions, sex":
                    continue
                above = 0.3 if (learning, model) == BEST else 0.01
                common |= {"kappa": level + 0.3}
                rows.append(common | {"region": "mean", "mean": level + above})
                for region in range(1, 7):
                    rows.append(common | {"region": region, "mean": level - 0.01 * region})
    confusions = [
        {"learning": learning, "model": model, "shots": 20, "norm": "inductive"}
        | {"matrix": np.eye(5, dtype=int).tolist()}
        for learning, model in arms
    ]
    return fake_result(kind="real") | {"rows": rows, "confusions": confusions}


def fake_metrics(steps=400):
    rng = np.random.default_rng(1)
    lines = []
    for phase, level in (("pretrain", 3.0), ("meta_pretrained", 1.6), ("meta_scratch", 1.6)):
        for step in range(1, steps + 1):
            fall = np.exp(-3 * step / steps)
            entry = {
                "phase": phase,
                "step": step,
                "loss": level * fall + 0.4 + 0.15 * rng.random(),
                "accuracy": 0.85 - 0.6 * fall + 0.05 * rng.standard_normal(),
                "gradient_norm": 1.0,
            }
            if step % (steps // 10) == 0:
                entry["validation/loss"] = level * fall + 0.55
                entry["validation/accuracy"] = 0.8 - 0.6 * fall
            lines.append(json.dumps(entry))
    return "\n".join(lines) + "\n"


def fake_examples(count=8, regions=6):
    rng = np.random.default_rng(2)
    y, x = np.mgrid[:512, :512] / 512
    hand = 180 * np.exp(-8 * ((x - 0.5) ** 2 + (y - 0.6) ** 2))
    films = np.clip(hand + 20 * rng.random((count, 512, 512)), 0, 255).astype(np.uint8)
    corners = np.array([[60, 220], [210, 10], [215, 90], [220, 180], [300, 40], [305, 120]])
    boxes = np.concatenate([corners, corners + 64], axis=1)[None].repeat(count, 0)
    truth = np.arange(count) % 5
    votes = np.where(
        rng.random((count, 6)) < 0.65, truth[:, None], rng.integers(5, size=(count, 6))
    )
    if regions == 1:
        boxes, votes = np.tile([0, 0, 512, 512], (count, 1, 1)), votes[:, :1]
    answers = np.array([np.bincount(row).argmax() for row in votes])
    return {
        "films": films,
        "boxes": boxes.astype(np.int32),
        "region_votes": votes.astype(np.int32),
        "votes": answers.astype(np.int32),
        "truth": truth.astype(np.int32),
    }


@pytest.fixture
def result_of():
    return fake_result


@pytest.fixture
def crowded():
    """A result of so many learners and models that not all can be shown everywhere."""
    return crowded_result()


def write_run(folder, result=None, config=None, metrics=None, examples=None):
    """Write a run folder as an experiment would; False leaves a file out."""
    folder.mkdir()
    result = fake_result() if result is None else result
    config = config or {
        "experiment": "smi",
        "seed": 0,
        "git_revision": "4afaf88",
        "versions": {"python": "3.11.9", "jax": "0.10.2", "metabone": "0.1.0"},
        "shots": [5, 10, 20],
        "meta": {"inner_rate": 0.05, "inner_steps": 5, "first_order": False},
    }
    (folder / "result.json").write_text(json.dumps(result))
    (folder / "config.json").write_text(json.dumps(config))
    if metrics is not False:
        (folder / "metrics.jsonl").write_text(metrics or fake_metrics())
    if examples is not False:
        np.savez(folder / "examples.npz", **(examples or fake_examples()))
    return folder


@pytest.fixture
def run_of(tmp_path):
    """Write a run folder, with what differs from a complete run on simulated films given."""
    return lambda *args, name="run", **kwargs: write_run(tmp_path / name, *args, **kwargs)


@pytest.fixture(scope="session")
def complete_run(tmp_path_factory):
    """A complete run on simulated films; to be read, not changed, but for its report."""
    return write_run(tmp_path_factory.mktemp("runs") / "complete")


@pytest.fixture(scope="session")
def parse():
    """Parse HTML as a `Page`."""
    return Page


@pytest.fixture(scope="session")
def read():
    """Parse a file as a `Page`."""
    return lambda path: Page(path.read_text("utf-8"))
