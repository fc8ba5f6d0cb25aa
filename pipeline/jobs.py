"""Jobs: the stages of the graph that run together, in the order in which the launcher runs them."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from pipeline.settings import Settings

CRAWL = "crawl_window"
COLLECTION = "collection"
LABELS = "expert_labels"
LABEL_SET = "label_set"
MODEL = "train_and_evaluate"
COMPARISON = "compare"
ABLATION = "compare_forms"
SUSPICION = "find_suspicious_labels"
QUEUE = "queue_images"
PRE_ANNOTATION = "show_predictions_to_experts"
RETURN = "return_tasks_to_experts"
REPORT = "write_report"


def jobs(settings: Settings) -> Sequence[Any]:
    """Return the jobs; each runs its steps in one process."""
    live = settings.label_studio is not None
    collection = ["unique_images", "similar_pairs", "label_tasks"]
    labels = ["annotations", "quarantined_annotations", "labels", "agreement", "main_confusion", "annotators"]
    if live:
        collection.append("queued_tasks")
        labels += ["annotation_versions", "prediction_acceptance", "returned_tasks"]
    result = [
        _job(
            CRAWL,
            ["posts", "images", "deleted_posts", "crawl_counts", "image_hashes"],
            "Crawl one window and hash its images.",
        ),
        _job(COLLECTION, collection, "Find near-duplicates; make label tasks."),
        _job(LABELS, [*labels, "label_frequencies"], "Read the experts' annotations and settle them into labels."),
        _job(
            LABEL_SET,
            ["data_set", "split_balance", "word_vectors", "tau_sweep", "correlation_matrix"],
            "Make one label set's data set and label graph.",
        ),
        _job(
            MODEL,
            ["model", "training_curves", "seed_runs", "scores", "evaluation", "slices", "reliability", "model_card"],
            "Train and evaluate one architecture.",
        ),
        _job(ABLATION, ["ablation"], "Compare forms of the model on one label set, on a small budget."),
        _job(COMPARISON, ["comparison"], "Compare the architectures on one label set."),
        _job(SUSPICION, ["suspicious_labels"], "Find the labels of one label set that are probably wrong."),
        _job(REPORT, ["report"], "Write the HTML report."),
    ]
    if live:
        result += [
            _job(QUEUE, ["queued_tasks"], "Put further images before the experts."),
            _job(PRE_ANNOTATION, ["pre_annotations"], "Show experts what the best model would answer."),
            _job(RETURN, ["returned_tasks"], "Give back to experts and reviewers what they should look at again."),
        ]
    return result


def _job(name: str, assets: list[str], description: str) -> Any:
    return dg.define_asset_job(
        name,
        selection=assets,
        description=description,
        executor_def=dg.in_process_executor,
    )
