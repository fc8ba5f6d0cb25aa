"""From several people's annotations to one answer, the main label and the sub labels of each image.

The rule, in this order:

1. A reviewer's decision. A rejected annotation never counts. If annotations are accepted and give one answer, the last
   one is taken as it is; if they give two, the image is a conflict. Nobody reviews their own work: such a decision, or
   one of an unknown reviewer, is void.
2. The answer is the one that more than half of the voters gave, else the image is a conflict. A style and "no fashion
   image" are votes; "can't tell" abstains. Where nobody votes, the abstentions are the answer.
3. A label is sub if enough of the voters named it, as sub or as main (``ConsensusRule.sub_share``), or if one of them
   chose it as main (``ConsensusRule.minority_main_becomes_sub``).

The status says how the answer came about:

- ``resolved_by_review``: a reviewer accepted it, or rejected others while what is left was there to be seen;
- ``agreed``: two or more gave an answer that counts, and more than half of them the same, without a reviewer's help;
- ``unreviewed``: one answer that counts, and no reviewer looked at it;
- ``conflict``: no answer. More people must label the image, or a reviewer must decide.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from labeling.errors import LabelingError
from labeling.tables import LABELS

STYLE, NOT_FASHION, CANT_TELL = "style", "not_fashion", "cant_tell"  # column answer of ANNOTATIONS and LABELS


class ConsensusRule(BaseModel):
    """How annotations become labels."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sub_share: float = Field(default=0.5, gt=0, le=1, description="least share of voters who name a sub label")
    minority_main_becomes_sub: bool = Field(default=True, description="a main label of a minority becomes a sub label")


@dataclass(frozen=True)
class _Vote:
    annotator: str
    value: str  # main label, not_fashion or cant_tell
    main: str | None
    subs: tuple[str, ...]
    review: str | None  # valid decisions only
    created_at: pd.Timestamp | None
    updated_at: pd.Timestamp | None


@dataclass(frozen=True)
class _Decision:
    status: str  # agreed, resolved_by_review, conflict, unreviewed
    value: str | None = None  # as in _Vote; None: conflict
    subs: tuple[str, ...] = ()


_CONFLICT: Final = _Decision("conflict")


def consensus(annotations: pd.DataFrame, windows: Mapping[str, str], rule: ConsensusRule | None = None) -> pa.Table:
    """Decide the labels of every annotated image: ``LABELS`` sorted by ``image_id``, sub labels sorted by name.

    Args:
        annotations: rows of ``ANNOTATIONS``, at most one for each image and annotator.
        windows: from canonical image id to crawl window.
        rule: what makes a sub label; without it, the defaults of ``ConsensusRule``.

    Raises:
        LabelingError: if an image has no window, or an annotator answers twice for one image.
    """
    rule = rule or ConsensusRule()
    rows: list[dict[str, object]] = []
    for image_id, votes in sorted(_votes(annotations).items()):
        if image_id not in windows:
            raise LabelingError(f"labels of image {image_id} have no crawl window; materialize label_tasks again")
        decision = _decide(votes, rule)
        style = decision.value is not None and decision.value not in (NOT_FASHION, CANT_TELL)
        rows.append(
            {
                "image_id": image_id,
                "window": windows[image_id],
                "status": decision.status,
                "answer": STYLE if style else decision.value,
                "main": decision.value if style else None,
                "subs": list(decision.subs),
                "annotators": len(votes),
                "mains": [vote.value for vote in votes],
            }
        )
    return pa.Table.from_pylist(rows, schema=LABELS)


def answer_values(annotations: pd.DataFrame) -> pd.Series:
    """What each row of ``ANNOTATIONS`` answers, in one column: the main label, ``not_fashion`` or ``cant_tell``."""
    return annotations["main"].where(annotations["answer"] == STYLE, annotations["answer"])


def valid_reviews(annotations: pd.DataFrame) -> pd.Series:
    """Reviewers' decisions, null where there is none or it is void: of one's own work, or of an unknown reviewer."""
    by_another = annotations["reviewer"].notna() & (annotations["reviewer"] != annotations["annotator"])
    return annotations["review"].where(by_another)


def _votes(annotations: pd.DataFrame) -> dict[str, list[_Vote]]:
    """Group the annotations by image, sorted by annotator."""
    ordered = annotations.sort_values(["image_id", "annotator"], kind="stable")
    ordered = ordered.assign(value=answer_values(ordered), review=valid_reviews(ordered))
    columns = ["image_id", "annotator", "value", "main", "subs", "review", "created_at", "updated_at"]
    votes: dict[str, list[_Vote]] = {}
    for image_id, annotator, value, main, subs, review, created_at, updated_at in ordered[columns].itertuples(
        index=False
    ):
        known = votes.setdefault(image_id, [])
        if known and known[-1].annotator == annotator:
            raise LabelingError(f"{annotator} has two annotations of image {image_id}; keep the latest only")
        known.append(
            _Vote(
                annotator,
                value,
                None if pd.isna(main) else main,
                tuple(subs),
                None if pd.isna(review) else review,
                None if pd.isna(created_at) else created_at,
                None if pd.isna(updated_at) else updated_at,
            )
        )
    return votes


def _decide(votes: Sequence[_Vote], rule: ConsensusRule) -> _Decision:
    accepted = [vote for vote in votes if vote.review == "accepted"]
    if accepted:
        if len({vote.value for vote in accepted}) > 1:
            return _CONFLICT
        never = pd.Timestamp(0, tz="UTC")
        latest = max(accepted, key=lambda vote: (vote.updated_at or never, vote.annotator))
        return _Decision("resolved_by_review", latest.value, tuple(sorted(latest.subs)))
    rejected = [vote for vote in votes if vote.review == "rejected"]
    left = [vote for vote in votes if vote.review != "rejected"]
    counted = [vote for vote in left if vote.value != CANT_TELL] or left
    if not counted:
        return _CONFLICT
    value, support = max(Counter(vote.value for vote in counted).items(), key=lambda entry: (entry[1], entry[0]))
    if 2 * support <= len(counted):
        return _CONFLICT
    if _seen_by_reviewer(counted, rejected):
        status = "resolved_by_review"
    else:
        status = "agreed" if len(counted) > 1 else "unreviewed"
    return _Decision(status, value, _subs(counted, value, rule))


def _seen_by_reviewer(counted: Sequence[_Vote], rejected: Sequence[_Vote]) -> bool:
    """True if one of the answers that count stood there when another was rejected; a time that is not known may be."""
    return any(
        vote.created_at is None or other.updated_at is None or vote.created_at <= other.updated_at
        for other in rejected
        for vote in counted
    )


def _subs(votes: Sequence[_Vote], value: str, rule: ConsensusRule) -> tuple[str, ...]:
    if value in (NOT_FASHION, CANT_TELL):
        return ()
    mains = {vote.main for vote in votes} if rule.minority_main_becomes_sub else set()
    named = Counter(label for vote in votes for label in {vote.main, *vote.subs} if label is not None)
    least = rule.sub_share * len(votes) - 1e-9  # a share like 0.1 is not exact
    return tuple(sorted(label for label in named if label != value and (named[label] >= least or label in mains)))
