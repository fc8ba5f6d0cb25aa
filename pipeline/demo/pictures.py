"""Files of the demo's pictures: drawing, encoding, the edits of reposts, and files that are no good pictures."""

import hashlib
import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from pipeline.demo.illustrations import choose_size, draw_outfit

SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp"}
_ORIENTATION = 0x0112  # EXIF tag


@dataclass(frozen=True)
class Drawing:
    """One picture to draw, and the reposts to make of it."""

    name: str  # file name without suffix
    main: str
    subs: tuple[str, ...]
    seed: int
    reposts: tuple[tuple[str, str], ...] = ()  # (file name without suffix, edit)
    shown: bool = True  # is the picture ever fetched?


@dataclass(frozen=True)
class Drawn:
    """A file that was written."""

    name: str  # file name with suffix
    image_id: str
    width: int
    height: int


def write_drawing(folder: Path, drawing: Drawing) -> list[Drawn]:
    """Draw a picture and its reposts into ``folder``; the original is the first of the result."""
    rng = np.random.default_rng([drawing.seed, 1])
    picture = draw_outfit(drawing.main, drawing.subs, drawing.seed, choose_size(rng) if drawing.shown else (256, 320))
    choice = rng.random()
    if choice < 0.86:
        content, suffix = _jpeg(picture, rng), ".jpg"
    else:
        kind = "WEBP" if choice < 0.95 else "PNG"
        content, suffix = encode(picture, kind, int(rng.integers(80, 93))), SUFFIXES[kind]
    written = [_write(folder, drawing.name + suffix, content, picture.size)]
    with Image.open(io.BytesIO(content)) as stored:
        original = ImageOps.exif_transpose(stored).convert("RGB")
    for name, edit in drawing.reposts:
        edited, kind, quality = EDITS[edit](original, rng)
        written.append(_write(folder, name + SUFFIXES[kind], encode(edited, kind, quality), edited.size))
    return written


def _write(folder: Path, name: str, content: bytes, size: tuple[int, int]) -> Drawn:
    (folder / name).write_bytes(content)
    return Drawn(name, hashlib.sha256(content).hexdigest(), *size)


def encode(picture: Image.Image, kind: str, quality: int) -> bytes:
    """The file of a picture as JPEG, PNG or WEBP."""
    sink = io.BytesIO()
    if kind == "JPEG":
        picture.save(sink, "JPEG", quality=quality)
    elif kind == "WEBP":
        picture.save(sink, "WEBP", quality=quality, method=1)
    else:
        picture.save(sink, "PNG", compress_level=3)
    return sink.getvalue()


def _jpeg(picture: Image.Image, rng: np.random.Generator) -> bytes:
    """A JPEG as cameras and apps write them: now and then progressive, or turned by its EXIF orientation."""
    sink = io.BytesIO()
    quality, kind = int(rng.integers(80, 94)), rng.random()
    if kind < 0.03:
        exif = Image.Exif()
        exif[_ORIENTATION] = 6  # stored lying on its side, to be turned clockwise
        picture.transpose(Image.Transpose.ROTATE_90).save(sink, "JPEG", quality=quality, exif=exif)
    else:
        picture.save(sink, "JPEG", quality=quality, progressive=kind < 0.1)
    return sink.getvalue()


_Edited = tuple[Image.Image, str, int]


def _scaled(picture: Image.Image, factor: float) -> Image.Image:
    size = (round(picture.width * factor), round(picture.height * factor))
    return picture.resize(size, Image.Resampling.LANCZOS)


def _recompressed(picture: Image.Image, rng: np.random.Generator) -> _Edited:
    return picture, "JPEG", int(rng.integers(28, 62))


def _resized(picture: Image.Image, rng: np.random.Generator) -> _Edited:
    return _scaled(picture, float(rng.uniform(0.45, 0.85))), "JPEG", int(rng.integers(70, 88))


def _letterboxed(picture: Image.Image, rng: np.random.Generator) -> _Edited:
    """A square with bars, in steps of the 8-pixel blocks of a JPEG, on two sides or all around."""
    side = max(picture.size) + (0 if rng.random() < 0.5 else 16 * int(rng.integers(2, 6)))
    left, top = (8 * round((side - length) / 16) for length in picture.size)
    bars = Image.new("RGB", (picture.width + 2 * left, picture.height + 2 * top), _bar_colour(picture))
    bars.paste(picture, (left, top))
    return bars, "JPEG", int(rng.integers(80, 92))


def _bar_colour(picture: Image.Image) -> tuple[int, int, int]:
    """Black or white, whichever stands out more from every edge: bars that melt into the picture are no letterbox."""
    grey = np.asarray(picture.convert("L"), dtype=np.float64)
    edges = np.array([grey[0].mean(), grey[-1].mean(), grey[:, 0].mean(), grey[:, -1].mean()])
    return (0, 0, 0) if edges.min() > (255 - edges).min() else (255, 255, 255)


def _mirrored(picture: Image.Image, rng: np.random.Generator) -> _Edited:
    return ImageOps.mirror(picture), "JPEG", int(rng.integers(74, 90))


def _webp(picture: Image.Image, rng: np.random.Generator) -> _Edited:
    return _scaled(picture, 0.8), "WEBP", int(rng.integers(50, 75))


def _brightened(picture: Image.Image, rng: np.random.Generator) -> _Edited:
    return ImageEnhance.Brightness(picture).enhance(float(rng.uniform(1.04, 1.1))), "JPEG", int(rng.integers(78, 90))


EDITS: dict[str, Callable[[Image.Image, np.random.Generator], _Edited]] = {
    "recompressed": _recompressed,
    "resized": _resized,
    "letterboxed": _letterboxed,
    "mirrored": _mirrored,
    "webp": _webp,
    "brightened": _brightened,
}


def html_page() -> bytes:
    """What a server sends in place of a picture that it lost."""
    return b"<!DOCTYPE html>\n<html><head><title>Not here</title></head><body><p>It has moved.</p></body></html>\n"


def huge_png(side: int = 30_000) -> bytes:
    """A PNG of a few bytes whose header promises side x side pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    row = zlib.compress(bytes(1 + 3 * side))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", row) + chunk(b"IEND", b"")


def animation(seed: int) -> bytes:
    """A GIF of two frames."""
    frames = [draw_outfit("Casual", (), seed + step, (160, 200)) for step in range(2)]
    sink = io.BytesIO()
    frames[0].save(sink, "GIF", save_all=True, append_images=frames[1:], duration=400)
    return sink.getvalue()
