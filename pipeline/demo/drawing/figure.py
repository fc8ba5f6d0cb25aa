"""The figure that wears the outfit: pose, body, head and hair, in heads (see ``canvas``)."""

import math
from dataclasses import dataclass

import numpy as np

from pipeline.demo.drawing.canvas import (
    Canvas,
    Colour,
    Points,
    closed,
    curve,
    darker,
    ellipse,
    join,
    lighter,
    limb,
    mix,
)

SKINS: tuple[Colour, ...] = (
    (248, 218, 194),
    (240, 204, 176),
    (224, 178, 142),
    (196, 144, 106),
    (154, 104, 74),
    (104, 68, 50),
)
HAIRS: tuple[Colour, ...] = (
    (34, 28, 32),
    (62, 42, 34),
    (104, 66, 44),
    (150, 98, 56),
    (204, 164, 104),
    (166, 74, 44),
    (82, 50, 40),
    (56, 44, 48),
    (178, 174, 176),
)
STEPS = (1.42, 1.62, 2.0, 2.5, 3.2, 4.0, 4.5)  # heights at which the trunk's half-widths are given
TRUNK = (0.34, 0.74, 0.64, 0.60, 0.47, 0.66, 0.66)


@dataclass(frozen=True)
class Figure:
    """A body in a pose. Lengths in heads, angles in radians, outward positive."""

    skin: Colour
    hair: Colour
    hair_cut: str
    width: float  # build: 1 is slim, 1.25 is full
    shift: float  # of the hips against the shoulders
    tilt: float  # of the shoulders
    arms: tuple[tuple[float, float], tuple[float, float]]  # upper and lower arm of each side, from straight down
    legs: tuple[tuple[float, float], tuple[float, float]]  # thigh and shin of each side
    nod: float  # of the head

    def centre(self, y: float) -> float:
        """x of the body's centre line at a height."""
        return float(np.interp(y, (1.4, 3.2, 4.2), (0.0, self.shift * 0.45, self.shift)))

    def half(self, y: float) -> float:
        """Half-width of the trunk at a height."""
        return float(np.interp(y, STEPS, TRUNK)) * (self.width if y > 1.7 else (1 + self.width) / 2)

    def shoulder(self, side: int) -> tuple[float, float]:
        """The shoulder joint of side -1 or 1."""
        return (side * 0.70 * (1 + self.width) / 2, 1.66 + side * self.tilt * 0.6)

    def arm(self, side: int) -> Points:
        """Line from the shoulder over the elbow to the wrist."""
        upper, lower = self.arms[0 if side < 0 else 1]
        x, y = self.shoulder(side)
        elbow = (x + side * 1.36 * math.sin(upper), y + 1.36 * math.cos(upper))
        wrist = (elbow[0] + side * 1.26 * math.sin(lower), elbow[1] + 1.26 * math.cos(lower))
        return curve([(x, y), elbow, wrist])

    def leg(self, side: int) -> Points:
        """Line from the hip over the knee to the ankle."""
        thigh, shin = self.legs[0 if side < 0 else 1]
        x, y = self.centre(4.2) + side * 0.33 * self.width, 4.25
        knee = (x + side * 2.1 * math.sin(thigh), y + 2.1 * math.cos(thigh))
        ankle = (knee[0] + side * 2.1 * math.sin(shin), knee[1] + 2.1 * math.cos(shin))
        return curve([(x, y), knee, ankle])


def pose(rng: np.random.Generator, skin: Colour, hair: Colour, hair_cut: str) -> Figure:
    """A figure in a random pose: standing, striding, a hand on the hip, an arm raised."""
    side = 1 if rng.random() < 0.5 else -1
    relaxed = ((rng.uniform(0.06, 0.3), rng.uniform(-0.12, 0.12)), (rng.uniform(0.06, 0.3), rng.uniform(-0.12, 0.12)))
    hip = (rng.uniform(0.6, 0.85), rng.uniform(-0.95, -0.65))
    raised = (rng.uniform(1.2, 1.9), rng.uniform(2.5, 3.3))
    bent = (rng.uniform(0.05, 0.25), rng.uniform(-1.5, -0.9))
    choice = rng.random()
    active = (
        relaxed[0]
        if choice < 0.3
        else hip
        if choice < 0.6
        else raised
        if choice < 0.72
        else bent
        if choice < 0.9
        else (0.5, 0.45)
    )
    arms = (active, relaxed[1]) if side < 0 else (relaxed[0], active)
    if choice > 0.5 and rng.random() < 0.25:
        arms = (hip, hip)
    stance = rng.random()
    if stance < 0.45:
        free, standing = (
            (rng.uniform(0.1, 0.22), rng.uniform(0.0, 0.1)),
            (rng.uniform(-0.06, 0.02), rng.uniform(-0.05, 0.03)),
        )
    elif stance < 0.75:
        free, standing = (
            (rng.uniform(0.12, 0.2), rng.uniform(-0.28, -0.12)),
            (rng.uniform(-0.1, 0.0), rng.uniform(-0.12, 0.0)),
        )
    else:
        free = standing = (rng.uniform(0.08, 0.2), rng.uniform(0.04, 0.16))
    legs = (free, standing) if side < 0 else (standing, free)
    return Figure(
        skin=skin, hair=hair, hair_cut=hair_cut, width=rng.uniform(0.98, 1.24), shift=-side * rng.uniform(0.0, 0.16),
        tilt=side * rng.uniform(-0.04, 0.1), arms=arms, legs=legs, nod=rng.uniform(-0.13, 0.13),
    )  # fmt: skip


def draw_body(canvas: Canvas, figure: Figure, tights: Colour | None = None) -> None:
    """Trunk, neck and legs; arms come later, over the clothes."""
    skin = figure.skin
    for side in (-1, 1):
        colour = tights or skin
        canvas.fill(limb(figure.leg(side), (0.33 * figure.width, 0.29, 0.19, 0.22, 0.17, 0.11)), colour, 0.14)
    ys = (1.5, 1.62, 2.0, 2.5, 3.2, 4.0, 4.55)
    left = [(figure.centre(y) - figure.half(y), y) for y in ys]
    right = [(figure.centre(y) + figure.half(y), y) for y in ys]
    canvas.fill(join(curve(left), curve(right)[::-1]), skin, 0.12)
    canvas.fill(join([(-0.17, 0.8), (-0.19, 1.3), (-0.5, 1.55), (0.5, 1.55), (0.19, 1.3), (0.17, 0.8)]), skin)
    canvas.fill(join([(-0.17, 1.0), (0.17, 1.0), (0.18, 1.22), (-0.1, 1.12)]), darker(skin, 0.16))


def draw_arm(canvas: Canvas, figure: Figure, side: int) -> None:
    """One bare arm with its hand."""
    line = figure.arm(side)
    canvas.fill(ellipse(line[0][0] - side * 0.02, line[0][1] + 0.02, 0.2, 0.19), figure.skin)
    canvas.fill(limb(line, (0.19, 0.17, 0.14, 0.14, 0.09)), figure.skin, 0.12)
    tip = line[-1]
    along = line[-1] - line[-4]
    along = along / np.hypot(*along)
    canvas.fill(
        ellipse(tip[0] + along[0] * 0.17, tip[1] + along[1] * 0.17, 0.22, 0.105, math.atan2(along[1], along[0])),
        figure.skin,
    )


def draw_back_hair(canvas: Canvas, figure: Figure) -> None:
    """The hair behind head and shoulders."""
    hair, n = figure.hair, figure.nod
    match figure.hair_cut:
        case "long":
            shape = [
                (0, -0.08),
                (0.46, 0.15),
                (0.52, 0.9),
                (0.56, 1.7),
                (0.5, 2.35),
                (0, 2.2),
                (-0.5, 2.35),
                (-0.56, 1.7),
                (-0.52, 0.9),
                (-0.46, 0.15),
            ]
        case "waves":
            shape = [
                (0, -0.1),
                (0.5, 0.12),
                (0.62, 0.6),
                (0.55, 1.0),
                (0.78, 1.4),
                (0.62, 1.85),
                (0.72, 2.25),
                (0.3, 2.4),
                (-0.3, 2.4),
                (-0.72, 2.25),
                (-0.62, 1.85),
                (-0.78, 1.4),
                (-0.55, 1.0),
                (-0.62, 0.6),
                (-0.5, 0.12),
            ]
        case "bob":
            shape = [
                (0, -0.1),
                (0.48, 0.12),
                (0.56, 0.7),
                (0.58, 1.08),
                (0.2, 1.14),
                (-0.2, 1.14),
                (-0.58, 1.08),
                (-0.56, 0.7),
                (-0.48, 0.12),
            ]
        case "curls":
            shape = [
                (math.sin(a) * (0.72 + 0.06 * math.cos(a * 11)), 0.42 - math.cos(a) * (0.66 + 0.05 * math.cos(a * 11)))
                for a in np.linspace(0, 6.1, 34)
            ]
        case "bun":
            canvas.fill(ellipse(0.06 + n, -0.14, 0.28, 0.26), hair, 0.2)
            shape = [(0, -0.06), (0.42, 0.15), (0.44, 0.6), (0, 0.8), (-0.44, 0.6), (-0.42, 0.15)]
        case "ponytail":
            canvas.fill(closed([(0.3, 0.0), (0.75, 0.1), (0.88, 0.8), (0.74, 1.6), (0.62, 1.0), (0.4, 0.4)]), hair, 0.2)
            shape = [(0, -0.06), (0.42, 0.15), (0.44, 0.6), (0, 0.8), (-0.44, 0.6), (-0.42, 0.15)]
        case "braids":
            for side in (-1, 1):
                for step in range(7):
                    canvas.fill(
                        ellipse(side * (0.5 + 0.03 * step), 0.9 + step * 0.22, 0.15 - step * 0.008, 0.15),
                        lighter(hair, 0.12 * (step % 2)),
                    )
            shape = [(0, -0.08), (0.46, 0.15), (0.5, 0.8), (0, 0.9), (-0.5, 0.8), (-0.46, 0.15)]
        case "spikes":
            shape = []
            for a in np.linspace(-2.0, 2.0, 17):
                reach = 0.82 if len(shape) % 2 else 0.5
                shape.append((math.sin(a) * reach, 0.4 - math.cos(a) * reach))
            canvas.fill(join(shape), hair)
            return
        case _:
            shape = [(0, -0.1), (0.42, 0.08), (0.47, 0.5), (0.32, 0.86), (-0.32, 0.86), (-0.47, 0.5), (-0.42, 0.08)]
    canvas.fill(closed([(x + n * (1 - min(y, 1)), y) for x, y in shape]), hair, 0.18)


def draw_head(canvas: Canvas, figure: Figure, lips: Colour, smoky: bool = False) -> None:
    """Face and front hair."""
    n, skin, hair = figure.nod, figure.skin, figure.hair
    face = [
        (0, 0.02),
        (0.3, 0.12),
        (0.37, 0.42),
        (0.31, 0.74),
        (0.12, 0.99),
        (0, 1.02),
        (-0.12, 0.99),
        (-0.31, 0.74),
        (-0.37, 0.42),
        (-0.3, 0.12),
    ]
    canvas.fill(closed([(x + n * (0.8 - y * 0.6), y) for x, y in face]), skin, 0.12)
    x = n * 1.0
    ink = (44, 30, 34)
    for side in (-1, 1):
        canvas.veil(ellipse(x + side * 0.2, 0.68, 0.09, 0.055), (236, 110, 110), 0.3)
        if smoky:
            canvas.veil(ellipse(x + side * 0.165, 0.49, 0.11, 0.065), (50, 30, 46), 0.6)
        canvas.fill(ellipse(x + side * 0.165, 0.5, 0.075, 0.042), (252, 250, 246))
        canvas.fill(ellipse(x + side * 0.165, 0.5, 0.04, 0.043), ink)
        canvas.line(curve([(x + side * 0.07, 0.485), (x + side * 0.16, 0.45), (x + side * 0.26, 0.47)]), ink, 0.026)
        canvas.line(
            curve([(x + side * 0.07, 0.37), (x + side * 0.17, 0.335), (x + side * 0.28, 0.37)]),
            mix(hair, ink, 0.4),
            0.032,
        )
    canvas.line([(x, 0.52), (x + 0.035, 0.67), (x - 0.01, 0.68)], darker(skin, 0.22), 0.02)
    canvas.fill(
        closed([(x - 0.12, 0.815), (x - 0.04, 0.785), (x, 0.8), (x + 0.04, 0.785), (x + 0.12, 0.815), (x, 0.875)]), lips
    )
    _front_hair(canvas, figure)


def _front_hair(canvas: Canvas, figure: Figure) -> None:
    n, hair = figure.nod, figure.hair
    part = 0.14 if n > 0 else -0.14
    match figure.hair_cut:
        case "bob":
            fringe = [
                (-0.46, 0.62),
                (-0.44, 0.12),
                (0, -0.12),
                (0.44, 0.12),
                (0.46, 0.62),
                (0.36, 0.6),
                (0.34, 0.33),
                (0, 0.3),
                (-0.34, 0.33),
                (-0.36, 0.6),
            ]
        case "curls":
            fringe = [
                (-0.44, 0.42),
                (-0.4, 0.02),
                (0, -0.16),
                (0.4, 0.02),
                (0.44, 0.42),
                (0.28, 0.24),
                (0.1, 0.16),
                (-0.12, 0.18),
                (-0.3, 0.26),
            ]
        case "crop" | "spikes":
            fringe = [
                (-0.41, 0.5),
                (-0.42, 0.1),
                (-0.1, -0.13),
                (0.3, -0.08),
                (0.43, 0.16),
                (0.4, 0.5),
                (0.33, 0.24),
                (0.08, 0.2),
                (-0.2, 0.12),
                (-0.34, 0.28),
            ]
        case "bun" | "ponytail":
            fringe = [
                (-0.41, 0.5),
                (-0.4, 0.08),
                (0, -0.11),
                (0.4, 0.08),
                (0.41, 0.5),
                (0.3, 0.2),
                (0, 0.1),
                (-0.3, 0.2),
            ]
        case _:
            fringe = [
                (-0.5, 0.95),
                (-0.47, 0.15),
                (0, -0.13),
                (0.47, 0.15),
                (0.5, 0.95),
                (0.4, 0.72),
                (0.32, 0.3),
                (part, 0.06),
                (-0.32, 0.3),
                (-0.4, 0.72),
            ]
    canvas.fill(closed([(x + n * (1 - y * 0.6), y) for x, y in fringe]), hair, 0.12)
    canvas.line(curve([(-0.26 + n, 0.07), (n, -0.03), (0.22 + n, 0.05)]), lighter(hair, 0.25), 0.03)
