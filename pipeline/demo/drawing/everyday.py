"""What people wear for every day, for sports and in the street."""

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
    DENIM,
    GOLD,
    KHAKI,
    LIGHT_DENIM,
    LIME,
    MUSTARD,
    NAVY,
    OATMEAL,
    OLIVE,
    ORANGE,
    PURPLE,
    RED,
    SAGE,
    SKY,
    WHITE,
    WINE,
    chance,
    one,
    one_of,
    tint,
)
from pipeline.demo.drawing.tops import Top


def jeans(rng: np.random.Generator, ripped: bool = False) -> Trousers:
    """Denim trousers in one of the usual cuts."""
    cuts = ((0.37, 0.27, 0.2), (0.4, 0.32, 0.3), (0.42, 0.4, 0.46))
    fabric = Fabric("denim", tint(rng, DENIM, LIGHT_DENIM, (54, 74, 112)), repeat=0.35)
    return Trousers(fabric, cuts[int(rng.integers(3))], ripped=ripped, length=float(rng.uniform(0.86, 1.0)))


def casual(rng: np.random.Generator) -> Outfit:
    """Jeans, T-shirts and sneakers."""
    colour = tint(rng, WHITE, (120, 130, 140), NAVY, RED, MUSTARD, SKY, SAGE)
    paint = Fabric("bands", WHITE, tint(rng, NAVY, RED, BLACK), repeat=0.55) if chance(rng, 0.3) else colour
    top = Top(
        paint,
        one(rng, "crew", "crew", "v"),
        one(rng, "short", "short", "long", "elbow"),
        rng.uniform(3.45, 3.95),
        0.12,
        print=one(rng, "logo", "heart", "") if chance(rng, 0.35) else None,
    )
    skirt = None
    trousers: Trousers | None = jeans(rng)
    if chance(rng, 0.2):
        trousers = Trousers(
            Fabric("denim", tint(rng, LIGHT_DENIM, DENIM), repeat=0.35), (0.44, 0.42, 0.42), length=0.34
        )
    elif chance(rng, 0.15):
        trousers, skirt = None, Skirt(Fabric("denim", tint(rng, DENIM), repeat=0.35), 5.1, 0.2)
    outer = None
    if chance(rng, 0.4):
        outer = (
            Outer(Fabric("denim", tint(rng, LIGHT_DENIM, DENIM), repeat=0.35), 3.7, lapel="notch")
            if chance(rng, 0.5)
            else Outer(Fabric("knit", tint(rng, OATMEAL, (130, 136, 150), MUSTARD), repeat=0.4), 4.3, lapel="none")
        )
    return Outfit(
        top,
        skirt,
        trousers,
        outer,
        ("sneakers", tint(rng, WHITE, WHITE, RED, NAVY)),
        (one(rng, "tote", "crossbody", "backpack"), tint(rng, CREAM, CAMEL, NAVY)) if chance(rng, 0.65) else None,
        ("cap", tint(rng, NAVY, CREAM)) if chance(rng, 0.15) else None,
        scenes=("houses", "cafe", "park", "room", "bricks", "seamless", "shapes"),
        tone=tint(rng, SKY, OATMEAL, SAGE, MUSTARD),
    )


def natural(rng: np.random.Generator) -> Outfit:
    """Loose linen in the colours of earth, straw hat and bag."""

    def earth() -> Fabric:
        return Fabric("linen", tint(rng, OATMEAL, BEIGE, SAGE, WHITE, (188, 160, 128)), repeat=0.6)

    top = Top(
        earth(),
        one(rng, "crew", "v", "square"),
        one(rng, "elbow", "loose", "short"),
        rng.uniform(3.5, 4.2),
        0.2,
        buttons=chance(rng, 0.4),
    )
    skirt: Skirt | None = None
    trousers: Trousers | None = None
    if chance(rng, 0.55):
        skirt = Skirt(top.paint if chance(rng, 0.6) else earth(), rng.uniform(6.4, 7.8), rng.uniform(0.35, 0.7))
    else:
        trousers = Trousers(earth(), (0.44, 0.44, 0.46), float(rng.uniform(0.8, 0.98)))
    outer = (
        Outer(Fabric("knit", tint(rng, OATMEAL, SAGE, BEIGE), repeat=0.4), 4.6, 0.3, 0.2, "none")
        if chance(rng, 0.3)
        else None
    )
    return Outfit(
        top,
        skirt,
        trousers,
        outer,
        (one(rng, "sandals", "flats", "sneakers"), tint(rng, CAMEL, BROWN, CREAM)),
        (one(rng, "straw", "straw", "tote"), tint(rng, (214, 180, 120), CREAM)) if chance(rng, 0.7) else None,
        ("straw", tint(rng, (222, 190, 130))) if chance(rng, 0.5) else None,
        hair_cuts=("braids", "long", "bun", "curls"),
        lips=(206, 128, 116),
        scenes=("forest", "meadow", "park", "beach", "room"),
        tone=tint(rng, SAGE, OATMEAL, (200, 210, 180)),
    )


def sporty(rng: np.random.Generator) -> Outfit:
    """Track suits, stripes and caps."""
    bright, stripe = tint(rng, BLUE, RED, LIME, (250, 90, 130), BLACK, ORANGE), tint(rng, WHITE, LIME, WHITE)
    top = Top(
        tint(rng, WHITE, BLACK, BLUE, LIME),
        one(rng, "crew", "straps", "crew"),
        one(rng, "short", "none"),
        one_of(rng, 2.85, 3.6),
        0.04,
        trim=bright,
        print=one(rng, "number", "logo"),
    )
    if chance(rng, 0.4):
        trousers: Trousers | None = Trousers(bright, (0.36, 0.26, 0.17), stripe=stripe)
    elif chance(rng, 0.55):
        trousers = Trousers(bright, (0.42, 0.36, 0.2), stripe=stripe)
    else:
        trousers = Trousers(bright, (0.44, 0.43, 0.43), 0.3, stripe=stripe)
    skirt = None
    if chance(rng, 0.18):
        trousers, skirt = None, Skirt(WHITE, 4.95, 0.4, pleats=9)
    outer = (
        Outer(bright, rng.uniform(3.4, 3.9), 0.2, 0.2, one(rng, "stand", "hood"), trim=stripe)
        if chance(rng, 0.55)
        else None
    )
    return Outfit(
        top,
        skirt,
        trousers,
        outer,
        ("sneakers", tint(rng, WHITE, LIME, RED, BLUE)),
        (one(rng, "backpack", "belt"), bright) if chance(rng, 0.35) else None,
        (one(rng, "cap", "headband"), bright) if chance(rng, 0.6) else None,
        hair_cuts=("ponytail", "ponytail", "crop", "bun"),
        scenes=("court", "court", "park", "bricks", "seamless", "panels"),
        tone=tint(rng, SKY, (200, 205, 210), LIME),
    )


def military(rng: np.random.Generator) -> Outfit:
    """Camouflage, olive and boots."""
    camouflage = Fabric("camouflage", OLIVE, (62, 70, 44), (150, 134, 92), repeat=1.1)
    plain = tint(rng, OLIVE, KHAKI, (84, 92, 60))
    trousers = Trousers(camouflage if chance(rng, 0.6) else plain, (0.43, 0.4, 0.32), pockets=True)
    return Outfit(
        Top(tint(rng, BLACK, KHAKI, WHITE), "crew", "short", 3.4, 0.05),
        None,
        trousers,
        Outer(plain if trousers.paint is camouflage else camouflage, rng.uniform(3.7, 4.6), 0.24, 0.22, "stand")
        if chance(rng, 0.75)
        else None,
        ("combat", tint(rng, BLACK, BROWN)),
        ("belt", OLIVE) if chance(rng, 0.3) else None,
        (one(rng, "cap", "beret"), plain) if chance(rng, 0.6) else None,
        (("epaulettes", KHAKI), ("belt", BROWN)),
        hair_cuts=("ponytail", "crop", "bun"),
        scenes=("bricks", "desert", "forest", "panels"),
        tone=tint(rng, KHAKI, OLIVE, (150, 146, 130)),
    )


def tomboy(rng: np.random.Generator) -> Outfit:
    """Wide shirts, short hair, caps."""
    shirt = Fabric("plaid", tint(rng, (60, 90, 140), (60, 120, 90), RED), tint(rng, NAVY, WHITE), WHITE, repeat=0.6)
    return Outfit(
        Top(tint(rng, WHITE, (150, 156, 166)), "crew", "short", 3.9, 0.2),
        None,
        jeans(rng) if chance(rng, 0.6) else Trousers(tint(rng, KHAKI, NAVY), (0.46, 0.45, 0.45), 0.42),
        Outer(shirt, 4.2, 0.3, 0.26, "none", "loose") if chance(rng, 0.75) else None,
        ("sneakers", tint(rng, RED, WHITE, BLACK)),
        ("skate", tint(rng, RED, MUSTARD)) if chance(rng, 0.3) else ("backpack", NAVY),
        (one(rng, "cap", "beanie"), tint(rng, RED, NAVY, MUSTARD)) if chance(rng, 0.7) else None,
        (("suspenders", BROWN),) if chance(rng, 0.3) else (),
        lips=(206, 140, 124),
        hair_cuts=("crop",),
        scenes=("bricks", "court", "houses", "park"),
        tone=tint(rng, SKY, (170, 180, 190)),
    )


def hiphop(rng: np.random.Generator) -> Outfit:
    """Very wide trousers and hoodies, gold chains."""
    colour = tint(rng, BLACK, RED, ORANGE, PURPLE, (30, 110, 90))
    return Outfit(
        Top(colour, "crew", "elbow", 4.5, 0.38, trim=WHITE, print=one(rng, "number", "bolt", "logo")),
        None,
        Trousers(
            jeans(rng).paint if chance(rng, 0.5) else tint(rng, BLACK, (130, 134, 142)),
            (0.52, 0.52, 0.54),
            pockets=chance(rng, 0.5),
        ),
        Outer(tint(rng, BLACK, RED, (250, 200, 40)), 4.3, 0.4, 0.42, "hood", "loose", trim=WHITE)
        if chance(rng, 0.5)
        else None,
        ("sneakers", tint(rng, WHITE, RED)),
        ("belt", BLACK) if chance(rng, 0.4) else None,
        (one(rng, "cap", "beanie"), colour),
        (("gold_chain", GOLD), ("hoops", GOLD)),
        hair_cuts=("curls", "braids", "crop"),
        scenes=("graffiti", "graffiti", "court", "bricks"),
        tone=tint(rng, (120, 120, 130), MUSTARD),
    )


def grunge(rng: np.random.Generator) -> Outfit:
    """Flannel shirts over ripped jeans."""
    flannel = Fabric(
        "plaid", tint(rng, (120, 30, 36), (60, 80, 60), (90, 70, 60)), BLACK, tint(rng, (190, 170, 140)), repeat=0.65
    )
    return Outfit(
        Top(tint(rng, (90, 86, 90), BLACK, (150, 140, 130)), "crew", "short", 4.0, 0.2, print="bolt"),
        None,
        jeans(rng, ripped=True),
        Outer(flannel, rng.uniform(4.4, 5.0), 0.32, 0.3, "none", "loose"),
        ("combat", tint(rng, BLACK, WINE)),
        None,
        ("beanie", tint(rng, CHARCOAL, WINE)) if chance(rng, 0.6) else None,
        (("choker", BLACK),),
        lips=(130, 50, 60),
        smoky=True,
        hair_cuts=("long", "waves", "crop"),
        scenes=("graffiti", "bricks", "stage", "forest"),
        tone=tint(rng, (110, 106, 100), (90, 96, 90)),
    )


def preppy(rng: np.random.Generator) -> Outfit:
    """Pleated plaid skirts, blazers with a crest, ties."""
    vest = Fabric("argyle", tint(rng, NAVY, WINE, (40, 90, 70)), tint(rng, CREAM, MUSTARD), WHITE, repeat=0.7)
    return Outfit(
        Top(vest if chance(rng, 0.5) else WHITE, "collar", "long", 3.4, 0.05, trim=WHITE),
        Skirt(
            Fabric("plaid", tint(rng, NAVY, WINE, (40, 90, 70)), tint(rng, RED, CREAM), WHITE, repeat=0.6),
            5.1,
            0.5,
            pleats=10,
        ),
        None,
        Outer(tint(rng, NAVY, WINE), 4.0, 0.26, 0.12, "notch", trim=WHITE) if chance(rng, 0.6) else None,
        ("loafers", BROWN),
        ("briefcase", BROWN) if chance(rng, 0.4) else None,
        (one(rng, "headband", "beret", "bow"), tint(rng, NAVY, RED)) if chance(rng, 0.6) else None,
        (("tie", tint(rng, RED, NAVY)), ("crest", RED)),
        tights=tint(rng, WHITE, NAVY),
        hair_cuts=("bob", "ponytail", "braids"),
        scenes=("library", "library", "park", "houses"),
        tone=tint(rng, NAVY, (200, 190, 160)),
    )
