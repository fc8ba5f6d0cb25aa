"""Jobs: the stages of the graph that run together, in the order in which the launcher runs them."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

CRAWL = "crawl_window"
COLLECTION = "collection"
LABELS = "expert_labels"
LABEL_SET = "label_set"
MODEL = "train_and_evaluate"
COMPARISON = "compare"
REPORT = "write_report"


def jobs() -> Sequence[Any]:
    """Return the jobs; each runs its steps in one process."""
    return [
        _job(
            CRAWL,
            ["posts", "images", "deleted_posts", "crawl_counts", "image_hashes"],
            "Crawl one window and hash its images.",
        ),
        _job(COLLECTION, ["unique_images", "similar_pairs", "label_tasks"], "Find near-duplicates; make label tasks."),
        _job(
            LABELS,
            ["annotations", "quarantined_annotations", "labels", "agreement", "label_frequencies"],
            "Read the experts' annotations and settle them into labels.",
        ),
        _job(
            LABEL_SET,
            ["data_set", "split_balance", "word_vectors", "correlation_matrix"],
            "Make one label set's data set and label graph.",
        ),
        _job(MODEL, ["model", "training_curves", "scores", "evaluation"], "Train and evaluate one architecture."),
        _job(COMPARISON, ["comparison"], "Compare the architectures on one label set."),
        _job(REPORT, ["report"], "Write the HTML report."),
    ]


def _job(name: str, assets: list[str], description: str) -> Any:
    return dg.define_asset_job(
        name,
        selection=assets,
        description=description,
        executor_def=dg.in_process_executor,
    )
