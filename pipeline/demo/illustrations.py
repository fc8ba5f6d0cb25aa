"""Outfit illustrations whose garments, colours and patterns follow from a main style and its sub styles."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from pipeline.demo.accents import add_accent
from pipeline.demo.canvas import Canvas, Colour, View, ellipse, mix
from pipeline.demo.figure import HAIRS, SKINS, pose
from pipeline.demo.outfits import Outfit, dress_figure
from pipeline.demo.scenes import SCENES
from pipeline.demo.wardrobe import RECIPES

SIZES: tuple[tuple[int, int], ...] = ((640, 800), (600, 750), (540, 720), (640, 640), (720, 900), (1080, 1350))
SIZE_SHARES = (0.36, 0.22, 0.18, 0.1, 0.1, 0.04)


def choose_size(rng: np.random.Generator) -> tuple[int, int]:
    """Width and height in pixels of a post's picture."""
    return SIZES[int(rng.choice(len(SIZES), p=SIZE_SHARES))]


def choose_outfit(main: str, subs: Sequence[str], rng: np.random.Generator) -> Outfit:
    """An outfit of the main style with an attribute of each sub style."""
    if main not in RECIPES:
        raise KeyError(f"no outfit is known for the style {main!r}; there are {', '.join(RECIPES)}")
    outfit = RECIPES[main](rng)
    for sub in subs:
        outfit = add_accent(outfit, sub, rng)
    return outfit


def draw_outfit(main: str, subs: Sequence[str], seed: int, size: tuple[int, int] = (640, 800)) -> Image.Image:
    """Draw a figure in an outfit of the main style with attributes of the sub styles.

    ``size`` is (width, height) in pixels. The same arguments give the same pixels. Raises KeyError for an unknown style.
    """
    rng = np.random.default_rng(seed)
    outfit = choose_outfit(main, subs, rng)
    figure = pose(
        rng,
        SKINS[int(rng.integers(len(SKINS)))],
        outfit.hair or HAIRS[int(rng.integers(len(HAIRS)))],
        outfit.hair_cuts[int(rng.integers(len(outfit.hair_cuts)))],
    )
    factor = 2.0 if size[0] <= 760 else 1.5
    width, height = round(size[0] * factor), round(size[1] * factor)
    canvas = Canvas(width, height, _framing(rng, width, height))
    _scene(canvas, rng, outfit)
    canvas.veil(ellipse(figure.centre(4.2), 8.75, 1.3, 0.16), (20, 16, 26), 0.3)
    dress_figure(canvas, figure, outfit, 1 if rng.random() < 0.5 else -1)
    picture = canvas.image.resize(size, Image.Resampling.BOX) if factor != 2.0 else canvas.image.reduce(2)
    return _filter(picture, rng)


def _framing(rng: np.random.Generator, width: int, height: int) -> View:
    choice = rng.random()
    if choice < 0.6:  # the whole figure
        scale = height * rng.uniform(0.082, 0.101)
        top = height * rng.uniform(0.97, 1.0) - 9.0 * scale if rng.random() < 0.5 else height * rng.uniform(0.03, 0.08)
    elif choice < 0.9:  # down to the knees
        scale = height * rng.uniform(0.115, 0.15)
        top = height * rng.uniform(0.03, 0.12)
    else:  # to the hips
        scale = height * rng.uniform(0.16, 0.19)
        top = height * rng.uniform(0.04, 0.16)
    x = width * rng.uniform(0.32, 0.68)
    return View(float(scale), float(x), float(top), float(rng.normal(0, 0.05)), bool(rng.random() < 0.5))


def _scene(canvas: Canvas, rng: np.random.Generator, outfit: Outfit) -> None:
    names = outfit.scenes if rng.random() < 0.72 else tuple(SCENES)
    name = names[int(rng.integers(len(names)))]
    r, g, b = (int(v) for v in rng.integers(60, 250, 3))
    tone: Colour = mix(outfit.tone, (r, g, b), float(rng.uniform(0.0, 0.55)))
    SCENES[name](canvas, rng, tone)


def _filter(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A phone's filter: exposure, contrast and warmth, as one table per channel."""
    gamma, lift, warmth = math.exp(rng.normal(0, 0.12)), rng.uniform(0, 14), rng.normal(0, 0.035)
    levels = np.arange(256) / 255.0
    tables = []
    for share in (1 + warmth, 1.0, 1 - warmth):
        tables.append(np.clip((levels**gamma) * share * (255 - lift) + lift, 0, 255).astype(np.uint8).tolist())
    return picture.point(tables[0] + tables[1] + tables[2])
