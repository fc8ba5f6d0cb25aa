import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from modeling.paired_tests import holm, mcnemar, sign_flip


def test_holm_by_hand():
    """Sorted 0.01, 0.02, 0.03, 0.5 times 4, 3, 2, 1, never falling."""
    assert holm([0.03, 0.5, 0.01, 0.02]) == pytest.approx([0.06, 0.5, 0.04, 0.06])
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([]) == []


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_equals_the_binomial_test(a_only, b_only):
    differing = a_only + b_only
    expected = stats.binomtest(a_only, differing, 0.5).pvalue if differing else 1.0
    assert mcnemar(a_only, b_only) == pytest.approx(expected, rel=1e-9)


def test_sign_flip_equals_all_sign_changes():
    steps, group = np.array([3, -1, 2, 2, 1, -2, 1, 0]), np.array([0, 0, 1, 2, 3, 4, 5, 6])
    sums = np.array([2, 2, 2, 1, -2, 1])
    flipped = [abs(np.dot(signs, sums)) >= 6 for signs in itertools.product([-1, 1], repeat=6)]
    assert sign_flip(steps, group, seed=0) == pytest.approx(np.mean(flipped), abs=0.015)
    assert sign_flip(np.zeros(4, dtype=np.int64), np.arange(4), seed=0) == 1
