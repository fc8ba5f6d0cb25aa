"""The plan of a simulated year, and the posts that follow from it."""

import numpy as np
import pytest

from pipeline.simulation.plan import FALLING, NEW, NEW_PAIR, RISING, Year, any_shares, main_shares, pair_shares, year_of
from pipeline.simulation.posts import plan_year


@pytest.mark.parametrize("weeks", [8, 13, 26, 52])
def test_everything_has_its_place_in_years_of_any_length(weeks: int) -> None:
    year = year_of(weeks)
    once = [year.outage, year.bad_week, *year.festival, year.addition, year.mistake]
    assert len(set(once)) == len(once)
    assert max(*once, year.second_half, year.withdrawal) < weeks
    assert year.second_half < year.addition
    for week in range(weeks):
        shares = main_shares(year, week)
        assert sum(shares.values()) == pytest.approx(1)
        assert min(shares.values()) >= 0
        assert (shares[NEW] > 0) == (week >= year.second_half)


def test_a_year_that_is_too_short_is_refused() -> None:
    with pytest.raises(ValueError, match="8 weeks"):
        year_of(7)


def test_styles_rise_fall_and_meet_as_planned() -> None:
    year = Year()
    first, last = main_shares(year, 0), main_shares(year, year.weeks - 1)
    assert last[RISING] > first[RISING] + 0.15
    assert last[FALLING] < first[FALLING] - 0.15
    pair = frozenset(NEW_PAIR)
    assert pair_shares(year, year.second_half - 1).get(pair, 0.0) == 0
    assert pair_shares(year, year.second_half)[pair] == pytest.approx(0.14 * 0.6)
    assert any_shares(year, 0)["Ethnic"] == pytest.approx(0.20 + 0.44 * 0.25)


def test_posts_follow_the_plan() -> None:
    year = Year()
    posts = plan_year(year)
    weeks = np.array(posts.weeks)
    bad = [plan.kind for plan, week in zip(posts.plans, posts.weeks, strict=True) if week == year.bad_week]
    assert bad.count("repost") / len(bad) > 0.8
    for plan, week in zip(posts.plans, posts.weeks, strict=True):
        assert year.begin(week) <= plan.created_at < year.begin(week + 1)
        assert (plan.arrival - year.begin(week + 1)).total_seconds() < 6 * 3600  # the crawl's delay
        if plan.origin is not None:
            assert posts.plans[plan.origin].created_at < plan.created_at
    assert np.bincount(weeks).min() >= year.posts


def test_who_withdraws_shows_own_pictures_only_and_others_show_them_later() -> None:
    year = Year()
    posts = plan_year(year)
    own = {plan.number for plan in posts.plans if plan.author == posts.withdrawn_author and plan.kind == "outfit"}
    assert not [p for p in posts.plans if p.author == posts.withdrawn_author and p.origin is not None]
    later = [
        plan.kind
        for plan, week in zip(posts.plans, posts.weeks, strict=True)
        if plan.origin in own and week > year.withdrawal
    ]
    assert {"same_bytes", "repost"} <= set(later)


def test_the_same_year_gives_the_same_posts() -> None:
    assert plan_year(year_of(8)) == plan_year(year_of(8))
