"""From several people's annotations to one main label and the sub labels of each image.

The rule, in this order:

1. A reviewer's decision. A rejected annotation never counts. If annotations are accepted and have one main label, the
   latest of them is the answer. Nobody reviews their own work: such a decision, or one of an unknown reviewer, is void.
2. The main label is the one that more than half of the annotators chose, else the image is a conflict.
3. A label is sub if at least half of the annotators named it (as sub or as main), or one of them as main.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa

from labeling.errors import LabelingError
from labeling.tables import LABELS


@dataclass(frozen=True)
class _Vote:
    annotator: str
    main: str
    subs: tuple[str, ...]
    review: str | None  # valid decisions only
    updated_at: pd.Timestamp


@dataclass(frozen=True)
class _Decision:
    status: str  # agreed, resolved_by_review, majority, single, conflict
    main: str | None
    subs: tuple[str, ...]


def consensus(annotations: pd.DataFrame, windows: Mapping[str, str]) -> pa.Table:
    """Decide the labels of every annotated image: ``LABELS`` sorted by ``image_id``, sub labels sorted by name.

    Args:
        annotations: rows of ``ANNOTATIONS``, at most one for each image and annotator.
        windows: from canonical image id to crawl window.

    Raises:
        LabelingError: if an image has no window, or an annotator answers twice for one image.
    """
    rows: list[dict[str, object]] = []
    for image_id, votes in sorted(_votes(annotations).items()):
        if image_id not in windows:
            raise LabelingError(f"labels of image {image_id} have no crawl window; materialize label_tasks again")
        decision = _decide(votes)
        rows.append(
            {
                "image_id": image_id,
                "window": windows[image_id],
                "status": decision.status,
                "main": decision.main,
                "subs": list(decision.subs),
                "annotators": len(votes),
                "mains": [vote.main for vote in votes],
            }
        )
    return pa.Table.from_pylist(rows, schema=LABELS)


def _votes(annotations: pd.DataFrame) -> dict[str, list[_Vote]]:
    """Group the annotations by image, sorted by annotator."""
    columns = ["image_id", "annotator", "main", "subs", "review", "reviewer", "updated_at"]
    votes: dict[str, list[_Vote]] = {}
    ordered = annotations[columns].sort_values(["image_id", "annotator"], kind="stable")
    for image_id, annotator, main, subs, review, reviewer, updated_at in ordered.itertuples(index=False):
        known = votes.setdefault(image_id, [])
        if known and known[-1].annotator == annotator:
            raise LabelingError(f"{annotator} has two annotations of image {image_id}; keep the latest only")
        void = pd.isna(review) or pd.isna(reviewer) or reviewer == annotator
        moment = pd.Timestamp(0, tz="UTC") if pd.isna(updated_at) else updated_at
        known.append(_Vote(annotator, main, tuple(subs), None if void else review, moment))
    return votes


def _decide(votes: list[_Vote]) -> _Decision:
    accepted = [vote for vote in votes if vote.review == "accepted"]
    if accepted:
        if len({vote.main for vote in accepted}) > 1:
            return _Decision("conflict", None, ())
        latest = max(accepted, key=lambda vote: (vote.updated_at, vote.annotator))
        return _Decision("resolved_by_review", latest.main, tuple(sorted(latest.subs)))
    counted = [vote for vote in votes if vote.review != "rejected"]
    mains = Counter(vote.main for vote in counted)
    if not mains:
        return _Decision("conflict", None, ())
    main, support = max(mains.items(), key=lambda entry: (entry[1], entry[0]))
    if 2 * support <= len(counted):
        return _Decision("conflict", None, ())
    if len(counted) < len(votes):
        status = "resolved_by_review"
    elif len(counted) == 1:
        status = "single"
    else:
        status = "agreed" if support == len(counted) else "majority"
    return _Decision(status, main, _subs(counted, main, mains))


def _subs(votes: list[_Vote], main: str, mains: Counter[str]) -> tuple[str, ...]:
    named = Counter(label for vote in votes for label in {vote.main, *vote.subs})
    return tuple(
        sorted(label for label in named if label != main and (2 * named[label] >= len(votes) or label in mains))
    )
