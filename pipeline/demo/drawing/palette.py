"""Colours of the wardrobe, and chance."""

import numpy as np

from pipeline.demo.drawing.canvas import Colour

WHITE, CREAM, BLACK, CHARCOAL = (246, 244, 240), (240, 230, 212), (32, 30, 36), (74, 74, 82)
NAVY, DENIM, LIGHT_DENIM, CAMEL, BROWN = (36, 48, 86), (74, 104, 150), (146, 176, 208), (194, 152, 104), (110, 74, 52)
RED, PINK, ROSE, LILAC, SKY = (196, 40, 52), (244, 190, 200), (222, 132, 150), (198, 176, 222), (166, 200, 228)
OLIVE, KHAKI, SAGE, MUSTARD, RUST = (96, 104, 62), (170, 156, 112), (160, 176, 142), (214, 164, 58), (178, 88, 52)
TEAL, PURPLE, GOLD, SILVER, LIME = (36, 128, 132), (112, 62, 134), (214, 176, 86), (196, 198, 206), (168, 220, 60)
WINE, BEIGE, OATMEAL, ORANGE, BLUE = (112, 30, 52), (222, 204, 180), (214, 200, 178), (238, 130, 50), (40, 90, 190)


def jitter(rng: np.random.Generator, colour: Colour, spread: int = 14) -> Colour:
    """A colour near the given one."""
    r, g, b = (int(np.clip(c + d, 0, 255)) for c, d in zip(colour, rng.integers(-spread, spread + 1, 3), strict=True))
    return (r, g, b)


def tint(rng: np.random.Generator, *palette: Colour) -> Colour:
    """A colour near one of a palette."""
    return jitter(rng, palette[int(rng.integers(len(palette)))])


def one(rng: np.random.Generator, *choices: str) -> str:
    """One of the names."""
    return choices[int(rng.integers(len(choices)))]


def one_of(rng: np.random.Generator, *values: float) -> float:
    """One of the numbers."""
    return values[int(rng.integers(len(values)))]


def one_int(rng: np.random.Generator, *values: int) -> int:
    """One of the whole numbers."""
    return values[int(rng.integers(len(values)))]


def chance(rng: np.random.Generator, share: float) -> bool:
    """True in ``share`` of the cases."""
    return bool(rng.random() < share)
