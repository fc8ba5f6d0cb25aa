"""How each annotator works: how many answers, how fast, how reviewers and the other annotators see them, and drift.

An annotator is compared with the consensus of the others, which leaves out their own answer: what a reviewer accepted
of the others, else the value that more than half of them gave. Own answers count also where a reviewer rejected them;
"can't tell" is no answer to compare. Where two people label each image, a change of one of them shows at the other too:
the one with the greatest drift is to be looked at first.
"""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from labeling.agreement_figures import kappa_of_cells
from labeling.answer_pairs import Ints
from labeling.consensus import CANT_TELL, answer_values, valid_reviews
from labeling.tables import ANNOTATORS

LEAST_COMPARED = 20  # answers, below which an annotator or a week is not judged
LONGEST_LEAD_TIME = 1800.0  # seconds; more is a tab left open
_ANYTIME = ""  # in place of a week: all the time


def annotator_figures(
    annotations: pd.DataFrame, quarantined: pd.DataFrame | None = None, *, permutations: int = 4999, seed: int = 0
) -> pa.Table:
    """Describe every annotator: ``ANNOTATORS``, for each a row over all the time and one for each ISO week of answers.

    - Lead times of 0 or less were not measured and those above half an hour are a tab left open: they are left out, and
      ``timed`` says how many remain.
    - ``kappa`` is Cohen's, with the consensus of the others; null below 20 answers to compare.
    - Drift: kappa of the last week with 20 or more answers to compare, less kappa of all weeks before it. Its p-value
      is that of a two-sided permutation test, in which the weeks of the answers are shuffled (Monte Carlo), corrected
      by Holm for the number of annotators tested. It stands in the row over all the time; null where one of the two
      periods has fewer than 20 answers to compare. A small p says that the annotator changed, or that the images did.

    Args:
        annotations: rows of ``ANNOTATIONS``, at most one for each image and annotator.
        quarantined: rows of ``QUARANTINED_ANNOTATIONS``, which say who skipped how many tasks.
        permutations: of the test; the least p-value is 1 / (permutations + 1), before it is corrected.
        seed: of the permutations.
    """
    rows = annotations.sort_values(["image_id", "annotator"], kind="stable").reset_index(drop=True)
    rows = rows.assign(week=rows["created_at"].dt.strftime("%G-W%V"), review=valid_reviews(rows))
    table = _counted(rows)
    judged = [
        _judged(str(name), part, permutations, np.random.default_rng([seed, place]))
        for place, (name, part) in enumerate(_compared(rows).groupby("annotator", sort=True))
    ]
    columns = ["annotator", "week", "compared", "kappa", "drift_week", "drift", "drift_p"]
    kappas = pd.DataFrame([row for part in judged for row in part], columns=columns)
    kappas["drift_p"] = _holm(kappas["drift_p"].to_numpy(np.float64))
    table = table.merge(kappas, on=["annotator", "week"], how="left")
    table = _with_skipped(table, quarantined).sort_values(["annotator", "week"])
    table[["answers", "timed", "reviewed", "compared"]] = table[["answers", "timed", "reviewed", "compared"]].fillna(0)
    table["week"] = table["week"].where(table["week"] != _ANYTIME)
    return pa.Table.from_pandas(table[ANNOTATORS.names], ANNOTATORS, preserve_index=False).replace_schema_metadata(None)


def _counted(rows: pd.DataFrame) -> pd.DataFrame:
    """Answers, lead times and reviews of each annotator, over all the time and by week."""
    credible = (rows["lead_time"] > 0) & (rows["lead_time"] <= LONGEST_LEAD_TIME)
    decided = rows["review"].notna()
    facts = pd.DataFrame(
        {
            "annotator": rows["annotator"],
            "week": rows["week"],
            "lead_time": rows["lead_time"].where(credible),
            "reviewed": decided,
            "accepted": (rows["review"] == "accepted").astype(float).where(decided),
        }
    )
    both = pd.concat([facts.assign(week=_ANYTIME), facts[facts["week"].notna()]])
    groups = both.groupby(["annotator", "week"], sort=True)
    table = pd.DataFrame(
        {
            "answers": groups.size(),
            "timed": groups["lead_time"].count(),
            "lead_time_median": groups["lead_time"].median(),
            "lead_time_p90": groups["lead_time"].quantile(0.9),
            "reviewed": groups["reviewed"].sum(),
            "accepted_share": groups["accepted"].mean(),
        }
    )
    table["rejected_share"] = 1.0 - table["accepted_share"]
    return table.reset_index()


def _compared(rows: pd.DataFrame) -> pd.DataFrame:
    """Answers for which the others have one: annotator, week, and the places of the values ``own`` and ``other``."""
    votes = (rows["answer"] != CANT_TELL).to_numpy()
    value, values = pd.factorize(answer_values(rows), sort=True)
    image, images = pd.factorize(rows["image_id"])
    size = (len(images), max(len(values), 1))
    counted = votes & (rows["review"] != "rejected").to_numpy()
    of_review = _without_own(image, value, (rows["review"] == "accepted").to_numpy(), size)
    decided = of_review.sum(axis=1) > 0
    others = np.where(decided[:, None], of_review, _without_own(image, value, counted, size))
    best, given = others.argmax(axis=1), others.sum(axis=1)
    support = others[np.arange(len(rows)), best]
    clear = np.where(decided, support == given, 2 * support > given)  # reviewers of two opinions leave a conflict
    known = clear & votes & ~np.isin(best, value[~votes])
    table: pd.DataFrame = rows[["annotator", "week"]].assign(own=value, other=best)[known]
    return table


def _without_own(image: Ints, value: Ints, counted: np.ndarray[Any, np.dtype[np.bool_]], size: tuple[int, int]) -> Ints:
    """How often each value was given to the image of each answer, by others: ``(answers, values) int64``."""
    votes = np.zeros(size, np.int64)
    np.add.at(votes, (image[counted], value[counted]), 1)
    others = votes[image]
    others[np.flatnonzero(counted), value[counted]] -= 1
    return others


def _judged(name: str, part: pd.DataFrame, permutations: int, random: np.random.Generator) -> list[dict[str, Any]]:
    """Kappa and drift of one annotator, a row over all the time and one for each week."""
    weeks = sorted(part["week"].dropna().unique())
    cells, cell = np.unique(np.stack([part["own"], part["other"]]), axis=1, return_inverse=True)
    week = part["week"].map({key: place for place, key in enumerate(weeks)})
    dated = week.notna().to_numpy()
    by_week = np.zeros((len(weeks), cells.shape[1]), np.int64)
    np.add.at(by_week, (week[dated].astype(np.int64), cell.reshape(-1)[dated]), 1)
    everything = np.bincount(cell.reshape(-1), minlength=cells.shape[1])
    counts = np.concatenate([everything[None], by_week])
    compared = counts.sum(axis=1)
    kappa = np.where(compared >= LEAST_COMPARED, kappa_of_cells(counts, *cells), np.nan)
    rows: list[dict[str, Any]] = [
        {"annotator": name, "week": key, "compared": int(number), "kappa": value}
        for key, number, value in zip([_ANYTIME, *weeks], compared, kappa, strict=True)
    ]
    enough = np.flatnonzero(compared[1:] >= LEAST_COMPARED)
    if len(enough):
        last = int(enough[-1])
        drift = _drift(by_week[last], by_week[:last].sum(axis=0), cells, permutations, random)
        if drift is not None:
            rows[0] |= {"drift_week": weeks[last], "drift": drift[0], "drift_p": drift[1]}
    return rows


def _drift(
    late: Ints, early: Ints, cells: Ints, permutations: int, random: np.random.Generator
) -> tuple[float, float] | None:
    """Kappa late less early and its p-value; None with too few early answers, or where a kappa is undefined.

    Shuffled weeks put as many answers into the late period as it has, drawn from the cells of both without replacement.
    """
    if early.sum() < LEAST_COMPARED:
        return None
    difference = float(kappa_of_cells(late, *cells) - kappa_of_cells(early, *cells))
    if np.isnan(difference):
        return None
    both = late + early
    drawn = random.multivariate_hypergeometric(both, int(late.sum()), permutations, method="count")
    shuffled = kappa_of_cells(drawn, *cells) - kappa_of_cells(both - drawn, *cells)
    as_far = ~(np.abs(shuffled) < abs(difference) - 1e-12)  # an undefined kappa counts as far
    return difference, float(1 + as_far.sum()) / (1 + permutations)


def _holm(p: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Correct p-values for their number (Holm 1979); NaN stays and is not counted."""
    corrected = np.full(len(p), np.nan)
    order = np.argsort(p)[: int(np.isfinite(p).sum())]
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return corrected


def _with_skipped(table: pd.DataFrame, quarantined: pd.DataFrame | None) -> pd.DataFrame:
    """Add the column ``skipped``, and rows for those who only skipped."""
    if quarantined is None:
        return table.assign(skipped=None)
    skipped = quarantined.loc[quarantined["reason"] == "skipped", "annotator"].value_counts()
    counts = pd.DataFrame({"annotator": skipped.index, "week": _ANYTIME, "skipped": skipped.to_numpy()})
    table = table.merge(counts, on=["annotator", "week"], how="outer")
    return table.assign(skipped=table["skipped"].fillna(0).where(table["week"] == _ANYTIME))
