"""Files that appear whole or not at all."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Give the name of a temporary file beside ``path``; when the block ends well it takes the place of ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:16]}-", suffix=".part", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically: a reader, or a crash, sees the old content or the new one."""
    with _replacing(path) as temporary:
        temporary.write_bytes(data)


def write_table(path: Path, table: pa.Table, schema: pa.Schema) -> None:
    """Write a Parquet file atomically.

    Raises:
        ValueError: if the table has another schema or a null where the schema allows none.
    """
    if not table.schema.equals(schema):
        raise ValueError(f"{path.name}: the table's schema is not the expected one: {table.schema}")
    for field in schema:
        if not field.nullable and table.column(field.name).null_count:
            raise ValueError(f"{path.name}: column {field.name} has empty values and must not")
    with _replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


class ImageStore:
    """Original image bytes under the sha256 of their content: ``ab/abcdef...``, 64 hex digits, no extension."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, image_id: str) -> Path:
        """Say where the bytes with this sha256 lie, or would."""
        return self._folder / image_id[:2] / image_id

    def put(self, data: bytes) -> str:
        """Keep bytes and return their sha256; bytes that are there already are not written again."""
        image_id = hashlib.sha256(data).hexdigest()
        path = self.path(image_id)
        if not path.exists():
            write_bytes(path, data)
        return image_id
