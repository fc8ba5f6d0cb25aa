"""Fabrics of the drawn outfits: a base colour with a pattern that repeats."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from pipeline.demo.drawing.canvas import Colour, darker, lighter, mix

TILE = 128  # pixels of a pattern's tile before it is scaled

_Pen = ImageDraw.ImageDraw
_Painter = Callable[[_Pen, tuple[Colour, ...], np.random.Generator], None]


@dataclass(frozen=True)
class Fabric:
    """A pattern in one to three colours; ``repeat`` is its tile's width in heads."""

    pattern: str
    base: Colour
    second: Colour = (255, 255, 255)
    third: Colour = (40, 40, 40)
    repeat: float = 0.6

    def sheet(self, width: int, height: int, scale: float) -> Image.Image:
        """A picture of ``width`` x ``height`` pixels filled with the fabric at ``scale`` pixels per head."""
        if self.pattern == "plain":
            return Image.new("RGB", (width, height), self.base)
        tile_width = max(8, round(self.repeat * scale))
        tile = _tile(self.pattern, self.base, self.second, self.third).resize(
            (tile_width, tile_width), Image.Resampling.BILINEAR, reducing_gap=2.0
        )
        sheet = Image.new("RGB", (width, height))
        sheet.paste(tile, (0, 0))
        across = tile_width
        while across < width:
            sheet.paste(sheet.crop((0, 0, min(across, width - across), tile_width)), (across, 0))
            across *= 2
        down = tile_width
        while down < height:
            sheet.paste(sheet.crop((0, 0, width, min(down, height - down))), (0, down))
            down *= 2
        return sheet


@lru_cache(maxsize=512)
def _tile(pattern: str, base: Colour, second: Colour, third: Colour) -> Image.Image:
    tile = Image.new("RGB", (TILE, TILE), base)
    if pattern not in PATTERNS:
        raise KeyError(f"no pattern is called {pattern!r}; there are {', '.join(sorted(PATTERNS))}")
    seed = sum(ord(letter) * (31 + at) for at, letter in enumerate(pattern))
    PATTERNS[pattern](ImageDraw.Draw(tile), (base, second, third), np.random.default_rng(seed))
    return tile


def _wrapped(pen: _Pen, x: float, y: float, radius: float, paint: Callable[[float, float], None]) -> None:
    """Paint a motif again on the far side where it crosses the tile's edge."""
    for dx in (-TILE, 0, TILE):
        for dy in (-TILE, 0, TILE):
            if -radius < x + dx < TILE + radius and -radius < y + dy < TILE + radius:
                paint(x + dx, y + dy)


def _bands(pen: _Pen, colours: tuple[Colour, ...], rng: np.random.Generator) -> None:
    for top in (0, 64):
        pen.rectangle((0, top, TILE, top + 28), fill=colours[1])


def _pinstripes(pen: _Pen, colours: tuple[Colour, ...], rng: np.random.Generator) -> None:
    for left in range(6, TILE, 32):
        pen.rectangle((left, 0, left + 4, TILE), fill=colours[1])


def _plaid(pen: _Pen, colours: tuple[Colour, ...], rng: np.random.Generator) -> None:
    base, second, third = colours
    pen.rectangle((0, 0, 56, TILE), fill=mix(base, second, 0.5))
    pen.rectangle((0, 0, TILE, 56), fill=mix(base, second, 0.5))
    pen.rectangle((0, 0, 56, 56), fill=second)
    for at in (88,):
        pen.rectangle((at, 0, at + 7, TILE), fill=third)
        pen.rectangle((0, at, TILE, at + 7), fill=third)
    pen.rectangle((24, 0, 29, TILE), fill=lighter(base, 0.5))
    pen.rectangle((0, 24, TILE, 29), fill=lighter(base, 0.5))


def _gingham(pen: _Pen, colours: tuple[Colour, ...], rng: np.random.Generator) -> None:
    for at in (0, 64):
        pen.rectangle((at, 0, at + 31, TILE), fill=mix(colours[0], colours[1], 0.5))
    for at in (0, 64):
        pen.rectangle((0, at, TILE, at + 31), fill=mix(colours[0], colours[1], 0.5))
        for left in (0, 64):
            pen.rectangle((left, at, left + 31, at + 31), fill=colours[1])


def _dots(pen: _Pen, colours: tuple[Colour, ...], rng: np.random.Generator) -> None:
    for x, y in ((32, 32), (96, 96)):
        pen.ellipse((x - 19, y - 19, x + 19, y + 19), fill=colours[1])


def _floral(pen: _Pen, colours: tuple[Colour, ...], rng: np.random.Generator) -> None:
    base, second, third = colours
    leaf = mix((86, 128, 84), base, 0.25)
    for x, y, size, petal in ((30, 34, 17, second), (94, 92, 19, third), (98, 26, 12, third), (34, 100, 12, second)):

        def flower(cx: float, cy: float, size: int = size, petal: Colour = petal) -> None:
            pen.ellipse((cx + size * 0.6, cy + size * 0.7, cx + size * 1.9, cy + size * 1.3), fill=leaf)
            pen.ellipse((cx - size * 1.8, cy - size * 1.1, cx - size * 0.7, cy - size * 0.5), fill=leaf)
            for turn in range(5):
                px = cx + size * 0.75 * math.cos(turn * 1.2566)
                py = cy + size * 0.75 * math.sin(turn * 1.2566)
                pen.ellipse((px - size * 0.62, py - size * 0.62, px + size * 0.62, py + size * 0.62), fill=petal)
            pen.ellipse((cx - size * 0.4, cy - size * 0.4, cx + size * 0.4, cy + size * 0.4), fill=(250, 214, 106))

        _wrapped(pen, x, y, size * 2, flower)


def _camouflage(pen: _Pen, colours: tuple[Colour, ...], rng: np.random.Generator) -> None:
    for colour in (colours[1], colours[2], mix(colours[0], colours[2], 0.5)):
        for _ in range(5):
            x, y = rng.uniform(0, TILE, 2)
            for _ in range(4):
                rx, ry = rng.uniform(9, 24), rng.uniform(6, 13)

                def blob(cx: float, cy: float, rx: float = rx, ry: float = ry, colour: Colour = colour) -> None:
                    pen.ellipse((cx - rx, cy - ry, cx + rx, cy + ry), fill=colour)

                _wrapped(pen, x % TILE, y % TILE, 26, blob)
                x, y = x + rng.uniform(-20, 20), y + rng.uniform(-12, 12)


def _leopard(pen: _Pen, colours: tuple[Colour, ...], rng: np.random.Generator) -> None:
    for row in range(4):
        for column in range(4):
            x = column * 32 + (16 if row % 2 else 0) + rng.uniform(-5, 5)
            y = row * 32 + 16 + rng.uniform(-5, 5)
            start = rng.uniform(0, 360)

            def spot(cx: float, cy: float, start: float = start) -> None:
                pen.ellipse((cx - 8, cy - 7, cx + 8, cy + 7), fill=colours[1])
                pen.arc((cx - 11, cy - 10, cx + 11, cy + 10), start, start + 250, fill=colours[2], width=6)

            _wrapped(pen, x, y, 14, spot)


def _lace(pen: _Pen, colours: tuple[Colour, ...], rng: np.random.Generator) -> None:
    for x in range(0, TILE + 1, 32):
        for y in range(0, TILE + 1, 32):
            pen.ellipse((x - 13, y - 13, x + 13, y + 13), outline=colours[1], width=5)
            pen.ellipse((x - 4, y - 4, x + 4, y + 4), fill=colours[1])


def _denim(pen: _Pen, colours: tuple[Colour, ...], rng: np.random.Generator) -> None:
    for at in range(-TILE, TILE, 8):
        pen.line((at, 0, at + TILE, TILE), fill=lighter(colours[0], 0.12), width=3)


def _knit(pen: _Pen, colours: tuple[Colour, ...], rng: np.random.Generator) -> None:
    line = darker(colours[0], 0.16)
    for x in range(0, TILE, 32):
        for y in range(-16, TILE, 16):
            pen.line((x, y, x + 16, y + 14), fill=line, width=4)
            pen.line((x + 32, y, x + 16, y + 14), fill=line, width=4)


def _ribbed(pen: _Pen, colours: tuple[Colour, ...], rng: np.random.Generator) -> None:
    for x in range(0, TILE, 16):
        pen.rectangle((x, 0, x + 5, TILE), fill=darker(colours[0], 0.13))


def _tweed(pen: _Pen, colours: tuple[Colour, ...], rng: np.random.Generator) -> None:
    for x in range(0, TILE, 8):
        for y in range(0, TILE, 8):
            colour = (colours[1], colours[2], lighter(colours[0]))[int(rng.integers(3))]
            if rng.random() < 0.62:
                pen.rectangle((x, y, x + 5, y + 3), fill=mix(colours[0], colour, 0.55))


def _houndstooth(pen: _Pen, colours: tuple[Colour, ...], rng: np.random.Generator) -> None:
    for x in (0, 64):
        for y in (0, 64):
            pen.rectangle((x, y, x + 31, y + 31), fill=colours[1])
            pen.polygon((x + 32, y, x + 48, y, x + 32, y + 16), fill=colours[1])
            pen.polygon((x, y + 32, x, y + 48, x + 16, y + 32), fill=colours[1])
            pen.polygon((x + 48, y + 32, x + 64, y + 16, x + 64, y + 32), fill=colours[1])


def _argyle(pen: _Pen, colours: tuple[Colour, ...], rng: np.random.Generator) -> None:
    pen.polygon((32, 0, 64, 64, 32, TILE, 0, 64), fill=colours[1])
    pen.polygon((96, 0, TILE, 64, 96, TILE, 64, 64), fill=mix(colours[0], colours[1], 0.35))
    for left in (-64, 0, 64):
        pen.line((left, 0, left + 64, TILE), fill=colours[2], width=3)
        pen.line((left + 64, 0, left, TILE), fill=colours[2], width=3)


def _ikat(pen: _Pen, colours: tuple[Colour, ...], rng: np.random.Generator) -> None:
    base, second, third = colours
    pen.rectangle((0, 0, TILE, 10), fill=third)
    pen.rectangle((0, 64, TILE, 74), fill=second)
    for x in (0, 64, TILE):
        pen.polygon((x, 14, x + 24, 37, x, 60, x - 24, 37), fill=second)
        pen.polygon((x, 24, x + 12, 37, x, 50, x - 12, 37), fill=third)
    for x in range(0, TILE, 32):
        pen.polygon((x, 124, x + 16, 80, x + 32, 124), fill=third)
        pen.polygon((x + 9, 124, x + 16, 102, x + 23, 124), fill=base)


def _paisley(pen: _Pen, colours: tuple[Colour, ...], rng: np.random.Generator) -> None:
    for x, y, flip in ((34, 36, 1), (98, 98, -1), (98, 30, -1), (32, 100, 1)):
        for size, colour in ((22, colours[1]), (14, colours[0]), (8, colours[2])):
            pen.ellipse((x - size, y - size * 0.8, x + size, y + size * 0.8), fill=colour)
            pen.polygon((x - size, y, x + flip * size * 0.4, y - size * 1.5, x + size, y), fill=colour)


def _tropical(pen: _Pen, colours: tuple[Colour, ...], rng: np.random.Generator) -> None:
    for x, y, turn, colour in (
        (30, 30, 0.4, colours[1]),
        (96, 86, 2.2, colours[2]),
        (90, 20, 1.2, colours[1]),
        (30, 98, 2.9, colours[2]),
    ):

        def leaf(cx: float, cy: float, turn: float = turn, colour: Colour = colour) -> None:
            for spread in (-0.9, -0.45, 0.0, 0.45, 0.9):
                a = turn + spread
                tip = (cx + 34 * math.cos(a), cy + 34 * math.sin(a))
                side = (7 * math.cos(a + 1.57), 7 * math.sin(a + 1.57))
                middle = ((cx + tip[0]) / 2, (cy + tip[1]) / 2)
                pen.polygon(
                    (
                        (cx, cy),
                        (middle[0] + side[0], middle[1] + side[1]),
                        tip,
                        (middle[0] - side[0], middle[1] - side[1]),
                    ),
                    fill=colour,
                )

        _wrapped(pen, x, y, 36, leaf)


def _tiedye(pen: _Pen, colours: tuple[Colour, ...], rng: np.random.Generator) -> None:
    rings = (colours[0], colours[1], colours[2], lighter(colours[1]), colours[0], colours[2], colours[1], colours[0])
    for ring, colour in enumerate(rings):
        reach = 92 - ring * 11
        outline = []
        for step in range(40):
            angle = step * math.pi / 20
            radius = reach * (1 + 0.13 * math.sin(angle * 7 + ring))
            outline.append((64 + radius * math.cos(angle), 64 + radius * math.sin(angle)))
        pen.polygon(outline, fill=colour)


def _sequins(pen: _Pen, colours: tuple[Colour, ...], rng: np.random.Generator) -> None:
    for row in range(0, TILE, 8):
        for column in range(0, TILE, 8):
            x = column + (4 if row % 16 else 0)
            shine = rng.random()
            colour = lighter(colours[0], 0.85) if shine > 0.82 else darker(colours[0], 0.4 * shine)
            pen.ellipse((x, row, x + 7, row + 7), fill=colour)


def _leather(pen: _Pen, colours: tuple[Colour, ...], rng: np.random.Generator) -> None:
    for x in range(TILE):
        light = max(0.0, math.sin(x * 2 * math.pi / TILE)) ** 6
        pen.line((x, 0, x, TILE), fill=mix(colours[0], lighter(colours[0], 0.8), light * 0.55))
    for x, y in ((20, 30), (84, 70), (44, 100)):
        pen.line((x, y, x + 22, y + 14), fill=darker(colours[0], 0.4), width=3)


def _satin(pen: _Pen, colours: tuple[Colour, ...], rng: np.random.Generator) -> None:
    for x in range(TILE):
        light = 0.5 + 0.5 * math.sin(x * 2 * math.pi / TILE)
        pen.line((x, 0, x, TILE), fill=mix(darker(colours[0], 0.18), lighter(colours[0], 0.42), light**2))


def _linen(pen: _Pen, colours: tuple[Colour, ...], rng: np.random.Generator) -> None:
    for _ in range(36):
        x, y = rng.uniform(0, TILE, 2)
        colour = darker(colours[0], 0.1) if rng.random() < 0.5 else lighter(colours[0], 0.3)
        if rng.random() < 0.5:
            pen.line((x, y, x + 26, y), fill=colour, width=2)
        else:
            pen.line((x, y, x, y + 26), fill=colour, width=2)


def _hearts(pen: _Pen, colours: tuple[Colour, ...], rng: np.random.Generator) -> None:
    for x, y, colour in ((32, 32, colours[1]), (96, 96, colours[2]), (96, 32, colours[2]), (32, 96, colours[1])):
        pen.ellipse((x - 17, y - 14, x + 1, y + 4), fill=colour)
        pen.ellipse((x - 1, y - 14, x + 17, y + 4), fill=colour)
        pen.polygon((x - 16, y, x + 16, y, x, y + 20), fill=colour)


def _blocks(pen: _Pen, colours: tuple[Colour, ...], rng: np.random.Generator) -> None:
    pen.rectangle((0, 0, 64, 64), fill=colours[1])
    pen.rectangle((64, 64, TILE, TILE), fill=colours[2])


PATTERNS: dict[str, _Painter] = {
    "argyle": _argyle,
    "bands": _bands,
    "blocks": _blocks,
    "camouflage": _camouflage,
    "denim": _denim,
    "dots": _dots,
    "floral": _floral,
    "gingham": _gingham,
    "hearts": _hearts,
    "houndstooth": _houndstooth,
    "ikat": _ikat,
    "knit": _knit,
    "lace": _lace,
    "leather": _leather,
    "leopard": _leopard,
    "linen": _linen,
    "paisley": _paisley,
    "pinstripes": _pinstripes,
    "plaid": _plaid,
    "ribbed": _ribbed,
    "satin": _satin,
    "sequins": _sequins,
    "tiedye": _tiedye,
    "tropical": _tropical,
    "tweed": _tweed,
}
