"""Hash the images of a crawl window: only those that are new, in a pool of processes when there are many."""

import logging
import os
import signal
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import fields
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread

import pandas as pd
import pyarrow as pa

from crawlers.dedup.phash import (
    ALGORITHM,
    HASH_VERSION,
    HashFailure,
    ImageHashes,
    hash_files,
    hash_image,
    is_flat,
    phash,
)
from crawlers.errors import CrawlError
from crawlers.tables import IMAGE_HASHES

__all__ = [
    "ALGORITHM",
    "HASH_VERSION",
    "HashFailure",
    "ImageHashes",
    "hash_files",
    "hash_image",
    "hash_images",
    "image_hashes_table",
    "is_flat",
    "phash",
]

_POOL_FROM = 5_000  # images; below, starting processes (2 seconds, more if the caller is large) costs what it saves
_CHUNK = 32  # images hashed at a time: their hashes are computed as one stack
_AHEAD = 3  # chunks handed to each process before their results are taken
_POST_COLUMNS = ["image_id", "window", "post_id", "created_at", "author_hmac"]
_HASH_COLUMNS = [field.name for field in fields(ImageHashes) if field.name in IMAGE_HASHES.names]

logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
Results = list[ImageHashes | HashFailure]
Row = dict[Hashable, object]


def hash_images(
    images: Sequence[tuple[str, Path]], processes: int = 2, progress: Progress | None = None
) -> list[tuple[str, ImageHashes | HashFailure]]:
    """Hash ``(image_id, path)`` pairs in the order given, in a process pool when there are 5,000 or more.

    Pictures are in memory one at a time in each process. The processes are spawned: a script that calls this needs the
    usual guard around its main part.

    Args:
        images: ids and files.
        processes: worker processes to use at most.
        progress: called with (images done, images in all).

    Raises:
        CrawlError: if a worker process dies, which is nearly always lack of memory.
    """
    paths = [path for _, path in images]
    results: Results = []
    try:
        for chunk in _hash_all(paths, processes):
            results += chunk
            if progress is not None:
                progress(len(results), len(images))
    except BrokenProcessPool:
        raise CrawlError(
            f"a hashing process died after {len(results)} of {len(images)} images; free memory or use fewer processes"
        ) from None
    return [(image_id, result) for (image_id, _), result in zip(images, results, strict=True)]


def image_hashes_table(
    images: pd.DataFrame,
    path_of: Callable[[str], Path],
    processes: int = 2,
    progress: Progress | None = None,
    known: pd.DataFrame | None = None,
) -> pa.Table:
    """Hash the images of one crawl window: a row of ``IMAGE_HASHES`` for each distinct image, sorted by ``image_id``.

    The result does not depend on ``known``; it only spares work.

    Args:
        images: downloaded images of the window, one row an image in a post: ``image_id``, ``window``, ``post_id``, and
            that post's ``created_at`` and ``author_hmac``.
        path_of: where the original bytes of an ``image_id`` are.
        processes: worker processes to use at most.
        progress: called with (images done, images in all); known images are done from the start.
        known: rows of ``IMAGE_HASHES`` from earlier runs, of any windows. Hashes of the present version are taken from
            them; images that failed are tried again.

    Raises:
        CrawlError: if a column is missing, the rows are of more than one window, or a worker process dies.
    """
    if missing := [column for column in _POST_COLUMNS if column not in images.columns]:
        raise CrawlError(f"images to hash lack the column(s) {', '.join(missing)}; join them with their posts first")
    if images["window"].nunique() > 1:
        raise CrawlError("images to hash are of several windows; hash one window at a time")
    posts = _earliest_posts(images)
    hashes = _known_hashes(known, posts["image_id"])
    reused = len(hashes)
    new = [(image_id, path_of(image_id)) for image_id in posts["image_id"] if image_id not in hashes]
    if progress is not None and reused:
        progress(reused, len(posts))
    hashed = hash_images(new, processes, _shifted(progress, reused))
    hashes |= {image_id: _hash_columns(image_id, result) for image_id, result in hashed}
    stamp: Row = {"algorithm": ALGORITHM, "version": HASH_VERSION}
    rows = [post | stamp | hashes[post["image_id"]] for post in posts.to_dict("records")]
    failed = sum(row["status"] == "failed" for row in rows)
    logger.info("hashed %d images, %d of them failed; %d were known", len(new), failed, reused)
    return pa.Table.from_pylist(rows, schema=IMAGE_HASHES)


def _earliest_posts(images: pd.DataFrame) -> pd.DataFrame:
    """One row an image, sorted by id: its earliest post, and how many posts carry it; None where a value is unknown."""
    ordered = images[_POST_COLUMNS].sort_values(
        ["image_id", "created_at", "post_id"], na_position="last", kind="stable"
    )
    counts = ordered.groupby("image_id", sort=True)["post_id"].nunique()
    earliest = ordered.drop_duplicates("image_id").assign(posts=counts.to_numpy())
    return earliest.astype(object).where(earliest.notna(), None)


def _known_hashes(known: pd.DataFrame | None, wanted: "pd.Series[str]") -> dict[Hashable, Row]:
    """Return the hash columns of the wanted images that have hashes of the present version."""
    if known is None or not set(_HASH_COLUMNS) <= set(known.columns):
        return {}
    current = (known["algorithm"] == ALGORITHM) & (known["version"] == HASH_VERSION) & (known["status"] == "ok")
    usable = known[current & known["image_id"].isin(wanted)].drop_duplicates("image_id")
    # Rows that failed have no sizes, which makes pandas hold all sizes as floating point.
    sizes = dict.fromkeys(("width", "height", "content_width", "content_height"), "int64")
    records = usable[_HASH_COLUMNS].astype(sizes | {"flat": "bool"}).to_dict("records")
    return {image_id: {"status": "ok", **record} for image_id, record in zip(usable["image_id"], records, strict=True)}


def _hash_columns(image_id: str, result: ImageHashes | HashFailure) -> Row:
    if isinstance(result, HashFailure):
        logger.warning("image %s has no hashes: %s", image_id, result.detail)
        return {"status": "failed", "reason": result.reason}
    return {"status": "ok", **{name: getattr(result, name) for name in _HASH_COLUMNS}}


def _shifted(progress: Progress | None, start: int) -> Progress | None:
    return None if progress is None else lambda done, total: progress(start + done, start + total)


def _hash_all(paths: Sequence[Path], processes: int) -> Iterator[Results]:
    """Yield the results of the paths in their order, chunk by chunk."""
    chunks = (paths[start : start + _CHUNK] for start in range(0, len(paths), _CHUNK))
    if processes < 2 or len(paths) < _POOL_FROM:
        yield from map(hash_files, chunks)
        return
    # Spawned, not forked: the caller may have threads, which a fork would leave in an unknown state.
    pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_start_worker)
    waiting: deque[Future[Results]] = deque()
    try:
        for chunk in chunks:
            with _interrupts_blocked():  # the first call starts the processes
                waiting.append(pool.submit(hash_files, chunk))
            if len(waiting) >= _AHEAD * processes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:  # also when the caller is interrupted: what nobody will take is not computed
        pool.shutdown(cancel_futures=True)


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Hold Ctrl-C back from this thread for a moment, and from processes started meanwhile until they ignore it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker() -> None:
    """Leave Ctrl-C to the caller, which ends the pool, and end with the caller when it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
