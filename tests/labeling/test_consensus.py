from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labeling_samples import annotation, annotation_frame, image_id

from labeling import LabelingError, consensus
from labeling.tables import LABELS

WINDOWS = {image_id(number): "2019-07-01" for number in range(10)}


def decide(*rows: dict[str, Any]) -> tuple[str, str | None, list[str]]:
    """Status, main and subs of the one image that was annotated."""
    (row,) = consensus(annotation_frame(rows), WINDOWS).to_pylist()
    return row["status"], row["main"], row["subs"]


def reviewed(decision: str, by: str | None = "reviewer", **changes: Any) -> dict[str, Any]:
    return {"review": decision, "reviewer": by} | changes


def test_one_annotator_is_single() -> None:
    assert decide(annotation(1, "a", "Casual", ["Sexy"])) == ("single", "Casual", ["Sexy"])


def test_all_of_one_opinion_agree_and_with_two_people_one_sub_is_half() -> None:
    rows = annotation(1, "a", "Casual", ["Sexy"]), annotation(1, "b", "Casual", ["Retro"])
    assert decide(*rows) == ("agreed", "Casual", ["Retro", "Sexy"])


def test_the_main_of_a_minority_becomes_a_sub_and_a_rare_sub_does_not() -> None:
    rows = (
        annotation(1, "a", "Casual", ["Sexy"]),
        annotation(1, "b", "Casual", ["Retro", "Sexy"]),
        annotation(1, "c", "Modern", ["Casual"]),
    )
    assert decide(*rows) == ("majority", "Casual", ["Modern", "Sexy"])


@pytest.mark.parametrize(
    "mains", [["Casual", "Sexy"], ["Casual", "Casual", "Sexy", "Sexy"], ["Casual", "Sexy", "Retro"]]
)
def test_no_more_than_half_is_a_conflict(mains: list[str]) -> None:
    rows = [annotation(1, str(person), main) for person, main in enumerate(mains)]
    assert decide(*rows) == ("conflict", None, [])
    assert consensus(annotation_frame(rows), WINDOWS).column("mains").to_pylist() == [mains]


def test_what_a_reviewer_accepted_wins() -> None:
    rows = annotation(1, "a", "Casual"), annotation(1, "b", "Casual"), annotation(1, "c", "Sexy", ["Retro"])
    accepted = rows[2] | reviewed("accepted")
    assert decide(rows[0], rows[1], accepted) == ("resolved_by_review", "Sexy", ["Retro"])


def test_what_a_reviewer_rejected_never_counts() -> None:
    rejected = annotation(1, "a", "Casual", **reviewed("rejected"))
    assert decide(rejected, annotation(1, "b", "Sexy")) == ("resolved_by_review", "Sexy", [])
    assert decide(rejected) == ("conflict", None, [])


def test_reviewers_of_two_opinions_leave_a_conflict() -> None:
    rows = [annotation(1, "a", "Casual", **reviewed("accepted")), annotation(1, "b", "Sexy", **reviewed("accepted"))]
    assert decide(*rows) == ("conflict", None, [])


def test_of_two_accepted_answers_with_one_main_the_latest_counts() -> None:
    early, late = pd.Timestamp("2024-05-01", tz="UTC"), pd.Timestamp("2024-05-02", tz="UTC")
    rows = [
        annotation(1, "a", "Casual", ["Retro"], **reviewed("accepted", updated_at=late)),
        annotation(1, "b", "Casual", ["Sexy"], **reviewed("accepted", updated_at=early)),
    ]
    assert decide(*rows) == ("resolved_by_review", "Casual", ["Retro"])


@pytest.mark.parametrize("reviewer", ["a", None])
@pytest.mark.parametrize("decision", ["accepted", "rejected"])
def test_a_decision_on_own_work_or_of_nobody_is_void(decision: str, reviewer: str | None) -> None:
    rows = annotation(1, "a", "Casual", **reviewed(decision, reviewer)), annotation(1, "b", "Sexy")
    assert decide(*rows) == ("conflict", None, [])


def test_images_are_sorted_and_carry_their_window() -> None:
    rows = [annotation(number, "a", "Casual") for number in (3, 1, 2)]
    table = consensus(annotation_frame(rows), WINDOWS)
    assert table.schema.equals(LABELS)
    assert table.column("image_id").to_pylist() == [image_id(1), image_id(2), image_id(3)]
    assert set(table.column("window").to_pylist()) == {"2019-07-01"}
    assert consensus(annotation_frame([]), WINDOWS).equals(LABELS.empty_table())


def test_an_image_without_a_window_and_a_person_answering_twice_are_errors() -> None:
    with pytest.raises(LabelingError, match="no crawl window; materialize label_tasks again"):
        consensus(annotation_frame([annotation(1, "a", "Casual")]), {})
    with pytest.raises(LabelingError, match="a has two annotations of image"):
        consensus(annotation_frame([annotation(1, "a", "Casual"), annotation(1, "a", "Sexy")]), WINDOWS)


LABEL = st.sampled_from(["Casual", "Sexy", "Retro", "Modern"])
ANSWERS = st.lists(
    st.tuples(LABEL, st.sets(LABEL), st.sampled_from([None, "accepted", "rejected"])), min_size=1, max_size=5
)


@given(ANSWERS, st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_labels_are_well_formed_and_independent_of_order(answers: Any, random: Any) -> None:
    rows = [
        annotation(1, f"person {place}", main, sorted(subs - {main}), review=review, reviewer="reviewer")
        for place, (main, subs, review) in enumerate(answers)
    ]
    table = consensus(annotation_frame(rows), WINDOWS)
    random.shuffle(rows)
    assert consensus(annotation_frame(rows), WINDOWS).equals(table)
    (row,) = table.to_pylist()
    assert (row["main"] is None) == (row["status"] == "conflict")
    assert row["main"] not in row["subs"]
    assert row["subs"] == sorted(set(row["subs"]))
    assert row["annotators"] == len(answers) == len(row["mains"])
    if row["main"] is not None:
        assert row["main"] in {main for main, _, review in answers if review != "rejected"}
