"""What is worn on the head, in heads (see ``canvas``)."""

import math

from pipeline.demo.drawing.canvas import Canvas, Colour, closed, curve, darker, ellipse, join, limb, mix
from pipeline.demo.drawing.figure import Figure

GOLD: Colour = (214, 172, 84)


def draw_hat(canvas: Canvas, figure: Figure, kind: str, colour: Colour) -> None:
    """What is worn on the head."""
    n = figure.nod
    band = darker(colour, 0.45)
    match kind:
        case "straw" | "fedora":
            brim = 0.98 if kind == "straw" else 0.74
            canvas.fill(ellipse(n, 0.1, brim, 0.2, n * 0.6), colour, 0.2)
            canvas.fill(
                closed(
                    [(n - 0.42, 0.08), (n - 0.36, -0.36), (n, -0.42), (n + 0.36, -0.36), (n + 0.42, 0.08), (n, 0.14)]
                ),
                colour,
                0.2,
            )
            canvas.line(curve([(n - 0.42, 0.0), (n, 0.08), (n + 0.42, 0.0)]), band, 0.11)
        case "cap":
            canvas.fill(
                closed([(n - 0.46, 0.24), (n - 0.4, -0.12), (n, -0.26), (n + 0.4, -0.12), (n + 0.46, 0.24), (n, 0.16)]),
                colour,
                0.2,
            )
            canvas.fill(
                closed([(n - 0.42, 0.18), (n + 0.1, 0.1), (n + 0.82, 0.26), (n + 0.8, 0.36), (n + 0.1, 0.3)]),
                darker(colour, 0.2),
            )
        case "beanie":
            canvas.fill(
                closed([(n - 0.47, 0.26), (n - 0.44, -0.14), (n, -0.4), (n + 0.44, -0.14), (n + 0.47, 0.26), (n, 0.2)]),
                colour,
                0.2,
            )
            canvas.fill(limb(curve([(n - 0.47, 0.2), (n, 0.13), (n + 0.47, 0.2)]), (0.11, 0.11)), darker(colour, 0.15))
        case "beret":
            canvas.fill(
                closed(
                    [
                        (n - 0.44, 0.14),
                        (n - 0.66, -0.06),
                        (n - 0.2, -0.34),
                        (n + 0.42, -0.22),
                        (n + 0.46, 0.1),
                        (n, 0.06),
                    ]
                ),
                colour,
                0.2,
            )
            canvas.line([(n - 0.06, -0.3), (n - 0.04, -0.42)], colour, 0.05)
        case "scarf":
            canvas.fill(
                closed(
                    [(n - 0.47, 0.34), (n - 0.46, -0.06), (n, -0.24), (n + 0.46, -0.06), (n + 0.47, 0.34), (n, 0.1)]
                ),
                colour,
                0.2,
            )
            canvas.fill(
                closed([(n + 0.4, 0.2), (n + 0.66, 0.5), (n + 0.54, 0.95), (n + 0.44, 0.5)]), darker(colour, 0.15)
            )
        case "turban":
            for step, lift in enumerate((0.2, 0.06, -0.1, -0.26)):
                canvas.fill(
                    ellipse(n + 0.04 * (-1) ** step, lift, 0.52 - 0.05 * step, 0.2, 0.24 * (-1) ** step),
                    mix(colour, GOLD, 0.3 * (step % 2)),
                    0.15,
                )
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
                canvas.fill(
                    closed([(n + 0.2, -0.06), (n + 0.2 + side * 0.34, -0.26), (n + 0.2 + side * 0.36, 0.12)]),
                    colour,
                    0.15,
                )
            canvas.dot(n + 0.2, -0.06, 0.08, darker(colour, 0.2))
        case _:
            for side in (-1, 1):
                canvas.fill(join([(n + side * 0.14, -0.02), (n + side * 0.4, -0.36), (n + side * 0.44, 0.14)]), colour)
