"""Shoes and bags, in heads (see ``canvas``)."""

import numpy as np

from pipeline.demo.drawing.canvas import Canvas, Colour, closed, curve, cut, darker, join, lighter, limb
from pipeline.demo.drawing.figure import Figure

GOLD: Colour = (214, 172, 84)


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
            canvas.fill(
                join(
                    [
                        (x - turn * 0.1, y + 0.02),
                        (x - turn * 0.02, y + 0.05),
                        (x - turn * 0.06, y + 0.44),
                        (x - turn * 0.12, y + 0.44),
                    ]
                ),
                darker(colour, 0.2),
            )
            canvas.fill(
                closed(
                    [
                        (x - turn * 0.13, y - 0.02),
                        (x + turn * 0.1, y + 0.0),
                        (x + turn * 0.42, y + 0.36),
                        (x + turn * 0.36, y + 0.44),
                        (x + turn * 0.12, y + 0.36),
                        (x - turn * 0.1, y + 0.12),
                    ]
                ),
                colour,
                0.2,
            )
            if kind == "platform":
                canvas.fill(
                    join(
                        [
                            (x - turn * 0.14, y + 0.34),
                            (x + turn * 0.46, y + 0.34),
                            (x + turn * 0.46, y + 0.54),
                            (x - turn * 0.14, y + 0.54),
                        ]
                    ),
                    darker(colour, 0.35),
                )
            continue
        sole = 0.12 if kind in ("sneakers", "combat") else 0.05
        foot = [
            (x - turn * 0.16, y - 0.06),
            (x + turn * 0.1, y - 0.08),
            (x + turn * 0.3, y + 0.12),
            (x + turn * 0.52, y + 0.2),
            (x + turn * 0.54, y + 0.34),
            (x - turn * 0.16, y + 0.34),
        ]
        if kind == "sandals":
            canvas.fill(closed(foot), figure.skin)
            for share in (0.0, 0.2, 0.36):
                canvas.line(
                    [(x - turn * 0.14 + turn * share, y - 0.04 + share * 0.5), (x + turn * (0.16 + share), y + 0.3)],
                    colour,
                    0.06,
                )
        else:
            canvas.fill(closed(foot), colour, 0.2)
        tread = (246, 244, 240) if kind == "sneakers" else darker(colour, 0.5)
        canvas.fill(
            join(
                [
                    (x - turn * 0.19, y + 0.3),
                    (x + turn * 0.57, y + 0.3),
                    (x + turn * 0.56, y + 0.3 + sole),
                    (x - turn * 0.18, y + 0.3 + sole),
                ]
            ),
            tread,
        )
        if kind in ("sneakers", "combat"):
            for step in range(3):
                canvas.line(
                    [
                        (x + turn * (0.04 + step * 0.09), y - 0.02 + step * 0.08),
                        (x + turn * (0.16 + step * 0.09), y - 0.06 + step * 0.08),
                    ],
                    (250, 250, 248),
                    0.03,
                )
        if kind == "loafers":
            canvas.line([(x + turn * 0.08, y + 0.06), (x + turn * 0.34, y + 0.12)], GOLD, 0.05)


def draw_bag(canvas: Canvas, figure: Figure, kind: str, colour: Colour, side: int) -> None:
    """A bag held or worn on ``side``: tote, clutch, crossbody, straw, briefcase, chain, hobo, backpack, belt, skate."""
    hand = figure.arm(side)[-1] + (0.0, 0.16)
    x, y = float(hand[0]), float(hand[1])
    hip = (figure.centre(4.0) + side * (figure.half(4.0) + 0.12), 4.0)
    match kind:
        case "tote" | "straw" | "briefcase":
            w, h = {"tote": (0.46, 0.95), "straw": (0.55, 0.72), "briefcase": (0.55, 0.74)}[kind]
            canvas.line(
                curve([(x - w * 0.5, y + 0.42), (x - 0.1, y), (x + 0.1, y), (x + w * 0.5, y + 0.42)]),
                darker(colour, 0.3),
                0.07,
            )
            canvas.fill(
                join(
                    [(x - w * 0.85, y + 0.38), (x + w * 0.85, y + 0.38), (x + w, y + 0.38 + h), (x - w, y + 0.38 + h)]
                ),
                colour,
                0.2,
            )
            if kind == "straw":
                for step in range(1, 5):
                    canvas.line(
                        [(x - w, y + 0.38 + step * h / 5), (x + w, y + 0.38 + step * h / 5)], darker(colour, 0.2), 0.04
                    )
            if kind == "briefcase":
                canvas.fill(
                    join(
                        [
                            (x - w * 0.9, y + 0.38),
                            (x + w * 0.9, y + 0.38),
                            (x + w * 0.86, y + 0.66),
                            (x - w * 0.86, y + 0.66),
                        ]
                    ),
                    darker(colour, 0.2),
                )
                canvas.dot(x, y + 0.64, 0.05, GOLD)
        case "clutch":
            canvas.fill(
                join([(x - 0.42, y - 0.06), (x + 0.4, y - 0.12), (x + 0.42, y + 0.34), (x - 0.4, y + 0.38)]),
                colour,
                0.2,
            )
            canvas.fill(join([(x - 0.42, y - 0.06), (x + 0.4, y - 0.12), (x, y + 0.2)]), lighter(colour, 0.2))
            canvas.dot(x, y + 0.18, 0.05, GOLD)
        case "crossbody" | "chain" | "hobo":
            strap = GOLD if kind == "chain" else darker(colour, 0.25)
            start = (-side * 0.5, 1.62) if kind == "crossbody" else (side * 0.62, 1.64)
            canvas.line(
                [start, (figure.centre(3.0) + side * 0.3 if kind == "crossbody" else hip[0], 3.0), hip], strap, 0.06
            )
            size = 0.52 if kind == "hobo" else 0.38
            canvas.fill(
                closed(
                    [
                        (hip[0] - size, hip[1]),
                        (hip[0] + size, hip[1]),
                        (hip[0] + size * 0.95, hip[1] + 0.6),
                        (hip[0] - size * 0.95, hip[1] + 0.6),
                    ]
                ),
                colour,
                0.2,
            )
            canvas.line([(hip[0] - size * 0.9, hip[1] + 0.2), (hip[0] + size * 0.9, hip[1] + 0.2)], strap, 0.04)
            if kind == "hobo":
                for step in range(7):
                    canvas.line(
                        [(hip[0] - 0.4 + step * 0.13, hip[1] + 0.55), (hip[0] - 0.42 + step * 0.14, hip[1] + 0.95)],
                        colour,
                        0.05,
                    )
        case "backpack":
            for strap_side in (-1, 1):
                canvas.line(
                    curve([(strap_side * 0.42, 1.52), (strap_side * 0.52, 2.1), (strap_side * 0.62, 2.7)]), colour, 0.13
                )
            canvas.fill(
                closed([(side * 0.66, 1.8), (side * 1.0, 2.0), (side * 1.02, 3.1), (side * 0.6, 3.2)]),
                darker(colour, 0.15),
                0.2,
            )
        case "belt":
            c = figure.centre(3.5)
            canvas.line([(c - 0.7, 3.42), (c + 0.7, 3.58)], darker(colour, 0.3), 0.08)
            canvas.fill(closed([(c - 0.4, 3.36), (c + 0.44, 3.46), (c + 0.36, 3.84), (c - 0.34, 3.76)]), colour, 0.2)
        case _:
            canvas.fill(limb(np.array([(x - 0.1, y - 0.4), (x + 0.1, y + 1.7)]), (0.2, 0.24, 0.2)), colour, 0.2)
            for wheel in (0.0, 1.3):
                canvas.dot(x + 0.24, y + wheel, 0.12, (40, 40, 44))
