"""Tops, the upper parts of dresses, and sleeves, in heads (see ``canvas``)."""

from dataclasses import dataclass

import numpy as np

from pipeline.demo.drawing.canvas import (
    Canvas,
    Colour,
    Paint,
    base_of,
    curve,
    cut,
    darker,
    ellipse,
    join,
    lighter,
    limb,
)
from pipeline.demo.drawing.figure import Figure

SLEEVES: dict[str, tuple[float, tuple[float, ...]]] = {
    "cap": (0.14, (0.25, 0.27)),
    "short": (0.33, (0.25, 0.26, 0.27)),
    "elbow": (0.52, (0.25, 0.24, 0.24)),
    "long": (0.97, (0.25, 0.24, 0.21, 0.19, 0.16)),
    "puff": (0.36, (0.26, 0.46, 0.44, 0.2)),
    "bishop": (0.98, (0.25, 0.25, 0.27, 0.36, 0.4, 0.15)),
    "bell": (0.94, (0.25, 0.22, 0.24, 0.4, 0.58)),
    "loose": (0.98, (0.3, 0.31, 0.29, 0.27, 0.25)),
}


@dataclass(frozen=True)
class Top:
    """Upper part of a dress, or a top; ``hem`` is its lower edge in heads from the top of the head."""

    paint: Paint
    neck: str = "crew"  # crew, v, high, off, straps, square, collar, polo, deep
    sleeve: str = "short"  # none, cap, short, elbow, long, puff, bishop, bell
    hem: float = 3.5
    ease: float = 0.06
    trim: Colour | None = None  # collar, cuffs and edges
    print: str | None = None  # logo, number, heart, star, bolt
    buttons: bool = False


def _outline_side(figure: Figure, side: int, top: float, hem: float, ease: float) -> list[tuple[float, float]]:
    ys = [y for y in (2.0, 2.5, 2.9, 3.2, 3.6, 4.0, 4.5) if top < y < hem - 0.12] + [hem]
    points = []
    for y in ys:
        half = figure.half(min(y, 4.4)) + ease * (1.0 if y > 2.2 else 0.6)
        points.append((figure.centre(y) + side * half, y))
    return points


def draw_top(canvas: Canvas, figure: Figure, top: Top) -> None:
    """The trunk of a top or dress with its neckline; sleeves are drawn by ``draw_sleeve``."""
    shoulder = [
        (side * (figure.shoulder(1)[0] + 0.12 + top.ease * 0.4), figure.shoulder(side)[1] - 0.04) for side in (-1, 1)
    ]
    if top.neck in ("off", "straps"):
        y = 1.98 if top.neck == "off" else 2.1
        left, right = (-figure.half(2.0) - 0.03, y), (figure.half(2.0) + 0.03, y)
        edge = curve([right, (0.3, y - 0.02), (0.0, y + 0.12), (-0.3, y - 0.02), left])
        outline = join(
            curve([left, *_outline_side(figure, -1, 2.0, top.hem, top.ease)]),
            curve([right, *_outline_side(figure, 1, 2.0, top.hem, top.ease)])[::-1],
            edge,
        )
    else:
        reach, dip = {
            "crew": (0.3, 1.66),
            "v": (0.3, 2.15),
            "deep": (0.34, 2.5),
            "high": (0.21, 1.3),
            "square": (0.42, 2.0),
            "collar": (0.24, 1.75),
            "polo": (0.24, 1.7),
        }[top.neck]
        rise = 1.2 if top.neck == "high" else 1.46
        match top.neck:
            case "v" | "deep" | "collar" | "polo":
                edge = join([(reach, rise), (0.0, dip), (-reach, rise)])
            case "square":
                edge = join([(reach, rise + 0.04), (reach - 0.03, dip), (-reach + 0.03, dip), (-reach, rise + 0.04)])
            case _:
                edge = curve(
                    [(reach, rise), (reach * 0.6, dip - 0.05), (0.0, dip), (-reach * 0.6, dip - 0.05), (-reach, rise)]
                )
        outline = join(
            curve([shoulder[0], *_outline_side(figure, -1, 1.7, top.hem, top.ease)]),
            curve([shoulder[1], *_outline_side(figure, 1, 1.7, top.hem, top.ease)])[::-1],
            edge,
        )
    canvas.fill(outline, top.paint, 0.2)
    line = darker(base_of(top.paint), 0.3)
    if top.trim:
        canvas.line(edge, top.trim, 0.09)
    if top.neck == "straps":
        for side in (-1, 1):
            canvas.line([(side * 0.38, 2.14), (side * 0.44, 1.58)], base_of(top.paint), 0.05)
    c = figure.centre(3.2)
    canvas.line(curve([(c - figure.half(2.6) * 0.5, 2.75), (c - 0.2, 3.0), (c - 0.12, 3.3)]), line, 0.02)
    if top.neck in ("collar", "polo"):
        for side in (-1, 1):
            collar = [(side * 0.2, 1.36), (side * 0.44, 1.62), (side * 0.2, 1.92), (0.0, 1.74)]
            canvas.fill(join(collar), top.trim or lighter(base_of(top.paint), 0.4), 0.15)
    if top.buttons:
        for height in np.arange(1.95, min(top.hem, 4.2), 0.3).tolist():
            canvas.dot(figure.centre(height), height, 0.035, line)
    _draw_print(canvas, figure, top)


def _draw_print(canvas: Canvas, figure: Figure, top: Top) -> None:
    x, y, colour = figure.centre(2.5), 2.42, top.trim or lighter(base_of(top.paint), 0.8)
    match top.print:
        case "logo":
            canvas.fill(
                join([(x - 0.36, y - 0.12), (x + 0.36, y - 0.12), (x + 0.36, y + 0.14), (x - 0.36, y + 0.14)]), colour
            )
        case "number":
            canvas.line([(x - 0.2, y - 0.2), (x + 0.16, y - 0.2), (x - 0.06, y + 0.32)], colour, 0.1)
        case "heart":
            canvas.fill(
                curve(
                    [
                        (x, y + 0.3),
                        (x - 0.3, y),
                        (x - 0.16, y - 0.2),
                        (x, y - 0.04),
                        (x + 0.16, y - 0.2),
                        (x + 0.3, y),
                        (x, y + 0.3),
                    ]
                ),
                colour,
            )
        case "star":
            angles = np.arange(10) * np.pi / 5 - np.pi / 2
            reach = np.where(np.arange(10) % 2, 0.14, 0.36)
            canvas.fill(np.stack([x + reach * np.cos(angles), y + reach * np.sin(angles)], axis=1), colour)
        case "bolt":
            canvas.fill(
                join(
                    [
                        (x + 0.05, y - 0.34),
                        (x - 0.22, y + 0.06),
                        (x, y + 0.04),
                        (x - 0.08, y + 0.38),
                        (x + 0.24, y - 0.06),
                        (x + 0.02, y - 0.04),
                    ]
                ),
                colour,
            )
        case _:
            return


def draw_sleeve(
    canvas: Canvas,
    figure: Figure,
    side: int,
    sleeve: str,
    paint: Paint,
    trim: Colour | None = None,
    ease: float = 0.0,
    stripe: Colour | None = None,
) -> None:
    """One sleeve over the arm of ``side``; nothing for the sleeve ``none``."""
    if sleeve == "none":
        return
    length, widths = SLEEVES[sleeve]
    line = cut(figure.arm(side), 0.0, length)
    room = [w + ease * (0.2 if at == 0 else 0.5) for at, w in enumerate(widths)]
    canvas.fill(ellipse(line[0][0] - side * 0.05, line[0][1] + 0.03, room[0], room[0] * 0.9), paint)
    canvas.fill(limb(line, room), paint, 0.22)
    edge = darker(base_of(paint), 0.28)
    canvas.line(
        [(line[0][0] - side * 0.2, line[0][1] + 0.28), (line[0][0] - side * 0.16, line[0][1] + 0.62)], edge, 0.02
    )
    if stripe:
        canvas.line(line + np.array([side * 0.12, 0.0]), stripe, 0.07)
    if trim:
        canvas.fill(limb(cut(line, 0.88, 1.0), (widths[-1] + ease * 0.5 + 0.02,) * 2), trim)
