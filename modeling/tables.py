"""Arrow schemas of the tables from labels to measured models."""

import pyarrow as pa


def described(name: str, kind: pa.DataType, words: str, *, nullable: bool = True) -> pa.Field:
    """Return a column with a line for people, which pages and readers of the files can show."""
    return pa.field(name, kind, nullable, {"description": words})


UTC_TIME = pa.timestamp("us", tz="UTC")

LABEL_FREQUENCIES = pa.schema(
    [
        pa.field("label", pa.string(), nullable=False),
        described("main_images", pa.int64(), "images whose main label it is", nullable=False),
        described("main_share", pa.float64(), "of all labelled images, 0 to 1", nullable=False),
        described("sub_images", pa.int64(), "images with it among the sub labels", nullable=False),
        described("sub_share", pa.float64(), "of all sub label occurrences, 0 to 1", nullable=False),
        described("rank", pa.int32(), "1 is the most frequent main label", nullable=False),
    ]
)

DATA_SET = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        described("file_id", pa.string(), "image whose bytes are used: the best of the cluster", nullable=False),
        pa.field("window", pa.string(), nullable=False),
        described("group_id", pa.string(), "images of one group are never in two splits", nullable=False),
        pa.field("main", pa.string(), nullable=False),
        described("subs", pa.list_(pa.string()), "inside the label set, in its order", nullable=False),
        described("split", pa.string(), "train, validation, test", nullable=False),
    ]
)

KNOWN_SPLITS = pa.schema(
    [
        described("image_id", pa.string(), "in a data set, or of the file that stood for it", nullable=False),
        described("split", pa.string(), "that it keeps, in whatever data set", nullable=False),
        described("made_with", pa.string(), "shares and salt; others make another split on purpose", nullable=False),
    ]
)

SPLIT_BALANCE = pa.schema(
    [
        described("label", pa.string(), "null: all images"),
        pa.field("split", pa.string(), nullable=False),
        pa.field("images", pa.int64(), nullable=False),
        described("share", pa.float64(), "of the label's images", nullable=False),
        described("target", pa.float64(), "0.7, 0.1, 0.2", nullable=False),
    ]
)

WORD_VECTORS = pa.schema(
    [
        pa.field("label", pa.string(), nullable=False),
        described("parts", pa.list_(pa.string()), "words whose vectors were averaged", nullable=False),
        pa.field("vector", pa.list_(pa.float32()), nullable=False),
        described("source", pa.string(), "file name and its sha256", nullable=False),
    ]
)

CORRELATION_MATRIX = pa.schema(
    [
        pa.field("row", pa.int32(), nullable=False),
        pa.field("column", pa.int32(), nullable=False),
        pa.field("row_label", pa.string(), nullable=False),
        pa.field("column_label", pa.string(), nullable=False),
        described("images_row", pa.int64(), "N[row]", nullable=False),
        described("images_both", pa.int64(), "M[row, column], diagonal 0", nullable=False),
        described("conditional", pa.float64(), "P[row, column] = P(column | row)", nullable=False),
        described("binary", pa.int8(), "B", nullable=False),
        described("reweighted", pa.float64(), "A'", nullable=False),
        described("normalized", pa.float64(), "what the graph network multiplies by", nullable=False),
        described("row_isolated", pa.bool_(), "the row's label has no neighbour at this tau", nullable=False),
        described("form", pa.string(), "equation, reference_code, identity, learned", nullable=False),
        pa.field("tau", pa.float64(), nullable=False),
        pa.field("p", pa.float64(), nullable=False),
    ]
)

TAU_SWEEP = pa.schema(
    [
        pa.field("tau", pa.float64(), nullable=False),
        described("form", pa.string(), "of the adjacency, as p: what the sweep was made with", nullable=False),
        pa.field("p", pa.float64(), nullable=False),
        pa.field("edges", pa.int64(), nullable=False),
        described("isolated", pa.int64(), "labels without a neighbour", nullable=False),
        described("star_share", pa.float64(), "of the edges, those to the label with most images", nullable=False),
        described("graph", pa.int32(), "thresholds with the same number give the same edges", nullable=False),
        described("validation_score", pa.float64(), "mean of the five recalls, mean over the seeds", nullable=False),
        described("spread", pa.float64(), "standard deviation between the seeds; null with one"),
        pa.field("seeds", pa.int32(), nullable=False),
        described("best", pa.bool_(), "best on validation, of those with an edge", nullable=False),
        described("chosen", pa.bool_(), "what the label graph is made with", nullable=False),
        described("scored_on", pa.string(), "which features the label branches were trained on", nullable=False),
    ]
)

ABLATION = pa.schema(
    [
        described("form", pa.string(), "of the adjacency", nullable=False),
        described("tau", pa.float64(), "null for identity, which has none"),
        pa.field("pooling", pa.string(), nullable=False),
        pa.field("loss", pa.string(), nullable=False),
        pa.field("edges", pa.int64(), nullable=False),
        described("validation_score", pa.float64(), "mean of the five recalls, mean over the seeds", nullable=False),
        described("spread", pa.float64(), "standard deviation between the seeds; null with one"),
        pa.field("seeds", pa.int32(), nullable=False),
        described("seconds", pa.float64(), "of all its trainings", nullable=False),
        described("rank", pa.int32(), "1 is the best", nullable=False),
        described("scored_on", pa.string(), "which features the heads were trained on", nullable=False),
    ]
)

SEED_RUNS = pa.schema(
    [
        pa.field("seed", pa.int64(), nullable=False),
        described("epochs", pa.int32(), "trained", nullable=False),
        pa.field("best_epoch", pa.int32(), nullable=False),
        described("validation_score", pa.float64(), "mean of the five recalls at the best epoch", nullable=False),
        pa.field("validation_loss", pa.float64(), nullable=False),
        described("temperature", pa.float64(), "that logits are divided by", nullable=False),
        described("kept", pa.bool_(), "the model that predicts: the best on the validation split", nullable=False),
    ]
)

TRAINING_CURVES = pa.schema(
    [
        pa.field("seed", pa.int64(), nullable=False),
        described("epoch", pa.int32(), "1, 2, ...", nullable=False),
        pa.field("train_loss", pa.float64(), nullable=False),
        pa.field("validation_loss", pa.float64(), nullable=False),
        described("validation_score", pa.float64(), "mean of the five recalls, 0 to 1", nullable=False),
        described("learning_rate", pa.float64(), "of the image branch", nullable=False),
        pa.field("seconds", pa.float64(), nullable=False),
        described("best", pa.bool_(), "the epoch whose weights were kept", nullable=False),
    ]
)

SCORES = pa.schema(
    [
        described("seed", pa.int64(), "of the model; each image stands once for each seed", nullable=False),
        pa.field("image_id", pa.string(), nullable=False),
        described("split", pa.string(), "validation, test", nullable=False),
        pa.field("group_id", pa.string(), nullable=False),
        pa.field("main", pa.string(), nullable=False),
        pa.field("subs", pa.list_(pa.string()), nullable=False),
        described("labels", pa.list_(pa.string()), "label order of the scores", nullable=False),
        described("scores", pa.list_(pa.float32()), "calibrated probabilities", nullable=False),
        described("logits", pa.list_(pa.float32()), "before calibration", nullable=False),
    ]
)

EVALUATION = pa.schema(
    [
        described("split", pa.string(), "validation, test", nullable=False),
        described(
            "metric", pa.string(), "any@1 ... all@3, mean5, map, ap, all@2 (of a label), cf1 ...", nullable=False
        ),
        described("label", pa.string(), "null: over all images"),
        described("value", pa.float64(), "0 to 1, mean over the seeds; null where undefined"),
        described("low", pa.float64(), "95% bootstrap interval over groups"),
        pa.field("high", pa.float64()),
        described("spread", pa.float64(), "standard deviation between the seeds; null with one"),
        pa.field("seeds", pa.int32(), nullable=False),
        described("images", pa.int64(), "support", nullable=False),
    ]
)

SLICES = pa.schema(
    [
        described("split", pa.string(), "validation, test", nullable=False),
        described("dimension", pa.string(), "window, source, labels, main_only, blind", nullable=False),
        described("slice", pa.string(), "the dimension's value, as text", nullable=False),
        described("metric", pa.string(), "the five recalls and mean5", nullable=False),
        described("value", pa.float64(), "0 to 1, mean over the seeds", nullable=False),
        described("low", pa.float64(), "95% bootstrap interval over groups"),
        pa.field("high", pa.float64()),
        pa.field("images", pa.int64(), nullable=False),
    ]
)

RELIABILITY = pa.schema(
    [
        described("split", pa.string(), "validation (where the temperature was fitted), test", nullable=False),
        described("calibrated", pa.bool_(), "before or after temperature scaling", nullable=False),
        described("low", pa.float64(), "of the bin of probabilities", nullable=False),
        pa.field("high", pa.float64(), nullable=False),
        described("answers", pa.int64(), "image-label pairs in the bin, over the seeds", nullable=False),
        described("probability", pa.float64(), "their mean probability; null in an empty bin"),
        described("share", pa.float64(), "of them, those whose image carries the label"),
    ]
)

COMPARISON = pa.schema(
    [
        pa.field("metric", pa.string(), nullable=False),
        pa.field("architecture_a", pa.string(), nullable=False),
        pa.field("architecture_b", pa.string(), nullable=False),
        pa.field("value_a", pa.float64(), nullable=False),
        pa.field("value_b", pa.float64(), nullable=False),
        described("difference", pa.float64(), "b - a", nullable=False),
        described("low", pa.float64(), "95% bootstrap interval of the difference, over groups", nullable=False),
        pa.field("high", pa.float64(), nullable=False),
        described("a_only", pa.int64(), "images right with a and wrong with b", nullable=False),
        pa.field("b_only", pa.int64(), nullable=False),
        described("p_value", pa.float64(), "exact McNemar", nullable=False),
        described("p_adjusted", pa.float64(), "Holm over the table", nullable=False),
    ]
)

TRAINING_REQUESTS = pa.schema(  # the history of one label set, oldest first
    [
        pa.field("decided_at", UTC_TIME, nullable=False),
        pa.field("due", pa.bool_(), nullable=False),
        described("reason", pa.string(), "one line for people", nullable=False),
        described("asked_by", pa.string(), "rule, person", nullable=False),
        described(
            "new_labels", pa.int64(), "images with a new or changed label since the last data set", nullable=False
        ),
        described("images", pa.int64(), "that the label set would have now", nullable=False),
        described("days", pa.float64(), "since the last training that was due; null before the first"),
        described("drifted_windows", pa.list_(pa.string()), "newer than the champion's", nullable=False),
    ]
)

PROMOTIONS = pa.schema(  # the history of one label set, oldest first
    [
        pa.field("decided_at", UTC_TIME, nullable=False),
        described("decision", pa.string(), "promoted, refused, rolled_back, removed", nullable=False),
        described(
            "rule",
            pa.string(),
            "first, better, newer, labels_changed, not_better, too_few_images, below_floor, unchanged, "
            "rolled_back_before, person, withdrawal",
            nullable=False,
        ),
        described("reason", pa.string(), "one line for people, with the numbers", nullable=False),
        described("challenger", pa.string(), "architecture-weights, the folder's name; null where none was there"),
        pa.field("champion_before", pa.string()),
        described("champion", pa.string(), "after the decision"),
        described("data_set_version", pa.string(), "whose test images both were judged on"),
        described("challenger_value", pa.float64(), "mean of the five recalls on the common test images, 0 to 1"),
        pa.field("champion_value", pa.float64()),
        described("difference", pa.float64(), "challenger - champion"),
        described("low", pa.float64(), "95% bootstrap interval of the difference, over groups"),
        pa.field("high", pa.float64()),
        described("p_value", pa.float64(), "sign flips over groups, two-sided"),
        described("images", pa.int64(), "common test images", nullable=False),
        described("challenger_newest", pa.string(), "newest window among its images"),
        pa.field("champion_newest", pa.string()),
    ]
)

STYLE_PREDICTIONS = pa.schema(  # of one window
    [
        pa.field("label_set", pa.string(), nullable=False),
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("window", pa.string(), nullable=False),
        described("model_version", pa.string(), "the champion's", nullable=False),
        described("main", pa.string(), "label with the highest probability", nullable=False),
        described("subs", pa.list_(pa.string()), "others above their thresholds", nullable=False),
        described("labels", pa.list_(pa.string()), "order of the probabilities", nullable=False),
        described("probabilities", pa.list_(pa.float32()), "calibrated", nullable=False),
        described("embedding", pa.list_(pa.float32()), "32 random projections of the pooled features", nullable=False),
    ]
)

STYLE_TRENDS = pa.schema(
    [
        pa.field("label_set", pa.string(), nullable=False),
        pa.field("window", pa.string(), nullable=False),
        pa.field("label", pa.string(), nullable=False),
        described("source", pa.string(), "experts, model", nullable=False),
        described("role", pa.string(), "main, any (main or sub)", nullable=False),
        described("images", pa.int64(), "that the share is of", nullable=False),
        described("counted", pa.int64(), "of them, those with the label, as answered", nullable=False),
        described("raw_share", pa.float64(), "counted / images", nullable=False),
        described("share", pa.float64(), "of a model: corrected for its known error; 0 to 1", nullable=False),
        described("low", pa.float64(), "95% interval of the share", nullable=False),
        pa.field("high", pa.float64(), nullable=False),
    ]
)

STYLE_MOVEMENTS = pa.schema(
    [
        pa.field("label_set", pa.string(), nullable=False),
        pa.field("label", pa.string(), nullable=False),
        described("source", pa.string(), "experts, model", nullable=False),
        described("role", pa.string(), "main, any", nullable=False),
        pa.field("windows", pa.int64(), nullable=False),
        described("first_share", pa.float64(), "of the fitted line, at the first window", nullable=False),
        described("last_share", pa.float64(), "at the last one", nullable=False),
        described("change", pa.float64(), "last - first", nullable=False),
        described("low", pa.float64(), "95% interval of the change", nullable=False),
        pa.field("high", pa.float64(), nullable=False),
        described("p_value", pa.float64(), "Cochran-Armitage for experts, bootstrap for the model", nullable=False),
        described("p_adjusted", pa.float64(), "Holm over the table's labels of one source and role", nullable=False),
        described("direction", pa.string(), "rising, falling, steady", nullable=False),
    ]
)

COOCCURRENCE_CHANGES = pa.schema(
    [
        pa.field("label_set", pa.string(), nullable=False),
        described("label_a", pa.string(), "label_a before label_b in the label set's order", nullable=False),
        pa.field("label_b", pa.string(), nullable=False),
        described("source", pa.string(), "experts, model", nullable=False),
        described("from_window", pa.string(), "first of the recent windows", nullable=False),
        pa.field("images_before", pa.int64(), nullable=False),
        pa.field("images_recent", pa.int64(), nullable=False),
        described("share_before", pa.float64(), "of images that carry both", nullable=False),
        pa.field("share_recent", pa.float64(), nullable=False),
        pa.field("change", pa.float64(), nullable=False),
        described("p_value", pa.float64(), "Fisher's exact test", nullable=False),
        described("p_adjusted", pa.float64(), "Holm over a label set and source", nullable=False),
    ]
)

DRIFT = pa.schema(
    [
        pa.field("label_set", pa.string(), nullable=False),
        pa.field("window", pa.string(), nullable=False),
        described("model_version", pa.string(), "whose answers and training windows", nullable=False),
        described("what", pa.string(), "expert_labels, predicted_labels, scores, embeddings", nullable=False),
        described("label", pa.string(), "of scores: the label that moved most"),
        described("test", pa.string(), "chi_squared, kolmogorov_smirnov, mmd_permutation", nullable=False),
        described("images", pa.int64(), "of the window", nullable=False),
        described("reference_images", pa.int64(), "of the training windows", nullable=False),
        described("statistic", pa.float64(), "null where the window is too small to be tested"),
        described("distance", pa.float64(), "what is compared with the threshold"),
        pa.field("threshold", pa.float64(), nullable=False),
        pa.field("p_value", pa.float64()),
        described("p_adjusted", pa.float64(), "Holm over all windows of one label set and kind"),
        pa.field("drifted", pa.bool_(), nullable=False),
    ]
)

SUSPICIOUS_LABELS = pa.schema(
    [
        described("rank", pa.int32(), "1 is the label that is most likely wrong", nullable=False),
        described("image_id", pa.string(), "once in a label set", nullable=False),
        pa.field("label_set", pa.string(), nullable=False),
        described("split", pa.string(), "train, validation, test", nullable=False),
        described("kind", pa.string(), "wrong_main, missing_label, extra_label", nullable=False),
        described("label", pa.string(), "the main, the absent or the sub label that is in doubt", nullable=False),
        pa.field("given_main", pa.string(), nullable=False),
        described("given_subs", pa.list_(pa.string()), "in the label set's order", nullable=False),
        described("suggested_main", pa.string(), "the answer with this one thing put right", nullable=False),
        pa.field("suggested_subs", pa.list_(pa.string()), nullable=False),
        described("probability", pa.float64(), "held-out, that the image has the label (as given)", nullable=False),
        described("quality", pa.float64(), "cleanlab's label quality: 0 surely wrong, 1 surely right", nullable=False),
        described("scores_by", pa.string(), "what gave the held-out scores", nullable=False),
    ]
)
