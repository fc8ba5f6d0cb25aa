"""The simulated experts' work as a file: two label every image, a third reviews, written as a Label Studio export."""

import json
import os
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.demo.judgement import (
    DRAFT,
    EXPERTS,
    REVIEWER,
    SKIPPED,
    VALID,
    Answer,
    Submission,
    Verdict,
    impression,
    leaves_draft,
    submission,
    verdicts,
)
from pipeline.demo.planted import Planted, PlantedImage
from pipeline.demo.results import answer_results, review_results
from pipeline.demo.styles import STYLES

_START = datetime(2019, 9, 9, 8, tzinfo=UTC)
_STAMP = "%Y-%m-%dT%H:%M:%S.%fZ"

Json = dict[str, Any]


def write_export(
    tasks: pd.DataFrame, planted: Planted, path: Path, seed: int, taxonomy: Collection[str]
) -> dict[str, int]:
    """Write the experts' annotations of ``tasks`` (rows of LABEL_TASKS) as a full Label Studio export (JSON).

    Returns how many annotations are bound for the quarantine, by reason. The same arguments give the same bytes; the
    file is replaced in one step. Raises ValueError for a task whose image was not planted, or a taxonomy that lacks
    one of the styles.
    """
    if missing := [style for style in STYLES if style not in taxonomy]:
        raise ValueError(f"the demo's experts use the style {missing[0]!r}: add it to the taxonomy of the settings")
    office = _Office(np.random.default_rng([seed, 2]))
    _write(office.label_tasks(tasks, planted), path)
    return dict(sorted(office.refused.items()))


def add_to_export(tasks: pd.DataFrame, planted: Planted, path: Path, seed: int) -> int:
    """Let the experts go on: add their annotations of the ``tasks`` that the export at ``path`` lacks; return how many.

    What stands there stays as it is. The file is replaced in one step; a call that is killed can be made again.
    """
    content: list[Json] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    done = {task["data"]["image_id"] for task in content}
    open_tasks = tasks[~tasks["image_id"].isin(done)]
    if len(open_tasks):
        office = _Office(np.random.default_rng([seed, 2, len(content)]), content)
        _write([*content, *office.label_tasks(open_tasks, planted)], path)
    return len(open_tasks)


def _write(content: list[Json], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".partial")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False, indent=1)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _truth(planted: Planted, row: Json) -> PlantedImage:
    for image_id in (row["image_id"], *row["image_ids"]):
        if image_id in planted.images:
            return planted.images[image_id]
    raise ValueError(f"image {row['image_id']} was not planted in this world: build the world again, or crawl it again")


class _Office:
    """Where the experts sit: numbers and times of what they submit."""

    def __init__(self, rng: np.random.Generator, earlier: Sequence[Json] = ()) -> None:
        """``earlier`` are tasks that they are done with: numbers and times go on from there."""
        self.rng = rng
        self.refused: Counter[str] = Counter()
        annotations = [one for task in earlier for one in (*task["annotations"], *task["drafts"])]
        self._task = max((task["id"] for task in earlier), default=0)
        self._annotation = max((one["id"] for one in annotations), default=1000)
        stamps = [one["updated_at"] for one in annotations]
        self._clock = datetime.strptime(max(stamps), _STAMP).replace(tzinfo=UTC) if stamps else _START

    def label_tasks(self, tasks: pd.DataFrame, planted: Planted) -> list[Json]:
        """Label tasks (rows of LABEL_TASKS) one after the other."""
        records = tasks.sort_values("image_id").to_dict("records")
        rows = [{str(column): value for column, value in record.items()} for record in records]
        return [self.label_task(row, _truth(planted, row)) for row in rows]

    def label_task(self, row: Json, truth: PlantedImage) -> Json:
        """One task of the export with both experts' answers, and the reviewer's decision where they disagree."""
        self._task += 1
        answers = [impression(truth, expert, self.rng) for expert in range(len(EXPERTS))]
        annotations = [self._submit(expert, answer) for expert, answer in enumerate(answers)]
        for verdict in verdicts(answers, truth, self.rng):
            self._review(annotations[verdict.place], verdict)
        drafts = [self._draft(answers[0])] if leaves_draft(self.rng) else []
        created = _stamp(_START - timedelta(days=1))
        return {
            "id": self._task,
            "annotations": annotations,
            "drafts": drafts,
            "predictions": [],
            "file_upload": None,
            "data": {
                "image_id": row["image_id"],
                "image": f"/data/local-files/?d={row['image_path']}",
                "created_at": "" if pd.isna(row["created_at"]) else row["created_at"].strftime("%Y-%m-%d"),
                "hashtags": " ".join(f"#{tag}" for tag in row["hashtags"]),
                "alt_text": row["alt_text"] if isinstance(row["alt_text"], str) else "",
            },
            "meta": {},
            "created_at": created,
            "updated_at": _stamp(self._clock),
            "inner_id": self._task,
            "total_annotations": sum(not one["was_cancelled"] for one in annotations),
            "cancelled_annotations": sum(one["was_cancelled"] for one in annotations),
            "total_predictions": 0,
            "comment_count": 0,
            "unresolved_comment_count": 0,
            "project": 1,
            "updated_by": annotations[-1]["updated_by"]["id"],
            "comment_authors": [],
        }

    def _submit(self, expert: int, answer: Answer) -> Json:
        submitted = submission(answer, self.rng)
        self._clock += timedelta(seconds=submitted.seconds)
        if submitted.outcome not in VALID:
            self.refused[submitted.outcome] += 1
        return self._annotation_of(expert, submitted)

    def _annotation_of(self, expert: int, submitted: Submission) -> Json:
        results = answer_results(submitted.answer, self._result_key)
        self._annotation += 1
        person = {
            "id": expert + 1,
            "email": EXPERTS[expert],
            "first_name": "Simulated",
            "last_name": f"Expert {expert + 1}",
        }
        return {
            "id": self._annotation,
            "completed_by": person,
            "result": results,
            "was_cancelled": submitted.outcome == SKIPPED,
            "ground_truth": False,
            "created_at": _stamp(self._clock),
            "updated_at": _stamp(self._clock),
            "draft_created_at": None,
            "lead_time": submitted.seconds,
            "prediction": {},
            "result_count": len(results),
            "unique_id": self._key(16),
            "import_id": None,
            "last_action": None,
            "bulk_created": False,
            "task": self._task,
            "project": 1,
            "updated_by": person,
            "parent_prediction": None,
            "parent_annotation": None,
            "last_created_by": None,
        }

    def _key(self, size: int) -> str:
        return self.rng.bytes(size).hex()

    def _result_key(self) -> str:
        return self._key(5)

    def _review(self, annotation: Json, verdict: Verdict) -> None:
        """Add the reviewer's decision, unless the answer was skipped."""
        if annotation["was_cancelled"]:
            return
        self._clock += timedelta(seconds=30)
        annotation["result"] += review_results(verdict, self._result_key)
        annotation["result_count"] = len(annotation["result"])
        annotation["updated_at"] = _stamp(self._clock)
        annotation["updated_by"] = {"id": 3, "email": REVIEWER, "first_name": "Simulated", "last_name": "Reviewer"}

    def _draft(self, answer: Answer) -> Json:
        self.refused[DRAFT] += 1
        self._annotation += 1
        return {
            "id": self._annotation,
            "user": EXPERTS[0],
            "created_username": f" {EXPERTS[0]}, 1",
            "created_ago": "2 weeks",
            "result": answer_results(Answer(answer.mains), self._result_key),
            "lead_time": 3.0,
            "was_postponed": False,
            "import_id": None,
            "created_at": _stamp(self._clock),
            "updated_at": _stamp(self._clock),
            "task": self._task,
            "annotation": None,
        }


def _stamp(moment: datetime) -> str:
    return moment.strftime(_STAMP)
