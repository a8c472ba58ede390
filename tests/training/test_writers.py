import json

import numpy as np

from metabone.training.writers import MetricsWriter, read_metrics


def columns(*values):
    return {"loss": np.array(values, np.float32)}


def test_a_line_is_a_step_and_numbers_keep_their_bits(tmp_path):
    writer = MetricsWriter(tmp_path / "m.jsonl")
    writer.write_steps("meta", 5, {"loss": np.float32([0.1, 1 / 3]), "count": np.int32([3, 4])})
    writer.write_validation("meta", 6, {"accuracy": 0.1 + 0.2})
    assert (tmp_path / "m.jsonl").read_text().splitlines() == [
        '{"phase": "meta", "step": 5, "loss": 0.1, "count": 3}',
        '{"phase": "meta", "step": 6, "loss": 0.33333334, "count": 4}',
        '{"phase": "meta", "step": 6, "validation/accuracy": 0.30000000000000004}',
    ]
    assert np.float32(read_metrics(tmp_path / "m.jsonl")[1]["loss"]) == np.float32(1 / 3)


def test_what_is_not_finite_is_null(tmp_path):
    writer = MetricsWriter(tmp_path / "m.jsonl")
    writer.write_steps("meta", 1, columns(np.nan, np.inf, 1))
    text = (tmp_path / "m.jsonl").read_text()
    assert "NaN" not in text and "Infinity" not in text
    assert [row["loss"] for row in read_metrics(tmp_path / "m.jsonl")] == [None, None, 1]


def test_truncation_forgets_one_phase_after_a_step_and_a_half_written_line(tmp_path):
    path = tmp_path / "m.jsonl"
    writer = MetricsWriter(path)
    writer.truncate("meta", 0)
    writer.write_steps("pretrain", 1, columns(1, 2, 3))
    writer.write_steps("meta", 1, columns(4, 5, 6))
    writer.write_validation("meta", 3, {"accuracy": 1.0})
    with path.open("a") as file:
        file.write('{"phase": "meta", "st')
    assert len(read_metrics(path, "meta")) == 4
    writer.truncate("meta", 2)
    assert path.read_text().endswith("\n")
    assert [(row["phase"], row["step"]) for row in read_metrics(path)] == [
        ("pretrain", 1),
        ("pretrain", 2),
        ("pretrain", 3),
        ("meta", 1),
        ("meta", 2),
    ]
    writer.write_steps("meta", 3, columns(7))
    assert read_metrics(path, "meta")[-1] == {"phase": "meta", "step": 3, "loss": 7}


def test_nothing_reported_yet_reads_as_nothing(tmp_path):
    assert read_metrics(tmp_path / "m.jsonl") == []


def test_tensorboard_gets_an_event_file_a_phase(tmp_path):
    with MetricsWriter(tmp_path / "m.jsonl", tmp_path / "events") as writer:
        writer.truncate("meta", 10)
        writer.write_steps("meta", 11, columns(1, 3))
        writer.write_validation("pretrain", 5, {"accuracy": 1.0})
    assert sorted(p.name for p in (tmp_path / "events").iterdir()) == ["meta", "pretrain"]
    (events,) = (tmp_path / "events" / "meta").iterdir()
    assert b"loss" in events.read_bytes()


def test_every_line_is_strict_json(tmp_path):
    writer = MetricsWriter(tmp_path / "m.jsonl")
    writer.write_steps("meta", 1, {"a": np.array([True]), "b": np.array([np.float16(0.1)])})
    (line,) = (tmp_path / "m.jsonl").read_text().splitlines()
    assert json.loads(line) == {"phase": "meta", "step": 1, "a": True, "b": 0.1}
