"""Pictures for the networks: decoded at reduced scale, resized once, kept in a memory-mapped file."""

import fcntl
import hashlib
import math
import mmap
import os
import shutil
import struct
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from modeling.devices import usable_threads
from modeling.errors import ModelingError
from modeling.ordered_work import in_order
from modeling.picture_files import printable
from modeling.training_settings import ResizePolicy

VERSION = "2"  # changes when the same file would give other pixels
GROUND = (255, 255, 255)  # behind transparent pixels and around padded pictures
CHUNK = 64  # pictures written at a time
MAX_PIXELS = 100_000_000  # of a picture as stored; what a crawl keeps by default
# What Pillow raises for bytes that are no picture, for broken EXIF (TypeError, struct.error), and for a closed file.
_UNREADABLE = (
    OSError,
    ValueError,
    SyntaxError,
    RuntimeError,
    AssertionError,
    AttributeError,
    TypeError,
    LookupError,
    EOFError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)
# Pillow warns from 89 million pixels on. MAX_PIXELS is the limit here, and a filter cannot be set in threads.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

Pixels = npt.NDArray[np.uint8]
Value = TypeVar("Value", bound=np.generic)
Progress = Callable[[int, int], None]


def load_image(source: Path | Image.Image, size: tuple[int, int], resize: ResizePolicy = "stretch") -> Pixels:
    """Return a picture as RGB uint8 (height, width, 3) of ``size`` (height, width) in pixels.

    A JPEG is decoded at the smallest scale that is no smaller than ``size``; EXIF rotation is applied; transparent
    pixels become white; 16-bit greyscale is scaled to 8. Raises ModelingError when a file is missing, or is no picture
    that can be read, or one of more than MAX_PIXELS.
    """
    try:
        if isinstance(source, Image.Image):
            return _fitted(source, size, resize)
        with Image.open(source) as image:
            return _fitted(image, size, resize)
    except _UNREADABLE as error:
        said = str(error) or type(error).__name__
        raise ModelingError(f"image {_named(source)} can't be read: {said}; leave it out or replace it") from error


def _named(source: Path | Image.Image) -> str:
    if not isinstance(source, Image.Image):
        return printable(source)
    name = getattr(source, "filename", "")  # "" when it was opened from memory, absent when it was made there
    return printable(name) if name else f"of {source.width} x {source.height} pixels in memory"


def _fitted(image: Image.Image, size: tuple[int, int], resize: ResizePolicy) -> Pixels:
    height, width = size
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(f"{image.width} x {image.height} pixels are more than the limit of {MAX_PIXELS:,}")
    longest = max(height, width)
    image.draft("RGB", (longest, longest))  # does something for JPEG only, and only downwards
    turned = ImageOps.exif_transpose(image)
    flat = _on_ground(turned)
    target = (width, height)
    if resize == "pad":
        fitted = ImageOps.pad(flat, target, Image.Resampling.BICUBIC, color=GROUND)
    elif resize == "crop":
        fitted = ImageOps.fit(flat, target, Image.Resampling.BICUBIC)
    else:
        fitted = flat.resize(target, Image.Resampling.BICUBIC)
    return np.asarray(fitted, dtype=np.uint8)


def _on_ground(image: Image.Image) -> Image.Image:
    """RGB, with a white ground where the picture is transparent."""
    if image.mode == "RGB":
        return image
    if image.mode == "I" or image.mode.startswith("I;16"):
        return _on_ground(_eight_bits(image))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layer = image.convert("RGBA")
        ground = Image.new("RGBA", layer.size, (*GROUND, 255))
        return Image.alpha_composite(ground, layer).convert("RGB")
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """L, or LA where it has a transparent value, of 16-bit greyscale: 65535 / 257 is 255. ``convert`` would clip."""
    values = image.convert("I")
    grey = values.point(lambda value: value / 257 + 0.5).convert("L")  # + 0.5: rounded, since it cuts off
    clear = image.info.get("transparency")
    grey.info.pop("transparency", None)
    if clear is not None:
        visible = np.asarray(values) != clear
        grey.putalpha(Image.fromarray(visible.astype(np.uint8) * np.uint8(255)))
    return grey


def cached_images(
    image_ids: Sequence[str],
    image_path: Callable[[str], Path],
    size: tuple[int, int],
    resize: ResizePolicy,
    cache_dir: Path,
    progress: Progress | None = None,
) -> Pixels:
    """Return the pictures of ``image_ids`` as a read-only memory map (N, height, width, 3) uint8.

    They are decoded once, by as many threads as the process may use: the file in ``cache_dir`` is named by a hash of
    the ids, size, resize policy and version of this module, an id standing for unchanging bytes. A crash leaves no
    half-written file under that name, and no more than 64 pictures and a few for each thread are in memory at a time.
    ``progress`` is told (pictures done, of how many) while decoding. Raises ModelingError for a picture that can't be
    read, or when the disk is too small.
    """
    key = content_key("images", VERSION, *map(str, size), resize, *image_ids)
    shape = (len(image_ids), *size, 3)
    threads = usable_threads()

    def chunks() -> Iterator[Pixels]:
        pictures = in_order(
            lambda image_id: load_image(image_path(image_id), size, resize),
            image_ids,
            lambda: ThreadPoolExecutor(threads, "decode"),
            4 * threads,
        )
        for start in range(0, len(image_ids), CHUNK):
            yield np.stack([next(pictures) for _ in image_ids[start : start + CHUNK]])

    return cached_array(cache_dir / f"images-{key}.raw", shape, np.dtype(np.uint8), chunks, progress)


def content_key(*parts: str) -> str:
    """Return 24 hex digits of a sha256 over the parts, for names of cache files."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{len(part)}:{part}".encode())
    return digest.hexdigest()[:24]


@dataclass(frozen=True)
class ArrayFile:
    """Where a memory-mapped array is; small to pickle, unlike the map, which would be pickled by value."""

    path: str
    shape: tuple[int, ...]
    dtype: str

    def open(self) -> npt.NDArray[Any]:
        """Return the array as a read-only memory map."""
        return np.memmap(self.path, dtype=self.dtype, mode="r", shape=self.shape)


@dataclass(frozen=True)
class ArrayValue:
    """An array that is in memory only, and has to be pickled by value."""

    array: npt.NDArray[Any]

    def open(self) -> npt.NDArray[Any]:
        """Return the array."""
        return self.array


def reference_of(array: npt.NDArray[Any]) -> ArrayFile | ArrayValue:
    """Return the smallest thing to send to another process for it to ``open()`` the array."""
    base: object = array.base  # of a part of a memory map it is the map, of the map itself the bytes of the file
    if isinstance(array, np.memmap) and isinstance(base, mmap.mmap) and array.offset == 0 and array.filename:
        return ArrayFile(os.fspath(array.filename), array.shape, array.dtype.str)
    return ArrayValue(np.asarray(array))


def cached_array(
    path: Path,
    shape: tuple[int, ...],
    dtype: np.dtype[Value],
    batches: Callable[[], Iterable[npt.NDArray[Value]]],
    progress: Progress | None = None,
) -> npt.NDArray[Value]:
    """Return the bytes in ``path`` as a read-only memory map; if there are none, write them from batches along axis 0.

    The batches go to ``<path>.part``, which takes the name at the end only. Where two processes want the same file, one
    makes it and the other waits; what a killed process left is written over. ``progress`` is told (rows done, of how
    many). Raises ModelingError when the disk has too little room.
    """
    part = path.with_name(f"{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    while not path.exists():
        with part.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if not _is_still(file, part):
                continue  # another process was faster, or failed: look again
            if path.exists():  # since the look before the lock; what was opened is new and empty
                part.unlink()
                continue
            try:
                _check_room(path.parent, math.prod(shape) * dtype.itemsize)
                _write(file, shape, dtype, batches(), progress)
                part.replace(path)  # from here on the name `.part` may be another process's
            except BaseException:
                part.unlink(missing_ok=True)
                raise
    return np.memmap(path, dtype=dtype, mode="r", shape=shape)


def _is_still(file: IO[bytes], path: Path) -> bool:
    """Is the open file the one that has this name now?"""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _check_room(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if size > free:
        raise ModelingError(
            f"the cache in {folder} needs {size / 1e9:.1f} GB more and the disk has {free / 1e9:.1f} GB: make room, or "
            "lower training.image_size or training.views"
        )


def _write(
    file: IO[bytes],
    shape: tuple[int, ...],
    dtype: np.dtype[Value],
    batches: Iterable[npt.NDArray[Value]],
    progress: Progress | None,
) -> None:
    file.truncate(0)
    done = 0
    for batch in batches:
        file.write(np.ascontiguousarray(batch, dtype=dtype).data)
        done += len(batch)
        if progress is not None:
            progress(done, shape[0])
    if done != shape[0]:
        raise ModelingError(f"{done} of {shape[0]} rows written to {file.name}: start again")
    file.flush()
    os.fsync(file.fileno())
