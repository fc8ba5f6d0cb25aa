"""From class probabilities to the rows that experts are shown, without a server."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.errors import LabelingError
from labeling.studio.pre_annotations import import_body, pre_annotations, with_history
from labeling.studio.queue import is_blind
from labeling.tables import PRE_ANNOTATIONS
from tests.labeling.labeling_samples import image_id

NOW = datetime(2024, 5, 2, 8, tzinfo=UTC)
LABELS = ("Casual", "Retro", "Sporty")
EMPTY = PRE_ANNOTATIONS.empty_table()


def rows_of(probabilities: Any, **changes: Any) -> list[dict[str, Any]]:
    values = np.asarray(probabilities, np.float32)
    ids = [image_id(number) for number in range(len(values))]
    options = {"model_version": "v1", "blind_share": 0.0, "predicted_at": NOW, **changes}
    rows: list[dict[str, Any]] = pre_annotations(
        ids, LABELS, values, {image: number for number, image in enumerate(ids, 100)}, **options
    ).to_pylist()
    return rows


def row(number: int, version: str = "v1", main: str = "Casual", minutes: int = 0, **changes: Any) -> dict[str, Any]:
    return {
        "image_id": image_id(number),
        "task_id": number,
        "model_version": version,
        "main": main,
        "subs": [],
        "score": 0.75,
        "blind": False,
        "predicted_at": NOW + timedelta(minutes=minutes),
    } | changes


def table(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=PRE_ANNOTATIONS)


def test_the_most_probable_label_is_main_and_the_others_from_their_threshold_on_are_subs() -> None:
    first, second = rows_of([[0.5, 0.75, 0.25], [0.125, 0.25, 0.0]])
    assert (first["main"], first["subs"], first["score"]) == ("Retro", ["Casual"], 0.75)
    assert (second["main"], second["subs"], second["score"]) == ("Retro", [], 0.25)
    assert (first["task_id"], second["task_id"]) == (100, 101)


def test_each_label_may_have_a_threshold_of_its_own() -> None:
    (only,) = rows_of([[0.5, 0.75, 0.25]], thresholds=(0.6, 0.1, 0.25))
    assert only["subs"] == ["Sporty"]


def test_of_equally_probable_labels_the_first_is_main() -> None:
    (only,) = rows_of([[0.5, 0.5, 0.5]])
    assert (only["main"], only["subs"]) == ("Casual", ["Retro", "Sporty"])


def test_rows_are_sorted_by_image_and_know_no_task_where_none_is_queued() -> None:
    ids = [image_id(2), image_id(1)]
    made = pre_annotations(
        ids, LABELS, np.eye(3)[:2], {ids[0]: 7}, model_version="v1", blind_share=0.0, predicted_at=NOW
    ).to_pylist()
    assert [(made_row["image_id"], made_row["task_id"], made_row["main"]) for made_row in made] == [
        (image_id(1), None, "Retro"),
        (image_id(2), 7, "Casual"),
    ]


@given(st.floats(0, 1))
def test_blind_are_those_images_that_the_queue_calls_blind(share: float) -> None:
    for made in rows_of(np.full((40, 3), 0.5), blind_share=share):
        assert made["blind"] == is_blind(made["image_id"], share)


@given(st.lists(st.lists(st.floats(0, 1, width=32), min_size=3, max_size=3), max_size=8), st.floats(0, 1))
def test_every_label_from_the_threshold_on_is_named_once_and_no_other_but_the_main(
    probabilities: list[list[float]], threshold: float
) -> None:
    made = rows_of(np.asarray(probabilities).reshape(-1, 3), thresholds=threshold)
    for values, made_row in zip(probabilities, made, strict=True):
        reached = {label for label, value in zip(LABELS, values, strict=True) if value >= threshold}
        assert {made_row["main"], *made_row["subs"]} == reached | {made_row["main"]}
        assert made_row["main"] not in made_row["subs"]
        assert made_row["score"] == max(values)


@pytest.mark.parametrize(
    ("probabilities", "changes", "message"),
    [
        ([[0.5, 0.5]], {}, r"shape \(1, 2\): 1 images by 3 labels"),
        ([[0.5, 1.5, 0.0]], {}, "not between 0 and 1"),
        ([[0.5, float("nan"), 0.0]], {}, "not between 0 and 1"),
        ([[0.5, 0.5, 0.5]], {"thresholds": [0.5, 0.5]}, "2 thresholds for 3 labels"),
        ([[0.5, 0.5, 0.5]], {"model_version": " "}, "must not be blank"),
        ([[0.5, 0.5, 0.5]], {"model_version": "top5,resnet"}, "or have a comma"),
    ],
)
def test_what_cannot_be_right_is_refused(probabilities: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(LabelingError, match=message):
        rows_of(probabilities, **changes)


def test_an_image_given_twice_is_refused() -> None:
    with pytest.raises(LabelingError, match="twice"):
        pre_annotations(
            [image_id(1)] * 2, LABELS, np.eye(3)[:2], {}, model_version="v1", blind_share=0.0, predicted_at=NOW
        )


def test_the_server_gets_subs_only_where_there_are_some() -> None:
    body = import_body(row(5, subs=["Retro"]))
    assert body == {
        "task": 5,
        "model_version": "v1",
        "score": 0.75,
        "result": [
            {"from_name": "main", "to_name": "image", "type": "choices", "value": {"choices": ["Casual"]}},
            {"from_name": "subs", "to_name": "image", "type": "choices", "value": {"choices": ["Retro"]}},
        ],
    }
    assert [part["from_name"] for part in import_body(row(5))["result"]] == ["main"]


def test_a_row_that_says_the_same_again_keeps_its_time() -> None:
    joined = with_history(table(row(1)), table(row(1, minutes=5), row(2, minutes=5)))
    assert joined.to_pylist() == [row(1), row(2, minutes=5)]


def test_rows_of_an_earlier_version_stay_beside_the_new_ones() -> None:
    joined = with_history(table(row(1), row(2)), table(row(1, "v2", "Retro", minutes=5)))
    assert joined.to_pylist() == [row(1), row(1, "v2", "Retro", minutes=5), row(2)]


def test_a_version_that_comes_back_gets_a_new_time() -> None:
    history = with_history(table(row(1)), table(row(1, "v2", minutes=5)))
    again = with_history(history, table(row(1, minutes=9)))
    assert [(old["model_version"], old["predicted_at"].minute) for old in again.to_pylist()] == [
        ("v1", 0),
        ("v2", 5),
        ("v1", 9),
    ]


def test_an_image_that_becomes_blind_has_both_rows() -> None:
    joined = with_history(table(row(1)), table(row(1, minutes=5, blind=True)))
    assert [old["blind"] for old in joined.to_pylist()] == [False, True]


def test_rows_that_no_expert_could_see_are_replaced() -> None:
    joined = with_history(table(row(1, task_id=None), row(2, task_id=None)), table(row(1, minutes=5)))
    assert joined.to_pylist() == [row(1, minutes=5)]


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["v1", "v2"]), st.booleans()), max_size=12))
def test_the_latest_row_of_an_image_says_what_was_pushed_last(pushes: list[tuple[int, str, bool]]) -> None:
    history, last = EMPTY, {}
    for minute, (number, version, blind) in enumerate(pushes):
        history = with_history(history, table(row(number, version, minutes=minute, blind=blind)))
        last[image_id(number)] = (version, blind)
    kept = {old["image_id"]: (old["model_version"], old["blind"]) for old in history.to_pylist()}
    assert kept == last
    assert history.schema == PRE_ANNOTATIONS
