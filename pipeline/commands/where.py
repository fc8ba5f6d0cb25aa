"""``stylegraph where``: everything that is kept about one post or picture."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console

from crawlers.withdrawals import Kind, keyed_hash
from pipeline.champions import FOLDER as CHAMPIONS
from pipeline.champions import champion_version
from pipeline.exported import Exported
from pipeline.settings import Settings
from pipeline.storage import Storage
from pipeline.withdrawal import tombstones
from pipeline.withdrawal.columns import Holds, columns_holding
from pipeline.withdrawal.kept import KeptTable, kept_tables

_IMAGE = re.compile(r"[0-9a-f]{64}")


def where(settings: Settings, name: str, console: Console) -> int:
    """Print where a picture or post is: windows, tables, cluster, Label Studio, data sets, models, caches.

    Args:
        settings: of the data location.
        name: an image id, a post id, an address of either, or a file.
        console: to print to.

    Returns:
        The exit code: 0 where something is kept or was withdrawn, 1 where nothing is known of it.
    """
    storage = Storage(settings.data.location)
    tables = list(kept_tables(storage))
    posts, images = _meant(storage, tables, name)
    withdrawn = list(_withdrawn(settings, storage, name, posts, images))
    lines = [line for image in sorted(images) for line in _image_lines(storage, tables, image)]
    lines += [line for post in sorted(posts) for line in _post_lines(storage, tables, post)]
    for line in [*withdrawn, *lines]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if not withdrawn and not lines:
        console.print(f"nothing is kept of {name}", markup=False, highlight=False, soft_wrap=True)
        return 1
    return 0


def _meant(storage: Storage, tables: list[KeptTable], name: str) -> tuple[set[str], set[str]]:
    """Return the posts and pictures that a name means."""
    if _IMAGE.fullmatch(name):
        return set(), {name}
    path = Path(name)
    if path.is_file():
        return set(), {hashlib.sha256(path.read_bytes()).hexdigest()}
    posts, images = set(), set()
    for table in tables:
        if table.name not in ("posts", "images"):
            continue
        rows = table.read(storage, ["post_id", "image_id", "url"])
        by_url = rows.filter(pc.equal(rows.column("url"), name))
        if table.name == "images":
            images |= set(by_url.column("image_id").drop_null().to_pylist())
        posts |= set(by_url.column("post_id").to_pylist())
        if pc.any(pc.equal(rows.column("post_id"), name)).as_py():
            posts.add(name)
    return posts, images


def _withdrawn(settings: Settings, storage: Storage, name: str, posts: set[str], images: set[str]) -> Iterator[str]:
    """Yield a line for each request that asked for this; a name that means nothing any more is looked up, too."""
    table = tombstones.read(storage)
    if not table.num_rows:
        return
    withdrawn = tombstones.withdrawn(settings, storage)
    candidates: list[tuple[Kind, str]] = [("post", post) for post in posts | {name}]
    candidates += [("image", image) for image in images | {name}]
    candidates += [("name", name), ("author", name)]
    hashes = {keyed_hash(withdrawn.key, kind, value) for kind, value in candidates}
    said = set()
    for row in table.to_pylist():
        if row["keyed_hash"] in hashes and row["request"] not in said:
            said.add(row["request"])
            day = f"{row['requested_at']:%Y-%m-%d}"
            done = "not removed yet" if row["done_at"] is None else f"removed on {row['done_at']:%Y-%m-%d}"
            yield f"withdrawn on {day} (request {row['request']}: {row['reason']}), {done}"


def _image_lines(storage: Storage, tables: list[KeptTable], image: str) -> Iterator[str]:
    lines = list(_table_lines(storage, tables, image, Holds.IMAGE, Holds.IMAGES))
    stored = storage.exists(storage.image_key(image))
    if not lines and not stored:
        return
    yield f"picture {image}: {storage.path(storage.image_key(image)) if stored else 'bytes are not stored'}"
    yield from lines
    yield from _cluster(storage, image)
    yield from _task(storage, image)
    yield from _models(storage, tables, image)
    if (storage.scratch / "cache").exists():
        yield "  caches of pixels and features in scratch/cache may hold it; they do not say whose they are"


def _post_lines(storage: Storage, tables: list[KeptTable], post: str) -> Iterator[str]:
    lines = list(_table_lines(storage, tables, post, Holds.POST))
    if lines:
        yield f"post {post}"
        yield from lines
        pictures = sorted(set(_pictures_of(storage, tables, post)))
        yield from (f"  picture {image}: `stylegraph where {image}`" for image in pictures)


def _pictures_of(storage: Storage, tables: list[KeptTable], post: str) -> Iterator[str]:
    for table in tables:
        if table.name == "images":
            rows = table.read(storage, ["post_id", "image_id"])
            found = rows.filter(pc.equal(rows.column("post_id"), post)).column("image_id")
            yield from found.drop_null().to_pylist()


def _table_lines(storage: Storage, tables: list[KeptTable], value: str, *kinds: Holds) -> Iterator[str]:
    """Yield a line for each table of the graph with the rows that name the value."""
    for table in tables:
        columns = columns_holding(table.name, *kinds)
        if table.partition is None or not columns:
            continue
        rows = table.read(storage, columns)
        here = pa.array(np.zeros(rows.num_rows, bool))
        for name in rows.column_names:
            here = pc.or_(here, _holds(rows.column(name), value))
        count = pc.sum(here).as_py() or 0
        if count:
            yield f"  {table.title}: {count} row{'s' if count > 1 else ''}"


def _holds(column: pa.ChunkedArray | pa.Array, value: str) -> pa.Array | pa.ChunkedArray:
    if pa.types.is_list(column.type):
        lists = column.combine_chunks()
        found = pc.list_parent_indices(lists).filter(_holds(pc.list_flatten(lists), value))
        return pc.is_in(pa.array(np.arange(len(lists))), pc.cast(found, pa.int64()))
    return pc.fill_null(pc.equal(column, value), False)


def _cluster(storage: Storage, image: str) -> Iterator[str]:
    if not storage.has_table("unique_images"):
        return
    columns = ["image_id", "window", "canonical_id", "kept", "reason", "cluster_size"]
    for row in _about(storage.read_table("unique_images", columns=columns), image):
        role = "canonical image" if row["kept"] else f"set aside for {row['canonical_id']} ({row['reason']})"
        yield f"  near-duplicates: {role}; {row['cluster_size']} in the cluster; first window {row['window']}"


def _task(storage: Storage, image: str) -> Iterator[str]:
    exported = Exported.read(storage)
    if exported is None or not storage.has_table("queued_tasks"):
        return
    for row in _about(storage.read_table("queued_tasks", columns=["image_id", "task_id", "state"]), image):
        project = exported.project
        link = f"{project.url}/projects/{project.project_id}/data?task={row['task_id']}"
        yield f"  Label Studio: task {row['task_id']}, {row['state']}: {link}"


def _about(table: pa.Table, image: str) -> list[dict[str, Any]]:
    """Return the rows about a picture."""
    rows: list[dict[str, Any]] = table.filter(pc.equal(table.column("image_id"), image)).to_pylist()
    return rows


def _models(storage: Storage, tables: list[KeptTable], image: str) -> Iterator[str]:
    """Yield the models, and champions, whose data set holds the picture, with its split there."""
    for table in tables:
        if table.partition is not None or table.name != "data_set":
            continue
        rows = table.read(storage, ["image_id", "file_id", "split"])
        here = pc.or_(_holds(rows.column("image_id"), image), _holds(rows.column("file_id"), image))
        for split in rows.filter(here).column("split").to_pylist():
            folder = table.key.removesuffix("/inputs/data_set.parquet")
            yield f"  {_model_title(storage, folder)}: in its {split} split"


def _model_title(storage: Storage, folder: str) -> str:
    root, label_set, version, *_ = folder.split("/")
    if root != CHAMPIONS:
        return f"model {folder}"
    now = champion_version(storage, label_set) == version
    return f"{'champion' if now else 'former champion'} {folder}"
