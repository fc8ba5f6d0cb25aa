"""What the experts get to see: one task for each unique image, with the context of its post."""

import unicodedata
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

import pandas as pd
import pyarrow as pa

from labeling.config import ATTENTION
from labeling.studio.pictures import local_files_url
from labeling.tables import LABEL_TASKS

MOST_TEXT = 500  # characters of a stranger's text that an expert is shown

_JOINER = "\u200d"  # a control character that emoji are made with


def stored_path(image_id: str) -> str:
    """Return the path of an image's bytes inside the data location."""
    return str(PurePosixPath("images", image_id[:2], image_id))


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
    kept = unique[unique["kept"].astype(bool)].sort_values("image_id")
    members = unique.sort_values("image_id").groupby("canonical_id")["image_id"].agg(list)
    names = _names(unique, images)
    alt_texts = _alt_texts(images)
    hashtags = posts.drop_duplicates("post_id").set_index("post_id")["hashtags"]
    rows: list[dict[str, object]] = []
    for image_id, window, best, created_at, post_id in zip(
        kept["image_id"], kept["window"], kept["best_image_id"], kept["created_at"], kept["post_id"], strict=True
    ):
        known_as = names.get(image_id, [])
        rows.append(
            {
                "image_id": image_id,
                "window": window,
                "image_path": path_of(best),
                "created_at": None if pd.isna(created_at) else created_at,
                "hashtags": list(hashtags.get(post_id, ())),
                "alt_text": alt_texts.get((post_id, image_id)),
                "names": [name for name, _ in known_as],
                "name_image_ids": [bearer for _, bearer in known_as],
                "image_ids": members[image_id],
            }
        )
    return pa.Table.from_pylist(rows, schema=LABEL_TASKS)


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


def _names(unique: pd.DataFrame, images: pd.DataFrame) -> dict[str, list[tuple[str, str]]]:
    """For each canonical image, the addresses and file names of its cluster's images, sorted."""
    canonical = dict(zip(unique["image_id"], unique["canonical_id"], strict=True))
    known = images[images["image_id"].isin(list(canonical))]
    names: dict[str, list[tuple[str, str]]] = {}
    for url, image_id in sorted(set(zip(known["url"], known["image_id"], strict=True))):
        names.setdefault(canonical[image_id], []).append((url, image_id))
    return names


def _alt_texts(images: pd.DataFrame) -> dict[tuple[str, str], str]:
    """For each image of a post, the first alt text it has there."""
    described = images[images["alt_text"].notna() & (images["alt_text"] != "")]
    described = described.sort_values(["post_id", "image_id", "media_index"])
    described = described.drop_duplicates(["post_id", "image_id"])
    keys = zip(described["post_id"], described["image_id"], strict=True)
    return dict(zip(keys, described["alt_text"], strict=True))


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
