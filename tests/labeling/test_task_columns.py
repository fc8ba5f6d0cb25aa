"""Tasks made column by column are what they would be image by image, and a name is found among many."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from labeling_samples import image_id

from labeling import label_tasks, task_columns
from labeling.name_lookup import NameLookup
from labeling.tasks import stored_path

Row = dict[str, Any]


def image_by_image(unique: list[Row], images: list[Row], posts: list[Row]) -> list[Row]:
    """LABEL_TASKS rows by going through everything for each image."""
    cluster = {row["image_id"]: row["canonical_id"] for row in unique}
    tasks = []
    for row in sorted((row for row in unique if row["kept"]), key=lambda row: row["image_id"]):
        members = sorted(name for name, canonical in cluster.items() if canonical == row["image_id"])
        names = sorted({(image["url"], image["image_id"]) for image in images if image["image_id"] in members})
        own = (row["image_id"], row["post_id"])
        described = [
            (image["media_index"], image["alt_text"])
            for image in images
            if (image["image_id"], image["post_id"]) == own and image["alt_text"]
        ]
        tags = [post["hashtags"] for post in posts if post["post_id"] == row["post_id"]]
        tasks.append(
            {
                "image_id": row["image_id"],
                "window": row["window"],
                "image_path": stored_path(row["best_image_id"]),
                "created_at": row["created_at"],
                "hashtags": tags[0] if tags else [],
                "alt_text": min(described)[1] if described else None,
                "names": [name for name, _ in names],
                "name_image_ids": [bearer for _, bearer in names],
                "image_ids": members,
            }
        )
    return tasks


def drawn(seed: int) -> tuple[list[Row], list[Row], list[Row]]:
    """Clusters, pictures with shared names and posts, some of them unknown to the others."""
    random = np.random.default_rng(seed)
    count = int(random.integers(1, 40))
    ids = [image_id(int(number)) for number in random.permutation(99)[:count]]
    kept = [place == 0 or bool(random.random() < 0.6) for place in range(count)]
    canonical = [name for name, is_kept in zip(ids, kept, strict=True) if is_kept]
    unique = [
        {
            "image_id": name,
            "window": f"2019-07-0{random.integers(1, 4)}",
            "canonical_id": name if is_kept else str(random.choice(canonical)),
            "best_image_id": str(random.choice(ids)),
            "kept": is_kept,
            "post_id": f"m:{random.integers(20)}",
            "created_at": None if random.random() < 0.2 else pd.Timestamp("2019-07-01", tz="UTC"),
        }
        for name, is_kept in zip(ids, kept, strict=True)
    ]
    images = [
        {
            "image_id": str(random.choice([*ids, image_id(100)])),
            "post_id": f"m:{random.integers(25)}",
            "media_index": place,
            "url": f"https://a.example/{random.choice(['é', 'z'])}{random.integers(30)}.jpg",
            "alt_text": [None, "", f"A coat, {place}"][random.integers(3)],
        }
        for place in range(random.integers(0, 150))
    ]
    posts = [
        {"post_id": f"m:{number}", "hashtags": [f"tag{tag}" for tag in range(random.integers(0, 4))]}
        for number in random.permutation(22)
    ]
    return unique, images, posts


@pytest.mark.parametrize("seed", range(30))
def test_columns_say_the_same_as_going_image_by_image(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_columns, "BATCH", 7)
    unique, images, posts = drawn(seed)
    columns = ["image_id", "post_id", "media_index", "url", "alt_text"]
    found = label_tasks(pd.DataFrame(unique), pd.DataFrame(images, columns=columns), pd.DataFrame(posts))
    assert found.to_pylist() == image_by_image(unique, images, posts)


def test_a_name_is_found_wherever_it_stands_by_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    names = NameLookup(pa.array(["A", "b", "a", "c"]), str.lower)
    assert sorted(names.rows("a")) == [0, 2]
    assert names.rows("c") == [3]
    assert names.rows("A") == []
    assert NameLookup(pa.array([], pa.string())).rows("a") == []


def test_names_with_one_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labeling.name_lookup.hash", lambda key: 7, raising=False)
    names = NameLookup(pa.array(["a", "b"]))
    assert names.rows("b") == [1]
    assert names.rows("c") == []
