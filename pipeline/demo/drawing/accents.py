"""What a sub style adds to an outfit of another main style: accessories, a pattern, a colour, a cut."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from pipeline.demo.drawing.canvas import base_of
from pipeline.demo.drawing.everyday import jeans
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
    LILAC,
    LIME,
    MUSTARD,
    NAVY,
    OATMEAL,
    OLIVE,
    ORANGE,
    PINK,
    PURPLE,
    RED,
    ROSE,
    RUST,
    SAGE,
    SILVER,
    SKY,
    TEAL,
    WHITE,
    WINE,
    chance,
    one,
    tint,
)

Accent = Callable[[Outfit, np.random.Generator], Outfit]


def _lower(o: Outfit, fabric: Fabric) -> Outfit:
    """The outfit with its lower part in another fabric."""
    if o.skirt:
        return replace(o, skirt=replace(o.skirt, paint=fabric))
    return replace(o, trousers=replace(o.trousers, paint=fabric)) if o.trousers else o


def _upper(o: Outfit, fabric: Fabric) -> Outfit:
    return replace(o, top=replace(o.top, paint=fabric))


def _shorter(o: Outfit) -> Outfit:
    if o.skirt:
        return replace(o, skirt=replace(o.skirt, hem=min(o.skirt.hem, 5.0), slit=True))
    return replace(o, top=replace(o.top, hem=2.9))


def _floral(rng: np.random.Generator) -> Fabric:
    return Fabric("floral", tint(rng, PINK, CREAM, LILAC), tint(rng, ROSE), tint(rng, WHITE, LILAC), repeat=0.75)


def _ikat(rng: np.random.Generator) -> Fabric:
    return Fabric("ikat", tint(rng, RUST, TEAL, NAVY), tint(rng, MUSTARD, CREAM), tint(rng, ORANGE, TEAL), repeat=0.9)


def _denim_jacket(o: Outfit, rng: np.random.Generator) -> Outfit:
    return replace(o, outer=Outer(Fabric("denim", tint(rng, LIGHT_DENIM, DENIM), repeat=0.35), 3.6))


ACCENTS: dict[str, tuple[Accent, ...]] = {
    "Casual": (
        lambda o, r: replace(_denim_jacket(o, r), shoes=("sneakers", WHITE)),
        lambda o, r: replace(
            o, shoes=("sneakers", WHITE), bag=("tote", tint(r, CREAM, CAMEL)), hat=("cap", tint(r, NAVY, CREAM))
        ),
        lambda o, r: replace(
            o, skirt=None, trousers=jeans(r), shoes=("sneakers", WHITE), top=replace(o.top, hem=max(o.top.hem, 3.5))
        ),
        lambda o, r: replace(
            o,
            top=replace(o.top, paint=Fabric("bands", WHITE, tint(r, NAVY, RED), repeat=0.55)),
            shoes=("sneakers", WHITE),
        ),
    ),
    "Romantic": (
        lambda o, r: replace(_lower(o, _floral(r)), hat=("bow", ROSE)),
        lambda o, r: replace(_upper(o, _floral(r)), top=replace(o.top, paint=_floral(r), sleeve="puff"), outer=None),
        lambda o, r: replace(
            o, top=replace(o.top, sleeve="puff", paint=tint(r, PINK, LILAC)), hat=("flowers", ROSE), outer=None
        ),
        lambda o, r: replace(o, skirt=Skirt(tint(r, PINK, LILAC, CREAM), 6.4, 0.8, tiers=3), trousers=None).wearing(
            ("rose", ROSE)
        ),
    ),
    "Sexy": (
        lambda o, r: replace(_shorter(o), shoes=("thigh", BLACK), lips=(190, 24, 44), smoky=True),
        lambda o, r: replace(
            o,
            top=replace(o.top, neck="straps", sleeve="none", paint=Fabric("satin", tint(r, RED, BLACK), repeat=0.8)),
            outer=None,
            lips=(190, 24, 44),
            shoes=("heels", RED),
        ),
        lambda o, r: replace(
            _shorter(o), shoes=("heels", RED), top=replace(o.top, neck="deep"), lips=(190, 24, 44)
        ).wearing(("choker", BLACK)),
    ),
    "Ethnic": (
        lambda o, r: replace(_lower(o, _ikat(r)), shoes=("sandals", BROWN)).wearing(("beads", ORANGE)),
        lambda o, r: replace(o, outer=Outer(_ikat(r), 5.4, 0.32, 0.3, "none", "bell", MUSTARD, True)),
        lambda o, r: _upper(o, _ikat(r)).wearing(("beads", ORANGE), ("sash", tint(r, MUSTARD, RED))),
    ),
    "Elegant": (
        lambda o, r: replace(
            o, shoes=("heels", BLACK), bag=("clutch", tint(r, BLACK, GOLD)), hair_cuts=("bun",)
        ).wearing(("pearls", WHITE)),
        lambda o, r: replace(
            _lower(o, Fabric("satin", tint(r, CREAM, WINE, (96, 120, 132)), repeat=0.9)), shoes=("heels", BLACK)
        ).wearing(("pearls", WHITE)),
        lambda o, r: replace(
            o, outer=Outer(tint(r, CREAM, CAMEL), 6.0, 0.3, 0.14, "shawl"), shoes=("heels", BLACK)
        ).wearing(("drops", WHITE)),
    ),
    "Natural": (
        lambda o, r: replace(
            o, hat=("straw", (222, 190, 130)), bag=("straw", (214, 180, 120)), shoes=("sandals", CAMEL)
        ),
        lambda o, r: replace(_upper(o, Fabric("linen", tint(r, OATMEAL, SAGE), repeat=0.6)), shoes=("sandals", CAMEL)),
        lambda o, r: replace(
            _lower(o, Fabric("linen", tint(r, OATMEAL, BEIGE), repeat=0.6)), hat=("straw", (222, 190, 130))
        ),
    ),
    "Sporty": (
        lambda o, r: replace(
            o,
            hat=("cap", tint(r, BLUE, RED, LIME)),
            shoes=("sneakers", tint(r, LIME, RED, BLUE)),
            outer=Outer(tint(r, BLUE, RED, BLACK), 3.6, 0.2, 0.2, "stand", trim=WHITE),
        ),
        lambda o, r: replace(
            o,
            skirt=None,
            trousers=Trousers(tint(r, BLACK, BLUE), (0.4, 0.34, 0.2), stripe=WHITE),
            shoes=("sneakers", tint(r, LIME, RED)),
        ),
        lambda o, r: replace(
            o,
            hat=("headband", tint(r, RED, LIME)),
            shoes=("sneakers", tint(r, LIME, BLUE)),
            top=replace(o.top, print="number", trim=tint(r, RED, BLUE)),
        ),
    ),
    "Retro": (
        lambda o, r: replace(
            _lower(o, Fabric("dots", tint(r, RED, TEAL, MUSTARD), WHITE, repeat=0.6)), hat=("scarf", RED)
        ),
        lambda o, r: replace(
            _upper(o, Fabric("gingham", CREAM, tint(r, RED, TEAL), repeat=0.6)), hair_cuts=("bob",)
        ).wearing(("sunglasses", BLACK), ("belt", WHITE)),
    ),
    "Classic": (
        lambda o, r: replace(o, outer=Outer(Fabric("houndstooth", CREAM, BLACK, repeat=0.5), 4.2)).wearing(
            ("pearls", WHITE)
        ),
        lambda o, r: replace(
            o, outer=Outer(tint(r, CAMEL, BEIGE), 6.0, 0.26, 0.14, "notch", belt=CAMEL), shoes=("loafers", BROWN)
        ),
    ),
    "Businesscasual": (
        lambda o, r: replace(o, outer=Outer(tint(r, NAVY, (150, 158, 170)), 4.2), bag=("briefcase", BROWN)),
        lambda o, r: replace(
            o,
            top=replace(o.top, paint=tint(r, SKY, WHITE), neck="collar", sleeve="long", buttons=True),
            bag=("briefcase", BLACK),
        ).wearing(("glasses", BROWN)),
    ),
    "Exotic": (
        lambda o, r: replace(
            _lower(
                o, Fabric("tropical", tint(r, (250, 220, 120), (30, 90, 96)), (40, 140, 90), (240, 80, 110), repeat=1.0)
            ),
            hat=("turban", ORANGE),
        ),
        lambda o, r: replace(
            _upper(o, Fabric("tropical", tint(r, ORANGE, WHITE), TEAL, (240, 80, 110), repeat=1.0)),
            hat=("flowers", RED),
        ).wearing(("hoops", GOLD)),
    ),
    "Modern": (
        lambda o, r: replace(
            _lower(o, Fabric("plain", tint(r, BLACK, WHITE))), bag=("clutch", BLACK), hair_cuts=("bob",)
        ),
        lambda o, r: replace(o, outer=Outer(tint(r, BLACK, WHITE), 5.4, 0.34, 0.26, "none", "loose")).wearing(
            ("sunglasses", BLACK)
        ),
    ),
    "Sophisticated": (
        lambda o, r: replace(o, outer=Outer(tint(r, CAMEL, CHARCOAL), 6.4, 0.3, 0.18, "shawl")).wearing(
            ("sunglasses", BLACK)
        ),
        lambda o, r: replace(
            o,
            top=replace(
                o.top, neck="high", sleeve="long", paint=Fabric("ribbed", tint(r, CAMEL, BLACK, WINE), repeat=0.4)
            ),
        ).wearing(("pendant", GOLD)),
    ),
    "Glamorous": (
        lambda o, r: replace(
            _upper(o, Fabric("sequins", tint(r, GOLD, SILVER), repeat=0.5)), lips=(196, 24, 60)
        ).wearing(("drops", GOLD)),
        lambda o, r: replace(
            _lower(o, Fabric("sequins", tint(r, GOLD, (200, 60, 110)), repeat=0.5)), shoes=("heels", GOLD)
        ).wearing(("drops", GOLD)),
    ),
    "Manish": (
        lambda o, r: replace(o, outer=Outer(tint(r, CHARCOAL, NAVY), 4.5, 0.22, 0.3), hat=("fedora", CHARCOAL)).wearing(
            ("tie", tint(r, WINE, NAVY))
        ),
        lambda o, r: replace(
            o,
            skirt=None,
            trousers=Trousers(tint(r, CHARCOAL, BROWN), (0.46, 0.42, 0.38), crease=True),
            shoes=("loafers", BLACK),
        ).wearing(("suspenders", BROWN)),
    ),
    "Hippie": (
        lambda o, r: replace(
            o,
            hat=("flowers", ROSE),
            bag=("hobo", CAMEL),
            outer=Outer(Fabric("leather", CAMEL, repeat=1.5), 3.8, 0.32, 0.12, "none", "none", fringe=True),
        ),
        lambda o, r: replace(
            _upper(o, Fabric("tiedye", ORANGE, PURPLE, (250, 210, 80), repeat=1.3)), hat=("headband", RUST)
        ).wearing(("beads", PURPLE)),
    ),
    "Gothpunkrocker": (
        lambda o, r: replace(
            o,
            outer=Outer(Fabric("leather", BLACK, repeat=0.8), 3.5, 0.26, 0.18, "biker"),
            lips=(70, 14, 40),
            smoky=True,
        ).wearing(("spikes", BLACK)),
        lambda o, r: replace(
            _lower(o, Fabric("plaid", (150, 28, 40), (60, 10, 20), BLACK, repeat=0.55)), shoes=("combat", BLACK)
        ).wearing(("spikes", BLACK)),
    ),
    "Military": (
        lambda o, r: replace(
            o,
            outer=Outer(Fabric("camouflage", OLIVE, (62, 70, 44), (150, 134, 92), repeat=1.1), 4.0, 0.24, 0.2, "stand"),
        ),
        lambda o, r: replace(
            _lower(o, Fabric("camouflage", OLIVE, (62, 70, 44), KHAKI, repeat=1.1)), shoes=("combat", BROWN)
        ).wearing(("epaulettes", KHAKI)),
    ),
    "Tomboy": (
        lambda o, r: replace(
            o, hat=("cap", tint(r, RED, NAVY)), hair_cuts=("crop",), shoes=("sneakers", RED), bag=("backpack", NAVY)
        ),
        lambda o, r: replace(
            o,
            outer=Outer(Fabric("plaid", (60, 90, 140), NAVY, WHITE, repeat=0.6), 4.2, 0.3, 0.26, "none", "loose"),
            hair_cuts=("crop",),
        ),
    ),
    "Kitschkidult": (
        lambda o, r: replace(o, hat=("ears", (255, 120, 180)), shoes=("platform", (110, 220, 220))).wearing(
            ("stickers", PINK)
        ),
        lambda o, r: replace(
            _upper(o, Fabric("hearts", (255, 226, 90), (255, 120, 180), (110, 220, 220), repeat=0.8)),
            hat=("bow", (255, 120, 180)),
        ),
    ),
    "Hiphop": (
        lambda o, r: replace(o, hat=("cap", tint(r, BLACK, RED)), shoes=("sneakers", WHITE)).wearing(
            ("gold_chain", GOLD), ("hoops", GOLD)
        ),
        lambda o, r: replace(
            o, outer=Outer(tint(r, BLACK, RED, ORANGE), 4.2, 0.4, 0.42, "hood", "loose", trim=WHITE)
        ).wearing(("gold_chain", GOLD)),
    ),
    "Grunge": (
        lambda o, r: replace(
            o,
            outer=Outer(
                Fabric("plaid", (120, 30, 36), BLACK, (190, 170, 140), repeat=0.65), 4.6, 0.32, 0.3, "none", "loose"
            ),
            shoes=("combat", BLACK),
        ),
        lambda o, r: replace(
            o, skirt=None, trousers=jeans(r, ripped=True), shoes=("combat", BLACK), hat=("beanie", CHARCOAL)
        ),
    ),
    "Preppy": (
        lambda o, r: replace(
            _upper(o, Fabric("argyle", tint(r, NAVY, WINE), CREAM, WHITE, repeat=0.7)), hat=("headband", NAVY)
        ).wearing(("crest", RED)),
        lambda o, r: replace(
            o,
            skirt=Skirt(Fabric("plaid", NAVY, RED, WHITE, repeat=0.6), 5.1, 0.5, pleats=10),
            trousers=None,
            shoes=("loafers", BROWN),
        ).wearing(("tie", RED)),
    ),
}


def add_accent(outfit: Outfit, style: str, rng: np.random.Generator) -> Outfit:
    """The outfit with one of the sub style's attributes, and its palette in the background now and then."""
    accents = ACCENTS[style]
    changed = accents[int(rng.integers(len(accents)))](outfit, rng)
    if chance(rng, 0.25):
        changed = replace(changed, tone=base_of(changed.top.paint))
    if not changed.bag and chance(rng, 0.3):
        changed = replace(changed, bag=(one(rng, "tote", "crossbody", "clutch"), tint(rng, BLACK, CAMEL, CREAM)))
    return changed
