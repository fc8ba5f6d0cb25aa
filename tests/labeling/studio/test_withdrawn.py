"""The list of images that must leave the server."""

from pathlib import Path

import pytest

from labeling.errors import LabelingError
from labeling.studio.withdrawn import read_withdrawn

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
