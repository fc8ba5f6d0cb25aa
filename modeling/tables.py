"""Arrow schemas of the tables from labels to measured models."""

import pyarrow as pa

UTC_TIME = pa.timestamp("us", tz="UTC")

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

KNOWN_SPLITS = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),  # in a data set, or of the file that stood for it
        pa.field("split", pa.string(), nullable=False),  # that it keeps, in whatever data set
        pa.field("made_with", pa.string(), nullable=False),  # shares and salt; others make another split on purpose
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

TRAINING_REQUESTS = pa.schema(  # the history of one label set, oldest first
    [
        pa.field("decided_at", UTC_TIME, nullable=False),
        pa.field("due", pa.bool_(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),  # one line for people
        pa.field("asked_by", pa.string(), nullable=False),  # rule, person
        pa.field(
            "new_labels", pa.int64(), nullable=False
        ),  # images with a new or changed label since the last data set
        pa.field("images", pa.int64(), nullable=False),  # that the label set would have now
        pa.field("days", pa.float64()),  # since the last training that was due; null before the first
        pa.field("drifted_windows", pa.list_(pa.string()), nullable=False),  # newer than the champion's
    ]
)

PROMOTIONS = pa.schema(  # the history of one label set, oldest first
    [
        pa.field("decided_at", UTC_TIME, nullable=False),
        pa.field("decision", pa.string(), nullable=False),  # promoted, refused, rolled_back, removed
        pa.field(
            "rule", pa.string(), nullable=False
        ),  # first, better, newer, labels_changed, not_better, too_few_images,
        # below_floor, unchanged, rolled_back_before, person, withdrawal
        pa.field("reason", pa.string(), nullable=False),  # one line for people, with the numbers
        pa.field("challenger", pa.string()),  # architecture-weights, the folder's name; null where none was there
        pa.field("champion_before", pa.string()),
        pa.field("champion", pa.string()),  # after the decision
        pa.field("data_set_version", pa.string()),  # whose test images both were judged on
        pa.field("challenger_value", pa.float64()),  # mean of the five recalls on the common test images, 0 to 1
        pa.field("champion_value", pa.float64()),
        pa.field("difference", pa.float64()),  # challenger - champion
        pa.field("low", pa.float64()),  # 95% bootstrap interval of the difference, over groups
        pa.field("high", pa.float64()),
        pa.field("p_value", pa.float64()),  # sign flips over groups, two-sided
        pa.field("images", pa.int64(), nullable=False),  # common test images
        pa.field("challenger_newest", pa.string()),  # newest window among its images
        pa.field("champion_newest", pa.string()),
    ]
)

STYLE_PREDICTIONS = pa.schema(  # of one window
    [
        pa.field("label_set", pa.string(), nullable=False),
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("window", pa.string(), nullable=False),
        pa.field("model_version", pa.string(), nullable=False),  # the champion's
        pa.field("main", pa.string(), nullable=False),  # label with the highest probability
        pa.field("subs", pa.list_(pa.string()), nullable=False),  # others above their thresholds
        pa.field("labels", pa.list_(pa.string()), nullable=False),  # order of the probabilities
        pa.field("probabilities", pa.list_(pa.float32()), nullable=False),  # calibrated
        pa.field("embedding", pa.list_(pa.float32()), nullable=False),  # 32 random projections of the pooled features
    ]
)

STYLE_TRENDS = pa.schema(
    [
        pa.field("label_set", pa.string(), nullable=False),
        pa.field("window", pa.string(), nullable=False),
        pa.field("label", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),  # experts, model
        pa.field("role", pa.string(), nullable=False),  # main, any (main or sub)
        pa.field("images", pa.int64(), nullable=False),  # that the share is of
        pa.field("counted", pa.int64(), nullable=False),  # of them, those with the label, as answered
        pa.field("raw_share", pa.float64(), nullable=False),  # counted / images
        pa.field("share", pa.float64(), nullable=False),  # of a model: corrected for its known error; 0 to 1
        pa.field("low", pa.float64(), nullable=False),  # 95% interval of the share
        pa.field("high", pa.float64(), nullable=False),
    ]
)

STYLE_MOVEMENTS = pa.schema(
    [
        pa.field("label_set", pa.string(), nullable=False),
        pa.field("label", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),  # experts, model
        pa.field("role", pa.string(), nullable=False),  # main, any
        pa.field("windows", pa.int64(), nullable=False),
        pa.field("first_share", pa.float64(), nullable=False),  # of the fitted line, at the first window
        pa.field("last_share", pa.float64(), nullable=False),  # at the last one
        pa.field("change", pa.float64(), nullable=False),  # last - first
        pa.field("low", pa.float64(), nullable=False),  # 95% interval of the change
        pa.field("high", pa.float64(), nullable=False),
        pa.field("p_value", pa.float64(), nullable=False),  # Cochran-Armitage for experts, bootstrap for the model
        pa.field("p_adjusted", pa.float64(), nullable=False),  # Holm over the table's labels of one source and role
        pa.field("direction", pa.string(), nullable=False),  # rising, falling, steady
    ]
)

COOCCURRENCE_CHANGES = pa.schema(
    [
        pa.field("label_set", pa.string(), nullable=False),
        pa.field("label_a", pa.string(), nullable=False),  # label_a before label_b in the label set's order
        pa.field("label_b", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),  # experts, model
        pa.field("from_window", pa.string(), nullable=False),  # first of the recent windows
        pa.field("images_before", pa.int64(), nullable=False),
        pa.field("images_recent", pa.int64(), nullable=False),
        pa.field("share_before", pa.float64(), nullable=False),  # of images that carry both
        pa.field("share_recent", pa.float64(), nullable=False),
        pa.field("change", pa.float64(), nullable=False),
        pa.field("p_value", pa.float64(), nullable=False),  # Fisher's exact test
        pa.field("p_adjusted", pa.float64(), nullable=False),  # Holm over a label set and source
    ]
)

DRIFT = pa.schema(
    [
        pa.field("label_set", pa.string(), nullable=False),
        pa.field("window", pa.string(), nullable=False),
        pa.field("model_version", pa.string(), nullable=False),  # whose answers and training windows
        pa.field("what", pa.string(), nullable=False),  # expert_labels, predicted_labels, scores, embeddings
        pa.field("label", pa.string()),  # of scores: the label that moved most
        pa.field("test", pa.string(), nullable=False),  # chi_squared, kolmogorov_smirnov, mmd_permutation
        pa.field("images", pa.int64(), nullable=False),  # of the window
        pa.field("reference_images", pa.int64(), nullable=False),  # of the training windows
        pa.field("statistic", pa.float64()),  # null where the window is too small to be tested
        pa.field("distance", pa.float64()),  # what is compared with the threshold
        pa.field("threshold", pa.float64(), nullable=False),
        pa.field("p_value", pa.float64()),
        pa.field("p_adjusted", pa.float64()),  # Holm over all windows of one label set and kind
        pa.field("drifted", pa.bool_(), nullable=False),
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
