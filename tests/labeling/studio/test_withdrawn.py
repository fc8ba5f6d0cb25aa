"""The list of images that must leave the server."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from labeling.errors import LabelingError
from labeling.studio.progress import SyncState
from labeling.studio.store import StudioStore
from labeling.studio.withdrawn import forget_in_mirror, read_withdrawn

ONE, TWO = "a" * 64, "0" * 64


def test_ids_stand_one_a_line(tmp_path: Path) -> None:
    path = tmp_path / "withdrawn.txt"
    path.write_text(f"\ufeff# asked for by mail\n{ONE}\n\n {TWO.upper()}  # a second one\n{ONE}\n", encoding="utf-8")
    assert read_withdrawn(path) == {ONE, TWO}


@pytest.mark.parametrize("line", ["a" * 63, "photo.jpg", ONE + TWO])
def test_a_line_that_is_no_image_id_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "withdrawn.txt"
    path.write_text(f"{ONE}\n{line}\n")
    with pytest.raises(LabelingError, match=r"withdrawn\.txt, line 2: .* is no image id"):
        read_withdrawn(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LabelingError, match=r"nowhere\.txt .*correct labels\.withdrawn"):
        read_withdrawn(tmp_path / "nowhere.txt")


def test_the_mirror_forgets_tasks_with_every_version_of_every_answer(tmp_path: Path) -> None:
    path, now = tmp_path / "answers.sqlite", datetime(2024, 5, 2, tzinfo=UTC)

    def task(number: int, data: dict[str, str], note: str) -> dict[str, object]:
        answer = {"id": number, "was_cancelled": False, "result": [note]}
        counts = {"total_annotations": 1, "cancelled_annotations": 0, "updated_at": "2024-05-02T08:00:00Z"}
        return {"id": number, "data": data, "annotations": [answer], **counts}

    gone, kept = task(1, {"image_id": ONE}, "first"), task(2, {"image_id": TWO}, "kept")
    shown = task(3, {"image": f"/data/local-files/?d=images/aa/{ONE}"}, "shown")
    with StudioStore(path) as store:
        store.save([gone, kept, shown], {}, SyncState(), now)
        store.save([task(1, {"image_id": ONE}, "second")], {1: [{"id": 9, "user": "x"}]}, SyncState(), now)
        # the server has deleted task 1 and given its number to another picture
        store.save([task(1, {"image_id": TWO}, "later")], {}, SyncState(), now)

    assert forget_in_mirror(path, {ONE}) == {3}

    with StudioStore(path) as store:
        assert [
            version.raw for version in store.history() if "kept" not in version.raw and "later" not in version.raw
        ] == []
        assert len(list(store.history())) == 2
        assert sorted(store.stamps(0, None)) == [1, 2]
    assert all(ONE.encode() not in file.read_bytes() for file in tmp_path.iterdir())
    assert forget_in_mirror(path, {ONE}) == set(), "safe to repeat"
