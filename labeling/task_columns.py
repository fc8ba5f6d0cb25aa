"""Tasks of millions of images, column by column: no row is an object of Python, and no table is held as a whole."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from labeling.tables import LABEL_TASKS, UTC_TIME

BATCH = 100_000  # tasks

Read: TypeAlias = Callable[[str, Sequence[str]], pa.Table]
"""Some columns of all rows of unique_images, of images with status ok, or of posts, in ``SOURCES``' types."""

Ints: TypeAlias = NDArray[np.int64]

SOURCES: Mapping[str, pa.Schema] = {  # what is read
    "unique_images": pa.schema(
        {
            "image_id": pa.string(),
            "window": pa.string(),
            "canonical_id": pa.string(),
            "best_image_id": pa.string(),
            "kept": pa.bool_(),
            "post_id": pa.string(),
            "created_at": UTC_TIME,
        }
    ),
    "images": pa.schema(
        {
            "image_id": pa.string(),
            "post_id": pa.string(),
            "media_index": pa.int32(),
            "url": pa.string(),
            "alt_text": pa.string(),
        }
    ),
    "posts": pa.schema({"post_id": pa.string(), "hashtags": pa.list_(pa.string())}),
}


def stored_path(image_id: str) -> str:
    """Return the path of an image's bytes inside the data location."""
    return f"images/{image_id[:2]}/{image_id}"


def task_batches(read: Read, path_of: Callable[[str], str] = stored_path) -> Iterator[pa.RecordBatch]:
    """Yield ``LABEL_TASKS`` of every kept image, sorted by ``image_id``; see ``labeling.tasks.label_tasks``."""
    ids = _column(read("unique_images", ["image_id"]))
    order = pc.sort_indices(ids)
    ids = ids.take(order)
    unique = read("unique_images", ["window", "best_image_id", "kept", "post_id", "created_at"]).take(order)
    kept = _numbers(pc.indices_nonzero(unique.column("kept")))  # rows of ids, one a task
    unique = unique.take(pa.array(kept))
    cluster = _clusters(_column(read("unique_images", ["canonical_id"])).take(order), ids, kept)
    members = _Grouped.of(cluster, np.arange(len(ids)))
    images = _Images.of(read, ids, cluster, kept, _column(unique, "post_id"))
    hashtags = _hashtags(read, _column(unique, "post_id"))
    for start in range(0, len(kept), BATCH):
        part = unique.slice(start, BATCH)
        names = images.names.lists(start, part.num_rows)
        columns = {
            "image_id": ids.take(pa.array(kept[start : start + BATCH])),
            "window": _column(part, "window"),
            "image_path": pa.array([path_of(name) for name in part.column("best_image_id").to_pylist()], pa.string()),
            "created_at": _column(part, "created_at"),
            "hashtags": hashtags.slice(start, BATCH),
            "alt_text": images.alt_texts.slice(start, BATCH),
            "names": names.of(images.urls),
            "name_image_ids": names.of(ids, images.rows),
            "image_ids": members.lists(start, part.num_rows).of(ids),
        }
        yield pa.record_batch([columns[field.name] for field in LABEL_TASKS], schema=LABEL_TASKS)


def _column(table: pa.Table, name: str | int = 0) -> pa.Array:
    """Return a column in one piece."""
    column = table.column(name)
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _numbers(array: pa.Array) -> Ints:
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=np.int64)


def _places(values: pa.Array, among: pa.Array) -> Ints:
    """Return where each value stands first in ``among``; -1 where it does not."""
    return _numbers(pc.index_in(values, value_set=among).fill_null(-1))


def _clusters(canonical: pa.Array, ids: pa.Array, kept: Ints) -> Ints:
    """Return for each image the task of its cluster, -1 where there is none."""
    task = np.full(len(ids) + 1, -1)
    task[kept] = np.arange(len(kept))
    return task[_places(canonical, ids)]


class _Lists:
    """Some groups of a grouping, to be filled with values."""

    def __init__(self, offsets: Ints, members: Ints) -> None:
        self._offsets, self._members = offsets, members

    def of(self, values: pa.Array, rows: Ints | None = None) -> pa.ListArray:
        """Return a list of values for each group: at its members, or at the ``rows`` that these stand for."""
        places = self._members if rows is None else rows[self._members]
        return pa.ListArray.from_arrays(pa.array(self._offsets, pa.int32()), values.take(pa.array(places)))


class _Grouped:
    """Members of groups 0, 1, … in the order in which they were given."""

    def __init__(self, offsets: Ints, members: Ints) -> None:
        self._offsets, self._members = offsets, members

    @classmethod
    def of(cls, group: Ints, members: Ints) -> "_Grouped":
        """Group members; those of group -1 are left out."""
        inside = np.flatnonzero(group >= 0)
        group = group[inside]
        order = np.argsort(group, kind="stable")
        counts = np.bincount(group, minlength=1)
        return cls(np.concatenate([[0], np.cumsum(counts)]), members[inside[order]])

    def lists(self, start: int, count: int) -> _Lists:
        """Return so many groups; what is behind the last one is empty."""
        places = np.minimum(np.arange(start, start + count + 1), len(self._offsets) - 1)
        offsets = self._offsets[places]
        return _Lists(offsets - offsets[0], self._members[offsets[0] : offsets[-1]])


class _Images:
    """What images are called, and how they are described."""

    def __init__(self, names: _Grouped, urls: pa.Array, rows: Ints, alt_texts: pa.Array) -> None:
        self.names = names  # by task: places in urls and rows, by url and then image id
        self.urls = urls
        self.rows = rows  # of the image ids
        self.alt_texts = alt_texts  # by task: the first one in the earliest post that carries the canonical image

    @classmethod
    def of(cls, read: Read, ids: pa.Array, cluster: Ints, kept: Ints, posts: pa.Array) -> "_Images":
        """Read names and descriptions of all images; ``kept`` and ``posts`` are the row and the post of each task."""
        rows = _places(_column(read("images", ["image_id"])), ids)
        task = np.where(rows >= 0, cluster[rows], -1)
        alt_texts = _alt_texts(read, task, np.append(kept, -1)[task] == rows, posts)
        urls = _column(read("images", ["url"]))
        inside = np.flatnonzero(task >= 0)
        order = pc.sort_indices(
            pa.table({"url": urls.take(pa.array(inside)), "row": rows[inside]}),
            [("url", "ascending"), ("row", "ascending")],
        )
        inside = inside[_numbers(order)]
        urls, rows, task = urls.take(pa.array(inside)), rows[inside], task[inside]
        again = (rows[1:] == rows[:-1]) & _numbers(pc.equal(urls[1:], urls[:-1])).astype(bool) if len(rows) else rows
        task[np.flatnonzero(again) + 1] = -1
        return cls(_Grouped.of(task, np.arange(len(task))), urls, rows, alt_texts)


def _alt_texts(read: Read, task: Ints, own: NDArray[np.bool_], post_of: pa.Array) -> pa.Array:
    """Return for each task the first alt text of its ``own`` image in its post, null where there is none."""
    texts = _column(read("images", ["alt_text"]))
    described = _numbers(pc.not_equal(texts, "").fill_null(False)).astype(bool)
    found = np.flatnonzero((task >= 0) & own & described)
    posts = _column(read("images", ["post_id"])).take(pa.array(found))
    same = pc.equal(posts, post_of.take(pa.array(task[found])))
    found = found[_numbers(same.fill_null(False)).astype(bool)]
    index = _numbers(_column(read("images", ["media_index"])))
    found = found[np.lexsort((index[found], task[found]))]
    first = np.full(len(post_of), -1)
    first[task[found][::-1]] = found[::-1]
    return texts.take(pa.array(first, mask=first < 0))


def _hashtags(read: Read, post_ids: pa.Array) -> pa.Array:
    """Return the hashtags of each post; of one that is not known, none."""
    posts = read("posts", ["post_id", "hashtags"])
    places = _places(post_ids, _column(posts, "post_id"))
    found = _column(posts, "hashtags").take(pa.array(places, mask=places < 0))
    return pc.if_else(found.is_valid(), found, pa.scalar([], found.type))
