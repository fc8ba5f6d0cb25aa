"""The version of a table follows from its rows alone."""

from datetime import UTC, datetime

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.metadata import TableInPieces, data_version, table_metadata
from pipeline.table_hash import TableHash
from pipeline.tables import TABLES

SCHEMA = pa.schema(
    [
        pa.field("text", pa.string()),
        pa.field("number", pa.int64()),
        pa.field("share", pa.float64()),
        pa.field("kept", pa.bool_()),
        pa.field("when", pa.timestamp("us", tz="UTC")),
        pa.field("bits", pa.binary(2)),
        pa.field("raw", pa.binary()),
        pa.field("tags", pa.list_(pa.string())),
        pa.field("vector", pa.list_(pa.float32())),
    ]
)
MAYBE_TEXT = st.none() | st.text(max_size=3)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "text": MAYBE_TEXT,
            "number": st.none() | st.integers(-9, 9),
            "share": st.none() | st.floats(allow_nan=False),
            "kept": st.none() | st.booleans(),
            "when": st.none() | st.just(datetime(2019, 7, 1, tzinfo=UTC)),
            "bits": st.none() | st.binary(min_size=2, max_size=2),
            "raw": st.none() | st.binary(max_size=3),
            "tags": st.none() | st.lists(MAYBE_TEXT, max_size=3),
            "vector": st.none() | st.lists(st.sampled_from([0.0, 0.5, -1.0]), max_size=3),
        }
    ),
    max_size=8,
)


def table(rows: list[dict[str, object]]) -> pa.Table:
    return pa.Table.from_pylist(rows, SCHEMA)


@given(ROWS, ROWS)
@settings(max_examples=200, deadline=None)
def test_two_tables_have_the_same_version_exactly_if_their_rows_are_the_same(
    one: list[dict[str, object]], other: list[dict[str, object]]
) -> None:
    assert (data_version(table(one)) == data_version(table(other))) == (one == other)


@given(ROWS, st.integers(0, 8), st.integers(0, 8))
@settings(max_examples=100, deadline=None)
def test_where_a_table_is_cut_makes_no_difference(rows: list[dict[str, object]], first: int, second: int) -> None:
    whole = table(rows)
    first, second = sorted((min(first, len(rows)), min(second, len(rows))))
    pieces = [whole.slice(0, first), whole.slice(first, second - first), whole.slice(second)]
    assert data_version(pa.concat_tables(pieces)) == data_version(whole)
    content = TableHash(SCHEMA)
    for piece in pieces:
        for batch in piece.to_batches():
            content.update(batch)
    assert content.hexdigest() == data_version(whole).value


def test_what_lies_below_a_null_does_not_count() -> None:
    flags = pa.py_buffer(bytes([0b101]))
    arrays = [pa.Array.from_buffers(pa.int64(), 3, [flags, pa.array([1, hidden, 3]).buffers()[1]]) for hidden in (2, 7)]
    one, other = (pa.table({"number": array}) for array in arrays)
    assert one.to_pylist() == [{"number": 1}, {"number": None}, {"number": 3}]
    assert data_version(one) == data_version(other)


def test_the_moment_of_writing_does_not_count_and_the_post_s_own_time_does() -> None:
    def posts(crawled: datetime, created: datetime) -> pa.Table:
        row = {field.name: None for field in TABLES["posts"].schema}
        row |= {"crawled_at": crawled, "created_at": created}
        return pa.Table.from_pylist([row], pa.schema([field.with_nullable(True) for field in TABLES["posts"].schema]))

    first, later = datetime(2019, 7, 8, tzinfo=UTC), datetime(2019, 7, 9, tzinfo=UTC)
    assert data_version(posts(first, first)) == data_version(posts(later, first))
    assert data_version(posts(first, first)) != data_version(posts(first, later))


def test_a_table_that_passes_in_pieces_has_the_version_and_the_preview_of_the_whole() -> None:
    rows = [
        {
            "label": f"Label {place}",
            "main_images": place,
            "main_share": 0.0,
            "sub_images": 0,
            "sub_share": 0.0,
            "rank": 1,
        }
        for place in range(20)
    ]
    whole = pa.Table.from_pylist(rows, schema=TABLES["label_frequencies"].schema)
    pieces = TableInPieces("label_frequencies")
    assert pa.Table.from_batches(pieces.passing(whole.to_batches(max_chunksize=3))).equals(whole)
    assert pieces.version() == data_version(whole)
    assert pieces.metadata(note="more") == table_metadata(whole, note="more")


def test_no_pieces_are_an_empty_table() -> None:
    pieces = TableInPieces("label_frequencies")
    assert list(pieces.passing([])) == []
    assert pieces.version() == data_version(TABLES["label_frequencies"].schema.empty_table())
