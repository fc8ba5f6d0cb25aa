"""Is it really a picture? Every fetched file is decoded once before it is kept."""

import io
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from crawlers.jobs import CrawlLimits
from crawlers.posts import ImageFacts
from crawlers.storage import ImageStore

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
_NAMES = {"MPO": "JPEG"}  # a camera's JPEG with a preview or depth map behind the picture
_SHRINK = 8
_START = 256  # bytes that tell formats apart


class ImageRefusedError(ValueError):
    """A file is not kept: ``reason`` is a short code, the message a line for people."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def _check_pixels(width: int, height: int, limits: CrawlLimits) -> None:
    if width * height > limits.max_pixels:
        message = f"{width} x {height} pixels are more than the limit of {limits.max_pixels}"
        raise ImageRefusedError("too_many_pixels", message)


def _check_webp(data: bytes, length: int, limits: CrawlLimits) -> None:
    """Look at a WebP file's header by hand: Pillow makes room for all its pixels as soon as it opens one.

    Layout of the three kinds of first chunk: RFC 9649, sections 2.5 to 2.7.
    """
    if int.from_bytes(data[4:8], "little") + 8 > length:
        raise ImageRefusedError("truncated", "the file ends before the length that its header states")
    kind = data[12:16]
    if kind == b"VP8X":
        size = (int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1)
    elif kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        size = ((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    else:
        size = (int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF)
    _check_pixels(*size, limits)


def _decode(file: BinaryIO, start: bytes, length: int, limits: CrawlLimits) -> tuple[str, int, int]:
    """Decode a whole picture; return its format and its size as stored, in pixels."""
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        _check_webp(start, length, limits)
    with Image.open(file, formats=_FORMATS) as picture:
        width, height = picture.size
        _check_pixels(width, height, limits)
        if picture.format != "MPO" and getattr(picture, "is_animated", False):
            raise ImageRefusedError("animated", "an animation; only still pictures are kept")
        name = _NAMES.get(str(picture.format), str(picture.format))
        if name == "JPEG":
            # Every byte still passes the entropy decoder, which is where a cut or broken file shows.
            picture.draft("L", (max(1, width // _SHRINK), max(1, height // _SHRINK)))
        picture.load()
    return name, width, height


def inspect_image(source: bytes | Path, limits: CrawlLimits) -> tuple[str, int, int]:
    """Decode a picture, given as bytes or as a file, to see that it is one.

    Returns:
        Format (``JPEG``, ``PNG``, ``WEBP`` or ``GIF``), width and height in pixels as stored.

    Raises:
        ImageRefusedError: with the reason ``too_large``, ``not_an_image``, ``too_many_pixels`` (found in the header,
            before anything is decoded), ``animated``, ``truncated`` or ``undecodable``.
    """
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        length = file.seek(0, io.SEEK_END)
        file.seek(0)
        if length > limits.max_bytes:
            raise ImageRefusedError("too_large", f"{length} bytes are more than the limit of {limits.max_bytes}")
        start = file.read(_START)
        file.seek(0)
        try:
            return _decode(file, start, length, limits)
        except ImageRefusedError:
            raise
        except UnidentifiedImageError as error:
            message = f"not a JPEG, PNG, WebP or GIF file ({_looks_like(start)})"
            raise ImageRefusedError("not_an_image", message) from error
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise ImageRefusedError("too_many_pixels", f"more pixels than the limit of {limits.max_pixels}") from error
        except Exception as error:  # decoders fail in many ways on hostile bytes; each is the file's fault, none ours
            message = str(error) or type(error).__name__
            cut = isinstance(error, EOFError) or "truncated" in message.lower()
            raise ImageRefusedError("truncated" if cut else "undecodable", f"decoding failed: {message}") from error


def keep_image(source: bytes | Path, limits: CrawlLimits, store: ImageStore, sha256: str | None = None) -> ImageFacts:
    """Validate a picture and keep its original bytes.

    Args:
        source: the bytes, or a file on the store's file system, which is moved into the store.
        limits: bounds on bytes and pixels.
        store: where it is kept.
        sha256: of the bytes, if it is known; it must be for a file.

    Raises:
        ImageRefusedError: as :func:`inspect_image`; then nothing is kept.
    """
    name, width, height = inspect_image(source, limits)
    if isinstance(source, bytes):
        return ImageFacts(store.put(source, sha256), name, width, height, len(source))
    if sha256 is None:
        raise ValueError("the sha256 of a file must be given")
    size = source.stat().st_size
    if not store.holds(sha256, size):
        store.adopt(source, sha256)
    return ImageFacts(sha256, name, width, height, size)


def _looks_like(data: bytes) -> str:
    start = data[:_START].lstrip().lower()
    if not data:
        return "it is empty"
    if start.startswith((b"<!doctype html", b"<html")):
        return "it is an HTML page"
    if start.startswith((b"<?xml", b"<svg")):
        return "it is an XML or SVG file"
    return f"it starts with {data[:8].hex()}"
