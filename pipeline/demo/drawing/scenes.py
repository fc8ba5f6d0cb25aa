"""Backgrounds of the drawn outfits by name.

Every one places its parts at random, so that two pictures of the same style are no near-duplicates of each other.
"""

from collections.abc import Callable

import numpy as np

from pipeline.demo.drawing import indoors, nature, street, studio
from pipeline.demo.drawing.canvas import Canvas, Colour

Scene = Callable[[Canvas, np.random.Generator, Colour], None]

SCENES: dict[str, Scene] = {
    "arch": studio.arch,
    "beach": nature.beach,
    "bricks": street.bricks,
    "cafe": street.cafe,
    "court": nature.court,
    "desert": nature.desert,
    "forest": nature.forest,
    "graffiti": street.graffiti,
    "houses": street.houses,
    "library": indoors.library,
    "meadow": nature.meadow,
    "night": street.night,
    "office": indoors.office,
    "panels": studio.panels,
    "park": nature.park,
    "room": indoors.room,
    "seamless": studio.seamless,
    "shapes": studio.shapes,
    "skyline": street.skyline,
    "stage": street.stage,
    "tiles": indoors.tiles,
}
