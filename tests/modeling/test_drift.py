"""A planted shift is found, windows alike are not, and the tests are those of their names."""

import numpy as np
import pytest
from scipy import stats

from modeling.drift import drift_table
from modeling.drift_reference import Sample
from modeling.errors import ModelingError
from modeling.settings import DriftSettings
from modeling.shifts import chi_squared, largest_ks, mean_discrepancy, sorted_columns
from modeling.tables import DRIFT
from tests.modeling.operation_case import MODEL, World, followed, window_names

SETTINGS = DriftSettings(permutations=199)
SHARES, OTHERS = (0.4, 0.3, 0.2, 0.1), (0.1, 0.1, 0.2, 0.6)
KINDS = ["expert_labels", "predicted_labels", "scores", "embeddings"]


def world_of(seed=0, windows=5, images=200, last=SHARES, shift=0.0, outside=0.0):
    """Three training windows, then others like them but for the last one."""
    world, names = World(seed, outside=outside), window_names(3 + windows)
    for name in names[:-1]:
        world.draw(name, images, SHARES)
    world.draw(names[-1], images, last, shift)
    return world, names


def table_of(world, names, settings=SETTINGS, labels=None):
    labels = world.labels() if labels is None else labels
    return drift_table([followed(world.data_set(names[:3]))], names, world.read, labels, settings)


def test_planted_shift_is_found_by_every_test_and_nowhere_else():
    world, names = world_of(last=OTHERS, shift=1.0)
    table = table_of(world, names)
    assert table.schema == DRIFT
    rows = table.to_pandas()
    assert rows["window"].tolist() == [name for name in names[3:] for _ in KINDS]
    assert rows["what"].tolist() == KINDS * 5
    assert set(rows.loc[rows["drifted"], "window"]) == {names[-1]}
    last = rows[rows["window"] == names[-1]].set_index("what")
    assert last.loc[["expert_labels", "predicted_labels", "embeddings"], "drifted"].all()
    assert last.loc["expert_labels", "distance"] == pytest.approx(0.5, abs=0.1)  # of the shares planted
    assert (last["p_adjusted"] >= last["p_value"]).all()


def test_windows_alike_rarely_drift():
    """15 worlds of 5 windows, thresholds of 0: a kind of drift has an alarm in at most 1% of the worlds."""
    settings = DriftSettings(permutations=199, most_label_shift=0, most_score_shift=0, most_embedding_shift=0)
    alarms = 0
    for seed in range(15):
        rows = table_of(*world_of(seed), settings).to_pandas()
        alarms += rows.groupby("what")["drifted"].any().sum()
    assert alarms <= 3  # 1% of 60 are 0.6; more than 3 happen by chance in 1 of 300


@pytest.mark.parametrize("outside", [0.0, 0.2, 0.4])
def test_labelled_training_windows_with_images_outside_the_set_raise_no_alarm(outside):
    """The champion learned from 80% of all members of the set; the rest of its windows has too many outsiders.

    10 worlds of 5 windows, with thresholds of 0 and with those of the settings.
    """
    bare = DriftSettings(permutations=99, most_label_shift=0, most_score_shift=0, most_embedding_shift=0)
    alarms, significant = 0, 0
    for seed in range(10):
        world, names = world_of(seed, images=300, outside=outside)
        one, labels = followed(world.data_set(names[:3], test=0.2)), world.labels(names[:3])
        for settings in (bare, DriftSettings(permutations=99)):
            rows = drift_table([one], names, world.read, labels, settings).to_pandas()
            found = rows.groupby("what")["drifted"].any().sum()
            alarms, significant = (alarms, significant + found) if settings is bare else (alarms + found, significant)
    assert alarms == 0
    assert significant <= 3  # 1% of 30 are 0.3; more than 3 happen by chance in 1 of 4000


def test_a_shift_is_found_beside_images_outside_the_set():
    world, names = world_of(images=300, last=OTHERS, shift=1.0, outside=0.4)
    one = followed(world.data_set(names[:3], test=0.2))
    rows = drift_table([one], names, world.read, world.labels(), SETTINGS).to_pandas()
    assert set(rows.loc[rows["drifted"], "window"]) == {names[-1]}
    last = rows[rows["window"] == names[-1]].set_index("what")
    assert last.loc[["expert_labels", "predicted_labels", "embeddings"], "drifted"].all()


def test_weights_of_a_sample_are_rows_that_stand_twice():
    random = np.random.default_rng(0)
    values, reference = random.random((40, 2)).astype(np.float32), random.random((50, 2)).astype(np.float32)
    weights = random.integers(1, 4, 50)
    _, weighted = largest_ks(values, sorted_columns(reference, weights.astype(float)))
    _, repeated = largest_ks(values, sorted_columns(np.repeat(reference, weights, axis=0)))
    assert weighted.distance == pytest.approx(repeated.distance)
    assert weighted.p_value > repeated.p_value  # rows that stand twice are no more images
    assert sorted_columns(reference, weights.astype(float)).effective == pytest.approx(
        weights.sum() ** 2 / (weights**2).sum()
    )


def test_reference_is_what_the_champion_did_not_learn_from():
    world, names = world_of(windows=2)
    data = world.data_set(names[:3], test=0.3)
    table = drift_table([followed(data)], names, world.read, world.labels(), SETTINGS).to_pandas()
    images = table.set_index(["window", "what"])["reference_images"]
    assert images[names[3], "predicted_labels"] == (data["split"] == "test").sum()
    assert images[names[3], "expert_labels"] == len(data)


def test_small_windows_have_a_row_without_a_result_and_empty_ones_none():
    world, names = world_of(windows=3)
    world.seen[names[3]] = world.seen[names[3]].slice(0, 29)
    world.seen[names[4]] = world.seen[names[4]].slice(0, 0)
    labels = world.labels(names[:3] + names[5:])
    rows = table_of(world, names, labels=labels).to_pandas()
    small = rows[rows["window"] == names[3]]
    assert small["what"].tolist() == KINDS[1:]
    assert small["p_value"].isna().all()
    assert not small["drifted"].any()
    assert names[4] not in set(rows["window"])
    assert set(rows.loc[rows["window"] == names[5], "what"]) == set(KINDS)


def test_nothing_to_compare_with_is_no_drift():
    """The champion learned from all images of its windows."""
    world, names = world_of(windows=1, last=OTHERS, shift=3.0)
    data = world.data_set(names[:3], test=0.0)
    rows = drift_table([followed(data)], names, world.read, world.labels([]), SETTINGS).to_pandas()
    assert rows["what"].tolist() == KINDS[1:]
    assert set(rows["reference_images"]) == {0}
    assert not rows["drifted"].any()


def test_answers_of_other_models_and_sets_without_champion_are_passed_over():
    world, names = world_of(windows=2)
    world.version = "other-000000000000"
    world.draw(names[-1], 200, OTHERS, 2.0)
    rows = table_of(world, names, labels=world.labels([])).to_pandas()
    assert set(rows["window"]) == {names[3]}
    assert drift_table([followed()], names, world.read, world.labels(), SETTINGS).num_rows == 0


def test_champion_without_its_data_set_is_an_error():
    one = followed(World().data_set([]))
    one.trained_on.clear()
    with pytest.raises(ModelingError, match=f"data set that its champion {MODEL}"):
        drift_table([one], [], lambda _: None, World().labels(), SETTINGS)


def test_same_input_gives_the_same_table():
    world, names = world_of(windows=2)
    data, labels = world.data_set(names[:3]), world.labels()
    first, second = (drift_table([followed(data)], names, world.read, labels, SETTINGS) for _ in range(2))
    assert first.equals(second)


def test_chi_squared_by_hand():
    """30, 20 against 20, 30: every cell expects 25 and is 5 off, so 4 * 25 / 25 = 4; distance 0.2."""
    found = chi_squared(np.array([30, 20]), np.array([20, 30]))
    assert found.statistic == pytest.approx(4)
    assert found.p_value == pytest.approx(stats.chi2.sf(4, 1))
    assert found.distance == pytest.approx(0.2)
    assert chi_squared(np.array([5, 0]), np.array([7, 0])).p_value == 1


@pytest.mark.parametrize(("counts", "reference"), [([4, 6], [8, 40]), ([9, 1], [20, 80]), ([0, 12], [3, 60])])
def test_of_few_images_chi_squared_is_the_permutation_test(counts: list[int], reference: list[int]):
    """Of two labels every table with the same sums can be listed: those as far from the expectation count."""
    images, whole = sum(counts), np.add(counts, reference)
    tables = np.arange(max(0, images - whole[1]), min(images, whole[0]) + 1)
    chance = stats.hypergeom(whole.sum(), whole[0], images).pmf(tables)
    away = np.abs(tables - images * whole[0] / whole.sum())
    exact = chance[away >= away[tables == counts[0]] - 1e-9].sum()
    found = chi_squared(np.array(counts), np.array(reference))
    assert found.statistic == pytest.approx(stats.chi2_contingency([counts, reference], False).statistic)
    assert found.p_value == pytest.approx(exact, rel=0.1, abs=5e-5)


def test_a_festival_of_a_rare_style_is_seen_among_26_images():
    """Two of 26 images were to be expected of the last style; taken together with other rare ones it would hide."""
    found = chi_squared(np.array([5, 3, 1, 0, 17]), np.array([190, 86, 86, 54, 36]))
    assert found.p_value < 1e-4


def test_ks_is_scipys_and_adjusted_over_the_labels():
    random = np.random.default_rng(0)
    values, reference = random.random((80, 3)).astype(np.float32), random.random((300, 3)).astype(np.float32)
    values[:, 1] = np.round(values[:, 1] ** 2, 2)  # with ties
    column, found = largest_ks(values, sorted_columns(reference))
    expected = [stats.ks_2samp(values[:, at], reference[:, at], method="asymp") for at in range(3)]
    assert column == 1
    assert found.statistic == pytest.approx(expected[1].statistic)
    assert found.p_value == pytest.approx(min(1, 3 * expected[1].pvalue))


def test_mean_discrepancy_is_the_unbiased_estimate():
    """By its definition: sums over pairs of different vectors."""
    random = np.random.default_rng(0)
    x, y = random.normal(size=(12, 3)).astype(np.float32), random.normal(size=(9, 3)).astype(np.float32) + 1
    both = np.concatenate([x, y])
    distances = np.linalg.norm(both[:, None] - both[None], axis=2)
    kernel = np.exp(-(distances**2) / (2 * np.median(distances[np.triu_indices(21, 1)]) ** 2))
    xx, yy, xy = kernel[:12, :12], kernel[12:, 12:], kernel[:12, 12:]
    expected = (xx.sum() - 12) / (12 * 11) + (yy.sum() - 9) / (9 * 8) - 2 * xy.mean()
    assert mean_discrepancy(x, y, 99, 0).statistic == pytest.approx(expected, rel=1e-4)


def test_p_values_of_the_mean_discrepancy_are_uniform_without_a_shift_and_tiny_with_one():
    random = np.random.default_rng(2)
    p_values = [mean_discrepancy(*random.normal(size=(2, 40, 4)).astype(np.float32), 99, 0).p_value for _ in range(200)]
    assert 0.01 <= np.mean(np.array(p_values) < 0.05) <= 0.1
    assert stats.kstest(p_values, "uniform").pvalue > 0.001
    x, y = random.normal(size=(2, 200, 4)).astype(np.float32)
    assert mean_discrepancy(x + 1, y, 199, 0).p_value < 1e-6  # not 1 in 200
    same = np.ones((40, 3), dtype=np.float32)
    assert mean_discrepancy(same, same, 99, 0).p_value == 1


def test_sample_is_as_large_as_asked_and_fair():
    drawn = np.zeros(100)
    for seed in range(400):
        sample = Sample(20, seed)
        for part in range(4):
            sample.add(np.arange(25 * part, 25 * part + 25, dtype=np.float32)[:, None])
        assert len(sample.rows) == 20
        drawn[sample.rows[:, 0].astype(int)] += 1
    assert stats.chisquare(drawn).pvalue > 0.001
