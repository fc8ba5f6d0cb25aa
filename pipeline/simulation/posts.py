"""The posts of a simulated year, week by week; the pictures are not drawn yet."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np

from pipeline.demo.pictures import EDITS, Drawing
from pipeline.demo.planning import Plan, media_name
from pipeline.demo.posts import OTHER_TAGS, choose_author, choose_tags, choose_text, post_time
from pipeline.simulation.plan import Year, main_shares, sub_shares

AUTHORS = 300
_KINDS = {  # share of a usual week's posts
    "outfit": 0.80, "repost": 0.09, "same_bytes": 0.02, "boost": 0.01, "no_image": 0.02, "sensitive": 0.01,
    "other_tag": 0.02, "truncated": 0.015, "deleted": 0.015,
}  # fmt: skip
_BAD_WEEK = {"outfit": 0.1, "repost": 0.9}
_DRAWN = ("outfit", "sensitive", "other_tag", "truncated")
_REPEATS = ("repost", "same_bytes", "boost")
_LOOK_BACK = 20  # weeks that a repost goes back at most
_AGAIN = ("same_bytes", "repost")  # how others post a withdrawn author's pictures in the weeks after the withdrawal


@dataclass(frozen=True)
class YearOfPosts:
    """All posts in order of their numbers, the week of each, and the author who withdraws."""

    plans: tuple[Plan, ...]
    weeks: tuple[int, ...]
    withdrawn_author: str


def plan_year(year: Year) -> YearOfPosts:
    """Plan every post; the same year gives the same posts.

    Raises:
        ValueError: nobody has only pictures of their own, which could be withdrawn.
    """
    planner = _Planner(year)
    for week in range(year.withdrawal + 1):
        planner.add_week(week)
    author = planner.most_active()
    planner.repeats_nothing = author
    again = [plan for plan in planner.plans if plan.kind == "outfit" and plan.author == author]
    for week in range(year.withdrawal + 1, year.weeks):
        planner.add_week(week)
        if kinds := _AGAIN[week - year.withdrawal - 1 : week - year.withdrawal]:
            planner.add_repeat(week, kinds[0], again[0])
    return YearOfPosts(tuple(planner.plans), tuple(planner.weeks), author)


@dataclass
class _Planner:
    year: Year
    plans: list[Plan] = field(default_factory=list)
    weeks: list[int] = field(default_factory=list)
    repeats_nothing: str | None = None  # the author who withdraws has only pictures of their own

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng([self.year.seed, 0])

    def add_week(self, week: int) -> None:
        """Add the posts of one week."""
        shares = _BAD_WEEK if week == self.year.bad_week else _KINDS
        kinds = self._rng.choice(list(shares), size=self.year.posts, p=list(shares.values()))
        for kind in map(str, kinds):
            if kind not in _REPEATS:
                self._add_own(week, kind)
            elif week == 0:  # nothing is there to be posted again
                self._add_own(week, "outfit")
            else:
                self.add_repeat(week, kind, self._origin(week))

    def most_active(self) -> str:
        """Return who posted most outfits, of those who never showed another one's picture."""
        others = {plan.author for plan in self.plans if plan.kind in _REPEATS}
        posts = Counter(plan.author for plan in self.plans if plan.kind == "outfit" and plan.author not in others)
        if not posts:
            raise ValueError("nobody has only pictures of their own to withdraw: plan more posts")
        return min(posts, key=lambda author: (-posts[author], author))

    def add_repeat(self, week: int, kind: str, origin: Plan) -> None:
        """Add a post that shows the picture of an earlier one."""
        author = self._author()
        while author in (origin.author, self.repeats_nothing):
            author = self._author()
        number = len(self.plans)
        edit = list(EDITS)[number % len(EDITS)] if kind == "repost" else None
        names = () if kind == "boost" else (media_name(number),)
        self._add(week, kind, author, origin=origin.number, edit=edit, names=names)

    def _add_own(self, week: int, kind: str) -> None:
        number = len(self.plans)
        names = () if kind == "no_image" else (media_name(number),)
        drawings = (self._drawing(week, number),) if kind in _DRAWN else ()
        tags = (OTHER_TAGS[int(self._rng.integers(len(OTHER_TAGS)))],) if kind == "other_tag" else None
        self._add(week, kind, self._author(), names=names, drawings=drawings, tags=tags)

    def _add(self, week: int, kind: str, author: str, tags: tuple[str, ...] | None = None, **more: object) -> None:
        created = post_time(self._rng, self.year.begin(week), self.year.begin(week + 1))
        plan = Plan(
            len(self.plans), kind, author, created, self._arrival(created), tags or choose_tags(self._rng),
            choose_text(self._rng), **more,
        )  # fmt: skip
        self.plans.append(plan)
        self.weeks.append(week)

    def _author(self) -> str:
        return choose_author(self._rng, AUTHORS)

    def _arrival(self, created: datetime) -> datetime:
        """Return when the server heard of a post: at once, or from a slow server within the crawl's delay."""
        late = self._rng.uniform(600, 5 * 3600) if self._rng.random() < 0.06 else self._rng.uniform(0, 5)
        return created + timedelta(seconds=float(late))

    def _drawing(self, week: int, number: int) -> Drawing:
        mains = main_shares(self.year, week)
        main = str(self._rng.choice(list(mains), p=list(mains.values())))
        subs = sub_shares(self.year, week, main)
        sub = str(self._rng.choice([*subs, ""], p=[*subs.values(), 1 - sum(subs.values())]))
        seed = self.year.seed * 1_000_003 + number * 10
        return Drawing(media_name(number), main, (sub,) if sub else (), seed)

    def _origin(self, week: int) -> Plan:
        """Return an outfit of an earlier week, not too long ago."""
        first = max(0, week - _LOOK_BACK)
        outfits = [
            plan
            for plan, posted in zip(self.plans, self.weeks, strict=True)
            if plan.kind == "outfit" and first <= posted < week
        ]
        return outfits[int(self._rng.integers(len(outfits)))]
