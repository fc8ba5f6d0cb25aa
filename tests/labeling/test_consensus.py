from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labeling_samples import annotation, annotation_frame, image_id
from pydantic import ValidationError

from labeling import LabelingError, consensus
from labeling.consensus import ConsensusRule
from labeling.tables import LABELS

WINDOWS = {image_id(number): "2019-07-01" for number in range(10)}
EARLY, LATE = pd.Timestamp("2024-05-01", tz="UTC"), pd.Timestamp("2024-05-02", tz="UTC")


def settled(*rows: dict[str, Any], rule: ConsensusRule | None = None) -> dict[str, Any]:
    """The row of the one image that was annotated."""
    (row,) = consensus(annotation_frame(rows), WINDOWS, rule).to_pylist()
    return row


def decide(*rows: dict[str, Any], rule: ConsensusRule | None = None) -> tuple[str, str | None, list[str]]:
    """Status, main and subs of the one image that was annotated."""
    row = settled(*rows, rule=rule)
    return row["status"], row["main"], row["subs"]


def answered(*rows: dict[str, Any]) -> tuple[str, str | None]:
    row = settled(*rows)
    return row["status"], row["answer"]


def reviewed(decision: str, by: str | None = "reviewer", **changes: Any) -> dict[str, Any]:
    return {"review": decision, "reviewer": by} | changes


def no_fashion(annotator: str, **changes: Any) -> dict[str, Any]:
    return annotation(1, annotator, None, answer="not_fashion", **changes)


def cant_tell(annotator: str, **changes: Any) -> dict[str, Any]:
    return annotation(1, annotator, None, answer="cant_tell", **changes)


def test_one_annotator_is_unreviewed() -> None:
    assert decide(annotation(1, "a", "Casual", ["Sexy"])) == ("unreviewed", "Casual", ["Sexy"])


def test_all_of_one_opinion_agree_and_with_two_people_one_sub_is_half() -> None:
    rows = annotation(1, "a", "Casual", ["Sexy"]), annotation(1, "b", "Casual", ["Retro"])
    assert decide(*rows) == ("agreed", "Casual", ["Retro", "Sexy"])


def test_the_main_of_a_minority_becomes_a_sub_and_a_rare_sub_does_not() -> None:
    rows = (
        annotation(1, "a", "Casual", ["Sexy"]),
        annotation(1, "b", "Casual", ["Retro", "Sexy"]),
        annotation(1, "c", "Modern", ["Casual"]),
    )
    assert decide(*rows) == ("agreed", "Casual", ["Modern", "Sexy"])
    assert decide(*rows, rule=ConsensusRule(minority_main_becomes_sub=False)) == ("agreed", "Casual", ["Sexy"])
    assert decide(*rows, rule=ConsensusRule(sub_share=1 / 3)) == ("agreed", "Casual", ["Modern", "Retro", "Sexy"])
    assert decide(*rows, rule=ConsensusRule(sub_share=0.67)) == ("agreed", "Casual", ["Modern"])


def test_a_rule_that_makes_no_sense_is_refused() -> None:
    for wrong in ({"sub_share": 0}, {"sub_share": 1.1}, {"share": 0.5}):
        with pytest.raises(ValidationError):
            ConsensusRule(**wrong)


@pytest.mark.parametrize(
    "mains", [["Casual", "Sexy"], ["Casual", "Casual", "Sexy", "Sexy"], ["Casual", "Sexy", "Retro"], ["Casual", None]]
)
def test_no_more_than_half_is_a_conflict(mains: list[str | None]) -> None:
    rows = [annotation(1, str(person), main) for person, main in enumerate(mains)]
    assert decide(*rows) == ("conflict", None, [])
    assert settled(*rows)["answer"] is None
    assert settled(*rows)["mains"] == [main or "not_fashion" for main in mains]


def test_no_fashion_competes_with_the_styles() -> None:
    rows = no_fashion("a"), no_fashion("b"), annotation(1, "c", "Casual", ["Sexy"])
    row = settled(*rows)
    assert (row["status"], row["answer"], row["main"], row["subs"]) == ("agreed", "not_fashion", None, [])
    assert decide(no_fashion("a"), *(annotation(1, by, "Casual", ["Sexy"]) for by in "bc"))[1:] == ("Casual", ["Sexy"])
    assert answered(no_fashion("a")) == ("unreviewed", "not_fashion")


def test_who_cannot_tell_abstains() -> None:
    casual, sexy = annotation(1, "a", "Casual", ["Retro"]), annotation(1, "b", "Sexy")
    assert decide(casual, cant_tell("c")) == ("unreviewed", "Casual", ["Retro"])
    assert decide(casual, casual | {"annotator": "b"}, cant_tell("c"), cant_tell("d"))[:2] == ("agreed", "Casual")
    assert decide(casual, sexy, cant_tell("c"))[0] == "conflict"
    assert settled(casual, cant_tell("c"))["annotators"] == 2
    assert settled(casual, cant_tell("c"))["mains"] == ["Casual", "cant_tell"]


def test_nobody_can_tell() -> None:
    assert answered(cant_tell("a")) == ("unreviewed", "cant_tell")
    assert answered(cant_tell("a"), cant_tell("b")) == ("agreed", "cant_tell")
    assert answered(cant_tell("a", **reviewed("accepted")), annotation(1, "b", "Sexy")) == (
        "resolved_by_review",
        "cant_tell",
    )


def test_what_a_reviewer_accepted_wins() -> None:
    rows = annotation(1, "a", "Casual"), annotation(1, "b", "Casual"), annotation(1, "c", "Sexy", ["Retro"])
    accepted = rows[2] | reviewed("accepted")
    assert decide(rows[0], rows[1], accepted) == ("resolved_by_review", "Sexy", ["Retro"])


def test_what_a_reviewer_rejected_never_counts() -> None:
    rejected = annotation(1, "a", "Casual", **reviewed("rejected"))
    assert decide(rejected, annotation(1, "b", "Sexy")) == ("resolved_by_review", "Sexy", [])
    assert decide(rejected) == ("conflict", None, [])
    assert decide(rejected, annotation(1, "b", "Casual", **reviewed("rejected"))) == ("conflict", None, [])


def test_an_answer_that_came_after_the_rejection_was_not_reviewed() -> None:
    rejected = annotation(1, "a", "Casual", **reviewed("rejected", updated_at=EARLY))
    later = annotation(1, "b", "Sexy", created_at=LATE)
    assert decide(rejected, later)[0] == "unreviewed"
    assert decide(rejected, later, later | {"annotator": "c"})[0] == "agreed"
    assert decide(rejected | {"updated_at": LATE}, later | {"created_at": EARLY})[0] == "resolved_by_review"


def test_reviewers_of_two_opinions_leave_a_conflict() -> None:
    rows = [annotation(1, "a", "Casual", **reviewed("accepted")), annotation(1, "b", "Sexy", **reviewed("accepted"))]
    assert decide(*rows) == ("conflict", None, [])


def test_of_two_accepted_answers_with_one_main_the_latest_counts() -> None:
    rows = [
        annotation(1, "a", "Casual", ["Retro"], **reviewed("accepted", updated_at=LATE)),
        annotation(1, "b", "Casual", ["Sexy"], **reviewed("accepted", updated_at=EARLY)),
        annotation(1, "c", "Casual", ["Modern"], **reviewed("accepted")),
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


STYLES = ["Casual", "Sexy", "Retro", "Modern"]
VALUES = st.sampled_from([*STYLES, "not_fashion", "cant_tell"])
DECISIONS = st.sampled_from([None, None, "accepted", "rejected"])
ANSWERS = st.lists(st.tuples(VALUES, st.sets(st.sampled_from(STYLES)), DECISIONS), min_size=1, max_size=5)
RULES = st.builds(ConsensusRule, sub_share=st.floats(0.1, 1), minority_main_becomes_sub=st.booleans())


def row_of(place: int, value: str, subs: set[str], review: str | None) -> dict[str, Any]:
    style = value in STYLES
    return annotation(
        1,
        f"person {place}",
        value if style else None,
        sorted(subs - {value}) if style else [],
        answer="style" if style else value,
        review=review,
        reviewer="reviewer",
    )


@given(ANSWERS, RULES, st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_labels_are_well_formed_and_independent_of_order(answers: Any, rule: ConsensusRule, random: Any) -> None:
    rows = [row_of(place, *answer) for place, answer in enumerate(answers)]
    row = settled(*rows, rule=rule)
    random.shuffle(rows)
    assert settled(*rows, rule=rule) == row
    assert row["status"] in {"agreed", "resolved_by_review", "conflict", "unreviewed"}
    assert (row["answer"] is None) == (row["status"] == "conflict")
    assert (row["main"] is not None) == (row["answer"] == "style")
    assert row["main"] not in row["subs"]
    assert row["main"] is not None or row["subs"] == []
    assert row["subs"] == sorted(set(row["subs"]))
    assert row["annotators"] == len(answers) == len(row["mains"])
    if row["answer"] is not None:
        assert (row["main"] or row["answer"]) in {value for value, _, review in answers if review != "rejected"}
    if not any(review for *_, review in answers):
        assert row["status"] != "resolved_by_review"


@given(ANSWERS, RULES, st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_who_gave_which_answer_changes_nothing(answers: Any, rule: ConsensusRule, random: Any) -> None:
    def outcome() -> tuple[Any, ...]:
        row = settled(*(row_of(place, *answer) for place, answer in enumerate(answers)), rule=rule)
        return row["status"], row["answer"], row["main"], sorted(row["mains"])

    before = outcome()
    random.shuffle(answers)
    assert outcome() == before


@given(ANSWERS, RULES)
@settings(max_examples=100, deadline=None)
def test_one_more_vote_for_the_answer_keeps_it(answers: Any, rule: ConsensusRule) -> None:
    rows = [row_of(place, *answer) for place, answer in enumerate(answers)]
    before = settled(*rows, rule=rule)
    if before["answer"] is None:
        return
    more = settled(*rows, row_of(9, before["main"] or before["answer"], set(), None), rule=rule)
    assert (more["answer"], more["main"]) == (before["answer"], before["main"])
    assert more["status"] == ("agreed" if before["status"] == "unreviewed" else before["status"])


@given(ANSWERS)
@settings(max_examples=100, deadline=None)
def test_rejected_answers_change_nothing_but_the_status(answers: Any) -> None:
    rows = [row_of(place, *answer) for place, answer in enumerate(answers)]
    kept = [row for row in rows if row["review"] != "rejected"]
    decided = decide(*rows)
    assert decided[1:] == (decide(*kept)[1:] if kept else (None, []))
