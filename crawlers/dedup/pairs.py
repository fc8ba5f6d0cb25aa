"""Similar pairs of images: compared plain, without borders and mirrored, then verified by colour."""

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from crawlers.dedup.rule import DedupRule
from crawlers.dedup.search import HashPairs, pairs_within, words
from crawlers.tables import SIMILAR_PAIRS

DUPLICATE, REVIEW = "duplicate", "review"  # the bands of SIMILAR_PAIRS

VIAS = ("plain", "trim", "mirror", "trim_mirror")  # how a pair matched; the first of equally close ones is named
MIRRORED = frozenset({"mirror", "trim_mirror"})
_TRIM, _MIRROR = 1, 2  # a variant is plain 0, trimmed 1, mirrored 2 or both 3: its place in VIAS
_WORST_CELLS = 8  # of 64


class _Variants:
    """The distinct hashes of a collection: N images, and for each hash its image and its variant."""

    def __init__(self, images: pd.DataFrame, mirrored: bool):
        prefix, variant = ("mirror_", _MIRROR) if mirrored else ("", 0)
        trim_prefix = "trim_mirror_" if mirrored else "trim_"
        plain, trimmed = words(images[f"{prefix}phash256"]), words(images[f"{trim_prefix}phash256"])
        bordered = np.flatnonzero((plain != trimmed).any(axis=1))  # elsewhere trimming changed nothing
        self.bits256 = np.concatenate([plain, trimmed[bordered]])
        plain64, trimmed64 = _words64(images[f"{prefix}phash64"]), _words64(images[f"{trim_prefix}phash64"])
        self.bits64 = np.concatenate([plain64, trimmed64[bordered]])
        self.image = np.concatenate([np.arange(len(images)), bordered])
        self.variant = np.concatenate([np.full(len(images), variant), np.full(len(bordered), variant | _TRIM)])


def similar_pairs(
    images: pd.DataFrame, rule: DedupRule, threads: int = 2, progress: Callable[[int, int], None] | None = None
) -> pa.Table:
    """List every pair of images that the rule calls duplicate or review, as ``SIMILAR_PAIRS`` sorted by both ids.

    A pair's distance is the least over its variants: each picture plain or without border, and one of the two mirrored.
    A pair as close as a duplicate whose colours differ (another colourway, a filter) is for review.

    Args:
        images: rows of ``IMAGE_HASHES`` with status ok, each image once. Flat ones take no part: their hashes mean
            nothing.
        rule: the limits.
        threads: threads that compare hashes.
        progress: called with (tiles compared, tiles in all).
    """
    images = images[~images["flat"].astype(bool)].sort_values("image_id", ignore_index=True)
    straight, mirrored = _Variants(images, mirrored=False), _Variants(images, mirrored=True)
    candidates = pd.concat(
        [
            _candidates(straight, straight, pairs_within(straight.bits256, None, rule.review_bits, threads, progress)),
            _candidates(
                straight,
                mirrored,
                pairs_within(straight.bits256, mirrored.bits256, rule.review_bits, threads, progress),
            ),
        ],
        ignore_index=True,
    )
    candidates["chroma"] = _chroma_distances(images, candidates)
    candidates = candidates.sort_values(["a", "b", "distance256", "via", "distance64", "chroma"], kind="stable")
    nearest = candidates.drop_duplicates(["a", "b"])
    duplicate = (nearest["distance256"] <= rule.duplicate_bits) & (nearest["chroma"] <= rule.chroma_limit)
    ids = images["image_id"].to_numpy(dtype=object)
    columns = {
        "image_a": ids[nearest["a"]],
        "image_b": ids[nearest["b"]],
        "distance64": nearest["distance64"].to_numpy(),
        "distance256": nearest["distance256"].to_numpy(),
        "chroma_distance": nearest["chroma"].to_numpy(),
        "via": np.array(VIAS, dtype=object)[nearest["via"]],
        "band": np.where(duplicate, DUPLICATE, REVIEW).astype(object),
    }
    return pa.table(
        [pa.array(columns[field.name], field.type) for field in SIMILAR_PAIRS],
        schema=SIMILAR_PAIRS,
    )


def _candidates(left: _Variants, right: _Variants, pairs: HashPairs) -> pd.DataFrame:
    """Turn pairs of hashes into pairs of images a < b with the variant of each; a picture is no pair with itself."""
    frame = pd.DataFrame(
        {
            "a": left.image[pairs.left],
            "b": right.image[pairs.right],
            "variant_a": left.variant[pairs.left],
            "variant_b": right.variant[pairs.right],
            "distance256": pairs.distance,
            "distance64": np.bitwise_count(left.bits64[pairs.left] ^ right.bits64[pairs.right]).astype(np.int32),
        }
    )
    frame = frame[frame["a"] != frame["b"]]
    swapped = frame["a"] > frame["b"]
    turned = frame.rename(columns={"a": "b", "b": "a", "variant_a": "variant_b", "variant_b": "variant_a"})
    frame = pd.concat([frame[~swapped], turned[swapped]], ignore_index=True)
    return frame.assign(via=frame["variant_a"] | frame["variant_b"])


def _chroma_distances(images: pd.DataFrame, pairs: pd.DataFrame) -> npt.NDArray[np.float32]:
    """Difference in levels of the 8 x 8 Cb, Cr thumbnails of each pair, in the variants that matched.

    The mean over the eighth of the cells that differ most: a garment in another colour fills few cells, and a mean over
    all of them would not see it.
    """
    distances = np.empty(len(pairs), np.float32)
    plain, trimmed = _thumbnails(images["chroma"]), _thumbnails(images["trim_chroma"])
    step = 65_536  # pairs at a time: bounded memory
    for start in range(0, len(pairs), step):
        part = pairs.iloc[start : start + step]
        a = _oriented(plain, trimmed, part["a"].to_numpy(), part["variant_a"].to_numpy())
        b = _oriented(plain, trimmed, part["b"].to_numpy(), part["variant_b"].to_numpy())
        difference = (a - b).astype(np.float32)
        cells = np.hypot(difference[:, 0], difference[:, 1]).reshape(-1, 64)
        distances[start : start + step] = np.sort(cells, axis=1)[:, -_WORST_CELLS:].mean(axis=1)
    return distances


def _oriented(
    plain: npt.NDArray[np.int16],
    trimmed: npt.NDArray[np.int16],
    images: npt.NDArray[np.int64],
    variants: npt.NDArray[np.int64],
) -> npt.NDArray[np.int16]:
    is_trimmed, is_mirrored = (variants & _TRIM) > 0, (variants & _MIRROR) > 0
    chosen = np.where(is_trimmed[:, None, None, None], trimmed[images], plain[images])
    return np.where(is_mirrored[:, None, None, None], chosen[..., ::-1], chosen)


def _thumbnails(chroma: Iterable[bytes]) -> npt.NDArray[np.int16]:
    return np.frombuffer(b"".join(chroma), np.uint8).reshape(-1, 2, 8, 8).astype(np.int16)


def _words64(hashes: Iterable[bytes]) -> npt.NDArray[np.uint64]:
    return np.frombuffer(b"".join(hashes), np.uint64)
