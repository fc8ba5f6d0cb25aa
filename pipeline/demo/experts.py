"""Simulated experts: two label every image, a third reviews, and their work is written as a Label Studio export.

Nobody labelled anything: the answers are the planted truth with the mistakes that people make, and every name says so.
"""

import json
import os
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from labeling.config import ACCEPTED, MAIN, NOTE, REJECTED, REVIEW, SUBS
from pipeline.demo.planted import Planted, PlantedImage
from pipeline.demo.styles import STYLES, similar_style

EXPERTS = ("simulated-expert-1@example.invalid", "simulated-expert-2@example.invalid")
REVIEWER = "simulated-reviewer@example.invalid"

_WRONG_MAIN = (0.05, 0.08)  # chance that expert 1 and 2 see another main style
_MISSED_SUB, _EXTRA_SUB = 0.12, 0.015
_SKIPPED, _INVALID, _DRAFT = 0.012, 0.007, 0.012
_REVIEWED = 0.8  # of the images on whose main style the experts disagree
_START = datetime(2019, 9, 9, 8, tzinfo=UTC)

Json = dict[str, Any]
_Labels = tuple[list[str], list[str]]


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
    rng = np.random.default_rng([seed, 2])
    office = _Office(rng)
    content = []
    for record in tasks.sort_values("image_id").to_dict("records"):
        row = {str(column): value for column, value in record.items()}
        content.append(office.label_task(row, _truth(planted, row)))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".partial")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False, indent=1)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    return dict(sorted(office.refused.items()))


def _truth(planted: Planted, row: Json) -> PlantedImage:
    for image_id in (row["image_id"], *row["image_ids"]):
        if image_id in planted.images:
            return planted.images[image_id]
    raise ValueError(f"image {row['image_id']} was not planted in this world: build the world again, or crawl it again")


class _Office:
    """Where the experts sit: numbers and times of what they submit."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.refused: Counter[str] = Counter()
        self._task, self._annotation = 0, 1000
        self._clock = _START

    def label_task(self, row: Json, truth: PlantedImage) -> Json:
        """One task of the export with both experts' answers, and the reviewer's decision where they disagree."""
        self._task += 1
        answers = [_answer(truth, _WRONG_MAIN[expert], self.rng) for expert in range(len(EXPERTS))]
        annotations = [self._submit(expert, answers[expert]) for expert in range(len(EXPERTS))]
        if answers[0][0] != answers[1][0] and self.rng.random() < _REVIEWED:
            self._review(annotations, answers, truth)
        drafts = [self._draft(answers[0])] if self.rng.random() < _DRAFT else []
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

    def _submit(self, expert: int, answer: _Labels) -> Json:
        """What an expert submits: mostly the answer, sometimes a skip or something that no rule allows."""
        seconds = float(np.round(self.rng.gamma(4.0, 4.0) + 2.0, 3))
        self._clock += timedelta(seconds=seconds)
        skipped = bool(self.rng.random() < _SKIPPED)
        if skipped:
            self.refused["skipped"] += 1
        elif self.rng.random() < _INVALID:
            answer, reason = _mistake(answer, self.rng)
            self.refused[reason] += 1
        return self._annotation_of(expert, [] if skipped else self._results(answer), seconds, skipped)

    def _annotation_of(self, expert: int, results: list[Json], seconds: float, skipped: bool) -> Json:
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
            "was_cancelled": skipped,
            "ground_truth": False,
            "created_at": _stamp(self._clock),
            "updated_at": _stamp(self._clock),
            "draft_created_at": None,
            "lead_time": seconds,
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

    def _results(self, labels: _Labels) -> list[Json]:
        return [self._result(name, choices) for name, choices in zip((MAIN, SUBS), labels, strict=True) if choices]

    def _result(self, name: str, choices: Sequence[str]) -> Json:
        value = {"choices": list(choices)}
        return {
            "id": self._key(5),
            "type": "choices",
            "value": value,
            "origin": "manual",
            "from_name": name,
            "to_name": "image",
        }

    def _key(self, size: int) -> str:
        return self.rng.bytes(size).hex()

    def _review(self, annotations: list[Json], answers: list[_Labels], truth: PlantedImage) -> None:
        """The reviewer accepts the right answer, or rejects the wrong one."""
        right = [at for at, answer in enumerate(answers) if answer[0] == [truth.main]]
        if not right:
            return
        accept = self.rng.random() < 0.8
        decided = annotations[right[0] if accept else 1 - right[0]]
        if decided["was_cancelled"]:
            return
        self._clock += timedelta(seconds=30)
        decided["result"].append(self._result(REVIEW, [ACCEPTED if accept else REJECTED]))
        if not accept:
            note = {"text": [f"Looks more like {truth.main}."]}
            decided["result"].append(
                {
                    "id": self._key(5),
                    "type": "textarea",
                    "value": note,
                    "origin": "manual",
                    "from_name": NOTE,
                    "to_name": "image",
                }
            )
        decided["result_count"] = len(decided["result"])
        decided["updated_at"] = _stamp(self._clock)
        decided["updated_by"] = {"id": 3, "email": REVIEWER, "first_name": "Simulated", "last_name": "Reviewer"}

    def _draft(self, answer: _Labels) -> Json:
        self.refused["draft"] += 1
        self._annotation += 1
        return {
            "id": self._annotation,
            "user": EXPERTS[0],
            "created_username": f" {EXPERTS[0]}, 1",
            "created_ago": "2 weeks",
            "result": self._results((answer[0], [])),
            "lead_time": 3.0,
            "was_postponed": False,
            "import_id": None,
            "created_at": _stamp(self._clock),
            "updated_at": _stamp(self._clock),
            "task": self._task,
            "annotation": None,
        }


def _answer(truth: PlantedImage, wrong: float, rng: np.random.Generator) -> _Labels:
    """What an expert sees in an image: the truth, or a style like it."""
    main = truth.main
    subs = [sub for sub in truth.subs if rng.random() >= _MISSED_SUB]
    if rng.random() < wrong:
        if truth.subs and rng.random() < 0.7:
            main = truth.subs[int(rng.integers(len(truth.subs)))]
        else:
            main = similar_style(truth.main, (), rng)
        subs = [sub for sub in subs if sub != main]
        if truth.main not in subs and rng.random() < 0.7:
            subs.append(truth.main)
    elif rng.random() < _EXTRA_SUB:
        subs.append(similar_style(main, subs, rng))
    return [main], subs


def _mistake(answer: _Labels, rng: np.random.Generator) -> tuple[_Labels, str]:
    """An answer that breaks a rule, and the reason with which it is refused."""
    (main, *_), subs = answer
    match int(rng.integers(4)):
        case 0:
            return ([main, similar_style(main, (), rng)], subs), "two_mains"
        case 1:
            return (["Streetwear"], subs), "unknown_label"
        case 2:
            return ([main], [*subs, main]), "main_in_subs"
        case _:
            return ([], subs), "no_main"


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
