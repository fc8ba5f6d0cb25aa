"""Finding a few among millions of names without an object of Python for each."""

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa

PIECE = 100_000  # names that are objects of Python at a time


class NameLookup:
    """Says in which rows of an array of strings a key stands, where a key is made of each string."""

    def __init__(self, names: pa.Array, key_of: Callable[[str], str] = str) -> None:
        """Look at all of ``names`` once; they are kept as they are, with a hash of each one's key."""
        self._names, self._key_of = names, key_of
        hashes = np.fromiter((hash(key_of(name)) for name in _pieces(names)), np.int64, len(names))
        self._rows = np.argsort(hashes, kind="stable")
        self._hashes = hashes[self._rows]

    def rows(self, key: str) -> list[int]:
        """Return the rows whose name has this key."""
        wanted = hash(key)
        first, last = (np.searchsorted(self._hashes, wanted, side) for side in ("left", "right"))
        return [int(row) for row in self._rows[first:last] if self._key_of(self._names[int(row)].as_py()) == key]


def _pieces(names: pa.Array) -> Iterator[str]:
    for start in range(0, len(names), PIECE):
        yield from names.slice(start, PIECE).to_pylist()
