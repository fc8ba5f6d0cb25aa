import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawlers.dedup import search
from crawlers.dedup.search import pairs_within, words, words64


def brute_force(left: np.ndarray, right: np.ndarray | None, radius: int) -> list[tuple[int, int, int]]:
    """Every pair, by numpy: the oracle."""
    other = left if right is None else right
    bits = np.bitwise_count(left[:, None] ^ other[None]).sum(axis=2)
    return [
        (i, j, int(bits[i, j]))
        for i in range(len(left))
        for j in range(i + 1 if right is None else 0, len(other))
        if bits[i, j] <= radius
    ]


def listed(pairs: search.HashPairs) -> list[tuple[int, int, int]]:
    return list(zip(pairs.left.tolist(), pairs.right.tolist(), pairs.distance.tolist(), strict=True))


def clustered_hashes(seed: int, count: int) -> np.ndarray:
    """Hashes around a few centres, so that every distance occurs."""
    rng = np.random.default_rng(seed)
    centres = rng.integers(0, 2, (3, 256), np.uint8)
    flips = rng.random((count, 256)) < rng.choice([0, 0.02, 0.1, 0.5], (count, 1))
    return np.packbits(centres[rng.integers(0, 3, count)] ^ flips, axis=1).view(np.uint64)


@given(st.integers(0, 2**32), st.integers(0, 40), st.integers(0, 40), st.integers(0, 256), st.integers(1, 3))
@settings(max_examples=80, deadline=None)
def test_every_pair_within_the_radius_is_found_in_order(
    seed: int, count: int, other: int, radius: int, threads: int
) -> None:
    left, right = clustered_hashes(seed, count), clustered_hashes(seed + 1, other)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "TILE", 16)  # several tiles, with a rest
        assert listed(pairs_within(left, None, radius, threads)) == brute_force(left, None, radius)
        assert listed(pairs_within(left, right, radius, threads)) == brute_force(left, right, radius)


def test_more_pairs_than_a_tile_has_room_for_are_all_there() -> None:
    same = np.zeros((200, 4), np.uint64)
    assert len(pairs_within(same, None, 0)) == 200 * 199 // 2


def test_progress_counts_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "TILE", 10)
    told: list[tuple[int, int]] = []
    pairs_within(clustered_hashes(0, 25), None, 8, progress=lambda done, total: told.append((done, total)))
    assert told == [(number, 6) for number in range(1, 7)]


def test_words_keeps_every_bit() -> None:
    hashes = [bytes(range(32)), bytes([255] * 32)]
    assert words(hashes).shape == (2, 4)
    assert words(hashes).tobytes() == b"".join(hashes)
    assert words([]).shape == (0, 4)


def test_words64_keeps_every_bit() -> None:
    hashes = [bytes(range(8)), bytes([255] * 8)]
    assert words64(hashes).shape == (2,)
    assert words64(hashes).tobytes() == b"".join(hashes)
    assert words64([]).shape == (0,)
