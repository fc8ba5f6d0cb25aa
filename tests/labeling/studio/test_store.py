"""The mirror as a file: killed in the middle of writing, opened by others, of another kind."""

import json
import signal
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from labeling.errors import LabelingError
from labeling.studio.progress import Changes, MirroredProject, SyncState, TaskStamp
from labeling.studio.store import StudioStore

NOW = datetime(2024, 5, 2, 8, tzinfo=UTC)
PAGE = 20

WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from labeling.studio.progress import SyncState
from labeling.studio.store import StudioStore

with StudioStore(Path(sys.argv[1])) as store, store.locked():
    while True:
        first = store.sync.after_id + 1
        tasks = [
            {
                "id": number, "updated_at": "2024-05-02T08:00:00Z", "total_annotations": 1, "cancelled_annotations": 0,
                "data": {}, "annotations": [{"id": number, "was_cancelled": False, "result": []}],
            }
            for number in range(first, first + int(sys.argv[2]))
        ]
        store.save(tasks, {}, SyncState(after_id=tasks[-1]["id"]), datetime.now(UTC))
        print(tasks[-1]["id"], flush=True)
"""


def task(number: int, *annotations: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": number,
        "updated_at": "2024-05-02T08:00:00.000001Z",
        "total_annotations": len(annotations),
        "cancelled_annotations": 0,
        "data": {"image_id": "a"},
        "annotations": list(annotations),
    }


def answer(number: int, **fields: Any) -> dict[str, Any]:
    return {"id": number, "was_cancelled": False, "result": []} | fields


def test_killed_at_any_moment_it_has_whole_pages_and_knows_which(tmp_path: Path) -> None:
    path = tmp_path / "project.sqlite"
    reported = 0
    for delay in (0.0, 0.013, 0.031, 0.052):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(PAGE)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        reported = int(process.stdout.readline())
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        lines = process.communicate()[0].split()
        reported = max(reported, *(int(line) for line in lines), 0)
        with StudioStore(path) as store:
            after_id = store.sync.after_id
            assert after_id >= reported
            assert after_id % PAGE == 0
            assert sorted(store.stamps(0, None)) == list(range(1, after_id + 1))
            assert [version.task_id for version in store.history()] == list(range(1, after_id + 1))
    assert reported > 4 * PAGE


def test_every_version_stays_and_the_same_again_is_none(tmp_path: Path) -> None:
    with StudioStore(tmp_path / "a" / "project.sqlite") as store:
        sync = SyncState(after_id=7)
        assert store.save([task(1, answer(5), answer(6))], {}, sync, NOW) == Changes(tasks=1, annotations_new=2)
        assert not store.save([task(1, answer(6), {"result": [], "id": 5, "was_cancelled": False})], {}, sync, NOW)
        store.save([task(1, answer(5, was_cancelled=True), answer(6))], {}, sync, NOW)
        store.save([task(1, answer(6))], {}, sync, NOW)
        store.save([task(1, answer(5), answer(6))], {}, sync, NOW)
        store.mark_gone([1], NOW)
        assert store.mark_gone([1], NOW).annotations_deleted == 0
        history = [(version.annotation_id, version.state) for version in store.history()]
        assert history == [
            ("5", "submitted"),
            ("6", "submitted"),
            ("5", "skipped"),
            ("5", "deleted"),
            ("5", "submitted"),
            ("6", "task_deleted"),
            ("5", "task_deleted"),
        ]
        assert store.task_count() == 0
        store.save([task(1, answer(5), answer(6))], {}, sync, NOW)
        assert store.stamps_of([1, 2]) == {1: TaskStamp("2024-05-02T08:00:00.000001Z", 2, 0)}
        assert [version.state for version in store.latest()] == ["submitted", "submitted"]


def test_what_was_read_of_a_task_says_nothing_about_its_drafts_and_the_other_way_round(tmp_path: Path) -> None:
    with StudioStore(tmp_path / "project.sqlite") as store:
        store.save([task(1, answer(5))], {1: [{"id": 8, "user": "e"}, {"id": 9, "user": "e"}]}, SyncState(), NOW)
        assert store.drafted_tasks() == store.drafted_tasks(among=[1, 2]) == {1}
        assert store.drafted_tasks(among=[2]) == set()
        assert not store.save([task(1, answer(5))], {}, SyncState(), NOW)
        assert store.save([], {1: [{"id": 9, "user": "e"}]}, SyncState(), NOW).drafts == 1
        assert [(version.annotation_id, version.state) for version in store.latest()] == [
            ("5", "submitted"),
            ("draft:9", "draft"),
            ("draft:8", "deleted"),
        ]


def test_it_is_read_while_another_process_writes(tmp_path: Path) -> None:
    path = tmp_path / "project.sqlite"
    with StudioStore(path) as writer, StudioStore(path) as reader:
        writer.save([task(1, answer(1)), task(2, answer(2))], {}, SyncState(), NOW)
        rows = reader.latest()
        assert next(rows).annotation_id == "1"
        writer.save([task(3, answer(3))], {}, SyncState(), NOW)
        assert [row.annotation_id for row in rows] == ["2"]  # as it was when the reading began
        assert [row.annotation_id for row in reader.latest()] == ["1", "2", "3"]


def test_the_state_survives_closing(tmp_path: Path) -> None:
    sync = SyncState(NOW, NOW, NOW, None, None, 17, NOW)
    project = MirroredProject("https://studio.invalid", 3, "2024-05-01T00:00:00Z")
    with StudioStore(tmp_path / "project.sqlite") as store:
        assert (store.project, store.cursor) == (None, None)
        store.bind(project)
        store.set_sync(sync)
    with StudioStore(tmp_path / "project.sqlite") as store:
        assert (store.project, store.sync, store.cursor) == (project, sync, NOW)
        anew = MirroredProject("https://studio.invalid", 3, "2025-01-01T00:00:00Z")
        with pytest.raises(LabelingError, match=r"created 2024-05-01T00:00:00, not of .* created 2025-01-01"):
            store.bind(anew)


@pytest.mark.parametrize("content", [b"no database at all, but long enough", json.dumps([1] * 500).encode()])
def test_a_file_of_another_kind_is_one_clear_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "project.sqlite"
    path.write_bytes(content)
    with pytest.raises(LabelingError, match=r"project\.sqlite cannot be used as the mirror .*; move it away") as caught:
        StudioStore(path)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == content


def test_a_file_of_a_newer_version_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "project.sqlite"
    StudioStore(path).close()
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(LabelingError, match="was written by a newer version of this program; use that one, or move"):
        StudioStore(path)


def test_a_file_of_the_first_version_keeps_what_it_has_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "project.sqlite"
    with StudioStore(path) as store:
        store.save([task(1, answer(5))], {}, SyncState(after_id=7), NOW)
    database = sqlite3.connect(path)
    database.executescript("DROP TABLE people; DROP INDEX versions_of; PRAGMA user_version = 1")
    database.close()
    for _ in range(2):
        with StudioStore(path) as store:
            assert [version.annotation_id for version in store.history()] == ["5"]
            assert store.sync.after_id == 7
            store.remember_people({3: "expert@example.invalid"})
            assert store.people() == {3: "expert@example.invalid"}


def test_people_are_remembered_under_their_last_address(tmp_path: Path) -> None:
    with StudioStore(tmp_path / "project.sqlite") as store:
        store.remember_people({3: "old@example.invalid", 4: "other@example.invalid"})
        store.remember_people({3: "new@example.invalid"})
        store.remember_people({})
    with StudioStore(tmp_path / "project.sqlite") as store:
        assert store.people() == {3: "new@example.invalid", 4: "other@example.invalid"}


def test_the_versions_of_some_annotations_in_the_order_in_which_they_were_seen(tmp_path: Path) -> None:
    with StudioStore(tmp_path / "project.sqlite") as store:
        store.save([task(1, answer(5), answer(6), answer(7))], {}, SyncState(), NOW)
        store.save([task(1, answer(5, was_cancelled=True), answer(6), answer(7))], {}, SyncState(), NOW)
        found = [(version.annotation_id, version.state) for version in store.versions_of({"7", "5", "99"})]
        assert found == [("5", "submitted"), ("7", "submitted"), ("5", "skipped")]
        assert [store.raw(version.version) for version in store.history()] == [
            version.raw for version in store.history()
        ]


def test_an_answer_keeps_its_image_when_the_server_gives_its_task_number_to_another_image(tmp_path: Path) -> None:
    with StudioStore(tmp_path / "project.sqlite") as store:
        store.save([task(1, answer(10))], {}, SyncState(), NOW)
        store.save([task(1, answer(11)) | {"data": {"image_id": "b"}}], {}, SyncState(), NOW)
        latest = {version.annotation_id: (version.state, version.image) for version in store.latest()}
    assert latest == {"10": ("deleted", "a"), "11": ("submitted", "b")}
