"""What people of each of the 23 styles wear: one recipe per main style."""

from collections.abc import Callable

import numpy as np

from pipeline.demo.canvas import Colour
from pipeline.demo.fabrics import Fabric
from pipeline.demo.garments import Outer, Skirt, Top, Trousers
from pipeline.demo.outfits import Outfit

Recipe = Callable[[np.random.Generator], Outfit]

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


def chance(rng: np.random.Generator, share: float) -> bool:
    """True in ``share`` of the cases."""
    return bool(rng.random() < share)


def jeans(rng: np.random.Generator, ripped: bool = False) -> Trousers:
    """Denim trousers in one of the usual cuts."""
    cuts = ((0.37, 0.27, 0.2), (0.4, 0.32, 0.3), (0.42, 0.4, 0.46))
    fabric = Fabric("denim", tint(rng, DENIM, LIGHT_DENIM, (54, 74, 112)), repeat=0.35)
    return Trousers(fabric, cuts[int(rng.integers(3))], ripped=ripped, length=float(rng.uniform(0.86, 1.0)))


def _casual(rng: np.random.Generator) -> Outfit:
    colour = tint(rng, WHITE, (120, 130, 140), NAVY, RED, MUSTARD, SKY, SAGE)
    paint = Fabric("bands", WHITE, tint(rng, NAVY, RED, BLACK), repeat=0.55) if chance(rng, 0.3) else colour
    top = Top(paint, one(rng, "crew", "crew", "v"), one(rng, "short", "short", "long", "elbow"), rng.uniform(3.45, 3.95), 0.12,
              print=one(rng, "logo", "heart", "") if chance(rng, 0.35) else None)
    skirt = None
    trousers: Trousers | None = jeans(rng)
    if chance(rng, 0.2):
        trousers = Trousers(Fabric("denim", tint(rng, LIGHT_DENIM, DENIM), repeat=0.35), (0.44, 0.42, 0.42), length=0.34)
    elif chance(rng, 0.15):
        trousers, skirt = None, Skirt(Fabric("denim", tint(rng, DENIM), repeat=0.35), 5.1, 0.2)
    outer = None
    if chance(rng, 0.4):
        outer = Outer(Fabric("denim", tint(rng, LIGHT_DENIM, DENIM), repeat=0.35), 3.7, lapel="notch") if chance(rng, 0.5) else Outer(
            Fabric("knit", tint(rng, OATMEAL, (130, 136, 150), MUSTARD), repeat=0.4), 4.3, lapel="none")
    return Outfit(top, skirt, trousers, outer, ("sneakers", tint(rng, WHITE, WHITE, RED, NAVY)),
                  (one(rng, "tote", "crossbody", "backpack"), tint(rng, CREAM, CAMEL, NAVY)) if chance(rng, 0.65) else None,
                  ("cap", tint(rng, NAVY, CREAM)) if chance(rng, 0.15) else None,
                  scenes=("houses", "cafe", "park", "room", "bricks", "seamless", "shapes"), tone=tint(rng, SKY, OATMEAL, SAGE, MUSTARD))


def _romantic(rng: np.random.Generator) -> Outfit:
    base = tint(rng, PINK, CREAM, LILAC, (250, 226, 222), (200, 220, 236))
    paint = Fabric("floral", base, tint(rng, ROSE, (236, 150, 170)), tint(rng, LILAC, (250, 250, 246)), repeat=0.75) if chance(rng, 0.6) else (
        Fabric("lace", base, WHITE, repeat=0.4) if chance(rng, 0.4) else base)
    top = Top(paint, one(rng, "square", "off", "v", "crew"), one(rng, "puff", "puff", "bishop"), 3.3, 0.03, trim=WHITE if chance(rng, 0.4) else None)
    skirt = Skirt(paint if chance(rng, 0.75) else tint(rng, CREAM, PINK), rng.uniform(5.4, 7.6), rng.uniform(0.5, 0.9), tiers=int(rng.integers(0, 4)))
    return Outfit(top, skirt, None, None, (one(rng, "flats", "heels", "sandals"), tint(rng, PINK, CREAM, WHITE)),
                  (one(rng, "straw", "clutch", "chain"), tint(rng, PINK, CREAM)) if chance(rng, 0.5) else None,
                  (one(rng, "bow", "flowers", "headband"), tint(rng, ROSE, PINK, WHITE)) if chance(rng, 0.55) else None,
                  lips=(226, 112, 128), hair_cuts=("waves", "waves", "long", "bun", "braids"),
                  scenes=("meadow", "park", "room", "arch", "cafe", "seamless"), tone=tint(rng, PINK, LILAC, CREAM))


def _sexy(rng: np.random.Generator) -> Outfit:
    colour = tint(rng, BLACK, RED, BLACK, WINE, (226, 60, 120))
    paint = Fabric(one(rng, "satin", "leather", "leopard", "lace"), colour, (60, 40, 30), (30, 20, 20), repeat=0.7)
    if paint.pattern == "leopard":
        paint = Fabric("leopard", tint(rng, (214, 168, 108)), (150, 96, 56), (48, 32, 28), repeat=0.6)
    if chance(rng, 0.72):
        top = Top(paint, one(rng, "straps", "off", "deep"), one(rng, "none", "none", "long"), 3.3, -0.01)
        skirt: Skirt | None = Skirt(paint, rng.uniform(4.75, 5.2) if chance(rng, 0.7) else 7.4, 0.02, slit=chance(rng, 0.4))
        trousers = None
    else:
        top = Top(paint, one(rng, "straps", "deep"), "none", 2.9, 0.0)
        skirt, trousers = None, Trousers(Fabric("leather", tint(rng, BLACK, RED), repeat=0.6), (0.36, 0.25, 0.17))
    return Outfit(top, skirt, trousers, Outer(Fabric("leather", BLACK, repeat=0.6), 3.3, lapel="biker") if chance(rng, 0.12) else None,
                  (one(rng, "heels", "heels", "thigh", "boots"), tint(rng, BLACK, RED)),
                  (one(rng, "clutch", "chain"), tint(rng, BLACK, RED)) if chance(rng, 0.45) else None,
                  pieces=(("choker", BLACK),) if chance(rng, 0.4) else (("hoops", GOLD),), tights=(58, 46, 52) if chance(rng, 0.25) else None,
                  lips=(190, 24, 44), smoky=True, hair_cuts=("waves", "long", "long", "ponytail"),
                  scenes=("night", "skyline", "stage", "seamless", "panels", "beach"), tone=tint(rng, WINE, (90, 70, 90), RED))


def _ethnic(rng: np.random.Generator) -> Outfit:
    paint = Fabric(one(rng, "ikat", "ikat", "paisley"), tint(rng, RUST, (150, 50, 48), TEAL, MUSTARD, NAVY), tint(rng, MUSTARD, ORANGE, CREAM),
                   tint(rng, TEAL, CREAM, (60, 30, 40)), repeat=rng.uniform(0.75, 1.1))
    top = Top(paint if chance(rng, 0.6) else tint(rng, CREAM, RUST), one(rng, "v", "crew", "square"), one(rng, "bell", "elbow", "bishop"), rng.uniform(3.3, 4.3), 0.12,
              trim=tint(rng, MUSTARD, TEAL, RED))
    skirt = Skirt(paint, rng.uniform(6.6, 8.1), rng.uniform(0.5, 0.95), tiers=int(rng.integers(0, 3)), trim=tint(rng, MUSTARD, TEAL, RED))
    outer = Outer(paint, rng.uniform(4.6, 6.6), 0.3, 0.3, "none", "bell", tint(rng, MUSTARD, CREAM), chance(rng, 0.5)) if chance(rng, 0.4) else None
    return Outfit(top, skirt, None, outer, (one(rng, "sandals", "flats"), tint(rng, BROWN, CAMEL)),
                  (one(rng, "hobo", "straw"), tint(rng, BROWN, RUST)) if chance(rng, 0.5) else None,
                  (one(rng, "scarf", "turban"), tint(rng, RUST, MUSTARD, TEAL)) if chance(rng, 0.35) else None,
                  pieces=(("beads", ORANGE),) if chance(rng, 0.7) else (("drops", TEAL),), hair_cuts=("braids", "long", "curls", "waves"),
                  scenes=("desert", "tiles", "arch", "houses", "meadow"), tone=tint(rng, RUST, MUSTARD, TEAL))


def _elegant(rng: np.random.Generator) -> Outfit:
    colour = tint(rng, CREAM, BLACK, (96, 120, 132), WINE, (206, 190, 176), NAVY, (120, 146, 128))
    paint = Fabric("satin", colour, repeat=0.9) if chance(rng, 0.65) else colour
    top = Top(paint, one(rng, "off", "crew", "v", "high"), one(rng, "none", "long", "elbow", "bishop"), 3.3, 0.0)
    skirt: Skirt | None = Skirt(paint, rng.uniform(6.3, 8.1), rng.uniform(0.0, 0.5), slit=chance(rng, 0.25))
    trousers = None
    if chance(rng, 0.18):
        skirt, trousers = None, Trousers(colour, (0.42, 0.42, 0.48), crease=True)
    outer = Outer(tint(rng, CREAM, CAMEL, BLACK), rng.uniform(5.0, 6.6), 0.3, 0.14, "shawl") if chance(rng, 0.3) else None
    return Outfit(top, skirt, trousers, outer, ("heels", tint(rng, BLACK, CREAM, GOLD)), (one(rng, "clutch", "chain"), tint(rng, BLACK, CREAM, GOLD)) if chance(rng, 0.7) else None,
                  pieces=(("pearls", WHITE),) if chance(rng, 0.6) else (("drops", WHITE),), lips=(180, 50, 66), hair_cuts=("bun", "bun", "bob", "waves"),
                  scenes=("room", "arch", "seamless", "skyline", "library", "panels"), tone=tint(rng, (200, 190, 180), (120, 120, 140), CREAM))


def _natural(rng: np.random.Generator) -> Outfit:
    def earth() -> Fabric:
        return Fabric("linen", tint(rng, OATMEAL, BEIGE, SAGE, WHITE, (188, 160, 128)), repeat=0.6)
    top = Top(earth(), one(rng, "crew", "v", "square"), one(rng, "elbow", "loose", "short"), rng.uniform(3.5, 4.2), 0.2, buttons=chance(rng, 0.4))
    skirt: Skirt | None = None
    trousers: Trousers | None = None
    if chance(rng, 0.55):
        skirt = Skirt(top.paint if chance(rng, 0.6) else earth(), rng.uniform(6.4, 7.8), rng.uniform(0.35, 0.7))
    else:
        trousers = Trousers(earth(), (0.44, 0.44, 0.46), float(rng.uniform(0.8, 0.98)))
    outer = Outer(Fabric("knit", tint(rng, OATMEAL, SAGE, BEIGE), repeat=0.4), 4.6, 0.3, 0.2, "none") if chance(rng, 0.3) else None
    return Outfit(top, skirt, trousers, outer, (one(rng, "sandals", "flats", "sneakers"), tint(rng, CAMEL, BROWN, CREAM)),
                  (one(rng, "straw", "straw", "tote"), tint(rng, (214, 180, 120), CREAM)) if chance(rng, 0.7) else None,
                  ("straw", tint(rng, (222, 190, 130))) if chance(rng, 0.5) else None, hair_cuts=("braids", "long", "bun", "curls"),
                  lips=(206, 128, 116), scenes=("forest", "meadow", "park", "beach", "room"), tone=tint(rng, SAGE, OATMEAL, (200, 210, 180)))


def _sporty(rng: np.random.Generator) -> Outfit:
    bright, stripe = tint(rng, BLUE, RED, LIME, (250, 90, 130), BLACK, ORANGE), tint(rng, WHITE, LIME, WHITE)
    top = Top(tint(rng, WHITE, BLACK, BLUE, LIME), one(rng, "crew", "straps", "crew"), one(rng, "short", "none"), one_of(rng, 2.85, 3.6), 0.04,
              trim=bright, print=one(rng, "number", "logo"))
    if chance(rng, 0.4):
        trousers: Trousers | None = Trousers(bright, (0.36, 0.26, 0.17), stripe=stripe)
    elif chance(rng, 0.55):
        trousers = Trousers(bright, (0.42, 0.36, 0.2), stripe=stripe)
    else:
        trousers = Trousers(bright, (0.44, 0.43, 0.43), 0.3, stripe=stripe)
    skirt = None
    if chance(rng, 0.18):
        trousers, skirt = None, Skirt(WHITE, 4.95, 0.4, pleats=9)
    outer = Outer(bright, rng.uniform(3.4, 3.9), 0.2, 0.2, one(rng, "stand", "hood"), trim=stripe) if chance(rng, 0.55) else None
    return Outfit(top, skirt, trousers, outer, ("sneakers", tint(rng, WHITE, LIME, RED, BLUE)), (one(rng, "backpack", "belt"), bright) if chance(rng, 0.35) else None,
                  (one(rng, "cap", "headband"), bright) if chance(rng, 0.6) else None, hair_cuts=("ponytail", "ponytail", "crop", "bun"),
                  scenes=("court", "court", "park", "bricks", "seamless", "panels"), tone=tint(rng, SKY, (200, 205, 210), LIME))


def one_of(rng: np.random.Generator, *values: float) -> float:
    """One of the numbers."""
    return values[int(rng.integers(len(values)))]


def _retro(rng: np.random.Generator) -> Outfit:
    base, second = tint(rng, RED, MUSTARD, TEAL, CREAM, ORANGE), tint(rng, WHITE, CREAM, BROWN)
    paint = Fabric(one(rng, "dots", "dots", "gingham", "blocks"), base, second, tint(rng, BROWN, ORANGE), repeat=rng.uniform(0.5, 0.8))
    if chance(rng, 0.65):
        return Outfit(Top(paint, one(rng, "square", "collar", "crew"), one(rng, "cap", "puff", "short"), 3.3, 0.0, trim=second), Skirt(paint, rng.uniform(5.7, 6.4), rng.uniform(0.6, 0.95)),
                      None, None, (one(rng, "heels", "flats", "loafers"), tint(rng, RED, WHITE, BROWN)), ("clutch", base) if chance(rng, 0.4) else None,
                      (one(rng, "scarf", "headband", "bow"), base) if chance(rng, 0.7) else None, (("sunglasses", BLACK), ("belt", second)), lips=(200, 34, 44),
                      hair_cuts=("bob", "waves", "bun"), scenes=("shapes", "panels", "cafe", "tiles", "houses"), tone=tint(rng, TEAL, MUSTARD, ORANGE))
    return Outfit(Top(paint, "collar", "long", 3.3, 0.05), None, Trousers(tint(rng, BROWN, MUSTARD, RUST), (0.37, 0.28, 0.54)),
                  Outer(tint(rng, RUST, MUSTARD), 3.4, 0.26, 0.1, "none", "none") if chance(rng, 0.5) else None, ("platform", tint(rng, BROWN, RED)), None,
                  ("headband", base) if chance(rng, 0.4) else None, (("sunglasses", BLACK),), hair_cuts=("waves", "curls", "bob"),
                  scenes=("shapes", "panels", "arch"), tone=tint(rng, MUSTARD, ORANGE, TEAL))


def _classic(rng: np.random.Generator) -> Outfit:
    check = Fabric(one(rng, "tweed", "houndstooth", "plaid"), tint(rng, CREAM, CAMEL, (150, 140, 130)), tint(rng, BLACK, NAVY, BROWN), tint(rng, CAMEL, WINE), repeat=0.55)
    top = Top(tint(rng, CREAM, WHITE, CAMEL), one(rng, "high", "collar", "crew"), "long", 3.3, 0.05)
    skirt = Skirt(check if chance(rng, 0.6) else tint(rng, CAMEL, NAVY), rng.uniform(5.9, 6.7), rng.uniform(0.05, 0.45), pleats=one_int(rng, 0, 0, 8))
    outer = Outer(check if chance(rng, 0.5) else tint(rng, CAMEL, BEIGE, NAVY), rng.uniform(3.8, 6.4), 0.26, 0.14, "notch", belt=tint(rng, CAMEL, BROWN) if chance(rng, 0.35) else None)
    return Outfit(top, skirt, None, outer if chance(rng, 0.8) else None, (one(rng, "loafers", "heels", "boots"), tint(rng, BROWN, BLACK)),
                  (one(rng, "chain", "briefcase"), tint(rng, BROWN, BLACK, WINE)) if chance(rng, 0.6) else None, pieces=(("pearls", WHITE),) if chance(rng, 0.5) else (),
                  hair_cuts=("bob", "bun", "long"), scenes=("library", "houses", "arch", "room"), tone=tint(rng, CAMEL, (190, 180, 170)))


def one_int(rng: np.random.Generator, *values: int) -> int:
    """One of the whole numbers."""
    return values[int(rng.integers(len(values)))]


def _businesscasual(rng: np.random.Generator) -> Outfit:
    suit = tint(rng, NAVY, (130, 140, 154), (196, 200, 206), BEIGE, CHARCOAL)
    fabric = Fabric("pinstripes", suit, (210, 214, 220), repeat=0.5) if chance(rng, 0.3) else suit
    top = Top(tint(rng, WHITE, SKY, (226, 232, 240)), one(rng, "collar", "v", "crew"), "long", 3.3, 0.05, buttons=True)
    skirt: Skirt | None = Skirt(fabric, rng.uniform(5.7, 6.1), -0.02) if chance(rng, 0.35) else None
    trousers = None if skirt else Trousers(fabric if chance(rng, 0.6) else tint(rng, BEIGE, CHARCOAL), (0.38, 0.3, 0.24), float(rng.uniform(0.88, 1)), crease=True)
    return Outfit(top, skirt, trousers, Outer(fabric, rng.uniform(4.0, 4.5), 0.24, 0.12, "notch") if chance(rng, 0.75) else None, (one(rng, "heels", "loafers", "flats"), tint(rng, BLACK, BEIGE, BROWN)),
                  (one(rng, "briefcase", "tote"), tint(rng, BLACK, BROWN, NAVY)) if chance(rng, 0.7) else None, pieces=(("glasses", BROWN),) if chance(rng, 0.4) else (),
                  hair_cuts=("bob", "bun", "ponytail", "crop"), scenes=("office", "office", "houses", "seamless"), tone=tint(rng, (190, 200, 212), SKY))


def _exotic(rng: np.random.Generator) -> Outfit:
    paint = Fabric("tropical", tint(rng, (250, 220, 120), (30, 90, 96), ORANGE, (240, 90, 120), WHITE), tint(rng, (40, 140, 90), TEAL), tint(rng, (240, 80, 110), (250, 180, 60)), repeat=1.0)
    top = Top(paint, one(rng, "off", "straps", "v"), one(rng, "none", "bell", "none"), 3.3 if chance(rng, 0.6) else 2.85, 0.02)
    skirt = Skirt(paint if chance(rng, 0.8) else tint(rng, TEAL, ORANGE), rng.uniform(6.0, 8.0), rng.uniform(0.35, 0.8), slit=chance(rng, 0.5))
    return Outfit(top, skirt, None, None, ("sandals", tint(rng, GOLD, BROWN)), ("straw", tint(rng, (220, 180, 110))) if chance(rng, 0.4) else None,
                  (one(rng, "turban", "flowers", "straw"), tint(rng, ORANGE, TEAL, (240, 80, 120))) if chance(rng, 0.6) else None,
                  pieces=(("hoops", GOLD), ("beads", RED)) if chance(rng, 0.5) else (("hoops", GOLD),), hair_cuts=("curls", "waves", "long"),
                  scenes=("beach", "tiles", "forest", "shapes"), tone=tint(rng, TEAL, ORANGE, (250, 210, 120)))


def _modern(rng: np.random.Generator) -> Outfit:
    dark = chance(rng, 0.5)
    base = tint(rng, BLACK, CHARCOAL) if dark else tint(rng, WHITE, (214, 216, 220))
    accent = tint(rng, WHITE, (200, 202, 206), RED, BLUE)
    top = Top(accent if dark else base, one(rng, "high", "crew", "square"), one(rng, "none", "long", "cap"), one_of(rng, 3.3, 4.2), 0.14)
    skirt: Skirt | None = Skirt(base, rng.uniform(5.4, 6.8), rng.uniform(-0.02, 0.25)) if chance(rng, 0.45) else None
    trousers = None if skirt else Trousers(base, (0.44, 0.44, 0.46), float(rng.uniform(0.8, 1.0)), crease=chance(rng, 0.5))
    outer = Outer(tint(rng, BLACK, WHITE, (170, 174, 180)), rng.uniform(4.4, 6.8), 0.34, 0.26, "none", "loose") if chance(rng, 0.45) else None
    return Outfit(top, skirt, trousers, outer, (one(rng, "ankle", "loafers", "heels"), tint(rng, BLACK, WHITE)), (one(rng, "clutch", "tote"), tint(rng, BLACK, WHITE, RED)) if chance(rng, 0.5) else None,
                  pieces=(("sunglasses", BLACK),) if chance(rng, 0.35) else (), hair_cuts=("bob", "bob", "crop", "bun"), hair=BLACK,
                  scenes=("panels", "shapes", "office", "arch", "seamless"), tone=tint(rng, (200, 202, 206), (120, 124, 132), WHITE))


def _sophisticated(rng: np.random.Generator) -> Outfit:
    tone = tint(rng, CAMEL, (168, 150, 140), (90, 96, 110), WINE, (120, 110, 130))
    top = Top(Fabric("ribbed", tone, repeat=0.4) if chance(rng, 0.5) else tint(rng, CREAM, tone), "high", one(rng, "long", "none"), 3.3, 0.0)
    skirt: Skirt | None = Skirt(tone if chance(rng, 0.6) else Fabric("leather", tone, repeat=0.7), rng.uniform(5.9, 6.9), 0.0) if chance(rng, 0.55) else None
    trousers = None if skirt else Trousers(tone, (0.42, 0.42, 0.46), crease=True)
    outer = Outer(tint(rng, CAMEL, tone, (70, 68, 76)), rng.uniform(5.4, 7.2), 0.3, 0.18, one(rng, "shawl", "notch"), belt=tone if chance(rng, 0.4) else None) if chance(rng, 0.7) else None
    return Outfit(top, skirt, trousers, outer, (one(rng, "heels", "boots", "ankle"), tint(rng, BLACK, BROWN, tone)), (one(rng, "clutch", "tote"), tint(rng, BROWN, BLACK, tone)) if chance(rng, 0.7) else None,
                  pieces=(("sunglasses", BLACK), ("pendant", GOLD)) if chance(rng, 0.5) else (("pendant", GOLD),), hair_cuts=("bun", "bob", "long"), lips=(150, 50, 60),
                  scenes=("skyline", "arch", "room", "office", "library"), tone=tint(rng, (170, 160, 156), (120, 120, 136)))


def _glamorous(rng: np.random.Generator) -> Outfit:
    paint = Fabric("sequins", tint(rng, GOLD, SILVER, (200, 60, 110), (60, 70, 150), (40, 130, 110)), repeat=0.5)
    top = Top(paint, one(rng, "deep", "off", "straps"), one(rng, "none", "long", "none"), 3.3, 0.0)
    skirt = Skirt(paint, rng.uniform(4.9, 8.2), rng.uniform(0.02, 0.6), slit=chance(rng, 0.5))
    return Outfit(top, skirt, None, Outer(Fabric("knit", tint(rng, WHITE, BLACK, (230, 200, 210)), repeat=0.3), 3.6, 0.36, 0.34, "shawl", "loose") if chance(rng, 0.3) else None,
                  ("heels", tint(rng, GOLD, SILVER, BLACK)), ("clutch", tint(rng, GOLD, SILVER)) if chance(rng, 0.6) else None,
                  pieces=(("drops", GOLD), ("boa", tint(rng, (220, 60, 110), WHITE, PURPLE))) if chance(rng, 0.35) else (("drops", GOLD), ("pendant", GOLD)), lips=(196, 24, 60), smoky=True,
                  hair_cuts=("waves", "waves", "bun"), scenes=("stage", "night", "night", "skyline"), tone=tint(rng, PURPLE, WINE, (90, 80, 40)))


def _manish(rng: np.random.Generator) -> Outfit:
    suit = tint(rng, CHARCOAL, (92, 84, 80), NAVY, (120, 120, 116), BLACK)
    fabric = Fabric(one(rng, "pinstripes", "houndstooth", "plain", "plain"), suit, (150, 150, 152), repeat=0.45)
    return Outfit(Top(tint(rng, WHITE, SKY, CREAM), "collar", "long", 3.3, 0.1, buttons=True), None, Trousers(fabric, (0.46, 0.42, 0.38), crease=True),
                  Outer(fabric, rng.uniform(4.3, 4.7), 0.22, 0.3, "notch") if chance(rng, 0.75) else None, ("loafers", tint(rng, BLACK, BROWN)), ("briefcase", BROWN) if chance(rng, 0.25) else None,
                  ("fedora", tint(rng, CHARCOAL, BROWN)) if chance(rng, 0.5) else None, (("tie", tint(rng, WINE, NAVY, BLACK)),) if chance(rng, 0.7) else (("suspenders", BROWN),),
                  lips=(190, 130, 118), hair_cuts=("crop", "crop", "bun"), scenes=("bricks", "office", "library", "panels"), tone=tint(rng, (150, 146, 140), (110, 110, 120)))


def _hippie(rng: np.random.Generator) -> Outfit:
    dye = Fabric(one(rng, "tiedye", "tiedye", "paisley", "floral"), tint(rng, ORANGE, (250, 220, 120), (240, 120, 160)), tint(rng, PURPLE, TEAL), tint(rng, (250, 210, 80), SKY), repeat=1.3)
    top = Top(dye, one(rng, "v", "crew"), one(rng, "bell", "bell", "short"), rng.uniform(3.3, 4.1), 0.1)
    flared = chance(rng, 0.6)
    return Outfit(top, None if flared else Skirt(dye, 7.9, 0.9, tiers=3), Trousers(Fabric("denim", tint(rng, DENIM, LIGHT_DENIM), repeat=0.35), (0.37, 0.26, 0.58)) if flared else None,
                  Outer(Fabric("leather", tint(rng, CAMEL, BROWN), repeat=1.5), 3.8, 0.32, 0.12, "none", "none", fringe=True) if chance(rng, 0.6) else None,
                  (one(rng, "sandals", "cowboy"), BROWN), ("hobo", tint(rng, CAMEL, BROWN)) if chance(rng, 0.6) else None, (one(rng, "flowers", "headband"), tint(rng, RUST, MUSTARD)) if chance(rng, 0.8) else None,
                  (("beads", PURPLE),) if chance(rng, 0.6) else (("sunglasses", BLACK),), hair_cuts=("long", "waves", "braids"), scenes=("meadow", "desert", "forest", "shapes"), tone=tint(rng, ORANGE, (250, 220, 120), PURPLE))


def _gothpunkrocker(rng: np.random.Generator) -> Outfit:
    tartan = Fabric("plaid", (150, 28, 40), (60, 10, 20), BLACK, repeat=0.55)
    top = Top(Fabric("lace", BLACK, (90, 80, 96), repeat=0.35) if chance(rng, 0.35) else BLACK, one(rng, "crew", "high", "straps"), one(rng, "long", "none", "short"), 3.3, 0.03, trim=WHITE if chance(rng, 0.2) else None, print=one(rng, "star", "bolt"))
    skirt = Skirt(tartan if chance(rng, 0.5) else Fabric("leather", BLACK, repeat=0.6), rng.uniform(4.9, 5.5), 0.45, pleats=7, ragged=chance(rng, 0.4)) if chance(rng, 0.6) else None
    return Outfit(top, skirt, None if skirt else Trousers(Fabric("leather", BLACK, repeat=0.6), (0.36, 0.25, 0.17), ripped=chance(rng, 0.5)), Outer(Fabric("leather", BLACK, repeat=0.6), 3.5, 0.26, 0.18, "biker") if chance(rng, 0.65) else None,
                  (one(rng, "combat", "platform"), BLACK), None, pieces=(("spikes", BLACK),), tights=(46, 40, 48) if skirt else None, lips=(70, 14, 40), smoky=True, hair_cuts=("spikes", "spikes", "bob", "long"),
                  hair=tint(rng, (24, 20, 28), (150, 30, 90), (70, 40, 130)), scenes=("graffiti", "stage", "bricks", "night"), tone=tint(rng, (70, 64, 76), WINE, (90, 90, 100)))


def _military(rng: np.random.Generator) -> Outfit:
    camouflage = Fabric("camouflage", OLIVE, (62, 70, 44), (150, 134, 92), repeat=1.1)
    plain = tint(rng, OLIVE, KHAKI, (84, 92, 60))
    trousers = Trousers(camouflage if chance(rng, 0.6) else plain, (0.43, 0.4, 0.32), pockets=True)
    return Outfit(Top(tint(rng, BLACK, KHAKI, WHITE), "crew", "short", 3.4, 0.05), None, trousers, Outer(plain if trousers.paint is camouflage else camouflage, rng.uniform(3.7, 4.6), 0.24, 0.22, "stand") if chance(rng, 0.75) else None,
                  ("combat", tint(rng, BLACK, BROWN)), ("belt", OLIVE) if chance(rng, 0.3) else None, (one(rng, "cap", "beret"), plain) if chance(rng, 0.6) else None, (("epaulettes", KHAKI), ("belt", BROWN)),
                  hair_cuts=("ponytail", "crop", "bun"), scenes=("bricks", "desert", "forest", "panels"), tone=tint(rng, KHAKI, OLIVE, (150, 146, 130)))


def _tomboy(rng: np.random.Generator) -> Outfit:
    shirt = Fabric("plaid", tint(rng, (60, 90, 140), (60, 120, 90), RED), tint(rng, NAVY, WHITE), WHITE, repeat=0.6)
    return Outfit(Top(tint(rng, WHITE, (150, 156, 166)), "crew", "short", 3.9, 0.2), None, jeans(rng) if chance(rng, 0.6) else Trousers(tint(rng, KHAKI, NAVY), (0.46, 0.45, 0.45), 0.42), Outer(shirt, 4.2, 0.3, 0.26, "none", "loose") if chance(rng, 0.75) else None,
                  ("sneakers", tint(rng, RED, WHITE, BLACK)), ("skate", tint(rng, RED, MUSTARD)) if chance(rng, 0.3) else ("backpack", NAVY), (one(rng, "cap", "beanie"), tint(rng, RED, NAVY, MUSTARD)) if chance(rng, 0.7) else None, (("suspenders", BROWN),) if chance(rng, 0.3) else (),
                  lips=(206, 140, 124), hair_cuts=("crop",), scenes=("bricks", "court", "houses", "park"), tone=tint(rng, SKY, (170, 180, 190)))


def _kitschkidult(rng: np.random.Generator) -> Outfit:
    candy = ((255, 120, 180), (110, 220, 220), (255, 226, 90), (180, 130, 250), (150, 240, 140))
    paint = Fabric(one(rng, "hearts", "blocks", "dots", "gingham"), tint(rng, *candy), tint(rng, *candy), tint(rng, *candy), repeat=0.8)
    return Outfit(Top(paint, "crew", one(rng, "puff", "long", "short"), 3.5, 0.16, print=one(rng, "star", "heart")), Skirt(tint(rng, *candy), 5.1, 0.75, tiers=3) if chance(rng, 0.7) else None, None if chance(rng, 0.7) else Trousers(tint(rng, *candy), (0.44, 0.42, 0.4)), None,
                  ("platform", tint(rng, *candy)), ("backpack", tint(rng, *candy)), (one(rng, "ears", "bow", "headband"), tint(rng, *candy)), (("stickers", PINK), ("beads", LILAC)), tights=tint(rng, WHITE, *candy), lips=(240, 90, 150), hair_cuts=("braids", "bob", "ponytail"),
                  hair=tint(rng, (255, 150, 200), (150, 200, 250), (240, 210, 130)), scenes=("shapes", "panels", "graffiti"), tone=tint(rng, *candy))


def _hiphop(rng: np.random.Generator) -> Outfit:
    colour = tint(rng, BLACK, RED, ORANGE, PURPLE, (30, 110, 90))
    return Outfit(Top(colour, "crew", "elbow", 4.5, 0.38, trim=WHITE, print=one(rng, "number", "bolt", "logo")), None, Trousers(jeans(rng).paint if chance(rng, 0.5) else tint(rng, BLACK, (130, 134, 142)), (0.52, 0.52, 0.54), pockets=chance(rng, 0.5)),
                  Outer(tint(rng, BLACK, RED, (250, 200, 40)), 4.3, 0.4, 0.42, "hood", "loose", trim=WHITE) if chance(rng, 0.5) else None, ("sneakers", tint(rng, WHITE, RED)), ("belt", BLACK) if chance(rng, 0.4) else None, (one(rng, "cap", "beanie"), colour),
                  (("gold_chain", GOLD), ("hoops", GOLD)), hair_cuts=("curls", "braids", "crop"), scenes=("graffiti", "graffiti", "court", "bricks"), tone=tint(rng, (120, 120, 130), MUSTARD))


def _grunge(rng: np.random.Generator) -> Outfit:
    flannel = Fabric("plaid", tint(rng, (120, 30, 36), (60, 80, 60), (90, 70, 60)), BLACK, tint(rng, (190, 170, 140)), repeat=0.65)
    return Outfit(Top(tint(rng, (90, 86, 90), BLACK, (150, 140, 130)), "crew", "short", 4.0, 0.2, print="bolt"), None, jeans(rng, ripped=True), Outer(flannel, rng.uniform(4.4, 5.0), 0.32, 0.3, "none", "loose"), ("combat", tint(rng, BLACK, WINE)), None, ("beanie", tint(rng, CHARCOAL, WINE)) if chance(rng, 0.6) else None,
                  (("choker", BLACK),), lips=(130, 50, 60), smoky=True, hair_cuts=("long", "waves", "crop"), scenes=("graffiti", "bricks", "stage", "forest"), tone=tint(rng, (110, 106, 100), (90, 96, 90)))


def _preppy(rng: np.random.Generator) -> Outfit:
    vest = Fabric("argyle", tint(rng, NAVY, WINE, (40, 90, 70)), tint(rng, CREAM, MUSTARD), WHITE, repeat=0.7)
    return Outfit(Top(vest if chance(rng, 0.5) else WHITE, "collar", "long", 3.4, 0.05, trim=WHITE), Skirt(Fabric("plaid", tint(rng, NAVY, WINE, (40, 90, 70)), tint(rng, RED, CREAM), WHITE, repeat=0.6), 5.1, 0.5, pleats=10), None,
                  Outer(tint(rng, NAVY, WINE), 4.0, 0.26, 0.12, "notch", trim=WHITE) if chance(rng, 0.6) else None, ("loafers", BROWN), ("briefcase", BROWN) if chance(rng, 0.4) else None, (one(rng, "headband", "beret", "bow"), tint(rng, NAVY, RED)) if chance(rng, 0.6) else None,
                  (("tie", tint(rng, RED, NAVY)), ("crest", RED)), tights=tint(rng, WHITE, NAVY), hair_cuts=("bob", "ponytail", "braids"), scenes=("library", "library", "park", "houses"), tone=tint(rng, NAVY, (200, 190, 160)))


RECIPES: dict[str, Recipe] = {
    "Casual": _casual, "Romantic": _romantic, "Sexy": _sexy, "Ethnic": _ethnic, "Elegant": _elegant, "Natural": _natural, "Sporty": _sporty, "Retro": _retro, "Classic": _classic,
    "Businesscasual": _businesscasual, "Exotic": _exotic, "Modern": _modern, "Sophisticated": _sophisticated, "Glamorous": _glamorous, "Manish": _manish, "Hippie": _hippie,
    "Gothpunkrocker": _gothpunkrocker, "Military": _military, "Tomboy": _tomboy, "Kitschkidult": _kitschkidult, "Hiphop": _hiphop, "Grunge": _grunge, "Preppy": _preppy,
}  # fmt: skip
