"""Arrow schemas of the tables between the image collection and the experts' labels."""

import pyarrow as pa

UTC_TIME = pa.timestamp("us", tz="UTC")

LABEL_TASKS = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("window", pa.string(), nullable=False),
        pa.field("image_path", pa.string(), nullable=False),  # path inside the data location
        pa.field("created_at", UTC_TIME),
        pa.field("hashtags", pa.list_(pa.string()), nullable=False),
        pa.field("alt_text", pa.string()),
        pa.field("names", pa.list_(pa.string()), nullable=False),  # addresses and file names of the cluster's images
        pa.field("name_image_ids", pa.list_(pa.string()), nullable=False),  # for each name, the image that bears it
        pa.field("image_ids", pa.list_(pa.string()), nullable=False),  # the cluster: itself and those set aside for it
    ]
)

ANNOTATIONS = pa.schema(
    [
        pa.field("annotation_id", pa.string(), nullable=False),
        pa.field("task_id", pa.string()),
        pa.field("image_id", pa.string(), nullable=False),  # the canonical image
        pa.field("labeled_image_id", pa.string(), nullable=False),  # the image the annotator saw
        pa.field("annotator", pa.string(), nullable=False),
        pa.field("answer", pa.string(), nullable=False),  # style, not_fashion, cant_tell
        pa.field("main", pa.string()),  # null unless the answer is a style
        pa.field("subs", pa.list_(pa.string()), nullable=False),  # taxonomy order, never the main
        pa.field("review", pa.string()),  # accepted, rejected
        pa.field("reviewer", pa.string()),
        pa.field("note", pa.string()),  # of the reviewer
        pa.field("lead_time", pa.float64()),  # seconds
        pa.field("created_at", UTC_TIME),
        pa.field("updated_at", UTC_TIME),
    ]
)

QUARANTINED_ANNOTATIONS = pa.schema(
    [
        pa.field("annotation_id", pa.string(), nullable=False),
        pa.field("task_id", pa.string()),
        pa.field("image", pa.string()),  # what the input says the image is
        pa.field("annotator", pa.string()),
        pa.field("reason", pa.string(), nullable=False),  # short code: two_mains, unknown_label, skipped, draft, ...
        pa.field("detail", pa.string(), nullable=False),  # one line that says what to do
        pa.field("task_link", pa.string()),  # address of the task in Label Studio
        pa.field("raw", pa.string(), nullable=False),  # the row or annotation as JSON
    ]
)

ANNOTATION_VERSIONS = pa.schema(
    [
        pa.field("annotation_id", pa.string(), nullable=False),  # of a draft: draft:<id>
        pa.field("task_id", pa.int64(), nullable=False),
        pa.field("image_id", pa.string()),
        pa.field("annotator", pa.string()),
        pa.field("state", pa.string(), nullable=False),  # submitted, skipped, draft, deleted, task_deleted
        pa.field("updated_at", UTC_TIME),  # on the server
        pa.field("seen_at", UTC_TIME, nullable=False),  # when the export first met it
        pa.field("raw", pa.string(), nullable=False),  # as exported
    ]
)

QUEUED_TASKS = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("task_id", pa.int64(), nullable=False),  # in Label Studio
        pa.field("window", pa.string(), nullable=False),
        pa.field("chosen_as", pa.string(), nullable=False),  # newest, rare, uncertain, random
        pa.field("blind", pa.bool_(), nullable=False),  # never shown a prediction
        pa.field("state", pa.string(), nullable=False),  # queued, withdrawn, deleted
        pa.field("queued_at", UTC_TIME, nullable=False),
    ]
)

PRE_ANNOTATIONS = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("task_id", pa.int64()),  # null: not queued yet
        pa.field("model_version", pa.string(), nullable=False),
        pa.field("main", pa.string(), nullable=False),
        pa.field("subs", pa.list_(pa.string()), nullable=False),
        pa.field("score", pa.float64(), nullable=False),  # probability of the main label, 0 to 1
        pa.field("blind", pa.bool_(), nullable=False),  # kept for comparison, never pushed
        pa.field("predicted_at", UTC_TIME, nullable=False),
    ]
)

PREDICTION_ACCEPTANCE = pa.schema(
    [
        pa.field("model_version", pa.string(), nullable=False),
        pa.field("label", pa.string()),  # predicted main label; null: all of them
        pa.field("blind", pa.bool_(), nullable=False),  # the expert had not seen the prediction
        pa.field("answers", pa.int64(), nullable=False),
        pa.field("accepted", pa.int64(), nullable=False),  # same main, same subs
        pa.field("changed", pa.int64(), nullable=False),  # same main, other subs
        pa.field("rejected", pa.int64(), nullable=False),  # another main, or no style
    ]
)

RETURNED_TASKS = pa.schema(
    [
        pa.field("task_id", pa.int64(), nullable=False),
        pa.field("image_id", pa.string()),
        pa.field("annotation_id", pa.string()),  # null where the task as a whole came back
        pa.field("annotator", pa.string()),
        pa.field("reason", pa.string(), nullable=False),  # a quarantine reason, conflict or suspicious
        pa.field("detail", pa.string(), nullable=False),  # what the expert or reviewer reads
        pa.field("way", pa.string(), nullable=False),  # to_annotator, to_another_annotator, to_reviewer
        pa.field("returned_at", UTC_TIME, nullable=False),
    ]
)

LABELS = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("window", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),  # agreed, resolved_by_review, conflict, unreviewed
        pa.field("answer", pa.string()),  # style, not_fashion, cant_tell; null when status is conflict
        pa.field("main", pa.string()),  # null unless the answer is a style
        pa.field("subs", pa.list_(pa.string()), nullable=False),
        pa.field("annotators", pa.int32(), nullable=False),
        pa.field("mains", pa.list_(pa.string()), nullable=False),  # main or other answer of each, sorted by annotator
    ]
)

AGREEMENT = pa.schema(  # of all annotators, unless window, label or a pair of annotators is named
    [
        # cohen_kappa, krippendorff_alpha, krippendorff_alpha_masi, masi, same_main
        pa.field("measure", pa.string(), nullable=False),
        pa.field("window", pa.string()),
        pa.field("annotator_a", pa.string()),
        pa.field("annotator_b", pa.string()),
        pa.field("label", pa.string()),  # a main label, or not_fashion
        pa.field("value", pa.float64()),  # null where undefined
        pa.field("low", pa.float64()),  # 95% interval, of all images and of a window
        pa.field("high", pa.float64()),
        pa.field("images", pa.int64(), nullable=False),
    ]
)

MAIN_CONFUSION = pa.schema(
    [
        pa.field("label_a", pa.string(), nullable=False),  # a main label, or not_fashion
        pa.field("label_b", pa.string(), nullable=False),
        pa.field("pairs", pa.int64(), nullable=False),  # of answers for one image: label_a by one, label_b by the other
        pa.field("share", pa.float64()),  # of the pairs in which label_a occurs, 0 to 1; null where it never does
    ]
)

ANNOTATORS = pa.schema(
    [
        pa.field("annotator", pa.string(), nullable=False),
        pa.field("week", pa.string()),  # ISO week of created_at, such as 2019-W27; null: all the time
        pa.field("answers", pa.int64(), nullable=False),
        pa.field("skipped", pa.int64()),  # tasks skipped; null for a week, and where nothing is known of it
        pa.field("timed", pa.int64(), nullable=False),  # answers with a credible lead time
        pa.field("lead_time_median", pa.float64()),  # seconds
        pa.field("lead_time_p90", pa.float64()),  # seconds
        pa.field("reviewed", pa.int64(), nullable=False),
        pa.field("accepted_share", pa.float64()),  # of the reviewed, 0 to 1
        pa.field("rejected_share", pa.float64()),
        pa.field("compared", pa.int64(), nullable=False),  # answers to which the others have one of their own
        pa.field("kappa", pa.float64()),  # with the consensus of the others; null: too few to judge, or undefined
        pa.field("drift_week", pa.string()),  # the week compared with all before it; null: not tested
        pa.field("drift", pa.float64()),  # kappa of that week less kappa before
        pa.field("drift_p", pa.float64()),  # of a permutation test, corrected for the number of annotators (Holm)
    ]
)
