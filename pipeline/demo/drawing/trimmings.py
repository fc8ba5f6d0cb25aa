"""Jewellery, belts, ties, glasses and other trimmings, in heads (see ``canvas``)."""

import math
from collections.abc import Callable

import numpy as np

from pipeline.demo.drawing.canvas import Canvas, Colour, closed, curve, darker, ellipse, join, limb, mix
from pipeline.demo.drawing.figure import Figure

GOLD: Colour = (214, 172, 84)
PEARL: Colour = (246, 240, 230)
STEEL: Colour = (190, 194, 202)

Piece = Callable[[Canvas, Figure, Colour], None]


def _chain(
    canvas: Canvas, figure: Figure, depth: float, beads: int, radius: float, colours: tuple[Colour, ...]
) -> None:
    for at in range(beads):
        t = at / (beads - 1) * 2 - 1
        canvas.dot(0.3 * t, 1.4 + depth * (1 - t**2), radius, colours[at % len(colours)])


def _pearls(canvas: Canvas, figure: Figure, colour: Colour) -> None:
    _chain(canvas, figure, 0.42, 15, 0.055, (PEARL, (226, 216, 206)))


def _beads(canvas: Canvas, figure: Figure, colour: Colour) -> None:
    for row, depth in enumerate((0.5, 0.85, 1.15)):
        _chain(canvas, figure, depth, 15 + row * 4, 0.07, ((206, 84, 56), (48, 140, 150), (236, 190, 80), colour))


def _gold_chain(canvas: Canvas, figure: Figure, colour: Colour) -> None:
    _chain(canvas, figure, 0.95, 26, 0.06, (GOLD, darker(GOLD, 0.2)))
    canvas.dot(0.0, 2.42, 0.13, GOLD)


def _pendant(canvas: Canvas, figure: Figure, colour: Colour) -> None:
    canvas.line(curve([(-0.28, 1.42), (0.0, 2.1), (0.28, 1.42)]), GOLD, 0.03)
    canvas.dot(0.0, 2.12, 0.09, colour)


def _choker(canvas: Canvas, figure: Figure, colour: Colour) -> None:
    canvas.fill(limb(curve([(-0.19, 1.2), (0.0, 1.25), (0.19, 1.2)]), (0.05, 0.05)), colour)


def _spikes(canvas: Canvas, figure: Figure, colour: Colour) -> None:
    _choker(canvas, figure, (26, 24, 28))
    for x in np.linspace(-0.16, 0.16, 5):
        canvas.fill(join([(x - 0.035, 1.22), (x + 0.035, 1.22), (x, 1.36)]), STEEL)
    canvas.line([(-0.6, 3.3), (0.62, 3.36)], (26, 24, 28), 0.14)
    for x in np.linspace(-0.5, 0.5, 7):
        canvas.dot(x, 3.33, 0.05, STEEL)
    canvas.line(curve([(0.2, 3.36), (0.5, 4.0), (0.72, 3.5)]), STEEL, 0.05)


def _hoops(canvas: Canvas, figure: Figure, colour: Colour) -> None:
    for side in (-1, 1):
        canvas.line(ellipse(figure.nod * 0.7 + side * 0.44, 0.9, 0.14, 0.18), GOLD, 0.045)


def _drops(canvas: Canvas, figure: Figure, colour: Colour) -> None:
    for side in (-1, 1):
        x = figure.nod * 0.7 + side * 0.42
        canvas.line([(x, 0.72), (x, 1.05)], GOLD, 0.03)
        canvas.dot(x, 1.1, 0.085, colour)


def _sunglasses(canvas: Canvas, figure: Figure, colour: Colour) -> None:
    x = figure.nod
    for side in (-1, 1):
        canvas.fill(ellipse(x + side * 0.18, 0.5, 0.16, 0.13), (34, 30, 38))
        canvas.line([(x + side * 0.12, 0.45), (x + side * 0.2, 0.43)], (150, 150, 160), 0.025)
    canvas.line([(x - 0.36, 0.45), (x + 0.36, 0.45)], (34, 30, 38), 0.035)


def _glasses(canvas: Canvas, figure: Figure, colour: Colour) -> None:
    x = figure.nod
    for side in (-1, 1):
        canvas.line(ellipse(x + side * 0.18, 0.5, 0.145, 0.12), (60, 40, 36), 0.032)
    canvas.line([(x - 0.05, 0.48), (x + 0.05, 0.48)], (60, 40, 36), 0.032)


def _belt(canvas: Canvas, figure: Figure, colour: Colour) -> None:
    c, half = figure.centre(3.2), figure.half(3.2) + 0.06
    canvas.fill(join([(c - half, 3.1), (c + half, 3.1), (c + half, 3.32), (c - half, 3.32)]), colour, 0.12)
    canvas.fill(join([(c - 0.11, 3.08), (c + 0.11, 3.08), (c + 0.11, 3.34), (c - 0.11, 3.34)]), GOLD)


def _sash(canvas: Canvas, figure: Figure, colour: Colour) -> None:
    c, half = figure.centre(3.2), figure.half(3.2) + 0.07
    canvas.fill(join([(c - half, 3.0), (c + half, 3.0), (c + half, 3.4), (c - half, 3.4)]), colour, 0.12)
    for shift in (0.1, 0.34):
        canvas.fill(
            join([(c + 0.16, 3.3), (c + 0.3, 3.3), (c + shift + 0.3, 4.9), (c + shift + 0.02, 4.95)]),
            darker(colour, 0.1),
        )


def _tie(canvas: Canvas, figure: Figure, colour: Colour) -> None:
    canvas.fill(
        join([(-0.09, 1.62), (0.09, 1.62), (0.06, 1.8), (0.13, 2.8), (0.0, 3.0), (-0.13, 2.8), (-0.06, 1.8)]),
        colour,
        0.2,
    )


def _bow_blouse(canvas: Canvas, figure: Figure, colour: Colour) -> None:
    for side in (-1, 1):
        canvas.fill(closed([(0, 1.66), (side * 0.42, 1.48), (side * 0.46, 1.86)]), colour, 0.2)
        canvas.fill(join([(0, 1.66), (side * 0.1, 1.68), (side * 0.26, 2.4), (side * 0.08, 2.44)]), colour, 0.1)
    canvas.dot(0, 1.68, 0.1, darker(colour, 0.15))


def _neckscarf(canvas: Canvas, figure: Figure, colour: Colour) -> None:
    canvas.fill(closed([(-0.3, 1.26), (0.0, 1.34), (0.3, 1.26), (0.36, 1.5), (0.0, 1.66), (-0.36, 1.5)]), colour, 0.2)
    canvas.fill(closed([(0.12, 1.56), (0.34, 1.7), (0.4, 2.2), (0.2, 2.1)]), darker(colour, 0.1))


def _bandana(canvas: Canvas, figure: Figure, colour: Colour) -> None:
    canvas.fill(join([(-0.32, 1.3), (0.32, 1.3), (0.36, 1.46), (0.0, 2.0), (-0.36, 1.46)]), colour, 0.15)
    for x, y in ((-0.14, 1.46), (0.14, 1.46), (0.0, 1.66)):
        canvas.dot(x, y, 0.04, (250, 248, 240))


def _harness(canvas: Canvas, figure: Figure, colour: Colour) -> None:
    for side in (-1, 1):
        canvas.line([(side * 0.44, 1.6), (-side * 0.4, 3.2)], colour, 0.07)
    canvas.dot(0.0, 2.42, 0.1, STEEL)


def _rose(canvas: Canvas, figure: Figure, colour: Colour) -> None:
    canvas.dot(0.42, 1.95, 0.17, colour)
    canvas.line(curve([(0.34, 1.95), (0.44, 1.87), (0.48, 1.97), (0.4, 2.0)]), darker(colour, 0.3), 0.03)


def _boa(canvas: Canvas, figure: Figure, colour: Colour) -> None:
    for side in (-1, 1):
        for y in np.linspace(1.45, 4.2, 16):
            canvas.dot(
                side * (0.3 + 0.12 * (y - 1.4)) + 0.05 * math.sin(y * 9),
                y,
                0.2,
                mix(colour, (255, 255, 255), 0.25 * (0.5 + 0.5 * math.sin(y * 13))),
            )


def _suspenders(canvas: Canvas, figure: Figure, colour: Colour) -> None:
    for side in (-1, 1):
        canvas.line([(side * 0.34, 1.52), (figure.centre(3.2) + side * 0.3, 3.25)], colour, 0.08)


def _crest(canvas: Canvas, figure: Figure, colour: Colour) -> None:
    canvas.fill(closed([(0.34, 2.0), (0.62, 2.0), (0.62, 2.26), (0.48, 2.42), (0.34, 2.26)]), GOLD)
    canvas.dot(0.48, 2.16, 0.07, colour)


def _epaulettes(canvas: Canvas, figure: Figure, colour: Colour) -> None:
    for side in (-1, 1):
        x, y = figure.shoulder(side)
        canvas.fill(
            join(
                [
                    (x - side * 0.3, y - 0.16),
                    (x + side * 0.16, y - 0.12),
                    (x + side * 0.16, y + 0.06),
                    (x - side * 0.3, y + 0.02),
                ]
            ),
            colour,
            0.2,
        )
        canvas.dot(x - side * 0.2, y - 0.06, 0.05, GOLD)


def _stickers(canvas: Canvas, figure: Figure, colour: Colour) -> None:
    for x, y, patch in (
        (-0.4, 2.3, (250, 90, 140)),
        (0.36, 2.7, (70, 200, 220)),
        (-0.2, 3.1, (250, 220, 70)),
        (0.1, 2.1, (150, 90, 220)),
    ):
        angles = np.arange(10) * np.pi / 5
        reach = np.where(np.arange(10) % 2, 0.08, 0.19)
        canvas.fill(np.stack([x + reach * np.cos(angles), y + reach * np.sin(angles)], axis=1), patch)


PIECES: dict[str, Piece] = {
    "bandana": _bandana, "beads": _beads, "belt": _belt, "boa": _boa, "bow_blouse": _bow_blouse, "choker": _choker,
    "crest": _crest, "drops": _drops, "epaulettes": _epaulettes, "glasses": _glasses, "gold_chain": _gold_chain,
    "harness": _harness, "hoops": _hoops, "neckscarf": _neckscarf, "pearls": _pearls, "pendant": _pendant,
    "rose": _rose, "sash": _sash, "spikes": _spikes, "stickers": _stickers, "sunglasses": _sunglasses,
    "suspenders": _suspenders,    "tie": _tie,
}  # fmt: skip
