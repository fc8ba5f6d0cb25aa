import numpy as np
import pytest

from modeling.resampling import GroupBootstrap, interval, quantiles

GROUP = np.array([0, 1, 1, 2, 2, 2])


def weights_of(bootstrap):
    """(B, N)"""
    return np.hstack(list(bootstrap.weights())).T


def test_images_of_a_group_are_drawn_together():
    weights = weights_of(GroupBootstrap(GROUP, 600, seed=0))
    assert weights.shape == (600, 6)
    assert (weights[:, 1] == weights[:, 2]).all()
    assert (weights[:, 3] == weights[:, 5]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()
    assert weights.mean(axis=0) == pytest.approx(1, abs=0.1)
    assert weights.std(axis=0).min() > 0


def test_sums_and_shares_are_those_of_the_weights():
    bootstrap = GroupBootstrap(GROUP, 600, seed=1)
    weights, values = weights_of(bootstrap), np.random.default_rng(0).random((6, 3))
    np.testing.assert_allclose(bootstrap.sums(values), weights @ values)
    np.testing.assert_allclose(bootstrap.sums(values[:, 0]), weights @ values[:, 0])
    np.testing.assert_allclose(bootstrap.shares(values), weights @ values / weights.sum(axis=1, keepdims=True))
    among = np.array([True, True, False, False, False, False])
    shares, inside = bootstrap.shares(values[:, 0], among), weights[:, :2]
    empty = inside.sum(axis=1) == 0
    assert empty.any()
    assert np.isnan(shares[empty]).all()
    np.testing.assert_allclose(shares[~empty], (inside @ values[:2, 0] / np.maximum(inside.sum(axis=1), 1))[~empty])


def test_one_seed_gives_one_bootstrap():
    same = [weights_of(GroupBootstrap(GROUP, 300, seed)) for seed in (4, 4, 5)]
    assert (same[0] == same[1]).all()
    assert (same[0] != same[2]).any()


def test_interval_leaves_out_resamples_where_nothing_is_defined():
    values = np.append(np.arange(101.0), [np.nan] * 7)
    assert interval(values) == (2.5, 97.5)
    assert interval(np.full(3, np.nan)) == (None, None)


def test_equal_resamples_are_no_interval():
    """Sums of equal shares in another order may differ in the last digit."""
    assert interval(np.array([0.6, 0.6 + 1e-16, 0.1 + 0.2 + 0.3, np.nan])) == (None, None)
    assert interval(np.array([0.0, 0.001])) == pytest.approx((0.000025, 0.000975))
    assert quantiles(np.zeros(4)) == (0, 0)
