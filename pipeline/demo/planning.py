"""What happens on the demo's network: which posts there are, by whom, when and with what."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from pipeline.demo.pictures import EDITS, Drawing
from pipeline.demo.posts import AUTHORS, OTHER_TAGS, choose_author, choose_tags, choose_text, post_time
from pipeline.demo.styles import main_styles, sub_styles

START, END = datetime(2019, 7, 1, tzinfo=UTC), datetime(2019, 9, 1, tzinfo=UTC)
MONDAY = datetime(2019, 9, 2, tzinfo=UTC)  # the first added week begins here
WEEK = timedelta(days=7)
LEAST_OF_A_WEEK = 40  # posts
SHARES: dict[str, float] = {  # of all posts; the rest are outfits
    "repost": 0.110,
    "same_bytes": 0.017,
    "outside_window": 0.040,
    "other_tag": 0.020,
    "no_image": 0.016,
    "boost": 0.010,
    "sensitive": 0.007,
    "truncated": 0.008,
    "deleted": 0.006,
    "html_page": 0.004,
    "animated": 0.002,
    "too_many_pixels": 0.0014,
}
DRAWN_KINDS = ("outfit", "sensitive", "outside_window", "other_tag", "truncated")


@dataclass(frozen=True)
class Plan:
    """One post to be made. ``drawings`` are new pictures, ``origin`` is the post whose picture is posted again."""

    number: int
    kind: str
    author: str
    created_at: datetime
    arrival: datetime
    tags: tuple[str, ...]
    text: str
    drawings: tuple[Drawing, ...] = ()
    origin: int | None = None
    edit: str | None = None
    names: tuple[str, ...] = ()  # media names without suffix


def media_name(number: int, index: int = 0) -> str:
    """Name of a post's picture, without suffix."""
    return f"{number:06d}-{index}"


def quotas(posts: int) -> dict[str, int]:
    """Posts of each kind, at least one of each; the rest are outfits."""
    counts = {kind: max(1, round(share * posts)) for kind, share in SHARES.items()}
    counts["outfit"] = posts - sum(counts.values())
    if counts["outfit"] < 1:
        raise ValueError(f"a world of {posts} posts has no room for outfits; ask for at least 40")
    return counts


def plan_posts(posts: int, seed: int, authors: int = AUTHORS) -> list[Plan]:
    """Plan all posts of a world; the pictures are not drawn yet.

    Raises ValueError if there is no room for outfits beside one post of every other kind.
    """
    return _plan([], quotas(posts), seed, np.random.default_rng([seed, 0]), authors, (START, END))


def plan_weeks(posts: int, seed: int, weeks: int, authors: int = AUTHORS) -> list[list[Plan]]:
    """Plan a world and what is posted in so many weeks after it: the posts of the world, then those of each week.

    A week has as many posts as the world has a week, and reposts pictures of any time before. What was posted after the
    end of the world, to be left out, is posted after the last week instead: with its number, it stands in each list.
    """
    parts = [plan_posts(posts, seed, authors)]
    later = [plan for plan in parts[0] if plan.kind == "outside_window" and plan.created_at >= END]
    earlier = list(parts[0])
    counts = quotas(max(LEAST_OF_A_WEEK, round(posts * WEEK / (END - START))))
    counts["outside_window"] = 0
    for week in range(1, weeks + 1):
        period = (end_of(week) - WEEK, end_of(week))
        own = _plan(earlier, counts, seed, np.random.default_rng([seed, 0, week]), authors, period)
        earlier += own
        shift = end_of(week) - END
        parts.append([*own, *(_later(plan, shift) for plan in later)])
    return parts


def end_of(weeks: int) -> datetime:
    """Return when the world ends to which so many weeks were added."""
    return MONDAY + weeks * WEEK if weeks else END


def _later(plan: Plan, shift: timedelta) -> Plan:
    return replace(plan, created_at=plan.created_at + shift, arrival=plan.arrival + shift)


def _plan(
    earlier: list[Plan],
    counts: dict[str, int],
    seed: int,
    rng: np.random.Generator,
    authors: int,
    period: tuple[datetime, datetime],
) -> list[Plan]:
    """Plan posts of a period, numbered on from the earlier ones, whose pictures may be posted again."""
    extra = round(0.04 * counts["outfit"])  # second pictures
    drawn = [kind for kind in DRAWN_KINDS for _ in range(counts[kind])]
    mains = main_styles(counts["outfit"] + extra, rng)
    more = main_styles(len(drawn) - counts["outfit"], rng)
    plans: list[Plan] = []
    for at, kind in enumerate(drawn):
        number = len(earlier) + at
        plan = _fresh(number, kind, rng, authors, period)
        styles = [mains.pop()] if kind == "outfit" else [more.pop()]
        if kind == "outfit" and at < extra:
            styles.append(mains.pop())
        names = tuple(media_name(number, index) for index in range(len(styles)))
        drawings = tuple(
            Drawing(
                name,
                main,
                tuple(sub_styles(main, rng)),
                _seed(seed, number, index),
                shown=kind in ("outfit", "truncated"),
            )
            for index, (name, main) in enumerate(zip(names, styles, strict=True))
        )
        plans.append(replace(plan, drawings=drawings, names=names))
    plans += _repeats([*earlier, *plans], counts, rng, authors, period)
    for kind in ("no_image", "deleted", "html_page", "animated", "too_many_pixels"):
        for _ in range(counts[kind]):
            plan = _fresh(len(earlier) + len(plans), kind, rng, authors, period)
            plans.append(plan if kind == "no_image" else replace(plan, names=(media_name(plan.number),)))
    return plans


def _seed(seed: int, number: int, index: int) -> int:
    return seed * 1_000_003 + number * 10 + index


def _fresh(number: int, kind: str, rng: np.random.Generator, authors: int, period: tuple[datetime, datetime]) -> Plan:
    """A post of somebody's own."""
    if kind == "outside_window":
        before = rng.random() < 0.5
        start, end = (START - timedelta(days=25), START) if before else (END, END + timedelta(days=25))
        created = post_time(rng, start, end)
    else:
        created = post_time(rng, *period)
    tags = (OTHER_TAGS[int(rng.integers(len(OTHER_TAGS)))],) if kind == "other_tag" else choose_tags(rng)
    return Plan(number, kind, choose_author(rng, authors), created, _arrival(rng, created), tags, choose_text(rng))


def _arrival(rng: np.random.Generator, created: datetime) -> datetime:
    """When the server heard of a post: at once, or days later from a slow one."""
    late = rng.uniform(600, 4 * 86_400) if rng.random() < 0.06 else rng.uniform(0, 5)
    return created + timedelta(seconds=float(late))


def _repeats(
    plans: list[Plan],
    counts: dict[str, int],
    rng: np.random.Generator,
    authors: int,
    period: tuple[datetime, datetime],
) -> list[Plan]:
    """Reposts, uploads of the very same file, and boosts: later than their originals, by other authors."""
    start, end = period
    last = end - timedelta(days=1)
    origins = [plan for plan in plans if plan.kind == "outfit" and plan.created_at < last]
    edits = tuple(EDITS)
    repeats: list[Plan] = []
    for kind in ("repost", "same_bytes", "boost"):
        for at in range(counts[kind]):
            origin = origins[int(rng.integers(len(origins)))]
            number = len(plans) + len(repeats)
            since = max(origin.created_at, start)
            reach = min((end - since).total_seconds() - 60, 30 * 86_400)
            created = since + timedelta(seconds=int(rng.uniform(1800, reach)))
            author = choose_author(rng, authors)
            repeats.append(
                Plan(number, kind, author, created, _arrival(rng, created), choose_tags(rng), choose_text(rng),
                     origin=origin.number, edit=edits[at % len(edits)] if kind == "repost" else None,
                     names=() if kind == "boost" else (media_name(number),))
            )  # fmt: skip
    return repeats
