"""Arrow schemas of the tables between the image collection and the experts' labels."""

import pyarrow as pa


def described(name: str, kind: pa.DataType, words: str, *, nullable: bool = True) -> pa.Field:
    """Return a column with a line for people, which pages and readers of the files can show."""
    return pa.field(name, kind, nullable, {"description": words})


UTC_TIME = pa.timestamp("us", tz="UTC")

LABEL_TASKS = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("window", pa.string(), nullable=False),
        described("image_path", pa.string(), "path inside the data location", nullable=False),
        pa.field("created_at", UTC_TIME),
        pa.field("hashtags", pa.list_(pa.string()), nullable=False),
        pa.field("alt_text", pa.string()),
        described("names", pa.list_(pa.string()), "addresses and file names of the cluster's images", nullable=False),
        described("name_image_ids", pa.list_(pa.string()), "for each name, the image that bears it", nullable=False),
        described("image_ids", pa.list_(pa.string()), "the cluster: itself and those set aside for it", nullable=False),
    ]
)

ANNOTATIONS = pa.schema(
    [
        pa.field("annotation_id", pa.string(), nullable=False),
        pa.field("task_id", pa.string()),
        described("image_id", pa.string(), "the canonical image", nullable=False),
        described("labeled_image_id", pa.string(), "the image the annotator saw", nullable=False),
        pa.field("annotator", pa.string(), nullable=False),
        described("answer", pa.string(), "style, not_fashion, cant_tell", nullable=False),
        described("main", pa.string(), "null unless the answer is a style"),
        described("subs", pa.list_(pa.string()), "taxonomy order, never the main", nullable=False),
        described("review", pa.string(), "accepted, rejected"),
        pa.field("reviewer", pa.string()),
        described("note", pa.string(), "of the reviewer"),
        described("lead_time", pa.float64(), "seconds"),
        pa.field("created_at", UTC_TIME),
        pa.field("updated_at", UTC_TIME),
    ]
)

QUARANTINED_ANNOTATIONS = pa.schema(
    [
        pa.field("annotation_id", pa.string(), nullable=False),
        pa.field("task_id", pa.string()),
        described("image", pa.string(), "what the input says the image is"),
        pa.field("annotator", pa.string()),
        described("reason", pa.string(), "short code: two_mains, unknown_label, skipped, draft, ...", nullable=False),
        described("detail", pa.string(), "one line that says what to do", nullable=False),
        described("task_link", pa.string(), "address of the task in Label Studio"),
        described("raw", pa.string(), "the row or annotation as JSON", nullable=False),
    ]
)

ANNOTATION_VERSIONS = pa.schema(
    [
        described("annotation_id", pa.string(), "of a draft: draft:<id>", nullable=False),
        pa.field("task_id", pa.int64(), nullable=False),
        pa.field("image_id", pa.string()),
        pa.field("annotator", pa.string()),
        described("state", pa.string(), "submitted, skipped, draft, deleted, task_deleted", nullable=False),
        described("updated_at", UTC_TIME, "on the server"),
        described("seen_at", UTC_TIME, "when the export first met it", nullable=False),
        described("raw", pa.string(), "as exported", nullable=False),
    ]
)

QUEUED_TASKS = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        described("task_id", pa.int64(), "in Label Studio", nullable=False),
        pa.field("window", pa.string(), nullable=False),
        described("chosen_as", pa.string(), "newest, rare, uncertain, random", nullable=False),
        described("blind", pa.bool_(), "never shown a prediction", nullable=False),
        described("state", pa.string(), "queued, withdrawn, deleted", nullable=False),
        pa.field("queued_at", UTC_TIME, nullable=False),
    ]
)

PRE_ANNOTATIONS = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        described("task_id", pa.int64(), "null: not queued yet"),
        pa.field("model_version", pa.string(), nullable=False),
        pa.field("main", pa.string(), nullable=False),
        pa.field("subs", pa.list_(pa.string()), nullable=False),
        described("score", pa.float64(), "probability of the main label, 0 to 1", nullable=False),
        described("blind", pa.bool_(), "kept for comparison, never pushed", nullable=False),
        pa.field("predicted_at", UTC_TIME, nullable=False),
    ]
)

PREDICTION_ACCEPTANCE = pa.schema(
    [
        pa.field("model_version", pa.string(), nullable=False),
        described("label", pa.string(), "predicted main label; null: all of them"),
        described("blind", pa.bool_(), "the expert had not seen the prediction", nullable=False),
        pa.field("answers", pa.int64(), nullable=False),
        described("accepted", pa.int64(), "same main, same subs", nullable=False),
        described("changed", pa.int64(), "same main, other subs", nullable=False),
        described("rejected", pa.int64(), "another main, or no style", nullable=False),
    ]
)

RETURNED_TASKS = pa.schema(
    [
        pa.field("task_id", pa.int64(), nullable=False),
        pa.field("image_id", pa.string()),
        described("annotation_id", pa.string(), "null where the task as a whole came back"),
        pa.field("annotator", pa.string()),
        described("reason", pa.string(), "a quarantine reason, conflict or suspicious", nullable=False),
        described("detail", pa.string(), "what the expert or reviewer reads", nullable=False),
        described("way", pa.string(), "to_annotator, to_another_annotator, to_reviewer", nullable=False),
        pa.field("returned_at", UTC_TIME, nullable=False),
    ]
)

LABELS = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("window", pa.string(), nullable=False),
        described("status", pa.string(), "agreed, resolved_by_review, conflict, unreviewed", nullable=False),
        described("answer", pa.string(), "style, not_fashion, cant_tell; null when status is conflict"),
        described("main", pa.string(), "null unless the answer is a style"),
        pa.field("subs", pa.list_(pa.string()), nullable=False),
        pa.field("annotators", pa.int32(), nullable=False),
        described("mains", pa.list_(pa.string()), "main or other answer of each, sorted by annotator", nullable=False),
    ]
)

AGREEMENT = pa.schema(  # of all annotators, unless window, label or a pair of annotators is named
    [
        described(
            "measure",
            pa.string(),
            "cohen_kappa, krippendorff_alpha, krippendorff_alpha_masi, masi, same_main",
            nullable=False,
        ),
        pa.field("window", pa.string()),
        pa.field("annotator_a", pa.string()),
        pa.field("annotator_b", pa.string()),
        described("label", pa.string(), "a main label, or not_fashion"),
        described("value", pa.float64(), "null where undefined"),
        described("low", pa.float64(), "95% interval, of all images and of a window"),
        pa.field("high", pa.float64()),
        pa.field("images", pa.int64(), nullable=False),
    ]
)

MAIN_CONFUSION = pa.schema(
    [
        described("label_a", pa.string(), "a main label, or not_fashion", nullable=False),
        pa.field("label_b", pa.string(), nullable=False),
        described(
            "pairs", pa.int64(), "of answers for one image: label_a by one, label_b by the other", nullable=False
        ),
        described("share", pa.float64(), "of the pairs in which label_a occurs, 0 to 1; null where it never does"),
    ]
)

ANNOTATORS = pa.schema(
    [
        pa.field("annotator", pa.string(), nullable=False),
        described("week", pa.string(), "ISO week of created_at, such as 2019-W27; null: all the time"),
        pa.field("answers", pa.int64(), nullable=False),
        described("skipped", pa.int64(), "tasks skipped; null for a week, and where nothing is known of it"),
        described("timed", pa.int64(), "answers with a credible lead time", nullable=False),
        described("lead_time_median", pa.float64(), "seconds"),
        described("lead_time_p90", pa.float64(), "seconds"),
        pa.field("reviewed", pa.int64(), nullable=False),
        described("accepted_share", pa.float64(), "of the reviewed, 0 to 1"),
        pa.field("rejected_share", pa.float64()),
        described("compared", pa.int64(), "answers to which the others have one of their own", nullable=False),
        described("kappa", pa.float64(), "with the consensus of the others; null: too few to judge, or undefined"),
        described("drift_week", pa.string(), "the week compared with all before it; null: not tested"),
        described("drift", pa.float64(), "kappa of that week less kappa before"),
        described("drift_p", pa.float64(), "of a permutation test, corrected for the number of annotators (Holm)"),
    ]
)
