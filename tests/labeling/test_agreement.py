from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labeling_samples import annotation, annotation_frame
from sklearn.metrics import cohen_kappa_score

from labeling import agreement, main_confusion
from labeling.agreement import cohen_kappa, masi_distance
from labeling.tables import AGREEMENT

# The example of Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011): nominal alpha is 0.743.
KRIPPENDORFF = {
    "A": "1 2 3 3 2 1 4 1 2 . . .",
    "B": "1 2 3 3 2 2 4 1 2 5 . 3",
    "C": ". 3 3 3 2 3 4 2 2 5 1 .",
    "D": "1 2 3 3 2 4 4 1 2 5 1 .",
}


def measured(*rows: dict[str, Any]) -> dict[tuple[str, str | None, str | None, str | None], tuple[float | None, int]]:
    table = agreement(annotation_frame(rows))
    assert table.schema.equals(AGREEMENT)
    return {
        (row["measure"], row["annotator_a"], row["annotator_b"], row["label"]): (row["value"], row["images"])
        for row in table.to_pylist()
    }


def test_krippendorff_alpha_is_that_of_the_published_example() -> None:
    rows = [
        annotation(image, person, label)
        for person, labels in KRIPPENDORFF.items()
        for image, label in enumerate(labels.split())
        if label != "."
    ]
    value, images = measured(*rows)["krippendorff_alpha", None, None, None]
    assert value == pytest.approx(0.743, abs=5e-4)
    assert images == 11  # the twelfth has one answer only


def test_figures_by_hand() -> None:
    rows = [
        annotation(1, "a", "Casual", ["Sexy"]),
        annotation(1, "b", "Casual", ["Sexy"]),  # MASI 0
        annotation(2, "a", "Casual"),
        annotation(2, "b", "Sexy"),  # MASI 1
        annotation(3, "a", "Sexy", ["Retro"]),
        annotation(3, "b", "Sexy"),  # 1 - 1/2 * 2/3 = 2/3
        annotation(4, "a", "Retro"),  # alone
    ]
    figures = measured(*rows)
    # Observed 2/3, by chance (2 * 1 + 1 * 2) / 9 = 4/9: kappa (2/3 - 4/9) / (1 - 4/9) = 0.4.
    assert figures["cohen_kappa", "a", "b", None] == (pytest.approx(0.4), 3)
    assert figures["masi", "a", "b", None] == figures["masi", None, None, None] == (pytest.approx(5 / 9), 3)
    assert figures["same_main", None, None, None] == (pytest.approx(2 / 3), 3)
    assert figures["same_main", None, None, "Casual"] == (0.5, 2)
    assert figures["same_main", None, None, "Sexy"] == (0.5, 2)
    assert ("same_main", None, None, "Retro") not in figures
    # Totals 3 and 3 of 6, one pair disagrees in both orders: 1 - 5 * 2 / (36 - 18).
    assert figures["krippendorff_alpha", None, None, None] == (pytest.approx(4 / 9), 3)


def test_without_common_images_nothing_is_claimed() -> None:
    for rows in ([], [annotation(1, "a", "Casual"), annotation(2, "b", "Sexy")]):
        figures = measured(*rows)
        assert set(figures.values()) == {(None, 0)}
        assert not any(measure == "cohen_kappa" for measure, *_ in figures)


def test_one_label_throughout_leaves_chance_corrected_figures_undefined() -> None:
    figures = measured(*(annotation(image, person, "Casual") for image in range(3) for person in "ab"))
    assert figures["cohen_kappa", "a", "b", None] == (None, 3)
    assert figures["krippendorff_alpha", None, None, None] == (None, 3)
    assert figures["same_main", None, None, "Casual"] == (1.0, 3)


@given(st.lists(st.tuples(st.sampled_from("xyz"), st.sampled_from("xyz")), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_cohen_kappa_equals_that_of_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    ours = cohen_kappa(pairs)
    if ours is None:
        assert len({label for pair in pairs for label in pair}) == 1
    else:
        left, right = zip(*pairs, strict=True)
        assert ours == pytest.approx(cohen_kappa_score(left, right))


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [("xy", "xy", 0.0), ("x", "y", 1.0), ("x", "xyz", 1 - 1 / 3 * 2 / 3), ("xy", "yz", 1 - 1 / 3 * 1 / 3)],
)
def test_masi_distance_by_hand(a: str, b: str, distance: float) -> None:
    assert masi_distance(set(a), set(b)) == masi_distance(set(b), set(a)) == pytest.approx(distance)


def test_confusion_counts_each_pair_of_answers_once() -> None:
    rows = [
        annotation(1, "a", "Casual"),
        annotation(1, "b", "Casual"),
        annotation(1, "c", "Sexy"),
        annotation(2, "b", "Sexy"),
        annotation(2, "a", "Retro"),
    ]
    counts = main_confusion(annotation_frame(rows), ["Casual", "Sexy", "Retro"])
    assert counts.dtype == np.int64
    assert counts.tolist() == [[1, 2, 0], [2, 0, 1], [0, 1, 0]]


def test_the_order_of_rows_changes_nothing() -> None:
    rows = [annotation(image, person, "xyz"[(image * 7 + ord(person)) % 3]) for image in range(9) for person in "abc"]
    assert agreement(annotation_frame(rows)).equals(agreement(annotation_frame(rows[::-1])))
