"""An outfit as a list of garments and accessories, and how it is dressed on a figure."""

from dataclasses import dataclass, replace

from pipeline.demo.drawing.canvas import Canvas, Colour
from pipeline.demo.drawing.figure import Figure, draw_arm, draw_back_hair, draw_body, draw_head
from pipeline.demo.drawing.hats import draw_hat
from pipeline.demo.drawing.lower import Skirt, Trousers, draw_skirt, draw_trousers
from pipeline.demo.drawing.outerwear import Outer, draw_outer
from pipeline.demo.drawing.shoes_and_bags import draw_bag, draw_shoes
from pipeline.demo.drawing.tops import Top, draw_sleeve, draw_top
from pipeline.demo.drawing.trimmings import PIECES

BOOTS = frozenset({"boots", "cowboy", "combat", "thigh", "ankle"})


@dataclass(frozen=True)
class Outfit:
    """What a figure wears, how its hair is cut, and where it may stand."""

    top: Top
    skirt: Skirt | None = None
    trousers: Trousers | None = None
    outer: Outer | None = None
    shoes: tuple[str, Colour] = ("sneakers", (240, 240, 236))
    bag: tuple[str, Colour] | None = None
    hat: tuple[str, Colour] | None = None
    pieces: tuple[tuple[str, Colour], ...] = ()
    tights: Colour | None = None
    lips: Colour = (206, 104, 104)
    smoky: bool = False
    hair_cuts: tuple[str, ...] = ("long", "waves", "bob", "bun", "ponytail", "crop")
    hair: Colour | None = None
    scenes: tuple[str, ...] = ("seamless", "shapes", "houses")
    tone: Colour = (190, 186, 180)

    def wearing(self, *pieces: tuple[str, Colour]) -> "Outfit":
        """The same outfit with more jewellery or trimmings."""
        return replace(self, pieces=(*self.pieces, *pieces))


def dress_figure(canvas: Canvas, figure: Figure, outfit: Outfit, bag_side: int) -> None:
    """Draw the figure from back to front with everything it wears."""
    draw_back_hair(canvas, figure)
    draw_body(canvas, figure, outfit.tights)
    slim = outfit.trousers is None or outfit.trousers.cut[2] < 0.22
    over = outfit.shoes[0] in BOOTS and slim
    if not over:
        draw_shoes(canvas, figure, *outfit.shoes)
    tucked = outfit.top.hem < 3.4
    if tucked:
        draw_top(canvas, figure, outfit.top)
    if outfit.trousers:
        draw_trousers(canvas, figure, outfit.trousers)
    if over:
        draw_shoes(canvas, figure, *outfit.shoes)
    if outfit.skirt:
        draw_skirt(canvas, figure, outfit.skirt)
    if not tucked:
        draw_top(canvas, figure, outfit.top)
    under = {"bow_blouse", "tie", "suspenders", "harness", "belt", "sash", "stickers", "crest"}
    if outfit.outer:
        for name, colour in outfit.pieces:
            if name in under:
                PIECES[name](canvas, figure, colour)
        draw_outer(canvas, figure, outfit.outer)
    for side in (-1, 1):
        draw_arm(canvas, figure, side)
        if outfit.outer and outfit.outer.sleeve != "none":
            layer = outfit.outer
            stripe = layer.trim if layer.lapel in ("stand", "hood") else None
            draw_sleeve(canvas, figure, side, layer.sleeve, layer.paint, layer.trim, layer.ease, stripe)
        else:
            draw_sleeve(
                canvas, figure, side, outfit.top.sleeve, outfit.top.paint, outfit.top.trim, outfit.top.ease * 0.5
            )
    for name, colour in outfit.pieces:
        if not (outfit.outer and name in under) and name not in ("sunglasses", "glasses", "hoops", "drops"):
            PIECES[name](canvas, figure, colour)
    draw_head(canvas, figure, outfit.lips, outfit.smoky)
    for name, colour in outfit.pieces:
        if name in ("sunglasses", "glasses", "hoops", "drops"):
            PIECES[name](canvas, figure, colour)
    if outfit.hat:
        draw_hat(canvas, figure, *outfit.hat)
    if outfit.bag:
        draw_bag(canvas, figure, *outfit.bag, bag_side)
