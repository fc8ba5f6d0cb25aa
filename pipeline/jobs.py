"""Jobs: the stages of the graph that run together, in the order in which the launcher runs them."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from pipeline.automation import WINDOWS_ON_TIME
from pipeline.lineage import TRAINING_TAG
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
CHAMPION = "choose_champion"
STYLES = "predict_styles"
TRENDS = "find_trends"
NEW_WINDOW = "new_window"
CRAWLS = (CRAWL, NEW_WINDOW)
ASK_FOR_TRAINING = "ask_for_training_now"
WITHDRAWAL = "carry_out_withdrawals"


def jobs(settings: Settings) -> Sequence[Any]:
    """Return the jobs; each runs its steps in one process."""
    live = settings.label_studio is not None
    request = ["training_requests", "training_request"]
    collection = ["unique_images", "similar_pairs", "label_tasks"]
    labels = ["annotations", "quarantined_annotations", "labels", "agreement", "main_confusion", "annotators"]
    crawl = ["posts", "images", "deleted_posts", "crawl_counts", "image_hashes"]
    if live:
        labels += ["annotation_versions", "prediction_acceptance", "returned_tasks"]
    result = [
        _job(
            CRAWL,
            crawl,
            "Crawl one window and hash its images.",
        ),
        _job(COLLECTION, collection, "Find near-duplicates; make label tasks."),
        _job(
            NEW_WINDOW,
            [*crawl, *collection, *(["queued_tasks"] if live else [])],
            "Crawl one window, find near-duplicates over all of them, and make label tasks.",
        ),
        _job(LABELS, [*labels, "label_frequencies"], "Read the experts' annotations and settle them into labels."),
        _job(
            LABEL_SET,
            [*request, "data_set", "split_balance", "word_vectors", "tau_sweep", "correlation_matrix", "data_card"],
            "Make one label set's data set and label graph.",
            trains=True,
        ),
        _job(
            MODEL,
            ["model", "training_curves", "seed_runs", "scores", "evaluation", "slices", "reliability", "model_card"],
            "Train and evaluate one architecture.",
            trains=True,
        ),
        _job(ABLATION, ["ablation"], "Compare forms of the model on one label set, on a small budget.", trains=True),
        _job(ASK_FOR_TRAINING, request, "Ask whether one label set's models are to be trained anew."),
        _job(COMPARISON, ["comparison"], "Compare the architectures on one label set."),
        _job(
            SUSPICION, ["suspicious_labels"], "Find the labels of one label set that are probably wrong.", trains=True
        ),
        _job(CHAMPION, ["champion"], "Promote the best new model of one label set, or refuse it with the reason."),
        _job(STYLES, ["style_predictions"], "Let the champions look at the unique images of one window."),
        _job(TRENDS, ["style_trends", "style_movements", "cooccurrence_changes", "drift"], "Find trends and drift."),
        _job(REPORT, ["report"], "Write the HTML report."),
        _job(WITHDRAWAL, ["withdrawals"], "Remove what was withdrawn from everything that is kept."),
    ]
    if live:
        result += [
            _job(QUEUE, ["queued_tasks"], "Put further images before the experts."),
            _job(PRE_ANNOTATION, ["pre_annotations"], "Show experts what the champion would answer."),
            _job(RETURN, ["returned_tasks"], "Give back to experts and reviewers what they should look at again."),
        ]
    return result


def _job(name: str, assets: list[str], description: str, *, trains: bool = False) -> Any:
    return dg.define_asset_job(
        name,
        # which windows are late is looked at once a day, not after each window
        selection=dg.AssetSelection.assets(*assets) - dg.AssetSelection.checks(WINDOWS_ON_TIME),
        description=description,
        tags={TRAINING_TAG: "true"} if trains else None,
        executor_def=dg.in_process_executor,
    )
