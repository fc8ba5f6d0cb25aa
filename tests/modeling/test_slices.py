import numpy as np
import pandas as pd
import pytest

from modeling.errors import ModelingError
from modeling.evaluate import evaluate
from modeling.metrics import RECALLS, mean_of_five, recalls
from modeling.scored_images import scored_images
from modeling.slices import slices, worst_errors
from modeling.tables import SLICES
from tests.modeling.scores_case import LABELS, random_scores, scores_table, several_seeds


def facts_of(table):
    ids = sorted(set(table["image_id"]))
    random = np.random.default_rng(3)
    return pd.DataFrame(
        {
            "window": random.choice(["2019-07-01", "2019-08-01"], len(ids)),
            "source": random.choice(["pixelfed", "mastodon"], len(ids)),
            "blind": random.random(len(ids)) < 0.3,
        },
        index=ids,
    )


def values_of(table, split="test"):
    rows = [row for row in table.to_pylist() if row["split"] == split]
    return {(row["dimension"], row["slice"], row["metric"]): row for row in rows}


def test_slices_by_hand():
    """Ranked: Casual, Retro, Sporty, Classic, always. Two images with one label, one with two, one with four."""
    ranked = [0.9, 0.8, 0.7, 0.6]
    table = scores_table(
        [
            ("g1", ["Casual"], ranked),
            ("g2", ["Classic"], ranked),
            ("g3", ["Retro", "Casual"], ranked),
            ("g4", ["Casual", "Retro", "Sporty", "Classic"], ranked),
        ]
    )
    facts = pd.DataFrame({"window": ["b", "a", "a", "b"], "blind": [True, False, None, True]}, index=table["image_id"])
    found = slices(table, facts, resamples=100)
    assert found.schema == SLICES
    rows = values_of(found)
    assert list(dict.fromkeys((dimension, name) for dimension, name, _ in rows)) == [
        ("window", "a"),
        ("window", "b"),
        ("labels", "1"),
        ("labels", "2"),
        ("labels", "3+"),
        ("main_only", "yes"),
        ("main_only", "no"),
        ("blind", "yes"),
        ("blind", "no"),
    ]
    counts = {name: rows[(*name, "any@1")]["images"] for name in dict.fromkeys(key[:2] for key in rows)}
    assert list(counts.values()) == [2, 2, 2, 1, 1, 2, 2, 2, 1]
    ones = [rows["labels", "1", name]["value"] for name in (*RECALLS, "mean5")]
    assert ones == pytest.approx([0.5] * 6)
    twos = [rows["labels", "2", name]["value"] for name in (*RECALLS, "mean5")]
    assert twos == pytest.approx([1] * 6)
    many = [rows["labels", "3+", name]["value"] for name in (*RECALLS, "mean5")]
    assert many == pytest.approx([1, 0, 1, 0, 1, 0.6])


def test_a_slice_of_one_group_has_no_interval():
    rows = values_of(slices(*one_group_of_two(), resamples=100))
    alone, both = rows["source", "a", "any@1"], rows["source", "b", "any@1"]
    assert (alone["images"], alone["low"], alone["high"]) == (2, None, None)
    assert both["low"] <= both["value"] <= both["high"]


def test_a_slice_in_which_every_image_hits_has_no_interval():
    table = scores_table([(f"g{i}", ["Casual"], [0.9, 0.1, 0, 0]) for i in range(9)])
    row = values_of(slices(table, pd.DataFrame(index=table["image_id"]), 100))["labels", "1", "mean5"]
    assert (row["value"], row["low"], row["high"]) == (1, None, None)


def one_group_of_two():
    right, wrong = [0.9, 0.1, 0, 0], [0.1, 0.9, 0, 0]
    entries = [("g1", right), ("g1", wrong), ("g2", right), ("g3", wrong)]
    table = scores_table([(group, ["Casual"], values) for group, values in entries])
    return table, pd.DataFrame({"source": ["a", "a", "b", "b"]}, index=table["image_id"])


def test_values_equal_measuring_the_images_of_a_slice_alone():
    table = several_seeds(1, 2, 3)
    facts = facts_of(table)
    found = slices(table, facts, resamples=100)
    for split in ("validation", "test"):
        rows = values_of(found, split)
        images = scored_images(table, split)
        known = facts.loc[images.image_ids]
        masks = {("window", name): known["window"] == name for name in ("2019-07-01", "2019-08-01")}
        masks |= {("source", name): known["source"] == name for name in ("pixelfed", "mastodon")}
        masks |= {("blind", "yes"): known["blind"], ("blind", "no"): ~known["blind"]}
        for key, mask in masks.items():
            inside = mask.to_numpy()
            assert rows[(*key, "any@1")]["images"] == inside.sum()
            by_seed = [recalls(logits[inside], images.targets[inside]) for logits in images.logits]
            for name in RECALLS:
                assert rows[(*key, name)]["value"] == pytest.approx(np.mean([one[name] for one in by_seed]))
            means = [mean_of_five(logits[inside], images.targets[inside]) for logits in images.logits]
            assert rows[(*key, "mean5")]["value"] == pytest.approx(np.mean(means))


def test_a_slice_of_all_images_has_the_value_and_interval_of_the_evaluation():
    table = several_seeds(1, 2)
    facts = pd.DataFrame({"window": "only"}, index=sorted(set(table["image_id"])))
    rows = values_of(slices(table, facts, 200, seed=4))
    evaluated = evaluate(table, 200, seed=4).to_pandas().query("split == 'test' and label.isna()").set_index("metric")
    for name in (*RECALLS, "mean5"):
        row = rows["window", "only", name]
        assert [row[key] for key in ("value", "low", "high")] == pytest.approx(
            evaluated.loc[name, ["value", "low", "high"]].tolist()
        )


def test_order_of_rows_and_facts_changes_nothing():
    table = several_seeds(1, 2)
    facts = facts_of(table)
    first = slices(table, facts, 100)
    assert slices(table.sample(frac=1, random_state=1), facts.sample(frac=1, random_state=2), 100).equals(first)
    assert values_of(slices(table, facts[[]], 100)).keys() == {
        key for key in values_of(first) if key[0] in ("labels", "main_only")
    }


def test_facts_that_do_not_fit_are_refused():
    table = random_scores(1)
    facts = facts_of(table)
    with pytest.raises(ModelingError, match=f"image {facts.index[3]} has no facts"):
        slices(table, facts.drop(index=facts.index[3]), 100)
    with pytest.raises(ModelingError, match=f"image {facts.index[0]} stands twice in the facts"):
        slices(table, pd.concat([facts, facts.iloc[:1]]), 100)


def test_worst_errors_by_hand():
    """Image 1 is right and image 4 carries all. Image 2: Retro at 0.01, Casual 0.99; image 3: Sporty behind Retro."""
    table = scores_table(
        [
            ("g", ["Casual"], [0.9, 0.8, 0.1, 0.1]),
            ("g", ["Retro"], [0.99, 0.01, 0.1, 0.2]),
            ("g", ["Sporty", "Casual"], [0.9, 0.6, 0.4, 0.1]),
            ("g", LABELS, [0.1, 0.2, 0.3, 0.4]),
        ]
    )
    found = worst_errors(table)
    assert found["image_id"].tolist() == table["image_id"].iloc[[1, 2]].tolist()
    first, second = found.iloc[0], found.iloc[1]
    assert (first["main"], first["subs"], first["predicted"]) == ("Retro", [], ["Casual"])
    assert (first["true_label"], first["wrong_label"]) == ("Retro", "Casual")
    assert (first["true_probability"], first["wrong_probability"]) == (pytest.approx(0.01), pytest.approx(0.99))
    assert first["loss"] == pytest.approx(-np.log([0.01, 0.01, 0.9, 0.8]).mean(), rel=1e-5)
    assert (second["main"], second["subs"], second["predicted"]) == ("Sporty", ["Casual"], ["Casual", "Retro"])
    assert (second["true_label"], second["wrong_label"]) == ("Sporty", "Retro")
    assert worst_errors(table, most=1).equals(found.iloc[:1])
    assert worst_errors(table.iloc[:1]).empty


def test_worst_errors_are_those_of_the_mean_over_seeds():
    """Wrong with one seed by little and right with the other by much: right."""
    one = scores_table([("g", ["Casual"], [0.4, 0.6, 0, 0]), ("h", ["Casual"], [0, 1, 0, 0])], seed=1)
    two = scores_table([("g", ["Casual"], [0.9, 0.1, 0, 0]), ("h", ["Casual"], [0, 1, 0, 0])], seed=2)
    found = worst_errors(pd.concat([one, two]))
    assert found["image_id"].tolist() == [one["image_id"][1]]
    assert found["loss"].iloc[0] == pytest.approx(-np.log(1e-7) / 2), "bounded, though the probability is 0"


def test_worst_errors_are_all_wrong_and_ordered():
    found = worst_errors(several_seeds(1, 2), most=200)
    assert found["loss"].is_monotonic_decreasing
    assert (found["wrong_probability"] > found["true_probability"]).all()
    for row in found.itertuples():
        carried = {row.main, *row.subs}
        assert len(row.predicted) == len(carried)
        assert set(row.predicted) != carried
        assert row.true_label in carried
        assert row.wrong_label not in carried
