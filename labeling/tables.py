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
        pa.field("main", pa.string(), nullable=False),
        pa.field("subs", pa.list_(pa.string()), nullable=False),  # taxonomy order, never the main
        pa.field("review", pa.string()),  # accepted, rejected
        pa.field("reviewer", pa.string()),
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
        pa.field("raw", pa.string(), nullable=False),  # the row or annotation as JSON
    ]
)

LABELS = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("window", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),  # agreed, resolved_by_review, majority, single, conflict
        pa.field("main", pa.string()),  # null when status is conflict
        pa.field("subs", pa.list_(pa.string()), nullable=False),
        pa.field("annotators", pa.int32(), nullable=False),
        pa.field("mains", pa.list_(pa.string()), nullable=False),  # every annotator's main, sorted by annotator
    ]
)

AGREEMENT = pa.schema(
    [
        pa.field("measure", pa.string(), nullable=False),  # cohen_kappa, krippendorff_alpha, masi, same_main
        pa.field("annotator_a", pa.string()),
        pa.field("annotator_b", pa.string()),
        pa.field("label", pa.string()),
        pa.field("value", pa.float64()),  # null where undefined
        pa.field("images", pa.int64(), nullable=False),
    ]
)
