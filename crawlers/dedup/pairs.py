"""Similar pairs of images: candidates by their hashes, then verified by structure and colour, then by people."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from crawlers.dedup.index_images import COLUMNS
from crawlers.dedup.index_images import MIRRORED as MIRRORED_FLAG
from crawlers.dedup.overrides import Overrides
from crawlers.dedup.pair_index import PairIndex, Progress
from crawlers.dedup.rule import DedupRule
from crawlers.dedup.structure import structure_similarity
from crawlers.tables import IMAGE_HASHES, SIMILAR_PAIRS

DUPLICATE, REVIEW, DISTINCT = "duplicate", "review", "distinct"  # the bands of SIMILAR_PAIRS
RULE, PERSON = "rule", "person"

VIAS = ("plain", "trim", "mirror", "trim_mirror")  # how a pair matched; the first of equally close ones is named
MIRRORED = frozenset({"mirror", "trim_mirror"})
SHOWN_DISTINCT = 200  # pairs beyond the review band, the closest, that are listed
BEYOND = 8  # bits beyond the review band up to which pairs are looked for, to show how near the kept ones come
_WORST_CELLS = 8  # of 64
_STEP = 65_536  # pairs at a time: bounded memory


def open_index(folder: Path, rule: DedupRule, version: str, threads: int = 2) -> PairIndex:
    """Open the index of candidate pairs that a rule needs, or begin one.

    Args:
        folder: where it lies; it can be made again from the hashes.
        rule: the limits.
        version: algorithm and version of the hashes, as ``clusters.hash_version`` gives it.
        threads: threads that compare hashes.
    """
    return PairIndex(folder, version, rule.candidate_bits, rule.review_bits + BEYOND, threads)


@contextmanager
def temporary_index(
    hashes: pd.DataFrame, rule: DedupRule, threads: int = 2, progress: Progress | None = None
) -> Iterator[PairIndex]:
    """Make the index of some images, and remove it in the end.

    Args:
        hashes: rows of ``IMAGE_HASHES`` with status ok, of one version, each image once or more.
        rule: the limits.
        threads: threads that compare hashes.
        progress: called with (images done, images in all).
    """
    versions = (hashes["algorithm"] + " " + hashes["version"]).unique()
    with tempfile.TemporaryDirectory(prefix="near-duplicates-") as folder:
        index = open_index(Path(folder), rule, versions[0] if len(versions) else "", threads)
        schema = pa.schema([IMAGE_HASHES.field(name) for name in COLUMNS])
        index.add(pa.Table.from_pandas(hashes, schema, preserve_index=False), progress)
        yield index


def similar_pairs(
    index: PairIndex, ids: Sequence[str], rule: DedupRule, overrides: Overrides | None = None
) -> pa.Table:
    """List the pairs among some images that the rule or a person calls duplicate or review, and the closest others.

    A pair's distance is the least over its variants: each picture plain or without border, and one of the two mirrored.
    Above ``duplicate_bits`` a pair is a duplicate only if its grey thumbnails agree, one of them perhaps as a crop of
    the other. A pair whose colours differ (another colourway, a filter) is for review. What a person said of a pair
    stands whatever the distances are; a pair said to be different is none at all.

    Args:
        index: holds at least these images.
        ids: images; flat ones take no part, their hashes mean nothing.
        rule: the limits.
        overrides: people's decisions; pairs with an image that is not among these are passed over.

    Returns:
        ``SIMILAR_PAIRS`` sorted by both ids.
    """
    overrides = overrides or Overrides()
    names = np.array(sorted(ids), dtype=object)
    frame = _verified(index, _nearest(index, names), rule)
    frame["image_a"], frame["image_b"] = names[frame["a"]], names[frame["b"]]
    frame["decided_by"] = RULE
    frame = _decided_by_people(frame, index, names, overrides)
    beyond = frame[frame["band"] == DISTINCT].sort_values(["distance256", "image_a", "image_b"]).iloc[SHOWN_DISTINCT:]
    frame = frame.drop(index=beyond.index).sort_values(["image_a", "image_b"])
    arrays = [pa.array(frame[field.name], field.type, from_pandas=True) for field in SIMILAR_PAIRS]
    return pa.table(arrays, schema=SIMILAR_PAIRS)


def _nearest(index: PairIndex, names: npt.NDArray[np.object_]) -> pd.DataFrame:
    """Return each candidate pair once, as its two nearest variants."""
    rows = index.rows(list(names))
    place = np.full(len(index), -1, np.int64)
    place[rows] = np.arange(len(rows))
    found = index.pairs(list(names))
    turned = place[found.a] > place[found.b]
    columns = {}
    for side, other in (("a", "b"), ("b", "a")):
        own_row, other_row = getattr(found, side), getattr(found, other)
        own_variant, other_variant = getattr(found, f"variant_{side}"), getattr(found, f"variant_{other}")
        columns[f"row_{side}"] = np.where(turned, other_row, own_row)
        columns[f"variant_{side}"] = np.where(turned, other_variant, own_variant)
        columns[side] = place[columns[f"row_{side}"]]
    frame = pd.DataFrame(columns | {"distance64": found.distance64, "distance256": found.distance256})
    frame["via"] = frame["variant_a"] | frame["variant_b"]
    frame["chroma_distance"] = _chroma_distances(index, frame)
    keys = ["a", "b", "distance256", "via", "distance64", "chroma_distance"]
    return frame.sort_values(keys, kind="stable").drop_duplicates(["a", "b"], ignore_index=True)


def _verified(index: PairIndex, frame: pd.DataFrame, rule: DedupRule) -> pd.DataFrame:
    """Say of each pair in which band it is."""
    distance = frame["distance256"].to_numpy()
    far = (distance > rule.duplicate_bits) & (distance <= rule.review_bits)
    structure = np.full(len(frame), np.nan, np.float32)
    structure[far] = _structures(index, frame[far])
    same = (distance <= rule.duplicate_bits) | (structure >= rule.structure_limit)
    alike = frame["chroma_distance"].to_numpy() <= rule.chroma_limit
    frame["structure"] = structure
    near = distance <= rule.review_bits
    frame["band"] = np.where(same & alike, DUPLICATE, np.where(near, REVIEW, DISTINCT)).astype(object)
    frame["via"] = np.array(VIAS, dtype=object)[frame["via"]]
    return frame


def _decided_by_people(
    frame: pd.DataFrame, index: PairIndex, names: npt.NDArray[np.object_], overrides: Overrides
) -> pd.DataFrame:
    known = set(names) if overrides.images else set()
    if different := {pair for pair in overrides.different if known.issuperset(pair)}:
        pairs = list(zip(frame["image_a"], frame["image_b"], strict=True))
        said = np.fromiter((pair in different for pair in pairs), bool, len(pairs))
        frame.loc[said, ["band", "decided_by"]] = [DISTINCT, PERSON]
    same = sorted(pair for pair in overrides.same if known.issuperset(pair))
    if not same:
        return frame
    places = {pair: row for row, pair in enumerate(zip(frame["image_a"], frame["image_b"], strict=True))}
    listed = [places[pair] for pair in same if pair in places]
    frame.loc[frame.index[listed], ["band", "decided_by"]] = [DUPLICATE, PERSON]
    new = [pair for pair in same if pair not in places]
    return pd.concat([frame, _plain_pairs(index, new)], ignore_index=True) if new else frame


def _plain_pairs(index: PairIndex, pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """Return rows for pairs that only a person calls duplicates: their distances as they are, plain."""
    rows = [index.rows([pair[side] for pair in pairs]) for side in (0, 1)]
    plain = np.zeros(len(pairs), np.uint8)
    bits = [index.bits256(side, plain) for side in rows]
    bits64 = [index.bits64(side, plain) for side in rows]
    frame = pd.DataFrame({"row_a": rows[0], "row_b": rows[1], "variant_a": plain, "variant_b": plain})
    return frame.assign(
        image_a=[pair[0] for pair in pairs],
        image_b=[pair[1] for pair in pairs],
        distance256=np.bitwise_count(bits[0] ^ bits[1]).sum(axis=1).astype(np.int32),
        distance64=np.bitwise_count(bits64[0] ^ bits64[1]).astype(np.int32),
        chroma_distance=_chroma_distances(index, frame),
        structure=np.nan,
        via=VIAS[0],
        band=DUPLICATE,
        decided_by=PERSON,
    )


def _chroma_distances(index: PairIndex, pairs: pd.DataFrame) -> npt.NDArray[np.float32]:
    """Distance of the colours of each pair: the mean over the eight cells of the thumbnail that differ most, in levels.

    A mean over all cells would not see a garment in another colour, which fills few of them.
    """
    distances = np.empty(len(pairs), np.float32)
    for start in range(0, len(pairs), _STEP):
        part = pairs.iloc[start : start + _STEP]
        sides = [
            index.chroma(part[f"row_{side}"].to_numpy(), part[f"variant_{side}"].to_numpy()).astype(np.int16)
            for side in ("a", "b")
        ]
        difference = (sides[0] - sides[1]).astype(np.float32)
        cells = np.hypot(difference[:, 0], difference[:, 1]).reshape(-1, 64)
        distances[start : start + _STEP] = np.sort(cells, axis=1)[:, -_WORST_CELLS:].mean(axis=1)
    return distances


def _structures(index: PairIndex, pairs: pd.DataFrame) -> npt.NDArray[np.float32]:
    """Agreement of the grey thumbnails of each pair, without borders, one turned around where the pair is mirrored."""
    result = np.empty(len(pairs), np.float32)
    for start in range(0, len(pairs), _STEP):
        part = pairs.iloc[start : start + _STEP]
        mirrored = (part["via"].to_numpy() & MIRRORED_FLAG) > 0
        left = index.luma(part["row_a"].to_numpy(), np.zeros(len(part), np.bool_))
        right = index.luma(part["row_b"].to_numpy(), mirrored)
        result[start : start + _STEP] = structure_similarity(left, right)
    return result
