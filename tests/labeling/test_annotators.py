from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labeling_samples import annotation, annotation_frame, image_id
from scipy.stats import permutation_test
from sklearn.metrics import cohen_kappa_score

from labeling import annotators, consensus
from labeling.annotators import annotator_figures
from labeling.tables import ANNOTATORS, QUARANTINED_ANNOTATIONS

MONDAY = pd.Timestamp("2024-04-29", tz="UTC")  # of ISO week 2024-W18


def found(rows: list[dict[str, Any]], quarantined: pd.DataFrame | None = None) -> dict[Any, dict[str, Any]]:
    table = annotator_figures(annotation_frame(rows), quarantined, permutations=199)
    assert table.schema.equals(ANNOTATORS)
    return {(row["annotator"], row["week"]): row for row in table.to_pylist()}


def at(week: int) -> dict[str, Any]:
    return {"created_at": MONDAY + pd.Timedelta(weeks=week, hours=9)}


def office(images: int, weeks: int, seed: int, right: dict[str, list[float]]) -> list[dict[str, Any]]:
    """Answers of people who see the true style, one of five, with a chance that is given for each week."""
    random = np.random.default_rng(seed)
    rows = []
    for image in range(images):
        week, truth = image * weeks // images, int(random.integers(5))
        for person, chances in right.items():
            style = truth if random.random() < chances[week] else int(random.integers(5))
            rows.append(annotation(image, person, f"style {style}", **at(week)))
    return rows


def test_speed_leaves_out_what_was_not_measured_and_open_tabs() -> None:
    times = [None, -3.0, 0.0, 10.0, 20.0, 30.0, 7200.0]
    rows = [annotation(image, "a", "Casual", lead_time=time, **at(0)) for image, time in enumerate(times)]
    row = found(rows)["a", "2024-W18"]
    assert (row["answers"], row["timed"]) == (7, 3)
    assert row["lead_time_median"] == 20
    assert row["lead_time_p90"] == pytest.approx(np.quantile([10, 20, 30], 0.9)) == pytest.approx(28)


def test_weeks_are_iso_weeks_and_an_answer_without_a_time_counts_in_all() -> None:
    new_year = pd.Timestamp("2024-12-31 10:00", tz="UTC")
    rows = [annotation(1, "a", "Casual", created_at=new_year), annotation(2, "a", "Casual")]
    answers = {key: row["answers"] for key, row in found(rows).items()}
    assert answers == {("a", None): 2, ("a", "2025-W01"): 1}


def test_reviews_are_shares_of_what_others_decided() -> None:
    decisions = [
        ("accepted", "r"),
        ("accepted", "r"),
        ("rejected", "r"),
        ("accepted", "a"),
        ("rejected", None),
        (None, None),
    ]
    rows = [
        annotation(image, "a", "Casual", review=review, reviewer=reviewer)
        for image, (review, reviewer) in enumerate(decisions)
    ]
    row = found(rows)["a", None]
    assert row["reviewed"] == 3
    assert (row["accepted_share"], row["rejected_share"]) == (pytest.approx(2 / 3), pytest.approx(1 / 3))
    row = found([annotation(1, "b", "Casual")])["b", None]
    assert (row["reviewed"], row["accepted_share"], row["rejected_share"]) == (0, None, None)


def test_skipped_tasks_come_from_the_quarantine() -> None:
    reasons = [("a", "skipped"), ("a", "skipped"), ("a", "two_mains"), ("c", "skipped"), (None, "skipped")]
    quarantined = pa.Table.from_pylist(
        [
            {"annotation_id": str(number), "annotator": who, "reason": reason, "detail": "", "raw": "{}"}
            for number, (who, reason) in enumerate(reasons)
        ],
        QUARANTINED_ANNOTATIONS,
    ).to_pandas()
    rows = [annotation(1, "a", "Casual", **at(0)), annotation(1, "b", "Casual", **at(0))]
    skipped = {key: (row["answers"], row["skipped"]) for key, row in found(rows, quarantined).items()}
    assert skipped == {
        ("a", None): (1, 2),
        ("a", "2024-W18"): (1, None),
        ("b", None): (1, 0),
        ("b", "2024-W18"): (1, None),
        ("c", None): (0, 1),
    }
    assert found(rows)["a", None]["skipped"] is None


def test_nobody_gives_an_empty_table() -> None:
    assert annotator_figures(annotation_frame([])).equals(ANNOTATORS.empty_table())


VALUES = st.sampled_from(["Casual", "Sexy", "Retro", "not_fashion", "cant_tell"])
DECISIONS = st.sampled_from([None, None, None, "accepted", "rejected"])
IMAGES = st.lists(
    st.dictionaries(st.sampled_from("abcd"), st.tuples(VALUES, DECISIONS), min_size=1), min_size=1, max_size=12
)


@given(IMAGES)
@settings(max_examples=40, deadline=None)
def test_kappa_is_with_the_consensus_of_the_other_annotations(images: Any) -> None:
    rows = [
        annotation(
            image,
            person,
            None if "_" in value else value,
            answer=value if "_" in value else "style",
            review=review,
            reviewer="reviewer",
        )
        for image, people in enumerate(images)
        for person, (value, review) in people.items()
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(annotators, "LEAST_COMPARED", 1)
        table = found(rows)
    for person in {row["annotator"] for row in rows}:
        others = annotation_frame([row for row in rows if row["annotator"] != person])
        windows = {image_id(image): "w" for image in range(len(images))}
        decided = {row["image_id"]: row["main"] or row["answer"] for row in consensus(others, windows).to_pylist()}
        pairs = [
            (row["main"] or row["answer"], decided.get(row["image_id"]))
            for row in rows
            if row["annotator"] == person and row["answer"] != "cant_tell"
        ]
        pairs = [(own, other) for own, other in pairs if other not in (None, "cant_tell")]
        assert table[person, None]["compared"] == len(pairs)
        if len({value for pair in pairs for value in pair}) > 1:
            assert table[person, None]["kappa"] == pytest.approx(cohen_kappa_score(*zip(*pairs, strict=True)))
        else:
            assert table[person, None]["kappa"] is None


def test_few_answers_are_not_judged() -> None:
    right = {"a": [0.9, 0.9], "b": [0.9, 0.9]}
    few, enough = found(office(38, 2, 1, right)), found(office(40, 2, 1, right))
    assert few["a", "2024-W18"]["compared"] == 19
    assert few["a", "2024-W18"]["kappa"] is None
    assert few["a", None]["kappa"] is not None
    assert few["a", None]["drift"] is None
    assert enough["a", "2024-W18"]["kappa"] is not None
    assert enough["a", None]["drift"] is not None


def test_an_annotator_who_changes_is_found_and_the_others_are_not() -> None:
    steady = [0.9] * 5
    table = found(office(400, 5, 4, {"a": steady, "b": [*steady[:4], 0.3], "c": steady, "d": steady}))
    row = table["b", None]
    assert row["drift_week"] == "2024-W22"
    assert row["drift"] < -0.3
    assert row["drift_p"] == 4 / 200  # the least possible, times four people
    before = table["b", "2024-W22"]["kappa"] - row["drift"]
    assert before == pytest.approx(0.86, abs=0.06)
    assert all(table[person, None]["drift_p"] > 0.05 for person in "acd")
    assert all(table[person, "2024-W22"]["drift_p"] is None for person in "abcd")


def test_last_week_with_too_few_answers_waits() -> None:
    rows = office(200, 2, 3, {"a": [0.9, 0.4], "b": [0.9, 0.9]})
    rows += [annotation(500 + image, person, "style 1", **at(2)) for image in range(5) for person in "ab"]
    assert found(rows)["a", None]["drift_week"] == "2024-W19"


def test_p_value_of_drift_is_that_of_a_permutation_test_of_scipy() -> None:
    rows = office(160, 2, 8, {"a": [0.95, 0.7], "b": [0.9, 0.9]})
    table = annotator_figures(annotation_frame(rows), permutations=4999).to_pandas()
    ours = table[(table["annotator"] == "a") & table["week"].isna()].iloc[0]
    mains = {person: np.array([row["main"] for row in rows if row["annotator"] == person]) for person in "ab"}

    def difference(early: Any, late: Any) -> float:
        kappas = [cohen_kappa_score(*(mains[person][part.astype(int)] for person in "ab")) for part in (early, late)]
        return float(kappas[1] - kappas[0])

    peer = permutation_test(
        (np.arange(80), np.arange(80, 160)), difference, vectorized=False, n_resamples=499, rng=np.random.default_rng(1)
    )
    assert ours["drift"] == pytest.approx(peer.statistic)
    single = ours["drift_p"] / 2  # Holm's factor, of two people with the same answers to compare
    assert 0.005 < peer.pvalue < 0.3
    assert single == pytest.approx(peer.pvalue, abs=0.04)


def test_without_drift_few_are_suspected() -> None:
    steady = {person: [0.8, 0.8, 0.8] for person in "abc"}
    suspected = sum(
        min(row["drift_p"] for (_, week), row in found(office(180, 3, seed, steady)).items() if week is None) < 0.05
        for seed in range(40)
    )
    assert suspected <= 5  # of 40 offices; 2 are expected at the most, and 6 or more with a chance of 1.4%


def test_holm_by_hand() -> None:
    """0.005 x 4, 0.01 x 3, 0.03 x 2, and 0.04 not below the one before it."""
    corrected = annotators._holm(np.array([0.01, 0.04, np.nan, 0.03, 0.005]))
    assert corrected == pytest.approx([0.03, 0.06, np.nan, 0.06, 0.02], nan_ok=True)


def test_the_order_of_rows_changes_nothing() -> None:
    rows = office(60, 2, 1, {"a": [0.9, 0.5], "b": [0.9, 0.9]})
    assert found(rows) == found(rows[::-1])
