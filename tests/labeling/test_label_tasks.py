from typing import Any
from xml.etree import ElementTree as ET

import pandas as pd
import pytest
from labeling_samples import image_id

from labeling import (
    FASHION_STYLES,
    ImageIndex,
    ImageReference,
    label_studio_tasks,
    label_tasks,
    labeling_config,
)
from labeling.tables import LABEL_TASKS
from labeling.tasks import task_data

DAY = pd.Timestamp("2019-07-03T21:30", tz="UTC")


def unique_row(number: int, canonical: int | None = None, best: int | None = None, **changes: Any) -> dict[str, Any]:
    return {
        "image_id": image_id(number),
        "window": "2019-07-01",
        "canonical_id": image_id(canonical or number),
        "best_image_id": image_id(best or canonical or number),
        "kept": canonical is None,
        "post_id": f"m:{number}",
        "created_at": DAY,
    } | changes


def image_row(number: int, url: str, post: str, alt_text: str | None = None, place: int = 0) -> dict[str, Any]:
    return {"image_id": image_id(number), "url": url, "post_id": post, "alt_text": alt_text, "media_index": place}


UNIQUE = pd.DataFrame([unique_row(2, best=7), unique_row(7, canonical=2), unique_row(1, created_at=pd.NaT)])
IMAGES = pd.DataFrame(
    [
        image_row(2, "https://a.example/2.jpg", "m:2", "", place=0),
        image_row(2, "https://a.example/2b.jpg", "m:2", "Red coat", place=1),
        image_row(2, "https://b.example/again.jpg", "m:8", "Not this post"),
        image_row(7, "https://b.example/7.jpg", "m:7", "A copy"),
        image_row(1, "women/0001.jpg", "m:1"),
        image_row(1, "women/0001.jpg", "m:9"),
    ]
)
POSTS = pd.DataFrame({"post_id": ["m:1", "m:2", "m:7", "m:8"], "hashtags": [[], ["ootd", "fashion"], ["x"], ["y"]]})


def test_each_kept_image_is_one_task_with_the_context_of_its_post() -> None:
    table = label_tasks(UNIQUE, IMAGES, POSTS)
    assert table.schema.equals(LABEL_TASKS)
    first, second = table.to_pylist()
    assert (first["image_id"], second["image_id"]) == (image_id(1), image_id(2))
    assert first["created_at"] is None
    assert first["alt_text"] is None
    assert second["created_at"] == DAY.to_pydatetime()
    assert second["hashtags"] == ["ootd", "fashion"]
    assert second["alt_text"] == "Red coat"
    assert second["image_path"] == f"images/00/{image_id(7)}"  # the better file of the cluster
    assert second["image_ids"] == [image_id(2), image_id(7)]


def test_a_task_knows_the_names_of_all_images_of_its_cluster() -> None:
    table = label_tasks(UNIQUE, IMAGES, POSTS)
    second = table.to_pylist()[1]
    assert second["names"] == [
        "https://a.example/2.jpg",
        "https://a.example/2b.jpg",
        "https://b.example/7.jpg",
        "https://b.example/again.jpg",
    ]
    assert second["name_image_ids"] == [image_id(2), image_id(2), image_id(7), image_id(2)]
    index = ImageIndex.from_tasks(table.to_pandas())
    assert index.resolve("7.jpg") == ImageReference(image_id(2), image_id(7))
    assert index.resolve("women/0001.jpg") == ImageReference(image_id(1), image_id(1))


def test_the_order_of_rows_changes_nothing() -> None:
    assert label_tasks(UNIQUE[::-1], IMAGES[::-1], POSTS[::-1]).equals(label_tasks(UNIQUE, IMAGES, POSTS))


def test_no_images_give_no_tasks() -> None:
    assert label_tasks(UNIQUE[:0], IMAGES[:0], POSTS[:0]).equals(LABEL_TASKS.empty_table())


def test_the_import_has_every_field_that_the_screen_shows() -> None:
    tasks = label_studio_tasks(label_tasks(UNIQUE, IMAGES, POSTS))
    assert tasks[1]["data"] == {
        "image_id": image_id(2),
        "image": f"/data/local-files/?d=images/00/{image_id(7)}",
        "created_at": "2019-07-03",
        "hashtags": "#ootd #fashion",
        "alt_text": "Red coat",
        "window": "2019-07-01",
        "attention": "",
    }
    assert tasks[0]["data"]["created_at"] == tasks[0]["data"]["alt_text"] == tasks[0]["data"]["hashtags"] == ""
    shown = {node.get("value", "") for node in ET.fromstring(labeling_config(FASHION_STYLES)).iter()}  # noqa: S314
    fields = {value[1:] for value in shown if value.startswith("$")}
    assert {"image", "attention"} <= fields <= set(tasks[0]["data"])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("two\nlines\tand a tab\x00", "two lines and a tab"),
        ("\u202etxet desrever\u202c", "txet desrever"),  # would turn the rest of the screen around
        ("한글 👩\u200d🎤 café", "한글 👩\u200d🎤 café"),
        ("see s3://bucket/private.jpg", "see s3: //bucket/private.jpg"),  # else Label Studio signs it
        ("x" * 500, "x" * 500),
        ("y" * 501, "y" * 499 + "…"),
    ],
)
def test_texts_of_strangers_are_made_safe_to_show(text: str, shown: str) -> None:
    row = label_tasks(UNIQUE, IMAGES, POSTS).to_pylist()[0]
    assert task_data(row | {"alt_text": text})["alt_text"] == shown
    assert task_data(row | {"hashtags": ["ootd", text]})["hashtags"].startswith("#ootd #")
    assert task_data(row | {"hashtags": ["a\nb", "c"]})["hashtags"] == "#a b #c"
