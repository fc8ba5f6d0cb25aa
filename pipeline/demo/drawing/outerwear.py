"""Jackets, coats, cardigans and shawls, in heads (see ``canvas``)."""

from dataclasses import dataclass

import numpy as np

from pipeline.demo.drawing.canvas import Canvas, Colour, Paint, base_of, curve, darker, ellipse, join, lighter, limb
from pipeline.demo.drawing.figure import Figure


@dataclass(frozen=True)
class Outer:
    """A jacket, coat, cardigan or shawl worn over the top."""

    paint: Paint
    hem: float = 4.2
    gap: float = 0.22  # half the opening in front
    ease: float = 0.16
    lapel: str = "notch"  # notch, biker, none, stand, shawl, hood
    sleeve: str = "long"
    trim: Colour | None = None
    fringe: bool = False
    belt: Colour | None = None
    patches: bool = False


def draw_outer(canvas: Canvas, figure: Figure, outer: Outer) -> None:
    """Both fronts of an outer layer; its sleeves are drawn by ``draw_sleeve``."""
    line = darker(base_of(outer.paint), 0.35)
    for side in (-1, 1):
        x, y = figure.shoulder(side)
        flare = 0.0 if outer.hem < 4.6 else 0.06 * (outer.hem - 4.4)
        ys = [v for v in (2.0, 2.5, 3.2, 4.0, 4.6, 5.6, 6.6) if v < outer.hem - 0.15] + [outer.hem]
        outside = [(x + side * (0.13 + outer.ease * 0.5), y - 0.06)]
        outside += [
            (figure.centre(v) + side * (figure.half(min(v, 4.2)) + outer.ease + flare * max(0.0, v - 3.4)), v)
            for v in ys
        ]
        inside = [
            (side * 0.2, 1.36),
            (figure.centre(2.3) + side * (outer.gap * 0.85), 2.3),
            (figure.centre(3.4) + side * outer.gap, 3.4),
            (figure.centre(4.2) + side * (outer.gap + (0.08 if outer.hem > 4 else 0)), outer.hem),
        ]
        canvas.fill(join([(side * 0.2, 1.36)], curve(outside), curve(inside)[::-1]), outer.paint, 0.2)
        canvas.line(curve(inside), outer.trim or line, 0.08 if outer.trim else 0.03)
        if outer.trim:
            canvas.line([outside[-1], inside[-1]], outer.trim, 0.1)
        _outer_details(canvas, figure, outer, side, line)
    if outer.belt:
        c = figure.centre(3.2)
        half = figure.half(3.2) + outer.ease + 0.04
        canvas.fill(join([(c - half, 3.1), (c + half, 3.1), (c + half, 3.34), (c - half, 3.34)]), outer.belt, 0.1)
        canvas.fill(join([(c - 0.05, 3.2), (c + 0.14, 3.25), (c + 0.2, 4.0), (c + 0.04, 4.0)]), outer.belt)


def _outer_details(canvas: Canvas, figure: Figure, outer: Outer, side: int, line: Colour) -> None:
    paint = outer.paint
    match outer.lapel:
        case "notch":
            canvas.fill(
                join(
                    [
                        (side * 0.2, 1.36),
                        (side * 0.5, 1.66),
                        (side * 0.4, 1.82),
                        (side * 0.58, 1.9),
                        (side * outer.gap, 2.95),
                    ]
                ),
                lighter(base_of(paint), 0.12) if not isinstance(paint, tuple) else lighter(paint, 0.1),
                0.2,
            )
        case "biker":
            canvas.fill(
                join([(side * 0.16, 1.4), (side * 0.56, 1.72), (side * 0.66, 2.25), (side * (outer.gap + 0.04), 2.6)]),
                lighter(base_of(paint), 0.16),
                0.3,
            )
            canvas.line([(side * 0.6, 2.3), (side * (outer.gap + 0.06), outer.hem - 0.1)], (196, 198, 204), 0.04)
            canvas.line([(side * 0.55, 3.2), (side * 0.4, 3.5)], (196, 198, 204), 0.035)
        case "shawl":
            canvas.fill(
                limb(
                    curve([(side * 0.2, 1.4), (side * 0.34, 2.2), (side * (outer.gap + 0.05), 3.4)]), (0.14, 0.17, 0.05)
                ),
                lighter(base_of(paint), 0.2),
                0.2,
            )
        case "stand":
            canvas.fill(
                join([(side * 0.06, 1.22), (side * 0.32, 1.28), (side * 0.4, 1.6), (side * 0.16, 1.6)]),
                outer.trim or base_of(paint),
                0.2,
            )
        case "hood":
            canvas.fill(ellipse(side * 0.32, 1.42, 0.24, 0.17, side * 0.5), base_of(paint), 0.3)
            canvas.line([(side * 0.14, 1.6), (side * 0.16, 2.3)], (244, 242, 238), 0.04)
        case _:
            pass
    y = min(3.5, outer.hem - 0.35)
    c = figure.centre(y)
    canvas.line(
        [(c + side * (outer.gap + 0.14), y), (c + side * (figure.half(y) + outer.ease - 0.08), y - 0.06)], line, 0.035
    )
    if outer.fringe:
        for x in np.linspace(outer.gap, figure.half(4.0) + outer.ease, 8):
            canvas.line(
                [
                    (figure.centre(4.0) + side * x, outer.hem - 0.04),
                    (figure.centre(4.0) + side * (x + 0.02), outer.hem + 0.42),
                ],
                base_of(paint),
                0.05,
            )
    if outer.patches:
        for y, colour in ((2.25, (228, 190, 70)), (2.7, (200, 60, 70))):
            canvas.dot(figure.centre(y) + side * 0.46, y, 0.11, colour)
