"""Which images models are judged by, and what is known about them apart from their labels."""

from collections.abc import Sequence

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from labeling.studio.queue import is_blind
from pipeline.partitions import window_keys
from pipeline.settings import Settings
from pipeline.storage import Storage
from pipeline.studio import server_of
from pipeline.tables import TableError


def judged_scores(settings: Settings, storage: Storage, partition: Sequence[str]) -> pa.Table:
    """Return the scores that models are judged by: of all images, or of those whose experts saw no prediction.

    Raises:
        TableError: no image of a split is left.
    """
    return only_judged(settings, storage, storage.read_table("scores", partition), partition[0])


def only_judged(settings: Settings, storage: Storage, scores: pa.Table, label_set: str) -> pa.Table:
    """Return those of a SCORES table's rows that models are judged by; raises as ``judged_scores`` does."""
    if not settings.evaluation.only_blind:
        return scores
    share = server_of(settings).blind_share
    ids = scores.column("image_id").to_pylist()
    blind = _blind(settings, storage, ids)
    left = scores.filter(pa.array([blind[image_id] for image_id in ids], pa.bool_()))
    for split in ("validation", "test"):
        if split not in left.column("split").to_pylist():
            raise TableError(
                f"evaluation.only_blind: no {split} image of {label_set} is blind, at labels.blind_share {share:g}; "
                "label more images, or set evaluation.only_blind to false"
            )
    return left


def image_facts(settings: Settings, storage: Storage, label_set: str) -> pd.DataFrame:
    """Return window, source and, with a live Label Studio, blind of a label set's images, by ``image_id``."""
    data_set = storage.read_table("data_set", (label_set,), ["image_id", "file_id", "window"]).to_pandas()
    windows = window_keys(settings.windows)
    images = _rows_with(storage, windows, "images", ["image_id", "post_id"], data_set["file_id"])
    posts = _rows_with(storage, windows, "posts", ["post_id", "source"], images["post_id"])
    sources = images.merge(posts, on="post_id").sort_values(["image_id", "source"]).drop_duplicates("image_id")
    facts = data_set.assign(source=data_set["file_id"].map(sources.set_index("image_id")["source"]))
    facts = facts.set_index("image_id")[["window", "source"]]
    if settings.label_studio is not None:
        facts["blind"] = facts.index.map(_blind(settings, storage, facts.index.tolist()))
    return facts


def _rows_with(
    storage: Storage, windows: Sequence[str], name: str, columns: Sequence[str], wanted: "pd.Series[str]"
) -> pd.DataFrame:
    """Return the rows of a table whose first column has a wanted value; the table is read window by window."""
    values = pa.array(wanted.unique(), pa.string())
    found = [storage.read_windows(name, [], columns)]
    for window in windows:
        rows = storage.read_windows(name, [window], columns)
        found.append(rows.filter(pc.is_in(rows.column(0), values)))
    frame: pd.DataFrame = pa.concat_tables(found).to_pandas()
    return frame


def _blind(settings: Settings, storage: Storage, image_ids: Sequence[str]) -> dict[str, bool]:
    """Say for each image whether its experts saw no prediction of a model."""
    share = server_of(settings).blind_share
    stood, shown = _queued_images(storage, image_ids), _images_with_shown_predictions(storage)
    return {
        image_id: all(is_blind(seen, share) and seen not in shown for seen in stood[image_id]) for image_id in image_ids
    }


def _queued_images(storage: Storage, image_ids: Sequence[str]) -> dict[str, set[str]]:
    """Return, for each image, those of its near-duplicate cluster that stood in the queue: what experts saw.

    Which image speaks for a cluster may change after one was queued. Where none stood there, it is the image itself.
    """
    if not storage.has_table("queued_tasks"):
        return {image_id: {image_id} for image_id in image_ids}
    queued = set(storage.read_table("queued_tasks", columns=["image_id"]).column("image_id").to_pylist())
    clusters: dict[str, Sequence[str]] = {}
    for members in storage.read_table("label_tasks", columns=["image_ids"]).column("image_ids").to_pylist():
        clusters.update(dict.fromkeys(members, members))
    return {image_id: queued.intersection(clusters.get(image_id, ())) or {image_id} for image_id in image_ids}


def _images_with_shown_predictions(storage: Storage) -> set[str]:
    """Return the images that once stood before experts with a prediction, as before labels.blind_share was raised."""
    if not storage.has_table("pre_annotations"):
        return set()
    rows = storage.read_table("pre_annotations", columns=["image_id", "task_id", "blind"]).to_pylist()
    return {row["image_id"] for row in rows if row["task_id"] is not None and not row["blind"]}
