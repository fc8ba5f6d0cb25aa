"""What a simulated year is judged by: right findings pass, wrong ones do not."""

import numpy as np
import pandas as pd
import pytest

from pipeline.simulation.plan import FALLING, NEW, RISING, Year, main_shares
from pipeline.simulation.training_verdicts import _in_two_splits, _moved
from pipeline.simulation.trend_verdicts import covered, direction, planted_directions
from pipeline.simulation.verdicts import all_of, exact, same


def test_numbers_and_names_are_compared() -> None:
    assert exact("posts", 3, 3).ok
    assert not exact("posts", 3, 2).ok
    assert all_of("posts", ["a", "b"], ["a", "b", "c"]).ok
    assert not all_of("posts", ["a", "b"], ["a"]).ok
    assert not same("windows", ["a"], ["a", "b"]).ok
    assert same("windows", [], []).found == "none"


def _trends(year: Year, off: float) -> pd.DataFrame:
    """Intervals of half width 0.05 around shares that are ``off`` from the planted ones."""
    rows = [
        {
            "window": year.window(week),
            "label": label,
            "role": "main",
            "low": share + off - 0.05,
            "high": share + off + 0.05,
        }
        for week in range(year.weeks)
        for label, share in main_shares(year, week).items()
    ]
    return pd.DataFrame(rows)


def test_intervals_are_counted_that_hold_the_planted_share() -> None:
    year = Year()
    assert set(covered(year, _trends(year, 0.04), "main").values()) == {1.0}
    assert set(covered(year, _trends(year, 0.06), "main").values()) == {0.0}


def test_intervals_of_the_right_width_hold_the_planted_share_at_the_nominal_rate() -> None:
    year, rng = Year(), np.random.default_rng(0)
    images, rows = 200, []
    for week in range(year.weeks):
        for label, share in main_shares(year, week).items():
            seen = rng.binomial(images, share) / images
            half = 1.96 * np.sqrt(share * (1 - share) / images)
            rows.append(
                {"window": year.window(week), "label": label, "role": "main", "low": seen - half, "high": seen + half}
            )
    shares = covered(year, pd.DataFrame(rows), "main")
    assert min(shares.values()) >= 0.85
    assert np.mean(list(shares.values())) == pytest.approx(0.95, abs=0.03)


def test_directions_are_those_of_the_plan() -> None:
    directions = planted_directions(Year(), "main")
    assert directions[RISING] == directions[NEW] == "rising"
    assert directions[FALLING] == "falling"
    assert directions["Ethnic"] == directions["Military"] == directions["Gothpunkrocker"] == "steady"
    assert planted_directions(Year(), "any").get("Military") != "falling"


def test_leaks_and_moved_images_are_seen() -> None:
    rows = pd.DataFrame({"image_id": ["a", "b", "c"], "key": ["x", "x", "y"], "split": ["train", "test", "train"]})
    assert _in_two_splits(rows) == 1
    assert _in_two_splits(rows.assign(split="test")) == 0
    after = rows.assign(split=["train", "train", "train"])
    assert _moved(rows, after) == 1
    assert _moved(rows, rows.iloc[:2]) == 0


def _movements(year: Year, **other: str) -> pd.DataFrame:
    found = planted_directions(year, "main") | other
    rows = [{"source": "model", "role": "main", "label": label, "direction": way} for label, way in found.items()]
    return pd.DataFrame(rows)


def test_a_model_may_miss_a_movement_but_not_see_one_that_is_not_there() -> None:
    year = Year()
    assert direction(year, _movements(year), "model", "main").ok
    assert direction(year, _movements(year, **{RISING: "steady"}), "model", "main").ok
    assert not direction(year, _movements(year, **{RISING: "falling"}), "model", "main").ok
    assert not direction(year, _movements(year, Ethnic="rising"), "model", "main").ok
    assert not direction(year, _movements(year).assign(source="experts").iloc[1:], "experts", "main").ok
    missed = _movements(year, **{RISING: "steady"}).assign(source="experts")
    assert not direction(year, missed, "experts", "main").ok


def test_a_series_that_is_missing_is_not_right() -> None:
    assert not direction(Year(), _movements(Year()).iloc[:0], "model", "main").ok
