import numpy as np
import pandas as pd
import pytest

from modeling.calibration import f1_thresholds
from modeling.errors import ModelingError
from modeling.evaluate import compare, evaluate
from modeling.metrics import (
    RECALLS,
    all_hits,
    average_precision,
    f1_scores,
    mean_average_precision,
    mean_of_five,
    recalls,
)
from modeling.paired_tests import holm
from modeling.published import TABLE_5
from modeling.resampling import GroupBootstrap
from modeling.scored_images import scored_images
from modeling.tables import COMPARISON, EVALUATION
from tests.modeling.scores_case import LABELS, random_scores, scores_table, several_seeds


def cells(table):
    return {(row["split"], row["metric"], row["label"]): row for row in table.to_pylist()}


def answers(right, seed):
    """One image a group, carrying Casual: ranked first where right, second where not."""
    values = [[0.9, 0.1, 0, 0] if hit else [0.1, 0.9, 0, 0] for hit in right]
    return scores_table([(f"g{i}", ["Casual"], row) for i, row in enumerate(values)], seed=seed)


def by_hand_seeds(counts, seeds=3):
    """Of the seeds, the first ``counts[i]`` are right on image i."""
    return pd.concat([answers([seed < count for count in counts], seed) for seed in range(seeds)])


def test_metrics_by_hand():
    """Image 1: R = {Casual}, ranked Casual first. Image 2: R = {Retro, Sporty}, ranked Casual, Retro, Sporty. Image 3:
    four labels, so only the any-recalls can count."""
    scores = scores_table(
        [
            ("g1", ["Casual"], [0.9, 0.1, 0.1, 0.1]),
            ("g2", ["Sporty", "Retro"], [0.9, 0.8, 0.7, 0.1]),
            ("g3", ["Classic", "Casual", "Retro", "Sporty"], [0.5, 0.5, 0.5, 0.5]),
        ]
    )
    table = evaluate(scores)
    assert table.schema == EVALUATION
    values = {metric: row["value"] for (_, metric, label), row in cells(table).items() if label is None}
    expected = {"any@1": 2 / 3, "all@2": 1 / 3, "any@2": 1, "all@3": 2 / 3, "any@3": 1}
    # Of 12 answers, by bin, mean probability minus share, times count: 0.1 four times false, 0.9 once true and once
    # false, 0.8 and 0.7 true, 0.5 four times true.
    expected |= dict.fromkeys(("ece", "ece_raw"), (0.4 + 0.8 + 0.2 + 0.3 + 2) / 12)
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
    assert {(row["seeds"], row["spread"]) for row in rows.values()} == {(1, None)}


def test_both_splits_are_measured_apart():
    both = pd.concat([random_scores(1), random_scores(1, split="validation")])
    table = evaluate(both, resamples=100)
    splits = table.column("split").to_pylist()
    assert splits == sorted(splits, reverse=True)
    alone = evaluate(random_scores(1), resamples=100).to_pylist()
    assert [row for row in table.to_pylist() if row["split"] == "test" and row["metric"] not in ("cf1", "of1")] == alone
    first = evaluate(random_scores(1, split="validation"), resamples=100)
    assert table.to_pylist()[: first.num_rows] == first.to_pylist()


def test_f1_by_hand():
    """Validation: Casual at 0.8 (hit) and 0.4, so its threshold is 0.6; Retro at 0.3 (hit) and 0.1, so 0.2.

    Test: of two images with Casual one is found and another image is wrongly given it; Retro is found once and given
    wrongly once. CP = (1/2 + 1/2) / 2, CR = (1/2 + 1/1) / 2; OP = 2/4, OR = 2/3.
    """
    validation = [("v1", ["Casual"], [0.8, 0.1]), ("v2", ["Retro"], [0.4, 0.3])]
    test = [("t1", ["Casual"], [0.7, 0.25]), ("t2", ["Casual"], [0.5, 0.19]), ("t3", ["Retro"], [0.61, 0.21])]
    names = ["Casual", "Retro"]
    table = evaluate(pd.concat([scores_table(validation, "validation", names), scores_table(test, "test", names)]))
    rows = cells(table)
    assert rows["test", "cf1", None]["value"] == pytest.approx(2 * 0.5 * 0.75 / 1.25)
    assert rows["test", "of1", None]["value"] == pytest.approx(2 * 2 / (4 + 3))
    assert ("validation", "cf1", None) not in rows
    assert not {"cf1", "of1"} & set(evaluate(scores_table(test, "test", names)).column("metric").to_pylist())


def test_values_are_means_over_seeds_with_their_spread():
    table = several_seeds(3, 1, 2, sharpness=2.0)
    apart = [cells(evaluate(table[table["seed"] == seed], 100)) for seed in (1, 2, 3)]
    together = cells(evaluate(table, 100))
    assert set(together) == set(apart[0])
    for key, row in together.items():
        values = [one[key]["value"] for one in apart]
        assert row["value"] == pytest.approx(np.mean(values)), key
        assert row["spread"] == pytest.approx(np.std(values, ddof=1), abs=1e-15), key
        assert row["seeds"] == 3
        assert row["images"] == apart[0][key]["images"]
        if key[1].startswith("ece"):
            assert (row["low"], row["high"]) == (None, None), (
                "resamples add to an error, so they hold no interval of it"
            )
        else:
            assert row["low"] <= row["value"] <= row["high"]


def test_equal_seeds_have_no_spread_and_the_interval_of_one():
    one = several_seeds(4)
    three = pd.concat([one.assign(seed=seed) for seed in (1, 2, 3)])
    for key, row in cells(evaluate(three, 100)).items():
        alone = cells(evaluate(one, 100))[key]
        assert (row["spread"], row["value"]) == (0, alone["value"])
        if not key[1].startswith("ece"):
            assert [row["low"], row["high"]] == pytest.approx([alone["low"], alone["high"]])


def test_supports_and_shares_of_the_published_table():
    """Table 5 rebuilt: as many test images of each label as it supports, the nearest whole number of them right."""
    names, entries = list(TABLE_5), []
    for index, published in enumerate(TABLE_5.values()):
        right = round(published.ml_gcn * published.support)
        for number in range(published.support):
            scores = np.full(5, 0.1)
            scores[[(index + 1) % 5, (index + 2) % 5]] = 0.5, 0.6
            scores[index] = 0.7 if number < right else 0.2
            entries.append((f"{index}-{number}", [names[index]], scores))
    rows = cells(evaluate(scores_table(entries, labels=names), resamples=100))
    assert rows["test", "any@1", None]["images"] == 2139
    for name, published in TABLE_5.items():
        row = rows["test", "all@2", name]
        assert row["images"] == published.support
        assert row["value"] == pytest.approx(published.ml_gcn, abs=0.5 / published.support + 1e-4)
    means = sum(rows["test", "all@2", name]["value"] * TABLE_5[name].support for name in names) / 2139
    assert rows["test", "all@2", None]["value"] == pytest.approx(means)


def test_a_label_without_images_is_null_not_zero():
    table = evaluate(scores_table([("g", ["Casual"], [0.9, 0.1, 0, 0]), ("h", ["Retro"], [0.1, 0.9, 0, 0])]))
    row = cells(table)["test", "ap", "Classic"]
    assert (row["value"], row["low"], row["high"], row["images"]) == (None, None, None, 0)
    assert cells(table)["test", "all@2", "Classic"]["value"] is None
    assert cells(table)["test", "map", None]["value"] == 1


def test_intervals_equal_resampling_image_by_image():
    """The vectorised intervals are those of repeating the rows of the drawn groups and measuring anew, by seed."""
    table, resamples = several_seeds(3, 4, sharpness=2.0), 150
    images, validation = scored_images(table, "test"), scored_images(table, "validation")
    thresholds = [f1_thresholds(seen, validation.targets) for seen in validation.probabilities]
    drawn = []
    for weights in np.hstack(list(GroupBootstrap(images.group, resamples, seed=5).weights())).T.astype(int):
        rows = np.repeat(np.arange(len(weights)), weights)
        targets = images.targets[rows]
        by_seed = []
        for logits, probabilities, limits in zip(images.logits, images.probabilities, thresholds, strict=True):
            scores = logits[rows]
            class_f1, overall_f1 = f1_scores(probabilities[rows] >= limits, targets)
            by_seed.append(
                {
                    **recalls(scores, targets),
                    "mean5": mean_of_five(scores, targets),
                    "map": mean_average_precision(scores, targets),
                    "cf1": class_f1,
                    "of1": overall_f1,
                    "ap": average_precision(scores, targets)[1],
                    "all@2 Retro": all_hits(scores, targets, 2)[targets[:, 1]].mean(),
                }
            )
        drawn.append(pd.DataFrame(by_seed).mean())
    expected = pd.DataFrame(drawn).quantile([0.025, 0.975])
    rows = cells(evaluate(table, resamples, seed=5))
    for name in (*RECALLS, "mean5", "map", "cf1", "of1"):
        row = rows["test", name, None]
        assert [row["low"], row["high"]] == pytest.approx(expected[name].tolist(), abs=1e-12), name
    for name, column in (("ap", "ap"), ("all@2", "all@2 Retro")):
        row = rows["test", name, "Retro"]
        assert [row["low"], row["high"]] == pytest.approx(expected[column].tolist(), abs=1e-12)


@pytest.mark.parametrize("right", [True, False])
def test_there_is_no_interval_where_every_image_hits_or_misses(right):
    """Forty of forty is not certain; resamples of equal images only look as if it were."""
    scores = scores_table([(f"g{i}", ["Casual"], [0.9, 0.1, 0, 0] if right else [0.1, 0.9, 0, 0]) for i in range(40)])
    rows = cells(evaluate(scores, 100))
    for key in (("any@1", None), ("all@2", None), ("all@2", "Casual"), ("too_many_labels@2", None), ("mean5", None)):
        row = rows["test", *key]
        assert (row["low"], row["high"]) == (None, None), key
        assert row["value"] is not None
    row = compare({"a": scores, "b": scores}, 100).to_pylist()[0]
    assert (row["low"], row["high"]) == (0, 0), "a comparison always has its numbers"


def test_large_groups_widen_the_interval():
    entries = [(i, ["Casual"], [0.9, 0.1, 0, 0] if i % 20 < 10 else [0.1, 0.9, 0, 0]) for i in range(200)]
    apart = evaluate(scores_table([(f"g{i}", *rest) for i, *rest in entries]))
    together = evaluate(scores_table([(f"g{i // 10}", *rest) for i, *rest in entries]))

    def width(table):
        row = cells(table)["test", "any@1", None]
        return row["high"] - row["low"]

    assert width(together) > 2 * width(apart)


def test_rows_in_another_order_give_the_same_tables():
    a, b = several_seeds(1, 2, 3), several_seeds(2, 5, skill=2.0)
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


def test_comparison_of_several_seeds_by_hand():
    """Three seeds each; of five images, the numbers of seeds that are right are 3 3 2 1 0 and 0 1 2 3 3.

    The majority of a is right on images 1 to 3, that of b on 3 to 5: two against two. Means are 9/15 for both.
    """
    a, b = (by_hand_seeds(counts) for counts in ([3, 3, 2, 1, 0], [0, 1, 2, 3, 3]))
    row = compare({"a": a, "b": b}, 200).to_pylist()[0]
    assert (row["metric"], row["a_only"], row["b_only"], row["p_value"]) == ("any@1", 2, 2, 1)
    assert (row["value_a"], row["value_b"]) == (pytest.approx(0.6), pytest.approx(0.6))
    assert row["difference"] == pytest.approx(0)
    assert row["low"] < 0 < row["high"]


def test_architectures_with_other_numbers_of_seeds_have_equal_votes():
    """One seed that is right on images 1 and 2, against three: the first of them alone votes (right on 1, 2 and 4).

    By value all three count: 7 of 15 answers.
    """
    one, three = by_hand_seeds([1, 1, 0, 0, 0], seeds=1), by_hand_seeds([3, 2, 0, 2, 0])
    row = compare({"one": one, "three": three}, 200).to_pylist()[0]
    assert (row["a_only"], row["b_only"]) == (0, 1)
    assert (row["value_a"], row["value_b"]) == (pytest.approx(2 / 5), pytest.approx(7 / 15))
    last = compare({"one": one, "three": three}, 200).to_pylist()[-1]
    assert (last["metric"], last["a_only"], last["b_only"]) == ("mean5", 1, 1), "image 2 is worse and image 4 better"
    same = pd.concat([one.assign(seed=seed) for seed in (1, 2, 3)])
    for row in compare({"one": one, "same": same}, 200).to_pylist():
        assert (row["difference"], row["a_only"], row["b_only"], row["p_value"]) == (0, 0, 0, 1)


def test_more_seeds_of_the_same_quality_are_not_found_better():
    """Seeds that are right on 80% of images by chance: a vote of three would be right on 90%."""
    random = np.random.default_rng(0)

    def seeds(count):
        right = random.random((count, 400)) < 0.8
        return pd.concat([answers(row, seed) for seed, row in enumerate(right)])

    p_values = [compare({"a": seeds(1), "b": seeds(3)}, 100).to_pylist()[0]["p_value"] for _ in range(12)]
    assert np.median(p_values) > 0.1


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
    with pytest.raises(ModelingError, match="stands twice in the scores of seed 1"):
        evaluate(pd.concat([table, table.iloc[:1]]))
    with pytest.raises(ModelingError, match="no validation image"):
        compare({"a": table, "b": table}, split="validation")
    with pytest.raises(ModelingError, match="not scored with the same seeds"):
        evaluate(pd.concat([table, random_scores(2, split="validation")]))
