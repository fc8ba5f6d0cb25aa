"""What a table holds, as a hash that does not depend on when, where or in which pieces it was written."""

import hashlib

import numpy as np
import numpy.typing as npt
import pyarrow as pa

# Columns that say when something was written, or how long it took. They are left out, so that a repeated run that
# found nothing new keeps its version, and nothing downstream of it is stale.
MOMENTS = frozenset(
    {
        "crawled_at",
        "fetched_at",
        "last_crawled_at",
        "noticed_at",
        "predicted_at",
        "queued_at",
        "returned_at",
        "seconds",
        "seen_at",
    }
)


class TableHash:
    """The hash of a table that comes in pieces; where it is cut makes no difference, the order of its rows does."""

    def __init__(self, schema: pa.Schema) -> None:
        """Start with no rows; the columns in ``MOMENTS`` do not count."""
        self._columns = {field.name: _Column(field.type) for field in schema if field.name not in MOMENTS}

    def update(self, rows: pa.Table | pa.RecordBatch) -> None:
        """Add rows."""
        for name, column in self._columns.items():
            values = rows.column(name)
            for chunk in values.chunks if isinstance(values, pa.ChunkedArray) else [values]:
                column.update(chunk)

    def hexdigest(self) -> str:
        """Return the hash of the rows so far, 32 hex digits."""
        digest = hashlib.sha256()
        for name, column in self._columns.items():
            digest.update(f"{name}:{column.kind};".encode() + column.digest())
        return digest.hexdigest()[:32]


class _Column:
    """Running hashes of one column: which values are there, how long each is, and the values one after the other.

    What Arrow keeps below a null, in padding or outside of a slice is no part of it.
    """

    def __init__(self, kind: pa.DataType) -> None:
        self.kind = kind
        self._items = _Column(kind.value_type) if pa.types.is_list(kind) else None
        self._there, self._lengths, self._values = (hashlib.sha256() for _ in range(3))

    def update(self, array: pa.Array) -> None:
        self._there.update(_bytes_of_flags(array.is_valid()))
        array = array.drop_null()
        if self._items is not None:
            self._lengths.update(array.value_lengths().to_numpy(zero_copy_only=False).astype("<i4"))
            self._items.update(array.flatten())
        elif pa.types.is_string(self.kind) or pa.types.is_binary(self.kind):
            _, offsets, values = array.buffers()
            ends = np.frombuffer(offsets, "<i4", len(array) + 1, 4 * array.offset) if len(array) else np.zeros(1, "<i4")
            self._lengths.update(np.diff(ends))
            self._values.update(memoryview(values)[ends[0] : ends[-1]] if values else b"")
        else:
            self._values.update(_bytes_of_values(array))

    def digest(self) -> bytes:
        parts = [part.digest() for part in (self._there, self._lengths, self._values)]
        return b"".join([*parts, self._items.digest() if self._items else b""])


def _bytes_of_flags(flags: pa.Array) -> npt.NDArray[np.uint8]:
    return flags.to_numpy(zero_copy_only=False).view(np.uint8)


def _bytes_of_values(array: pa.Array) -> memoryview | npt.NDArray[np.uint8]:
    """Return the values of an array of fixed width, without nulls, one after the other."""
    if pa.types.is_boolean(array.type):
        return _bytes_of_flags(array)
    width = array.type.bit_width // 8
    buffer = array.buffers()[1]
    return memoryview(buffer)[width * array.offset : width * (array.offset + len(array))] if buffer else memoryview(b"")
