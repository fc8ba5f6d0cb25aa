"""Near-duplicate clusters over all crawl windows: stars around canonical images that never change.

Windows are taken in order, and inside a window the images with more content first (then earlier post, then smaller
id). An image becomes canonical unless it is a duplicate of a canonical one itself; being like an image that was set
aside is not enough, so clusters never chain. Nothing depends on the order of rows.
"""

import logging
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from crawlers.dedup.pairs import DUPLICATE, MIRRORED, similar_pairs
from crawlers.dedup.rule import DedupRule
from crawlers.errors import CrawlError
from crawlers.tables import UNIQUE_IMAGES

__all__ = ["DedupRule", "unique_images"]

logger = logging.getLogger(__name__)


def unique_images(
    hashes: pd.DataFrame,
    rule: DedupRule | None = None,
    threads: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[pa.Table, pa.Table]:
    """Decide for every image of all windows whether it is kept or set aside, and for which canonical image.

    The same bytes in several posts or windows are one row, of the first window. An image that could not be hashed is
    left out: it cannot be decoded, so nobody could look at it.

    Args:
        hashes: rows of ``IMAGE_HASHES`` of all windows.
        rule: the limits; the defaults if None.
        threads: threads that compare hashes.
        progress: called with (tiles compared, tiles in all) for each of the two searches, straight and mirrored.

    Returns:
        ``UNIQUE_IMAGES`` sorted by ``image_id``, and the ``SIMILAR_PAIRS`` that people can look at: pairs as found,
        so that either image may be one that was set aside.

    Raises:
        CrawlError: if the hashes are of several versions.
    """
    rule = rule or DedupRule()
    _check_version(hashes)
    images = _merge_windows(hashes[hashes["status"] == "ok"])
    pairs = similar_pairs(images, rule, threads, progress)
    position = pd.Series(np.arange(len(images)), index=images["image_id"])
    duplicates = pairs.filter(pc.equal(pairs["band"], DUPLICATE))
    a, b = (position.loc[duplicates[side].to_pylist()].to_numpy(np.int64) for side in ("image_a", "image_b"))
    distances = np.stack([duplicates[name].to_numpy() for name in ("distance256", "distance64")], axis=1)
    canonical, match = _stars(len(images), a, b, distances)
    table = _unique_table(images, canonical, duplicates.take(pa.array(match, mask=match < 0)), rule)
    kept = int((canonical == np.arange(len(images))).sum())
    logger.info("%d images: %d kept, %d set aside, %d similar pairs", len(images), kept, len(images) - kept, len(pairs))
    return table, pairs


def _check_version(hashes: pd.DataFrame) -> None:
    versions = _hash_version(hashes)
    if versions.nunique() > 1:
        oldest = hashes.groupby(versions, sort=True)["window"].min()
        found = "; ".join(f"{version} in window {window}" for version, window in oldest.items())
        raise CrawlError(f"image hashes of several versions cannot be compared ({found}); hash the older windows again")


def _hash_version(hashes: pd.DataFrame) -> "pd.Series[str]":
    return hashes["algorithm"] + " " + hashes["version"]


def _merge_windows(hashes: pd.DataFrame) -> pd.DataFrame:
    """One row an image, in the order in which images may become canonical."""
    posts = hashes.groupby("image_id")["posts"].sum()
    earliest = hashes.sort_values(["image_id", "created_at", "post_id"], na_position="last", kind="stable")
    earliest = earliest.drop_duplicates("image_id").set_index("image_id")
    images = hashes.sort_values(["image_id", "window"], kind="stable").drop_duplicates("image_id")
    for column in ("post_id", "created_at", "author_hmac"):
        images[column] = earliest.loc[images["image_id"], column].to_numpy()
    images["posts"] = posts.loc[images["image_id"]].to_numpy()
    images["content"] = images["content_width"].astype(np.int64) * images["content_height"].astype(np.int64)
    return images.sort_values(
        ["window", "content", "created_at", "image_id"],
        ascending=[True, False, True, True],
        na_position="last",
        kind="stable",
        ignore_index=True,
    )


def _stars(
    count: int, a: npt.NDArray[np.int64], b: npt.NDArray[np.int64], distances: npt.NDArray[np.int32]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Assign each of ``count`` images, in order, to the nearest canonical before it, or make it canonical.

    Args:
        count: images, numbered in the order in which they may become canonical.
        a: one image of each duplicate pair.
        b: the other.
        distances: ``(K, 2)`` bits of each pair, the decisive one first.

    Returns:
        The canonical of each image ``(count,)``, and the row of the pair that decided, -1 where it is its own.
    """
    first, second = np.minimum(a, b), np.maximum(a, b)
    order = np.lexsort((first, distances[:, 1], distances[:, 0], second))
    canonical, match = np.arange(count), np.full(count, -1)
    for pair in order:  # by the later image, then the nearer partner
        later, earlier = second[pair], first[pair]
        if match[later] < 0 and match[earlier] < 0:
            canonical[later], match[later] = earlier, pair
    return canonical, match


def _unique_table(
    images: pd.DataFrame, canonical: npt.NDArray[np.int64], matched: pa.Table, rule: DedupRule
) -> pa.Table:
    """Assemble ``UNIQUE_IMAGES``; ``matched`` has the pair that decided for each image, null where it is kept."""
    ids = images["image_id"].to_numpy(dtype=object)
    vias = matched["via"].to_pylist()
    best = _best_images(images, canonical, np.array([via in MIRRORED for via in vias], bool))
    columns = {
        "image_id": ids,
        "window": images["window"],
        "canonical_id": ids[canonical],
        "best_image_id": ids[best[canonical]],
        "kept": [via is None for via in vias],
        "stage": [None if via is None else "phash" for via in vias],
        "reason": [
            None if via is None else f"near-duplicate of {ids[of]}: {bits} of 256 bits apart ({via})"
            for via, of, bits in zip(vias, canonical, matched["distance256"].to_pylist(), strict=True)
        ],
        "distance64": matched["distance64"].combine_chunks(),
        "distance256": matched["distance256"].combine_chunks(),
        "via": vias,
        "cluster_size": np.bincount(canonical, minlength=len(images))[canonical],
        "post_id": images["post_id"],
        "created_at": images["created_at"],
        "author_hmac": images["author_hmac"],
        "posts": images["posts"],
        "rule_version": [rule.version] * len(images),
        "hash_version": _hash_version(images),
    }
    arrays = [pa.array(columns[field.name], field.type, from_pandas=True) for field in UNIQUE_IMAGES]
    return pa.table(arrays, schema=UNIQUE_IMAGES).sort_by("image_id")


def _best_images(
    images: pd.DataFrame, canonical: npt.NDArray[np.int64], mirrored: npt.NDArray[np.bool_]
) -> npt.NDArray[np.int64]:
    """Choose each cluster's file to use, at the place of its canonical: most content, no border, first in order.

    A mirrored copy is never chosen: the canonical is always a candidate, and is none.
    """
    candidates = pd.DataFrame(
        {
            "canonical": canonical,
            "content": images["content"],
            "area": images["width"].astype(np.int64) * images["height"].astype(np.int64),
            "image": np.arange(len(images)),
        }
    )[~mirrored]
    ranked = candidates.sort_values(["canonical", "content", "area", "image"], ascending=[True, False, True, True])
    chosen = ranked.drop_duplicates("canonical")
    best = np.arange(len(images))
    best[chosen["canonical"]] = chosen["image"]
    return best
