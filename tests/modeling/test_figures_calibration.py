"""Charts of calibration and slices: PNGs of a sensible size, the same bytes every time."""

import io
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from modeling import figures_calibration
from modeling.calibration import expected_calibration_error, reliability_table
from modeling.charts import BLUE, ORANGE
from modeling.figures_calibration import reliability_plot, slices_plot
from modeling.slices import slices
from tests.modeling.scores_case import several_seeds


def picture(png):
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    return Image.open(io.BytesIO(png)).convert("RGB")


def pixels(png, color):
    wanted = tuple(int(color[at : at + 2], 16) for at in (1, 3, 5))
    return sum(count for count, shade in picture(png).getcolors(1 << 20) if shade == wanted)


@pytest.fixture(scope="module")
def scores():
    return several_seeds(1, 2, sharpness=3.0)


@pytest.fixture(scope="module")
def sliced(scores):
    ids = sorted(set(scores["image_id"]))
    facts = pd.DataFrame({"window": ["2019-07-01", "2019-08-01"] * 60, "source": "$ource & <b>"}, index=ids)
    return slices(scores, facts, 100)


def test_charts_are_readable_and_the_same_every_time(scores, sliced):
    for draw in (lambda: reliability_plot(reliability_table(scores)), lambda: slices_plot(sliced)):
        png = draw()
        image = picture(png)
        assert 300 <= image.width <= 1600
        assert 200 <= image.height <= 1600
        assert pixels(png, BLUE) > 200
        assert png == draw()


def test_reliability_shows_before_and_after(scores):
    table = reliability_table(scores).to_pandas()
    assert pixels(reliability_plot(table), ORANGE) > 200
    assert pixels(reliability_plot(table[table["calibrated"]]), ORANGE) == 0
    assert reliability_plot(table, "validation") != reliability_plot(table, "test")


def shares_of(table, monkeypatch):
    """The upper chart of a reliability plot."""
    drawn = []
    monkeypatch.setattr(figures_calibration, "png", lambda figure: drawn.append(figure.axes[0]) or b"")
    reliability_plot(table)
    return drawn[0]


def test_error_in_the_legend_is_that_of_all_seeds_together(scores, monkeypatch):
    test = scores[scores["split"] == "test"]
    probabilities, targets = (np.array(list(values)) for values in (test["scores"], targets_of(test)))
    together = expected_calibration_error(probabilities, targets)
    legend = shares_of(reliability_table(scores), monkeypatch).get_legend()
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts[1] == f"after calibration, error {100 * together:.1f}%, seeds together"
    assert texts[0].startswith("before calibration, error ")
    assert texts[0].endswith("%, seeds together")


def targets_of(scores):
    return [[name in (row.main, *row.subs) for name in row.labels] for row in scores.itertuples()]


def test_line_goes_past_bins_of_few_answers(monkeypatch):
    rows = [(0.0, 500), (0.25, 9), (0.5, 10)]
    table = pd.DataFrame(
        {"split": "test", "calibrated": True, "low": low, "high": low + 0.25, "answers": answers}
        | {"probability": low + 0.1, "share": low}
        for low, answers in rows
    )
    lines = [line for line in shares_of(table, monkeypatch).get_lines() if line.get_color() == BLUE]
    by_style = {line.get_linestyle(): line.get_xdata().tolist() for line in lines}
    assert by_style == {"-": pytest.approx([10, 60]), "None": pytest.approx([35])}


def test_more_slices_make_a_taller_chart(sliced):
    table = sliced.to_pandas()
    fewer = table[table["dimension"] == "labels"]
    assert picture(slices_plot(fewer)).height < picture(slices_plot(table)).height
    assert slices_plot(table, metric="any@1") != slices_plot(table, metric="all@2")


def test_slices_without_an_interval_have_a_dot(sliced):
    table = sliced.to_pandas()
    without = table.assign(low=float("nan"), high=float("nan"))
    assert 0 < pixels(slices_plot(without), BLUE) < pixels(slices_plot(table), BLUE)


def test_tables_without_rows_have_charts(scores, sliced):
    assert pixels(reliability_plot(reliability_table(scores).slice(0, 0)), BLUE) == 0
    assert pixels(slices_plot(sliced.slice(0, 0)), BLUE) == 0


def test_importing_the_charts_loads_neither_torch_nor_matplotlib():
    code = "import sys, modeling.figures_calibration; print([n for n in ('torch', 'matplotlib') if n in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
