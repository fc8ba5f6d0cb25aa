"""What a simulation leaves out of its history, and that it is back afterwards."""

import io

from matplotlib.figure import Figure
from PIL import Image

from pipeline.simulation.history import white_charts


def _size() -> tuple[int, int]:
    buffer = io.BytesIO()
    Figure(figsize=(2, 1), dpi=50).savefig(buffer, format="png")
    with Image.open(buffer) as picture:
        picture.load()
        return picture.size


def test_charts_are_white_pixels_only_while_a_year_passes() -> None:
    with white_charts():
        assert _size() == (1, 1)
    assert _size() == (100, 50)
