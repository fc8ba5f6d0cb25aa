"""Every column says what it holds; tables are cut accordingly."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from pipeline.tables import TABLES, Table
from pipeline.withdrawal.columns import Holds, UnclassifiedColumnError, columns_holding, holds
from pipeline.withdrawal.editing import Editor
from pipeline.withdrawal.plan import Plan

GONE, KEPT, OTHER = "a" * 64, "b" * 64, "c" * 64
PLAN = Plan(images={GONE}, posts={"mastodon:1"}, authors={"d" * 64}, tasks={"7"}, names={"https://x.example/1.jpg"})
EDITOR = Editor(PLAN, b"k" * 32)


def value_of(field: pa.Field) -> object:
    """Some value that names nothing withdrawn."""
    kind = field.type
    if pa.types.is_list(kind):
        return []
    if pa.types.is_string(kind):
        return "x"
    if pa.types.is_boolean(kind):
        return False
    if pa.types.is_timestamp(kind):
        return datetime(2019, 7, 1, tzinfo=UTC)
    if pa.types.is_fixed_size_binary(kind):
        return b"\0" * kind.byte_width
    return 0


def table_of(name: str, *rows: dict[str, object]) -> pa.Table:
    schema = TABLES[name].schema
    plain = {field.name: value_of(field) for field in schema}
    return pa.Table.from_pylist([plain | row for row in rows], schema=schema)


def test_every_column_of_every_table_is_classified() -> None:
    for table in TABLES.values():
        for column in table.schema.names:
            holds(table.name, column)


def test_a_new_column_of_text_is_an_error_until_somebody_says_what_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    schema = pa.schema([pa.field("image_id", pa.string()), pa.field("seen_beside", pa.string())])
    monkeypatch.setitem(TABLES, "novelty", Table("novelty", schema, "a novelty"))
    assert columns_holding("labels", Holds.IMAGE) == ["image_id"]
    with pytest.raises(UnclassifiedColumnError, match=r"table novelty.*seen_beside"):
        columns_holding("novelty", Holds.IMAGE)


NAMING = [
    (table.name, column, holds(table.name, column))
    for table in TABLES.values()
    for column in table.schema.names
    if holds(table.name, column) not in (Holds.NOTHING, Holds.ROW, Holds.NAMES, Holds.IMAGES, Holds.GROUP, Holds.TASK)
]
VALUES = {
    Holds.IMAGE: GONE,
    Holds.POST: "mastodon:1",
    Holds.AUTHOR: "d" * 64,
    Holds.PATH: f"images/aa/{GONE}",
    Holds.ADDRESS: "https://x.example/1.jpg",
    Holds.NAME: f"images/aa/{GONE}",
    Holds.TEXT: f"like {GONE}, see https://x.example/1.jpg",
}


@pytest.mark.parametrize(("name", "column", "kind"), NAMING)
def test_a_row_goes_with_whatever_column_names_it(name: str, column: str, kind: Holds) -> None:
    value: object = VALUES.get(kind)
    table = table_of(name, {}, {column: value}, {})
    edited = EDITOR.edited(name, table)
    if name == "images" and column == "image_id":
        assert edited.num_rows == 3  # the post stays, see below
    else:
        assert edited.num_rows == 2
    assert value not in edited.column(column).to_pylist()
    assert EDITOR.changed_rows(name, table) == 1


@pytest.mark.parametrize("name", ["annotation_versions", "returned_tasks", "quarantined_annotations"])
def test_a_task_counts_where_the_image_is_not_told(name: str) -> None:
    image = "image" if name == "quarantined_annotations" else "image_id"
    task = "7" if name == "quarantined_annotations" else 7
    rows = [{"task_id": task, image: None}, {"task_id": task, image: KEPT}]
    left = EDITOR.edited(name, table_of(name, *rows)).to_pylist()
    assert [row[image] for row in left] == [KEPT], "the server gave the number to another picture"


def test_an_untouched_table_is_the_same_object() -> None:
    table = table_of("unique_images", {"image_id": KEPT})
    assert EDITOR.edited("unique_images", table) is table
    assert EDITOR.changed_rows("unique_images", table) == 0


def test_a_picture_of_a_post_that_stays_leaves_a_row_that_says_only_that() -> None:
    row = {"post_id": "mastodon:2", "image_id": GONE, "status": "ok", "url": "https://y.example/9.jpg", "width": 3}
    edited = EDITOR.edited("images", table_of("images", row | {"alt_text": "me", "media_index": 1})).to_pylist()
    (left,) = edited
    assert (left["post_id"], left["media_index"], left["status"], left["reason"]) == (
        "mastodon:2", 1, "failed", "withdrawn",
    )  # fmt: skip
    assert (left["image_id"], left["url"], left["alt_text"], left["width"]) == (None, "", None, None)


def test_a_cluster_loses_its_withdrawn_members_with_their_names() -> None:
    row = {
        "image_id": KEPT,
        "image_ids": [GONE, KEPT],
        "names": ["https://x.example/1.jpg", "2.jpg"],
        "name_image_ids": [GONE, KEPT],
    }
    table = pa.concat_tables([table_of("label_tasks", {"image_ids": [KEPT]}, {}), table_of("label_tasks", row)])
    *others, left = EDITOR.edited("label_tasks", table).to_pylist()
    assert others == table.slice(0, 2).to_pylist()
    assert EDITOR.changed_rows("label_tasks", table) == 1
    assert (left["image_ids"], left["names"], left["name_image_ids"]) == ([KEPT], ["2.jpg"], [KEPT])


def test_a_group_keeps_its_images_under_another_name_the_same_everywhere() -> None:
    data_set = table_of("data_set", {"image_id": KEPT, "file_id": KEPT, "group_id": GONE}, {"group_id": OTHER})
    scores = table_of("scores", {"image_id": KEPT, "group_id": GONE})
    one = EDITOR.edited("data_set", data_set).column("group_id").to_pylist()
    other = EDITOR.edited("scores", scores).column("group_id").to_pylist()
    assert one == [other[0], OTHER]
    assert EDITOR.changed_rows("data_set", data_set) == 1
    assert other[0] != GONE


def test_the_same_path_in_another_archive_is_another_picture() -> None:
    editor = Editor(Plan(images={GONE}, names={"001.jpg"}), b"k" * 32)
    table = table_of("images", {"post_id": "archive:two:001.jpg", "image_id": KEPT, "url": "001.jpg"})
    assert editor.edited("images", table) is table
