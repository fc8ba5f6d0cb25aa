"""Pictures for the networks: decoded at reduced scale, resized once, kept in a memory-mapped file."""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from modeling.errors import ModelingError
from modeling.training_settings import ResizePolicy

VERSION = "1"  # changes when the same file would give other pixels
GROUND = (255, 255, 255)  # behind transparent pixels and around padded pictures

Pixels = npt.NDArray[np.uint8]
Value = TypeVar("Value", bound=np.generic)
Progress = Callable[[int, int], None]


def load_image(source: Path | Image.Image, size: tuple[int, int], resize: ResizePolicy = "stretch") -> Pixels:
    """Return a picture as RGB uint8 (height, width, 3) of ``size`` (height, width) in pixels.

    A JPEG is decoded at the smallest scale that is no smaller than ``size``; EXIF rotation is applied; transparent
    pixels become white. Raises ModelingError when a file is missing or is no picture that can be read.
    """
    if isinstance(source, Image.Image):
        return _fitted(source, size, resize)
    try:
        with Image.open(source) as image:
            return _fitted(image, size, resize)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ModelingError(f"image {source} can't be read: {error}; leave it out or replace it") from error


def _fitted(image: Image.Image, size: tuple[int, int], resize: ResizePolicy) -> Pixels:
    height, width = size
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
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layer = image.convert("RGBA")
        ground = Image.new("RGBA", layer.size, (*GROUND, 255))
        return Image.alpha_composite(ground, layer).convert("RGB")
    return image.convert("RGB")


def cached_images(
    image_ids: Sequence[str],
    image_path: Callable[[str], Path],
    size: tuple[int, int],
    resize: ResizePolicy,
    cache_dir: Path,
    progress: Progress | None = None,
) -> Pixels:
    """Return the pictures of ``image_ids`` as a read-only memory map (N, height, width, 3) uint8.

    They are decoded once: the file in ``cache_dir`` is named by a hash of the ids, size, resize policy and version of
    this module, an id standing for unchanging bytes. A crash leaves no half-written file under that name. Raises
    ModelingError for a picture that can't be read.
    """
    key = content_key("images", VERSION, *map(str, size), resize, *image_ids)
    shape = (len(image_ids), *size, 3)

    def pictures() -> Iterator[Pixels]:
        def load(image_id: str) -> Pixels:
            return load_image(image_path(image_id), size, resize)

        with ThreadPoolExecutor(max_workers=min(2, os.cpu_count() or 1)) as pool:
            for start in range(0, len(image_ids), 256):
                yield np.stack(list(pool.map(load, image_ids[start : start + 256])))

    return cached_array(cache_dir / f"images-{key}.raw", shape, np.dtype(np.uint8), pictures, progress)


def content_key(*parts: str) -> str:
    """Return 24 hex digits of a sha256 over the parts, for names of cache files."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{len(part)}:{part}".encode())
    return digest.hexdigest()[:24]


def cached_array(
    path: Path,
    shape: tuple[int, ...],
    dtype: np.dtype[Value],
    batches: Callable[[], Iterable[npt.NDArray[Value]]],
    progress: Progress | None = None,
) -> npt.NDArray[Value]:
    """Return the bytes in ``path`` as a read-only memory map; if there are none, write them from batches along axis 0.

    The batches go to a temporary file of the same folder, which takes the name at the end only.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=".raw")
        os.close(handle)
        try:
            _write(Path(name), shape, dtype, batches(), progress)
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)
    return np.memmap(path, dtype=dtype, mode="r", shape=shape)


def _write(
    path: Path,
    shape: tuple[int, ...],
    dtype: np.dtype[Value],
    batches: Iterable[npt.NDArray[Value]],
    progress: Progress | None,
) -> None:
    done = 0
    with path.open("wb") as file:
        for batch in batches:
            file.write(np.ascontiguousarray(batch, dtype=dtype).tobytes())
            done += len(batch)
            if progress is not None:
                progress(done, shape[0])
        if done != shape[0]:
            raise ModelingError(
                f"{done} of {shape[0]} rows written to {path.name}: delete the cache folder and start again"
            )
        file.flush()
        os.fsync(file.fileno())
