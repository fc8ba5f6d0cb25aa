"""What people wear to be looked at, and what they wear far from the office."""

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
    GOLD,
    LILAC,
    MUSTARD,
    NAVY,
    ORANGE,
    PINK,
    PURPLE,
    RED,
    ROSE,
    RUST,
    SILVER,
    TEAL,
    WHITE,
    WINE,
    chance,
    one,
    tint,
)
from pipeline.demo.drawing.tops import Top


def romantic(rng: np.random.Generator) -> Outfit:
    """Flowers, lace and pastels, puffed sleeves and ruffles."""
    base = tint(rng, PINK, CREAM, LILAC, (250, 226, 222), (200, 220, 236))
    paint = (
        Fabric("floral", base, tint(rng, ROSE, (236, 150, 170)), tint(rng, LILAC, (250, 250, 246)), repeat=0.75)
        if chance(rng, 0.6)
        else (Fabric("lace", base, WHITE, repeat=0.4) if chance(rng, 0.4) else base)
    )
    top = Top(
        paint,
        one(rng, "square", "off", "v", "crew"),
        one(rng, "puff", "puff", "bishop"),
        3.3,
        0.03,
        trim=WHITE if chance(rng, 0.4) else None,
    )
    skirt = Skirt(
        paint if chance(rng, 0.75) else tint(rng, CREAM, PINK),
        rng.uniform(5.4, 7.6),
        rng.uniform(0.5, 0.9),
        tiers=int(rng.integers(0, 4)),
    )
    return Outfit(
        top,
        skirt,
        None,
        None,
        (one(rng, "flats", "heels", "sandals"), tint(rng, PINK, CREAM, WHITE)),
        (one(rng, "straw", "clutch", "chain"), tint(rng, PINK, CREAM)) if chance(rng, 0.5) else None,
        (one(rng, "bow", "flowers", "headband"), tint(rng, ROSE, PINK, WHITE)) if chance(rng, 0.55) else None,
        lips=(226, 112, 128),
        hair_cuts=("waves", "waves", "long", "bun", "braids"),
        scenes=("meadow", "park", "room", "arch", "cafe", "seamless"),
        tone=tint(rng, PINK, LILAC, CREAM),
    )


def sexy(rng: np.random.Generator) -> Outfit:
    """Black and red, satin, leather and leopard, little of it."""
    colour = tint(rng, BLACK, RED, BLACK, WINE, (226, 60, 120))
    paint = Fabric(one(rng, "satin", "leather", "leopard", "lace"), colour, (60, 40, 30), (30, 20, 20), repeat=0.7)
    if paint.pattern == "leopard":
        paint = Fabric("leopard", tint(rng, (214, 168, 108)), (150, 96, 56), (48, 32, 28), repeat=0.6)
    if chance(rng, 0.72):
        top = Top(paint, one(rng, "straps", "off", "deep"), one(rng, "none", "none", "long"), 3.3, -0.01)
        skirt: Skirt | None = Skirt(
            paint, rng.uniform(4.75, 5.2) if chance(rng, 0.7) else 7.4, 0.02, slit=chance(rng, 0.4)
        )
        trousers = None
    else:
        top = Top(paint, one(rng, "straps", "deep"), "none", 2.9, 0.0)
        skirt, trousers = None, Trousers(Fabric("leather", tint(rng, BLACK, RED), repeat=0.6), (0.36, 0.25, 0.17))
    return Outfit(
        top,
        skirt,
        trousers,
        Outer(Fabric("leather", BLACK, repeat=0.8), 3.3, lapel="biker") if chance(rng, 0.12) else None,
        (one(rng, "heels", "heels", "thigh", "boots"), tint(rng, BLACK, RED)),
        (one(rng, "clutch", "chain"), tint(rng, BLACK, RED)) if chance(rng, 0.45) else None,
        pieces=(("choker", BLACK),) if chance(rng, 0.4) else (("hoops", GOLD),),
        tights=(58, 46, 52) if chance(rng, 0.25) else None,
        lips=(190, 24, 44),
        smoky=True,
        hair_cuts=("waves", "long", "long", "ponytail"),
        scenes=("night", "skyline", "stage", "seamless", "panels", "beach"),
        tone=tint(rng, WINE, (90, 70, 90), RED),
    )


def elegant(rng: np.random.Generator) -> Outfit:
    """Long satin in quiet colours, with pearls."""
    colour = tint(rng, CREAM, BLACK, (96, 120, 132), WINE, (206, 190, 176), NAVY, (120, 146, 128))
    paint = Fabric("satin", colour, repeat=0.9) if chance(rng, 0.65) else colour
    top = Top(paint, one(rng, "off", "crew", "v", "high"), one(rng, "none", "long", "elbow", "bishop"), 3.3, 0.0)
    skirt: Skirt | None = Skirt(paint, rng.uniform(6.3, 8.1), rng.uniform(0.0, 0.5), slit=chance(rng, 0.25))
    trousers = None
    if chance(rng, 0.18):
        skirt, trousers = None, Trousers(colour, (0.42, 0.42, 0.48), crease=True)
    outer = (
        Outer(tint(rng, CREAM, CAMEL, BLACK), rng.uniform(5.0, 6.6), 0.3, 0.14, "shawl") if chance(rng, 0.3) else None
    )
    return Outfit(
        top,
        skirt,
        trousers,
        outer,
        ("heels", tint(rng, BLACK, CREAM, GOLD)),
        (one(rng, "clutch", "chain"), tint(rng, BLACK, CREAM, GOLD)) if chance(rng, 0.7) else None,
        pieces=(("pearls", WHITE),) if chance(rng, 0.6) else (("drops", WHITE),),
        lips=(180, 50, 66),
        hair_cuts=("bun", "bun", "bob", "waves"),
        scenes=("room", "arch", "seamless", "skyline", "library", "panels"),
        tone=tint(rng, (200, 190, 180), (120, 120, 140), CREAM),
    )


def glamorous(rng: np.random.Generator) -> Outfit:
    """Sequins from head to foot."""
    paint = Fabric("sequins", tint(rng, GOLD, SILVER, (200, 60, 110), (60, 70, 150), (40, 130, 110)), repeat=0.5)
    top = Top(paint, one(rng, "deep", "off", "straps"), one(rng, "none", "long", "none"), 3.3, 0.0)
    skirt = Skirt(paint, rng.uniform(4.9, 8.2), rng.uniform(0.02, 0.6), slit=chance(rng, 0.5))
    return Outfit(
        top,
        skirt,
        None,
        Outer(Fabric("knit", tint(rng, WHITE, BLACK, (230, 200, 210)), repeat=0.3), 3.6, 0.36, 0.34, "shawl", "loose")
        if chance(rng, 0.3)
        else None,
        ("heels", tint(rng, GOLD, SILVER, BLACK)),
        ("clutch", tint(rng, GOLD, SILVER)) if chance(rng, 0.6) else None,
        pieces=(("drops", GOLD), ("boa", tint(rng, (220, 60, 110), WHITE, PURPLE)))
        if chance(rng, 0.35)
        else (("drops", GOLD), ("pendant", GOLD)),
        lips=(196, 24, 60),
        smoky=True,
        hair_cuts=("waves", "waves", "bun"),
        scenes=("stage", "night", "night", "skyline"),
        tone=tint(rng, PURPLE, WINE, (90, 80, 40)),
    )


def retro(rng: np.random.Generator) -> Outfit:
    """Dots, checks and full skirts, or flared trousers."""
    base, second = tint(rng, RED, MUSTARD, TEAL, CREAM, ORANGE), tint(rng, WHITE, CREAM, BROWN)
    paint = Fabric(
        one(rng, "dots", "dots", "gingham", "blocks"),
        base,
        second,
        tint(rng, BROWN, ORANGE),
        repeat=rng.uniform(0.5, 0.8),
    )
    if chance(rng, 0.65):
        return Outfit(
            Top(paint, one(rng, "square", "collar", "crew"), one(rng, "cap", "puff", "short"), 3.3, 0.0, trim=second),
            Skirt(paint, rng.uniform(5.7, 6.4), rng.uniform(0.6, 0.95)),
            None,
            None,
            (one(rng, "heels", "flats", "loafers"), tint(rng, RED, WHITE, BROWN)),
            ("clutch", base) if chance(rng, 0.4) else None,
            (one(rng, "scarf", "headband", "bow"), base) if chance(rng, 0.7) else None,
            (("sunglasses", BLACK), ("belt", second)),
            lips=(200, 34, 44),
            hair_cuts=("bob", "waves", "bun"),
            scenes=("shapes", "panels", "cafe", "tiles", "houses"),
            tone=tint(rng, TEAL, MUSTARD, ORANGE),
        )
    return Outfit(
        Top(paint, "collar", "long", 3.3, 0.05),
        None,
        Trousers(tint(rng, BROWN, MUSTARD, RUST), (0.37, 0.28, 0.54)),
        Outer(tint(rng, RUST, MUSTARD), 3.4, 0.26, 0.1, "none", "none") if chance(rng, 0.5) else None,
        ("platform", tint(rng, BROWN, RED)),
        None,
        ("headband", base) if chance(rng, 0.4) else None,
        (("sunglasses", BLACK),),
        hair_cuts=("waves", "curls", "bob"),
        scenes=("shapes", "panels", "arch"),
        tone=tint(rng, MUSTARD, ORANGE, TEAL),
    )


def gothpunkrocker(rng: np.random.Generator) -> Outfit:
    """Black leather, spikes and tartan."""
    tartan = Fabric("plaid", (150, 28, 40), (60, 10, 20), BLACK, repeat=0.55)
    top = Top(
        Fabric("lace", BLACK, (90, 80, 96), repeat=0.35) if chance(rng, 0.35) else BLACK,
        one(rng, "crew", "high", "straps"),
        one(rng, "long", "none", "short"),
        3.3,
        0.03,
        trim=WHITE if chance(rng, 0.2) else None,
        print=one(rng, "star", "bolt"),
    )
    skirt = (
        Skirt(
            tartan if chance(rng, 0.5) else Fabric("leather", BLACK, repeat=0.8),
            rng.uniform(4.9, 5.5),
            0.45,
            pleats=7,
            ragged=chance(rng, 0.4),
        )
        if chance(rng, 0.6)
        else None
    )
    return Outfit(
        top,
        skirt,
        None if skirt else Trousers(Fabric("leather", BLACK, repeat=0.8), (0.36, 0.25, 0.17), ripped=chance(rng, 0.5)),
        Outer(Fabric("leather", BLACK, repeat=0.8), 3.5, 0.26, 0.18, "biker") if chance(rng, 0.65) else None,
        (one(rng, "combat", "platform"), BLACK),
        None,
        pieces=(("spikes", BLACK),),
        tights=(46, 40, 48) if skirt else None,
        lips=(70, 14, 40),
        smoky=True,
        hair_cuts=("spikes", "spikes", "bob", "long"),
        hair=tint(rng, (24, 20, 28), (150, 30, 90), (70, 40, 130)),
        scenes=("graffiti", "stage", "bricks", "night"),
        tone=tint(rng, (70, 64, 76), WINE, (90, 90, 100)),
    )


def kitschkidult(rng: np.random.Generator) -> Outfit:
    """Candy colours, hearts and stickers."""
    candy = ((255, 120, 180), (110, 220, 220), (255, 226, 90), (180, 130, 250), (150, 240, 140))
    paint = Fabric(
        one(rng, "hearts", "blocks", "dots", "gingham"),
        tint(rng, *candy),
        tint(rng, *candy),
        tint(rng, *candy),
        repeat=0.8,
    )
    return Outfit(
        Top(paint, "crew", one(rng, "puff", "long", "short"), 3.5, 0.16, print=one(rng, "star", "heart")),
        Skirt(tint(rng, *candy), 5.1, 0.75, tiers=3) if chance(rng, 0.7) else None,
        None if chance(rng, 0.7) else Trousers(tint(rng, *candy), (0.44, 0.42, 0.4)),
        None,
        ("platform", tint(rng, *candy)),
        ("backpack", tint(rng, *candy)),
        (one(rng, "ears", "bow", "headband"), tint(rng, *candy)),
        (("stickers", PINK), ("beads", LILAC)),
        tights=tint(rng, WHITE, *candy),
        lips=(240, 90, 150),
        hair_cuts=("braids", "bob", "ponytail"),
        hair=tint(rng, (255, 150, 200), (150, 200, 250), (240, 210, 130)),
        scenes=("shapes", "panels", "graffiti"),
        tone=tint(rng, *candy),
    )
