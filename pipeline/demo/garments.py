"""Garments cut for a figure: tops, sleeves, skirts, trousers and outer layers, in heads (see ``canvas``)."""

from dataclasses import dataclass

import numpy as np

from pipeline.demo.canvas import Canvas, Colour, Paint, Points, base_of, curve, cut, darker, ellipse, join, lighter, limb
from pipeline.demo.figure import Figure


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


def _outline_side(figure: Figure, side: int, top: float, hem: float, ease: float) -> list[tuple[float, float]]:
    ys = [y for y in (2.0, 2.5, 2.9, 3.2, 3.6, 4.0, 4.5) if top < y < hem - 0.12] + [hem]
    points = []
    for y in ys:
        half = figure.half(min(y, 4.4)) + ease * (1.0 if y > 2.2 else 0.6)
        points.append((figure.centre(y) + side * half, y))
    return points


def draw_top(canvas: Canvas, figure: Figure, top: Top) -> None:
    """The trunk of a top or dress with its neckline; sleeves are drawn by ``draw_sleeve``."""
    shoulder = [(side * (figure.shoulder(1)[0] + 0.12 + top.ease * 0.4), figure.shoulder(side)[1] - 0.04) for side in (-1, 1)]
    if top.neck in ("off", "straps"):
        y = 1.98 if top.neck == "off" else 2.1
        left, right = (-figure.half(2.0) - 0.03, y), (figure.half(2.0) + 0.03, y)
        edge = curve([right, (0.3, y - 0.02), (0.0, y + 0.12), (-0.3, y - 0.02), left])
        outline = join(curve([left, *_outline_side(figure, -1, 2.0, top.hem, top.ease)]),
                       curve([right, *_outline_side(figure, 1, 2.0, top.hem, top.ease)])[::-1], edge)
    else:
        reach, dip = {"crew": (0.3, 1.66), "v": (0.3, 2.15), "deep": (0.34, 2.5), "high": (0.21, 1.3), "square": (0.42, 2.0),
                      "collar": (0.24, 1.75), "polo": (0.24, 1.7)}[top.neck]
        rise = 1.2 if top.neck == "high" else 1.46
        match top.neck:
            case "v" | "deep" | "collar" | "polo":
                edge = join([(reach, rise), (0.0, dip), (-reach, rise)])
            case "square":
                edge = join([(reach, rise + 0.04), (reach - 0.03, dip), (-reach + 0.03, dip), (-reach, rise + 0.04)])
            case _:
                edge = curve([(reach, rise), (reach * 0.6, dip - 0.05), (0.0, dip), (-reach * 0.6, dip - 0.05), (-reach, rise)])
        outline = join(curve([shoulder[0], *_outline_side(figure, -1, 1.7, top.hem, top.ease)]),
                       curve([shoulder[1], *_outline_side(figure, 1, 1.7, top.hem, top.ease)])[::-1], edge)
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
        for y in np.arange(1.95, min(top.hem, 4.2), 0.3):
            canvas.dot(figure.centre(float(y)), float(y), 0.035, line)
    _draw_print(canvas, figure, top)


def _draw_print(canvas: Canvas, figure: Figure, top: Top) -> None:
    x, y, colour = figure.centre(2.5), 2.42, top.trim or lighter(base_of(top.paint), 0.8)
    match top.print:
        case "logo":
            canvas.fill(join([(x - 0.36, y - 0.12), (x + 0.36, y - 0.12), (x + 0.36, y + 0.14), (x - 0.36, y + 0.14)]), colour)
        case "number":
            canvas.line([(x - 0.2, y - 0.2), (x + 0.16, y - 0.2), (x - 0.06, y + 0.32)], colour, 0.1)
        case "heart":
            canvas.fill(curve([(x, y + 0.3), (x - 0.3, y), (x - 0.16, y - 0.2), (x, y - 0.04), (x + 0.16, y - 0.2), (x + 0.3, y), (x, y + 0.3)]), colour)
        case "star":
            angles = np.arange(10) * np.pi / 5 - np.pi / 2
            reach = np.where(np.arange(10) % 2, 0.14, 0.36)
            canvas.fill(np.stack([x + reach * np.cos(angles), y + reach * np.sin(angles)], axis=1), colour)
        case "bolt":
            canvas.fill(join([(x + 0.05, y - 0.34), (x - 0.22, y + 0.06), (x, y + 0.04), (x - 0.08, y + 0.38), (x + 0.24, y - 0.06), (x + 0.02, y - 0.04)]), colour)
        case _:
            return


def draw_sleeve(canvas: Canvas, figure: Figure, side: int, sleeve: str, paint: Paint, trim: Colour | None = None, ease: float = 0.0,
                stripe: Colour | None = None) -> None:
    """One sleeve over the arm of ``side``; nothing for the sleeve ``none``."""
    if sleeve == "none":
        return
    length, widths = SLEEVES[sleeve]
    line = cut(figure.arm(side), 0.0, length)
    canvas.fill(ellipse(*line[0], widths[0] + ease * 0.6, widths[0] + ease * 0.5), paint)
    canvas.fill(limb(line, [w + ease * 0.5 for w in widths]), paint, 0.22)
    edge = darker(base_of(paint), 0.28)
    canvas.line([(line[0][0] - side * 0.2, line[0][1] + 0.28), (line[0][0] - side * 0.16, line[0][1] + 0.62)], edge, 0.02)
    if stripe:
        canvas.line(line + (side * 0.12, 0.0), stripe, 0.07)
    if trim:
        canvas.fill(limb(cut(line, 0.88, 1.0), (widths[-1] + ease * 0.5 + 0.02,) * 2), trim)


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
        points = [(figure.centre(waist) + side * (figure.half(waist) + 0.03), waist), (figure.centre(3.6) + side * (figure.half(3.6) + 0.04), 3.6)]
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
        inner = hem + (0.0, -0.34)
        canvas.fill(join(hem, inner[::-1] * (1.0, 1.0)), skirt.trim, 0.1)
    if skirt.slit:
        x = centre + half * 0.3
        top = waist + (skirt.hem - waist) * 0.42
        canvas.fill(join(curve([(x, top), (x + 0.09, (top + skirt.hem) / 2), (x + 0.28, skirt.hem + 0.08)]), [(x - 0.16, skirt.hem + 0.1)]), figure.skin)


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
                canvas.line(leg + (side * knee * shift, 0.0), trousers.stripe, 0.06)
        if trousers.crease:
            canvas.line(cut(leg, 0.25, 0.98), line, 0.025)
        if trousers.ripped:
            for share in (0.32, 0.5, 0.6):
                x, y = cut(leg, share, 1.0)[0]
                canvas.fill(ellipse(x, y, 0.19, 0.075, 0.12 * side), figure.skin)
                canvas.line([(x - 0.16, y), (x + 0.16, y + 0.02)], lighter(base_of(paint), 0.6), 0.02)
        if trousers.pockets:
            x, y = cut(leg, 0.36, 1.0)[0]
            canvas.fill(join([(x + side * 0.08, y - 0.2), (x + side * 0.44, y - 0.2), (x + side * 0.44, y + 0.34), (x + side * 0.08, y + 0.34)]), paint, 0.3)
            canvas.line([(x + side * 0.08, y - 0.06), (x + side * 0.44, y - 0.06)], line, 0.03)
    ys = (waist, 3.6, 4.0, 4.35)
    left = [(figure.centre(y) - figure.half(y) - 0.04, y) for y in ys]
    right = [(figure.centre(y) + figure.half(y) + 0.04, y) for y in ys]
    canvas.fill(join(curve(left), [(figure.centre(4.2), 4.68)], curve(right)[::-1]), paint, 0.14)
    canvas.line([(figure.centre(3.4), waist + 0.1), (figure.centre(4.2), 4.6)], line, 0.025)
    canvas.line([left[0], right[0]], line, 0.05)


def draw_outer(canvas: Canvas, figure: Figure, outer: Outer) -> None:
    """Both fronts of an outer layer; its sleeves are drawn by ``draw_sleeve``."""
    line = darker(base_of(outer.paint), 0.35)
    for side in (-1, 1):
        x, y = figure.shoulder(side)
        flare = 0.0 if outer.hem < 4.6 else 0.06 * (outer.hem - 4.4)
        ys = [v for v in (2.0, 2.5, 3.2, 4.0, 4.6, 5.6, 6.6) if v < outer.hem - 0.15] + [outer.hem]
        outside = [(x + side * (0.13 + outer.ease * 0.5), y - 0.06)]
        outside += [(figure.centre(v) + side * (figure.half(min(v, 4.2)) + outer.ease + flare * max(0.0, v - 3.4)), v) for v in ys]
        inside = [(side * 0.2, 1.36), (figure.centre(2.3) + side * (outer.gap * 0.85), 2.3), (figure.centre(3.4) + side * outer.gap, 3.4),
                  (figure.centre(4.2) + side * (outer.gap + (0.08 if outer.hem > 4 else 0)), outer.hem)]
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
            canvas.fill(join([(side * 0.2, 1.36), (side * 0.5, 1.66), (side * 0.4, 1.82), (side * 0.58, 1.9), (side * outer.gap, 2.95)]),
                        lighter(base_of(paint), 0.12) if not isinstance(paint, tuple) else lighter(paint, 0.1), 0.2)
        case "biker":
            canvas.fill(join([(side * 0.16, 1.4), (side * 0.56, 1.72), (side * 0.66, 2.25), (side * (outer.gap + 0.04), 2.6)]), lighter(base_of(paint), 0.16), 0.3)
            canvas.line([(side * 0.6, 2.3), (side * (outer.gap + 0.06), outer.hem - 0.1)], (196, 198, 204), 0.04)
            canvas.line([(side * 0.55, 3.2), (side * 0.4, 3.5)], (196, 198, 204), 0.035)
        case "shawl":
            canvas.fill(limb(curve([(side * 0.2, 1.4), (side * 0.34, 2.2), (side * (outer.gap + 0.05), 3.4)]), (0.14, 0.17, 0.05)), lighter(base_of(paint), 0.2), 0.2)
        case "stand":
            canvas.fill(join([(side * 0.06, 1.22), (side * 0.32, 1.28), (side * 0.4, 1.6), (side * 0.16, 1.6)]), outer.trim or base_of(paint), 0.2)
        case "hood":
            canvas.fill(ellipse(side * 0.32, 1.42, 0.24, 0.17, side * 0.5), base_of(paint), 0.3)
            canvas.line([(side * 0.14, 1.6), (side * 0.16, 2.3)], (244, 242, 238), 0.04)
        case _:
            pass
    y = min(3.5, outer.hem - 0.35)
    c = figure.centre(y)
    canvas.line([(c + side * (outer.gap + 0.14), y), (c + side * (figure.half(y) + outer.ease - 0.08), y - 0.06)], line, 0.035)
    if outer.fringe:
        for x in np.linspace(outer.gap, figure.half(4.0) + outer.ease, 8):
            canvas.line([(figure.centre(4.0) + side * x, outer.hem - 0.04), (figure.centre(4.0) + side * (x + 0.02), outer.hem + 0.42)], base_of(paint), 0.05)
    if outer.patches:
        for y, colour in ((2.25, (228, 190, 70)), (2.7, (200, 60, 70))):
            canvas.dot(figure.centre(y) + side * 0.46, y, 0.11, colour)
