"""Arrow schemas of the tables from labels to measured models."""

import pyarrow as pa

LABEL_FREQUENCIES = pa.schema(
    [
        pa.field("label", pa.string(), nullable=False),
        pa.field("main_images", pa.int64(), nullable=False),  # images whose main label it is
        pa.field("main_share", pa.float64(), nullable=False),  # of all labelled images, 0 to 1
        pa.field("sub_images", pa.int64(), nullable=False),  # images with it among the sub labels
        pa.field("sub_share", pa.float64(), nullable=False),  # of all sub label occurrences, 0 to 1
        pa.field("rank", pa.int32(), nullable=False),  # 1 is the most frequent main label
    ]
)

DATA_SET = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("file_id", pa.string(), nullable=False),  # image whose bytes are used: the best of the cluster
        pa.field("window", pa.string(), nullable=False),
        pa.field("group_id", pa.string(), nullable=False),  # images of one group are never in two splits
        pa.field("main", pa.string(), nullable=False),
        pa.field("subs", pa.list_(pa.string()), nullable=False),  # inside the label set, in its order
        pa.field("split", pa.string(), nullable=False),  # train, validation, test
    ]
)

SPLIT_BALANCE = pa.schema(
    [
        pa.field("label", pa.string()),  # null: all images
        pa.field("split", pa.string(), nullable=False),
        pa.field("images", pa.int64(), nullable=False),
        pa.field("share", pa.float64(), nullable=False),  # of the label's images
        pa.field("target", pa.float64(), nullable=False),  # 0.7, 0.1, 0.2
    ]
)

WORD_VECTORS = pa.schema(
    [
        pa.field("label", pa.string(), nullable=False),
        pa.field("parts", pa.list_(pa.string()), nullable=False),  # words whose vectors were averaged
        pa.field("vector", pa.list_(pa.float32()), nullable=False),
        pa.field("source", pa.string(), nullable=False),  # file name and its sha256
    ]
)

CORRELATION_MATRIX = pa.schema(
    [
        pa.field("row", pa.int32(), nullable=False),
        pa.field("column", pa.int32(), nullable=False),
        pa.field("row_label", pa.string(), nullable=False),
        pa.field("column_label", pa.string(), nullable=False),
        pa.field("images_row", pa.int64(), nullable=False),  # N[row]
        pa.field("images_both", pa.int64(), nullable=False),  # M[row, column], diagonal 0
        pa.field("conditional", pa.float64(), nullable=False),  # P[row, column] = P(column | row)
        pa.field("binary", pa.int8(), nullable=False),  # B
        pa.field("reweighted", pa.float64(), nullable=False),  # A'
        pa.field("normalized", pa.float64(), nullable=False),  # what the graph network multiplies by
        pa.field("row_isolated", pa.bool_(), nullable=False),  # the row's label has no neighbour at this tau
        pa.field("form", pa.string(), nullable=False),  # equation, reference_code, identity, learned
        pa.field("tau", pa.float64(), nullable=False),
        pa.field("p", pa.float64(), nullable=False),
    ]
)

TAU_SWEEP = pa.schema(
    [
        pa.field("tau", pa.float64(), nullable=False),
        pa.field("form", pa.string(), nullable=False),  # of the adjacency, as p: what the sweep was made with
        pa.field("p", pa.float64(), nullable=False),
        pa.field("edges", pa.int64(), nullable=False),
        pa.field("isolated", pa.int64(), nullable=False),  # labels without a neighbour
        pa.field("star_share", pa.float64(), nullable=False),  # of the edges, those to the label with most images
        pa.field("graph", pa.int32(), nullable=False),  # thresholds with the same number give the same edges
        pa.field("validation_score", pa.float64(), nullable=False),  # mean of the five recalls, mean over the seeds
        pa.field("spread", pa.float64()),  # standard deviation between the seeds; null with one
        pa.field("seeds", pa.int32(), nullable=False),
        pa.field("best", pa.bool_(), nullable=False),  # best on validation, of those with an edge
        pa.field("chosen", pa.bool_(), nullable=False),  # what the label graph is made with
        pa.field("scored_on", pa.string(), nullable=False),  # which features the label branches were trained on
    ]
)

ABLATION = pa.schema(
    [
        pa.field("form", pa.string(), nullable=False),  # of the adjacency
        pa.field("tau", pa.float64()),  # null for identity, which has none
        pa.field("pooling", pa.string(), nullable=False),
        pa.field("loss", pa.string(), nullable=False),
        pa.field("edges", pa.int64(), nullable=False),
        pa.field("validation_score", pa.float64(), nullable=False),  # mean of the five recalls, mean over the seeds
        pa.field("spread", pa.float64()),  # standard deviation between the seeds; null with one
        pa.field("seeds", pa.int32(), nullable=False),
        pa.field("seconds", pa.float64(), nullable=False),  # of all its trainings
        pa.field("rank", pa.int32(), nullable=False),  # 1 is the best
        pa.field("scored_on", pa.string(), nullable=False),  # which features the heads were trained on
    ]
)

SEED_RUNS = pa.schema(
    [
        pa.field("seed", pa.int64(), nullable=False),
        pa.field("epochs", pa.int32(), nullable=False),  # trained
        pa.field("best_epoch", pa.int32(), nullable=False),
        pa.field("validation_score", pa.float64(), nullable=False),  # mean of the five recalls at the best epoch
        pa.field("validation_loss", pa.float64(), nullable=False),
        pa.field("temperature", pa.float64(), nullable=False),  # that logits are divided by
        pa.field("kept", pa.bool_(), nullable=False),  # the model that predicts: the best on the validation split
    ]
)

TRAINING_CURVES = pa.schema(
    [
        pa.field("seed", pa.int64(), nullable=False),
        pa.field("epoch", pa.int32(), nullable=False),  # 1, 2, ...
        pa.field("train_loss", pa.float64(), nullable=False),
        pa.field("validation_loss", pa.float64(), nullable=False),
        pa.field("validation_score", pa.float64(), nullable=False),  # mean of the five recalls, 0 to 1
        pa.field("learning_rate", pa.float64(), nullable=False),  # of the image branch
        pa.field("seconds", pa.float64(), nullable=False),
        pa.field("best", pa.bool_(), nullable=False),  # the epoch whose weights were kept
    ]
)

SCORES = pa.schema(
    [
        pa.field("seed", pa.int64(), nullable=False),  # of the model; each image stands once for each seed
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),  # validation, test
        pa.field("group_id", pa.string(), nullable=False),
        pa.field("main", pa.string(), nullable=False),
        pa.field("subs", pa.list_(pa.string()), nullable=False),
        pa.field("labels", pa.list_(pa.string()), nullable=False),  # label order of the scores
        pa.field("scores", pa.list_(pa.float32()), nullable=False),  # calibrated probabilities
        pa.field("logits", pa.list_(pa.float32()), nullable=False),  # before calibration
    ]
)

EVALUATION = pa.schema(
    [
        pa.field("split", pa.string(), nullable=False),  # validation, test
        pa.field("metric", pa.string(), nullable=False),  # any@1 ... all@3, mean5, map, ap, all@2 (of a label), cf1 ...
        pa.field("label", pa.string()),  # null: over all images
        pa.field("value", pa.float64()),  # 0 to 1, mean over the seeds; null where undefined
        pa.field("low", pa.float64()),  # 95% bootstrap interval over groups
        pa.field("high", pa.float64()),
        pa.field("spread", pa.float64()),  # standard deviation between the seeds; null with one
        pa.field("seeds", pa.int32(), nullable=False),
        pa.field("images", pa.int64(), nullable=False),  # support
    ]
)

SLICES = pa.schema(
    [
        pa.field("split", pa.string(), nullable=False),  # validation, test
        pa.field("dimension", pa.string(), nullable=False),  # window, source, labels, main_only, blind
        pa.field("slice", pa.string(), nullable=False),  # the dimension's value, as text
        pa.field("metric", pa.string(), nullable=False),  # the five recalls and mean5
        pa.field("value", pa.float64(), nullable=False),  # 0 to 1, mean over the seeds
        pa.field("low", pa.float64()),  # 95% bootstrap interval over groups
        pa.field("high", pa.float64()),
        pa.field("images", pa.int64(), nullable=False),
    ]
)

RELIABILITY = pa.schema(
    [
        pa.field("split", pa.string(), nullable=False),  # validation (where the temperature was fitted), test
        pa.field("calibrated", pa.bool_(), nullable=False),  # before or after temperature scaling
        pa.field("low", pa.float64(), nullable=False),  # of the bin of probabilities
        pa.field("high", pa.float64(), nullable=False),
        pa.field("answers", pa.int64(), nullable=False),  # image-label pairs in the bin, over the seeds
        pa.field("probability", pa.float64()),  # their mean probability; null in an empty bin
        pa.field("share", pa.float64()),  # of them, those whose image carries the label
    ]
)

COMPARISON = pa.schema(
    [
        pa.field("metric", pa.string(), nullable=False),
        pa.field("architecture_a", pa.string(), nullable=False),
        pa.field("architecture_b", pa.string(), nullable=False),
        pa.field("value_a", pa.float64(), nullable=False),
        pa.field("value_b", pa.float64(), nullable=False),
        pa.field("difference", pa.float64(), nullable=False),  # b - a
        pa.field("low", pa.float64(), nullable=False),  # 95% bootstrap interval of the difference, over groups
        pa.field("high", pa.float64(), nullable=False),
        pa.field("a_only", pa.int64(), nullable=False),  # images right with a and wrong with b
        pa.field("b_only", pa.int64(), nullable=False),
        pa.field("p_value", pa.float64(), nullable=False),  # exact McNemar
        pa.field("p_adjusted", pa.float64(), nullable=False),  # Holm over the table
    ]
)

SUSPICIOUS_LABELS = pa.schema(
    [
        pa.field("rank", pa.int32(), nullable=False),  # 1 is the label that is most likely wrong
        pa.field("image_id", pa.string(), nullable=False),  # once in a label set
        pa.field("label_set", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),  # train, validation, test
        pa.field("kind", pa.string(), nullable=False),  # wrong_main, missing_label, extra_label
        pa.field("label", pa.string(), nullable=False),  # the main, the absent or the sub label that is in doubt
        pa.field("given_main", pa.string(), nullable=False),
        pa.field("given_subs", pa.list_(pa.string()), nullable=False),  # in the label set's order
        pa.field("suggested_main", pa.string(), nullable=False),  # the answer with this one thing put right
        pa.field("suggested_subs", pa.list_(pa.string()), nullable=False),
        pa.field("probability", pa.float64(), nullable=False),  # held-out, that the image has the label (as given)
        pa.field("quality", pa.float64(), nullable=False),  # cleanlab's label quality: 0 surely wrong, 1 surely right
        pa.field("scores_by", pa.string(), nullable=False),  # what gave the held-out scores
    ]
)
