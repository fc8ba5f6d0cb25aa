import hashlib
import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from modeling.errors import ModelingError
from modeling.evaluate import (
    compare,
    evaluate,
    holm,
    mcnemar,
    predicted_labels,
    resampled_weights,
    scored_images,
    sign_flip,
)
from modeling.metrics import RECALLS, all_hits, average_precision, mean_average_precision, mean_of_five, recalls
from modeling.tables import COMPARISON, EVALUATION, SCORES

LABELS = ["Casual", "Retro", "Sporty", "Classic"]


def scores_table(entries, split="test", labels=LABELS):
    """SCORES rows from (group, labels of the image with the main one first, scores)."""
    return pd.DataFrame(
        {
            "image_id": [hashlib.sha256(f"{split}{i}".encode()).hexdigest() for i in range(len(entries))],
            "split": split,
            "group_id": [group for group, _, _ in entries],
            "main": [carried[0] for _, carried, _ in entries],
            "subs": [list(carried[1:]) for _, carried, _ in entries],
            "labels": [list(labels)] * len(entries),
            "scores": [np.array(values, dtype=np.float32) for _, _, values in entries],
        }
    )[SCORES.names]


def random_scores(seed, images=60, groups=20, skill=1.0, split="test"):
    """Images of one seed carry the same labels whatever the skill; some scores are equal."""
    world, model = np.random.default_rng(7), np.random.default_rng(seed)
    entries = []
    for _ in range(images):
        carried = world.permutation(4)[: world.integers(1, 5)]
        values = np.round(model.normal(size=4) + skill * np.isin(np.arange(4), carried), 1)
        group = f"g{world.integers(groups)}"
        entries.append((group, [LABELS[index] for index in carried], 1 / (1 + np.exp(-values))))
    return scores_table(entries, split)


def cells(table):
    return {(row["split"], row["metric"], row["label"]): row for row in table.to_pylist()}


def test_metrics_by_hand():
    """Image 1: R = {Casual}, ranked Casual first. Image 2: R = {Retro, Sporty}, ranked Casual, Retro, Sporty. Image 3:
    four labels, so only the any-recalls can count."""
    table = evaluate(
        scores_table(
            [
                ("g1", ["Casual"], [0.9, 0.1, 0.1, 0.1]),
                ("g2", ["Sporty", "Retro"], [0.9, 0.8, 0.7, 0.1]),
                ("g3", ["Classic", "Casual", "Retro", "Sporty"], [0.5, 0.5, 0.5, 0.5]),
            ]
        )
    )
    assert table.schema == EVALUATION
    values = {metric: row["value"] for (_, metric, label), row in cells(table).items() if label is None}
    expected = {"any@1": 2 / 3, "all@2": 1 / 3, "any@2": 1, "all@3": 2 / 3, "any@3": 1}
    expected |= {"mean5": (2 / 3 + 1 / 3 + 1 + 2 / 3 + 1) / 5, "too_many_labels@2": 1 / 3, "too_many_labels@3": 1 / 3}
    # Ranked over images. Casual: 0.9 (hit, miss tied), 0.5 (hit), so 1/2 * 1/2 + 1/2 * 2/3. Retro: 0.8 and 0.5 (hits)
    # before 0.1, so 1; Sporty likewise. Classic: 0.5 (hit) before 0.1, so 1.
    assert values.pop("map") == pytest.approx((7 / 12 + 1 + 1 + 1) / 4)
    assert values == pytest.approx(expected)
    rows = cells(table)
    assert rows["test", "ap", "Casual"]["value"] == pytest.approx(7 / 12)
    assert [rows["test", "all@2", label]["value"] for label in LABELS] == [0.5, 0, 0, 0]
    assert [rows["test", "all@2", label]["images"] for label in LABELS] == [2, 2, 2, 1]
    assert rows["test", "any@1", None]["images"] == 3


def test_both_splits_are_measured_apart():
    both = pd.concat([random_scores(1), random_scores(2, split="validation")])
    table = evaluate(both, resamples=100)
    splits = table.column("split").to_pylist()
    assert splits == sorted(splits, reverse=True)
    alone = evaluate(random_scores(1), resamples=100)
    assert table.to_pylist()[-alone.num_rows :] == alone.to_pylist()


def test_a_label_without_images_is_null_not_zero():
    table = evaluate(scores_table([("g", ["Casual"], [0.9, 0.1, 0, 0]), ("h", ["Retro"], [0.1, 0.9, 0, 0])]))
    row = cells(table)["test", "ap", "Classic"]
    assert (row["value"], row["low"], row["high"], row["images"]) == (None, None, None, 0)
    assert cells(table)["test", "all@2", "Classic"]["value"] is None
    assert cells(table)["test", "map", None]["value"] == 1


def test_intervals_equal_resampling_image_by_image():
    """The vectorised intervals are those of repeating the rows of the drawn groups and measuring anew."""
    table, resamples = random_scores(3), 150
    images = scored_images(table, "test")
    drawn = []
    for weights in resampled_weights(images.group, resamples, seed=5).astype(int):
        rows = np.repeat(np.arange(len(weights)), weights)
        scores, targets = images.scores[rows], images.targets[rows]
        right = all_hits(scores, targets, 2)
        drawn.append(
            {
                **recalls(scores, targets),
                "mean5": mean_of_five(scores, targets),
                "map": mean_average_precision(scores, targets),
                "ap": average_precision(scores, targets)[1],
                "all@2 Retro": right[targets[:, 1]].mean(),
            }
        )
    expected = pd.DataFrame(drawn).quantile([0.025, 0.975])
    rows = cells(evaluate(table, resamples, seed=5))
    for name in (*RECALLS, "mean5", "map"):
        row = rows["test", name, None]
        assert [row["low"], row["high"]] == pytest.approx(expected[name].tolist(), abs=1e-12)
    for name, column in (("ap", "ap"), ("all@2", "all@2 Retro")):
        row = rows["test", name, "Retro"]
        assert [row["low"], row["high"]] == pytest.approx(expected[column].tolist(), abs=1e-12)


def test_images_of_a_group_are_drawn_together():
    group = np.array([0, 1, 1, 2, 2, 2])
    weights = resampled_weights(group, 200, seed=0)
    assert (weights[:, 1] == weights[:, 2]).all()
    assert (weights[:, 3] == weights[:, 5]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()
    assert weights.std(axis=0).min() > 0


def test_large_groups_widen_the_interval():
    entries = [(i, ["Casual"], [0.9, 0.1, 0, 0] if i % 20 < 10 else [0.1, 0.9, 0, 0]) for i in range(200)]
    apart = evaluate(scores_table([(f"g{i}", *rest) for i, *rest in entries]))
    together = evaluate(scores_table([(f"g{i // 10}", *rest) for i, *rest in entries]))

    def width(table):
        row = cells(table)["test", "any@1", None]
        return row["high"] - row["low"]

    assert width(together) > 2 * width(apart)


def test_rows_in_another_order_give_the_same_tables():
    a, b = random_scores(1), random_scores(2, skill=2.0)
    shuffled = a.sample(frac=1, random_state=4)
    assert evaluate(shuffled, 100).equals(evaluate(a, 100))
    assert compare({"a": shuffled, "b": b}, 100).equals(compare({"a": a, "b": b}, 100))
    assert not evaluate(a, 100, seed=1).equals(evaluate(a, 100))


def test_comparison_by_hand():
    """Of any@1, a alone is right on one image and b alone on three: p = 2 (1 + 4) / 16."""
    right, wrong = [0.9, 0.1, 0, 0], [0.1, 0.9, 0, 0]
    a = scores_table([(f"g{i}", ["Casual"], values) for i, values in enumerate([right, right] + [wrong] * 4)])
    b = scores_table([(f"g{i}", ["Casual"], values) for i, values in enumerate([right, wrong] + [right] * 3 + [wrong])])
    table = compare({"first": a, "second": b}, resamples=200)
    assert table.schema == COMPARISON
    rows = {row["metric"]: row for row in table.to_pylist()}
    assert list(rows) == [*RECALLS, "mean5"]
    row = rows["any@1"]
    assert (row["architecture_a"], row["architecture_b"]) == ("first", "second")
    assert (row["value_a"], row["value_b"]) == (2 / 6, 4 / 6)
    assert row["difference"] == pytest.approx(2 / 6)
    assert (row["a_only"], row["b_only"]) == (1, 3)
    assert row["p_value"] == pytest.approx(0.625)
    assert row["low"] <= row["difference"] <= row["high"]
    assert rows["any@2"]["p_value"] == 1
    assert rows["mean5"]["difference"] == pytest.approx(2 / 30)


def test_every_pair_is_compared_in_order():
    tables = {name: random_scores(seed) for seed, name in enumerate("xyz")}
    rows = compare(tables, 100).to_pylist()
    pairs = list(dict.fromkeys((row["architecture_a"], row["architecture_b"]) for row in rows))
    assert pairs == [("x", "y"), ("x", "z"), ("y", "z")]
    assert [row["p_adjusted"] for row in rows] == holm([row["p_value"] for row in rows])
    measured = {name: cells(evaluate(table, 100)) for name, table in tables.items()}
    for row in rows:
        first, second = (
            measured[row[key]]["test", row["metric"], None]["value"] for key in ("architecture_a", "architecture_b")
        )
        assert [row["value_a"], row["value_b"]] == pytest.approx([first, second])
    assert compare({"x": tables["x"]}, 100).num_rows == 0


def test_paired_intervals_are_narrower_than_apart():
    """A model that is right wherever the other is, and on some more images, is better for certain."""
    right, wrong = [0.9, 0.1, 0, 0], [0.1, 0.9, 0, 0]
    a = scores_table([(f"g{i}", ["Casual"], right if i < 50 else wrong) for i in range(100)])
    b = scores_table([(f"g{i}", ["Casual"], right if i < 60 else wrong) for i in range(100)])
    row = compare({"a": a, "b": b}).to_pylist()[0]
    assert row["low"] > 0
    assert row["p_adjusted"] < 0.05
    assert compare({"a": a, "b": b}).to_pylist()[-1]["p_value"] < 0.05


def test_models_scored_on_different_images_are_not_compared():
    a, b = random_scores(1), random_scores(2)
    with pytest.raises(ModelingError, match="large and small were not scored on the same images"):
        compare({"large": a, "small": b.iloc[1:]})
    relabelled = b.assign(main="Classic", subs=[[]] * len(b))
    with pytest.raises(ModelingError, match="not scored on the same images and labels"):
        compare({"large": a, "small": relabelled})


def test_tables_that_cannot_be_measured_are_refused():
    table = random_scores(1)
    with pytest.raises(ModelingError, match="no validation and no test image"):
        evaluate(table.assign(split="train"))
    with pytest.raises(ModelingError, match="stands twice"):
        evaluate(pd.concat([table, table.iloc[:1]]))
    broken = table.copy()
    broken.at[3, "scores"] = np.array([0.1, np.nan, 0.2, 0.3], dtype=np.float32)
    with pytest.raises(ModelingError, match=f"image {table.loc[3, 'image_id']} needs one score that is a number"):
        evaluate(broken)
    broken.at[3, "scores"] = np.array([0.1, 0.2], dtype=np.float32)
    with pytest.raises(ModelingError, match=f"image {table.loc[3, 'image_id']} needs one score"):
        evaluate(broken)
    broken = table.copy()
    broken.at[5, "labels"] = LABELS[::-1]
    with pytest.raises(ModelingError, match="score the model anew"):
        evaluate(broken)
    with pytest.raises(ModelingError, match="no validation image"):
        compare({"a": table, "b": table}, split="validation")


def test_predicted_labels_stand_best_first():
    table = scores_table([("g", ["Casual"], [0.1, 0.9, 0.9, 0.2])])
    assert predicted_labels(table, 3)["predicted"].tolist() == [["Retro", "Sporty", "Classic"]]


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
