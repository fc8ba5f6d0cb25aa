"""Which styles are seen together more, or less, often than before."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modeling.following import Ints
from modeling.paired_tests import holm


@dataclass(frozen=True)
class PairCounts:
    """Images of a stretch of windows: how many, and how many carry both labels of a pair (C, C)."""

    images: int
    both: Ints


def cooccurrence_rows(
    before: PairCounts, recent: PairCounts, labels: Sequence[str], common: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Rows of COOCCURRENCE_CHANGES of every pair of labels; none where either stretch has no image.

    Fisher's exact test of both labels' share of the images, adjusted over the pairs (Holm).
    """
    from scipy.stats import fisher_exact  # late: the graph is loaded without scipy

    if not before.images or not recent.images:
        return []
    rows = []
    for a, b in itertools.combinations(range(len(labels)), 2):
        counts = [int(part.both[a, b]) for part in (before, recent)]
        table = [[count, part.images - count] for count, part in zip(counts, (before, recent), strict=True)]
        shares = counts[0] / before.images, counts[1] / recent.images
        rows.append(
            {
                "label_a": labels[a],
                "label_b": labels[b],
                **common,
                "images_before": before.images,
                "images_recent": recent.images,
                "share_before": shares[0],
                "share_recent": shares[1],
                "change": shares[1] - shares[0],
                "p_value": float(fisher_exact(table).pvalue) if any(counts) else 1.0,
            }
        )
    for row, adjusted in zip(rows, holm([row["p_value"] for row in rows]), strict=True):
        row["p_adjusted"] = adjusted
    return rows
