import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling import FASHION_STYLES
from labeling.acceptance import anchoring, newcombe_interval, prediction_acceptance
from labeling.config import CANT_TELL, NOT_FASHION
from labeling.tables import ANNOTATION_VERSIONS, PRE_ANNOTATIONS, PREDICTION_ACCEPTANCE
from tests.labeling.labeling_samples import answer, choices, image_id

START = datetime(2024, 5, 2, 8, tzinfo=UTC)


def at(minute: int) -> datetime:
    return START + timedelta(minutes=minute)


def answered(
    image: int,
    by: str,
    main: str | None,
    subs: tuple[str, ...] = (),
    minute: int | None = 10,
    *,
    seen: bool = True,
    annotation_id: str | None = None,
    state: str = "submitted",
    **changes: Any,
) -> dict[str, Any]:
    """A row of ANNOTATION_VERSIONS; ``seen``: the server says that it was made from a prediction."""
    result = [choices("main", main or NOT_FASHION)] + ([choices("subs", *subs)] if subs else [])
    fields = {
        "created_at": None if minute is None else at(minute).isoformat(),
        "parent_prediction": 1 if seen else None,
    }
    return {
        "annotation_id": annotation_id or f"{image}:{by}",
        "task_id": image,
        "image_id": image_id(image),
        "annotator": by,
        "state": state,
        "updated_at": START,
        "seen_at": START,
        "raw": json.dumps(answer(image, result) | fields | changes),
    }


def predicted(
    image: int, main: str, subs: tuple[str, ...] = (), minute: int = 0, version: str = "v1", **changes: Any
) -> dict[str, Any]:
    """A row of PRE_ANNOTATIONS."""
    return {
        "image_id": image_id(image),
        "task_id": image,
        "model_version": version,
        "main": main,
        "subs": list(subs),
        "score": 0.5,
        "blind": False,
        "predicted_at": at(minute),
    } | changes


def frame(rows: list[dict[str, Any]], schema: pa.Schema) -> pd.DataFrame:
    return pa.Table.from_pylist(rows, schema=schema).to_pandas()


def counted(versions: list[dict[str, Any]], predictions: list[dict[str, Any]], **options: Any) -> list[tuple[Any, ...]]:
    made = prediction_acceptance(
        frame(versions, ANNOTATION_VERSIONS), frame(predictions, PRE_ANNOTATIONS), FASHION_STYLES.labels, **options
    )
    assert made.schema == PREDICTION_ACCEPTANCE
    return [tuple(row.values()) for row in made.to_pylist()]


def overall(versions: list[dict[str, Any]], predictions: list[dict[str, Any]], **options: Any) -> dict[Any, Any]:
    """Accepted, changed and rejected over all labels by version and blindness."""
    rows = counted(versions, predictions, **options)
    return {(version, blind): verdicts for version, label, blind, _, *verdicts in rows if label is None}


def test_answers_are_accepted_changed_or_rejected_by_predicted_label() -> None:
    predictions = [
        predicted(1, "Retro", ("Casual",)),
        predicted(2, "Retro"),
        predicted(3, "Retro"),
        predicted(4, "Casual"),
        predicted(5, "Sporty", blind=True),
    ]
    versions = [
        answered(1, "a", "Retro", ("Casual",)),
        answered(1, "b", "Retro", ("Casual", "Sporty")),
        answered(2, "a", "Casual"),
        answered(3, "a", None),
        answered(4, "a", "Casual"),
        answered(5, "a", "Sporty", seen=False),
    ]
    assert counted(versions, predictions) == [
        ("v1", None, False, 5, 2, 1, 2),
        ("v1", "Casual", False, 1, 1, 0, 0),
        ("v1", "Retro", False, 4, 1, 1, 2),
        ("v1", None, True, 1, 1, 0, 0),
        ("v1", "Sporty", True, 1, 1, 0, 0),
    ]


def test_what_is_no_judgement_counts_nowhere() -> None:
    versions = [
        answered(1, "a", CANT_TELL),
        answered(1, "b", "Retro", minute=None),
        answered(1, "c", "Retro", ("Retro",)),  # main and sub at once
        answered(1, "d", "Retro", result=None),
    ]
    assert counted(versions, [predicted(1, "Retro")]) == []


def test_only_the_first_answer_of_an_annotator_counts() -> None:
    versions = [
        answered(1, "a", "Retro", minute=12, annotation_id="7"),
        answered(1, "a", "Casual", minute=11, annotation_id="8"),
        answered(1, "b", "Casual", minute=11, annotation_id="10"),
        answered(1, "b", "Retro", minute=11, annotation_id="9"),
    ]
    assert overall(versions, [predicted(1, "Retro")]) == {("v1", False): [1, 0, 1]}


def test_a_change_after_a_reviewer_objected_does_not_undo_that_the_prediction_was_taken() -> None:
    versions = [
        answered(1, "a", None, annotation_id="7", state="skipped"),
        answered(1, "a", "Retro", annotation_id="7"),
        answered(1, "a", "Casual", annotation_id="7"),
        answered(2, "a", "Retro", annotation_id="8"),
        answered(2, "a", "Retro", annotation_id="8", state="deleted"),
        answered(3, "a", "Retro", annotation_id="draft:1", state="draft"),
    ]
    predictions = [predicted(image, "Retro") for image in (1, 2, 3)]
    assert overall(versions, predictions) == {("v1", False): [2, 0, 0]}


@pytest.mark.parametrize("first", [CANT_TELL, "No such label"])
def test_a_first_answer_that_is_no_judgement_is_not_replaced_by_a_later_one(first: str) -> None:
    versions = [
        answered(1, "a", first, annotation_id="1"),
        answered(1, "a", "Retro", annotation_id="1"),
        answered(1, "a", "Retro", minute=12, annotation_id="2"),
    ]
    assert counted(versions, [predicted(1, "Retro")]) == []


def test_a_shown_answer_is_one_of_which_the_server_says_so() -> None:
    unseen = answered(1, "a", "Retro", seen=False)
    assert counted([unseen], [predicted(1, "Retro")]) == []  # pushed, but the expert did not see it
    seen = answered(1, "a", "Retro")
    assert overall([seen], [predicted(1, "Retro")]) == {("v1", False): [1, 0, 0]}


@pytest.mark.parametrize(("origin", "counts"), [("prediction", True), ("prediction-changed", True), ("manual", False)])
def test_an_answer_that_was_a_draft_says_so_in_its_choices_only(origin: str, counts: bool) -> None:
    result = [choices("main", "Retro") | {"origin": "manual"}, choices("subs", "Casual") | {"origin": origin}]
    versions = [answered(1, "a", "Retro", seen=False, result=result)]
    assert overall(versions, [predicted(1, "Retro", ("Casual",))]) == ({("v1", False): [1, 0, 0]} if counts else {})


def test_an_answer_for_an_unknown_image_or_of_nobody_counts_nowhere() -> None:
    versions = [answered(1, "a", "Retro") | {"image_id": None}, answered(1, "b", "Retro") | {"annotator": None}]
    assert counted(versions, [predicted(1, "Retro")]) == []


def test_a_prediction_counts_from_its_own_moment_on() -> None:
    predictions = [predicted(1, "Retro", minute=10)]
    assert counted([answered(1, "a", "Retro", minute=9)], predictions) == []
    assert overall([answered(1, "a", "Retro", minute=10)], predictions) == {("v1", False): [1, 0, 0]}


def test_of_several_versions_the_one_of_the_time_of_the_answer_counts() -> None:
    predictions = [predicted(1, "Retro"), predicted(1, "Casual", minute=20, version="v2")]
    versions = [answered(1, "a", "Retro", minute=10), answered(1, "b", "Casual", minute=30)]
    assert overall(versions, predictions) == {("v1", False): [1, 0, 0], ("v2", False): [1, 0, 0]}


def test_rows_without_a_task_were_seen_by_nobody() -> None:
    predictions = [predicted(1, "Retro", task_id=None), predicted(2, "Retro", task_id=None, blind=True)]
    assert counted([answered(1, "a", "Retro"), answered(2, "a", "Retro", seen=False)], predictions) == []


def test_an_image_that_became_blind_counts_as_blind_from_then_on() -> None:
    predictions = [predicted(1, "Retro"), predicted(1, "Retro", minute=20, blind=True)]
    versions = [
        answered(1, "a", "Retro", minute=10),
        answered(1, "b", "Casual", minute=30, seen=False),
        answered(1, "c", "Retro", minute=30),  # had it on the screen when the image became blind
        answered(1, "d", "Retro", minute=10, seen=False),
    ]
    assert overall(versions, predictions) == {("v1", False): [2, 0, 0], ("v1", True): [0, 0, 1]}


def test_sub_labels_that_the_model_does_not_know_do_not_change_its_answer() -> None:
    versions = [answered(1, "a", "Retro", ("Grunge",)), answered(1, "b", "Retro", ("Casual",))]
    predictions = [predicted(1, "Retro")]
    assert overall(versions, predictions) == {("v1", False): [0, 2, 0]}
    known = {"v1": ["Retro", "Casual"]}
    assert overall(versions, predictions, known_labels=known) == {("v1", False): [1, 1, 0]}


LABELS = st.sampled_from(["Retro", "Casual", "Sexy"])
SUBS = st.lists(st.sampled_from(["Grunge", "Hiphop"]), unique=True, max_size=2)
ANSWERS = st.tuples(
    st.integers(0, 3), st.sampled_from("ab"), st.one_of(LABELS, st.sampled_from([None, CANT_TELL])), st.booleans()
)


@settings(deadline=None)
@given(
    st.lists(st.tuples(ANSWERS, SUBS, st.integers(0, 6)), max_size=12),
    st.lists(
        st.tuples(st.integers(0, 3), LABELS, SUBS, st.integers(0, 6), st.sampled_from(["v1", "v2"]), st.booleans()),
        max_size=8,
        unique_by=lambda made: (made[0], made[3]),
    ),
)
def test_counts_are_those_of_a_search_through_everything(given_answers: list[Any], made: list[Any]) -> None:
    answers = [
        (image, by, at(minute), f"{number:02}", main, set(subs if main in ("Retro", "Casual", "Sexy") else ()), seen)
        for number, ((image, by, main, seen), subs, minute) in enumerate(given_answers)
    ]
    versions = [
        answered(image, by, main, tuple(subs), annotation_id=name, seen=seen, created_at=moment.isoformat())
        for image, by, moment, name, main, subs, seen in answers
    ]
    predictions = [
        predicted(image, main, tuple(subs), minute, version, blind=blind)
        for image, main, subs, minute, version, blind in made
    ]
    wanted: dict[tuple[str, str, bool], list[int]] = {}
    for image, by, moment, name, main, subs, seen in answers:
        earlier = [other for other in answers if other[:2] == (image, by) and other[2:4] < (moment, name)]
        own = [row for row in predictions if row["image_id"] == image_id(image) and row["predicted_at"] <= moment]
        own = [row for row in own if not row["blind"]] if seen else own
        if earlier or main == CANT_TELL or not own:
            continue
        latest = max(own, key=lambda row: row["predicted_at"])
        if latest["blind"] == seen:
            continue
        verdict = 2
        if main == latest["main"]:
            verdict = 0 if subs == set(latest["subs"]) else 1
        wanted.setdefault((latest["model_version"], latest["main"], latest["blind"]), [0, 0, 0])[verdict] += 1
    rows = counted(versions, predictions)
    assert {(row[0], row[1], row[2]): list(row[4:]) for row in rows if row[1] is not None} == wanted
    for version, label, blind, total, *verdicts in rows:
        assert total == sum(verdicts) > 0
        if label is None:
            parts = [counts for (other, _, side), counts in wanted.items() if (other, side) == (version, blind)]
            assert verdicts == [sum(column) for column in zip(*parts, strict=True)]
    assert rows == sorted(rows, key=lambda row: (row[0], row[2], row[1] or ""))


@pytest.mark.parametrize(
    ("counts", "interval"),
    # Newcombe 1998, Table II, method 10
    [
        ((56, 70, 48, 80), (0.0524, 0.3339)),
        ((9, 10, 3, 10), (0.1705, 0.8090)),
        ((5, 56, 0, 29), (-0.0381, 0.1926)),
    ],
)
def test_the_interval_is_that_of_the_paper(counts: tuple[int, int, int, int], interval: tuple[float, float]) -> None:
    assert newcombe_interval(*counts) == pytest.approx(interval, abs=5e-5)


def acceptance(*rows: tuple[str, str | None, bool, int, int, int]) -> pa.Table:
    columns = ("model_version", "label", "blind", "accepted", "changed", "rejected")
    made = [dict(zip(columns, row, strict=True)) | {"answers": sum(row[3:])} for row in rows]
    return pa.Table.from_pylist(made, schema=PREDICTION_ACCEPTANCE)


def test_anchoring_is_the_difference_between_shown_and_blind() -> None:
    accepted, same_main = anchoring(
        acceptance(("v1", None, False, 56, 4, 10), ("v1", "Retro", False, 56, 4, 10), ("v1", None, True, 48, 8, 24))
    )
    assert (accepted.measure, accepted.shown_answers, accepted.blind_answers) == ("accepted", 70, 80)
    assert (accepted.difference, accepted.low) == pytest.approx((0.2, 0.0524), abs=5e-5)
    assert same_main.difference == pytest.approx(60 / 70 - 56 / 80)
    assert accepted.sentence() == (
        "v1: experts who saw the prediction took the answer of the model in 80% of 70 answers, those who did not in "
        "60% of 80; the difference is +20.0% (95% interval +5.2% to +33.4%)."
    )


def test_without_blind_answers_nothing_is_said_about_anchoring() -> None:
    accepted, _ = anchoring(acceptance(("v1", None, False, 56, 4, 10)))
    assert (accepted.shown_share, accepted.blind_share, accepted.difference) == (0.8, None, None)
    assert accepted.sentence() == "v1: no answer without the prediction yet, so nothing can be said about anchoring."


def test_each_version_is_compared_with_its_own_blind_answers() -> None:
    table = acceptance(("v1", None, True, 1, 0, 0), ("v2", None, False, 1, 0, 1), ("v2", None, True, 1, 0, 3))
    found = {(row.model_version, row.difference) for row in anchoring(table) if row.measure == "accepted"}
    assert found == {("v1", None), ("v2", 0.25)}
