"""Small tables, exports and files for the tests of labeling."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from labeling.references import ImageIndex
from labeling.tables import ANNOTATIONS, LABEL_TASKS


def image_id(number: int) -> str:
    return f"{number:064x}"


def task_row(number: int, names: Sequence[str] = (), aside: Sequence[int] = ()) -> dict[str, Any]:
    """A task; the first name is of the image itself, the others of the images set aside for it, in turn."""
    members = [image_id(number), *(image_id(other) for other in aside)]
    return {
        "image_id": image_id(number),
        "window": "2019-07-01",
        "image_path": f"images/00/{image_id(number)}",
        "created_at": None,
        "hashtags": [],
        "alt_text": None,
        "names": list(names),
        "name_image_ids": [members[min(place, len(members) - 1)] for place in range(len(names))],
        "image_ids": members,
    }


def index_of(*rows: dict[str, Any]) -> ImageIndex:
    return ImageIndex.from_tasks(pa.Table.from_pylist(list(rows), schema=LABEL_TASKS).to_pandas())


def annotation(
    image: int, annotator: str, main: str | None, subs: Sequence[str] = (), **changes: Any
) -> dict[str, Any]:
    """A row of ANNOTATIONS; without a main label, one that says that the image shows no fashion."""
    row = {
        "annotation_id": f"{image}:{annotator}",
        "task_id": str(image),
        "image_id": image_id(image),
        "labeled_image_id": image_id(image),
        "annotator": annotator,
        "answer": "not_fashion" if main is None else "style",
        "main": main,
        "subs": list(subs),
        "review": None,
        "reviewer": None,
        "note": None,
        "lead_time": None,
        "created_at": None,
        "updated_at": None,
    }
    return row | changes


def annotation_frame(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    return pa.Table.from_pylist(list(rows), schema=ANNOTATIONS).to_pandas()


def choices(control: str, *labels: str) -> dict[str, Any]:
    return {"from_name": control, "to_name": "image", "type": "choices", "value": {"choices": list(labels)}}


def answer(number: int, result: list[dict[str, Any]], by: Any = 1, **changes: Any) -> dict[str, Any]:
    """An annotation as Label Studio exports it."""
    return {
        "id": number,
        "completed_by": by,
        "result": result,
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": "2024-05-02T08:00:00.000000Z",
        "updated_at": "2024-05-02T08:01:00.000000Z",
        "lead_time": 12.5,
        "prediction": {},
        "updated_by": None,
    } | changes


def task(number: int, *annotations: Any, **changes: Any) -> dict[str, Any]:
    """A task as Label Studio exports it; its image has the same number."""
    return {
        "id": number,
        "data": {"image_id": image_id(number), "image": f"/data/local-files/?d=images/00/{image_id(number)}"},
        "annotations": list(annotations),
        "drafts": [],
        "predictions": [{"id": 1, "result": [choices("main", "Sexy")], "score": 0.9}],
    } | changes


def written(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path
