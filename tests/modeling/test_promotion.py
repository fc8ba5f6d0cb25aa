"""Which challenger takes the champion's place, rule by rule, on frames written by hand."""

import datetime as dt

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from modeling.errors import ModelingError
from modeling.evaluate import compare
from modeling.paired_tests import sign_flip
from modeling.promotion import common_test_images, decide, promotion_row, version_id
from modeling.scored_images import scored_images
from modeling.settings import PromotionSettings
from modeling.tables import PROMOTIONS
from tests.modeling.scores_case import LABELS, scores_table, several_seeds

SETTINGS = PromotionSettings(least_images=10)
NEWER = ("2024-03-04", "2024-01-01")  # 63 days
RIGHT, WRONG = [0.9, 0.2, 0.1, 0.05], [0.1, 0.2, 0.3, 0.9]


def frame(right, wrong=0, labels=LABELS):
    """So many images that are Casual and so many that the model takes for anything else, each a group of its own."""
    answers = [RIGHT] * right + [WRONG] * wrong
    return scores_table([(f"g{place}", ["Casual"], answer) for place, answer in enumerate(answers)], labels=labels)


def decided(challenger, champion, settings=SETTINGS, **more):
    return decide(challenger, champion, settings, 200, 0, **more)


def test_first_champion_needs_no_test_images_but_reaches_the_floor():
    found = decided(frame(3), None)
    assert (found.decision, found.rule, found.images, found.challenger_value) == ("promoted", "first", 3, 1)
    assert decided(frame(0), None).rule == "first"
    low = decided(frame(0, 20), None, PromotionSettings(least_score=0.5))
    assert (low.decision, low.rule) == ("refused", "below_floor")
    assert decided(frame(0), None, PromotionSettings(least_score=0.5)).rule == "too_few_images"


@pytest.mark.parametrize(
    ("challenger", "champion", "newest", "decision", "rule"),
    [
        (frame(40), frame(25, 15), ("2024-01-01", "2024-01-01"), "promoted", "better"),
        (frame(25, 15), frame(40), NEWER, "refused", "not_better"),
        (frame(40), frame(40), NEWER, "promoted", "newer"),
        (frame(40), frame(40), ("2024-02-25", "2024-01-01"), "refused", "not_better"),  # 55 days
        (frame(40), frame(40), ("2024-02-26", "2024-01-01"), "promoted", "newer"),  # 56 days
        (frame(40), frame(40), (None, "2024-01-01"), "refused", "not_better"),
        (frame(39, 1), frame(40), NEWER, "refused", "not_better"),  # its interval reaches below the margin
        (frame(9), frame(9), NEWER, "refused", "too_few_images"),
        (frame(0), frame(0), NEWER, "refused", "too_few_images"),
    ],
)
def test_rule_decides(challenger, champion, newest, decision, rule):
    found = decided(challenger, champion, newest=newest)
    assert (found.decision, found.rule) == (decision, rule)
    assert found.promoted == (decision == "promoted")
    assert "\n" not in found.reason


def test_margin_lets_a_newer_model_be_a_little_worse():
    loose = PromotionSettings(least_images=10, margin=0.2)
    assert decided(frame(39, 1), frame(40), loose, newest=NEWER).rule == "newer"
    assert decided(frame(30, 10), frame(40), loose, newest=NEWER).rule == "not_better"


def test_floor_refuses_even_a_better_model():
    settings = PromotionSettings(least_images=10, least_score=0.9)
    found = decided(frame(30, 10), frame(0, 40), settings)
    assert (found.decision, found.rule) == ("refused", "below_floor")
    assert "promotion.least_score" in found.reason


def old_labels(right, wrong=0):
    """A champion that knows Grunge in the place of Classic."""
    return frame(right, wrong, [*LABELS[:3], "Grunge"])


def test_other_labels_are_compared_on_those_that_both_know():
    """RIGHT and WRONG on 3 labels: all five recalls hit, or only the two of three labels do."""
    bad, good = decided(frame(10, 30), old_labels(38, 2)), decided(frame(38, 2), old_labels(10, 30))
    assert (bad.decision, bad.rule) == ("refused", "not_better")
    assert (good.decision, good.rule) == ("promoted", "labels_changed")
    assert bad.challenger_value == pytest.approx((10 + 30 * 2 / 5) / 40)
    assert bad.champion_value == pytest.approx((38 + 2 * 2 / 5) / 40)
    assert bad.difference == pytest.approx(-good.difference)
    assert bad.images == 40
    for found in (bad, good):
        assert "came: Classic" in found.reason
        assert "went: Grunge" in found.reason
        assert "on the 3 labels that both know" in found.reason
    assert decided(frame(39, 1), old_labels(40), PromotionSettings(least_images=10, margin=0.02)).promoted
    assert not decided(frame(38, 2), old_labels(40)).promoted  # 3 points worse
    floor = PromotionSettings(least_images=10, least_score=0.99)
    assert decided(frame(25, 15), old_labels(40), floor).rule == "below_floor"


def test_images_with_a_label_that_only_one_knows_are_not_compared_on():
    entries = [(f"g{at}", ["Casual"] if at < 15 else ["Casual", "Classic"], RIGHT) for at in range(40)]
    challenger = scores_table(entries)
    found = decided(challenger, old_labels(40))
    assert (found.rule, found.images, found.difference) == ("labels_changed", 15, 0)
    alone = decided(challenger, old_labels(40), PromotionSettings(least_images=16))
    assert (alone.decision, alone.rule, alone.champion_value, alone.images) == ("promoted", "labels_changed", None, 40)
    assert "can't be compared: 15 images" in alone.reason


def history_of(*decisions):
    when = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
    rows = [
        promotion_row(
            decided_at=when, decision=decision, rule=rule, reason="", champion_before="a", champion="b", difference=by
        )
        for decision, rule, by in decisions
    ]
    return pa.Table.from_pylist(rows, PROMOTIONS)


@pytest.mark.parametrize(
    ("before", "rule"),
    [
        ([("promoted", "first", None), ("promoted", "newer", -0.1)], "newer"),
        ([("promoted", "newer", -0.1), ("promoted", "newer", -0.1)], "not_better"),
        ([("promoted", "newer", -0.1), ("refused", "not_better", 0.3), ("promoted", "newer", -0.1)], "not_better"),
        ([("promoted", "newer", -0.1), ("promoted", "newer", 0.1)], "newer"),
        ([("promoted", "newer", -0.1), ("promoted", "newer", -0.1), ("promoted", "better", 0.1)], "newer"),
        ([("promoted", "newer", -0.1), ("promoted", "newer", -0.1), ("rolled_back", "person", None)], "newer"),
    ],
)
def test_newer_models_together_lose_no_more_than_the_margin(before, rule):
    loose = PromotionSettings(least_images=10, margin=0.2)
    found = decided(frame(39, 1), frame(40), loose, newest=NEWER, history=history_of(*before))
    assert found.rule == rule
    assert ("the last champion that won" in found.reason) == (rule == "not_better")


def test_same_labels_in_another_order_are_compared():
    order = [2, 0, 3, 1]
    champion = frame(25, 15)
    shuffled = champion.assign(
        labels=[[LABELS[at] for at in order]] * 40,
        scores=[values[order] for values in champion["scores"]],
        logits=[values[order] for values in champion["logits"]],
    )
    assert decided(frame(40), shuffled) == decided(frame(40), champion)


def test_truth_is_the_challengers():
    """The champion was scored when all images had another label and one group."""
    old = frame(25, 15).assign(main="Classic", group_id="one")
    assert decided(frame(40), old) == decided(frame(40), frame(25, 15))


def test_numbers_are_those_of_the_comparison_and_its_sign_flips():
    challenger, champion = several_seeds(1, 2, skill=2.0), several_seeds(3, 4, 5)
    found = decided(challenger, champion)
    row = compare({"a": champion, "b": challenger}, 200, 0).to_pandas().set_index("metric").loc["mean5"]
    assert (found.difference, found.low, found.high, found.p_value) == tuple(
        row[["difference", "low", "high", "p_value"]]
    )
    a, b = (scored_images(table, "test") for table in (champion, challenger))
    gain = 3 * b.hits.sum(axis=(0, 2)).astype(np.int64) - 2 * a.hits.sum(axis=(0, 2)).astype(np.int64)
    assert found.p_value == sign_flip(gain, a.group, 0)


def test_equal_models_are_rarely_promoted():
    """Both answer by chance alike: the share of wrongly promoted ones is about half of the two-sided level."""
    promoted = 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        a, b = (np.where(random.random(60) < 0.6, 1, 0) for _ in range(2))
        frames = [
            scores_table([(f"g{at}", ["Casual"], RIGHT if hit else WRONG) for at, hit in enumerate(hits)])
            for hits in (a, b)
        ]
        promoted += decided(*frames).promoted
    assert promoted <= 5  # 2.5% of 60 are 1.5; more than 5 happen by chance in 1 of 300


def test_same_version_and_one_that_people_went_back_from():
    same = decided(frame(40), frame(40), versions=("m-1", "m-1"))
    assert (same.decision, same.rule) == ("refused", "unchanged")
    when = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
    back = promotion_row(
        decided_at=when, decision="rolled_back", rule="person", reason="asked", champion_before="m-2", champion="m-1"
    )
    history = pa.Table.from_pylist([back], PROMOTIONS)
    found = decided(frame(40), frame(0, 40), versions=("m-2", "m-1"), history=history)
    assert (found.decision, found.rule) == ("refused", "rolled_back_before")
    assert decided(frame(40), frame(0, 40), versions=("m-3", "m-1"), history=history).rule == "better"


def test_row_fits_the_table_and_says_who_is_champion_after():
    when = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
    rows = [
        decided(frame(40), frame(0, 40)).row(when, "m-2", "m-1", "d"),
        decided(frame(0, 40), frame(40)).row(when, "m-2", "m-1", "d"),
        decided(frame(0, 40), None).row(when, "m-2", None, "d"),
    ]
    table = pa.Table.from_pylist(rows, PROMOTIONS)
    assert table["champion"].to_pylist() == ["m-2", "m-1", "m-2"]
    with pytest.raises(ModelingError, match="no column 'p'"):
        promotion_row(
            decided_at=when, decision="removed", rule="withdrawal", reason="r", champion_before=None, champion=None, p=1
        )


def test_images_that_only_one_was_scored_on_are_an_error():
    with pytest.raises(ModelingError, match="scored with one of champion and challenger only"):
        decided(frame(40), frame(39))


def data_set(rows):
    columns = ["image_id", "file_id", "group_id", "split"]
    return pd.DataFrame(rows, columns=columns).assign(window="w", main="Casual", subs=[[]] * len(rows))


def test_common_test_images_are_new_to_every_model_by_image_file_and_group():
    current = data_set(
        [
            ("a", "a", "1", "test"),
            ("b", "b", "2", "test"),  # was in train as an image
            ("c", "c9", "3", "test"),  # its file was
            ("d", "d", "4", "test"),  # an image of its group was
            ("e", "e", "5", "test"),  # the other image of its group, as it is now, was in validation
            ("e2", "e2", "5", "validation"),
            ("f", "f", "6", "train"),
            ("g", "g", "7", "test"),  # was a test image before
        ]
    )
    old = data_set(
        [
            ("b", "b", "x", "train"), ("z", "c9", "y", "validation"), ("q", "q", "4", "train"),
            ("e2", "e2", "w", "validation"), ("g", "g", "7", "test"),
        ]
    )  # fmt: skip
    assert common_test_images(current, old) == {"a", "g"}
    assert common_test_images(current) == {"a", "b", "c", "d", "e", "g"}
    assert common_test_images(current, old, data_set([("a", "a", "1", "train")])) == {"g"}


def test_version_names_architecture_and_weights():
    assert version_id("ml_gcn", "0123456789abcdef" * 4) == "ml_gcn-0123456789ab"
