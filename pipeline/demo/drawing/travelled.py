"""What people wear who like patterns from elsewhere."""

import numpy as np

from pipeline.demo.drawing.fabrics import Fabric
from pipeline.demo.drawing.lower import Skirt, Trousers
from pipeline.demo.drawing.outerwear import Outer
from pipeline.demo.drawing.outfits import Outfit
from pipeline.demo.drawing.palette import (
    BLACK,
    BROWN,
    CAMEL,
    CREAM,
    DENIM,
    GOLD,
    LIGHT_DENIM,
    MUSTARD,
    NAVY,
    ORANGE,
    PURPLE,
    RED,
    RUST,
    SKY,
    TEAL,
    WHITE,
    chance,
    one,
    tint,
)
from pipeline.demo.drawing.tops import Top


def ethnic(rng: np.random.Generator) -> Outfit:
    """Woven patterns, wide sleeves, long skirts, beads."""
    paint = Fabric(
        one(rng, "ikat", "ikat", "paisley"),
        tint(rng, RUST, (150, 50, 48), TEAL, MUSTARD, NAVY),
        tint(rng, MUSTARD, ORANGE, CREAM),
        tint(rng, TEAL, CREAM, (60, 30, 40)),
        repeat=rng.uniform(0.75, 1.1),
    )
    top = Top(
        paint if chance(rng, 0.6) else tint(rng, CREAM, RUST),
        one(rng, "v", "crew", "square"),
        one(rng, "bell", "elbow", "bishop"),
        rng.uniform(3.3, 4.3),
        0.12,
        trim=tint(rng, MUSTARD, TEAL, RED),
    )
    skirt = Skirt(
        paint,
        rng.uniform(6.6, 8.1),
        rng.uniform(0.5, 0.95),
        tiers=int(rng.integers(0, 3)),
        trim=tint(rng, MUSTARD, TEAL, RED),
    )
    outer = (
        Outer(paint, rng.uniform(4.6, 6.6), 0.3, 0.3, "none", "bell", tint(rng, MUSTARD, CREAM), chance(rng, 0.5))
        if chance(rng, 0.4)
        else None
    )
    return Outfit(
        top,
        skirt,
        None,
        outer,
        (one(rng, "sandals", "flats"), tint(rng, BROWN, CAMEL)),
        (one(rng, "hobo", "straw"), tint(rng, BROWN, RUST)) if chance(rng, 0.5) else None,
        (one(rng, "scarf", "turban"), tint(rng, RUST, MUSTARD, TEAL)) if chance(rng, 0.35) else None,
        pieces=(("beads", ORANGE),) if chance(rng, 0.7) else (("drops", TEAL),),
        hair_cuts=("braids", "long", "curls", "waves"),
        scenes=("desert", "tiles", "arch", "houses", "meadow"),
        tone=tint(rng, RUST, MUSTARD, TEAL),
    )


def exotic(rng: np.random.Generator) -> Outfit:
    """Tropical leaves in strong colours."""
    paint = Fabric(
        "tropical",
        tint(rng, (250, 220, 120), (30, 90, 96), ORANGE, (240, 90, 120), WHITE),
        tint(rng, (40, 140, 90), TEAL),
        tint(rng, (240, 80, 110), (250, 180, 60)),
        repeat=1.0,
    )
    top = Top(
        paint, one(rng, "off", "straps", "v"), one(rng, "none", "bell", "none"), 3.3 if chance(rng, 0.6) else 2.85, 0.02
    )
    skirt = Skirt(
        paint if chance(rng, 0.8) else tint(rng, TEAL, ORANGE),
        rng.uniform(6.0, 8.0),
        rng.uniform(0.35, 0.8),
        slit=chance(rng, 0.5),
    )
    return Outfit(
        top,
        skirt,
        None,
        None,
        ("sandals", tint(rng, GOLD, BROWN)),
        ("straw", tint(rng, (220, 180, 110))) if chance(rng, 0.4) else None,
        (one(rng, "turban", "flowers", "straw"), tint(rng, ORANGE, TEAL, (240, 80, 120))) if chance(rng, 0.6) else None,
        pieces=(("hoops", GOLD), ("beads", RED)) if chance(rng, 0.5) else (("hoops", GOLD),),
        hair_cuts=("curls", "waves", "long"),
        scenes=("beach", "tiles", "forest", "shapes"),
        tone=tint(rng, TEAL, ORANGE, (250, 210, 120)),
    )


def hippie(rng: np.random.Generator) -> Outfit:
    """Tie-dye, flared jeans, fringes and flowers."""
    dye = Fabric(
        one(rng, "tiedye", "tiedye", "paisley", "floral"),
        tint(rng, ORANGE, (250, 220, 120), (240, 120, 160)),
        tint(rng, PURPLE, TEAL),
        tint(rng, (250, 210, 80), SKY),
        repeat=1.3,
    )
    top = Top(dye, one(rng, "v", "crew"), one(rng, "bell", "bell", "short"), rng.uniform(3.3, 4.1), 0.1)
    flared = chance(rng, 0.6)
    return Outfit(
        top,
        None if flared else Skirt(dye, 7.9, 0.9, tiers=3),
        Trousers(Fabric("denim", tint(rng, DENIM, LIGHT_DENIM), repeat=0.35), (0.37, 0.26, 0.58)) if flared else None,
        Outer(Fabric("leather", tint(rng, CAMEL, BROWN), repeat=1.5), 3.8, 0.32, 0.12, "none", "none", fringe=True)
        if chance(rng, 0.6)
        else None,
        (one(rng, "sandals", "cowboy"), BROWN),
        ("hobo", tint(rng, CAMEL, BROWN)) if chance(rng, 0.6) else None,
        (one(rng, "flowers", "headband"), tint(rng, RUST, MUSTARD)) if chance(rng, 0.8) else None,
        (("beads", PURPLE),) if chance(rng, 0.6) else (("sunglasses", BLACK),),
        hair_cuts=("long", "waves", "braids"),
        scenes=("meadow", "desert", "forest", "shapes"),
        tone=tint(rng, ORANGE, (250, 220, 120), PURPLE),
    )
