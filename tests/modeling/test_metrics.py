import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, precision_score, recall_score

from modeling.errors import ModelingError
from modeling.metrics import (
    RECALLS,
    all_recall,
    any_recall,
    average_precision,
    f1_of_counts,
    f1_scores,
    hits,
    mean_average_precision,
    mean_of_five,
    per_label_all_recall,
    recalls,
    too_many_labels,
    top_k,
    weighted_average_precision,
)

# Four images, four labels; second and third image have ties, the third has three labels, the fourth four.
SCORES = np.array([[0.9, 0.1, 0.5, 0.3], [0.4, 0.4, 0.4, 0.1], [0.2, 0.7, 0.7, 0.7], [0.1, 0.2, 0.3, 0.4]])
TARGETS = np.array([[1, 0, 1, 0], [0, 0, 1, 0], [1, 1, 0, 1], [1, 1, 1, 1]], dtype=bool)


def test_ties_go_to_the_label_that_stands_first():
    assert top_k(SCORES, 2).tolist() == [[0, 2], [0, 1], [1, 2], [3, 2]]
    assert top_k(SCORES, 9).shape == (4, 4)


def test_recalls_by_hand():
    """T_1 = 0; 0; 1; 3. T_2 = 02; 01; 12; 32. T_3 = 023; 012; 123; 321. R = 02; 2; 013; 0123."""
    assert any_recall(SCORES, TARGETS, 1) == 3 / 4
    assert any_recall(SCORES, TARGETS, 2) == 3 / 4
    assert any_recall(SCORES, TARGETS, 3) == 1
    assert all_recall(SCORES, TARGETS, 1) == 0
    assert all_recall(SCORES, TARGETS, 2) == 1 / 4
    assert all_recall(SCORES, TARGETS, 3) == 2 / 4
    assert all_recall(SCORES, TARGETS, 4) == 1
    assert recalls(SCORES, TARGETS) == {"any@1": 0.75, "all@2": 0.25, "any@2": 0.75, "all@3": 0.5, "any@3": 1.0}
    assert mean_of_five(SCORES, TARGETS) == pytest.approx((0.75 + 0.25 + 0.75 + 0.5 + 1) / 5)
    assert [too_many_labels(TARGETS, k) for k in (1, 2, 3, 4)] == [3 / 4, 2 / 4, 1 / 4, 0]


def test_per_label_recall_by_hand():
    """Only the first image has all its labels, 0 and 2, in T_2. Each label is carried by: 0 in three, 1 in two, ..."""
    shares, support = per_label_all_recall(SCORES, TARGETS, k=2)
    assert support.tolist() == [3, 2, 3, 2]
    np.testing.assert_allclose(shares, [1 / 3, 0, 1 / 3, 0])


def test_a_label_without_images_stays_undefined():
    targets = np.array([[1, 0], [1, 0]], dtype=bool)
    scores = np.array([[0.9, 0.8], [0.1, 0.2]])
    shares, support = per_label_all_recall(scores, targets)
    assert support.tolist() == [2, 0]
    assert np.isnan(shares[1])
    assert np.isnan(average_precision(scores, targets)[1])
    assert mean_average_precision(scores, targets) == 1


def test_average_precision_by_hand():
    """Ranked: hit, miss, hit, hit. AP = (1 + 2/3 + 3/4) / 3."""
    scores = np.array([[0.9], [0.8], [0.7], [0.6]])
    carried = np.array([True, False, True, True])
    targets = np.stack([carried, ~carried], axis=1)
    values = average_precision(np.hstack([scores, scores]), targets)
    assert values[0] == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    assert values[1] == pytest.approx(1 / 2)
    assert mean_average_precision(np.hstack([scores, scores]), targets) == pytest.approx(np.mean(values))


@pytest.mark.parametrize(
    ("scores", "targets", "said"),
    [
        ([[0.1, 0.2]], [[True]], "one matrix shape"),
        (np.zeros((0, 2)), np.zeros((0, 2)), "no image to measure"),
        ([[0.1, 0.2], [0.1, np.nan]], [[1, 0], [1, 0]], "row 1 has a score that is not a number"),
        ([[0.1, 0.2], [0.1, 0.3]], [[1, 0], [0, 0]], "row 1 has no label"),
    ],
)
def test_input_that_cannot_be_measured_is_refused(scores, targets, said):
    with pytest.raises(ModelingError, match=said):
        mean_of_five(scores, targets)


@pytest.mark.parametrize("name", ["some@1", "any", "any@", "any@0"])
def test_unknown_recalls_are_refused(name):
    with pytest.raises(ModelingError):
        hits(SCORES, TARGETS, name)


@st.composite
def scored(draw):
    """Scores from few values, so that ties are common, and targets with at least one label an image."""
    images, labels = draw(st.integers(1, 12)), draw(st.integers(1, 6))
    value = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])
    scores = draw(st.lists(st.lists(value, min_size=labels, max_size=labels), min_size=images, max_size=images))
    carried = st.sets(st.integers(0, labels - 1), min_size=1)
    targets = np.zeros((images, labels), dtype=bool)
    for row, chosen in enumerate(draw(st.lists(carried, min_size=images, max_size=images))):
        targets[row, sorted(chosen)] = True
    return np.array(scores), targets


def best(row, k):
    return set(sorted(range(len(row)), key=lambda label: (-row[label], label))[:k])


@settings(max_examples=60, deadline=None)
@given(scored(), st.integers(1, 7))
def test_recalls_equal_sets_image_by_image(case, k):
    scores, targets = case
    truth = [set(np.flatnonzero(row)) for row in targets]
    found = [best(row, k) for row in scores]
    assert any_recall(scores, targets, k) == pytest.approx(
        np.mean([bool(r & t) for r, t in zip(truth, found, strict=True)])
    )
    assert all_recall(scores, targets, k) == pytest.approx(np.mean([r <= t for r, t in zip(truth, found, strict=True)]))
    shares, support = per_label_all_recall(scores, targets, k)
    for label in range(targets.shape[1]):
        inside = [r <= t for r, t in zip(truth, found, strict=True) if label in r]
        assert support[label] == len(inside)
        assert (np.isnan(shares[label]) and not inside) or shares[label] == pytest.approx(np.mean(inside))


@settings(max_examples=60, deadline=None)
@given(scored())
def test_laws_of_the_recalls(case):
    scores, targets = case
    for k in range(1, 6):
        assert all_recall(scores, targets, k) <= any_recall(scores, targets, k)
        assert all_recall(scores, targets, k) <= 1 - too_many_labels(targets, k) + 1e-12
        assert any_recall(scores, targets, k) <= any_recall(scores, targets, k + 1)
        assert all_recall(scores, targets, k) <= all_recall(scores, targets, k + 1)
    assert mean_of_five(scores, targets) == pytest.approx(
        np.mean([hits(scores, targets, name).mean() for name in RECALLS])
    )


@settings(max_examples=60, deadline=None)
@given(scored())
def test_average_precision_equals_scikit_learn(case):
    scores, targets = case
    for label, value in enumerate(average_precision(scores, targets)):
        if targets[:, label].any():
            assert value == pytest.approx(average_precision_score(targets[:, label], scores[:, label]), abs=1e-12)
        else:
            assert np.isnan(value)


@settings(max_examples=60, deadline=None)
@given(scored(), st.data())
def test_weights_count_images_as_often_as_they_say(case, data):
    scores, targets = case
    weights = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(scores), max_size=len(scores))))
    value = weighted_average_precision(scores[:, 0], targets[:, 0], weights[:, None].astype(float))[0]
    repeated = np.repeat(np.arange(len(scores)), weights)
    if targets[repeated, 0].any():
        expected = average_precision_score(targets[repeated, 0], scores[repeated, 0])
        assert value == pytest.approx(expected, abs=1e-12)
    else:
        assert np.isnan(value)


def test_f1_by_hand():
    """Label 0: 2 of 3 predicted are right, of 4; label 1: 1 of 1, of 2; label 2 is never predicted, of 1.

    CP = (2/3 + 1 + 0) / 3 = 5/9, CR = (1/2 + 1/2 + 0) / 3 = 1/3; OP = 3/4, OR = 3/7.
    """
    truth = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 0], [1, 0, 0], [0, 0, 1]], dtype=bool)
    predicted = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0], [0, 0, 0], [1, 0, 0]], dtype=bool)
    class_f1, overall_f1 = f1_scores(predicted, truth)
    assert class_f1 == pytest.approx(2 * (5 / 9) * (1 / 3) / (5 / 9 + 1 / 3))
    assert overall_f1 == pytest.approx(2 * (3 / 4) * (3 / 7) / (3 / 4 + 3 / 7))


def test_f1_of_a_label_without_images_is_left_out_of_the_class_means():
    truth = np.array([[1, 0], [1, 0]], dtype=bool)
    assert f1_scores([[1, 1], [1, 0]], truth) == pytest.approx((1, 2 * 2 / (3 + 2))), "a wrong answer counts in OP only"
    assert f1_scores(np.zeros((2, 2)), truth) == (0, 0)
    assert np.isnan(f1_of_counts([0, 0], [0, 0], [0, 0])).all()


@settings(max_examples=80, deadline=None)
@given(scored(), st.sampled_from([0.0, 0.25, 0.6, 1.0, 2.0]))
def test_f1_equals_scikit_learn(case, threshold):
    scores, targets = case
    predicted, carried = scores >= threshold, targets.any(axis=0)
    class_f1, overall_f1 = f1_scores(predicted, targets)
    assert overall_f1 == pytest.approx(f1_score(targets.ravel(), predicted.ravel(), zero_division=0))
    means = [
        np.mean([measure(targets[:, label], predicted[:, label], zero_division=0) for label in np.flatnonzero(carried)])
        for measure in (precision_score, recall_score)
    ]
    assert class_f1 == pytest.approx(2 * means[0] * means[1] / sum(means) if sum(means) else 0)
    counts = np.stack([(predicted & targets).sum(axis=0), predicted.sum(axis=0), targets.sum(axis=0)])
    stacked = f1_of_counts(*np.repeat(counts[:, None], 3, axis=1))
    np.testing.assert_allclose(stacked, np.repeat([[class_f1], [overall_f1]], 3, axis=1))


@settings(max_examples=60, deadline=None)
@given(scored(), st.data())
def test_no_metric_depends_on_the_order_of_the_images(case, data):
    scores, targets = case
    order = data.draw(st.permutations(range(len(scores))))
    assert recalls(scores[order], targets[order]) == pytest.approx(recalls(scores, targets))
    np.testing.assert_allclose(
        average_precision(scores[order], targets[order]), average_precision(scores, targets), atol=1e-12
    )
    assert f1_scores(scores[order] >= 0.5, targets[order]) == pytest.approx(f1_scores(scores >= 0.5, targets))


@settings(max_examples=60, deadline=None)
@given(scored())
def test_images_with_more_labels_than_k_count_in_no_all_recall(case):
    """Whatever the scores: all-recall at k is that over the other images, times their share."""
    scores, targets = case
    for k in (1, 2, 3):
        few = targets.sum(axis=1) <= k
        inside = all_recall(scores[few], targets[few], k) if few.any() else 0.0
        assert all_recall(scores, targets, k) == pytest.approx(inside * few.mean())
