import imagehash
import numpy as np
import pytest
from PIL import Image

from pipeline.demo.drawing.accents import ACCENTS
from pipeline.demo.drawing.fabrics import PATTERNS, Fabric
from pipeline.demo.drawing.scenes import SCENES
from pipeline.demo.drawing.wardrobe import RECIPES
from pipeline.demo.illustrations import choose_outfit, describe_outfit, draw_outfit
from pipeline.demo.styles import STYLES

SMALL = (160, 200)


def test_every_style_has_outfits_and_accents() -> None:
    assert set(RECIPES) == set(ACCENTS) == set(STYLES)
    assert len(STYLES) == 23


@pytest.mark.parametrize("style", STYLES)
def test_style_draws_alone_and_as_sub_style(style: str) -> None:
    for seed in range(3):
        picture = draw_outfit(style, (), seed, SMALL)
        assert picture.size == SMALL
        assert picture.mode == "RGB"
        assert np.asarray(picture).std() > 10
    other = "Casual" if style != "Casual" else "Elegant"
    assert draw_outfit(other, (style,), 1, SMALL).tobytes() != draw_outfit(other, (), 1, SMALL).tobytes()


def test_same_arguments_give_the_same_pixels() -> None:
    assert (
        draw_outfit("Retro", ("Casual",), 5, SMALL).tobytes() == draw_outfit("Retro", ("Casual",), 5, SMALL).tobytes()
    )
    assert (
        draw_outfit("Retro", ("Casual",), 5, SMALL).tobytes() != draw_outfit("Retro", ("Casual",), 6, SMALL).tobytes()
    )


def test_every_scene_can_stand_behind_every_outfit() -> None:
    named = {
        scene
        for recipe in RECIPES.values()
        for seed in range(20)
        for scene in recipe(np.random.default_rng(seed)).scenes
    }
    assert named <= set(SCENES)


@pytest.mark.parametrize("pattern", sorted(PATTERNS))
def test_pattern_fills_any_size(pattern: str) -> None:
    fabric = Fabric(pattern, (120, 60, 40), (240, 220, 200), (20, 30, 60))
    sheet = fabric.sheet(301, 77, 150.0)
    assert sheet.size == (301, 77)
    assert len(set(sheet.get_flattened_data())) > 1


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(KeyError, match=r"'Streetwear'.*Casual"):
        choose_outfit("Streetwear", (), np.random.default_rng(0))
    with pytest.raises(KeyError, match=r"'tartan'.*plaid"):
        Fabric("tartan", (0, 0, 0)).sheet(8, 8, 10.0)


def test_unrelated_pictures_are_no_near_duplicates() -> None:
    pictures = [draw_outfit(STYLES[at % 4], (), 1000 + at, SMALL) for at in range(24)]
    hashes = [imagehash.phash(picture, hash_size=16) for picture in pictures]
    distances = [hashes[a] - hashes[b] for a in range(24) for b in range(a)]
    assert min(distances) > 56


def test_styles_can_be_told_apart_by_their_colours() -> None:
    """A nearest-mean classifier on 6 x 8 thumbnails, far weaker than a network, beats chance clearly but not always."""
    styles = ("Casual", "Romantic", "Sexy", "Ethnic", "Sporty")

    def features(style: str, seed: int) -> np.ndarray:
        thumbnail = draw_outfit(style, (), seed, SMALL).resize((6, 8), Image.Resampling.BOX)
        return np.asarray(thumbnail, dtype=np.float64).ravel()

    means = np.stack([np.mean([features(style, seed) for seed in range(15)], axis=0) for style in styles])
    answers = [
        (int(np.argmin(((means - features(style, seed)) ** 2).sum(axis=1))), truth)
        for truth, style in enumerate(styles)
        for seed in range(100, 112)
    ]
    share = np.mean([given == truth for given, truth in answers])
    assert 0.3 < share < 0.98


def test_alt_text_names_garments_and_not_the_style() -> None:
    for style in STYLES:
        text = describe_outfit(style, (), 3)
        assert text.startswith("A drawn figure in ")
        assert style.casefold() not in text.casefold()
