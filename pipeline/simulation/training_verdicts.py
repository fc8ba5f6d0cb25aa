"""Whether a simulated year's data sets, trainings and champions are what they should be."""

from collections import defaultdict
from datetime import timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from modeling.metrics import mean_of_five
from pipeline import jobs
from pipeline.champions import champion_data_set, champion_path, champion_versions
from pipeline.simulation.configuration import LABEL_SET
from pipeline.simulation.verdicts import Verdict, exact
from pipeline.simulation.year import Lived

_SAME = 1e-6  # between a figure and the same one computed again
_SEEN = ("train", "validation")


def split_verdicts(lived: Lived) -> list[Verdict]:
    """Look for leaks in every data set that was ever made, by what was planted and not by the tables' own groups."""
    world = lived.world
    authors: dict[str, set[str]] = defaultdict(set)
    for post in world.planted.posts:
        for image_id in post.image_ids:
            authors[world.planted.root(image_id)].add(post.author)
    made = lived.journal.data_sets
    shared = sum(_in_two_splits(one.rows.assign(key=one.rows["image_id"].map(world.planted.root))) for one in made)
    by_author = 0
    for one in made:
        first = {root: min(authors[root]) for root in authors if len(authors[root]) == 1}
        rows = one.rows.assign(key=one.rows["image_id"].map(world.planted.root).map(first)).dropna(subset=["key"])
        by_author += _in_two_splits(rows)
    moved = sum(_moved(before.rows, after.rows) for before, after in pairwise(made))
    return [
        Verdict("data sets made", "several", f"{len(made)}", len(made) >= 2),
        exact("pictures in two splits, over all data sets", 0, shared),
        exact("authors in two splits, over all data sets", 0, by_author),
        exact("images that changed their split from one data set to the next", 0, moved),
    ]


def _in_two_splits(rows: pd.DataFrame) -> int:
    return int((rows.groupby("key")["split"].nunique() > 1).sum())


def _moved(before: pd.DataFrame, after: pd.DataFrame) -> int:
    both = before.merge(after, on="image_id", suffixes=("_before", "_after"))
    return int((both["split_before"] != both["split_after"]).sum())


def training_verdicts(lived: Lived) -> list[Verdict]:
    """Compare trainings with the requests for them, and every decision on the champion with its rule."""
    requests = lived.storage.read_table("training_requests", (LABEL_SET,)).to_pandas()
    due = requests[requests["due"]]
    decisions = lived.storage.read_table("promotions", (LABEL_SET,)).to_pandas()
    promoted = decisions[decisions["decision"] == "promoted"]
    made = [one for one in lived.journal.data_sets if one.job != jobs.WITHDRAWAL]
    return [
        exact("trainings, each asked for with a reason", len(made), int((due["reason"] != "").sum())),
        Verdict("first champion", "promoted", _word(bool(len(promoted))), bool(len(promoted))),
        _mistake(lived, decisions),
        *_champion_verdicts(lived, promoted),
    ]


def _mistake(lived: Lived, decisions: pd.DataFrame) -> Verdict:
    """The challenger that a person trained with a wrong setting must be refused."""
    asked = lived.year.acted_at(lived.year.mistake)
    soon = decisions[(decisions["decided_at"] >= asked) & (decisions["decided_at"] < asked + timedelta(days=1))]
    found = "; ".join(f"{row.decision} ({row.rule})" for row in soon.itertuples()) or "no decision"
    return Verdict(
        "challenger of a training with a wrong setting", "refused", found, list(soon["decision"])[-1:] == ["refused"]
    )


def _word(done: bool) -> str:
    return "promoted" if done else "none"


def _champion_verdicts(lived: Lived, promoted: pd.DataFrame) -> list[Verdict]:
    """Score every champion and its predecessor again, on the test images of the data set that was decided on."""
    margin = lived.settings.promotion.margin
    worse, other, compared = [], [], 0
    for row in promoted.dropna(subset=["champion_before"]).to_dict("records"):
        if row["rule"] == "labels_changed":
            continue
        compared += 1
        values, images, whole = _again(lived, row)
        if values[0] - values[1] < -margin:
            worse.append(row["champion"])
        if whole and (images != row["images"] or abs(values[0] - row["challenger_value"]) > _SAME):
            then = f"{row['challenger_value']:.3f} on {row['images']}"
            other.append(f"{row['champion']}: {then}, again {values[0]:.3f} on {images}")
    kept = set(champion_versions(lived.storage, LABEL_SET))
    missing = set(promoted["champion"]) - kept
    return [
        exact(f"champions below their predecessors by more than {margin}, of {compared} compared", 0, len(worse)),
        Verdict("figures of promotions, computed again", "the same", "; ".join(other) or "the same", not other),
        exact("champions that cannot be loaded any more", 0, len(missing)),
    ]


def _again(lived: Lived, row: dict[str, Any]) -> tuple[list[float], int, bool]:
    """Return the values of new and old champion, of how many images, and whether none of those was withdrawn since."""
    from modeling.predict import score_unseen  # brings torch

    versions = [row["champion"], row["champion_before"]]
    current = next(one.rows for one in lived.journal.data_sets if one.version == row["data_set_version"])
    test = current[current["split"] == "test"]
    for version in versions:
        seen = champion_data_set(lived.storage, LABEL_SET, version)
        seen = seen[seen["split"].isin(_SEEN)]
        for column in ("image_id", "file_id", "group_id"):
            test = test[~test[column].isin(seen[column])]
    withdrawn = lived.world.withdrawn_images()
    staying = test[~test["image_id"].isin(withdrawn)]
    values = []
    for version in versions:
        folder = champion_path(lived.storage, LABEL_SET, version)
        scores = score_unseen(folder, staying, lived.storage.image_path).to_pandas()
        labels = list(scores["labels"].iloc[0])
        carried = [{scored.main, *scored.subs} for scored in scores.itertuples()]
        targets = np.array([[label in mine for label in labels] for mine in carried])
        values.append(mean_of_five(np.stack(scores["scores"].tolist()), targets))
    whole = not set(current["image_id"]) & withdrawn
    return values, len(staying), whole
