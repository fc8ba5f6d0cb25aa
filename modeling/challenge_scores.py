"""SCORES rows of champion and challenger made comparable: the same truth, the same labels."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from modeling.errors import ModelingError
from modeling.label_sets import as_frame


def of_test_split(scores: pd.DataFrame | pa.Table) -> pd.DataFrame:
    """The rows of the test split."""
    rows = as_frame(scores)
    return rows[rows["split"] == "test"]


def labels_of(scores: pd.DataFrame) -> list[str]:
    """The labels that the rows have scores for, in their order; none without a row."""
    return list(scores["labels"].iloc[0]) if len(scores) else []


def changed_labels(now: Sequence[str], before: Sequence[str]) -> tuple[list[str], list[str]]:
    """Labels that came and labels that went."""
    return [label for label in now if label not in before], [label for label in before if label not in now]


def same_truth(champion: pd.DataFrame, challenger: pd.DataFrame) -> pd.DataFrame:
    """The champion's rows with the truth, groups and labels of the challenger's, in their order."""
    alone = sorted(set(champion["image_id"]) ^ set(challenger["image_id"]))
    if alone:
        raise ModelingError(f"image {alone[0]} was scored with one of champion and challenger only: score both on it")
    truth = challenger.drop_duplicates("image_id").set_index("image_id")[["group_id", "main", "subs"]]
    kept = champion.drop(columns=["group_id", "main", "subs"]).join(truth, on="image_id")
    return with_labels(kept, labels_of(challenger))


def with_labels(scores: pd.DataFrame, labels: Sequence[str]) -> pd.DataFrame:
    """The rows with the answers for these labels only, in this order."""
    before, kept = labels_of(scores), scores.copy()
    order = np.array([before.index(label) for label in labels])
    kept["labels"] = [list(labels)] * len(kept)
    for name in ("scores", "logits"):
        kept[name] = [np.asarray(values)[order] for values in kept[name]]
    return kept
