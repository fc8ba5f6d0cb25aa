"""From an image file to the small, upright, opaque picture that all perceptual hashes are taken from.

One decode path for every file, so that a hash depends on the picture alone: JPEGs are decoded at a reduced scale inside
the DCT domain, other formats fully and then averaged down; EXIF orientation is applied; transparency is laid on white.
"""

import struct
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

SMALL_SIDE = 128  # pixels; the shorter side is decoded at this size or above, up to twice as much
MAX_PIXELS = 100_000_000  # of the stored picture, checked before it is decoded
GROUND = (255, 255, 255)  # what shows through transparency

TRIM_TOLERANCE = 12  # grey or chroma levels a border may vary by: JPEG noise stays inside, picture content does not
TRIM_OUTLIERS = 0.02  # share of a border line that may lie outside the tolerance: ringing next to the content
CAPTION_HEIGHT = 0.25  # share of the height that a bar with text at the top or at the bottom may take
CAPTION_GROUND = 0.15  # share of a line of text that at least shows the bar's colour
CAPTION_CLEAR = 0.95  # the same of the line between text and picture: what JPEG blurs into it may lie outside
MIN_CONTENT = 0.4  # a border never takes more than 1 - MIN_CONTENT of a side: the rest would be too little to hash

_ORIENTATION = 0x0112  # EXIF tag
# Pillow raises any of these on damaged files, depending on the format.
_DAMAGED = (
    *(OSError, SyntaxError, ValueError, EOFError, ArithmeticError, LookupError, TypeError),
    *(struct.error, zlib.error),
)

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels


class UnreadableImageError(ValueError):
    """A file that gives no picture; ``reason`` is a short code, the message one line for people."""

    def __init__(self, reason: str, detail: str):
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True)
class SmallPicture:
    """A picture decoded at a reduced scale, with the size of the file's own picture."""

    picture: Image.Image  # mode YCbCr, upright
    width: int  # pixels of the upright picture as stored
    height: int
    content: Box  # the picture without its uniform border, in pixels of ``picture``

    @property
    def content_size(self) -> tuple[int, int]:
        """Width and height of the content in pixels of the stored picture, rounded inward at each trimmed side.

        Rounded inward, a bordered copy never counts more content than the picture that it was made from.
        """
        left, top, right, bottom = self.content
        columns, rows = self.picture.size
        inner_columns = right - left - (left > 0) - (right < columns)
        inner_rows = bottom - top - (top > 0) - (bottom < rows)
        return self.width * inner_columns // columns, self.height * inner_rows // rows


def read_small(path: Path) -> SmallPicture:
    """Decode ``path`` at a reduced scale (shorter side about 128 to 256 pixels, smaller files at their own size).

    Raises:
        UnreadableImageError: with reason ``missing_file``, ``too_many_pixels`` (over 100 million) or
            ``unreadable_image``.
    """
    try:
        with warnings.catch_warnings():
            # Pillow's own limits are replaced by MAX_PIXELS; oddities in metadata do not matter to a hash.
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise _too_many_pixels(path, f"{image.width} x {image.height}")
                stored = image.size
                image.draft("YCbCr", (SMALL_SIDE, SMALL_SIDE))  # JPEG only: decodes at 1/2, 1/4 or 1/8
                drafted = image.size
                image.load()
                oriented = image.getexif().get(_ORIENTATION, 1) != 1
                upright = ImageOps.exif_transpose(image) if oriented else image
                turned = upright.size != drafted
                picture = _shrink(_to_ycbcr(upright))
    except UnreadableImageError:
        raise
    except FileNotFoundError:
        raise UnreadableImageError("missing_file", f"{path.name}: the file is gone; crawl its window again") from None
    except Image.DecompressionBombError:
        raise _too_many_pixels(path, "its size") from None
    except _DAMAGED as error:
        raise UnreadableImageError("unreadable_image", f"{path.name}: cannot be decoded ({error})") from error
    width, height = stored[::-1] if turned else stored
    luma = np.asarray(picture.getchannel(0))  # enough to tell that most photos have no border
    content = content_box(np.asarray(picture)) if _may_have_border(luma) else (0, 0, *picture.size)
    return SmallPicture(picture, width, height, content)


def content_box(pixels: npt.NDArray[np.uint8]) -> Box:
    """Find the picture inside a uniform border (bars of a letterbox, a frame) in ``(H, W, 3) uint8`` pixels.

    A bar at the top or at the bottom may carry text, where a clear line parts the text from the picture. The whole
    picture is the answer where there is no border, or where the rest would be too small to be the picture.
    """
    height, width = pixels.shape[:2]
    whole = (0, 0, width, height)
    if not _may_have_border(pixels[..., 0]):
        return whole
    lines = pixels.astype(np.int16)
    caption = int(CAPTION_HEIGHT * height)
    left, top, right, bottom = whole
    while True:  # a frame inside a frame: until no side has a border any more
        inside = lines[top:bottom, left:right]
        above, below = _border_lines(inside, caption), _border_lines(inside[::-1], caption)
        top, bottom = top + above, bottom - below
        if top >= bottom:  # one colour throughout
            return whole
        inside = lines[top:bottom, left:right].swapaxes(0, 1)
        before, after = _border_lines(inside), _border_lines(inside[::-1])
        left, right = left + before, right - after
        if left >= right:
            return whole
        if above + below + before + after == 0:
            break
    if right - left < MIN_CONTENT * width or bottom - top < MIN_CONTENT * height:
        return whole
    return left, top, right, bottom


def _may_have_border(luma: npt.NDArray[np.uint8]) -> bool:
    return any(_may_be_uniform(edge) for edge in (luma[0], luma[-1], luma[:, 0], luma[:, -1]))


def _may_be_uniform(levels: npt.NDArray[np.uint8]) -> bool:
    """Tell quickly whether the luma ``(P,)`` of a line leaves it possible that the line is of one colour."""
    ordered = np.sort(levels)
    outliers = int(TRIM_OUTLIERS * len(ordered))
    middle = int(ordered[len(ordered) // 2])
    tolerance = TRIM_TOLERANCE + 1  # the median of an even number of pixels may lie half a level off
    low, high = int(ordered[outliers]), int(ordered[len(ordered) - 1 - outliers])
    return middle - tolerance <= low and high <= middle + tolerance


def _border_lines(lines: npt.NDArray[np.int16], caption: int = 0) -> int:
    """Count the leading lines that all show the one colour of the first line's middle value.

    With ``caption``, up to so many lines may be a bar with text: lines that show the colour in part, each group of
    them followed by a clear line.
    """
    colour = np.median(lines[0], axis=0)
    if not _ground(lines[:1], colour)[0] >= 1 - TRIM_OUTLIERS:
        return 0  # most photos have no border: looking at one line is enough
    ground = _ground(lines, colour)
    border = _leading(ground >= 1 - TRIM_OUTLIERS)
    text = ground[border : max(border, caption)]
    clear = np.flatnonzero(text[: _leading(text >= CAPTION_GROUND)] >= CAPTION_CLEAR)
    return border + (int(clear[-1]) + 1 if len(clear) else 0)


def _leading(flags: npt.NDArray[np.bool_]) -> int:
    """Count the flags that are set before the first that is not."""
    return len(flags) if flags.all() else int(flags.argmin())


def _ground(lines: npt.NDArray[np.int16], colour: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the share of the pixels that have the colour, for each of ``(L, P, 3)`` lines."""
    share: npt.NDArray[np.float64] = (np.abs(lines - colour) <= TRIM_TOLERANCE).all(axis=2).mean(axis=1)
    return share


def _to_ycbcr(image: Image.Image) -> Image.Image:
    if image.mode == "YCbCr":
        return image
    if image.mode.startswith("I;16"):  # 16-bit grey: Pillow would clip instead of scaling
        image = Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        overlay = image.convert("RGBA")
        image = Image.new("RGBA", overlay.size, (*GROUND, 255))
        image.alpha_composite(overlay)
    return image.convert("RGB").convert("YCbCr")


def _shrink(image: Image.Image) -> Image.Image:
    factor = min(image.size) // SMALL_SIDE
    return image.reduce(factor) if factor > 1 else image


def _too_many_pixels(path: Path, size: str) -> UnreadableImageError:
    return UnreadableImageError("too_many_pixels", f"{path.name}: {size} is over the limit of {MAX_PIXELS} pixels")
