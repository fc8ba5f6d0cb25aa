"""The tables that are kept anywhere: those of the graph, and the ones archived beside each model and champion."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.champions import FOLDER as CHAMPIONS
from pipeline.storage import Storage
from pipeline.tables import TABLES, TableError
from pipeline.withdrawal.tombstones import TABLE as WITHDRAWALS

MODELS = "models"
_SUFFIX = ".parquet"


@dataclass(frozen=True)
class KeptTable:
    """A file that holds a table: which one, and for the graph's own tables which partition."""

    key: str
    name: str
    partition: tuple[str, ...] | None = None  # None: archived beside a model

    def read(self, storage: Storage, columns: Sequence[str] | None = None) -> pa.Table:
        """Read it, or some of its columns; columns that an earlier version of the table lacked are left out.

        Raises:
            TableError: it is damaged.
        """
        try:
            with pq.ParquetFile(io.BytesIO(storage.read_bytes(self.key)), pre_buffer=False) as file:
                names = file.schema_arrow.names
                wanted = None if columns is None else [name for name in columns if name in names]
                return file.read(columns=wanted, use_threads=False)
        except pa.ArrowInvalid as error:
            raise TableError(
                f"{self.key} is damaged ({str(error).splitlines()[0]}), so nobody can say whether it holds what was "
                "withdrawn: remove it"
            ) from error

    def write(self, storage: Storage, table: pa.Table) -> None:
        """Write it as a whole, with the columns that it had."""
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        storage.write_bytes(self.key, sink.getvalue().to_pybytes())

    @property
    def title(self) -> str:
        """Name and partition, or the key of what stands beside a model."""
        return self.key if self.partition is None else "/".join([self.name, *self.partition])


def kept_tables(storage: Storage) -> Iterator[KeptTable]:
    """Yield every table that is kept, but that of withdrawals itself.

    Raises:
        TableError: a file is of no known table, so that nobody can say what is in it.
    """
    for key in storage.files("tables"):
        path = PurePosixPath(key)
        if path.suffix != _SUFFIX or path.name.startswith("."):
            continue
        name, *partition = path.relative_to("tables").with_suffix("").parts
        if name != WITHDRAWALS:
            yield KeptTable(key, _known(key, name), tuple(partition))
    for folder in (MODELS, CHAMPIONS):
        for key in storage.files(folder):
            path = PurePosixPath(key)
            if path.suffix == _SUFFIX and not path.name.startswith("."):
                yield KeptTable(key, _known(key, path.stem))


def _known(key: str, name: str) -> str:
    if name not in TABLES:
        raise TableError(f"{key} is no table of this version, and may hold what was withdrawn: remove it")
    return name


def leftovers(storage: Storage) -> list[str]:
    """Return files beside tables, pictures and models that a killed process had begun to write."""
    folders = ("tables", "images", MODELS, CHAMPIONS, "label_studio", "reports", "withdrawal")
    return [key for folder in folders for key in storage.files(folder) if PurePosixPath(key).name.startswith(".")]
