"""What people of each of the 23 styles wear: one recipe per main style."""

from collections.abc import Callable

import numpy as np

from pipeline.demo.drawing import dressy, everyday, tailored, travelled
from pipeline.demo.drawing.outfits import Outfit

Recipe = Callable[[np.random.Generator], Outfit]

RECIPES: dict[str, Recipe] = {
    "Casual": everyday.casual,
    "Romantic": dressy.romantic,
    "Sexy": dressy.sexy,
    "Ethnic": travelled.ethnic,
    "Elegant": dressy.elegant,
    "Natural": everyday.natural,
    "Sporty": everyday.sporty,
    "Retro": dressy.retro,
    "Classic": tailored.classic,
    "Businesscasual": tailored.businesscasual,
    "Exotic": travelled.exotic,
    "Modern": tailored.modern,
    "Sophisticated": tailored.sophisticated,
    "Glamorous": dressy.glamorous,
    "Manish": tailored.manish,
    "Hippie": travelled.hippie,
    "Gothpunkrocker": dressy.gothpunkrocker,
    "Military": everyday.military,
    "Tomboy": everyday.tomboy,
    "Kitschkidult": dressy.kitschkidult,
    "Hiphop": everyday.hiphop,
    "Grunge": everyday.grunge,
    "Preppy": everyday.preppy,
}
