"""Every table of the graph by name, with its Arrow schema and what one row is."""

from dataclasses import dataclass

import pyarrow as pa

from crawlers import tables as crawl
from labeling import tables as label
from modeling import tables as model


class TableError(ValueError):
    """A table that is missing, or is not what its schema says; the message says what to do."""


@dataclass(frozen=True)
class Table:
    """Name, schema and meaning of a table."""

    name: str
    schema: pa.Schema
    row: str


TABLES = {
    table.name: table
    for table in (
        Table(
            "posts", crawl.POSTS, "a post of the crawl window under one of the hashtags, kept or left out with a reason"
        ),
        Table("images", crawl.IMAGES, "a picture of a kept post, downloaded or failed with a reason"),
        Table("deleted_posts", crawl.DELETED_POSTS, "a post that an earlier crawl of the window met, and that is gone"),
        Table("crawl_counts", crawl.CRAWL_COUNTS, "how often an outcome was met in a crawl window"),
        Table("image_hashes", crawl.IMAGE_HASHES, "the perceptual hashes of an image of a crawl window"),
        Table("unique_images", crawl.UNIQUE_IMAGES, "an image, kept as canonical or set aside with the reason"),
        Table("similar_pairs", crawl.SIMILAR_PAIRS, "two images that are duplicates or should be looked at"),
        Table("label_tasks", label.LABEL_TASKS, "a unique image with the context that helps to label it"),
        Table("queued_tasks", label.QUEUED_TASKS, "a task that was put before the experts in Label Studio"),
        Table("annotations", label.ANNOTATIONS, "a valid annotation of one annotator"),
        Table("quarantined_annotations", label.QUARANTINED_ANNOTATIONS, "an annotation set aside with the reason"),
        Table(
            "annotation_versions", label.ANNOTATION_VERSIONS, "an annotation or draft as it once stood on the server"
        ),
        Table("returned_tasks", label.RETURNED_TASKS, "a task given back to an expert or a reviewer, with the reason"),
        Table("pre_annotations", label.PRE_ANNOTATIONS, "a model's answer for a task, shown to experts unless blind"),
        Table(
            "prediction_acceptance", label.PREDICTION_ACCEPTANCE, "how experts took one model's answers of one label"
        ),
        Table("labels", label.LABELS, "the main label and the sub labels of an image after review and consensus"),
        Table("agreement", label.AGREEMENT, "one figure of agreement between annotators"),
        Table("main_confusion", label.MAIN_CONFUSION, "two main labels that two annotators gave to one image"),
        Table("annotators", label.ANNOTATORS, "an annotator, in all or in one week"),
        Table("label_frequencies", model.LABEL_FREQUENCIES, "a label with its frequencies (Table 2)"),
        Table("data_set", model.DATA_SET, "an image of the label set with its labels and its split"),
        Table("known_splits", model.KNOWN_SPLITS, "an image that was in a data set, with the split that it keeps"),
        Table("split_balance", model.SPLIT_BALANCE, "the share of a label's images in one split"),
        Table("word_vectors", model.WORD_VECTORS, "a label's word vector"),
        Table("tau_sweep", model.TAU_SWEEP, "a threshold of the label graph, and what its graph is worth"),
        Table("correlation_matrix", model.CORRELATION_MATRIX, "a pair of labels in the label graph"),
        Table("training_curves", model.TRAINING_CURVES, "an epoch of the training with one seed"),
        Table("seed_runs", model.SEED_RUNS, "a training with one seed"),
        Table("scores", model.SCORES, "an image's scores for every label, by the model of one seed"),
        Table("evaluation", model.EVALUATION, "a metric with its 95% interval"),
        Table("slices", model.SLICES, "a recall over a part of the images, with its 95% interval"),
        Table("reliability", model.RELIABILITY, "how often answers of about one probability are right"),
        Table("ablation", model.ABLATION, "a form of the model, and what it is worth"),
        Table(
            "suspicious_labels",
            model.SUSPICIOUS_LABELS,
            "an image with the one of its labels that is most likely wrong",
        ),
        Table("comparison", model.COMPARISON, "a metric compared between two architectures, paired"),
        Table("training_requests", model.TRAINING_REQUESTS, "a look at whether a training is due, with the reason"),
        Table("promotions", model.PROMOTIONS, "a decision on who is champion, with its numbers"),
        Table("style_predictions", model.STYLE_PREDICTIONS, "a champion's answer for a unique image of the window"),
        Table("style_trends", model.STYLE_TRENDS, "a style's share of a window, with its 95% interval"),
        Table("style_movements", model.STYLE_MOVEMENTS, "how a style's share changed over the windows"),
        Table("cooccurrence_changes", model.COOCCURRENCE_CHANGES, "how often two styles met before, and lately"),
        Table("drift", model.DRIFT, "a window compared with those that the champion was trained on"),
        Table("withdrawals", crawl.WITHDRAWALS, "a post, author or picture that must not be kept, as keyed hashes"),
    )
}


def conform(name: str, table: pa.Table) -> pa.Table:
    """Return ``table`` cast to the schema of the table ``name``.

    Raises:
        TableError: a column is missing, surplus or of another type, or holds a null where none is allowed.
    """
    schema = TABLES[name].schema
    if set(table.schema.names) != set(schema.names):
        missing = sorted(set(schema.names) - set(table.schema.names))
        surplus = sorted(set(table.schema.names) - set(schema.names))
        raise TableError(f"table {name}: missing columns {missing}, surplus columns {surplus}")
    try:
        table = table.select(schema.names).cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise TableError(f"table {name}: {str(error).splitlines()[0]}") from error
    return table
