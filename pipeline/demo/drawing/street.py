"""Backgrounds of a town, by day and by night."""

import numpy as np

from pipeline.demo.drawing.backdrop import disc, random_colour, shades
from pipeline.demo.drawing.canvas import Canvas, Colour, darker, lighter, mix


def houses(canvas: Canvas, rng: np.random.Generator, tone: Colour) -> None:
    """A row of houses and a crossing."""
    width, height = canvas.size
    shades(canvas, mix((150, 190, 225), tone, 0.25), (240, 236, 228), 0, 0.8)
    ground = rng.uniform(0.68, 0.9) * height
    x = -rng.uniform(0, 0.2) * width
    while x < width:
        w = rng.uniform(0.18, 0.42) * width
        top = rng.uniform(-0.1, 0.5) * height
        wall = mix(random_colour(rng, 70, 235), tone, 0.35)
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
            canvas.draw.polygon(
                (
                    left,
                    height,
                    left + 0.1 * width,
                    height,
                    left + 0.13 * width,
                    ground + 0.06 * height,
                    left + 0.06 * width,
                    ground + 0.06 * height,
                ),
                fill=(228, 226, 222),
            )


def bricks(canvas: Canvas, rng: np.random.Generator, tone: Colour) -> None:
    """A brick wall with a door."""
    width, height = canvas.size
    brick = mix([(166, 84, 66), (196, 186, 176), (112, 104, 108)][int(rng.integers(3))], tone, 0.25)
    canvas.draw.rectangle((0, 0, width, height), fill=lighter(brick, 0.3))
    ground = rng.uniform(0.72, 0.92) * height
    h = height / 26
    for row in range(int(ground / h) + 1):
        for column in range(-1, 8):
            x = (column + (row % 2) / 2) * width / 7
            canvas.draw.rectangle(
                (x, row * h, x + width / 7 - 6, row * h + h - 6), fill=mix(brick, (70, 40, 40), 0.25 * rng.random())
            )
    x, w = rng.uniform(-0.1, 0.75) * width, rng.uniform(0.25, 0.5) * width
    top = rng.uniform(0.05, 0.45) * height
    frame = random_colour(rng, 30, 220)
    canvas.draw.rectangle((x, top, x + w, ground), fill=frame)
    canvas.draw.rectangle((x + 18, top + 18, x + w - 18, ground), fill=darker(frame, 0.5))
    canvas.draw.rectangle((0, ground, width, height), fill=(128, 124, 126))


def graffiti(canvas: Canvas, rng: np.random.Generator, tone: Colour) -> None:
    """A sprayed wall."""
    width, height = canvas.size
    canvas.draw.rectangle((0, 0, width, height), fill=mix((150, 150, 156), tone, 0.3))
    for _ in range(int(rng.integers(5, 9))):
        colour = random_colour(rng, 20, 250)
        x, y = rng.uniform(0, width), rng.uniform(0, 0.8 * height)
        points = []
        for _ in range(5):
            points += [x, y]
            x, y = x + rng.normal(0, 0.22) * width, y + rng.normal(0, 0.13) * height
        canvas.draw.line(points, fill=colour, width=int(rng.uniform(0.03, 0.09) * width), joint="curve")
        disc(canvas, x, y, rng.uniform(0.03, 0.16) * width, random_colour(rng, 20, 250))
    ground = rng.uniform(0.76, 0.92) * height
    canvas.draw.rectangle((0, ground, width, height), fill=(96, 94, 98))


def cafe(canvas: Canvas, rng: np.random.Generator, tone: Colour) -> None:
    """A café with its awning."""
    width, height = canvas.size
    wall = lighter(tone, 0.3)
    canvas.draw.rectangle((0, 0, width, height), fill=wall)
    top, ground = rng.uniform(0.08, 0.3) * height, rng.uniform(0.74, 0.9) * height
    left, right = rng.uniform(-0.1, 0.25) * width, rng.uniform(0.6, 1.1) * width
    canvas.draw.rectangle((left, top, right, ground - 0.08 * height), fill=mix((70, 82, 90), tone, 0.3))
    canvas.draw.polygon(
        (left, ground * 0.55, right, top, right, top + 0.2 * height, left, ground * 0.8), fill=(150, 168, 176)
    )
    awning = random_colour(rng, 60, 210)
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
        disc(canvas, x, ground - 0.13 * height, rng.uniform(0.05, 0.09) * width, (84, 128, 82))


def skyline(canvas: Canvas, rng: np.random.Generator, tone: Colour) -> None:
    """Towers at dusk, by day or by night."""
    width, height = canvas.size
    dusk = [((72, 72, 128), (246, 170, 130)), ((120, 170, 220), (236, 240, 244)), ((30, 32, 66), (96, 66, 110))]
    top, bottom = dusk[int(rng.integers(3))]
    shades(canvas, mix(top, tone, 0.2), bottom, 0, 0.85)
    disc(
        canvas,
        rng.uniform(0.1, 0.9) * width,
        rng.uniform(0.05, 0.45) * height,
        rng.uniform(0.06, 0.16) * width,
        (255, 232, 190),
    )
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


def night(canvas: Canvas, rng: np.random.Generator, tone: Colour) -> None:
    """Lights out of focus."""
    width, height = canvas.size
    shades(canvas, darker(tone, 0.9), darker(tone, 0.55))
    for _ in range(int(rng.integers(22, 42))):
        warm = [(250, 190, 90), (240, 110, 130), (120, 160, 250), (250, 230, 170)][int(rng.integers(4))]
        disc(
            canvas,
            rng.uniform(0, width),
            rng.uniform(0, 0.85 * height),
            rng.uniform(0.015, 0.1) * width,
            mix(darker(tone, 0.6), warm, rng.uniform(0.25, 0.85)),
        )
    ground = rng.uniform(0.8, 0.95) * height
    canvas.draw.rectangle((0, ground, width, height), fill=darker(tone, 0.8))


def stage(canvas: Canvas, rng: np.random.Generator, tone: Colour) -> None:
    """A stage with spotlights."""
    width, height = canvas.size
    canvas.draw.rectangle((0, 0, width, height), fill=darker(tone, 0.75))
    for _ in range(int(rng.integers(2, 5))):
        x, spread = rng.uniform(0, width), rng.uniform(0.12, 0.32) * width
        aim = rng.uniform(0, width)
        canvas.draw.polygon(
            (x, -20, aim + spread, height, aim - spread, height),
            fill=mix(darker(tone, 0.6), random_colour(rng, 60, 255), rng.uniform(0.25, 0.6)),
        )
    ground = rng.uniform(0.78, 0.93) * height
    canvas.draw.rectangle((0, ground, width, height), fill=(44, 38, 48))
    for at in range(5):
        canvas.draw.line((0, ground + at * 40, width, ground + at * 40), fill=(64, 56, 68), width=5)
