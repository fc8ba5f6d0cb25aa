"""Where tables, images and models live: a local folder, or any fsspec URL.

tables/<table>.parquet                         a table without partitions
tables/<table>/<partition>[/<partition>].parquet
images/<first two digits>/<sha256>             original bytes
models/<label set>/<architecture>/             weights and card
reports/report.html
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from pipeline.tables import TABLES, TableError, conform


class Storage:
    """Reads and writes everything that the graph keeps.

    Every write is atomic: a reader meets the old version or the new one. Tables are checked against their schema on
    write and on read.
    """

    def __init__(self, location: str, scratch: Path | None = None) -> None:
        """``location`` is a folder or an fsspec URL; ``scratch`` holds copies of remote images and temporary files."""
        self.location = location
        try:
            self.filesystem, self._root = fsspec.url_to_fs(location)
        except ImportError as error:  # fsspec knows the kind of address, and needs another package for it
            raise TableError(f"data.location {location} needs a package: {_package_for(location)}") from error
        except ValueError as error:
            raise TableError(f"data.location {location}: {error}; give a folder, or an address as s3://…") from error
        self.is_local = isinstance(self.filesystem, LocalFileSystem)
        if scratch is None:
            own = hashlib.sha256(location.rstrip("/").encode()).hexdigest()[:16]  # of this location, and no other
            scratch = Path(self._root) / "scratch" if self.is_local else own_caches() / own
        self.scratch = scratch

    def require_access(self) -> None:
        """Look whether a remote location can be written.

        Raises:
            TableError: it can't: no such bucket, no permission, no answer; in one line.
        """
        if self.is_local:
            return
        try:
            self.write_bytes("scratch/access", b"")
            self.filesystem.rm_file(self._path("scratch/access"))
        except Exception as error:  # each kind of location has errors of its own
            problem = " ".join(str(error).split())
            raise TableError(
                f"data.location {self.location} cannot be written ({problem}): set data.location, and address and "
                "credentials of its server in the environment"
            ) from error

    # tables

    def table_key(self, name: str, partition: Sequence[str] = ()) -> str:
        """Return the path of a table's file inside the location."""
        if name not in TABLES:
            raise KeyError(f"no table is called {name}")
        parts = [name, *partition]
        if any(part in {"", ".", ".."} or "/" in part or "\\" in part for part in parts):
            raise TableError(f"table {name}: {'|'.join(partition)!r} cannot be the name of a partition")
        return str(PurePosixPath("tables", *parts)) + ".parquet"

    def write_table(self, name: str, table: pa.Table, partition: Sequence[str] = ()) -> pa.Table:
        """Check ``table`` against the schema of ``name`` and write it; return it as written.

        Raises:
            TableError: the table is not what the schema says. Nothing is written then.
        """
        table = conform(name, table)
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        self.write_bytes(self.table_key(name, partition), sink.getvalue().to_pybytes())
        return table

    def write_batches(self, name: str, batches: Iterable[pa.RecordBatch], partition: Sequence[str] = ()) -> int:
        """Write a table batch by batch, so that it need not fit into memory; return the number of rows.

        Raises:
            TableError: a batch is not what the schema says. Nothing is written then.
        """
        rows = 0
        with self.temporary_folder() as folder:
            path = folder / "table.parquet"
            with pq.ParquetWriter(path, TABLES[name].schema, compression="zstd") as writer:
                for batch in batches:
                    writer.write_table(conform(name, pa.Table.from_batches([batch])))
                    rows += batch.num_rows
            self._move_in(path, self.table_key(name, partition))
        return rows

    def has_table(self, name: str, partition: Sequence[str] = ()) -> bool:
        """Say whether the table, or this partition of it, was ever written."""
        return bool(self.filesystem.exists(self._path(self.table_key(name, partition))))

    def partitions_of(self, name: str) -> set[tuple[str, ...]]:
        """Return the partitions of a table that were written, in one look; of one without partitions, ``()``."""
        start = self._path(f"tables/{name}")
        found = {()} if self.has_table(name) else set()
        for path in self.filesystem.find(start) if self.filesystem.exists(start) else []:
            inside = str(path)[str(path).index(f"tables/{name}/") + len(f"tables/{name}/") :]
            if inside.endswith(".parquet") and not inside.rpartition("/")[2].startswith("."):
                found.add(tuple(inside.removesuffix(".parquet").split("/")))
        return found

    def written_at(self, name: str, partition: Sequence[str] = ()) -> datetime:
        """Return when a table was written last, by the clock of where it lives."""
        written: datetime = self.filesystem.modified(self._path(self.table_key(name, partition)))
        return written.astimezone(UTC)

    def read_table(self, name: str, partition: Sequence[str] = (), columns: Sequence[str] | None = None) -> pa.Table:
        """Read a table, or some of its columns.

        Raises:
            TableError: it was not materialized yet, or is not what its schema says.
        """
        with self._parquet(name, partition) as parquet:
            table = parquet.read(columns=list(columns) if columns else None, use_threads=False)
        if columns is not None:
            return table
        try:
            return conform(name, table)
        except TableError as error:
            key = self.table_key(name, partition)
            raise TableError(
                f"{error}; {key} was written by another version: materialize it again, or run `stylegraph run`"
            ) from error

    def read_batches(
        self, name: str, partition: Sequence[str] = (), columns: Sequence[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Read a table that need not fit into memory, some thousand rows at a time.

        Raises:
            TableError: as ``read_table`` does; columns are not compared with the schema.
        """
        with self._parquet(name, partition) as parquet:
            yield from parquet.iter_batches(columns=list(columns) if columns else None, use_threads=False)

    @contextlib.contextmanager
    def _parquet(self, name: str, partition: Sequence[str]) -> Iterator[pq.ParquetFile]:
        key = self.table_key(name, partition)
        try:
            # without pyarrow's threads: a process that ends soon after may die in their destructors
            with (
                self.filesystem.open(self._path(key), "rb") as file,
                pq.ParquetFile(file, pre_buffer=False) as parquet,
            ):
                yield parquet
        except FileNotFoundError as error:
            where = f" for {' | '.join(partition)}" if partition else ""
            raise TableError(f"table {name} does not exist yet{where}: materialize the asset that makes it") from error
        except pa.ArrowInvalid as error:
            raise TableError(f"{key} is damaged ({str(error).splitlines()[0]}): materialize it again") from error

    def read_windows(self, name: str, windows: Sequence[str], columns: Sequence[str] | None = None) -> pa.Table:
        """Read a table over all of ``windows`` that were materialized, in their order."""
        tables = [self.read_table(name, (window,), columns) for window in windows if self.has_table(name, (window,))]
        if tables:
            return pa.concat_tables(tables)
        schema = TABLES[name].schema
        empty: pa.Table = schema.empty_table()
        return empty.select(list(columns)) if columns else empty

    # files

    def write_bytes(self, key: str, content: bytes) -> None:
        """Write a file atomically."""
        path = self._path(key)
        if not self.is_local:
            self.filesystem.pipe_file(path, content)  # an object store replaces an object as a whole
            return
        write_file(Path(path), content)

    @contextlib.contextmanager
    def writing(self, key: str) -> Iterator[BinaryIO]:
        """Give a file to write to piece by piece; it has its name when the block has ended well."""
        with self.temporary_folder() as folder:
            path = folder / "content"
            with path.open("wb") as file:
                yield file
            self._move_in(path, key)

    def _move_in(self, path: Path, key: str) -> None:
        """Give a finished local file its place in the location, in one step."""
        if not self.is_local:
            self.filesystem.put_file(str(path), self._path(key))
            return
        with path.open("rb") as file:
            os.fsync(file.fileno())
        target = Path(self._path(key))
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)  # the scratch folder is a part of the location

    def write_json(self, key: str, content: Any) -> None:
        """Write a JSON file atomically."""
        self.write_bytes(key, (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode())

    def read_bytes(self, key: str) -> bytes:
        """Return a file's content.

        Raises:
            FileNotFoundError: there is none.
        """
        content: bytes = self.filesystem.cat_file(self._path(key))
        return content

    def exists(self, key: str) -> bool:
        """Say whether a file or folder is there."""
        return bool(self.filesystem.exists(self._path(key)))

    def names(self, key: str) -> list[str]:
        """Return the names of files and folders in a folder, sorted; of none where there is no such folder."""
        path = self._path(key)
        self.filesystem.invalidate_cache(path)  # what another process put there is wanted, too
        try:
            entries = self.filesystem.ls(path, detail=False)
        except FileNotFoundError:
            return []
        return sorted({PurePosixPath(str(entry)).name for entry in entries} - {PurePosixPath(path).name})

    def files(self, key: str) -> list[str]:
        """Return the keys of all files in a folder and the folders below it, sorted."""
        path = self._path(key)
        self.filesystem.invalidate_cache(path)
        return sorted(f"{key}/{PurePosixPath(file).relative_to(path)}" for file in self.filesystem.find(path))

    def path(self, key: str) -> str:
        """Return the full path or URL of a key, for people to open."""
        return self._path(key) if self.is_local else f"{self.location.rstrip('/')}/{key}"

    @contextlib.contextmanager
    def working_file(self, key: str) -> Iterator[Path]:
        """Give a local file that a library changes in place; where the location is remote, it is fetched and put back.

        It is put back also when the block fails: what was written until then is kept. A process that is killed leaves
        nothing that the next one could take for its own.

        Raises:
            TableError: another process of this machine is at work on the remote file.
        """
        if self.is_local:
            path = Path(self._path(key))
            path.parent.mkdir(parents=True, exist_ok=True)
            yield path
            return
        with self._locked(key), self.temporary_folder() as folder:
            path = folder / PurePosixPath(key).name
            if self.exists(key):
                write_file(path, self.read_bytes(key))
            try:
                yield path
            finally:
                if path.exists():
                    self.write_bytes(key, path.read_bytes())

    @contextlib.contextmanager
    def _locked(self, key: str) -> Iterator[None]:
        """Keep other processes of this machine from a file; a killed process gives the lock back."""
        digest = hashlib.sha256(self._path(key).encode()).hexdigest()
        lock = self.cache_folder("locks") / digest
        with lock.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise TableError(f"another run is at work on {self.path(key)}; wait until it is done") from error
            yield

    # images

    @staticmethod
    def image_key(image_id: str) -> str:
        """Return the key of an image's original bytes."""
        return f"images/{image_id[:2]}/{image_id}"

    def image_or_none(self, image_id: str) -> bytes | None:
        """Return an image's original bytes; None where it is not stored."""
        key = self.image_key(image_id)
        return self.read_bytes(key) if self.exists(key) else None

    def image_path(self, image_id: str) -> Path:
        """Return a local path of an image's original bytes, fetched first where the location is remote."""
        key = self.image_key(image_id)
        if self.is_local:
            return Path(self._path(key))
        path = self.scratch / key
        if not path.exists():
            write_file(path, self.read_bytes(key))
        return path

    @contextlib.contextmanager
    def images_folder(self) -> Iterator[Path]:
        """Give a local folder to store images in; where the location is remote, what is new is uploaded afterwards."""
        if self.is_local:
            folder = Path(self._path("images"))
            folder.mkdir(parents=True, exist_ok=True)
            yield folder
            return
        folder = self.scratch / "images"
        folder.mkdir(parents=True, exist_ok=True)
        before = {path.name for path in folder.glob("??/*")}
        try:
            yield folder
        finally:
            for path in sorted(folder.glob("??/*")):
                if path.name not in before and len(path.name) == 64:
                    self.write_bytes(self.image_key(path.name), path.read_bytes())

    # models

    @contextlib.contextmanager
    def model_folder(self, label_set: str, architecture: str) -> Iterator[Path]:
        """Give an empty folder for a model's files; it takes the place of the old one when the block ends well."""
        with self.temporary_folder() as folder:
            yield folder
            prefix = f"models/{label_set}/{architecture}"
            version = uuid.uuid4().hex
            for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                self.write_bytes(f"{prefix}/{version}/{path.relative_to(folder).as_posix()}", path.read_bytes())
            old = self._current_version(prefix)
            self.write_bytes(f"{prefix}/current", version.encode())
            if old is not None:
                self.filesystem.rm(self._path(f"{prefix}/{old}"), recursive=True)

    def model_path(self, label_set: str, architecture: str) -> Path:
        """Return a local folder with the model's files.

        Raises:
            TableError: no such model was trained yet.
        """
        key = self._model_key(label_set, architecture)
        if self.is_local:
            return Path(self._path(key))
        folder = self.scratch / key
        if not folder.exists():
            self._fetch_folder(key, folder)
        return folder

    def model_location(self, label_set: str, architecture: str) -> str:
        """Return the full path or URL of a model's files, for people to open; nothing is fetched.

        Raises:
            TableError: no such model was trained yet.
        """
        return self.path(self._model_key(label_set, architecture))

    def read_model_file(self, label_set: str, architecture: str, name: str) -> bytes:
        """Return one file of a model; of a remote one nothing else is fetched.

        Raises:
            TableError: no such model was trained yet.
            FileNotFoundError: the model has no such file.
        """
        return self.read_bytes(f"{self._model_key(label_set, architecture)}/{name}")

    def has_model_file(self, label_set: str, architecture: str, name: str) -> bool:
        """Say whether a model was trained and has this file; nothing is fetched."""
        prefix = f"models/{label_set}/{architecture}"
        version = self._current_version(prefix)
        return version is not None and self.exists(f"{prefix}/{version}/{name}")

    def write_model_files(self, label_set: str, architecture: str, names: Sequence[str]) -> None:
        """Store files of a model again that were changed in the folder which ``model_path`` gives."""
        if self.is_local:
            return  # that folder is where they are stored
        key, folder = self._model_key(label_set, architecture), self.model_path(label_set, architecture)
        for name in names:
            self.write_bytes(f"{key}/{name}", (folder / name).read_bytes())

    def _model_key(self, label_set: str, architecture: str) -> str:
        prefix = f"models/{label_set}/{architecture}"
        version = self._current_version(prefix)
        if version is None:
            raise TableError(
                f"no model {architecture} for {label_set} yet: run `stylegraph run`, or materialize `model`"
            )
        return f"{prefix}/{version}"

    def _fetch_folder(self, key: str, folder: Path) -> None:
        """Fetch a remote folder that never changes; it has its name only when all of it is there."""
        with self.temporary_folder() as temporary:
            fetched = temporary / folder.name
            self.filesystem.get(self._path(key), str(fetched), recursive=True)
            folder.parent.mkdir(parents=True, exist_ok=True)
            try:
                fetched.rename(folder)
            except OSError:
                if not folder.exists():  # else another process was faster
                    raise

    def _current_version(self, prefix: str) -> str | None:
        try:
            return self.read_bytes(f"{prefix}/current").decode().strip()
        except FileNotFoundError:
            return None

    # scratch

    @contextlib.contextmanager
    def temporary_folder(self) -> Iterator[Path]:
        """Give an empty local folder that is removed afterwards."""
        parent = self.scratch / "tmp"
        parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=parent))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def cache_folder(self, name: str) -> Path:
        """Return a local folder for what can be computed again."""
        folder = self.scratch / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _path(self, key: str) -> str:
        return f"{self._root.rstrip('/')}/{key}"


def own_caches() -> Path:
    """Return the folder of this user for what can be fetched or computed again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stylegraph"


def _package_for(location: str) -> str:
    protocol = location.partition("://")[0]
    if protocol in ("s3", "s3a"):
        return "pip install 'stylegraph[s3]'"
    return f"the one that fsspec opens {protocol}:// with"


def write_file(path: Path, content: bytes) -> None:
    """Write a local file so that a crash leaves the old content or the new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
