"""Skirts, the lower parts of dresses, and trousers, in heads (see ``canvas``)."""

from dataclasses import dataclass

import numpy as np

from pipeline.demo.drawing.canvas import (
    Canvas,
    Colour,
    Paint,
    Points,
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


@dataclass(frozen=True)
class Skirt:
    """A skirt, or the lower part of a dress."""

    paint: Paint
    hem: float = 6.0
    flare: float = 0.4  # heads that the hem stands out beyond the hips
    pleats: int = 0
    tiers: int = 0
    slit: bool = False
    ragged: bool = False
    trim: Paint | None = None  # band along the hem


@dataclass(frozen=True)
class Trousers:
    """Trousers; half-widths of the legs at hip, knee and ankle in heads."""

    paint: Paint
    cut: tuple[float, float, float] = (0.38, 0.29, 0.2)
    length: float = 1.0  # share of the leg
    stripe: Colour | None = None
    ripped: bool = False
    pockets: bool = False
    crease: bool = False


def _hem_points(figure: Figure, hem: float, half: float, waves: int, depth: float) -> Points:
    t = np.linspace(1.0, -1.0, 8 * waves + 1)
    centre = figure.centre(4.2) * 1.2
    return np.stack([centre + t * half, hem + 0.07 * (1 - t**2) + depth * np.cos(t * waves * np.pi)], axis=1)


def draw_skirt(canvas: Canvas, figure: Figure, skirt: Skirt, waist: float = 3.15) -> None:
    """A skirt from the waist to its hem."""
    hip = figure.half(4.0) + 0.04
    half = max(hip - 0.08, hip + skirt.flare)
    mid_y, mid = (4.0 + skirt.hem) / 2, (hip + half) / 2 + 0.03
    waves = max(2, round(half * 2.6))
    if skirt.ragged:
        hem = _hem_points(figure, skirt.hem, half, waves, 0.0)
        hem[::2, 1] -= 0.22
    else:
        hem = _hem_points(figure, skirt.hem, half, waves, 0.05 if skirt.flare > 0.25 else 0.015)
    sides = []
    for side in (-1, 1):
        points = [
            (figure.centre(waist) + side * (figure.half(waist) + 0.03), waist),
            (figure.centre(3.6) + side * (figure.half(3.6) + 0.04), 3.6),
        ]
        if skirt.hem > 4.5:
            points.append((figure.centre(4.0) + side * hip, 4.05))
            points.append((figure.centre(4.2) * 1.1 + side * mid, mid_y))
        points.append((figure.centre(4.2) * 1.2 + side * half, skirt.hem))
        sides.append(curve(points))
    canvas.fill(join(sides[0], hem[::-1], sides[1][::-1]), skirt.paint, 0.22)
    _skirt_details(canvas, figure, skirt, waist, half, hem)


def _skirt_details(canvas: Canvas, figure: Figure, skirt: Skirt, waist: float, half: float, hem: Points) -> None:
    line = darker(base_of(skirt.paint), 0.28)
    centre = figure.centre(4.2) * 1.2
    for at in np.linspace(-0.85, 0.85, skirt.pleats) if skirt.pleats else (-0.5, 0.15, 0.6):
        start = waist + 0.2 if skirt.pleats else waist + (skirt.hem - waist) * 0.45
        share = (start - waist) / (skirt.hem - waist)
        x = figure.centre(waist) + at * (figure.half(waist) * (1 - share) + half * share)
        canvas.line([(x, start), (centre + at * half, skirt.hem - 0.02)], line, 0.028 if skirt.pleats else 0.022)
    for tier in range(1, skirt.tiers):
        y = waist + (skirt.hem - waist) * (0.25 + 0.75 * tier / skirt.tiers)
        wide = figure.half(4.0) + (half - figure.half(4.0)) * (y - waist) / (skirt.hem - waist)
        ruffle = _hem_points(figure, y, wide, max(3, round(wide * 3.4)), 0.07)
        canvas.line(ruffle, line, 0.05)
    if skirt.trim:
        inner = hem - np.array([0.0, 0.34])
        canvas.fill(join(hem, inner[::-1]), skirt.trim, 0.1)
    if skirt.slit:
        x = centre + half * 0.3
        top = waist + (skirt.hem - waist) * 0.42
        canvas.fill(
            join(
                curve([(x, top), (x + 0.09, (top + skirt.hem) / 2), (x + 0.28, skirt.hem + 0.08)]),
                [(x - 0.16, skirt.hem + 0.1)],
            ),
            figure.skin,
        )


def draw_trousers(canvas: Canvas, figure: Figure, trousers: Trousers, waist: float = 3.2) -> None:
    """Trousers or shorts from the waist."""
    paint, line = trousers.paint, darker(base_of(trousers.paint), 0.32)
    for side in (-1, 1):
        leg = cut(figure.leg(side), 0.0, trousers.length)
        hip, knee, ankle = trousers.cut
        widths = (hip, (hip + knee) / 2, knee, (knee + ankle) / 2, ankle)
        canvas.fill(limb(leg, [w * (0.6 + 0.4 * figure.width) for w in widths]), paint, 0.22)
        if trousers.stripe:
            for shift in (0.62, 0.3):
                canvas.line(leg + np.array([side * knee * shift, 0.0]), trousers.stripe, 0.06)
        if trousers.crease:
            canvas.line(cut(leg, 0.25, 0.98), line, 0.025)
        if trousers.ripped:
            for share in (0.32, 0.5, 0.6):
                x, y = cut(leg, share, 1.0)[0]
                canvas.fill(ellipse(x, y, 0.19, 0.075, 0.12 * side), figure.skin)
                canvas.line([(x - 0.16, y), (x + 0.16, y + 0.02)], lighter(base_of(paint), 0.6), 0.02)
        if trousers.pockets:
            x, y = cut(leg, 0.36, 1.0)[0]
            canvas.fill(
                join(
                    [
                        (x + side * 0.08, y - 0.2),
                        (x + side * 0.44, y - 0.2),
                        (x + side * 0.44, y + 0.34),
                        (x + side * 0.08, y + 0.34),
                    ]
                ),
                paint,
                0.3,
            )
            canvas.line([(x + side * 0.08, y - 0.06), (x + side * 0.44, y - 0.06)], line, 0.03)
    ys = (waist, 3.6, 4.0, 4.35)
    left = [(figure.centre(y) - figure.half(y) - 0.04, y) for y in ys]
    right = [(figure.centre(y) + figure.half(y) + 0.04, y) for y in ys]
    canvas.fill(join(curve(left), [(figure.centre(4.2), 4.68)], curve(right)[::-1]), paint, 0.14)
    canvas.line([(figure.centre(3.4), waist + 0.1), (figure.centre(4.2), 4.6)], line, 0.025)
    canvas.line([left[0], right[0]], line, 0.05)
