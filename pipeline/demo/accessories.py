"""Shoes, bags, hats and jewellery for a figure, in heads (see ``canvas``)."""

import math
from collections.abc import Callable

import numpy as np

from pipeline.demo.canvas import Canvas, Colour, closed, curve, cut, darker, ellipse, join, lighter, limb, mix
from pipeline.demo.figure import Figure

GOLD: Colour = (214, 172, 84)
PEARL: Colour = (246, 240, 230)
STEEL: Colour = (190, 194, 202)

Piece = Callable[[Canvas, Figure, Colour], None]


def draw_shoes(canvas: Canvas, figure: Figure, kind: str, colour: Colour) -> None:
    """A pair of shoes: sneakers, heels, boots, ankle, loafers, sandals, platform, combat, flats, cowboy or thigh."""
    for side in (-1, 1):
        leg = figure.leg(side)
        x, y = leg[-1]
        shaft = {"boots": 0.62, "ankle": 0.9, "combat": 0.8, "cowboy": 0.72, "thigh": 0.42}.get(kind)
        if shaft:
            wide = 0.22 if kind in ("combat", "cowboy") else 0.2
            top = 0.25 if kind == "thigh" else 0.24
            canvas.fill(limb(cut(leg, shaft, 1.0), (top, wide, wide - 0.03)), colour, 0.25)
        heel = kind in ("heels", "boots", "thigh", "platform")
        turn = 1 if side > 0 else -1
        if heel:
            canvas.fill(join([(x - turn * 0.1, y + 0.02), (x - turn * 0.02, y + 0.05), (x - turn * 0.06, y + 0.44), (x - turn * 0.12, y + 0.44)]), darker(colour, 0.2))
            canvas.fill(closed([(x - turn * 0.13, y - 0.02), (x + turn * 0.1, y + 0.0), (x + turn * 0.42, y + 0.36), (x + turn * 0.36, y + 0.44), (x + turn * 0.12, y + 0.36), (x - turn * 0.1, y + 0.12)]), colour, 0.2)
            if kind == "platform":
                canvas.fill(join([(x - turn * 0.14, y + 0.34), (x + turn * 0.46, y + 0.34), (x + turn * 0.46, y + 0.54), (x - turn * 0.14, y + 0.54)]), darker(colour, 0.35))
            continue
        sole = 0.12 if kind in ("sneakers", "combat") else 0.05
        foot = [(x - turn * 0.16, y - 0.06), (x + turn * 0.1, y - 0.08), (x + turn * 0.3, y + 0.12), (x + turn * 0.52, y + 0.2), (x + turn * 0.54, y + 0.34), (x - turn * 0.16, y + 0.34)]
        if kind == "sandals":
            canvas.fill(closed(foot), figure.skin)
            for share in (0.0, 0.2, 0.36):
                canvas.line([(x - turn * 0.14 + turn * share, y - 0.04 + share * 0.5), (x + turn * (0.16 + share), y + 0.3)], colour, 0.06)
        else:
            canvas.fill(closed(foot), colour, 0.2)
        tread = (246, 244, 240) if kind == "sneakers" else darker(colour, 0.5)
        canvas.fill(join([(x - turn * 0.19, y + 0.3), (x + turn * 0.57, y + 0.3), (x + turn * 0.56, y + 0.3 + sole), (x - turn * 0.18, y + 0.3 + sole)]), tread)
        if kind in ("sneakers", "combat"):
            for step in range(3):
                canvas.line([(x + turn * (0.04 + step * 0.09), y - 0.02 + step * 0.08), (x + turn * (0.16 + step * 0.09), y - 0.06 + step * 0.08)], (250, 250, 248), 0.03)
        if kind == "loafers":
            canvas.line([(x + turn * 0.08, y + 0.06), (x + turn * 0.34, y + 0.12)], GOLD, 0.05)


def draw_bag(canvas: Canvas, figure: Figure, kind: str, colour: Colour, side: int) -> None:
    """A bag held or worn on ``side``: tote, clutch, crossbody, straw, backpack, briefcase, chain, hobo, belt or skate."""
    hand = figure.arm(side)[-1] + (0.0, 0.16)
    x, y = float(hand[0]), float(hand[1])
    hip = (figure.centre(4.0) + side * (figure.half(4.0) + 0.12), 4.0)
    match kind:
        case "tote" | "straw" | "briefcase":
            w, h = {"tote": (0.46, 0.95), "straw": (0.55, 0.72), "briefcase": (0.55, 0.74)}[kind]
            canvas.line(curve([(x - w * 0.5, y + 0.42), (x - 0.1, y), (x + 0.1, y), (x + w * 0.5, y + 0.42)]), darker(colour, 0.3), 0.07)
            canvas.fill(join([(x - w * 0.85, y + 0.38), (x + w * 0.85, y + 0.38), (x + w, y + 0.38 + h), (x - w, y + 0.38 + h)]), colour, 0.2)
            if kind == "straw":
                for step in range(1, 5):
                    canvas.line([(x - w, y + 0.38 + step * h / 5), (x + w, y + 0.38 + step * h / 5)], darker(colour, 0.2), 0.04)
            if kind == "briefcase":
                canvas.fill(join([(x - w * 0.9, y + 0.38), (x + w * 0.9, y + 0.38), (x + w * 0.86, y + 0.66), (x - w * 0.86, y + 0.66)]), darker(colour, 0.2))
                canvas.dot(x, y + 0.64, 0.05, GOLD)
        case "clutch":
            canvas.fill(join([(x - 0.42, y - 0.06), (x + 0.4, y - 0.12), (x + 0.42, y + 0.34), (x - 0.4, y + 0.38)]), colour, 0.2)
            canvas.fill(join([(x - 0.42, y - 0.06), (x + 0.4, y - 0.12), (x, y + 0.2)]), lighter(colour, 0.2))
            canvas.dot(x, y + 0.18, 0.05, GOLD)
        case "crossbody" | "chain" | "hobo":
            strap = GOLD if kind == "chain" else darker(colour, 0.25)
            start = (-side * 0.5, 1.62) if kind == "crossbody" else (side * 0.62, 1.64)
            canvas.line([start, (figure.centre(3.0) + side * 0.3 if kind == "crossbody" else hip[0], 3.0), hip], strap, 0.06)
            size = 0.52 if kind == "hobo" else 0.38
            canvas.fill(closed([(hip[0] - size, hip[1]), (hip[0] + size, hip[1]), (hip[0] + size * 0.95, hip[1] + 0.6), (hip[0] - size * 0.95, hip[1] + 0.6)]), colour, 0.2)
            canvas.line([(hip[0] - size * 0.9, hip[1] + 0.2), (hip[0] + size * 0.9, hip[1] + 0.2)], strap, 0.04)
            if kind == "hobo":
                for step in range(7):
                    canvas.line([(hip[0] - 0.4 + step * 0.13, hip[1] + 0.55), (hip[0] - 0.42 + step * 0.14, hip[1] + 0.95)], colour, 0.05)
        case "backpack":
            for strap_side in (-1, 1):
                canvas.line(curve([(strap_side * 0.42, 1.52), (strap_side * 0.52, 2.1), (strap_side * 0.62, 2.7)]), colour, 0.13)
            canvas.fill(closed([(side * 0.66, 1.8), (side * 1.0, 2.0), (side * 1.02, 3.1), (side * 0.6, 3.2)]), darker(colour, 0.15), 0.2)
        case "belt":
            c = figure.centre(3.5)
            canvas.line([(c - 0.7, 3.42), (c + 0.7, 3.58)], darker(colour, 0.3), 0.08)
            canvas.fill(closed([(c - 0.4, 3.36), (c + 0.44, 3.46), (c + 0.36, 3.84), (c - 0.34, 3.76)]), colour, 0.2)
        case _:
            canvas.fill(limb(np.array([(x - 0.1, y - 0.4), (x + 0.1, y + 1.7)]), (0.2, 0.24, 0.2)), colour, 0.2)
            for wheel in (0.0, 1.3):
                canvas.dot(x + 0.24, y + wheel, 0.12, (40, 40, 44))


def draw_hat(canvas: Canvas, figure: Figure, kind: str, colour: Colour) -> None:
    """What is worn on the head."""
    n = figure.nod
    band = darker(colour, 0.45)
    match kind:
        case "straw" | "fedora":
            brim = 0.98 if kind == "straw" else 0.74
            canvas.fill(ellipse(n, 0.1, brim, 0.2, n * 0.6), colour, 0.2)
            canvas.fill(closed([(n - 0.42, 0.08), (n - 0.36, -0.36), (n, -0.42), (n + 0.36, -0.36), (n + 0.42, 0.08), (n, 0.14)]), colour, 0.2)
            canvas.line(curve([(n - 0.42, 0.0), (n, 0.08), (n + 0.42, 0.0)]), band, 0.11)
        case "cap":
            canvas.fill(closed([(n - 0.46, 0.24), (n - 0.4, -0.12), (n, -0.26), (n + 0.4, -0.12), (n + 0.46, 0.24), (n, 0.16)]), colour, 0.2)
            canvas.fill(closed([(n - 0.42, 0.18), (n + 0.1, 0.1), (n + 0.82, 0.26), (n + 0.8, 0.36), (n + 0.1, 0.3)]), darker(colour, 0.2))
        case "beanie":
            canvas.fill(closed([(n - 0.47, 0.26), (n - 0.44, -0.14), (n, -0.4), (n + 0.44, -0.14), (n + 0.47, 0.26), (n, 0.2)]), colour, 0.2)
            canvas.fill(limb(curve([(n - 0.47, 0.2), (n, 0.13), (n + 0.47, 0.2)]), (0.11, 0.11)), darker(colour, 0.15))
        case "beret":
            canvas.fill(closed([(n - 0.44, 0.14), (n - 0.66, -0.06), (n - 0.2, -0.34), (n + 0.42, -0.22), (n + 0.46, 0.1), (n, 0.06)]), colour, 0.2)
            canvas.line([(n - 0.06, -0.3), (n - 0.04, -0.42)], colour, 0.05)
        case "scarf":
            canvas.fill(closed([(n - 0.47, 0.34), (n - 0.46, -0.06), (n, -0.24), (n + 0.46, -0.06), (n + 0.47, 0.34), (n, 0.1)]), colour, 0.2)
            canvas.fill(closed([(n + 0.4, 0.2), (n + 0.66, 0.5), (n + 0.54, 0.95), (n + 0.44, 0.5)]), darker(colour, 0.15))
        case "turban":
            for step, lift in enumerate((0.2, 0.06, -0.1, -0.26)):
                canvas.fill(ellipse(n + 0.04 * (-1) ** step, lift, 0.52 - 0.05 * step, 0.2, 0.24 * (-1) ** step), mix(colour, GOLD, 0.3 * (step % 2)), 0.15)
            canvas.dot(n, 0.02, 0.08, GOLD)
        case "flowers":
            for step in range(7):
                a = -1.35 + step * 0.45
                petal = [(238, 140, 160), (250, 226, 150), (200, 110, 170), (250, 240, 236)][step % 4]
                canvas.dot(n + 0.46 * math.sin(a), 0.3 - 0.42 * math.cos(a), 0.13, petal)
                canvas.dot(n + 0.46 * math.sin(a), 0.3 - 0.42 * math.cos(a), 0.05, (240, 190, 80))
        case "headband":
            canvas.fill(limb(curve([(n - 0.44, 0.28), (n, 0.14), (n + 0.44, 0.28)]), (0.075, 0.075)), colour)
        case "bow":
            for side in (-1, 1):
                canvas.fill(closed([(n + 0.2, -0.06), (n + 0.2 + side * 0.34, -0.26), (n + 0.2 + side * 0.36, 0.12)]), colour, 0.15)
            canvas.dot(n + 0.2, -0.06, 0.08, darker(colour, 0.2))
        case _:
            for side in (-1, 1):
                canvas.fill(join([(n + side * 0.14, -0.02), (n + side * 0.4, -0.36), (n + side * 0.44, 0.14)]), colour)


def _chain(canvas: Canvas, figure: Figure, depth: float, beads: int, radius: float, colours: tuple[Colour, ...]) -> None:
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
        canvas.fill(join([(c + 0.16, 3.3), (c + 0.3, 3.3), (c + shift + 0.3, 4.9), (c + shift + 0.02, 4.95)]), darker(colour, 0.1))


def _tie(canvas: Canvas, figure: Figure, colour: Colour) -> None:
    canvas.fill(join([(-0.09, 1.62), (0.09, 1.62), (0.06, 1.8), (0.13, 2.8), (0.0, 3.0), (-0.13, 2.8), (-0.06, 1.8)]), colour, 0.2)


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
            canvas.dot(side * (0.3 + 0.12 * (y - 1.4)) + 0.05 * math.sin(y * 9), y, 0.2, mix(colour, (255, 255, 255), 0.25 * (0.5 + 0.5 * math.sin(y * 13))))


def _suspenders(canvas: Canvas, figure: Figure, colour: Colour) -> None:
    for side in (-1, 1):
        canvas.line([(side * 0.34, 1.52), (figure.centre(3.2) + side * 0.3, 3.25)], colour, 0.08)


def _crest(canvas: Canvas, figure: Figure, colour: Colour) -> None:
    canvas.fill(closed([(0.34, 2.0), (0.62, 2.0), (0.62, 2.26), (0.48, 2.42), (0.34, 2.26)]), GOLD)
    canvas.dot(0.48, 2.16, 0.07, colour)


def _epaulettes(canvas: Canvas, figure: Figure, colour: Colour) -> None:
    for side in (-1, 1):
        x, y = figure.shoulder(side)
        canvas.fill(join([(x - side * 0.3, y - 0.16), (x + side * 0.16, y - 0.12), (x + side * 0.16, y + 0.06), (x - side * 0.3, y + 0.02)]), colour, 0.2)
        canvas.dot(x - side * 0.2, y - 0.06, 0.05, GOLD)


def _stickers(canvas: Canvas, figure: Figure, colour: Colour) -> None:
    for x, y, patch in ((-0.4, 2.3, (250, 90, 140)), (0.36, 2.7, (70, 200, 220)), (-0.2, 3.1, (250, 220, 70)), (0.1, 2.1, (150, 90, 220))):
        angles = np.arange(10) * np.pi / 5
        reach = np.where(np.arange(10) % 2, 0.08, 0.19)
        canvas.fill(np.stack([x + reach * np.cos(angles), y + reach * np.sin(angles)], axis=1), patch)


PIECES: dict[str, Piece] = {
    "bandana": _bandana, "beads": _beads, "belt": _belt, "boa": _boa, "bow_blouse": _bow_blouse, "choker": _choker,
    "crest": _crest, "drops": _drops, "epaulettes": _epaulettes, "glasses": _glasses, "gold_chain": _gold_chain,
    "harness": _harness, "hoops": _hoops, "neckscarf": _neckscarf, "pearls": _pearls, "pendant": _pendant, "rose": _rose,
    "sash": _sash, "spikes": _spikes, "stickers": _stickers, "sunglasses": _sunglasses, "suspenders": _suspenders,
    "tie": _tie,
}  # fmt: skip
