import itertools
from collections.abc import Callable

import duckdb
import numpy as np
import pytest
from dedup_hashes import all_pairs, centred, skewed
from hypothesis import given, settings
from hypothesis import strategies as st

from crawlers.dedup import multi_index
from crawlers.dedup.multi_index import Band, pieces, plan
from crawlers.dedup.search import HashPairs, near_pair_pieces, near_pairs

Pairs = list[tuple[int, int, int]]


def listed(pairs: HashPairs) -> Pairs:
    return list(zip(pairs.left.tolist(), pairs.right.tolist(), pairs.distance.tolist(), strict=True))


def searched(left: np.ndarray, right: np.ndarray | None, radius: int, bands: tuple[Band, ...]) -> Pairs:
    """The pairs that multi-index hashing emits with these bands, each as often as it is emitted."""
    found = pieces(left, right, radius, bands=bands)
    return sorted(
        (a, b, bits)
        for piece in found
        for (a, b), bits in zip(piece.rows.tolist(), piece.distance.tolist(), strict=True)
    )


@st.composite
def band_sets(draw: st.DrawFn) -> tuple[int, tuple[Band, ...]]:
    """A radius, and bands that see every pair within it."""
    radius = draw(st.integers(0, 14))
    bands, left = [], radius + 1
    while left:
        near = draw(st.integers(0, min(2, left - 1)))
        bands.append(Band(draw(st.integers(near, min(10, 64 // (radius + 1)))), near))
        left -= near + 1
    return radius, tuple(bands)


HASHES = st.builds(
    lambda kind, seed, count: {"centred": centred, "skewed": skewed}[kind](seed, count),
    st.sampled_from(["centred", "skewed"]),
    st.integers(0, 2**32),
    st.integers(0, 120),
)


@given(HASHES, HASHES, band_sets(), st.sampled_from([256, 300, 1 << 17]), st.sampled_from([7, 64]))
@settings(max_examples=120, deadline=None)
def test_any_bands_emit_each_pair_once(
    left: np.ndarray, right: np.ndarray, radius_bands: tuple[int, tuple[Band, ...]], capacity: int, tile: int
) -> None:
    radius, bands = radius_bands
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(multi_index, "CAPACITY", capacity)  # full pieces, which are gone on with
        patch.setattr(multi_index, "TILE", tile)
        assert searched(left, None, radius, bands) == all_pairs(left, None, radius)
        assert searched(left, right, radius, bands) == all_pairs(left, right, radius)


@given(HASHES, HASHES, st.integers(0, 64), st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_near_pairs_are_all_pairs_in_order(left: np.ndarray, right: np.ndarray, radius: int, threads: int) -> None:
    assert listed(near_pairs(left, None, radius, threads)) == all_pairs(left, None, radius)
    assert listed(near_pairs(left, right, radius, threads)) == all_pairs(left, right, radius)


@pytest.mark.parametrize("radius", [0, 4, 8, 10, 14])
@pytest.mark.parametrize("kind", [centred, skewed])
def test_planned_bands_emit_each_pair_once(radius: int, kind: Callable[[int, int], np.ndarray]) -> None:
    left, right = kind(1, 1_500), kind(2, 700)
    left[1_000:1_100] = left[:100]
    for count in (10_000, 1_000_000):
        bands = plan(count, count, True, radius)
        assert bands == (Band(0, 0),) or sum(band.radius + 1 for band in bands) == radius + 1
        assert sum(band.width for band in bands) <= 64
        assert searched(left, None, radius, bands) == all_pairs(left, None, radius)
        assert searched(left, right, radius, bands) == all_pairs(left, right, radius)


@pytest.mark.parametrize("kind", [centred, skewed])
def test_a_database_finds_the_same_pairs(kind: Callable[[int, int], np.ndarray]) -> None:
    """Another method, in SQL: nine bands, one of which must be equal, and duplicates removed."""
    hashes = kind(3, 20_000)
    connection = duckdb.connect(config={"threads": 1})
    connection.execute("CREATE TABLE hashes (row BIGINT, hash UBIGINT)")
    connection.execute(
        "INSERT INTO hashes SELECT * FROM (SELECT unnest(?), unnest(?))", [list(range(20_000)), hashes.tolist()]
    )
    found = connection.execute(
        """
        WITH bands AS (
            SELECT row, hash, band, (hash >> (7 * band)) & 127 AS key FROM hashes, range(9) AS t(band)
        )
        SELECT DISTINCT a.row, b.row, bit_count(xor(a.hash, b.hash))::INTEGER AS bits
        FROM bands a JOIN bands b ON a.band = b.band AND a.key = b.key AND a.row < b.row
        WHERE bits <= 8 ORDER BY ALL
        """
    ).fetchall()
    assert len(found) > 1_000
    assert listed(near_pairs(hashes, None, 8)) == found


def test_equal_hashes_come_in_bounded_pieces() -> None:
    equal = np.full(3_000, 12345, np.uint64)
    for bands in (None, plan(1_000_000, 1_000_000, True, 8)):
        sizes = [len(piece.distance) for piece in pieces(equal, None, 8, bands=bands)]
        assert sum(sizes) == 3_000 * 2_999 // 2
        assert max(sizes) <= 1.5 * multi_index.CAPACITY


def test_a_search_that_is_given_up_ends() -> None:
    found = near_pair_pieces(np.zeros(20_000, np.uint64), None, 8)
    assert len(next(found)) > 0
    found.close()  # type: ignore[attr-defined]


def test_the_order_of_pieces_does_not_depend_on_threads() -> None:
    hashes = centred(5, 3_000)
    one, three = (list(near_pair_pieces(hashes, None, 10, threads)) for threads in (1, 3))
    assert [listed(piece) for piece in one] == [listed(piece) for piece in three]


def test_progress_counts_tiles_of_all_bands() -> None:
    told: list[tuple[int, int]] = []
    list(
        pieces(centred(0, 1_000), None, 3, bands=(Band(16, 1), Band(16, 1)), progress=lambda *count: told.append(count))
    )
    assert told == [(number, len(told)) for number in range(1, len(told) + 1)]
    assert len(told) == 8  # four tiles of 256 or less, twice


def test_small_and_hopeless_searches_are_brute_force() -> None:
    assert plan(1_000, 1_000, True, 8) == (Band(0, 0),)
    assert plan(100_000, 100_000, True, 40) == (Band(0, 0),)
    assert len(plan(1_000_000, 1_000_000, True, 8)) > 1


def test_empty_sides_have_no_pairs() -> None:
    empty, some = np.empty(0, np.uint64), centred(0, 10)
    for left, right in itertools.product((empty, some), repeat=2):
        assert bool(len(near_pairs(left, right, 64))) == bool(len(left) and len(right))
    assert len(near_pairs(empty, None, 8)) == len(near_pairs(some, None, -1)) == 0


def test_more_hashes_than_rows_can_be_numbered_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multi_index, "MOST", 10)
    with pytest.raises(ValueError, match="more than 9 hashes"):
        near_pairs(centred(0, 5), centred(0, 10), 8)
