"""Backgrounds out of doors."""

import math

import numpy as np

from pipeline.demo.drawing.backdrop import disc, random_colour, shades
from pipeline.demo.drawing.canvas import Canvas, Colour, mix


def meadow(canvas: Canvas, rng: np.random.Generator, tone: Colour) -> None:
    """Flowers under a wide sky."""
    width, height = canvas.size
    horizon = rng.uniform(0.3, 0.65) * height
    shades(canvas, mix((140, 190, 228), tone, 0.2), (238, 240, 226), 0, horizon / height)
    grass = mix((138, 170, 96), tone, 0.15)
    canvas.draw.rectangle((0, horizon, width, height), fill=grass)
    for _ in range(3):
        x, y, r = rng.uniform(0, width), horizon + rng.uniform(-0.02, 0.1) * height, rng.uniform(0.25, 0.6) * width
        canvas.draw.ellipse((x - r, y - r * 0.4, x + r, y + r * 0.6), fill=mix(grass, (90, 130, 90), rng.random()))
    canvas.draw.rectangle((0, horizon + 0.14 * height, width, height), fill=grass)
    tree(canvas, rng, rng.uniform(0.05, 0.95) * width, horizon + 0.1 * height)
    for _ in range(70):
        x, y = rng.uniform(0, width), rng.uniform(horizon + 0.15 * height, height)
        disc(
            canvas,
            x,
            y,
            rng.uniform(5, 15),
            [(250, 240, 220), (240, 170, 180), (246, 206, 96), (150, 120, 190)][int(rng.integers(4))],
        )


def tree(canvas: Canvas, rng: np.random.Generator, x: float, foot: float) -> None:
    """A tree that stands on ``foot``."""
    width, height = canvas.size
    tall = rng.uniform(0.25, 0.6) * height
    canvas.draw.rectangle((x - 0.02 * width, foot - tall, x + 0.02 * width, foot), fill=(112, 82, 62))
    leaf = mix((82, 128, 76), random_colour(rng), 0.2)
    for _ in range(7):
        disc(
            canvas,
            x + rng.normal(0, 0.09) * width,
            foot - tall + rng.normal(0, 0.06) * height,
            rng.uniform(0.06, 0.13) * width,
            mix(leaf, (210, 220, 140), 0.4 * rng.random()),
        )


def park(canvas: Canvas, rng: np.random.Generator, tone: Colour) -> None:
    """Trees and a path."""
    width, height = canvas.size
    horizon = rng.uniform(0.5, 0.75) * height
    shades(canvas, mix((190, 216, 220), tone, 0.2), (232, 236, 214), 0, 1)
    canvas.draw.rectangle((0, horizon, width, height), fill=mix((146, 172, 110), tone, 0.15))
    for x in rng.uniform(0, width, int(rng.integers(2, 5))):
        tree(canvas, rng, x, horizon + rng.uniform(0, 0.08) * height)
    far, near = rng.uniform(0.2, 0.8) * width, rng.uniform(0, 1) * width
    canvas.draw.polygon(
        (far, horizon, far + 0.08 * width, horizon, near + 0.5 * width, height, near - 0.4 * width, height),
        fill=(222, 206, 178),
    )


def beach(canvas: Canvas, rng: np.random.Generator, tone: Colour) -> None:
    """Sea and sand, at noon or sunset."""
    width, height = canvas.size
    horizon, shore = rng.uniform(0.2, 0.5) * height, rng.uniform(0.58, 0.82) * height
    sunset = rng.random() < 0.4
    shades(
        canvas,
        (236, 150, 120) if sunset else (120, 186, 226),
        (252, 222, 176) if sunset else (226, 240, 244),
        0,
        horizon / height,
    )
    disc(
        canvas,
        rng.uniform(0, 1) * width,
        horizon - rng.uniform(-0.02, 0.16) * height,
        rng.uniform(0.06, 0.14) * width,
        (255, 240, 200),
    )
    shades(canvas, mix((52, 122, 160), tone, 0.15), (120, 196, 200), horizon / height, shore / height)
    slope = rng.uniform(-0.12, 0.12) * height
    canvas.draw.polygon((0, shore + slope, width, shore - slope, width, height, 0, height), fill=(236, 216, 178))
    canvas.draw.line((0, shore + slope, width, shore - slope), fill=(252, 252, 250), width=26)
    if rng.random() < 0.6:
        x = rng.choice([0.08, 0.92]) * width
        canvas.draw.line(
            (x, height * 0.95, x + rng.uniform(-0.1, 0.1) * width, 0.2 * height), fill=(120, 92, 66), width=34
        )
        for turn in range(7):
            a = turn * 0.9 + rng.uniform(0, 0.5)
            canvas.draw.line(
                (x, 0.2 * height, x + 0.24 * width * math.cos(a), 0.2 * height + 0.16 * width * math.sin(a)),
                fill=(66, 116, 76),
                width=40,
            )


def forest(canvas: Canvas, rng: np.random.Generator, tone: Colour) -> None:
    """Trunks and bushes."""
    width, height = canvas.size
    shades(canvas, mix((190, 208, 170), tone, 0.2), mix((90, 112, 80), tone, 0.15))
    for depth in (0.6, 0.25):
        for x in rng.uniform(0, width, int(rng.integers(4, 8))):
            w = rng.uniform(0.02, 0.07) * width
            canvas.draw.rectangle((x - w, 0, x + w, height * 0.9), fill=mix((66, 52, 46), (170, 186, 150), depth))
    ground = rng.uniform(0.7, 0.9) * height
    canvas.draw.rectangle((0, ground, width, height), fill=mix((96, 92, 60), tone, 0.1))
    for _ in range(12):
        x, y, r = rng.uniform(0, width), ground + rng.uniform(-0.04, 0.06) * height, rng.uniform(0.04, 0.12) * width
        disc(canvas, x, y, r, mix((70, 112, 66), (140, 160, 80), rng.random()))


def desert(canvas: Canvas, rng: np.random.Generator, tone: Colour) -> None:
    """Dunes with cactuses."""
    width, height = canvas.size
    shades(canvas, mix((130, 180, 214), tone, 0.25), (250, 220, 190), 0, 0.8)
    for level in range(4):
        y = (0.38 + level * 0.15 + rng.uniform(-0.05, 0.05)) * height
        points = [0.0, float(height)]
        for at in range(9):
            points += [at * width / 8, y + rng.normal(0, 0.045) * height]
        canvas.draw.polygon(
            [*points, width, height], fill=mix((222, 150, 104), (176, 96, 74), level / 3 * rng.uniform(0.7, 1))
        )
    for x in rng.uniform(0, width, 2):
        y = rng.uniform(0.6, 0.85) * height
        canvas.draw.line((x, y, x, y - 0.25 * height), fill=(86, 120, 84), width=44)
        canvas.draw.line(
            (x, y - 0.1 * height, x + 80, y - 0.1 * height, x + 80, y - 0.18 * height), fill=(86, 120, 84), width=30
        )


def court(canvas: Canvas, rng: np.random.Generator, tone: Colour) -> None:
    """A running track or a ball court."""
    width, height = canvas.size
    horizon = rng.uniform(0.3, 0.6) * height
    shades(canvas, (150, 200, 234), (226, 238, 242), 0, horizon / height)
    canvas.draw.rectangle((0, horizon - 0.08 * height, width, horizon), fill=(86, 120, 96))
    ground = [(190, 92, 70), (70, 124, 170), (92, 150, 104)][int(rng.integers(3))]
    canvas.draw.rectangle((0, horizon, width, height), fill=ground)
    meet = rng.uniform(-0.3, 1.3) * width
    for at in range(-4, 9):
        canvas.draw.line((meet, horizon, at * 0.25 * width, height), fill=(244, 242, 236), width=14)
    if rng.random() < 0.6:
        for x in np.arange(0, width, 0.09 * width).tolist():
            canvas.draw.line((x, 0, x + 0.3 * width, horizon), fill=(206, 212, 216), width=4)
            canvas.draw.line((x, 0, x - 0.3 * width, horizon), fill=(206, 212, 216), width=4)
