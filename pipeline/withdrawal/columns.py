"""What the columns of all tables hold: where ids of pictures, posts and authors stand, and what becomes of them.

Every column of text, bytes or lists of them is classified by name. One that is not makes a test fail, so a new table
cannot be forgotten.
"""

from enum import Enum

import pyarrow as pa

from pipeline.tables import TABLES


class Holds(Enum):
    """What a column says about a picture, a post or its author."""

    IMAGE = "an image_id"
    IMAGES = "a list of image_ids"
    POST = "a post_id"
    AUTHOR = "an author_hmac"
    GROUP = "an image_id that founded a group: other images of the group keep it"
    PATH = "a path or address that may end in an image_id"
    ADDRESS = "an address on the web, or a path inside an archive"
    NAME = "what people call a picture: an id, an address, a file name"
    NAMES = "a list of such names, one for each entry of name_image_ids"
    TASK = "a task's number in Label Studio"
    TEXT = "text in which ids may stand"
    ROW = "a fact about what the row is about; it goes with the row"
    NOTHING = "nothing about a single picture, post or author"


_BY_NAME: dict[Holds, tuple[str, ...]] = {
    Holds.IMAGE: (*("image_id", "labeled_image_id", "canonical_id", "best_image_id", "file_id", "image_a", "image_b"),),
    Holds.IMAGES: ("image_ids", "name_image_ids"),
    Holds.POST: ("post_id",),
    Holds.AUTHOR: ("author_hmac",),
    Holds.GROUP: ("group_id",),
    Holds.PATH: ("image_path",),
    Holds.NAME: ("image",),
    Holds.NAMES: ("names",),
    Holds.TASK: ("task_id",),
    Holds.ADDRESS: ("url",),
    Holds.TEXT: ("raw", "detail", "reason", "note"),
    Holds.ROW: (
        *("phash64", "phash256", "trim_phash64", "trim_phash256", "mirror_phash64", "mirror_phash256"),
        *("trim_mirror_phash64", "trim_mirror_phash256", "chroma", "trim_chroma", "trim_luma", "embedding"),
        *("probabilities", "scores", "logits", "hashtags", "matched_hashtags", "language", "license", "opt_out"),
        *("alt_text", "robots_txt", "x_robots_tag", "tdm_reservation", "format", "annotation_id", "task_link"),
    ),
    Holds.NOTHING: (
        *("algorithm", "annotator", "annotator_a", "annotator_b", "answer", "architecture_a", "architecture_b"),
        *("asked_by", "band", "challenger", "challenger_newest", "champion", "champion_before", "champion_newest"),
        *("chosen_as", "column_label", "data_set_version", "decided_by", "decision", "dimension", "direction"),
        *("drift_week", "drifted_windows", "form", "from_window", "given_main", "given_subs", "hash_version"),
        *("keyed_hash", "kind", "label", "label_a", "label_b", "label_set", "labels", "loss", "made_with", "main"),
        *("mains", "masked_phash256", "masked_trim_phash256", "measure", "metric", "model_version", "network"),
        *("outcome", "parts", "pooling", "request", "review", "reviewer", "role", "row_label", "rule", "rule_version"),
        *("scored_on", "scores_by", "server", "slice", "source", "split", "stage", "state", "status", "subs"),
        *("suggested_main", "suggested_subs", "test", "tombstone_id", "vector", "version", "via", "way", "week"),
        *("what", "window"),
    ),
}
_HOLDS = {name: holds for holds, names in _BY_NAME.items() for name in names}
REASON_OF_THE_OPERATOR = ("withdrawals", "reason")  # what the person who withdrew wrote; it must stay readable


class UnclassifiedColumnError(KeyError):
    """A column of which nobody has said whether ids of pictures, posts or authors stand in it."""


def holds(table: str, column: str) -> Holds:
    """Say what a column of a table holds.

    Raises:
        UnclassifiedColumnError: nobody has said so yet.
    """
    if (table, column) == REASON_OF_THE_OPERATOR:
        return Holds.NOTHING
    if column in _HOLDS:
        return _HOLDS[column]
    if _is_plain(TABLES[table].schema.field(column).type):
        return Holds.NOTHING
    raise UnclassifiedColumnError(
        f"table {table}: say in pipeline/withdrawal/columns.py what the column {column} holds, so that withdrawn "
        "pictures leave it"
    )


def columns_holding(table: str, *kinds: Holds) -> list[str]:
    """Return the columns of a table that hold one of ``kinds``, in their order."""
    return [name for name in TABLES[table].schema.names if holds(table, name) in kinds]


def _is_plain(kind: pa.DataType) -> bool:
    """Say whether a type can hold no id at all: numbers, truth values and moments."""
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_timestamp(kind)
    )
