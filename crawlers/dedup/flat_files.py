"""Arrays in files that only grow. How many rows of a file count is known elsewhere."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_SLAB = 65_536  # rows mapped at a time: what is in memory while rows are gathered


class FlatFile:
    """Rows of one dtype and shape, one after the other without a header.

    Args:
        path: the file; it need not exist as long as no rows count.
        dtype: of the values, with its byte order.
        shape: of a row.
    """

    def __init__(self, path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        self.path = path
        self._dtype, self._shape = dtype, shape
        self._row_bytes = dtype.itemsize * int(np.prod(shape, dtype=np.int64))

    def each(self, shape: tuple[int, ...]) -> "FlatFile":
        """See the file as rows of another shape."""
        return FlatFile(self.path, self._dtype, shape)

    def holds(self, count: int) -> bool:
        """Say whether the file is long enough for this many rows."""
        return count == 0 or (self.path.exists() and self.path.stat().st_size >= count * self._row_bytes)

    def append(self, count: int, rows: npt.NDArray[Any]) -> None:
        """Write rows behind the first ``count`` ones; what was there is cut off."""
        with self.path.open("r+b" if self.path.exists() else "xb") as file:
            file.truncate(count * self._row_bytes)
            file.seek(count * self._row_bytes)
            file.write(np.ascontiguousarray(rows, self._dtype).data.cast("B") if len(rows) else b"")

    def sync(self) -> None:
        """Wait until everything written is on the disk."""
        with self.path.open("rb") as file:
            os.fsync(file.fileno())

    def read(self, start: int, end: int) -> npt.NDArray[Any]:
        """Read rows ``start`` to ``end`` (exclusive)."""
        if start >= end:
            return np.empty((0, *self._shape), self._dtype)
        values = (end - start) * self._row_bytes // self._dtype.itemsize
        return np.fromfile(self.path, self._dtype, values, offset=start * self._row_bytes).reshape(-1, *self._shape)

    def parts(self, count: int, step: int) -> Iterator[npt.NDArray[Any]]:
        """Read the first ``count`` rows, ``step`` at a time."""
        for start in range(0, count, step):
            yield self.read(start, min(count, start + step))

    def gather(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Read these rows, in this order; the file is mapped in parts, so that memory is bounded beside the result."""
        found = np.empty((len(rows), *self._shape), self._dtype)
        if not len(rows):
            return found
        order = np.argsort(rows, kind="stable")
        ordered = rows[order]
        slabs = np.unique(ordered // _SLAB)
        ends = np.searchsorted(ordered, (slabs + 1) * _SLAB)
        total = self.path.stat().st_size // self._row_bytes
        for slab, begin, end in zip(slabs.tolist(), [0, *ends[:-1].tolist()], ends.tolist(), strict=True):
            first = slab * _SLAB
            shape = (min(_SLAB, total - first), *self._shape)
            mapped = np.memmap(self.path, self._dtype, "r", first * self._row_bytes, shape)
            found[order[begin:end]] = mapped[ordered[begin:end] - first]
        return found
