"""Temperature scaling, thresholds and calibration error, by hand and against plain loops."""

import math
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from modeling.calibration import (
    HIGHEST_TEMPERATURE,
    LOWEST_TEMPERATURE,
    calibrated,
    expected_calibration_error,
    f1_thresholds,
    fit_temperature,
    reliability,
    reliability_table,
)
from modeling.errors import ModelingError
from modeling.evaluate import evaluate
from modeling.metrics import top_k
from modeling.tables import RELIABILITY
from tests.modeling.scores_case import scores_table, several_seeds


def cross_entropy(logits, targets, temperature):
    """Mean of log(1 + exp(z)) - z y, which no large z overflows."""
    z = logits / temperature
    return float(np.mean(np.logaddexp(0, z) - z * targets))


def f1(truth, predicted):
    """2 TP / (2 TP + FP + FN)"""
    return 2 * (truth & predicted).sum() / (truth.sum() + predicted.sum())


def answers(seed, images=200, labels=5, sharpness=3.0):
    """Targets drawn from probabilities, and logits that are ``sharpness`` times those of the probabilities."""
    generator = np.random.default_rng(seed)
    true = generator.normal(size=(images, labels))
    return true * sharpness, generator.random((images, labels)) < expit(true)


@st.composite
def probability_cases(draw):
    """Up to 12 images and 4 labels, with many equal probabilities, 0 and 1 among them."""
    shape = draw(st.integers(1, 12)), draw(st.integers(1, 4))
    size = shape[0] * shape[1]
    tenths = draw(st.lists(st.integers(0, 10), min_size=size, max_size=size))
    truth = draw(st.lists(st.booleans(), min_size=size, max_size=size))
    return np.reshape(tenths, shape) / 10, np.reshape(truth, shape)


def test_temperature_by_hand():
    """Four answers with logit 2, three of them true: sigmoid(2 / T) must be 3/4, so T = 2 / ln 3."""
    logits, targets = np.full((4, 1), 2.0), np.array([[1], [1], [1], [0]])
    assert fit_temperature(logits, targets) == pytest.approx(2 / math.log(3), rel=1e-9)
    assert calibrated(logits, fit_temperature(logits, targets)) == pytest.approx(0.75)


def test_temperature_of_logits_that_are_too_sure_is_found():
    """The more images, the nearer to the factor that the logits were stretched by."""
    assert fit_temperature(*answers(0, images=20_000, sharpness=3.0)) == pytest.approx(3, rel=0.02)
    assert fit_temperature(*answers(1, images=20_000, sharpness=0.5)) == pytest.approx(0.5, rel=0.02)


@pytest.mark.parametrize("seed", range(5))
def test_temperature_is_a_logistic_regression_without_intercept(seed):
    logits, targets = answers(seed, sharpness=0.5 + seed)
    model = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10).fit(logits.reshape(-1, 1), targets.ravel())
    assert fit_temperature(logits, targets) == pytest.approx(1 / float(model.coef_[0, 0]), rel=1e-4)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.01, 60))
def test_no_temperature_of_a_fine_grid_is_better(seed, sharpness):
    logits, targets = answers(seed, images=15, labels=2, sharpness=sharpness)
    best = fit_temperature(logits, targets)
    assert LOWEST_TEMPERATURE <= best <= HIGHEST_TEMPERATURE
    grid = np.geomspace(LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE, 300)
    assert cross_entropy(logits, targets, best) <= min(cross_entropy(logits, targets, t) for t in grid) + 1e-12


def test_temperature_stays_inside_its_bounds():
    signs = np.array([[3.0, -3.0], [-1.0, 2.0]])
    assert fit_temperature(signs, signs > 0) == LOWEST_TEMPERATURE, "all right: the surer the better"
    assert fit_temperature(signs, signs < 0) == HIGHEST_TEMPERATURE, "all wrong: the less sure the better"
    assert fit_temperature(np.full((3, 2), 1e30), np.zeros((3, 2))) == HIGHEST_TEMPERATURE
    assert fit_temperature(np.full((3, 2), -10), np.zeros((3, 2))) == LOWEST_TEMPERATURE
    assert fit_temperature(np.full((3, 2), -1e30), np.zeros((3, 2))) == 1, "no error at any temperature"
    assert fit_temperature(np.zeros((3, 2)), np.eye(3, 2)) == 1, "every temperature is the same"


def test_calibration_keeps_the_order_of_an_images_labels():
    logits, targets = answers(3)
    after = calibrated(logits, fit_temperature(logits, targets))
    np.testing.assert_array_equal(top_k(after, 5), top_k(logits, 5))


def test_calibration_lowers_the_error():
    logits, targets = answers(4, images=2_000)
    before, after = expit(logits), calibrated(logits, fit_temperature(logits, targets))
    assert expected_calibration_error(after, targets) < 0.02 < 0.1 < expected_calibration_error(before, targets)


def test_extreme_logits_give_probabilities_without_overflow():
    assert calibrated(np.array([[-1e30, 0, 1e30]]), 0.05).tolist() == [[0, 0.5, 1]]


def test_error_by_hand():
    """Of 10 bins: 0.1 (bin 1: false), 0.55 and 0.6 (bin 6: one true), 1 (bin 10: true) and 0 (bin 1: true).

    Bin 1: mean 0.05, share 1/2; bin 6: mean 0.575, share 1/2; bin 10: 1 and 1. (2 * 0.45 + 2 * 0.075 + 0) / 5.
    """
    probabilities, targets = np.array([[0.1, 0.55, 0.6, 1.0, 0.0]]), np.array([[0, 1, 0, 1, 1]])
    assert expected_calibration_error(probabilities, targets, bins=10) == pytest.approx(0.21)
    table = reliability(probabilities, targets, bins=10)
    assert table.answers.tolist() == [2, 0, 0, 0, 0, 2, 0, 0, 0, 1]
    assert table.share[[0, 5, 9]].tolist() == [0.5, 0.5, 1]
    assert np.isnan(table.probability[1])
    assert np.isnan(table.share[1])


@settings(max_examples=80, deadline=None)
@given(probability_cases(), st.integers(1, 20))
def test_error_equals_a_loop_over_bins(case, bins):
    probabilities, targets = case
    flat, truth = probabilities.ravel(), targets.ravel()
    expected = 0.0
    for index in range(bins):
        low, high = index / bins, (index + 1) / bins
        inside = (flat > low) & (flat <= high) | ((flat == 0) & (index == 0))
        if inside.any():
            expected += inside.sum() / flat.size * abs(flat[inside].mean() - truth[inside].mean())
    assert expected_calibration_error(probabilities, targets, bins) == pytest.approx(expected, abs=1e-12)
    assert reliability(probabilities, targets, bins).answers.sum() == flat.size


def test_thresholds_by_hand():
    """Label 1, from the top: hit 0.9, miss 0.6, hit 0.5, miss 0.2. F1 of the first k: 2/3, 1/2, 4/5, 2/3. So three are
    predicted: midway between 0.5 and 0.2. Label 2 has no positive; all images carry label 3, the lowest at 0.1."""
    probabilities = np.array([[0.9, 0.1, 0.9], [0.6, 0.2, 0.5], [0.5, 0.3, 0.1], [0.2, 0.4, 0.7]])
    targets = np.array([[1, 0, 1], [0, 0, 1], [1, 0, 1], [0, 0, 1]])
    assert f1_thresholds(probabilities, targets) == pytest.approx([0.35, 0.5, 0.05])


def test_of_equally_good_thresholds_the_nearest_to_half_is_taken():
    """One hit at 0.95, then miss, miss and hit: F1 is 2/3 for the first alone, and for all four."""
    probabilities = np.array([[0.95], [0.9], [0.85], [0.8]])
    assert f1_thresholds(probabilities, [[1], [0], [0], [1]]) == pytest.approx([0.4])
    assert f1_thresholds(1 - probabilities, [[1], [0], [0], [1]]) == pytest.approx([0.175])


@settings(max_examples=80, deadline=None)
@given(probability_cases())
def test_no_other_threshold_has_a_higher_f1(case):
    probabilities, targets = case
    for label, threshold in enumerate(f1_thresholds(probabilities, targets)):
        values, truth = probabilities[:, label], targets[:, label]
        if not truth.any():
            assert threshold == 0.5
            continue
        best = max(f1(truth, values >= other) for other in np.arange(-0.05, 1.1, 0.05))
        assert f1(truth, values >= threshold) == pytest.approx(best)


def test_threshold_between_neighbouring_floats_predicts_the_upper_only():
    lower = 0.3
    upper = float(np.nextafter(lower, 1))
    threshold = f1_thresholds([[upper], [lower]], [[1], [0]])[0]
    assert lower < threshold <= upper


@pytest.mark.parametrize("function", [fit_temperature, f1_thresholds, expected_calibration_error, reliability])
def test_answers_that_cannot_be_measured_are_refused(function):
    with pytest.raises(ModelingError, match="one shape"):
        function(np.zeros((2, 3)), np.zeros((3, 2)))
    with pytest.raises(ModelingError, match="at least one image"):
        function(np.zeros((0, 3)), np.zeros((0, 3)))
    with pytest.raises(ModelingError, match=r"row 1 has a \w+ that is not finite"):
        function([[0.1], [np.inf]], [[0], [1]])


def test_logits_in_place_of_probabilities_are_refused():
    for function in (f1_thresholds, expected_calibration_error):
        with pytest.raises(ModelingError, match="outside 0 to 1"):
            function(logit([[0.01, 0.99]]), [[0, 1]])
    for temperature in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ModelingError, match="temperature must be a positive number"):
            calibrated([[1.0]], temperature)


def test_reliability_table_by_hand():
    """Two labels and two seeds: 0.5 is true of both images and false of none, 0.05 false in all four answers."""
    entries = [("g", ["Casual"], [0.5, 0.05]), ("h", ["Casual"], [0.5, 0.05])]
    table = pd.concat([scores_table(entries, labels=["Casual", "Retro"], seed=seed) for seed in (1, 2)])
    rows = reliability_table(table)
    assert rows.schema == RELIABILITY
    rows = rows.to_pandas()
    assert rows["calibrated"].tolist() == [False] * 15 + [True] * 15
    filled = rows[rows["answers"] > 0]
    assert filled["answers"].tolist() == [4, 4] * 2
    assert filled["probability"].tolist() == pytest.approx([0.05, 0.5] * 2)
    assert filled["share"].tolist() == [0, 1] * 2
    assert rows[rows["answers"] == 0][["probability", "share"]].isna().all(axis=None)


def test_reliability_table_holds_every_answer_before_and_after():
    table = several_seeds(1, 2, 3, sharpness=4.0)
    rows = reliability_table(table.sample(frac=1, random_state=2)).to_pandas()
    assert rows.equals(reliability_table(table).to_pandas())
    sums = rows.groupby(["split", "calibrated"], sort=False)["answers"].sum()
    assert sums.tolist() == [60 * 4 * 3] * 4
    assert [key[0] for key in sums.index] == ["validation", "validation", "test", "test"]
    one = table[table["seed"] == 1]
    errors = evaluate(one, 100).to_pandas().set_index(["split", "metric"])["value"]
    for (split, after), part in reliability_table(one).to_pandas().groupby(["split", "calibrated"]):
        gaps = (part["probability"] - part["share"]).abs() * part["answers"]
        assert gaps.sum() / part["answers"].sum() == pytest.approx(errors[split, "ece" if after else "ece_raw"])


def test_importing_calibration_loads_no_torch():
    code = "import sys, modeling.calibration, modeling.slices; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
