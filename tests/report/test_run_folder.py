import json

import numpy as np
import pytest

from metabone.errors import InputError
from metabone.report.run_folder import read_curves, read_run


def lines(path, *entries):
    path.write_text("\n".join(e if isinstance(e, str) else json.dumps(e) for e in entries))
    return path


def test_curves_are_sorted_by_phase_and_metric(tmp_path):
    path = lines(
        tmp_path / "metrics.jsonl",
        {"phase": "pretrain", "step": 1, "loss": 2.0},
        {"phase": "pretrain", "step": 2, "loss": 1.0, "validation/loss": 1.5},
        {"phase": "meta", "step": 1, "loss": 3.0, "note": "text is no figure", "rate": None},
    )
    curves = read_curves(path)
    assert {phase: list(metrics) for phase, metrics in curves.items()} == {
        "pretrain": ["loss", "validation/loss"],
        "meta": ["loss"],
    }
    steps, values = curves["pretrain"]["loss"]
    assert steps.tolist() == [1, 2] and values.tolist() == [2.0, 1.0]


def test_killed_and_continued_run_counts_each_step_once(tmp_path):
    path = lines(
        tmp_path / "metrics.jsonl",
        {"phase": "meta", "step": 1, "loss": 3.0},
        {"phase": "meta", "step": 2, "loss": 9.0},
        '{"phase": "meta", "step": 3, "lo',
        {"phase": "meta", "step": 2, "loss": 2.0},
    )
    steps, values = read_curves(path)["meta"]["loss"]
    assert steps.tolist() == [1, 2] and values.tolist() == [3.0, 2.0]


def test_run_without_a_result_yet_is_incomplete(tmp_path):
    (tmp_path / "config.json").write_text('{"experiment": "smi"}')
    run = read_run(tmp_path)
    assert run.result["experiment"] == "smi" and not run.result["complete"]
    assert run.curves == {} and run.films is None


def test_folder_that_holds_no_run_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no config\.json and no result\.json"):
        read_run(tmp_path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [("{", "not JSON"), ("[1]", "expected an object"), ('{"rows": [1]}', "rows must be")],
)
def test_result_that_is_not_one_is_named(tmp_path, content, reason):
    (tmp_path / "result.json").write_text(content)
    with pytest.raises(InputError, match=rf"result\.json: .*{reason}"):
        read_run(tmp_path)


def test_examples_that_are_not_films_are_named(run_of):
    folder = run_of()
    (folder / "examples.npz").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(InputError, match=r"examples\.npz: expected arrays films"):
        read_run(folder)


def test_examples_whose_shapes_disagree_are_named(run_of):
    folder = run_of()
    with np.load(folder / "examples.npz") as archive:
        arrays = dict(archive)
    arrays["boxes"] = arrays["boxes"][:, :3]
    np.savez(folder / "examples.npz", **arrays)
    with pytest.raises(InputError, match=r"\(8, 3, 4\)"):
        read_run(folder)
