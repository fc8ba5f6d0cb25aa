"""Near-duplicate clusters over all crawl windows: stars around canonical images that never change.

Windows are taken in order, and inside a window the images with more content first (then earlier post, then smaller
id). An image becomes canonical unless it is a duplicate of a canonical one itself; being like an image that was set
aside is not enough, so clusters never chain. Nothing depends on the order of rows.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from crawlers.dedup.overrides import Overrides
from crawlers.dedup.pair_index import PairIndex
from crawlers.dedup.pairs import DUPLICATE, MIRRORED, PERSON, similar_pairs, temporary_index
from crawlers.dedup.phash import ALGORITHM, HASH_VERSION
from crawlers.dedup.rule import DedupRule
from crawlers.errors import CrawlError
from crawlers.tables import UNIQUE_IMAGES

__all__ = ["DedupRule", "unique_images"]

logger = logging.getLogger(__name__)


def unique_images(
    hashes: pd.DataFrame,
    rule: DedupRule | None = None,
    overrides: Overrides | None = None,
    index: PairIndex | None = None,
    threads: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[pa.Table, pa.Table]:
    """Decide for every image of all windows whether it is kept or set aside, and for which canonical image.

    The same bytes in several posts or windows are one row, of the first window. An image that could not be hashed is
    left out: it cannot be decoded, so nobody could look at it. An image that a person wants kept is never set aside,
    and may set others aside, also of earlier windows; a person's ``same`` sets one of two aside whatever their hashes.

    Args:
        hashes: rows of ``IMAGE_HASHES`` of all windows; with an ``index``, the columns of hashes are not needed.
        rule: the limits; the defaults if None.
        overrides: people's decisions, none if None.
        index: candidate pairs of at least these images, opened for this rule; without one it is made in memory's stead
            in a temporary folder.
        threads: threads that compare hashes.
        progress: called with (images compared, images in all) while that index is made.

    Returns:
        ``UNIQUE_IMAGES`` sorted by ``image_id``, and the ``SIMILAR_PAIRS`` that people can look at: pairs as found,
        so that either image may be one that was set aside.

    Raises:
        CrawlError: if the hashes are of several versions.
    """
    rule, overrides = rule or DedupRule(), overrides or Overrides()
    _check_version(hashes)
    usable = hashes[hashes["status"] == "ok"]
    if index is not None:
        return _decide(usable, rule, overrides, index)
    with temporary_index(usable, rule, threads, progress) as made:
        return _decide(usable, rule, overrides, made)


def _decide(hashes: pd.DataFrame, rule: DedupRule, overrides: Overrides, index: PairIndex) -> tuple[pa.Table, pa.Table]:
    images = _merge_windows(hashes, overrides)
    pairs = similar_pairs(index, images["image_id"].tolist(), rule, overrides)
    position = pd.Series(np.arange(len(images)), index=images["image_id"])
    duplicates = pairs.filter(pc.equal(pairs["band"], DUPLICATE))
    a, b = (position.loc[duplicates[side].to_pylist()].to_numpy(np.int64) for side in ("image_a", "image_b"))
    person = np.array(duplicates["decided_by"].to_pylist(), dtype=object) == PERSON
    distances = np.stack([duplicates[name].to_numpy() for name in ("distance256", "distance64")], axis=1)
    keep = images["image_id"].isin(overrides.keep).to_numpy()
    canonical, match = _stars(len(images), a, b, distances, person, keep)
    matched = duplicates.take(pa.array(match, mask=match < 0))
    table = _unique_table(images, canonical, matched, rule, overrides)
    kept = int((canonical == np.arange(len(images))).sum())
    logger.info("%d images: %d kept, %d set aside, %d similar pairs", len(images), kept, len(images) - kept, len(pairs))
    return table, pairs


def hash_version(hashes: pd.DataFrame) -> str:
    """Return algorithm and version of hashes that are all of one version; of none, the present version."""
    versions = _hash_version(hashes)
    return str(versions.iloc[0]) if len(versions) else f"{ALGORITHM} {HASH_VERSION}"


def _check_version(hashes: pd.DataFrame) -> None:
    versions = _hash_version(hashes)
    if versions.nunique() > 1:
        oldest = hashes.groupby(versions, sort=True)["window"].min()
        found = "; ".join(f"{version} in window {window}" for version, window in oldest.items())
        raise CrawlError(f"image hashes of several versions cannot be compared ({found}); hash the older windows again")


def _hash_version(hashes: pd.DataFrame) -> "pd.Series[str]":
    return hashes["algorithm"] + " " + hashes["version"]


def _merge_windows(hashes: pd.DataFrame, overrides: Overrides) -> pd.DataFrame:
    """One row an image, in the order in which images may become canonical: first those that a person wants kept."""
    posts = hashes.groupby("image_id")["posts"].sum()
    earliest = hashes.sort_values(["image_id", "created_at", "post_id"], na_position="last", kind="stable")
    earliest = earliest.drop_duplicates("image_id").set_index("image_id")
    images = hashes.sort_values(["image_id", "window"], kind="stable").drop_duplicates("image_id")
    for column in ("post_id", "created_at", "author_hmac"):
        images[column] = earliest.loc[images["image_id"], column].to_numpy()
    images["posts"] = posts.loc[images["image_id"]].to_numpy()
    images["content"] = images["content_width"].astype(np.int64) * images["content_height"].astype(np.int64)
    images["wanted"] = images["image_id"].isin(overrides.keep)
    return images.sort_values(
        ["wanted", "window", "content", "created_at", "image_id"],
        ascending=[False, True, False, True, True],
        na_position="last",
        kind="stable",
        ignore_index=True,
    )


def _stars(
    count: int,
    a: npt.NDArray[np.int64],
    b: npt.NDArray[np.int64],
    distances: npt.NDArray[np.int32],
    person: npt.NDArray[np.bool_],
    keep: npt.NDArray[np.bool_],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Assign each of ``count`` images, in order, to the nearest canonical before it, or make it canonical.

    Args:
        count: images, numbered in the order in which they may become canonical.
        a: one image of each duplicate pair.
        b: the other.
        distances: ``(K, 2)`` bits of each pair, the decisive one first.
        person: ``(K,)``: did a person say that the two are the same? Then the image goes wherever its partner went.
        keep: ``(count,)``: images that are never set aside.

    Returns:
        The canonical of each image ``(count,)``, and the row of the pair that decided, -1 where it is its own.
    """
    first, second = np.minimum(a, b), np.maximum(a, b)
    order = np.lexsort((first, distances[:, 1], distances[:, 0], ~person, second))
    canonical, match = np.arange(count), np.full(count, -1)
    for pair in order:  # by the later image, then what people said, then the nearer partner
        later, earlier = second[pair], first[pair]
        if match[later] < 0 and not keep[later] and (match[earlier] < 0 or person[pair]):
            canonical[later], match[later] = canonical[earlier], pair
    return canonical, match


def _unique_table(
    images: pd.DataFrame,
    canonical: npt.NDArray[np.int64],
    matched: pa.Table,
    rule: DedupRule,
    overrides: Overrides,
) -> pa.Table:
    """Assemble ``UNIQUE_IMAGES``; ``matched`` has the pair that decided for each image, null where it is kept."""
    ids = images["image_id"].to_numpy(dtype=object)
    aside = np.flatnonzero(matched["via"].is_valid().to_numpy())  # only these become objects of Python
    matches = matched.select(["via", "distance256", "structure", "decided_by"]).take(pa.array(aside)).to_pylist()
    stages, reasons = np.full((2, len(images)), None, dtype=object)
    stages[aside] = [_stage(row) for row in matches]
    reasons[aside] = [
        _reason(row, canonical_id) for row, canonical_id in zip(matches, ids[canonical[aside]], strict=True)
    ]
    mirrored = pc.is_in(matched["via"], pa.array(sorted(MIRRORED), pa.string())).to_numpy()
    best = _best_images(images, canonical, mirrored)
    columns = {
        "image_id": ids,
        "window": images["window"],
        "canonical_id": ids[canonical],
        "best_image_id": ids[best[canonical]],
        "kept": matched["via"].is_null().combine_chunks(),
        "stage": stages,
        "reason": reasons,
        "distance64": matched["distance64"].combine_chunks(),
        "distance256": matched["distance256"].combine_chunks(),
        "via": matched["via"].combine_chunks(),
        "cluster_size": np.bincount(canonical, minlength=len(images))[canonical],
        "post_id": images["post_id"],
        "created_at": images["created_at"],
        "author_hmac": images["author_hmac"],
        "posts": images["posts"],
        "rule_version": [f"{rule.version} {overrides.version}".strip()] * len(images),
        "hash_version": _hash_version(images),
    }
    arrays = [pa.array(columns[field.name], field.type, from_pandas=True) for field in UNIQUE_IMAGES]
    return pa.table(arrays, schema=UNIQUE_IMAGES).sort_by("image_id")


def _stage(match: Mapping[str, Any]) -> str:
    """Name what decided."""
    if match["decided_by"] == PERSON:
        return "person"
    return "phash" if match["structure"] is None else "structure"


def _reason(match: Mapping[str, Any], canonical: str) -> str:
    """Say in one line why an image was set aside."""
    line = f"near-duplicate of {canonical}: {match['distance256']} of 256 bits apart ({match['via']})"
    if match["decided_by"] == PERSON:
        return f"{line}, as a person decided"
    return line if match["structure"] is None else f"{line}, structure agrees to {match['structure']:.0%}"


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
