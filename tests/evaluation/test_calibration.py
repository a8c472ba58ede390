import numpy as np
import pytest

from metabone.evaluation.calibration import expected_calibration_error


def test_certain_and_always_wrong_is_the_worst():
    assert expected_calibration_error([[1.0, 0.0]] * 3, [1, 1, 1]) == 1.0


def test_gap_worked_by_hand():
    # Bin (0.6, 0.8]: confidence 0.75 and 0.75, one right: gap |0.5 - 0.75| = 0.25.
    # Bin (0.8, 1.0]: confidence 0.9, right: gap 0.1. Weighed 2/3 and 1/3.
    probabilities = [[0.75, 0.25], [0.75, 0.25], [0.1, 0.9]]
    assert expected_calibration_error(probabilities, [0, 1, 1], bins=5) == pytest.approx(0.6 / 3)


def test_agrees_with_binning_one_example_at_a_time():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(5), size=500)
    truth = rng.integers(5, size=500)
    total = 0.0
    for b in range(15):
        inside = [
            (p.max(), p.argmax() == t)
            for p, t in zip(probabilities, truth, strict=True)
            if b / 15 < p.max() <= (b + 1) / 15
        ]
        if inside:
            confidence, right = np.mean(inside, axis=0)
            total += len(inside) / 500 * abs(confidence - right)
    assert expected_calibration_error(probabilities, truth) == pytest.approx(total)


def test_labels_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match="expected \\[n, ways\\]"):
        expected_calibration_error([[0.5, 0.5]], [0, 1])
