"""What the experts get to see: one task for each unique image, with the context of its post."""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import pandas as pd
import pyarrow as pa

from labeling.config import ATTENTION
from labeling.studio.pictures import local_files_url
from labeling.tables import LABEL_TASKS
from labeling.task_columns import SOURCES, stored_path, task_batches

SHOWN = ["image_id", "window", "image_path", "created_at", "hashtags", "alt_text"]  # columns that task_data reads
MOST_TEXT = 500  # characters of a stranger's text that an expert is shown

_JOINER = "\u200d"  # a control character that emoji are made with


def label_tasks(
    unique: pd.DataFrame,
    images: pd.DataFrame,
    posts: pd.DataFrame,
    path_of: Callable[[str], str] = stored_path,
) -> pa.Table:
    """Make a task of every kept image: a row of ``LABEL_TASKS`` each, sorted by ``image_id``.

    The picture shown is the best file of the cluster; date, hashtags and alt text are those of the earliest post that
    carries the canonical image.

    Args:
        unique: rows of ``UNIQUE_IMAGES``.
        images: rows of ``IMAGES`` with status ok, of all windows.
        posts: rows of ``POSTS`` of all windows.
        path_of: from an image id to its path inside the data location.
    """
    frames = {"unique_images": unique, "images": images, "posts": posts}

    def read(name: str, columns: Sequence[str]) -> pa.Table:
        fields = [SOURCES[name].field(column) for column in columns]
        arrays = [pa.array(frames[name][field.name], field.type, from_pandas=True) for field in fields]
        return pa.table(arrays, names=list(columns))

    return pa.Table.from_batches(task_batches(read, path_of), LABEL_TASKS)


def label_studio_tasks(
    tasks: pa.Table, image_url: Callable[[str], str] = local_files_url
) -> list[dict[str, dict[str, str]]]:
    """Turn ``LABEL_TASKS`` into the JSON that Label Studio imports; every field of the labeling config has a text."""
    return [{"data": task_data(row, image_url)} for row in tasks.to_pylist()]


def task_data(row: Mapping[str, Any], image_url: Callable[[str], str] = local_files_url) -> dict[str, str]:
    """Return what Label Studio shows of one row of ``LABEL_TASKS``.

    Hashtags and alt texts come from strangers: control characters are taken out, and what is longer than 500
    characters is cut.

    Args:
        row: of ``LABEL_TASKS``.
        image_url: from ``image_path`` to the address of the picture; without it, the document root of the server is
            the data location.
    """
    return {
        "image_id": row["image_id"],
        "image": image_url(row["image_path"]),
        "created_at": _date(row["created_at"]),
        "hashtags": _shown(" ".join(f"#{tag}" for tag in row["hashtags"])),
        "alt_text": _shown(row["alt_text"] or ""),
        "window": row["window"],
        ATTENTION: "",
    }


def _date(moment: Any) -> str:
    return moment.strftime("%Y-%m-%d") if isinstance(moment, datetime) else ""


def _shown(text: str) -> str:
    """Make a stranger's text safe to show on one line."""
    kept = text
    if not text.isprintable():  # which is quicker to ask than to do what follows
        kept = "".join(
            character if character == _JOINER or unicodedata.category(character)[0] not in "CZ" else " "
            for character in text
        )
    # Label Studio signs every s3:// address that it finds in the data of a task, also one that a stranger wrote.
    line = " ".join(kept.split()).replace("://", ": //")
    return line if len(line) <= MOST_TEXT else line[: MOST_TEXT - 1] + "…"
