"""Outfit illustrations whose garments, colours and patterns follow from a main style and its sub styles."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from pipeline.demo.drawing.accents import add_accent
from pipeline.demo.drawing.canvas import Canvas, Colour, View, ellipse, mix
from pipeline.demo.drawing.figure import HAIRS, SKINS, pose
from pipeline.demo.drawing.outfits import Outfit, dress_figure
from pipeline.demo.drawing.scenes import SCENES
from pipeline.demo.drawing.wardrobe import RECIPES

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

    ``size`` is (width, height) in pixels. The same arguments give the same pixels. Raises KeyError for an unknown
    style.
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
    return _filter(_lit(picture, rng), rng)


def _framing(rng: np.random.Generator, width: int, height: int) -> View:
    choice = rng.random()
    if choice < 0.52:  # the whole figure
        scale = height * rng.uniform(0.09, 0.106)
        top = height * rng.uniform(0.96, 0.99) - 8.9 * scale
    elif choice < 0.86:  # down to the knees
        scale = height * rng.uniform(0.12, 0.155)
        top = height * rng.uniform(0.05, 0.12)
    else:  # to the hips
        scale = height * rng.uniform(0.165, 0.195)
        top = height * rng.uniform(0.07, 0.16)
    x = width * rng.uniform(0.32, 0.68)
    return View(float(scale), float(x), float(top), float(rng.normal(0, 0.05)), bool(rng.random() < 0.5))


def _scene(canvas: Canvas, rng: np.random.Generator, outfit: Outfit) -> None:
    names = outfit.scenes if rng.random() < 0.72 else tuple(SCENES)
    name = names[int(rng.integers(len(names)))]
    r, g, b = (int(v) for v in rng.integers(60, 250, 3))
    tone: Colour = mix(outfit.tone, (r, g, b), float(rng.uniform(0.0, 0.55)))
    SCENES[name](canvas, rng, tone)


def _lit(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Light or shade in two opposite corners, so that no wall is of one colour along the whole edge of the page.

    Without it the de-duplication would take plain walls for borders and trim them away.
    """
    width, height = picture.size[0] * 3 // 5, picture.size[1] * 3 // 5
    steps = np.linspace(0.0, 1.0, 33)
    falloff = np.clip(1.0 - np.hypot(steps[None, :], steps[:, None]), 0.0, 1.0)
    right = bool(rng.random() < 0.5)
    for lower in (False, True):
        at_right = right != lower
        glow = falloff[:: -1 if lower else 1, :: -1 if at_right else 1]
        mask = Image.fromarray(np.uint8(np.round(255 * rng.uniform(0.3, 0.42) * glow)))
        corner = (picture.size[0] - width if at_right else 0, picture.size[1] - height if lower else 0)
        box = (*corner, corner[0] + width, corner[1] + height)
        dark = np.asarray(picture.crop(box).convert("L").resize((8, 8), Image.Resampling.BOX)).mean() < 110
        picture.paste(
            (255, 236, 214) if dark else (24, 16, 44), box, mask.resize((width, height), Image.Resampling.BILINEAR)
        )
    return picture


def _filter(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A phone's filter: exposure, contrast and warmth, as one table per channel."""
    gamma, lift, warmth = math.exp(rng.normal(-0.06, 0.11)), rng.uniform(0, 12), rng.normal(0.01, 0.025)
    levels = np.arange(256) / 255.0
    tables = []
    for share in (1 + warmth, 1.0, 1 - warmth):
        tables.append(np.clip((levels**gamma) * share * (255 - lift) + lift, 0, 255).astype(np.uint8).tolist())
    return picture.point(tables[0] + tables[1] + tables[2])


def describe_outfit(main: str, subs: Sequence[str], seed: int) -> str:
    """An alt text for the picture that ``draw_outfit`` draws, which names garments and not styles."""
    outfit = choose_outfit(main, subs, np.random.default_rng(seed))
    if outfit.skirt:
        hem = "short" if outfit.skirt.hem < 5.4 else "long" if outfit.skirt.hem > 6.9 else "knee-length"
        lower = f"a {hem} skirt" if outfit.skirt.paint != outfit.top.paint else f"a {hem} dress"
    else:
        lower = "trousers" if outfit.trousers and outfit.trousers.length > 0.6 else "shorts"
    parts = [lower, "an open jacket" if outfit.outer else "a light top"]
    parts += [f"a {outfit.hat[0]}"] if outfit.hat and outfit.hat[0] in ("cap", "beret", "beanie", "fedora") else []
    parts += [f"a {outfit.bag[0]} bag"] if outfit.bag and outfit.bag[0] in ("tote", "straw", "chain") else []
    return f"A drawn figure in {', '.join(parts[:-1])} and {parts[-1]}"
