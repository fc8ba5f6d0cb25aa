"""Backgrounds of a studio."""

import numpy as np

from pipeline.demo.drawing.backdrop import disc, random_colour, shades
from pipeline.demo.drawing.canvas import Canvas, Colour, darker, lighter, mix


def seamless(canvas: Canvas, rng: np.random.Generator, tone: Colour) -> None:
    """A paper backdrop with a beam of light."""
    width, height = canvas.size
    shades(canvas, lighter(tone, rng.uniform(0.2, 0.7)), darker(tone, rng.uniform(0.05, 0.35)))
    lean = rng.uniform(-0.5, 0.5) * width
    left = rng.uniform(-0.2, 0.7) * width
    beam = rng.uniform(0.2, 0.5) * width
    canvas.draw.polygon(
        (left, 0, left + beam, 0, left + beam + lean, height, left + lean, height), fill=lighter(tone, 0.5)
    )
    y = rng.uniform(0.72, 0.95) * height
    canvas.draw.rectangle((0, y, width, height), fill=darker(tone, rng.uniform(0.1, 0.35)))


def shapes(canvas: Canvas, rng: np.random.Generator, tone: Colour) -> None:
    """Large coloured shapes."""
    width, height = canvas.size
    canvas.draw.rectangle((0, 0, width, height), fill=lighter(tone, 0.55))
    for _ in range(int(rng.integers(3, 6))):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        size = rng.uniform(0.12, 0.42) * width
        colour = mix(tone, random_colour(rng), rng.uniform(0.15, 0.6))
        match int(rng.integers(3)):
            case 0:
                disc(canvas, x, y, size, colour)
            case 1:
                canvas.draw.rectangle((x - size, y - size * 0.6, x + size, y + size * 0.9), fill=colour)
            case _:
                canvas.draw.polygon(
                    (x, y - size, x + size * 1.2, y + size, x - size * 1.1, y + size * 0.7), fill=colour
                )
    y = rng.uniform(0.8, 0.98) * height
    canvas.draw.rectangle((0, y, width, height), fill=darker(tone, 0.2))


def arch(canvas: Canvas, rng: np.random.Generator, tone: Colour) -> None:
    """A wall with an arch and a plinth."""
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
    canvas.draw.rectangle(
        (side, base - rng.uniform(0.06, 0.3) * height, side + rng.uniform(0.2, 0.35) * width, base + 0.03 * height),
        fill=darker(tone, 0.15),
    )


def panels(canvas: Canvas, rng: np.random.Generator, tone: Colour) -> None:
    """Slanting panels."""
    width, height = canvas.size
    slant = rng.uniform(-0.35, 0.35) * width
    edges = np.cumsum(rng.uniform(0.1, 0.4, 12)) * width - 0.4 * width
    for at, left in enumerate(edges):
        colour = (lighter(tone, 0.5), darker(tone, 0.3), tone)[(at + int(rng.integers(2))) % 3]
        canvas.draw.polygon((left, 0, left + width, 0, left + width + slant, height, left + slant, height), fill=colour)
    y = rng.uniform(0.8, 0.95) * height
    canvas.draw.rectangle((0, y, width, height), fill=lighter(tone, 0.2))
