"""What a simulated year holds: how often styles are worn in each week, and what goes wrong when."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta

RISING, FALLING, FESTIVE, NEW = "Sporty", "Romantic", "Gothpunkrocker", "Kitschkidult"
STEADY = ("Ethnic", "Military", FESTIVE)
STYLES = (FALLING, RISING, *STEADY)  # that experts may give from the beginning
NEW_PAIR = ("Military", "Ethnic")  # main and sub style that are worn together from the second half on

_FIRST = {FALLING: 0.44, RISING: 0.12, "Ethnic": 0.20, "Military": 0.14, FESTIVE: 0.10}  # share as main style
_LAST = {FALLING: 0.08, RISING: 0.32, "Ethnic": 0.20, "Military": 0.14, FESTIVE: 0.10, NEW: 0.16}
_SUBS = {  # chance of one sub style, by main style; no image has more than one
    FALLING: {"Ethnic": 0.25},
    RISING: {"Military": 0.20},
    "Ethnic": {FALLING: 0.25},
    "Military": {},
    FESTIVE: {FALLING: 0.20},
    NEW: {RISING: 0.20},
}
_NEW_PAIR_CHANCE = 0.6
_FESTIVAL = 0.5  # of the posts of a festival week are of the festive style, beside its usual share of the rest
_CRAWLED_AT, _LABELLED_AT, _ACTED_AT = time(8), time(17), time(9)  # the first as the crons of the settings


@dataclass(frozen=True)
class Year:
    """The plan. Weeks are numbered from 0 and are the crawl windows; what is said of a week happens after it ended.

    ``posts`` and ``labelled`` are what people post and the labelling team manages in a usual week.
    """

    weeks: int = 52
    posts: int = 50
    labelled: int = 26
    seed: int = 2020
    start: date = date(2019, 1, 7)  # a Monday
    outage: int = 8  # the server does not answer when this week is to be crawled
    bad_week: int = 16  # nine of ten posts show pictures that were posted before
    festival: tuple[int, ...] = (23, 24)  # half of the posts are of one style
    second_half: int = 26  # the new pair is worn together, and a new style appears, from this week on
    addition: int = 29  # the new style comes into the settings before this week is crawled
    holidays: tuple[int, ...] = (32, 33)  # nobody labels
    withdrawal: int = 36  # an author withdraws
    mistake: int = 42  # somebody trains with a wrong setting
    first_training: int = 100  # labelled images
    new_labels: int = 170  # for a further training
    retraining_days: int = 70
    drift_labels: int = 60

    def begin(self, week: int) -> datetime:
        """Return the first moment of a week."""
        return datetime.combine(self.start, time(), tzinfo=UTC) + timedelta(weeks=week)

    def window(self, week: int) -> str:
        """Return the partition key of a week's crawl window."""
        return self.begin(week).strftime("%Y-%m-%d")

    @property
    def windows(self) -> tuple[str, ...]:
        """The keys of all windows."""
        return tuple(self.window(week) for week in range(self.weeks))

    def crawled_at(self, week: int) -> datetime:
        """Return when a week is crawled: on the Monday after it."""
        return datetime.combine(self.begin(week + 1).date(), _CRAWLED_AT, tzinfo=UTC)

    def labelled_at(self, week: int) -> datetime:
        """Return when the labelling team hands over what it did: on Wednesday."""
        return datetime.combine(self.begin(week + 1).date() + timedelta(days=2), _LABELLED_AT, tzinfo=UTC)

    def acted_at(self, week: int) -> datetime:
        """Return when people withdraw or make mistakes: on Thursday."""
        return datetime.combine(self.begin(week + 1).date() + timedelta(days=3), _ACTED_AT, tzinfo=UTC)


def year_of(weeks: int) -> Year:
    """Return the plan of a year of so many weeks: the usual one, or one with the same events closer together.

    Raises:
        ValueError: there is no room for all that is to happen.
    """
    year = Year()
    if weeks == year.weeks:
        return year
    if weeks < 8:
        raise ValueError("a simulated year needs 8 weeks at least, for all that is to happen in it")

    def at(share: float, least: int) -> int:
        return max(least, round(share * weeks))

    outage = at(0.16, 1)
    bad_week = at(0.31, outage + 1)
    festival = at(0.45, bad_week + 1)
    second_half = at(0.5, festival + 1)
    addition = second_half + at(0.06, 1)
    withdrawal = at(0.7, addition)
    return replace(
        year,
        weeks=weeks,
        outage=outage,
        bad_week=bad_week,
        festival=(festival,),
        second_half=second_half,
        addition=addition,
        holidays=(),
        withdrawal=withdrawal,
        mistake=at(0.81, withdrawal + 1),
        labelled=30,
        first_training=70,
        new_labels=75,
        retraining_days=28,
        drift_labels=30,
    )


def main_shares(year: Year, week: int) -> dict[str, float]:
    """Return each style's chance to be a picture's main style in a week; they sum to 1."""
    shares = _trend(year, week)
    if week in year.festival:
        shares = {label: (1 - _FESTIVAL) * share + _FESTIVAL * (label == FESTIVE) for label, share in shares.items()}
    return shares


def _trend(year: Year, week: int) -> dict[str, float]:
    """Return the shares without festivals: straight lines, and a step where the new style comes."""
    done = week / (year.weeks - 1)
    new = _LAST[NEW] if week >= year.second_half else 0.0
    rising = _FIRST[RISING] + done * (_LAST[RISING] - _FIRST[RISING])
    steady = {label: _FIRST[label] for label in STEADY}
    return {FALLING: 1 - rising - new - sum(steady.values()), RISING: rising, **steady, NEW: new}


def sub_shares(year: Year, week: int, main: str) -> dict[str, float]:
    """Return the chance of each sub style beside a main style in a week; none has what is left to 1."""
    subs = dict(_SUBS[main])
    if main == NEW_PAIR[0] and week >= year.second_half:
        subs[NEW_PAIR[1]] = _NEW_PAIR_CHANCE
    return subs


def any_shares(year: Year, week: int) -> dict[str, float]:
    """Return each style's chance to be a picture's main or sub style in a week."""
    mains = main_shares(year, week)
    shares = dict(mains)
    for main, share in mains.items():
        for sub, chance in sub_shares(year, week, main).items():
            shares[sub] += share * chance
    return shares


def pair_shares(year: Year, week: int) -> dict[frozenset[str], float]:
    """Return the chance of each pair of styles to stand in one picture in a week."""
    shares: dict[frozenset[str], float] = {}
    for main, share in main_shares(year, week).items():
        for sub, chance in sub_shares(year, week, main).items():
            pair = frozenset((main, sub))
            shares[pair] = shares.get(pair, 0.0) + share * chance
    return shares
