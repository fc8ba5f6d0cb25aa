"""Charts of trends, movements, co-occurrence, drift and champions."""

import datetime as dt
import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from modeling import figures_operation as figures
from modeling.charts import BLUE, GREEN, ORANGE, PURPLE
from modeling.settings import TrendSettings
from modeling.tables import DRIFT, PROMOTIONS, STYLE_MOVEMENTS, STYLE_TRENDS
from modeling.trends import trends
from tests.modeling.operation_case import World, followed, window_names


def color(name):
    return tuple(int(name[at : at + 2], 16) for at in (1, 3, 5))


def picture(png):
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    return Image.open(io.BytesIO(png)).convert("RGB")


def pixels(png, name):
    return int((np.asarray(picture(png)) == color(name)).all(axis=2).sum())


@pytest.fixture(scope="module")
def followed_tables():
    """Trends of a year in which one style rises, with a gap."""
    world, names = World(), window_names(10)
    for place, name in enumerate(names):
        if place != 5:
            world.draw(name, 120, (0.6 - 0.05 * place, 0.1 + 0.05 * place, 0.2, 0.1))
    one = followed(world.data_set(names[:2]))
    found = trends([one], names, world.read, world.labels(share=0.5), TrendSettings(resamples=100))
    return [table.to_pandas() for table in found[:3]]


def drift_rows(windows, drifted=False):
    kinds = ["expert_labels", "predicted_labels", "scores", "embeddings"]
    rows = [
        {"window": window, "what": what, "distance": 0.3 if drifted else 0.05, "threshold": 0.15, "drifted": drifted}
        for window in window_names(windows)
        for what in kinds
    ]
    return pd.DataFrame(rows)


def promotion_rows(count):
    rules = ["first", "better", "not_better", "person"]
    decisions = ["promoted", "promoted", "refused", "rolled_back"]
    rows = [
        {
            "decided_at": dt.datetime(2024, 1, 1, tzinfo=dt.UTC) + dt.timedelta(weeks=at),
            "decision": decisions[at % 4], "rule": rules[at % 4],
            "challenger_value": None if at % 4 == 3 else 0.6 + 0.002 * at,
            "champion_value": None if at % 4 in (0, 3) else 0.59, "low": -0.02, "high": 0.05,
        }
        for at in range(count)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_charts_of_followed_styles_show_both_sources_and_what_moves(followed_tables):
    shares, moves, pairs = followed_tables
    for role in ("main", "any"):
        png = figures.style_trends(shares, role)
        assert pixels(png, BLUE) > 200
        assert pixels(png, PURPLE) > 50
        assert png == figures.style_trends(shares, role)
    png = figures.style_movements(moves)
    assert pixels(png, GREEN) > 100  # a rising style
    assert pixels(png, ORANGE) > 100  # a falling one
    steady = figures.style_movements(moves.assign(direction="steady"))
    assert pixels(steady, GREEN) < pixels(png, GREEN) / 2  # the legend only
    assert figures.cooccurrence_changes(pairs, "experts") != figures.cooccurrence_changes(pairs, "model")


def test_one_source_and_one_window_are_drawn(followed_tables):
    shares, moves, _ = followed_tables
    one = shares[shares["window"] == shares["window"].min()]
    assert pixels(figures.style_trends(one), BLUE) > 10
    experts = figures.style_trends(shares[shares["source"] == "experts"])
    assert pixels(experts, BLUE) == 0
    assert picture(figures.style_movements(moves[moves["source"] == "experts"])).width > 500


@pytest.mark.parametrize("windows", [1, 9, 52, 300])
def test_drift_frames_the_windows_that_drifted(windows):
    calm, moved = figures.drift(drift_rows(windows)), figures.drift(drift_rows(windows, drifted=True))
    ink = "#1f2933"
    assert pixels(moved, ink) > pixels(calm, ink)
    assert picture(moved).width <= 1900


def test_windows_too_small_to_test_have_no_distance_and_are_drawn():
    rows = drift_rows(4)
    rows.loc[rows["window"] == rows["window"].min(), "distance"] = np.nan
    assert figures.drift(rows) != figures.drift(drift_rows(4))


@pytest.mark.parametrize("count", [1, 4, 60])
def test_champions_show_decisions(count):
    png = figures.champions(promotion_rows(count))
    assert pixels(png, GREEN) > 20
    assert (pixels(png, BLUE) > 20) == (count >= 4)  # a roll-back
    assert picture(png).width <= 2200


def test_empty_tables_give_a_small_picture_that_says_so():
    empty = [
        figures.style_trends(STYLE_TRENDS.empty_table().to_pandas()),
        figures.style_movements(STYLE_MOVEMENTS.empty_table().to_pandas()),
        figures.cooccurrence_changes(pd.DataFrame({"source": []})),
        figures.drift(DRIFT.empty_table().to_pandas()),
        figures.champions(PROMOTIONS.empty_table().to_pandas()),
    ]
    assert all(picture(png).height < 150 for png in empty)
    assert len(set(empty)) == len(empty)
