"""Grids of captioned pictures as JPEG bytes: samples, duplicates side by side, hits and misses (Figure 7)."""

import io
import textwrap
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import pandas as pd
from PIL import Image, ImageDraw, ImageFont, ImageOps

from modeling.charts import WIDE_FONTS

Picture = Image.Image | bytes

GROUND, INK, PAPER = (238, 241, 244), (31, 41, 51), (255, 255, 255)
GAP = 10  # pixels between cells
LINE = 15  # pixels from one caption line to the next
FONT_SIZE, ASCENT = 11, 11  # pixels; from the top of a line to its base line
CHARACTER = 6.3  # pixels, mean width of a plain character


def fitted(picture: Picture, size: tuple[int, int]) -> Image.Image:
    """The picture as RGB, upright by its EXIF, scaled to fit ``size`` (width, height in pixels), on a light ground.

    Raises what Pillow raises (``OSError``) for bytes that are no picture.
    """
    if isinstance(picture, bytes):
        image: Image.Image = Image.open(io.BytesIO(picture))
        image.draft("RGB", (2 * max(size), 2 * max(size)))  # decode a JPEG at no more than the scale that is needed
    else:
        image = picture
    image = ImageOps.exif_transpose(image)
    if image.mode in ("RGBA", "LA", "PA", "P"):
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, (*PAPER, 255))
        image = Image.alpha_composite(ground, image)
    image = image.convert("RGB")
    image = ImageOps.contain(image, size, Image.Resampling.LANCZOS)
    cell = Image.new("RGB", size, GROUND)
    cell.paste(image, ((size[0] - image.width) // 2, (size[1] - image.height) // 2))
    return cell


def picture_grid(
    pictures: Sequence[tuple[Picture, str]], columns: int = 6, size: tuple[int, int] = (150, 190)
) -> bytes:
    """Pictures in reading order with a caption of any number of lines under each, as one JPEG.

    ``size`` is the (width, height) in pixels given to each picture. No pictures give a line that says so.
    """
    if not pictures:
        return _note("No pictures to show.")
    cells = [([picture], caption) for picture, caption in pictures]
    return _grid(cells, columns, size)


def pair_gallery(
    pairs: Sequence[tuple[Picture, Picture, str]], columns: int = 3, size: tuple[int, int] = (140, 175)
) -> bytes:
    """Pairs of pictures side by side (kept, set aside) with a caption under each pair, as one JPEG."""
    if not pairs:
        return _note("No pairs to show.")
    cells = [([first, second], caption) for first, second, caption in pairs]
    return _grid(cells, columns, size)


def suspicious_gallery(rows: pd.DataFrame, image_bytes: Callable[[str], bytes | None], most: int = 24) -> bytes:
    """The first ``most`` rows of a SUSPICIOUS_LABELS table as pictures with what was given and what they look like.

    ``image_bytes`` gives the bytes of an ``image_id``; a picture that it has not (None) leaves its place empty.
    """
    pictures: list[tuple[Picture, str]] = []
    for row in rows.sort_values("rank").head(most).to_dict("records"):
        caption = (
            f"{row['rank']}. given: {' + '.join([row['given_main'], *row['given_subs']])}\n"
            f"looks like: {' + '.join([row['suggested_main'], *row['suggested_subs']])}\n"
            f"(quality {row['quality']:.2f})"
        )
        pictures.append((image_bytes(row["image_id"]) or Image.new("RGB", (1, 1), GROUND), caption))
    return picture_grid(pictures, size=(170, 190))


def error_gallery(errors: pd.DataFrame, image_bytes: Callable[[str], bytes | None]) -> bytes:
    """Pictures on which a model is most confidently wrong, as ``modeling.slices.worst_errors`` lists them.

    ``image_bytes`` gives the bytes of an ``image_id``; a picture that it has not (None) leaves its place empty.
    """
    pictures: list[tuple[Picture, str]] = []
    for row in errors.to_dict("records"):
        caption = (
            f"true: {' + '.join([row['main'], *row['subs']])}\n"
            f"predicted {row['wrong_label']}: {row['wrong_probability']:.0%}\n"
            f"true {row['true_label']}: {row['true_probability']:.0%}"
        )
        pictures.append((image_bytes(row["image_id"]) or Image.new("RGB", (1, 1), GROUND), caption))
    return picture_grid(pictures, size=(170, 190))


def _grid(cells: Sequence[tuple[list[Picture], str]], columns: int, size: tuple[int, int]) -> bytes:
    per_cell = len(cells[0][0])
    width = per_cell * size[0] + (per_cell - 1) * 2
    captions = [_wrapped(caption, width) for _, caption in cells]
    columns = max(1, min(columns, len(cells)))
    rows = -(-len(cells) // columns)
    height = size[1] + 6 + LINE * max(len(lines) for lines in captions)
    sheet = Image.new("RGB", (GAP + columns * (width + GAP), GAP + rows * (height + GAP)), PAPER)
    draw = ImageDraw.Draw(sheet)
    for index, ((pictures, _), lines) in enumerate(zip(cells, captions, strict=True)):
        left = GAP + (index % columns) * (width + GAP)
        top = GAP + (index // columns) * (height + GAP)
        for place, picture in enumerate(pictures):
            sheet.paste(fitted(picture, size), (left + place * (size[0] + 2), top))
        for number, line in enumerate(lines):
            # Fonts differ in height above the base line, so the base line is what has to be the same.
            at = (left, top + size[1] + 4 + number * LINE + ASCENT)
            draw.text(at, line, fill=INK, font=_font_of(line), anchor="ls")
    return _jpeg(sheet)


def _wrapped(caption: str, width: int) -> list[str]:
    lines = [wrapped for line in caption.splitlines() for wrapped in textwrap.wrap(line, _characters(line, width))]
    return lines or [""]


def _characters(line: str, width: int) -> int:
    """How many of a line's characters fit into so many pixels; those of other scripts may be twice as wide."""
    if not _missing(_plain_font(), line):
        return max(8, int(width / CHARACTER))
    return max(8, int(width / max(_font_of(line).getlength(line) / len(line), CHARACTER)))


def _note(text: str) -> bytes:
    sheet = Image.new("RGB", (320, 40), PAPER)
    ImageDraw.Draw(sheet).text((GAP, 12), text, fill=INK, font=_plain_font())
    return _jpeg(sheet)


def _jpeg(image: Image.Image) -> bytes:
    """A sheet of photographs: a third of the bytes of a PNG and a thirtieth of its time, with captions as sharp."""
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=85, subsampling=0)
    return buffer.getvalue()


def _font_of(line: str) -> ImageFont.FreeTypeFont:
    """The plain font; for a line with other scripts, as Korean, the installed one that has most of its glyphs."""
    if not _missing(_plain_font(), line):
        return _plain_font()
    return min([_plain_font(), *_wide_fonts()], key=lambda font: _missing(font, line))


def _missing(font: ImageFont.FreeTypeFont, line: str) -> int:
    """How many of a line's characters a font has no glyph for."""
    return len(set(map(ord, line)) - _code_points(str(font.path)))


@lru_cache(maxsize=1)
def _plain_font() -> ImageFont.FreeTypeFont:
    """The sans-serif that matplotlib carries: the same glyphs on every machine."""
    import matplotlib

    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"), FONT_SIZE)


@lru_cache(maxsize=1)
def _wide_fonts() -> list[ImageFont.FreeTypeFont]:
    """Those of the fonts that charts fall back to which this machine has."""
    from matplotlib.font_manager import fontManager

    installed = set(fontManager.get_font_names())
    return [ImageFont.truetype(fontManager.findfont(name), FONT_SIZE) for name in WIDE_FONTS if name in installed]


@lru_cache(maxsize=8)
def _code_points(path: str) -> frozenset[int]:
    """The characters that a font file has glyphs for."""
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(path).get_charmap())
