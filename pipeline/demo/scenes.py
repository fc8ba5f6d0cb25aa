"""Backgrounds of the drawn outfits: studio, street, nature, rooms and nights out.

Every scene is drawn in page pixels, with its parts placed at random, so that two pictures of the same style are not
near-duplicates of each other.
"""

import math
from collections.abc import Callable

import numpy as np

from pipeline.demo.canvas import Canvas, Colour, darker, lighter, mix

Scene = Callable[[Canvas, np.random.Generator, Colour], None]


def _shades(canvas: Canvas, top: Colour, bottom: Colour, start: float = 0.0, end: float = 1.0, steps: int = 24) -> None:
    width, height = canvas.size
    first, last = start * height, end * height
    for step in range(steps):
        y = first + (last - first) * step / steps
        canvas.draw.rectangle((0, y, width, first + (last - first) * (step + 1) / steps), fill=mix(top, bottom, step / steps))


def _disc(canvas: Canvas, x: float, y: float, radius: float, colour: Colour) -> None:
    canvas.draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


def _random_colour(rng: np.random.Generator, low: int = 90, high: int = 245) -> Colour:
    r, g, b = (int(v) for v in rng.integers(low, high, 3))
    return (r, g, b)


def _seamless(canvas: Canvas, rng: np.random.Generator, tone: Colour) -> None:
    width, height = canvas.size
    _shades(canvas, lighter(tone, rng.uniform(0.2, 0.7)), darker(tone, rng.uniform(0.05, 0.35)))
    lean = rng.uniform(-0.5, 0.5) * width
    left = rng.uniform(-0.2, 0.7) * width
    beam = rng.uniform(0.2, 0.5) * width
    canvas.draw.polygon((left, 0, left + beam, 0, left + beam + lean, height, left + lean, height), fill=lighter(tone, 0.5))
    y = rng.uniform(0.72, 0.95) * height
    canvas.draw.rectangle((0, y, width, height), fill=darker(tone, rng.uniform(0.1, 0.35)))


def _shapes(canvas: Canvas, rng: np.random.Generator, tone: Colour) -> None:
    width, height = canvas.size
    canvas.draw.rectangle((0, 0, width, height), fill=lighter(tone, 0.55))
    for _ in range(int(rng.integers(3, 6))):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        size = rng.uniform(0.12, 0.42) * width
        colour = mix(tone, _random_colour(rng), rng.uniform(0.15, 0.6))
        match int(rng.integers(3)):
            case 0:
                _disc(canvas, x, y, size, colour)
            case 1:
                canvas.draw.rectangle((x - size, y - size * 0.6, x + size, y + size * 0.9), fill=colour)
            case _:
                canvas.draw.polygon((x, y - size, x + size * 1.2, y + size, x - size * 1.1, y + size * 0.7), fill=colour)
    y = rng.uniform(0.8, 0.98) * height
    canvas.draw.rectangle((0, y, width, height), fill=darker(tone, 0.2))


def _arch(canvas: Canvas, rng: np.random.Generator, tone: Colour) -> None:
    width, height = canvas.size
    wall, hole = (lighter(tone, 0.4), darker(tone, rng.uniform(0.25, 0.55)))
    if rng.random() < 0.4:
        wall, hole = hole, wall
    canvas.draw.rectangle((0, 0, width, height), fill=wall)
    half = rng.uniform(0.2, 0.4) * width
    x, top = rng.uniform(0.2, 0.8) * width, rng.uniform(0.1, 0.4) * height
    canvas.draw.ellipse((x - half, top, x + half, top + 2 * half), fill=hole)
    canvas.draw.rectangle((x - half, top + half, x + half, height), fill=hole)
    base = rng.uniform(0.78, 0.93) * height
    canvas.draw.rectangle((0, base, width, height), fill=lighter(tone, 0.2))
    side = rng.choice([0.0, 0.65]) * width
    canvas.draw.rectangle((side, base - rng.uniform(0.06, 0.3) * height, side + rng.uniform(0.2, 0.35) * width, base + 0.03 * height),
                          fill=darker(tone, 0.15))


def _panels(canvas: Canvas, rng: np.random.Generator, tone: Colour) -> None:
    width, height = canvas.size
    slant = rng.uniform(-0.35, 0.35) * width
    edges = np.cumsum(rng.uniform(0.1, 0.4, 12)) * width - 0.4 * width
    for at, left in enumerate(edges):
        colour = (lighter(tone, 0.5), darker(tone, 0.3), tone)[(at + int(rng.integers(2))) % 3]
        canvas.draw.polygon((left, 0, left + width, 0, left + width + slant, height, left + slant, height), fill=colour)
    y = rng.uniform(0.8, 0.95) * height
    canvas.draw.rectangle((0, y, width, height), fill=lighter(tone, 0.2))


def _houses(canvas: Canvas, rng: np.random.Generator, tone: Colour) -> None:
    width, height = canvas.size
    _shades(canvas, mix((150, 190, 225), tone, 0.25), (240, 236, 228), 0, 0.8)
    ground = rng.uniform(0.68, 0.9) * height
    x = -rng.uniform(0, 0.2) * width
    while x < width:
        w = rng.uniform(0.18, 0.42) * width
        top = rng.uniform(-0.1, 0.5) * height
        wall = mix(_random_colour(rng, 70, 235), tone, 0.35)
        canvas.draw.rectangle((x, top, x + w, ground), fill=wall)
        glass = darker(wall, 0.55) if rng.random() < 0.6 else lighter(wall, 0.6)
        rows, columns = int(rng.integers(3, 6)), int(rng.integers(2, 4))
        for row in range(rows):
            for column in range(columns):
                wx = x + w * (column + 0.22) / columns
                wy = top + (ground - top) * (row + 0.2) / rows
                canvas.draw.rectangle((wx, wy, wx + 0.55 * w / columns, wy + 0.55 * (ground - top) / rows), fill=glass)
        x += w
    canvas.draw.rectangle((0, ground, width, height), fill=(150, 148, 150))
    canvas.draw.rectangle((0, ground, width, ground + 0.02 * height), fill=(202, 200, 198))
    if rng.random() < 0.5:
        for at in range(7):
            left = (at * 0.2 - rng.uniform(0, 0.1)) * width
            canvas.draw.polygon((left, height, left + 0.1 * width, height, left + 0.13 * width, ground + 0.06 * height,
                                 left + 0.06 * width, ground + 0.06 * height), fill=(228, 226, 222))


def _bricks(canvas: Canvas, rng: np.random.Generator, tone: Colour) -> None:
    width, height = canvas.size
    brick = mix([(166, 84, 66), (196, 186, 176), (112, 104, 108)][int(rng.integers(3))], tone, 0.25)
    canvas.draw.rectangle((0, 0, width, height), fill=lighter(brick, 0.3))
    ground = rng.uniform(0.72, 0.92) * height
    h = height / 26
    for row in range(int(ground / h) + 1):
        for column in range(-1, 8):
            x = (column + (row % 2) / 2) * width / 7
            canvas.draw.rectangle((x, row * h, x + width / 7 - 6, row * h + h - 6),
                                  fill=mix(brick, (70, 40, 40), 0.25 * rng.random()))
    x, w = rng.uniform(-0.1, 0.75) * width, rng.uniform(0.25, 0.5) * width
    top = rng.uniform(0.05, 0.45) * height
    frame = _random_colour(rng, 30, 220)
    canvas.draw.rectangle((x, top, x + w, ground), fill=frame)
    canvas.draw.rectangle((x + 18, top + 18, x + w - 18, ground), fill=darker(frame, 0.5))
    canvas.draw.rectangle((0, ground, width, height), fill=(128, 124, 126))


def _graffiti(canvas: Canvas, rng: np.random.Generator, tone: Colour) -> None:
    width, height = canvas.size
    canvas.draw.rectangle((0, 0, width, height), fill=mix((150, 150, 156), tone, 0.3))
    for _ in range(int(rng.integers(5, 9))):
        colour = _random_colour(rng, 20, 250)
        x, y = rng.uniform(0, width), rng.uniform(0, 0.8 * height)
        points = []
        for _ in range(5):
            points += [x, y]
            x, y = x + rng.normal(0, 0.22) * width, y + rng.normal(0, 0.13) * height
        canvas.draw.line(points, fill=colour, width=int(rng.uniform(0.03, 0.09) * width), joint="curve")
        _disc(canvas, x, y, rng.uniform(0.03, 0.16) * width, _random_colour(rng, 20, 250))
    ground = rng.uniform(0.76, 0.92) * height
    canvas.draw.rectangle((0, ground, width, height), fill=(96, 94, 98))


def _cafe(canvas: Canvas, rng: np.random.Generator, tone: Colour) -> None:
    width, height = canvas.size
    wall = lighter(tone, 0.3)
    canvas.draw.rectangle((0, 0, width, height), fill=wall)
    top, ground = rng.uniform(0.08, 0.3) * height, rng.uniform(0.74, 0.9) * height
    left, right = rng.uniform(-0.1, 0.25) * width, rng.uniform(0.6, 1.1) * width
    canvas.draw.rectangle((left, top, right, ground - 0.08 * height), fill=mix((70, 82, 90), tone, 0.3))
    canvas.draw.polygon((left, ground * 0.55, right, top, right, top + 0.2 * height, left, ground * 0.8), fill=(150, 168, 176))
    awning = _random_colour(rng, 60, 210)
    stripes = int(rng.integers(6, 11))
    for at in range(stripes):
        x = left + (right - left) * at / stripes
        w = (right - left) / stripes
        colour = awning if at % 2 else (246, 242, 234)
        canvas.draw.rectangle((x, top - 0.06 * height, x + w, top + 0.08 * height), fill=colour)
        canvas.draw.ellipse((x, top + 0.06 * height, x + w, top + 0.1 * height), fill=colour)
    canvas.draw.rectangle((0, ground, width, height), fill=(184, 176, 168))
    for x in rng.uniform(0, width, 3):
        canvas.draw.rectangle((x - 40, ground - 0.09 * height, x + 40, ground + 0.02 * height), fill=(150, 96, 66))
        _disc(canvas, x, ground - 0.13 * height, rng.uniform(0.05, 0.09) * width, (84, 128, 82))


def _skyline(canvas: Canvas, rng: np.random.Generator, tone: Colour) -> None:
    width, height = canvas.size
    dusk = [((72, 72, 128), (246, 170, 130)), ((120, 170, 220), (236, 240, 244)), ((30, 32, 66), (96, 66, 110))]
    top, bottom = dusk[int(rng.integers(3))]
    _shades(canvas, mix(top, tone, 0.2), bottom, 0, 0.85)
    _disc(canvas, rng.uniform(0.1, 0.9) * width, rng.uniform(0.05, 0.45) * height, rng.uniform(0.06, 0.16) * width, (255, 232, 190))
    for depth, share in ((0.25, 0.35), (0.0, 0.65)):
        x = -20.0
        while x < width:
            w = rng.uniform(0.06, 0.18) * width
            roof = rng.uniform(0.25 + depth * 0.3, 0.75) * height
            colour = mix(bottom, darker(top, 0.5), share)
            canvas.draw.rectangle((x, roof, x + w, height), fill=colour)
            for _ in range(6 if not depth else 0):
                wx, wy = x + rng.uniform(0.1, 0.8) * w, roof + rng.uniform(0.03, 0.5) * (height - roof)
                canvas.draw.rectangle((wx, wy, wx + 14, wy + 22), fill=(250, 220, 150))
            x += w
    ground = rng.uniform(0.82, 0.95) * height
    canvas.draw.rectangle((0, ground, width, height), fill=darker(bottom, 0.45))


def _night(canvas: Canvas, rng: np.random.Generator, tone: Colour) -> None:
    width, height = canvas.size
    _shades(canvas, darker(tone, 0.9), darker(tone, 0.55))
    for _ in range(int(rng.integers(22, 42))):
        warm = [(250, 190, 90), (240, 110, 130), (120, 160, 250), (250, 230, 170)][int(rng.integers(4))]
        _disc(canvas, rng.uniform(0, width), rng.uniform(0, 0.85 * height), rng.uniform(0.015, 0.1) * width,
              mix(darker(tone, 0.6), warm, rng.uniform(0.25, 0.85)))
    ground = rng.uniform(0.8, 0.95) * height
    canvas.draw.rectangle((0, ground, width, height), fill=darker(tone, 0.8))


def _stage(canvas: Canvas, rng: np.random.Generator, tone: Colour) -> None:
    width, height = canvas.size
    canvas.draw.rectangle((0, 0, width, height), fill=darker(tone, 0.75))
    for _ in range(int(rng.integers(2, 5))):
        x, spread = rng.uniform(0, width), rng.uniform(0.12, 0.32) * width
        aim = rng.uniform(0, width)
        canvas.draw.polygon((x, -20, aim + spread, height, aim - spread, height),
                            fill=mix(darker(tone, 0.6), _random_colour(rng, 60, 255), rng.uniform(0.25, 0.6)))
    ground = rng.uniform(0.78, 0.93) * height
    canvas.draw.rectangle((0, ground, width, height), fill=(44, 38, 48))
    for at in range(5):
        canvas.draw.line((0, ground + at * 40, width, ground + at * 40), fill=(64, 56, 68), width=5)


def _meadow(canvas: Canvas, rng: np.random.Generator, tone: Colour) -> None:
    width, height = canvas.size
    horizon = rng.uniform(0.3, 0.65) * height
    _shades(canvas, mix((140, 190, 228), tone, 0.2), (238, 240, 226), 0, horizon / height)
    grass = mix((138, 170, 96), tone, 0.15)
    canvas.draw.rectangle((0, horizon, width, height), fill=grass)
    for _ in range(3):
        x, y, r = rng.uniform(0, width), horizon + rng.uniform(-0.02, 0.1) * height, rng.uniform(0.25, 0.6) * width
        canvas.draw.ellipse((x - r, y - r * 0.4, x + r, y + r * 0.6), fill=mix(grass, (90, 130, 90), rng.random()))
    canvas.draw.rectangle((0, horizon + 0.14 * height, width, height), fill=grass)
    _tree(canvas, rng, rng.uniform(0.05, 0.95) * width, horizon + 0.1 * height)
    for _ in range(70):
        x, y = rng.uniform(0, width), rng.uniform(horizon + 0.15 * height, height)
        _disc(canvas, x, y, rng.uniform(5, 15), [(250, 240, 220), (240, 170, 180), (246, 206, 96), (150, 120, 190)][int(rng.integers(4))])


def _tree(canvas: Canvas, rng: np.random.Generator, x: float, foot: float) -> None:
    width, height = canvas.size
    tall = rng.uniform(0.25, 0.6) * height
    canvas.draw.rectangle((x - 0.02 * width, foot - tall, x + 0.02 * width, foot), fill=(112, 82, 62))
    leaf = mix((82, 128, 76), _random_colour(rng), 0.2)
    for _ in range(7):
        _disc(canvas, x + rng.normal(0, 0.09) * width, foot - tall + rng.normal(0, 0.06) * height, rng.uniform(0.06, 0.13) * width,
              mix(leaf, (210, 220, 140), 0.4 * rng.random()))


def _park(canvas: Canvas, rng: np.random.Generator, tone: Colour) -> None:
    width, height = canvas.size
    horizon = rng.uniform(0.5, 0.75) * height
    _shades(canvas, mix((190, 216, 220), tone, 0.2), (232, 236, 214), 0, 1)
    canvas.draw.rectangle((0, horizon, width, height), fill=mix((146, 172, 110), tone, 0.15))
    for x in rng.uniform(0, width, int(rng.integers(2, 5))):
        _tree(canvas, rng, x, horizon + rng.uniform(0, 0.08) * height)
    far, near = rng.uniform(0.2, 0.8) * width, rng.uniform(0, 1) * width
    canvas.draw.polygon((far, horizon, far + 0.08 * width, horizon, near + 0.5 * width, height, near - 0.4 * width, height),
                        fill=(222, 206, 178))


def _beach(canvas: Canvas, rng: np.random.Generator, tone: Colour) -> None:
    width, height = canvas.size
    horizon, shore = rng.uniform(0.2, 0.5) * height, rng.uniform(0.58, 0.82) * height
    sunset = rng.random() < 0.4
    _shades(canvas, (236, 150, 120) if sunset else (120, 186, 226), (252, 222, 176) if sunset else (226, 240, 244), 0, horizon / height)
    _disc(canvas, rng.uniform(0, 1) * width, horizon - rng.uniform(-0.02, 0.16) * height, rng.uniform(0.06, 0.14) * width, (255, 240, 200))
    _shades(canvas, mix((52, 122, 160), tone, 0.15), (120, 196, 200), horizon / height, shore / height)
    slope = rng.uniform(-0.12, 0.12) * height
    canvas.draw.polygon((0, shore + slope, width, shore - slope, width, height, 0, height), fill=(236, 216, 178))
    canvas.draw.line((0, shore + slope, width, shore - slope), fill=(252, 252, 250), width=26)
    if rng.random() < 0.6:
        x = rng.choice([0.08, 0.92]) * width
        canvas.draw.line((x, height * 0.95, x + rng.uniform(-0.1, 0.1) * width, 0.2 * height), fill=(120, 92, 66), width=34)
        for turn in range(7):
            a = turn * 0.9 + rng.uniform(0, 0.5)
            canvas.draw.line((x, 0.2 * height, x + 0.24 * width * math.cos(a), 0.2 * height + 0.16 * width * math.sin(a)),
                             fill=(66, 116, 76), width=40)


def _forest(canvas: Canvas, rng: np.random.Generator, tone: Colour) -> None:
    width, height = canvas.size
    _shades(canvas, mix((190, 208, 170), tone, 0.2), mix((90, 112, 80), tone, 0.15))
    for depth in (0.6, 0.25):
        for x in rng.uniform(0, width, int(rng.integers(4, 8))):
            w = rng.uniform(0.02, 0.07) * width
            canvas.draw.rectangle((x - w, 0, x + w, height * 0.9), fill=mix((66, 52, 46), (170, 186, 150), depth))
    ground = rng.uniform(0.7, 0.9) * height
    canvas.draw.rectangle((0, ground, width, height), fill=mix((96, 92, 60), tone, 0.1))
    for _ in range(12):
        x, y, r = rng.uniform(0, width), ground + rng.uniform(-0.04, 0.06) * height, rng.uniform(0.04, 0.12) * width
        _disc(canvas, x, y, r, mix((70, 112, 66), (140, 160, 80), rng.random()))


def _desert(canvas: Canvas, rng: np.random.Generator, tone: Colour) -> None:
    width, height = canvas.size
    _shades(canvas, mix((130, 180, 214), tone, 0.25), (250, 220, 190), 0, 0.8)
    for level in range(4):
        y = (0.38 + level * 0.15 + rng.uniform(-0.05, 0.05)) * height
        points = [0.0, float(height)]
        for at in range(9):
            points += [at * width / 8, y + rng.normal(0, 0.045) * height]
        canvas.draw.polygon([*points, width, height], fill=mix((222, 150, 104), (176, 96, 74), level / 3 * rng.uniform(0.7, 1)))
    for x in rng.uniform(0, width, 2):
        y = rng.uniform(0.6, 0.85) * height
        canvas.draw.line((x, y, x, y - 0.25 * height), fill=(86, 120, 84), width=44)
        canvas.draw.line((x, y - 0.1 * height, x + 80, y - 0.1 * height, x + 80, y - 0.18 * height), fill=(86, 120, 84), width=30)


def _room(canvas: Canvas, rng: np.random.Generator, tone: Colour) -> None:
    width, height = canvas.size
    wall = lighter(tone, rng.uniform(0.2, 0.6))
    canvas.draw.rectangle((0, 0, width, height), fill=wall)
    x, y = rng.uniform(-0.1, 0.7) * width, rng.uniform(0.02, 0.25) * height
    w, h = rng.uniform(0.3, 0.5) * width, rng.uniform(0.3, 0.5) * height
    canvas.draw.rectangle((x - 16, y - 16, x + w + 16, y + h + 16), fill=(248, 246, 240))
    canvas.draw.rectangle((x, y, x + w, y + h), fill=(190, 216, 232))
    canvas.draw.line((x + w / 2, y, x + w / 2, y + h), fill=(248, 246, 240), width=14)
    drape = darker(tone, 0.25)
    for side in (x - 0.1 * width, x + w - 0.02 * width):
        canvas.draw.polygon((side, y - 30, side + 0.14 * width, y - 30, side + 0.11 * width, y + h * 1.4, side - 0.02 * width, y + h * 1.4), fill=drape)
    ground = rng.uniform(0.74, 0.92) * height
    canvas.draw.rectangle((0, ground, width, height), fill=mix((176, 128, 92), tone, 0.2))
    seat = rng.choice([-0.15, 0.62]) * width
    sofa = _random_colour(rng, 60, 220)
    canvas.draw.rounded_rectangle((seat, ground - rng.uniform(0.15, 0.3) * height, seat + 0.5 * width, ground + 0.05 * height), 40, fill=sofa)


def _library(canvas: Canvas, rng: np.random.Generator, tone: Colour) -> None:
    width, height = canvas.size
    wood = mix((112, 76, 56), tone, 0.2)
    canvas.draw.rectangle((0, 0, width, height), fill=darker(wood, 0.45))
    ground = rng.uniform(0.76, 0.92) * height
    shelf = rng.uniform(0.12, 0.2) * height
    y = -rng.uniform(0, 0.1) * height
    while y < ground:
        x = 0.0
        while x < width:
            w = rng.uniform(0.018, 0.05) * width
            tall = rng.uniform(0.6, 0.92) * shelf
            if rng.random() < 0.9:
                canvas.draw.rectangle((x, y + shelf - tall, x + w, y + shelf), fill=mix(_random_colour(rng, 40, 220), wood, 0.3))
            x += w + 3
        canvas.draw.rectangle((0, y + shelf, width, y + shelf + 18), fill=wood)
        y += shelf + 18
    gap = rng.uniform(0, 0.7) * width
    canvas.draw.rectangle((gap, 0, gap + rng.uniform(0.1, 0.35) * width, ground), fill=lighter(tone, 0.4))
    canvas.draw.rectangle((0, ground, width, height), fill=mix((150, 104, 74), tone, 0.2))


def _office(canvas: Canvas, rng: np.random.Generator, tone: Colour) -> None:
    width, height = canvas.size
    _shades(canvas, (206, 220, 230), mix((234, 236, 236), tone, 0.15))
    columns = int(rng.integers(2, 5))
    shift = rng.uniform(0, 0.3) * width
    for at in range(-1, columns + 1):
        x = at * width / columns + shift
        canvas.draw.rectangle((x, 0, x + 0.05 * width, height), fill=(92, 100, 112))
        roof = rng.uniform(0.2, 0.6) * height
        canvas.draw.rectangle((x + 0.08 * width, roof, x + 0.8 * width / columns, height), fill=mix((150, 168, 186), tone, 0.3))
    bar = rng.uniform(0.1, 0.5) * height
    canvas.draw.rectangle((0, bar, width, bar + 0.02 * height), fill=(92, 100, 112))
    ground = rng.uniform(0.76, 0.92) * height
    canvas.draw.rectangle((0, ground, width, height), fill=mix((178, 182, 188), tone, 0.2))


def _court(canvas: Canvas, rng: np.random.Generator, tone: Colour) -> None:
    width, height = canvas.size
    horizon = rng.uniform(0.3, 0.6) * height
    _shades(canvas, (150, 200, 234), (226, 238, 242), 0, horizon / height)
    canvas.draw.rectangle((0, horizon - 0.08 * height, width, horizon), fill=(86, 120, 96))
    ground = [(190, 92, 70), (70, 124, 170), (92, 150, 104)][int(rng.integers(3))]
    canvas.draw.rectangle((0, horizon, width, height), fill=ground)
    meet = rng.uniform(-0.3, 1.3) * width
    for at in range(-4, 9):
        canvas.draw.line((meet, horizon, at * 0.25 * width, height), fill=(244, 242, 236), width=14)
    if rng.random() < 0.6:
        for x in np.arange(0, width, 0.09 * width):
            canvas.draw.line((x, 0, x + 0.3 * width, horizon), fill=(206, 212, 216), width=4)
            canvas.draw.line((x, 0, x - 0.3 * width, horizon), fill=(206, 212, 216), width=4)


def _tiles(canvas: Canvas, rng: np.random.Generator, tone: Colour) -> None:
    width, height = canvas.size
    across = int(rng.integers(4, 8))
    side = width / across
    first, second = mix(tone, (250, 240, 220), 0.5), _random_colour(rng, 50, 200)
    for row in range(int(height / side) + 1):
        for column in range(across):
            x, y = column * side, row * side
            canvas.draw.rectangle((x, y, x + side, y + side), fill=first)
            canvas.draw.polygon((x + side / 2, y, x + side, y + side / 2, x + side / 2, y + side, x, y + side / 2), fill=second)
            _disc(canvas, x + side / 2, y + side / 2, side * 0.2, first)
    left, w = rng.uniform(-0.2, 0.7) * width, rng.uniform(0.4, 0.7) * width
    top = rng.uniform(-0.1, 0.4) * height
    wall = mix([(206, 120, 76), (240, 226, 200), (70, 120, 130)][int(rng.integers(3))], tone, 0.2)
    canvas.draw.rounded_rectangle((left, top, left + w, height * 1.2), round(w / 2), fill=wall)
    ground = rng.uniform(0.8, 0.93) * height
    canvas.draw.rectangle((0, ground, width, height), fill=(206, 176, 136))


SCENES: dict[str, Scene] = {
    "arch": _arch, "beach": _beach, "bricks": _bricks, "cafe": _cafe, "court": _court, "desert": _desert,
    "forest": _forest, "graffiti": _graffiti, "houses": _houses, "library": _library, "meadow": _meadow,
    "night": _night, "office": _office, "panels": _panels, "park": _park, "room": _room, "seamless": _seamless,
    "shapes": _shapes, "skyline": _skyline, "stage": _stage, "tiles": _tiles,
}
