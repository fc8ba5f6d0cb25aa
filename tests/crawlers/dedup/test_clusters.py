from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from dedup_pictures import flipped, hash_frame, hash_row, image_id, random_hash
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from crawlers.dedup import DedupRule, unique_images
from crawlers.dedup.clusters import hash_version
from crawlers.dedup.hashing import ALGORITHM, HASH_VERSION
from crawlers.dedup.overrides import Overrides
from crawlers.dedup.pairs import open_index
from crawlers.errors import CrawlError
from crawlers.tables import IMAGE_HASHES, SIMILAR_PAIRS, UNIQUE_IMAGES

WINDOWS = ["2019-07-01", "2019-07-08", "2019-07-15"]
BITS = random_hash(1)


def decided(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The result by the number of the image."""
    table, _ = unique_images(hash_frame(rows))
    return {int(row["image_id"], 16): row for row in table.to_pylist()}


def test_a_duplicate_is_set_aside_for_the_image_with_more_content() -> None:
    result = decided(
        [
            hash_row(1, BITS),
            hash_row(2, flipped(BITS, 8), width=300, content_width=300),
            hash_row(3, random_hash(7)),
        ]
    )
    assert [result[number]["kept"] for number in (1, 2, 3)] == [False, True, True]
    assert result[1]["canonical_id"] == image_id(2)
    assert result[1]["stage"] == "phash"
    assert result[1]["reason"] == f"near-duplicate of {image_id(2)}: 8 of 256 bits apart (plain)"
    assert (result[1]["distance256"], result[1]["distance64"], result[1]["via"]) == (8, 0, "plain")
    assert [result[number]["cluster_size"] for number in (1, 2, 3)] == [2, 2, 1]
    kept = result[2]
    assert (kept["stage"], kept["reason"], kept["distance256"], kept["via"]) == (None, None, None, None)
    assert kept["rule_version"] == DedupRule().version
    assert kept["hash_version"] == f"{ALGORITHM} {HASH_VERSION}"


def test_equal_content_goes_to_the_earlier_post_then_to_the_smaller_id() -> None:
    early, late = pd.Timestamp("2019-07-02", tz="UTC"), pd.Timestamp("2019-07-03", tz="UTC")
    assert decided([hash_row(1, BITS, created_at=late), hash_row(2, BITS, created_at=early)])[2]["kept"]
    assert decided([hash_row(1, BITS, created_at=pd.NaT), hash_row(2, BITS, created_at=late)])[2]["kept"]
    assert decided([hash_row(2, BITS), hash_row(1, BITS)])[1]["kept"]


def test_a_border_does_not_make_a_picture_larger() -> None:
    original = hash_row(9, BITS, width=100, content_width=100)
    bordered = hash_row(1, BITS, width=150, content_width=99)
    assert decided([original, bordered])[9]["kept"]


def test_an_earlier_window_stays_canonical_and_the_better_file_is_named() -> None:
    result = decided(
        [
            hash_row(5, BITS, WINDOWS[0]),
            hash_row(1, BITS, WINDOWS[1], width=900, content_width=900),
        ]
    )
    assert result[5]["kept"]
    assert result[1]["canonical_id"] == image_id(5)
    assert result[5]["best_image_id"] == result[1]["best_image_id"] == image_id(1)


def test_a_mirrored_copy_is_never_the_better_file() -> None:
    mirrored = hash_row(
        2, random_hash(3), WINDOWS[1], mirror_phash256=BITS, mirror_phash64=BITS[:8], width=900, content_width=900
    )
    result = decided([hash_row(1, BITS), mirrored])
    assert result[2]["via"] == "mirror"
    assert result[2]["best_image_id"] == image_id(1)


def test_being_like_an_image_set_aside_is_not_enough() -> None:
    """A chain 0 - 24 - 48 bits: the far end is its own canonical, and the pair is listed."""
    rows = [hash_row(1, BITS), hash_row(2, flipped(BITS, 24)), hash_row(3, flipped(BITS, 48))]
    table, pairs = unique_images(hash_frame(rows))
    assert table.column("canonical_id").to_pylist() == [image_id(1), image_id(1), image_id(3)]
    bands = {(pair["image_a"], pair["image_b"]): pair["band"] for pair in pairs.to_pylist()}
    assert bands == {
        (image_id(1), image_id(2)): "duplicate",
        (image_id(1), image_id(3)): "review",
        (image_id(2), image_id(3)): "duplicate",
    }


def test_the_nearest_canonical_wins() -> None:
    rows = [hash_row(1, BITS), hash_row(2, flipped(BITS, 40)), hash_row(3, flipped(BITS, 22), WINDOWS[1])]
    result = decided(rows)
    assert result[3]["canonical_id"] == image_id(2)
    assert result[3]["distance256"] == 18


def test_other_colours_are_kept_apart() -> None:
    red = bytes([128] * 64 + [128] * 48 + [228] * 16)
    table, pairs = unique_images(hash_frame([hash_row(1, BITS), hash_row(2, BITS, chroma=red, trim_chroma=red)]))
    assert table.column("kept").to_pylist() == [True, True]
    assert pairs.column("band").to_pylist() == ["review"]


def test_the_same_bytes_in_several_windows_are_one_row_of_the_first() -> None:
    early = pd.Timestamp("2019-07-02", tz="UTC")
    result = decided(
        [
            hash_row(1, BITS, WINDOWS[1], posts=2, post_id="m:8", created_at=pd.NaT),
            hash_row(1, BITS, WINDOWS[0], posts=3, post_id="m:2", created_at=early, author_hmac="first"),
        ]
    )
    assert list(result) == [1]
    assert (result[1]["window"], result[1]["posts"], result[1]["cluster_size"]) == (WINDOWS[0], 5, 1)
    assert (result[1]["post_id"], result[1]["author_hmac"]) == ("m:2", "first")


def test_an_image_without_hashes_is_left_out() -> None:
    broken = hash_row(2, BITS) | {name: None for name in hash_row(2, BITS) if "phash" in name or "chroma" in name}
    broken |= {"status": "failed", "reason": "unreadable_image", "flat": None, "content_width": None, "width": None}
    assert list(decided([hash_row(1, BITS), broken])) == [1]


def test_nothing_gives_empty_tables() -> None:
    table, pairs = unique_images(hash_frame([]))
    assert table.schema.equals(UNIQUE_IMAGES)
    assert pairs.schema.equals(SIMILAR_PAIRS)
    assert table.num_rows == pairs.num_rows == 0


def test_hashes_of_two_versions_are_refused() -> None:
    rows = [hash_row(1, BITS, WINDOWS[0], version="0"), hash_row(2, BITS, WINDOWS[1])]
    with pytest.raises(CrawlError, match=r"imagehash\.phash 0 in window 2019-07-01.*hash the older windows again"):
        unique_images(hash_frame(rows))


def test_the_rule_refuses_bands_in_the_wrong_order_and_unknown_keys() -> None:
    with pytest.raises(ValidationError, match=r"review_bits \(20\) must not be below duplicate_bits \(32\)"):
        DedupRule(review_bits=20)
    with pytest.raises(ValidationError, match="duplicate_bit\n"):
        DedupRule(duplicate_bit=10)  # type: ignore[call-arg]


@st.composite
def collections(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Images around two centres, near and far from each other, in three windows, some seen twice, some flat."""
    rows = []
    for number in range(draw(st.integers(0, 14))):
        centre = flipped(BITS, draw(st.sampled_from([0, 0, 30, 60])))
        bits = flipped(centre, draw(st.integers(0, 40)), start=draw(st.integers(0, 200)))
        size = draw(st.sampled_from([100, 200]))
        flat = draw(st.booleans()) and number % 5 == 0
        for window in draw(st.sets(st.sampled_from(WINDOWS), min_size=1, max_size=2)):
            rows.append(hash_row(number, bits, window, width=size, content_width=size, flat=flat))
    return rows


@given(collections(), st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_the_order_of_rows_changes_nothing(rows: list[dict[str, Any]], random: Any) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)
    for one, other in zip(unique_images(hash_frame(rows)), unique_images(hash_frame(shuffled)), strict=True):
        assert one.equals(other)


@given(collections())
@settings(max_examples=30, deadline=None)
def test_clusters_are_stars_inside_the_radius_and_lose_no_image(rows: list[dict[str, Any]]) -> None:
    frame = hash_frame(rows)
    table, pairs = unique_images(frame)
    result = table.to_pandas().set_index("image_id")
    bands = {frozenset((pair["image_a"], pair["image_b"])): pair["band"] for pair in pairs.to_pylist()}
    assert set(result.index) == set(frame["image_id"])
    for name, row in result.iterrows():
        canonical = result.loc[row["canonical_id"]]
        assert canonical["kept"]
        assert canonical["window"] <= row["window"]
        assert row["kept"] == (row["canonical_id"] == name)
        if not row["kept"]:
            assert bands[frozenset((name, row["canonical_id"]))] == "duplicate"
            assert row["distance256"] <= 32
    kept = result.index[result["kept"]]
    assert not any(band == "duplicate" and pair <= set(kept) for pair, band in bands.items())
    sizes = result.groupby("canonical_id").size()
    assert (result["cluster_size"] == sizes.loc[result["canonical_id"]].to_numpy()).all()


@given(collections())
@settings(max_examples=30, deadline=None)
def test_later_windows_change_no_earlier_decision(rows: list[dict[str, Any]]) -> None:
    def decisions(until: str) -> pa.Table:
        table, _ = unique_images(hash_frame([row for row in rows if row["window"] <= until]))
        return table.select(["image_id", "window", "canonical_id", "kept", "reason", "distance256", "via"])

    everything = decisions(WINDOWS[-1]).to_pandas()
    for window in WINDOWS[:-1]:
        earlier = everything[everything["window"] <= window].reset_index(drop=True)
        pd.testing.assert_frame_equal(decisions(window).to_pandas(), earlier, check_dtype=False)


def overridden(rows: list[dict[str, Any]], *decisions: tuple[str, int, int]) -> dict[int, dict[str, Any]]:
    """The result by the number of the image, with people's decisions."""
    pairs = {what: frozenset((image_id(a), image_id(b)) for said, a, b in decisions if said == what) for what in SAID}
    keep = frozenset(image_id(a) for said, a, _ in decisions if said == "keep")
    named = keep | {one for pair in (*pairs["same"], *pairs["different"]) for one in pair}
    overrides = Overrides(keep, pairs["same"], pairs["different"], named)
    table, _ = unique_images(hash_frame(rows), overrides=overrides)
    return {int(row["image_id"], 16): row for row in table.to_pylist()}


SAID = ("same", "different")


def test_a_person_keeps_an_image_that_the_rule_would_set_aside() -> None:
    rows = [hash_row(1, BITS), hash_row(2, flipped(BITS, 8), WINDOWS[1]), hash_row(3, flipped(BITS, 4), WINDOWS[2])]
    result = overridden(rows, ("keep", 2, 0))
    assert result[2]["kept"]
    assert (result[1]["canonical_id"], result[3]["canonical_id"]) == (image_id(2), image_id(2))
    assert result[2]["rule_version"] != DedupRule().version  # a decision is part of the procedure
    assert [row["kept"] for row in overridden(rows, ("keep", 1, 0), ("keep", 2, 0)).values()] == [True, True, False]


def test_a_person_says_that_two_pictures_are_the_same() -> None:
    rows = [hash_row(1, BITS), hash_row(2, random_hash(5)), hash_row(3, flipped(random_hash(5), 6), WINDOWS[1])]
    result = overridden(rows, ("same", 1, 3))
    assert result[3]["canonical_id"] == image_id(1)  # although image 2 is nearer by its hashes
    assert (result[3]["stage"], result[3]["via"]) == ("person", "plain")
    assert result[3]["reason"].endswith("as a person decided")
    chained = overridden([*rows, hash_row(4, random_hash(6), WINDOWS[2])], ("same", 3, 4))
    assert chained[4]["canonical_id"] == chained[3]["canonical_id"] == image_id(2)  # where its partner went


def test_a_person_says_that_two_pictures_are_different() -> None:
    rows = [hash_row(1, BITS), hash_row(2, flipped(BITS, 2)), hash_row(3, flipped(BITS, 4))]
    result = overridden(rows, ("different", 1, 2))
    assert result[2]["kept"]
    assert result[3]["canonical_id"] == image_id(2)  # the nearer of two canonical ones


def test_decisions_on_images_that_are_gone_change_nothing() -> None:
    rows = [hash_row(1, BITS), hash_row(2, flipped(BITS, 2))]
    result = overridden(rows, ("different", 1, 9), ("same", 8, 9), ("keep", 7, 0))
    assert (result[1]["kept"], result[2]["canonical_id"]) == (True, image_id(1))


def test_an_index_that_is_kept_gives_the_same(tmp_path: Path) -> None:
    rows = [hash_row(n, flipped(BITS, 3 * n, 64 + n), WINDOWS[n % 3]) for n in range(9)]
    frame = hash_frame(rows)
    index = open_index(tmp_path, DedupRule(), hash_version(frame))
    for window in WINDOWS:
        part = frame[frame["window"] == window]
        index.add(pa.Table.from_pandas(part, IMAGE_HASHES, preserve_index=False))
        until = frame[frame["window"] <= window]
        light = until.drop(columns=[name for name in frame.columns if "phash" in name or "chroma" in name])
        for one, other in zip(unique_images(light, index=index), unique_images(until), strict=True):
            assert one.equals(other)
