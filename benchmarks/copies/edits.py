"""Edits as reposts show them, by name: each turns a picture into the file of a copy.

Sizes are shares of the picture's own sides, so that they mean the same for every photo. What varies from copy to copy
(places, colours, angles) is drawn from the generator that is passed in.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps

Rng = np.random.Generator
Edit = Callable[[Image.Image, Rng], Image.Image]

CAPTION = "new in: the linen coat we all waited for, link in bio #ootd #streetstyle"
PLAIN, BORDERED, LOCAL = "plain", "border or mirror", "local"
TONE, GEOMETRY, COLOURWAY = "tone", "geometry", "colourway"
COLOUR_CHANGE = 20.0  # levels of chroma, mean over the garment: clearly another colour to the eye
QUALITY = 85  # of the JPEG, where the edit is not about it


@dataclass(frozen=True)
class Copying:
    """How copies of one kind are made."""

    group: str
    edit: Edit
    kind: str = "JPEG"
    quality: int = QUALITY

    def file(self, picture: Image.Image, rng: Rng) -> bytes:
        """Return the copy as the bytes of a file."""
        sink = io.BytesIO()
        options = {} if self.kind == "PNG" else {"quality": self.quality}
        self.edit(picture, rng).convert("RGB").save(sink, self.kind, **options)
        return sink.getvalue()


def same(picture: Image.Image, rng: Rng) -> Image.Image:
    """Only the file is another."""
    return picture


def resized(factor: float, stretch: float = 1.0) -> Edit:
    """Scale both sides, and the height once more."""

    def edit(picture: Image.Image, rng: Rng) -> Image.Image:
        size = (round(picture.width * factor), round(picture.height * factor * stretch))
        return picture.resize(size, Image.Resampling.LANCZOS)

    return edit


def brighter(picture: Image.Image, rng: Rng) -> Image.Image:
    """Brighter or darker by 10 to 30%."""
    return ImageEnhance.Brightness(picture).enhance(_either_way(rng, 0.1, 0.3))


def contrast(picture: Image.Image, rng: Rng) -> Image.Image:
    """More or less contrast by 10 to 30%."""
    return ImageEnhance.Contrast(picture).enhance(_either_way(rng, 0.1, 0.3))


def greyscale(picture: Image.Image, rng: Rng) -> Image.Image:
    """Without colour."""
    return picture.convert("L")


def filtered(picture: Image.Image, rng: Rng) -> Image.Image:
    """A phone's filter: warm or cold, other gamma, lifted blacks, less saturation, a vignette."""
    faded = np.asarray(ImageEnhance.Color(picture).enhance(float(rng.uniform(0.6, 0.9)))).astype(np.float64) / 255
    warmth = float(rng.choice([-1, 1]) * rng.uniform(0.05, 0.12))
    toned = faded ** float(rng.uniform(0.85, 1.2)) * np.array([1 + warmth, 1.0, 1 - warmth])
    height, width = toned.shape[:2]
    rows, columns = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None]
    vignette = 1 - 0.15 * (rows**2 + columns**2)
    return _picture((0.06 + 0.94 * toned * vignette[..., None]) * 255)


def watermarked(picture: Image.Image, rng: Rng) -> Image.Image:
    """A half transparent name across the picture, or in a corner."""
    across = bool(rng.random() < 0.5)
    size = round(picture.width * (0.11 if across else 0.06))
    tile = _written("@fashion.reposts", size, (255, 255, 255, 140 if across else 200), (0, 0, 0, 60))
    if across:
        tile = tile.rotate(float(rng.uniform(10, 35)), Image.Resampling.BICUBIC, expand=True)
        at = ((picture.width - tile.width) // 2, (picture.height - tile.height) // 2)
    else:
        at = (picture.width - tile.width - size, round(picture.height * 0.93))
    return _overlaid(picture, tile, at)


def texted(picture: Image.Image, rng: Rng) -> Image.Image:
    """Two large lines of text on the picture itself."""
    size = round(picture.width * 0.09)
    top = float(rng.uniform(0.05, 0.8))
    colour = (255, 255, 255, 255) if rng.random() < 0.5 else (250, 220, 60, 255)
    for line, words in enumerate(("GET THE LOOK", "all under $50")):
        tile = _written(words, size, colour, (0, 0, 0, 255))
        at = ((picture.width - tile.width) // 2, round(picture.height * top + line * size * 1.3))
        picture = _overlaid(picture, tile, at)
    return picture


def captioned(picture: Image.Image, rng: Rng) -> Image.Image:
    """A white or black bar with text above or below the picture, 5 to 15% of its height."""
    bar = max(8, round(picture.height * float(rng.uniform(0.05, 0.15))))
    white = bool(rng.random() < 0.5)
    ground, ink = ("white", (0, 0, 0, 255)) if white else ("black", (255, 255, 255, 255))
    at_top = bool(rng.random() < 0.5)
    page = Image.new("RGB", (picture.width, picture.height + bar), ground)
    page.paste(picture, (0, bar if at_top else 0))
    lines = 2 if bar > picture.height * 0.09 else 1
    size = max(6, round(bar * (0.3 if lines == 2 else 0.5)))
    y = (0 if at_top else picture.height) + round(bar * 0.15)
    for words in (CAPTION[:34], CAPTION[34:])[:lines]:
        tile = _written(words, size, ink, None)
        if tile.width > picture.width * 0.94:
            tile = tile.crop((0, 0, round(picture.width * 0.94), tile.height))
        page = _overlaid(page, tile, (round(picture.width * 0.03), y))
        y += round(size * 1.25)
    return page


def bordered(share: float) -> Edit:
    """A white border on all sides, as a share of the width."""
    return lambda picture, rng: ImageOps.expand(picture, max(1, round(picture.width * share)), "white")


def letterboxed(picture: Image.Image, rng: Rng) -> Image.Image:
    """A square with white or black bars."""
    side = max(picture.size)
    return ImageOps.pad(picture, (side, side), color="white" if rng.random() < 0.5 else "black")


def mirrored(picture: Image.Image, rng: Rng) -> Image.Image:
    """Left and right exchanged."""
    return ImageOps.mirror(picture)


def cropped(share: float) -> Edit:
    """This share of each side is lost, divided by chance between its two ends."""

    def edit(picture: Image.Image, rng: Rng) -> Image.Image:
        width, height = picture.size
        inside = width * (1 - share), height * (1 - share)
        left, top = float(rng.random()) * (width - inside[0]), float(rng.random()) * (height - inside[1])
        return picture.crop((round(left), round(top), round(left + inside[0]), round(top + inside[1])))

    return edit


def rotated(low: float, high: float) -> Edit:
    """Turned by an angle between two limits in degrees, and cropped so that no corner is empty."""

    def edit(picture: Image.Image, rng: Rng) -> Image.Image:
        angle = float(rng.choice([-1, 1]) * rng.uniform(low, high))
        turned = picture.rotate(angle, Image.Resampling.BICUBIC)
        slope = float(np.tan(np.radians(abs(angle)))) / 2
        x, y = slope * picture.height, slope * picture.width
        return turned.crop((round(x), round(y), round(picture.width - x), round(picture.height - y)))

    return edit


def recoloured(picture: Image.Image, rng: Rng) -> Image.Image:
    """The same picture with its middle, where the garment is, in another colour of the same brightness.

    The hue is turned and a dye added, so that grey garments become coloured; where that would end near the old colour,
    another hue is taken.
    """
    pixels = np.asarray(picture.convert("YCbCr")).astype(np.float64)
    height, width = pixels.shape[:2]
    rows, columns = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None]
    inside = np.clip(4 * (1 - np.hypot(rows / 0.55, columns / 0.4)), 0, 1)[..., None]
    chroma = pixels[..., 1:] - 128
    angles = rng.uniform(np.pi / 2, 3 * np.pi / 2, 6)
    changes = [inside * (_dyed(chroma, float(angle)) - chroma) for angle in angles]
    means = [np.hypot(change[..., 0], change[..., 1]).sum() / inside.sum() for change in changes]
    enough = [change for change, mean in zip(changes, means, strict=True) if mean >= COLOUR_CHANGE]
    pixels[..., 1:] += enough[0] if enough else changes[int(np.argmax(means))]
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8), "YCbCr").convert("RGB")


def _dyed(chroma: npt.NDArray[np.float64], angle: float) -> npt.NDArray[np.float64]:
    cosine, sine = np.cos(angle), np.sin(angle)
    dyed: npt.NDArray[np.float64] = chroma @ np.array([[cosine, sine], [-sine, cosine]]) + 30 * np.array([cosine, sine])
    return dyed


def _either_way(rng: Rng, low: float, high: float) -> float:
    return 1 + float(rng.choice([-1, 1]) * rng.uniform(low, high))


def _picture(pixels: npt.NDArray[np.float64]) -> Image.Image:
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _written(
    words: str, size: int, ink: tuple[int, int, int, int], edge: tuple[int, int, int, int] | None
) -> Image.Image:
    font = ImageFont.load_default(max(6, size))
    width = 0 if edge is None else max(1, size // 16)
    left, top, right, bottom = font.getbbox(words, stroke_width=width)
    tile = Image.new("RGBA", (round(right - left) + 2, round(bottom - top) + 2))
    ImageDraw.Draw(tile).text((1 - left, 1 - top), words, ink, font, stroke_width=width, stroke_fill=edge)
    return tile


def _overlaid(picture: Image.Image, tile: Image.Image, at: tuple[int, int]) -> Image.Image:
    page = picture.convert("RGB")
    page.paste(tile, at, tile)
    return page


COPIES: dict[str, Copying] = {
    "resized to 50%": Copying(PLAIN, resized(0.5)),
    "resized to 150%": Copying(PLAIN, resized(1.5)),
    "recompressed, q40": Copying(PLAIN, same, quality=40),
    "recompressed, q20": Copying(PLAIN, same, quality=20),
    "WebP": Copying(PLAIN, same, "WEBP", 60),
    "PNG": Copying(PLAIN, same, "PNG"),
    "stretched by 10%": Copying(PLAIN, resized(1.0, 1.1)),
    "brightness": Copying(TONE, brighter),
    "contrast": Copying(TONE, contrast),
    "greyscale": Copying(TONE, greyscale),
    "filter": Copying(TONE, filtered),
    "watermark": Copying(LOCAL, watermarked),
    "text": Copying(LOCAL, texted),
    "caption bar": Copying(LOCAL, captioned),
    "white border 3%": Copying(BORDERED, bordered(0.03)),
    "white border 8%": Copying(BORDERED, bordered(0.08)),
    "letterbox": Copying(BORDERED, letterboxed),
    "mirrored": Copying(BORDERED, mirrored),
    "crop 2%": Copying(LOCAL, cropped(0.02)),
    "crop 5%": Copying(LOCAL, cropped(0.05)),
    "crop 10%": Copying(GEOMETRY, cropped(0.1)),
    "rotated 1°": Copying(GEOMETRY, rotated(0.9, 1.1)),
    "rotated 2°": Copying(GEOMETRY, rotated(1.9, 2.1)),
    "colourway": Copying(COLOURWAY, recoloured),
}
