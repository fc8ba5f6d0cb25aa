"""Perceptual hashes of image files: 64 and 256 bits, of the picture, without its border, and of both mirrored.

The definition is ``imagehash.phash``: DCT-II of a 32 x 32 (64 bits) or 64 x 64 (256 bits) grey picture, its lowest
8 x 8 or 16 x 16 coefficients, one bit for each above their median. Every picture is scaled to 64 x 64 once, and the
32 x 32 picture is made from that one, as imagehash does it: both hashes are, bit for bit, ``imagehash.phash`` of the
same 64 x 64 picture. Files are decoded one by one, all else is done for a stack of them.

The mirrored hashes are those of the mirrored picture. Mirroring turns the sign of every odd column of coefficients,
up to rounding in the transform, so they need no second transform but for the rare pictures where rounding could decide
a bit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from crawlers.dedup.decoding import Box, SmallPicture, UnreadableImageError, read_small

ALGORITHM = "imagehash.phash"
HASH_VERSION = "2"  # of the decode path and everything computed here; a change makes old hashes incomparable

FLAT_CONTRAST = 4.0  # grey levels: standard deviation of the 64 x 64 picture below which it shows nothing
FLAT_DETAIL = 3.0  # grey levels: typical size of the hashed DCT coefficients below which noise decides the bits
LUMA_SIDE = 16  # of the grey thumbnail
_ROUNDING = 1e-4  # above any rounding error of a coefficient; those reach up to 4 million

Pixels = npt.NDArray[np.uint8]


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
    trim_luma: bytes  # grey 16 x 16 thumbnail of the picture without its border, uint8, row by row
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


def phash(pictures: Pixels, hash_size: int) -> Pixels:
    """Hash a stack of ``(K, 4 * hash_size, 4 * hash_size) uint8`` grey pictures.

    Returns ``(K, hash_size ** 2 / 8) uint8``: the bits row by row, big-endian, as ``str(imagehash.phash(...))`` does.
    """
    return _bits(_low_frequencies(pictures, hash_size))


def is_flat(picture: Pixels) -> bool:
    """Tell whether a ``(64, 64) uint8`` grey picture is uniform or a bare gradient, so that noise decides its hash."""
    return bool(_flat(picture[None], _low_frequencies(picture[None], 16))[0])


def hash_image(path: Path) -> ImageHashes | HashFailure:
    """Hash the image file at ``path``; a file that cannot be read gives a ``HashFailure``, never an exception."""
    return hash_files([path])[0]


def hash_files(paths: Sequence[Path]) -> list[ImageHashes | HashFailure]:
    """Hash image files, each as ``hash_image`` does, in the order given.

    What is kept of all files at once is about 6 KB for each, never their pictures.
    """
    read = [_read(path) for path in paths]
    files = [file for file in read if isinstance(file, _File)]
    hashed = iter(_hash_stack(files) if files else [])
    return [next(hashed) if isinstance(file, _File) else file for file in read]


@dataclass(frozen=True)
class _View:
    """A picture, or the part of it inside a box, at the sizes that are compared."""

    grey64: Pixels  # (64, 64)
    grey32: Pixels  # (32, 32)
    chroma: bytes  # Cb, Cr of 8 x 8


@dataclass(frozen=True)
class _File:
    """One file: the whole picture, and the picture without its border where it has one."""

    size: tuple[int, int]  # pixels
    content_size: tuple[int, int]
    whole: _View
    inner: _View | None


def _read(path: Path) -> _File | HashFailure:
    try:
        small = read_small(path)
    except UnreadableImageError as error:
        return HashFailure(error.reason, str(error))
    bands = small.picture.split()
    whole: Box = (0, 0, *small.picture.size)
    inner = None if small.content == whole else _view(bands, small.content)
    return _File((small.width, small.height), _content_size(small, whole), _view(bands, whole), inner)


def _content_size(small: SmallPicture, whole: Box) -> tuple[int, int]:
    return (small.width, small.height) if small.content == whole else small.content_size


def _view(bands: Sequence[Image.Image], box: Box) -> _View:
    luma, *chroma = bands
    average = Image.Resampling.BOX
    # The picture is small already: bicubic is as near to a hash of the full picture as Lanczos, in half the time.
    grey64 = luma.resize((64, 64), Image.Resampling.BICUBIC, box=box)
    return _View(
        np.asarray(grey64),
        np.asarray(grey64.resize((32, 32), Image.Resampling.LANCZOS)),  # imagehash does the same
        b"".join(band.resize((8, 8), average, box=box).tobytes() for band in chroma),
    )


def _hash_stack(files: Sequence[_File]) -> list[ImageHashes]:
    """Hash all files' whole pictures, and after them in the same stack those without border."""
    bordered = [number for number, file in enumerate(files) if file.inner is not None]
    views = [file.whole for file in files] + [file.inner for file in files if file.inner is not None]
    greys64, greys32 = np.stack([view.grey64 for view in views]), np.stack([view.grey32 for view in views])
    low32, low64 = _low_frequencies(greys32, 8), _low_frequencies(greys64, 16)
    flat = _flat(greys64, low64).tolist()
    plain64, plain256 = _rows(_bits(low32)), _rows(_bits(low64))
    mirror64, mirror256 = _rows(_mirrored_bits(greys32, low32, 8)), _rows(_mirrored_bits(greys64, low64, 16))
    luma = _rows(_thumbnails(greys64))
    trimmed = dict(zip(bordered, range(len(files), len(views)), strict=True))
    hashes = []
    for whole, file in enumerate(files):
        inner = trimmed.get(whole, whole)
        if flat[whole] or flat[inner]:
            inner = whole  # nothing to see inside the border
        size = file.size if inner == whole else file.content_size
        hashes.append(
            ImageHashes(
                phash64=plain64[whole],
                phash256=plain256[whole],
                trim_phash64=plain64[inner],
                trim_phash256=plain256[inner],
                mirror_phash64=mirror64[whole],
                mirror_phash256=mirror256[whole],
                trim_mirror_phash64=mirror64[inner],
                trim_mirror_phash256=mirror256[inner],
                chroma=views[whole].chroma,
                trim_chroma=views[inner].chroma,
                trim_luma=luma[inner],
                flat=flat[whole],
                width=file.size[0],
                height=file.size[1],
                content_width=size[0],
                content_height=size[1],
            )
        )
    return hashes


def _low_frequencies(pictures: Pixels, hash_size: int) -> npt.NDArray[np.float64]:
    """Return the lowest coefficients ``(K, hash_size ** 2)``: columns first, as imagehash does, for equal rounding."""
    from scipy.fft import dct  # late: settings are loaded without it

    columns = dct(pictures.astype(np.float64), axis=1)[:, :hash_size]
    low: npt.NDArray[np.float64] = dct(columns, axis=2)[..., :hash_size].reshape(len(pictures), -1)
    return low


def _bits(low: npt.NDArray[np.float64]) -> Pixels:
    return np.packbits(low > np.median(low, axis=1, keepdims=True), axis=1)


def _mirrored_bits(pictures: Pixels, low: npt.NDArray[np.float64], hash_size: int) -> Pixels:
    """Return what ``phash`` returns of the mirrored pictures, from the coefficients ``low`` of the pictures."""
    turned = low * np.tile(np.where(np.arange(hash_size) % 2, -1.0, 1.0), hash_size)
    apart = turned - np.median(turned, axis=1, keepdims=True)
    bits = np.packbits(apart > 0, axis=1)
    unsure = np.flatnonzero(np.abs(apart).min(axis=1) < _ROUNDING)
    if len(unsure):
        bits[unsure] = phash(pictures[unsure][..., ::-1], hash_size)
    return bits


def _flat(greys64: Pixels, low: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    levels = greys64.reshape(len(greys64), -1).astype(np.float64)
    contrast = np.sqrt(np.einsum("kp,kp->k", levels, levels) / levels.shape[1] - levels.mean(axis=1) ** 2)
    detail = np.median(np.abs(low), axis=1) / (2 * greys64.shape[1])
    flat: npt.NDArray[np.bool_] = (contrast < FLAT_CONTRAST) | (detail < FLAT_DETAIL)
    return flat


def _thumbnails(greys64: Pixels) -> Pixels:
    """Average ``(K, 64, 64)`` down to ``(K, 16, 16)``, rounded half up."""
    cell = greys64.shape[1] // LUMA_SIDE
    sums = np.repeat(np.eye(LUMA_SIDE, dtype=np.float32), cell, axis=1)
    cells = sums @ greys64.astype(np.float32) @ sums.T  # whole numbers below 2 ** 24: exact
    return np.floor(cells / cell**2 + np.float32(0.5)).astype(np.uint8)


def _rows(array: Pixels) -> list[bytes]:
    return [row.tobytes() for row in array]
