"""What several backgrounds are made of, in page pixels."""

import numpy as np

from pipeline.demo.drawing.canvas import Canvas, Colour, mix


def shades(canvas: Canvas, top: Colour, bottom: Colour, start: float = 0.0, end: float = 1.0, steps: int = 24) -> None:
    """Fill the page between two shares of its height with a gradient from ``top`` to ``bottom``."""
    width, height = canvas.size
    first, last = start * height, end * height
    for step in range(steps):
        y = first + (last - first) * step / steps
        canvas.draw.rectangle(
            (0, y, width, first + (last - first) * (step + 1) / steps), fill=mix(top, bottom, step / steps)
        )


def disc(canvas: Canvas, x: float, y: float, radius: float, colour: Colour) -> None:
    """Draw a filled circle."""
    canvas.draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


def random_colour(rng: np.random.Generator, low: int = 90, high: int = 245) -> Colour:
    """Any colour whose channels lie between ``low`` and ``high``."""
    r, g, b = (int(v) for v in rng.integers(low, high, 3))
    return (r, g, b)
