"""Whether shares of styles, their movements and drift were found in a simulated year as they were planted."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from pipeline.champions import champion_data_set
from pipeline.simulation.configuration import LABEL_SET
from pipeline.simulation.plan import NEW_PAIR, Year, any_shares, main_shares, pair_shares
from pipeline.simulation.verdicts import Verdict
from pipeline.simulation.year import Lived

# Of the windows: over all labels, and for each. Intervals of 95% hold less than 80% of 52 windows once in 20,000 times,
# but they know of chance alone, and 7% of the experts' main labels are mistakes that favour some styles.
_COVERED, _LEAST_COVERED = 0.90, 0.80
_FEW_WINDOWS = 26  # with fewer, one window more than the rule allows may miss
_MOVES, _STAYS = 0.10, 0.03  # planted change over the year that must be found, and that must not
_MOST_FALSE_DRIFT = 0.1  # share of windows like the champion's training windows that may be flagged
_ALIKE = 0.08  # total variation distance between a window and them

Shares = Callable[[Year, int], dict[str, float]]
_PLANTED: dict[str, Shares] = {"main": main_shares, "any": any_shares}


def trend_verdicts(lived: Lived) -> list[Verdict]:
    """Judge intervals, movements and co-occurrence; for experts and model apart."""
    trends = lived.storage.read_table("style_trends").to_pandas()
    movements = lived.storage.read_table("style_movements").to_pandas()
    verdicts = [_coverage(lived.year, trends, source, role) for source in ("experts", "model") for role in _PLANTED]
    verdicts += [direction(lived.year, movements, source, role) for source in ("experts", "model") for role in _PLANTED]
    changes = lived.storage.read_table("cooccurrence_changes").to_pandas()
    return [*verdicts, *_pairs(lived, changes)]


def covered(year: Year, trends: pd.DataFrame, role: str) -> dict[str, float]:
    """Return the share of windows whose interval holds the planted share, by label; STYLE_TRENDS of one source."""
    weeks = {window: week for week, window in enumerate(year.windows)}
    rows = trends[trends["role"] == role]
    planted = [_PLANTED[role](year, weeks[row.window]).get(row.label, 0.0) for row in rows.itertuples()]
    held = (rows["low"] <= np.array(planted) + 1e-9) & (np.array(planted) - 1e-9 <= rows["high"])
    return {str(label): float(share) for label, share in held.groupby(rows["label"]).mean().items()}


def _coverage(year: Year, trends: pd.DataFrame, source: str, role: str) -> Verdict:
    rows = trends[trends["source"] == source]
    shares = covered(year, rows, role)
    what = f"planted shares inside the 95% intervals: {source}, {role}"
    wanted = f"at least {_COVERED:.0%} of windows, of each label {_LEAST_COVERED:.0%}"
    if not shares:
        return Verdict(what, wanted, "no interval", False)
    least = min(shares, key=lambda label: shares[label])
    windows = rows["window"].nunique()
    slack = 0.0 if windows >= _FEW_WINDOWS else 1 / windows
    mean = sum(shares.values()) / len(shares)
    found = f"{mean:.0%} of {windows} windows, least {shares[least]:.0%} ({least})"
    return Verdict(what, wanted, found, mean >= _COVERED - slack and shares[least] >= _LEAST_COVERED - slack)


def planted_directions(year: Year, role: str) -> dict[str, str]:
    """Return rising, falling or steady by label, where the plan is clear about it."""
    weeks = np.arange(year.weeks)
    series: dict[str, list[float]] = {}
    for week in weeks:
        for label, share in _PLANTED[role](year, int(week)).items():
            series.setdefault(label, []).append(share)
    changes = {label: float(np.polyfit(weeks, shares, 1)[0]) * (year.weeks - 1) for label, shares in series.items()}
    directions = {
        label: "rising" if change > 0 else "falling" for label, change in changes.items() if abs(change) > _MOVES
    }
    return directions | {label: "steady" for label, change in changes.items() if abs(change) < _STAYS}


def direction(year: Year, movements: pd.DataFrame, source: str, role: str) -> Verdict:
    """Experts must find every clear movement; a model may miss one, but may not see one that is not there."""
    planted = planted_directions(year, role)
    rows = movements[(movements["source"] == source) & (movements["role"] == role)]
    found = dict(zip(rows["label"], rows["direction"], strict=True))
    unknown = set(planted) - set(found)  # a series that is not there finds nothing, also nothing wrong
    false = {label for label, way in found.items() if label in planted and way not in (planted[label], "steady")}
    missed = {label for label, way in found.items() if way == "steady" and planted.get(label, way) != "steady"}
    strict = source == "experts" and year.weeks >= _FEW_WINDOWS
    words = ", ".join(f"{label} {found.get(label, 'unknown')}" for label in sorted(planted))
    told = ", ".join(f"{label} {way}" for label, way in sorted(planted.items()))
    return Verdict(f"movements: {source}, {role}", told, words, not unknown and not false and not (missed and strict))


def _pairs(lived: Lived, changes: pd.DataFrame) -> list[Verdict]:
    """Judge the pair that comes up in the second half, and the pairs that do not change."""
    year, level = lived.year, lived.settings.trends.significance
    rows = changes[changes["source"] == "experts"]
    found = {frozenset((row.label_a, row.label_b)): row.change for row in rows.itertuples() if row.p_adjusted < level}
    recent = year.weeks - lived.settings.trends.recent
    planted = _pair_changes(year, recent)
    new = frozenset(NEW_PAIR)
    words = f"{found[new]:+.1%} of images" if new in found else "no change"
    strict = year.weeks >= _FEW_WINDOWS
    opposite = [pair for pair, change in found.items() if change * planted.get(pair, 0.0) <= 0]
    told = ", ".join(" + ".join(sorted(pair)) for pair in opposite) or "none"
    return [
        Verdict(
            f"{' + '.join(NEW_PAIR)} worn together",
            f"{planted[new]:+.1%} of images",
            words,
            found.get(new, 0) > 0 or not strict,
        ),
        Verdict("pairs that changed though nothing was planted", "none", told, not opposite),
    ]


def _pair_changes(year: Year, recent: int) -> dict[frozenset[str], float]:
    """Return how the planted share of each pair changed: weeks from ``recent`` on against those before."""
    shares = [pair_shares(year, week) for week in range(year.weeks)]
    pairs = set().union(*shares)

    def mean(pair: frozenset[str], weeks: list[dict[frozenset[str], float]]) -> float:
        return sum(week.get(pair, 0.0) for week in weeks) / len(weeks)

    return {pair: mean(pair, shares[recent:]) - mean(pair, shares[:recent]) for pair in pairs}


def drift_verdicts(lived: Lived) -> list[Verdict]:
    """Judge drift as it was seen at the time: the festival must be flagged, windows like the training windows not."""
    seen = [rows for _, rows in lived.journal.drifted if len(rows)]
    every = pd.concat(seen) if seen else pd.DataFrame(columns=["window", "model_version", "drifted"])
    flagged = every.groupby(["window", "model_version"])["drifted"].any() if len(every) else pd.Series(dtype=bool)
    festival = [lived.year.window(week) for week in lived.year.festival]
    found = sorted({window for window, _ in flagged[flagged].index} & set(festival))
    alike = {key: bool(value) for key, value in flagged.items() if _distance(lived, *key) < _ALIKE}
    false = sum(alike.values())
    share = false / max(1, len(alike))
    return [
        Verdict(
            "festival windows flagged as drifted", ", ".join(festival), ", ".join(found) or "none", found == festival
        ),
        Verdict(
            "windows like the champion's training windows, flagged as drifted",
            f"at most {_MOST_FALSE_DRIFT:.0%}",
            f"{false} of {len(alike)} ({share:.0%})",
            share <= _MOST_FALSE_DRIFT,
        ),
    ]


def _distance(lived: Lived, window: str, model_version: str) -> float:
    """Total variation between the planted main shares of a window and of those that a champion was trained on."""
    weeks = {name: week for week, name in enumerate(lived.year.windows)}
    trained = champion_data_set(lived.storage, LABEL_SET, model_version)["window"]
    before = pd.DataFrame([main_shares(lived.year, weeks[name]) for name in trained]).mean()
    now = pd.Series(main_shares(lived.year, weeks[window]))
    return float((now - before).abs().sum() / 2)
