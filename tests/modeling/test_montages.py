"""Captions under pictures: what they say, and that they can be read in the script of the labels."""

import io
import unicodedata

import pandas as pd
import pytest
from matplotlib.font_manager import fontManager
from PIL import Image, ImageDraw

from modeling.charts import WIDE_FONTS
from modeling.montages import error_gallery, picture_grid

ERROR = {"image_id": "a", "main": "Retro", "subs": ["Casual"], "wrong_label": "Sporty", "wrong_probability": 0.9} | {
    "true_label": "Retro",
    "true_probability": 0.04,
}
KOREAN = "\ub85c\ub9e8\ud2f1"  # romantic


@pytest.fixture
def drawn(monkeypatch):
    """The lines that are drawn, each with its font."""
    lines = []
    text = ImageDraw.ImageDraw.text

    def noting(self, at, line, *args, **options):
        lines.append((line, options["font"]))
        return text(self, at, line, *args, **options)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", noting)
    return lines


def test_caption_of_an_error_says_what_is_predicted_and_what_is_true(drawn):
    error_gallery(pd.DataFrame([ERROR]), lambda image_id: None)
    assert [line for line, _ in drawn] == ["true: Retro + Casual", "predicted Sporty: 90%", "true Retro: 4%"]


@pytest.mark.skipif(
    not set(WIDE_FONTS) & set(fontManager.get_font_names()), reason="this machine has no font with Korean glyphs"
)
def test_korean_labels_are_drawn_in_a_font_that_has_them(drawn):
    error_gallery(pd.DataFrame([ERROR | {"main": KOREAN, "subs": [], "true_label": KOREAN}]), lambda image_id: None)
    fonts = dict(drawn)
    assert fonts[f"true: {KOREAN}"].getname()[0] in WIDE_FONTS
    assert fonts["predicted Sporty: 90%"].getname()[0] == "DejaVu Sans"
    glyph = fonts[f"true: {KOREAN}"].getmask
    assert bytes(glyph(KOREAN[0])) != bytes(glyph(KOREAN[1])), "not one box for every character"


def test_wide_captions_stay_under_their_picture(drawn):
    """A line of Korean takes nearly twice the room of as many Latin letters."""
    sheet = picture_grid([(Image.new("RGB", (9, 9)), f"{KOREAN} " * 12)], size=(170, 40))
    image = Image.open(io.BytesIO(sheet)).convert("RGB")
    right = image.crop((image.width - 10, 0, image.width, image.height))
    assert all(low >= 250 for low, _ in right.getextrema())
    assert all(font.getlength(line) <= 180 for line, font in drawn)
    assert all(unicodedata.category(character) != "Cn" for line, _ in drawn for character in line)
