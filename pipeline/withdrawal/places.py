"""Everything beside the tables that may hold a withdrawn picture or its ids: bytes, caches, logs, files, databases."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from crawlers.known import forget_addresses
from labeling.studio.withdrawn import forget_in_mirror
from pipeline.instance import home_of
from pipeline.storage import Storage, write_file
from pipeline.studio import MIRROR_KEY
from pipeline.withdrawal.databases import is_sqlite, scrub_sqlite
from pipeline.withdrawal.editing import last_part
from pipeline.withdrawal.kept import leftovers
from pipeline.withdrawal.plan import KEY as PLAN_KEY
from pipeline.withdrawal.plan import Plan, remove
from pipeline.withdrawal.texts import Scrubber

TASKS_KEY = "label_studio/tasks.json"
REPORTS = "reports"
CACHES = ("cache", "near_duplicates", "models", "champions")  # in the scratch folder; made again when they are needed
_NOT_TEXT = ("images", "tables", "served")  # folders of the data location that are dealt with by themselves
_MOST_TEXT = 64_000_000  # bytes; no file of text that is kept is larger


def remove_pictures(storage: Storage, plan: Plan) -> int:
    """Remove the original bytes, also from the copy of a remote location; return how many files that were."""
    removed = 0
    for image_id in sorted(plan.images):
        key = storage.image_key(image_id)
        if storage.exists(key):
            remove(storage, key)
            removed += 1
        if not storage.is_local:
            (storage.scratch / key).unlink(missing_ok=True)
    folders = [Path(storage.path("images")) if storage.is_local else storage.scratch / "images"]
    for folder in folders:
        for incoming in folder.glob(".incoming-*"):  # of a crawl that was killed: nobody crawls now
            shutil.rmtree(incoming, ignore_errors=True)
    return removed


def remove_leftovers(storage: Storage) -> None:
    """Remove files that killed processes had begun to write: what is in them cannot be told from their names."""
    for key in leftovers(storage):
        remove(storage, key)


def remove_caches(storage: Storage) -> None:
    """Remove what was computed from pictures and can be computed again: its files do not tell which pictures."""
    for name in CACHES:
        shutil.rmtree(storage.scratch / name, ignore_errors=True)


def clean_crawl_state(storage: Storage, plan: Plan) -> None:
    """Forget the addresses of withdrawn pictures, and crawls that were killed; nobody crawls meanwhile."""
    folder = storage.cache_folder("crawl")
    for journal in (folder / "journals").glob("*.sqlite*"):
        journal.unlink(missing_ok=True)
    forget_addresses(folder, plan.images, plan.names, plan.authors)


def clean_mirror(storage: Storage, plan: Plan) -> None:
    """Forget tasks and answers about withdrawn pictures in the mirror of the Label Studio project."""
    if storage.exists(MIRROR_KEY):
        with storage.working_file(MIRROR_KEY) as path:
            plan.tasks |= {str(task) for task in forget_in_mirror(path, plan.images, {int(one) for one in plan.tasks})}


def clean_tasks_file(storage: Storage, plan: Plan) -> None:
    """Take withdrawn pictures out of the file that Label Studio imports."""
    if not storage.exists(TASKS_KEY):
        return
    tasks: list[dict[str, Any]] = json.loads(storage.read_bytes(TASKS_KEY))
    kept = [
        task for task in tasks if not {task["data"].get("image_id"), last_part(task["data"].get("image"))} & plan.images
    ]
    if len(kept) < len(tasks):
        storage.write_json(TASKS_KEY, kept)


def remove_reports(storage: Storage) -> None:
    """Remove reports: they hold pictures and lists of them. The next run writes them anew."""
    for key in storage.files(REPORTS):
        remove(storage, key)


def clean_texts(storage: Storage, scrubber: Scrubber) -> None:
    """Clean all other files of text in the data location: cards, notes, settings."""
    for name in storage.names(""):
        if name in _NOT_TEXT or Path(storage.path(name)) in (storage.scratch, history_folder(storage)):
            continue
        for key in keys_below(storage, name):
            if key == PLAN_KEY or PurePosixPath(key).suffix in (".parquet", ".safetensors"):
                continue
            content = storage.read_bytes(key)
            cleaned = _cleaned(content, scrubber, pictures=False)
            if cleaned != content:
                storage.write_bytes(key, cleaned)


def keys_below(storage: Storage, name: str) -> list[str]:
    """Return the keys of all files in a folder and below; of a file, its own."""
    return [name] if storage.filesystem.isfile(storage.path(name)) else storage.files(name)


def history_folder(storage: Storage) -> Path:
    """Return the folder of the Dagster instance of a data location, which may not be there."""
    return home_of(storage)


def clean_history(folder: Path, scrubber: Scrubber) -> None:
    """Clean Dagster's own files: runs, events, their pictures, and what steps wrote to their output."""
    for path in local_files(folder):
        if path.name.endswith(("-wal", "-shm", "-journal")):
            continue
        if is_sqlite(path):
            scrub_sqlite(path, lambda text: scrubber.cleaned(text, pictures=True))
        elif path.stat().st_size <= _MOST_TEXT:
            content = path.read_bytes()
            cleaned = _cleaned(content, scrubber, pictures=True)
            if cleaned != content:
                write_file(path, cleaned)


def clean_scratch(storage: Storage, scrubber: Scrubber, plan: Plan) -> None:
    """Remove temporary folders in which something of a withdrawn picture is left, and clean other files."""
    temporary = storage.scratch / "tmp"
    for folder in temporary.iterdir() if temporary.exists() else ():
        if any(_file_holds(path, scrubber, plan) for path in local_files(folder)):
            shutil.rmtree(folder, ignore_errors=True)
    known = {temporary, storage.scratch / "images", history_folder(storage)}
    for path in local_files(storage.scratch):
        if known.isdisjoint(path.parents) and not is_sqlite(path) and path.stat().st_size <= _MOST_TEXT:
            content = path.read_bytes()
            cleaned = _cleaned(content, scrubber, pictures=False)
            if cleaned != content:
                write_file(path, cleaned)


def _file_holds(path: Path, scrubber: Scrubber, plan: Plan) -> bool:
    """Say whether a file of a killed process holds something; one that cannot be read is taken to."""
    if path.suffix == ".parquet":
        try:
            table = pq.read_table(path, use_threads=False)
        except (OSError, pa.ArrowInvalid):
            return True
        return any(_column_holds(table.column(name), plan) for name in table.column_names)
    if path.name in plan.images:
        return True
    if is_sqlite(path):
        return True  # a copy that a killed process worked on
    content = path.read_bytes()
    try:
        return scrubber.hits(content.decode())
    except UnicodeDecodeError:
        return False


def _column_holds(column: pa.ChunkedArray, plan: Plan) -> bool:
    if pa.types.is_list(column.type):
        column = pa.chunked_array([chunk.flatten() for chunk in column.chunks], column.type.value_type)
    return pa.types.is_string(column.type) and not plan.ids().isdisjoint(column.to_pylist())


def _cleaned(content: bytes, scrubber: Scrubber, *, pictures: bool) -> bytes:
    """Clean a file of text; one that is none stays as it is."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return content
    return scrubber.cleaned(text, pictures=pictures).encode()


def local_files(folder: Path) -> Iterator[Path]:
    """Yield the files in a local folder and below, without following links; what vanishes meanwhile is passed over."""
    for root, _, names in os.walk(folder):
        for name in names:
            path = Path(root) / name
            if path.is_file() and not path.is_symlink():
                yield path
