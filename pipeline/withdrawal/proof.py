"""Proof that nothing withdrawn is kept any more, from the tombstones alone: what they stand for is not known here."""

import hashlib
import json
import mmap
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc

from crawlers.withdrawals import Withdrawn
from pipeline.exported import Exported
from pipeline.settings import Settings
from pipeline.storage import Storage, write_file
from pipeline.studio import open_studio
from pipeline.withdrawal import tombstones
from pipeline.withdrawal.columns import Holds, columns_holding, holds
from pipeline.withdrawal.editing import last_part
from pipeline.withdrawal.finding import distinct, ids_in, stored_images
from pipeline.withdrawal.kept import KeptTable, kept_tables
from pipeline.withdrawal.places import history_folder, keys_below, local_files
from pipeline.withdrawal.plan import KEY as PLAN_KEY

_ID = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_POST = re.compile(rb"\b(?:mastodon|bluesky|flickr|misskey|archive):[^\s\"'<>|\\(),\[\]{}`\x00-\x20]{1,400}")
_RAW_IDS = "ids.bin"  # of the index of near-duplicates: 32 bytes an image
_NOT_READ = (".safetensors", ".raw", ".onnx", ".lock")  # numbers, and files without content
_DIGEST = 32  # bytes
_IDS = (Holds.IMAGE, Holds.IMAGES, Holds.GROUP, Holds.POST, Holds.AUTHOR)
_LOOKED_AT = (*_IDS, Holds.PATH, Holds.NAME, Holds.TEXT)


def what_is_left(settings: Settings, storage: Storage) -> list[str]:
    """Return the places in which something withdrawn is still kept; none is what everybody wants.

    All tables, the names of all stored pictures, every other file of the data location byte by byte (also the freed
    pages of databases), and the tasks of a live Label Studio. Files that were clean are not read again until they, or
    the withdrawals, change.
    """
    withdrawn = tombstones.withdrawn(settings, storage)
    if not withdrawn:
        return []
    memory = _Memory(storage, tombstones.read(storage))
    left = [
        table.title
        for table in kept_tables(storage)
        if memory.is_new(table.key) and not memory.settle(table.key, not _in_table(storage, table, withdrawn))
    ]
    if images := withdrawn.among("image", stored_images(storage)):
        left.append(f"images ({len(images)} files)")
    for key, path in _other_files(storage):
        if memory.is_new(key) and not memory.settle(key, not _in_file(path, withdrawn)):
            left.append(key)
    left += _in_label_studio(settings, storage, withdrawn)
    memory.write()
    return left


class _Memory:
    """Which version of which file was found clean, under which withdrawals."""

    def __init__(self, storage: Storage, table: pa.Table) -> None:
        self._storage = storage
        self._path = storage.cache_folder("withdrawal") / "checked.json"
        ids = "".join(sorted(table.column("tombstone_id").to_pylist()))
        self._withdrawals = hashlib.sha256(ids.encode()).hexdigest()
        self._known: dict[str, str] = {}
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):  # a cache: what is not there is looked at again
            content = {}
        if content.get("withdrawals") == self._withdrawals:
            self._known = content["files"]
        self._clean: dict[str, str] = {}
        self._versions: dict[str, str] = {}

    def is_new(self, key: str) -> bool:
        """Say whether a file has to be looked at."""
        version = self._versions[key] = self._version(key)
        if self._known.get(key) == version:
            self._clean[key] = version
            return False
        return True

    def settle(self, key: str, clean: bool) -> bool:
        """Note whether a file was clean, and return that."""
        if clean:
            self._clean[key] = self._versions[key]
        return clean

    def write(self) -> None:
        content = json.dumps({"withdrawals": self._withdrawals, "files": self._clean}, indent=0)
        write_file(self._path, content.encode())

    def _version(self, key: str) -> str:
        path = Path(key)
        if path.is_absolute():
            state = path.stat()
            return f"{state.st_size} {state.st_mtime_ns} {state.st_ino}"
        info = self._storage.filesystem.info(self._storage.path(key))
        names = ("size", "ETag", "etag", "mtime", "ino", "LastModified", "VersionId")
        return " ".join(str(info[name]) for name in names if info.get(name) is not None)


def _in_table(storage: Storage, table: KeptTable, withdrawn: Withdrawn) -> bool:
    rows = table.read(storage, columns_holding(table.name, *_LOOKED_AT))
    if any(withdrawn.among(kind, ids) for kind, ids in ids_in(table.name, rows)):
        return True
    return any(_in_column(rows.column(name), holds(table.name, name), withdrawn) for name in rows.column_names)


def _in_column(column: pa.ChunkedArray, kind: Holds, withdrawn: Withdrawn) -> bool:
    """Say whether names or texts in a column are of something withdrawn."""
    if kind in (Holds.PATH, Holds.NAME):
        return bool(withdrawn.among("image", map(last_part, distinct(column))))
    return kind is Holds.TEXT and _in_texts(pc.unique(column).to_pylist(), withdrawn)


def _in_texts(texts: Iterable[str | None], withdrawn: Withdrawn) -> bool:
    return any(_in_bytes(text.encode(), withdrawn) for text in texts if text)


def _in_bytes(content: bytes | mmap.mmap, withdrawn: Withdrawn) -> bool:
    ids = {found[0].decode() for found in _ID.finditer(content)}
    if withdrawn.among("image", ids) or withdrawn.among("author", ids):
        return True
    posts = {found[0].decode("utf-8", "replace") for found in _POST.finditer(content)}
    return bool(withdrawn.among("post", posts | {post.rstrip(".:;!?…") for post in posts}))


def _in_file(path: Path, withdrawn: Withdrawn) -> bool:
    if path.stat().st_size == 0:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if path.name == _RAW_IDS:
            whole = range(0, len(content) - _DIGEST + 1, _DIGEST)
            return bool(withdrawn.among("image", (content[start : start + _DIGEST].hex() for start in whole)))
        return _in_bytes(content, withdrawn)


def _other_files(storage: Storage) -> Iterator[tuple[str, Path]]:
    """Yield all files that are neither tables nor pictures, with a name for people; remote ones are fetched."""
    local = [storage.scratch, history_folder(storage)] if not storage.is_local else [Path(storage.path(""))]
    pictures = {Path(storage.path("images")) if storage.is_local else storage.scratch / "images"}
    for folder in local:
        for path in local_files(folder):
            if pictures.isdisjoint(path.parents) and _is_read(PurePosixPath(path)) and not str(path).endswith(PLAN_KEY):
                yield str(path), path
    if not storage.is_local:
        with storage.temporary_folder() as folder:
            for name in set(storage.names("")) - {"images", "tables"}:
                for key in keys_below(storage, name):
                    if _is_read(PurePosixPath(key)) and key != PLAN_KEY:
                        copy = folder / "file"
                        copy.write_bytes(storage.read_bytes(key))
                        yield key, copy


def _is_read(path: PurePosixPath) -> bool:
    return path.suffix != ".parquet" and path.suffix not in _NOT_READ


def _in_label_studio(settings: Settings, storage: Storage, withdrawn: Withdrawn) -> list[str]:
    if settings.label_studio is None or Exported.read(storage) is None:
        return []
    from labeling.studio.task_list import listed_tasks

    with open_studio(settings, storage) as studio:
        listed = list(listed_tasks(studio.connection, studio.project.project_id))
        shown = (name for task in listed for name in (task.image_id, last_part(task.data.get("image"))))
        tasks = withdrawn.among("image", shown)
    return [f"Label Studio ({len(tasks)} pictures)"] if tasks else []
