"""What people wear to work, and what is cut like it."""

import numpy as np

from pipeline.demo.drawing.fabrics import Fabric
from pipeline.demo.drawing.lower import Skirt, Trousers
from pipeline.demo.drawing.outerwear import Outer
from pipeline.demo.drawing.outfits import Outfit
from pipeline.demo.drawing.palette import (
    BEIGE,
    BLACK,
    BLUE,
    BROWN,
    CAMEL,
    CHARCOAL,
    CREAM,
    GOLD,
    NAVY,
    RED,
    SKY,
    WHITE,
    WINE,
    chance,
    one,
    one_int,
    one_of,
    tint,
)
from pipeline.demo.drawing.tops import Top


def classic(rng: np.random.Generator) -> Outfit:
    """Camel coats, tweed and houndstooth, pencil skirts."""
    check = Fabric(
        one(rng, "tweed", "houndstooth", "plaid"),
        tint(rng, CREAM, CAMEL, (150, 140, 130)),
        tint(rng, BLACK, NAVY, BROWN),
        tint(rng, CAMEL, WINE),
        repeat=0.55,
    )
    top = Top(tint(rng, CREAM, WHITE, CAMEL), one(rng, "high", "collar", "crew"), "long", 3.3, 0.05)
    skirt = Skirt(
        check if chance(rng, 0.6) else tint(rng, CAMEL, NAVY),
        rng.uniform(5.9, 6.7),
        rng.uniform(0.05, 0.45),
        pleats=one_int(rng, 0, 0, 8),
    )
    outer = Outer(
        check if chance(rng, 0.5) else tint(rng, CAMEL, BEIGE, NAVY),
        rng.uniform(3.8, 6.4),
        0.26,
        0.14,
        "notch",
        belt=tint(rng, CAMEL, BROWN) if chance(rng, 0.35) else None,
    )
    return Outfit(
        top,
        skirt,
        None,
        outer if chance(rng, 0.8) else None,
        (one(rng, "loafers", "heels", "boots"), tint(rng, BROWN, BLACK)),
        (one(rng, "chain", "briefcase"), tint(rng, BROWN, BLACK, WINE)) if chance(rng, 0.6) else None,
        pieces=(("pearls", WHITE),) if chance(rng, 0.5) else (),
        hair_cuts=("bob", "bun", "long"),
        scenes=("library", "houses", "arch", "room"),
        tone=tint(rng, CAMEL, (190, 180, 170)),
    )


def businesscasual(rng: np.random.Generator) -> Outfit:
    """Blazer and blouse, trousers with a crease."""
    suit = tint(rng, NAVY, (130, 140, 154), (196, 200, 206), BEIGE, CHARCOAL)
    fabric = Fabric("pinstripes", suit, (210, 214, 220), repeat=0.5) if chance(rng, 0.3) else suit
    top = Top(tint(rng, WHITE, SKY, (226, 232, 240)), one(rng, "collar", "v", "crew"), "long", 3.3, 0.05, buttons=True)
    skirt: Skirt | None = Skirt(fabric, rng.uniform(5.7, 6.1), -0.02) if chance(rng, 0.35) else None
    trousers = (
        None
        if skirt
        else Trousers(
            fabric if chance(rng, 0.6) else tint(rng, BEIGE, CHARCOAL),
            (0.38, 0.3, 0.24),
            float(rng.uniform(0.88, 1)),
            crease=True,
        )
    )
    return Outfit(
        top,
        skirt,
        trousers,
        Outer(fabric, rng.uniform(4.0, 4.5), 0.24, 0.12, "notch") if chance(rng, 0.75) else None,
        (one(rng, "heels", "loafers", "flats"), tint(rng, BLACK, BEIGE, BROWN)),
        (one(rng, "briefcase", "tote"), tint(rng, BLACK, BROWN, NAVY)) if chance(rng, 0.7) else None,
        pieces=(("glasses", BROWN),) if chance(rng, 0.4) else (),
        hair_cuts=("bob", "bun", "ponytail", "crop"),
        scenes=("office", "office", "houses", "seamless"),
        tone=tint(rng, (190, 200, 212), SKY),
    )


def modern(rng: np.random.Generator) -> Outfit:
    """Black and white, straight lines, nothing else."""
    dark = chance(rng, 0.5)
    base = tint(rng, BLACK, CHARCOAL) if dark else tint(rng, WHITE, (214, 216, 220))
    accent = tint(rng, WHITE, (200, 202, 206), RED, BLUE)
    top = Top(
        accent if dark else base,
        one(rng, "high", "crew", "square"),
        one(rng, "none", "long", "cap"),
        one_of(rng, 3.3, 4.2),
        0.14,
    )
    skirt: Skirt | None = Skirt(base, rng.uniform(5.4, 6.8), rng.uniform(-0.02, 0.25)) if chance(rng, 0.45) else None
    trousers = (
        None if skirt else Trousers(base, (0.44, 0.44, 0.46), float(rng.uniform(0.8, 1.0)), crease=chance(rng, 0.5))
    )
    outer = (
        Outer(tint(rng, BLACK, WHITE, (170, 174, 180)), rng.uniform(4.4, 6.8), 0.34, 0.26, "none", "loose")
        if chance(rng, 0.45)
        else None
    )
    return Outfit(
        top,
        skirt,
        trousers,
        outer,
        (one(rng, "ankle", "loafers", "heels"), tint(rng, BLACK, WHITE)),
        (one(rng, "clutch", "tote"), tint(rng, BLACK, WHITE, RED)) if chance(rng, 0.5) else None,
        pieces=(("sunglasses", BLACK),) if chance(rng, 0.35) else (),
        hair_cuts=("bob", "bob", "crop", "bun"),
        hair=BLACK,
        scenes=("panels", "shapes", "office", "arch", "seamless"),
        tone=tint(rng, (200, 202, 206), (120, 124, 132), WHITE),
    )


def sophisticated(rng: np.random.Generator) -> Outfit:
    """Long coats and one muted colour."""
    tone = tint(rng, CAMEL, (168, 150, 140), (90, 96, 110), WINE, (120, 110, 130))
    top = Top(
        Fabric("ribbed", tone, repeat=0.4) if chance(rng, 0.5) else tint(rng, CREAM, tone),
        "high",
        one(rng, "long", "none"),
        3.3,
        0.0,
    )
    skirt: Skirt | None = (
        Skirt(tone if chance(rng, 0.6) else Fabric("leather", tone, repeat=0.7), rng.uniform(5.9, 6.9), 0.0)
        if chance(rng, 0.55)
        else None
    )
    trousers = None if skirt else Trousers(tone, (0.42, 0.42, 0.46), crease=True)
    outer = (
        Outer(
            tint(rng, CAMEL, tone, (70, 68, 76)),
            rng.uniform(5.4, 7.2),
            0.3,
            0.18,
            one(rng, "shawl", "notch"),
            belt=tone if chance(rng, 0.4) else None,
        )
        if chance(rng, 0.7)
        else None
    )
    return Outfit(
        top,
        skirt,
        trousers,
        outer,
        (one(rng, "heels", "boots", "ankle"), tint(rng, BLACK, BROWN, tone)),
        (one(rng, "clutch", "tote"), tint(rng, BROWN, BLACK, tone)) if chance(rng, 0.7) else None,
        pieces=(("sunglasses", BLACK), ("pendant", GOLD)) if chance(rng, 0.5) else (("pendant", GOLD),),
        hair_cuts=("bun", "bob", "long"),
        lips=(150, 50, 60),
        scenes=("skyline", "arch", "room", "office", "library"),
        tone=tint(rng, (170, 160, 156), (120, 120, 136)),
    )


def manish(rng: np.random.Generator) -> Outfit:
    """Wide suits with tie and hat."""
    suit = tint(rng, CHARCOAL, (92, 84, 80), NAVY, (120, 120, 116), BLACK)
    fabric = Fabric(one(rng, "pinstripes", "houndstooth", "plain", "plain"), suit, (150, 150, 152), repeat=0.45)
    return Outfit(
        Top(tint(rng, WHITE, SKY, CREAM), "collar", "long", 3.3, 0.1, buttons=True),
        None,
        Trousers(fabric, (0.46, 0.42, 0.38), crease=True),
        Outer(fabric, rng.uniform(4.3, 4.7), 0.22, 0.3, "notch") if chance(rng, 0.75) else None,
        ("loafers", tint(rng, BLACK, BROWN)),
        ("briefcase", BROWN) if chance(rng, 0.25) else None,
        ("fedora", tint(rng, CHARCOAL, BROWN)) if chance(rng, 0.5) else None,
        (("tie", tint(rng, WINE, NAVY, BLACK)),) if chance(rng, 0.7) else (("suspenders", BROWN),),
        lips=(190, 130, 118),
        hair_cuts=("crop", "crop", "bun"),
        scenes=("bricks", "office", "library", "panels"),
        tone=tint(rng, (150, 146, 140), (110, 110, 120)),
    )
