"""How far two grey thumbnails show the same picture, where one may be a small crop of the other.

A perceptual hash compares two pictures cell by cell, so that a crop of 5% looks like another picture. Here one
thumbnail is laid over a window of the other, for a grid of windows, and the best agreement counts. Compared is what
stands out from its surroundings (each thumbnail less its local mean, normalised): light, contrast and soft shading
drop out, and pictures that merely have a similar layout do not agree.
"""

import functools
import itertools

import numpy as np
import numpy.typing as npt

from crawlers.dedup.phash import LUMA_SIDE

SCALES = (1.0, 0.98, 0.96, 0.94, 0.92, 0.9)  # sides of the windows, as shares of the picture
OFFSETS = (0.0, 0.5, 1.0)  # of a window along each side: at the start, in the middle, at the end
_BLUR = 2  # cells to each side that the local mean takes in
_NOTHING = np.float32(1.0)  # grey levels over all cells: detail below is not scaled up
_BLOCK = 256  # pairs at a time: 50 MB

Floats = npt.NDArray[np.float32]


def structure_similarity(left: npt.NDArray[np.uint8], right: npt.NDArray[np.uint8]) -> Floats:
    """Compare pairs of thumbnails ``(K, 16, 16) uint8``, each with its partner.

    Returns ``(K,) float32``: the largest correlation (-1 to 1) over all windows, either picture being the crop. It is
    symmetric, and 0 where a thumbnail shows nothing. A mirrored pair is compared by turning one around beforehand.
    """
    result = np.empty(len(left), np.float32)
    for start in range(0, len(left), _BLOCK):
        a, b = (side[start : start + _BLOCK].astype(np.float32) for side in (left, right))
        result[start : start + _BLOCK] = np.maximum(_best(a, b), _best(b, a))
    return result


def _best(whole: Floats, crop: Floats) -> Floats:
    """Correlate each crop with every window of its whole picture, and return the largest value ``(K,)``."""
    target = crop.reshape(len(crop), -1) @ _detail()
    target = _normalised(target)
    best = np.full(len(whole), -1, np.float32)
    for window in _windows():
        best = np.maximum(best, (_normalised(whole.reshape(len(whole), -1) @ window) * target).sum(axis=1))
    return best


def _normalised(rows: Floats) -> Floats:
    length = np.sqrt((rows**2).sum(axis=1, keepdims=True))
    normalised: Floats = rows / np.maximum(length, _NOTHING)
    return normalised


@functools.cache
def _detail() -> Floats:
    """Return the matrix ``(256, 256)`` that takes the local mean, and then the mean of all cells, from a thumbnail."""
    mean = np.zeros((LUMA_SIDE, LUMA_SIDE))
    for cell in range(LUMA_SIDE):
        around = np.clip(np.arange(cell - _BLUR, cell + _BLUR + 1), 0, LUMA_SIDE - 1)  # the edge goes on outside
        np.add.at(mean[:, cell], around, 1 / (2 * _BLUR + 1))
    detail = np.eye(LUMA_SIDE**2) - np.kron(mean, mean)
    centred: Floats = (detail - detail.mean(axis=1, keepdims=True)).astype(np.float32)
    return centred


@functools.cache
def _windows() -> tuple[Floats, ...]:
    """Return for each window the matrix ``(256, 256)`` that scales it up to a whole thumbnail and takes the detail."""
    spans = [(scale, offset * (1 - scale)) for scale in SCALES for offset in (OFFSETS if scale < 1 else (0.0,))]
    pairs = [(rows, columns) for rows, columns in itertools.product(spans, spans) if rows[0] == columns[0]]
    return tuple((np.kron(_span(*rows), _span(*columns)) @ _detail()).astype(np.float32) for rows, columns in pairs)


def _span(scale: float, start: float) -> npt.NDArray[np.float64]:
    """Linear interpolation ``(16, 16)`` along one side: column k weighs the cells for cell k of the window."""
    places = ((np.arange(LUMA_SIDE) + 0.5) / LUMA_SIDE * scale + start) * LUMA_SIDE - 0.5
    below = np.floor(places).astype(int)
    weights = np.zeros((LUMA_SIDE, LUMA_SIDE))
    for cell, (place, low) in enumerate(zip(places, below, strict=True)):
        weights[np.clip(low, 0, LUMA_SIDE - 1), cell] += 1 - (place - low)
        weights[np.clip(low + 1, 0, LUMA_SIDE - 1), cell] += place - low
    return weights
