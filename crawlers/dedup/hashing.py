"""Perceptual hashes of image files: 64 and 256 bits, of the picture, without its border, and of both mirrored.

The definition is ``imagehash.phash`` (DCT-II of a 32 x 32 or 64 x 64 grey picture, lowest 8 x 8 or 16 x 16
coefficients, one bit for each above their median); the bits equal it on the same small grey picture.
"""

import logging
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import scipy.fft
from PIL import Image

from crawlers.dedup.decoding import Box, UnreadableImageError, read_small
from crawlers.errors import CrawlError
from crawlers.tables import IMAGE_HASHES

ALGORITHM = "imagehash.phash"
HASH_VERSION = "1"  # of the decode path and everything computed here; a change makes old hashes incomparable

FLAT_CONTRAST = 4.0  # grey levels: standard deviation of the 64 x 64 picture below which it shows nothing
FLAT_DETAIL = 3.0  # grey levels: typical size of the hashed DCT coefficients below which noise decides the bits

_POOL_FROM = 2_000  # images; below, starting processes (seconds, if the caller is large) takes longer than it saves
_POST_COLUMNS = ["image_id", "window", "post_id", "created_at", "author_hmac"]
_CHUNK = 16  # images handed to a process at a time

logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ImageHashes:
    """What near-duplicate search knows of one image; the column names of ``IMAGE_HASHES``."""

    phash64: bytes
    phash256: bytes
    trim_phash64: bytes
    trim_phash256: bytes
    mirror_phash64: bytes
    mirror_phash256: bytes
    trim_mirror_phash64: bytes
    trim_mirror_phash256: bytes
    chroma: bytes  # Cb then Cr of the 8 x 8 thumbnail, uint8, row by row
    trim_chroma: bytes  # the same of the picture without its border
    flat: bool  # too little in the picture for a hash to mean anything
    width: int  # pixels, upright
    height: int
    content_width: int  # pixels without the border
    content_height: int


@dataclass(frozen=True)
class HashFailure:
    """Why an image has no hashes: a short code and one line for people."""

    reason: str
    detail: str


def phash(pictures: npt.NDArray[np.uint8], hash_size: int) -> npt.NDArray[np.uint8]:
    """Hash a stack of ``(K, 4 * hash_size, 4 * hash_size) uint8`` grey pictures.

    Returns ``(K, hash_size ** 2 / 8) uint8``: the bits row by row, big-endian, as ``str(imagehash.phash(...))`` does.
    """
    low = _low_frequencies(pictures, hash_size)
    return np.packbits(low > np.median(low, axis=1, keepdims=True), axis=1)


def is_flat(picture: npt.NDArray[np.uint8]) -> bool:
    """Tell whether a ``(64, 64) uint8`` grey picture is uniform or a bare gradient, so that noise decides its hash."""
    if float(picture.std()) < FLAT_CONTRAST:
        return True
    low = _low_frequencies(picture[None], 16)[0]
    return float(np.median(np.abs(low))) / (2 * len(picture)) < FLAT_DETAIL


def hash_image(path: Path) -> ImageHashes | HashFailure:
    """Hash the image file at ``path``; a file that cannot be read gives a ``HashFailure``, never an exception."""
    try:
        small = read_small(path)
    except UnreadableImageError as error:
        return HashFailure(error.reason, str(error))
    luma, *chroma = small.picture.split()
    whole: Box = (0, 0, *small.picture.size)
    plain = _pictures(luma, chroma, whole)
    flat = is_flat(plain.grey64)
    trimmed, content_size = plain, (small.width, small.height)
    if not flat and small.content != whole:
        inner = _pictures(luma, chroma, small.content)
        if not is_flat(inner.grey64):
            trimmed, content_size = inner, small.content_size
    hashes64 = phash(_with_mirrored(plain.grey32, trimmed.grey32), 8)
    hashes256 = phash(_with_mirrored(plain.grey64, trimmed.grey64), 16)
    return ImageHashes(
        phash64=hashes64[0].tobytes(),
        phash256=hashes256[0].tobytes(),
        trim_phash64=hashes64[1].tobytes(),
        trim_phash256=hashes256[1].tobytes(),
        mirror_phash64=hashes64[2].tobytes(),
        mirror_phash256=hashes256[2].tobytes(),
        trim_mirror_phash64=hashes64[3].tobytes(),
        trim_mirror_phash256=hashes256[3].tobytes(),
        chroma=plain.chroma,
        trim_chroma=trimmed.chroma,
        flat=flat,
        width=small.width,
        height=small.height,
        content_width=content_size[0],
        content_height=content_size[1],
    )


def hash_images(
    images: Sequence[tuple[str, Path]], processes: int = 2, progress: Progress | None = None
) -> list[tuple[str, ImageHashes | HashFailure]]:
    """Hash ``(image_id, path)`` pairs in the order given, in a process pool when there are many.

    Raises:
        CrawlError: if a worker process dies, which is nearly always lack of memory.
    """
    paths = [path for _, path in images]
    results: list[ImageHashes | HashFailure] = []
    try:
        for result in _hash_all(paths, processes):
            results.append(result)
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
) -> pa.Table:
    """Hash the images of one crawl window: a row of ``IMAGE_HASHES`` for each distinct image, sorted by ``image_id``.

    Args:
        images: downloaded images of the window, one row an image in a post: ``image_id``, ``window``, ``post_id``, and
            that post's ``created_at`` and ``author_hmac``.
        path_of: where the original bytes of an ``image_id`` are.
        processes: worker processes to use at most.
        progress: called with (images done, images in all).

    Raises:
        CrawlError: if a column is missing, or the rows are of more than one window.
    """
    if missing := [column for column in _POST_COLUMNS if column not in images.columns]:
        raise CrawlError(f"images to hash lack the column(s) {', '.join(missing)}; join them with their posts first")
    if images["window"].nunique() > 1:
        raise CrawlError("images to hash are of several windows; hash one window at a time")
    posts = _earliest_posts(images)
    hashed = hash_images([(image_id, path_of(image_id)) for image_id in posts["image_id"]], processes, progress)
    rows = [
        post | _hash_columns(image_id, result)
        for post, (image_id, result) in zip(posts.to_dict("records"), hashed, strict=True)
    ]
    logger.info("hashed %d images, %d of them failed", len(rows), sum(row["status"] == "failed" for row in rows))
    return pa.Table.from_pylist(rows, schema=IMAGE_HASHES)


def _earliest_posts(images: pd.DataFrame) -> pd.DataFrame:
    """One row an image, sorted by id: its earliest post, and how many posts carry it; None where a value is unknown."""
    ordered = images[_POST_COLUMNS].sort_values(
        ["image_id", "created_at", "post_id"], na_position="last", kind="stable"
    )
    counts = ordered.groupby("image_id", sort=True)["post_id"].nunique()
    earliest = ordered.drop_duplicates("image_id").assign(posts=counts.to_numpy())
    return earliest.astype(object).where(earliest.notna(), None)


def _hash_columns(image_id: str, result: ImageHashes | HashFailure) -> dict[Hashable, object]:
    columns: dict[Hashable, object] = {"algorithm": ALGORITHM, "version": HASH_VERSION}
    if isinstance(result, HashFailure):
        logger.warning("image %s has no hashes: %s", image_id, result.detail)
        return columns | {"status": "failed", "reason": result.reason}
    return columns | {"status": "ok"} | vars(result)


def _hash_all(paths: Sequence[Path], processes: int) -> Iterator[ImageHashes | HashFailure]:
    if processes < 2 or len(paths) < _POOL_FROM:
        yield from map(hash_image, paths)
        return
    # Spawned, not forked: the caller may have threads, which a fork would leave in an unknown state.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        yield from pool.map(hash_image, paths, chunksize=_CHUNK)


def _low_frequencies(pictures: npt.NDArray[np.uint8], hash_size: int) -> npt.NDArray[np.float64]:
    columns = scipy.fft.dct(pictures.astype(np.float64), axis=1)
    coefficients = scipy.fft.dct(columns, axis=2)
    low: npt.NDArray[np.float64] = coefficients[:, :hash_size, :hash_size].reshape(len(pictures), -1)
    return low


@dataclass(frozen=True)
class _Pictures:
    """A picture, or the part of it inside a box, at the sizes that are compared."""

    grey32: npt.NDArray[np.uint8]  # (32, 32)
    grey64: npt.NDArray[np.uint8]  # (64, 64)
    chroma: bytes  # Cb, Cr of 8 x 8


def _pictures(luma: Image.Image, chroma: Sequence[Image.Image], box: Box) -> _Pictures:
    lanczos, average = Image.Resampling.LANCZOS, Image.Resampling.BOX
    return _Pictures(
        np.asarray(luma.resize((32, 32), lanczos, box=box)),
        np.asarray(luma.resize((64, 64), lanczos, box=box)),
        b"".join(band.resize((8, 8), average, box=box).tobytes() for band in chroma),
    )


def _with_mirrored(plain: npt.NDArray[np.uint8], trimmed: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.stack([plain, trimmed, plain[:, ::-1], trimmed[:, ::-1]])
