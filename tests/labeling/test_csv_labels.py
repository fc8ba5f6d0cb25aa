from pathlib import Path

import pytest
from labeling_samples import image_id, index_of, task_row, written
from pydantic import TypeAdapter, ValidationError

from labeling import (
    FASHION_STYLES,
    Annotations,
    LabelCsv,
    LabelingError,
    LabelSource,
    LabelStudioExport,
    read_annotations,
    read_label_csv,
)
from labeling.studio.settings import LabelStudioServer

INDEX = index_of(
    task_row(1, ["1.jpg", "1-copy.jpg", "1-more.jpg"], aside=[11, 12]),
    task_row(2, ["2.jpg"]),
    task_row(3, ["3.jpg"]),
)


def read(folder: Path, *lines: str, header: str = "image,main,subs") -> Annotations:
    path = written(folder / "labels.csv", "\n".join([header, *lines, ""]))
    return read_label_csv(path, INDEX, FASHION_STYLES)


def test_good_rows_become_annotations(tmp_path: Path) -> None:
    annotations = read(tmp_path, "2.jpg,Casual,", " 1.jpg , casual, Sexy | Romantic|", '"3.jpg","Sexy","Casual"')
    rows = annotations.valid.to_pylist()
    assert [(row["image_id"], row["main"], row["subs"]) for row in rows] == [
        (image_id(1), "Casual", ["Romantic", "Sexy"]),
        (image_id(2), "Casual", []),
        (image_id(3), "Sexy", ["Casual"]),
    ]
    assert [row["annotation_id"] for row in rows] == ["csv:3", "csv:2", "csv:4"]
    assert {row["annotator"] for row in rows} == {"csv"}
    assert annotations.quarantined.num_rows == 0


@pytest.mark.parametrize(
    ("line", "reason", "detail"),
    [
        ("2.jpg,,Casual", "no_main", "choose exactly one"),
        ("2.jpg,Casual|Sexy,", "two_mains", "Casual, Sexy"),
        ("2.jpg,Cosy,", "unknown_label", "'Cosy' is not in the taxonomy"),
        ("2.jpg,Casual,Cosy", "unknown_label", "'Cosy' is not in the taxonomy"),
        ("2.jpg,Casual,casual", "main_in_subs", "remove it from the subs"),
        ("2.jpg,Can't tell,Casual", "subs_without_style", "remove one or the other"),
        ("2.jpg,Can't tell|Casual,", "two_mains", "Casual, Can't tell"),
        ("2.jpg,Casual,Not a fashion image", "unknown_label", "'Not a fashion image'"),
        ("9.jpg,Casual,", "unknown_image", "'9.jpg'"),
        (",Casual,", "unknown_image", "''"),
        ("2.jpg,Casual", "malformed", "more or fewer cells"),
        ("2.jpg,Casual,,Sexy", "malformed", "more or fewer cells"),
        ("1.jpg,Sexy,", "duplicate_image", "has labels in line 2 already"),
    ],
)
def test_a_wrong_row_is_set_aside_with_its_line_and_the_rest_goes_on(
    tmp_path: Path, line: str, reason: str, detail: str
) -> None:
    annotations = read(tmp_path, "1.jpg,Casual,", line, "3.jpg,Sexy,")
    assert annotations.valid.column("main").to_pylist() == ["Casual", "Sexy"]
    (refused,) = annotations.quarantined.to_pylist()
    assert (refused["annotation_id"], refused["reason"]) == ("csv:3", reason)
    assert refused["detail"].startswith("line 3: ")
    assert detail in refused["detail"]
    assert refused["image"] == line.split(",")[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Not a fashion image", "not_fashion"),
        (" not a fashion IMAGE ", "not_fashion"),
        ("Can't tell", "cant_tell"),
        ("can\u2019t tell", "cant_tell"),
    ],
)
def test_no_style_is_written_as_on_the_labeling_screen(tmp_path: Path, text: str, expected: str) -> None:
    (row,) = read(tmp_path, f"2.jpg,{text},").valid.to_pylist()
    assert (row["answer"], row["main"], row["subs"]) == (expected, None, [])


def test_labels_of_a_copy_follow_to_the_canonical_image(tmp_path: Path) -> None:
    (row,) = read(tmp_path, "1-copy.jpg,Sexy,").valid.to_pylist()
    assert (row["image_id"], row["labeled_image_id"]) == (image_id(1), image_id(11))


def test_of_a_cluster_the_row_of_the_canonical_image_counts_else_the_first(tmp_path: Path) -> None:
    copies = ["1-more.jpg,Sexy,", "1-copy.jpg,Retro,"]
    annotations = read(tmp_path, *copies, "1.jpg,Casual,")
    assert annotations.valid.column("main").to_pylist() == ["Casual"]
    assert annotations.quarantined.column("reason").to_pylist() == ["near_duplicate"] * 2
    assert annotations.quarantined.column("detail").to_pylist()[0] == (
        "line 2: labels come from line 4, which names a near-duplicate of it"
    )
    assert read(tmp_path, *copies).valid.column("main").to_pylist() == ["Sexy"]


def test_other_columns_and_a_byte_order_mark_do_not_matter(tmp_path: Path) -> None:
    assert read(tmp_path, "x,Casual,2.jpg,", header="\ufeffnote, main ,image,subs").valid.num_rows == 1


def test_lines_are_those_of_the_file_also_after_a_cell_of_two_lines(tmp_path: Path) -> None:
    annotations = read(tmp_path, '2.jpg,Casual,"Sexy|', 'Romantic"', "9.jpg,Casual,")
    assert annotations.valid.column("annotation_id").to_pylist() == ["csv:3"]
    assert annotations.quarantined.column("annotation_id").to_pylist() == ["csv:4"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"image;main;subs\n", "has no column image, main, subs; its header must name image, main, subs"),
        (b"image,main\n2.jpg,Casual\n", "has no column subs"),
        (b"", "has no column image, main, subs"),
        (b"image,main,subs\n2.jpg,Caf\xe9,\n", "is not UTF-8 text"),
        (b'image,main,subs\n2.jpg,"Casual,\n', "is no CSV after line"),
    ],
)
def test_a_file_that_is_no_label_csv_is_one_clear_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(content)
    with pytest.raises(LabelingError) as caught:
        read_label_csv(path, INDEX, FASHION_STYLES)
    assert message in str(caught.value)
    assert "labels.csv" in str(caught.value)


def test_a_missing_file_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(LabelingError, match="correct its path"):
        read_label_csv(tmp_path / "nowhere.csv", INDEX, FASHION_STYLES)


def test_settings_choose_the_kind_of_source(tmp_path: Path) -> None:
    path = written(tmp_path / "labels.csv", "image,main,subs\n2.jpg,Casual,\n")
    adapter: TypeAdapter[LabelSource] = TypeAdapter(LabelSource)
    source = adapter.validate_python({"kind": "csv", "path": str(path)})
    assert source == LabelCsv(path=path)
    assert read_annotations(source, INDEX, FASHION_STYLES).valid.num_rows == 1
    export = LabelStudioExport(path=written(tmp_path / "export.json", []))
    assert read_annotations(export, INDEX, FASHION_STYLES).valid.num_rows == 0
    assert adapter.validate_python({"kind": "label_studio", "project": "Fashion"}) == LabelStudioServer(
        project="Fashion"
    )
    with pytest.raises(ValidationError, match="label_studio_export"):
        adapter.validate_python({"kind": "excel", "path": "a.xls"})
    with pytest.raises(ValidationError, match="pth"):
        adapter.validate_python({"kind": "csv", "path": "a.csv", "pth": "b"})
