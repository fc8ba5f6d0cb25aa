import json
from pathlib import Path
from typing import Any

import pytest
from labeling_samples import answer, choices, image_id, index_of, task, task_row, written

from labeling import FASHION_STYLES, Annotations, LabelingError, read_label_studio_export
from labeling.tables import ANNOTATIONS, QUARANTINED_ANNOTATIONS

INDEX = index_of(*(task_row(number, aside=[number + 50] if number == 1 else []) for number in range(1, 10)))
GOOD = [choices("main", "Casual"), choices("subs", "Sexy", "Romantic")]


def read(folder: Path, *tasks: Any) -> Annotations:
    annotations = read_label_studio_export(written(folder / "export.json", list(tasks)), INDEX, FASHION_STYLES)
    assert annotations.valid.schema.equals(ANNOTATIONS)
    assert annotations.quarantined.schema.equals(QUARANTINED_ANNOTATIONS)
    return annotations


def test_a_good_annotation_is_read_in_full(tmp_path: Path) -> None:
    reviewed = [
        *GOOD,
        choices("review", "Accepted"),
        {"from_name": "note", "to_name": "image", "type": "textarea", "value": {"text": ["ok", "but dark"]}},
    ]
    by = {"id": 4, "email": "expert@example.invalid", "first_name": "", "last_name": ""}
    (row,) = read(tmp_path, task(3, answer(17, reviewed, by, updated_by=9))).valid.to_pylist()
    assert row["annotation_id"] == "17"
    assert row["task_id"] == "3"
    assert row["image_id"] == row["labeled_image_id"] == image_id(3)
    assert row["annotator"] == "expert@example.invalid"
    assert (row["answer"], row["main"]) == ("style", "Casual")
    assert row["subs"] == ["Romantic", "Sexy"]  # in the order of the taxonomy
    assert (row["review"], row["reviewer"], row["note"]) == ("accepted", "9", "ok\nbut dark")
    assert row["lead_time"] == 12.5
    assert row["updated_at"].isoformat() == "2024-05-02T08:01:00+00:00"


def test_a_user_is_one_person_with_and_without_the_address(tmp_path: Path) -> None:
    full = {"id": 4, "email": "expert@example.invalid"}
    valid = read(tmp_path, task(1, answer(1, GOOD, 4)), task(2, answer(2, GOOD, full))).valid
    assert valid.column("annotator").to_pylist() == ["expert@example.invalid"] * 2


@pytest.mark.parametrize(
    ("result", "reason", "detail"),
    [
        ([], "no_main", "choose exactly one"),
        ([choices("subs", "Casual")], "no_main", "choose exactly one"),
        ([choices("main")], "no_main", "choose exactly one"),
        ([choices("main", "Casual", "Sexy")], "two_mains", "Casual, Sexy"),
        ([choices("main", "Casual"), choices("main", "Sexy")], "two_mains", "Casual, Sexy"),
        ([choices("main", "Casuall")], "unknown_label", "'Casuall' is not in the taxonomy"),
        ([*GOOD, choices("subs", "Cosy")], "unknown_label", "'Cosy'"),
        ([*GOOD, choices("subs", "Casual")], "main_in_subs", "'Casual' is main and sub at once"),
        ([choices("main", "Casual", "Can't tell")], "two_mains", "Casual, Can't tell"),
        ([choices("main", "Not a fashion image", "Can't tell")], "two_mains", "Not a fashion image, Can't tell"),
        ([choices("main", "Can't tell"), choices("subs", "Sexy")], "subs_without_style", '"Can\'t tell" has sub'),
        ([*GOOD, choices("subs", "Can't tell")], "unknown_label", "Can't tell"),
        ([*GOOD, choices("mood", "Happy")], "unknown_control", "'mood'"),
        ([*GOOD, {"from_name": ["main"]}], "unknown_control", "['main']"),
        ([*GOOD, choices("subs", "Retro") | {"type": "labels"}], "malformed", "'labels'"),
        ([*GOOD, choices("subs", "Retro") | {"to_name": "text"}], "malformed", "'text'"),
        ([{"from_name": "main", "value": {"choices": "Casual"}}], "malformed", "no list of choices"),
        ([{"from_name": "main", "value": {"choices": [["Casual"]]}}], "malformed", "no list of choices"),
        ([{"from_name": "main", "value": {"choices": [1]}}], "malformed", "no list of choices"),
        ([*GOOD, choices("review", "Perhaps")], "unknown_choice", "Perhaps"),
        ([*GOOD, choices("review", "Accepted", "Rejected")], "unknown_choice", "Accepted, Rejected"),
        ([*GOOD, {"type": "relation"}], "unknown_control", "None"),
        ([{"from_name": "main", "value": {"rating": 3}}], "malformed", "'main'"),
        ([{"from_name": "main", "value": None}], "malformed", "'main'"),
        ({"main": "Casual"}, "malformed", "no list of results"),
        (None, "malformed", "no list of results"),
    ],
)
def test_a_wrong_answer_is_set_aside_and_the_good_one_beside_it_arrives(
    tmp_path: Path, result: Any, reason: str, detail: str
) -> None:
    annotations = read(tmp_path, task(1, answer(8, result, 2), answer(9, GOOD, 3)))
    assert annotations.valid.column("annotation_id").to_pylist() == ["9"]
    (refused,) = annotations.quarantined.to_pylist()
    assert (refused["annotation_id"], refused["annotator"], refused["image"]) == ("8", "2", image_id(1))
    assert refused["reason"] == reason
    assert detail in refused["detail"]
    assert "\n" not in refused["detail"]
    assert json.loads(refused["raw"])["result"] == result
    assert refused["task_link"] is None


@pytest.mark.parametrize(("text", "expected"), [("Not a fashion image", "not_fashion"), ("Can't tell", "cant_tell")])
def test_no_style_is_an_answer_too(tmp_path: Path, text: str, expected: str) -> None:
    (row,) = read(tmp_path, task(1, answer(8, [choices("main", text)], 2))).valid.to_pylist()
    assert (row["answer"], row["main"], row["subs"]) == (expected, None, [])


@pytest.mark.parametrize("value", [None, "dark", {"text": 5}, {"text": [5]}, {}])
def test_a_note_that_cannot_be_read_is_no_reason_to_lose_the_answer(tmp_path: Path, value: Any) -> None:
    note = {"from_name": "note", "to_name": "image", "type": "textarea", "value": value}
    (row,) = read(tmp_path, task(1, answer(8, [*GOOD, note], 2))).valid.to_pylist()
    assert row["note"] is None


@pytest.mark.parametrize("editor", [4, None])
def test_a_review_by_the_annotator_or_by_nobody_does_not_count(
    tmp_path: Path, editor: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    reviewed = [*GOOD, choices("review", "Accepted")]
    (row,) = read(tmp_path, task(1, answer(8, reviewed, 4, updated_by=editor))).valid.to_pylist()
    assert (row["main"], row["review"], row["reviewer"]) == ("Casual", None, None)
    assert "1 reviews do not count" in caplog.text


def test_skipped_and_draft_answers_are_set_aside(tmp_path: Path) -> None:
    draft = {"id": 5, "user": "expert@example.invalid", "result": GOOD, "annotation": None}
    skipped = answer(6, GOOD, 2, was_cancelled=True)
    quarantined = read(tmp_path, task(1, skipped, drafts=[draft])).quarantined.to_pylist()
    assert [(row["annotation_id"], row["reason"], row["annotator"]) for row in quarantined] == [
        ("6", "skipped", "2"),
        ("draft:5", "draft", "expert@example.invalid"),
    ]


def test_an_unknown_or_unnamed_image_and_a_missing_annotator_are_set_aside(tmp_path: Path) -> None:
    foreign = task(40, answer(1, GOOD))
    nameless = task(2, answer(2, GOOD), data={"picture": "x"})
    unsigned = task(3, answer(3, GOOD, None))
    quarantined = read(tmp_path, foreign, nameless, unsigned).quarantined.to_pylist()
    assert [row["reason"] for row in quarantined] == ["unknown_image", "no_annotator", "unknown_image"]
    assert [row["task_id"] for row in quarantined] == ["2", "3", "40"]


def test_predictions_and_old_completions(tmp_path: Path) -> None:
    old = {"id": 2, "data": {"image": f"images/00/{image_id(2)}"}, "completions": [answer(1, GOOD)]}
    valid = read(tmp_path, task(1), old).valid.to_pylist()
    assert [(row["image_id"], row["main"]) for row in valid] == [(image_id(2), "Casual")]


def test_the_latest_answer_of_a_person_for_a_cluster_counts(tmp_path: Path) -> None:
    late = answer(1, [choices("main", "Sexy")], 7, updated_at="2024-06-01T00:00:00Z")
    copy = task(51, answer(2, GOOD, 7))  # the same cluster under the image that was set aside
    undated = answer(30, GOOD, 7, updated_at=None, created_at=None)
    annotations = read(tmp_path, copy, task(1, undated, late, answer(4, GOOD, 8)))
    assert [(row["annotator"], row["main"]) for row in annotations.valid.to_pylist()] == [
        ("7", "Sexy"),
        ("8", "Casual"),
    ]
    refused = annotations.quarantined.to_pylist()
    assert [(row["annotation_id"], row["reason"]) for row in refused] == [("30", "superseded"), ("2", "superseded")]
    assert refused[0]["detail"] == "7 answered again in annotation 1"


def test_the_order_of_tasks_changes_nothing(tmp_path: Path) -> None:
    tasks = [task(number, answer(number, GOOD), answer(number + 20, [], 2)) for number in range(1, 10)]
    one, other = read(tmp_path, *tasks), read(tmp_path, *reversed(tasks))
    assert one.valid.equals(other.valid)
    assert one.quarantined.equals(other.quarantined)


def test_odd_values_beside_the_labels_are_no_reason_to_lose_an_answer(tmp_path: Path) -> None:
    odd = answer(1, GOOD, updated_at="yesterday", created_at=5, lead_time="long")
    odder = answer(2, GOOD, updated_at="0001-01-01T00:00:00+09:00", created_at=True, lead_time=True)
    for row in read(tmp_path, task(1, odd), task(2, odder)).valid.to_pylist():
        assert (row["updated_at"], row["created_at"], row["lead_time"]) == (None, None, None)


def test_a_task_that_is_none_is_set_aside(tmp_path: Path) -> None:
    annotations = read(tmp_path, task(1, answer(1, GOOD)), "rubbish", {"id": 9, "annotations": ["x"]})
    assert annotations.valid.num_rows == 1
    assert annotations.quarantined.column("reason").to_pylist() == ["no_annotator"] * 2


@pytest.mark.parametrize("content", ["[]", "\ufeff[]", " [ ] "])
def test_an_export_without_tasks_is_empty(tmp_path: Path, content: str) -> None:
    annotations = read_label_studio_export(written(tmp_path / "a.json", content), INDEX, FASHION_STYLES)
    assert annotations.valid.num_rows == annotations.quarantined.num_rows == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([{"id": 1, "image": "a.jpg", "main": "Casual"}], "not JSON-MIN"),
        ("[1]", "not JSON-MIN"),
        (json.dumps([task(1, answer(1, GOOD))])[:-40], "is not complete JSON"),
        ("image,main,subs\n", "is not complete JSON"),
        ("", "is not complete JSON"),
        ({"tasks": []}, "is no full Label Studio export"),
    ],
)
def test_another_format_or_half_a_file_is_one_clear_line(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(LabelingError) as caught:
        read_label_studio_export(written(tmp_path / "export.json", content), INDEX, FASHION_STYLES)
    assert message in str(caught.value)
    assert "export.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(LabelingError, match=r"nowhere\.json: No such file or directory; correct its path"):
        read_label_studio_export(tmp_path / "nowhere.json", INDEX, FASHION_STYLES)
