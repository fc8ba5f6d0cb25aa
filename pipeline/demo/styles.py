"""How often styles occur in the demo's world and which ones go together.

Main and sub shares are those of Table 2 of the paper; which styles go together is this project's choice, scaled so that
the sub shares come out.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

MAIN_IMAGES: dict[str, int] = {
    "Casual": 6048, "Romantic": 1911, "Sexy": 998, "Ethnic": 972, "Elegant": 956, "Natural": 949, "Sporty": 632,
    "Retro": 562, "Classic": 539, "Businesscasual": 520, "Exotic": 506, "Modern": 486, "Sophisticated": 368,
    "Glamorous": 362, "Manish": 202, "Hippie": 157, "Gothpunkrocker": 124, "Military": 116, "Tomboy": 87,
    "Kitschkidult": 62, "Hiphop": 48, "Grunge": 41, "Preppy": 39,
}  # fmt: skip

SUB_SHARES: dict[str, float] = {
    "Casual": 29.64, "Romantic": 12.87, "Sexy": 6.53, "Ethnic": 5.73, "Elegant": 8.69, "Natural": 6.37, "Sporty": 3.76,
    "Retro": 4.46, "Classic": 2.62, "Businesscasual": 2.88, "Exotic": 2.81, "Modern": 4.02, "Sophisticated": 2.53,
    "Glamorous": 2.30, "Manish": 1.17, "Hippie": 0.96, "Gothpunkrocker": 0.86, "Military": 0.80, "Tomboy": 0.47,
    "Kitschkidult": 0.28, "Hiphop": 0.15, "Grunge": 0.57, "Preppy": 0.43,
}  # fmt: skip

STYLES: tuple[str, ...] = tuple(MAIN_IMAGES)

SUB_COUNTS = (0.46, 0.40, 0.125, 0.015)  # share of images with 0, 1, 2, 3 sub styles

_FRIENDS: dict[str, dict[str, float]] = {
    "Casual": {"Romantic": 9, "Sexy": 6, "Ethnic": 6, "Elegant": 6, "Natural": 3, "Sporty": 3,
               "Retro": 0.7, "Modern": 0.7, "Tomboy": 0.7},
    "Romantic": {"Casual": 8, "Elegant": 9, "Sexy": 3, "Ethnic": 1.5, "Natural": 1, "Retro": 0.5},
    "Sexy": {"Casual": 5, "Elegant": 5, "Romantic": 4, "Glamorous": 1.5, "Gothpunkrocker": 0.3},
    "Ethnic": {"Casual": 8, "Romantic": 4, "Elegant": 1, "Natural": 1.5, "Exotic": 1, "Hippie": 1},
    "Elegant": {"Romantic": 9, "Casual": 5, "Sexy": 4, "Sophisticated": 1, "Classic": 0.7,
                "Glamorous": 0.5, "Modern": 0.5},
    "Natural": {"Casual": 9, "Romantic": 5, "Ethnic": 3, "Elegant": 1, "Hippie": 1},
    "Sporty": {"Casual": 10, "Sexy": 2, "Hiphop": 2, "Tomboy": 2, "Modern": 1, "Military": 1},
    "Retro": {"Casual": 5, "Romantic": 5, "Classic": 2, "Hippie": 1, "Preppy": 2, "Kitschkidult": 2},
    "Classic": {"Elegant": 4, "Businesscasual": 4, "Casual": 4, "Modern": 2, "Sophisticated": 3, "Preppy": 2,
                "Retro": 2},
    "Businesscasual": {"Modern": 5, "Classic": 4, "Casual": 5, "Elegant": 3, "Manish": 3, "Sophisticated": 2},
    "Exotic": {"Ethnic": 6, "Sexy": 4, "Romantic": 3, "Casual": 3, "Glamorous": 1},
    "Modern": {"Businesscasual": 4, "Sophisticated": 4, "Casual": 5, "Elegant": 3, "Manish": 2, "Sporty": 1},
    "Sophisticated": {"Elegant": 6, "Modern": 4, "Classic": 3, "Businesscasual": 2, "Casual": 2},
    "Glamorous": {"Sexy": 6, "Elegant": 5, "Romantic": 2, "Exotic": 2},
    "Manish": {"Businesscasual": 5, "Modern": 4, "Classic": 3, "Casual": 3, "Tomboy": 3},
    "Hippie": {"Ethnic": 6, "Casual": 4, "Natural": 3, "Retro": 3, "Romantic": 2},
    "Gothpunkrocker": {"Sexy": 4, "Grunge": 6, "Casual": 2, "Military": 2},
    "Military": {"Casual": 6, "Sporty": 3, "Tomboy": 3, "Manish": 2, "Gothpunkrocker": 2},
    "Tomboy": {"Casual": 7, "Sporty": 4, "Manish": 3, "Hiphop": 2, "Military": 2},
    "Kitschkidult": {"Retro": 5, "Casual": 5, "Romantic": 3, "Sporty": 1},
    "Hiphop": {"Sporty": 6, "Casual": 6, "Tomboy": 3},
    "Grunge": {"Gothpunkrocker": 6, "Casual": 6, "Tomboy": 2},
    "Preppy": {"Classic": 6, "Retro": 3, "Casual": 4, "Romantic": 2, "Sporty": 1},
}  # fmt: skip


@cache
def sub_probabilities() -> npt.NDArray[np.float64]:
    """P[i, j]: the chance that a sub style of main style i is j, (23, 23) float64; rows sum to 1.

    Columns are scaled so that the sub shares of Table 2 come out under its main shares, rows so that they sum to 1, in
    turns (iterative proportional fitting).
    """
    weights = np.full((len(STYLES), len(STYLES)), 0.01)
    for main, friends in _FRIENDS.items():
        for sub, weight in friends.items():
            weights[STYLES.index(main), STYLES.index(sub)] = weight
    np.fill_diagonal(weights, 0.0)
    mains = np.array([MAIN_IMAGES[style] for style in STYLES], dtype=np.float64)
    mains /= mains.sum()
    target = np.array([SUB_SHARES[style] for style in STYLES])
    target /= target.sum()
    for _ in range(60):
        weights /= weights.sum(axis=1, keepdims=True)
        shares = mains @ weights
        weights *= target / shares
    weights /= weights.sum(axis=1, keepdims=True)
    return weights


def main_styles(images: int, rng: np.random.Generator) -> list[str]:
    """Main styles of ``images`` images in random order; the counts follow Table 2 to the image (largest remainders)."""
    exact = np.array([MAIN_IMAGES[style] for style in STYLES]) * images / sum(MAIN_IMAGES.values())
    counts = np.floor(exact).astype(int)
    for at in np.argsort(-(exact - counts), kind="stable")[: images - counts.sum()]:
        counts[at] += 1
    styles = [style for style, count in zip(STYLES, counts, strict=True) for _ in range(count)]
    return [styles[at] for at in rng.permutation(len(styles))]


def sub_styles(main: str, rng: np.random.Generator) -> list[str]:
    """Sub styles of one image, in the order of ``STYLES``, never the main style."""
    count = int(rng.choice(len(SUB_COUNTS), p=SUB_COUNTS))
    row = sub_probabilities()[STYLES.index(main)]
    chosen = rng.choice(len(STYLES), size=count, replace=False, p=row)
    return [STYLES[at] for at in sorted(int(at) for at in chosen)]


def similar_style(main: str, not_these: Sequence[str], rng: np.random.Generator) -> str:
    """A style that is easily taken for ``main``."""
    row = sub_probabilities()[STYLES.index(main)].copy()
    for style in not_these:
        row[STYLES.index(style)] = 0.0
    return STYLES[int(rng.choice(len(STYLES), p=row / row.sum()))]
