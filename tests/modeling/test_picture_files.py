import os
from pathlib import Path

import pytest
from PIL import Image

from modeling.errors import ModelingError
from modeling.picture_files import picture_files, printable


def test_pictures_of_all_folders_in_the_order_of_names(tmp_path: Path) -> None:
    picture = Image.new("RGB", (4, 4))
    for name in ("b/2.JPG", "b/10.jpeg", "a/x/y.png", "c.webp", ".hidden/a.png", "a/.b.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        picture.save(tmp_path / name)
    picture.save(tmp_path / "b/" / ("0" * 64), "png")  # as the pipeline stores them: without a suffix
    (tmp_path / "b" / "README").write_text("no picture")
    (tmp_path / "b" / "notes.txt").write_text("no picture")
    (tmp_path / "b" / "empty").touch()
    found = [path.relative_to(tmp_path).as_posix() for path in picture_files(tmp_path)]
    assert found == ["a/x/y.png", f"b/{'0' * 64}", "b/10.jpeg", "b/2.JPG", "c.webp"]


def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    Image.new("RGB", (4, 4)).save(folder / "a.png")
    (folder / "again").symlink_to(tmp_path)
    (folder / "like.png").symlink_to(tmp_path)
    (folder / "link.png").symlink_to(folder / "a.png")
    assert [path.name for path in picture_files(folder)] == ["a.png", "link.png"]


@pytest.mark.timeout(10)
def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    """Opening a pipe would wait for ever."""
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    os.mkfifo(tmp_path / "pipe.png")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "to_pipe.png").symlink_to(tmp_path / "pipe")
    (tmp_path / "broken.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "round.png").symlink_to(tmp_path / "round.png")
    (tmp_path / "named").symlink_to(tmp_path / "a.png")
    assert [path.name for path in picture_files(tmp_path)] == ["a.png", "named"]


def test_a_name_that_is_no_utf8_can_be_printed() -> None:
    name = os.fsdecode(b"caf\xc3\xa9 \xff\xfe.jpg")
    assert printable(Path(name)) == r"café \xff\xfe.jpg"
    assert printable("\ud800.jpg") == r"\ud800.jpg"


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    with pytest.raises(ModelingError, match=r"there is no folder .*a\.png"):
        picture_files(tmp_path / "a.png")


def test_a_folder_that_goes_away_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (4, 4)).save(tmp_path / name / "1.png")
    found = picture_files(tmp_path)
    assert next(found) == tmp_path / "a/1.png"
    (tmp_path / "b/1.png").unlink()
    (tmp_path / "b").rmdir()
    assert list(found) == [tmp_path / "b", tmp_path / "c/1.png"]
