from pathlib import Path

import pytest
from dedup_pictures import image_id

from crawlers.dedup.overrides import Overrides, read_overrides
from crawlers.errors import CrawlError

HEADER = "decision,image_a,image_b,note\n"
A, B, C = (image_id(number) for number in (1, 2, 3))


def read(folder: Path, *rows: str, header: str = HEADER) -> Overrides:
    path = folder / "overrides.csv"
    path.write_text(header + "\n".join(rows) + "\n", encoding="utf-8-sig")
    return read_overrides(path)


def test_no_file_is_no_decision() -> None:
    assert read_overrides(None) == Overrides()
    assert Overrides().version == ""


def test_decisions_are_read_in_any_order_of_rows_and_ids(tmp_path: Path) -> None:
    one = read(tmp_path, f"keep,{A},,a note", f"Same,{B},{A},", f"different,{C.upper()},{B},")
    assert one.keep == {A}
    assert one.same == {(A, B)}
    assert one.different == {(B, C)}
    assert one.images == {A, B, C}
    other = read(tmp_path, f"different,{B},{C},", f"same,{A},{B},", f"keep,{A},,")
    assert (one, one.version) == (other, other.version)
    assert read(tmp_path, f"keep,{B},,").version != read(tmp_path, f"keep,{A},,").version


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (["merge,x,y,"], "row 1: decision 'merge' is none of keep, same, different"),
        ([f"keep,{A},,", f"same,{A},short,"], "row 2: image_b 'short' is no image id"),
        ([f"keep,{A},{B},"], "row 1: keep is said of one image; leave image_b empty"),
        ([f"same,{A},{A},"], "row 1: image_a and image_b are the same image"),
        ([f"same,{A},{B},", f"different,{B},{A},"], r"rows 1 and 2 contradict each other \(same, different\)"),
        ([f"keep,{A},,", f"keep,{B},,", f"same,{A},{B},"], "row 3: same, but both images are to be kept"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, rows: list[str], words: str) -> None:
    with pytest.raises(CrawlError, match=words) as caught:
        read(tmp_path, *rows)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(CrawlError, match="no column image_b; write decision,image_a,image_b"):
        read(tmp_path, header="decision,image_a\n")
    with pytest.raises(CrawlError, match="cannot be read"):
        read_overrides(tmp_path / "none.csv")
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CrawlError, match="is no CSV in UTF-8"):
        read_overrides(tmp_path / "bytes.csv")
