"""Exact search for all pairs of 64-bit hashes within a radius: multi-index hashing as a join of buckets.

After Norouzi, Punjani, Fleet, "Fast Search in Hamming Space with Multi-Index Hashing" (CVPR 2012). The 64 bits are cut
into bands, and each band gets a radius of its own, such that the radii plus one add up to the whole radius plus one:
then two hashes within the whole radius are within the band's radius on at least one band (otherwise they would differ
by more bits than there are). For each band the hashes are sorted by its bits, and each bucket is compared with those
whose key differs by few enough bits. A pair is emitted by the first band that can see it, so nothing has to be
de-duplicated. A single band without bits is brute force.
"""

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

BITS = 64
MOST = 1 << 28  # hashes of a side
CAPACITY = 1 << 17  # pairs of a piece
TILE = 8192  # left hashes of a tile, at most
_AHEAD = 16  # tiles a thread may be ahead of the reader
_STRIDE = 27  # the k-th bit after the permutation is bit 27 k mod 64: neighbouring coefficients go to different bands

# Nanoseconds, measured on one core of an x86-64 server with a million random hashes; only their ratios matter.
_COMPARE = 0.2  # two hashes
_SCAN = 6.0  # a hash with a bucket, beside the comparisons
_PROBE = 9.0  # look for the partner of a bucket
_SORT, _KEY = 30.0, 5.0  # a hash and a bucket, twice what they take: one thread does it
_SKEW = 3.0  # times as many comparisons as random hashes need, for real ones
_BAND = 500_000.0  # hand the tiles of a band to threads
_WIDEST = 24  # bits of a band: 64 MiB of bucket starts
_MOST_FLIPS = 5_000  # keys compared with each key

Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Band:
    """Some bits of the hash, and by how many of them a pair may differ that this band has to see."""

    width: int  # bits
    radius: int  # bits


@dataclass(frozen=True)
class Piece:
    """Pairs found: ``(K, 2) int32`` rows of left and right, and ``(K,) uint8`` bits between them, in no order."""

    rows: npt.NDArray[np.int32]
    distance: npt.NDArray[np.uint8]


@lru_cache(maxsize=256)
def plan(left: int, right: int, same: bool, radius: int) -> tuple[Band, ...]:
    """Choose the bands that cost least for so many hashes at the left and right, by dynamic programming.

    Returns bands whose radii, each plus one, add up to ``radius + 1``, and whose widths add up to 64 at most, those
    with the smallest radius first; or a single one without bits, where brute force costs less: below about 15,000
    hashes at 8 to 14 bits.
    """
    if radius >= BITS:
        return (Band(0, 0),)
    best = [[math.inf] * (BITS + 1) for _ in range(radius + 2)]  # [radii + 1 given away][bits used]
    taken: dict[tuple[int, int], tuple[int, Band]] = {}
    best[0] = [0.0] * (BITS + 1)
    choices = [
        (Band(width, near), _cost(width, near, left, right, same))
        for width in range(1, _WIDEST + 1)
        for near in range(min(width, radius + 1))
        if _flip_count(width, near) <= _MOST_FLIPS
    ]
    for given in range(1, radius + 2):
        for band, cost in choices:
            if band.radius < given:
                before = best[given - band.radius - 1]
                for used in range(band.width, BITS + 1):
                    total = before[used - band.width] + cost
                    if total < best[given][used]:
                        best[given][used] = total
                        taken[given, used] = (used - band.width, band)
    if best[radius + 1][BITS] > _cost(0, 0, left, right, same):
        return (Band(0, 0),)
    bands, given, used = [], radius + 1, BITS
    while given:
        used, band = taken[given, used]
        bands.append(band)
        given -= band.radius + 1
    return tuple(sorted(bands, key=lambda band: (band.radius, band.width)))


def _flip_count(width: int, radius: int) -> int:
    return sum(math.comb(width, bits) for bits in range(radius + 1))


def _cost(width: int, radius: int, left: int, right: int, same: bool) -> float:
    """Expected nanoseconds of one band."""
    keys = 2.0**width
    flips = _flip_count(width, radius)
    probes = keys * -math.expm1(-left / keys) * flips  # of a bucket, for each bucket that is not empty
    scans = left * -math.expm1(-right / keys) * flips / (2 if same else 1)  # of a bucket that is not empty
    compared = left * right / keys * flips / (2 if same else 1) * (_SKEW if width else 1)
    ordered = left if same else left + right
    return probes * _PROBE + scans * _SCAN + compared * _COMPARE + ordered * _SORT + keys * _KEY + _BAND


def pieces(
    left: Hashes,
    right: Hashes | None,
    radius: int,
    threads: int = 2,
    progress: Callable[[int, int], None] | None = None,
    bands: tuple[Band, ...] | None = None,
) -> Iterator[Piece]:
    """Find every pair of ``(N,)`` and ``(M,) uint64`` hashes at most ``radius`` bits apart, piece by piece (recall 1).

    With ``right`` None, ``left`` is compared with itself, and each pair appears once, the smaller row at the left.
    A piece has at least one pair and less than 1.5 times ``CAPACITY``; their order does not depend on the threads. The
    search waits for the reader, so memory is bounded also where all hashes are equal and every pair is one: 20 bytes a
    hash, the bucket starts (64 MiB a side at most), and 1.2 MiB for each tile that waits (16 a thread).

    Args:
        left: hashes.
        right: other hashes, or None.
        radius: bits.
        threads: threads that compare; compiled code runs without the interpreter lock.
        progress: called with (tiles compared, tiles in all).
        bands: instead of those that :func:`plan` chooses.

    Raises:
        ValueError: if a side has 2 ** 28 hashes or more.
    """
    if max(len(left), 0 if right is None else len(right)) >= MOST:
        raise ValueError(f"more than {MOST - 1} hashes; compare them in parts")
    if not len(left) or (right is not None and not len(right)) or radius < 0:
        return
    from crawlers.dedup._multi_index import permute  # loads numba

    if bands is None:
        bands = plan(_rounded(len(left)), _rounded(len(left if right is None else right)), right is None, radius)
    table = _permutation()
    sides: list[Hashes] = []
    for hashes in (left,) if right is None else (left, right):
        sides.append(np.empty(len(hashes), np.uint64))
        permute(hashes, table, sides[-1])
    tile = min(TILE, max(256, len(left) // (64 * threads)))
    tiles = -(-len(left) // tile) * len(bands)
    done = itertools.count(1)

    def finished() -> None:
        number = next(done)
        if progress is not None:
            progress(number, tiles)

    with ThreadPoolExecutor(max(1, threads)) as pool:
        joins = (_BandJoin(sides, bands, number, radius, tile) for number in range(len(bands)))
        yield from _merged(piece for join in joins for piece in _run(pool, join, threads * _AHEAD, finished))


def _rounded(count: int) -> int:
    """Round to two significant binary digits, so that few plans are computed."""
    step = 1 << max(0, count.bit_length() - 2)
    return count // step * step


def _merged(found: Iterator[Piece]) -> Iterator[Piece]:
    """Join small pieces."""
    waiting: list[Piece] = []
    for piece in found:
        waiting.append(piece)
        if sum(len(part.distance) for part in waiting) >= CAPACITY // 2:
            yield _joined(waiting)
            waiting = []
    if waiting:
        yield _joined(waiting)


def _joined(parts: list[Piece]) -> Piece:
    return Piece(np.concatenate([part.rows for part in parts]), np.concatenate([part.distance for part in parts]))


def _run(pool: ThreadPoolExecutor, join: "_BandJoin", ahead: int, finished: Callable[[], None]) -> Iterator[Piece]:
    """Run the tiles of a band in order, at most ``ahead`` of them before the reader."""
    waiting: deque[Future[tuple[Piece, npt.NDArray[np.int64]]]] = deque()
    todo = join.tiles()
    try:
        while True:
            waiting.extend(pool.submit(join.compare, state) for state in itertools.islice(todo, ahead - len(waiting)))
            if not waiting:
                return
            piece, state = waiting.popleft().result()
            if state[0] >= 0:  # the piece was full
                waiting.appendleft(pool.submit(join.compare, state))
            else:
                finished()
            if len(piece.distance):
                yield piece
    finally:
        for future in waiting:
            future.cancel()


class _BandJoin:
    """Both sides sorted by the bits of one band, and the comparison of one tile."""

    def __init__(self, sides: list[Hashes], bands: tuple[Band, ...], number: int, radius: int, tile: int) -> None:
        self._band, self._radius, self._same, self._tile = bands[number], np.uint64(radius), len(sides) == 1, tile
        shifts = list(itertools.accumulate((band.width for band in bands), initial=0))
        self._shift = np.uint64(shifts[number])
        self._mask = np.uint64((1 << self._band.width) - 1)
        self._flips = _flips(self._band)
        self._seen_masks = np.array(
            [((1 << band.width) - 1) << shift for band, shift in zip(bands[:number], shifts, strict=False)], np.uint64
        )
        self._seen_radii = np.array([band.radius for band in bands[:number]], np.uint64)
        self._left = self._right = self._sort(sides[0])
        if not self._same:
            self._right = self._sort(sides[1])

    def _sort(self, hashes: Hashes) -> tuple[Hashes, npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        from crawlers.dedup._multi_index import sort_by_band  # loads numba

        starts = np.empty((1 << self._band.width) + 1, np.int32)
        ordered, rows = np.empty(len(hashes), np.uint64), np.empty(len(hashes), np.int32)
        sort_by_band(hashes, self._shift, self._mask, starts, ordered, rows)
        return ordered, rows, starts

    def tiles(self) -> Iterator[npt.NDArray[np.int64]]:
        """States to start from: flip, first left place, left place, right place, end."""
        count = len(self._left[0])
        for first in range(0, count, self._tile):
            yield np.array([0, first, first, -1, min(first + self._tile, count)], np.int64)

    def compare(self, state: npt.NDArray[np.int64]) -> tuple[Piece, npt.NDArray[np.int64]]:
        """Compare a tile from ``state`` on; returns what was found and where to go on (flip -1 at the end)."""
        from crawlers.dedup._multi_index import join_tile  # loads numba

        rows, distance = np.empty((CAPACITY, 2), np.int32), np.empty(CAPACITY, np.uint8)
        count = join_tile(
            *self._left,
            *self._right,
            self._same,
            self._shift,
            self._mask,
            self._flips,
            self._radius,
            self._seen_masks,
            self._seen_radii,
            state,
            rows,
            distance,
        )
        found = rows[:count].copy()
        if self._same:
            found.sort(axis=1)
        return Piece(found, distance[:count].copy()), state


def _flips(band: Band) -> Hashes:
    """Everything that two keys may differ by, ``(V,) uint64``, nothing first."""
    flips = [
        sum(1 << bit for bit in bits)
        for count in range(band.radius + 1)
        for bits in itertools.combinations(range(band.width), count)
    ]
    return np.array(flips, np.uint64)


@lru_cache(maxsize=1)
def _permutation() -> Hashes:
    """Where the bits of each byte value go: ``(8, 256) uint64``."""
    table = np.zeros((8, 256), np.uint64)
    values = np.arange(256)
    for place in range(BITS):
        byte, bit = divmod(place * _STRIDE % BITS, 8)
        table[byte] |= (values >> bit & 1).astype(np.uint64) << np.uint64(place)
    return table
