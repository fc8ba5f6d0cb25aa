"""Backgrounds inside houses."""

import numpy as np

from pipeline.demo.drawing.backdrop import disc, random_colour, shades
from pipeline.demo.drawing.canvas import Canvas, Colour, darker, lighter, mix


def room(canvas: Canvas, rng: np.random.Generator, tone: Colour) -> None:
    """A window, curtains and a sofa."""
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
        canvas.draw.polygon(
            (
                side,
                y - 30,
                side + 0.14 * width,
                y - 30,
                side + 0.11 * width,
                y + h * 1.4,
                side - 0.02 * width,
                y + h * 1.4,
            ),
            fill=drape,
        )
    ground = rng.uniform(0.74, 0.92) * height
    canvas.draw.rectangle((0, ground, width, height), fill=mix((176, 128, 92), tone, 0.2))
    seat = rng.choice([-0.15, 0.62]) * width
    sofa = random_colour(rng, 60, 220)
    canvas.draw.rounded_rectangle(
        (seat, ground - rng.uniform(0.15, 0.3) * height, seat + 0.5 * width, ground + 0.05 * height), 40, fill=sofa
    )


def library(canvas: Canvas, rng: np.random.Generator, tone: Colour) -> None:
    """Shelves of books."""
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
                canvas.draw.rectangle(
                    (x, y + shelf - tall, x + w, y + shelf), fill=mix(random_colour(rng, 40, 220), wood, 0.3)
                )
            x += w + 3
        canvas.draw.rectangle((0, y + shelf, width, y + shelf + 18), fill=wood)
        y += shelf + 18
    gap = rng.uniform(0, 0.7) * width
    canvas.draw.rectangle((gap, 0, gap + rng.uniform(0.1, 0.35) * width, ground), fill=lighter(tone, 0.4))
    canvas.draw.rectangle((0, ground, width, height), fill=mix((150, 104, 74), tone, 0.2))


def office(canvas: Canvas, rng: np.random.Generator, tone: Colour) -> None:
    """Tall windows with towers behind them."""
    width, height = canvas.size
    shades(canvas, (206, 220, 230), mix((234, 236, 236), tone, 0.15))
    columns = int(rng.integers(2, 5))
    shift = rng.uniform(0, 0.3) * width
    for at in range(-1, columns + 1):
        x = at * width / columns + shift
        canvas.draw.rectangle((x, 0, x + 0.05 * width, height), fill=(92, 100, 112))
        roof = rng.uniform(0.2, 0.6) * height
        canvas.draw.rectangle(
            (x + 0.08 * width, roof, x + 0.8 * width / columns, height), fill=mix((150, 168, 186), tone, 0.3)
        )
    bar = rng.uniform(0.1, 0.5) * height
    canvas.draw.rectangle((0, bar, width, bar + 0.02 * height), fill=(92, 100, 112))
    ground = rng.uniform(0.76, 0.92) * height
    canvas.draw.rectangle((0, ground, width, height), fill=mix((178, 182, 188), tone, 0.2))


def tiles(canvas: Canvas, rng: np.random.Generator, tone: Colour) -> None:
    """A tiled wall with an alcove."""
    width, height = canvas.size
    across = int(rng.integers(4, 8))
    side = width / across
    first, second = mix(tone, (250, 240, 220), 0.5), random_colour(rng, 50, 200)
    for row in range(int(height / side) + 1):
        for column in range(across):
            x, y = column * side, row * side
            canvas.draw.rectangle((x, y, x + side, y + side), fill=first)
            canvas.draw.polygon(
                (x + side / 2, y, x + side, y + side / 2, x + side / 2, y + side, x, y + side / 2), fill=second
            )
            disc(canvas, x + side / 2, y + side / 2, side * 0.2, first)
    left, w = rng.uniform(-0.2, 0.7) * width, rng.uniform(0.4, 0.7) * width
    top = rng.uniform(-0.1, 0.4) * height
    wall = mix([(206, 120, 76), (240, 226, 200), (70, 120, 130)][int(rng.integers(3))], tone, 0.2)
    canvas.draw.rounded_rectangle((left, top, left + w, height * 1.2), round(w / 2), fill=wall)
    ground = rng.uniform(0.8, 0.93) * height
    canvas.draw.rectangle((0, ground, width, height), fill=(206, 176, 136))
