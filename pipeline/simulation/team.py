"""The labelling team of a simulated year: it manages a part of each week, in a Label Studio export that grows."""

import itertools
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.demo.judgement import (
    EXPERTS,
    REVIEWER,
    SKIPPED,
    VALID,
    Submission,
    Verdict,
    impression,
    submission,
    verdicts,
)
from pipeline.demo.planted import PlantedImage
from pipeline.demo.results import answer_results, review_results
from pipeline.simulation.world import SimulatedWorld
from pipeline.storage import write_file

Json = dict[str, Any]


@dataclass
class Team:
    """Two experts, who label the same images, and a reviewer. What each sees in an image depends on nothing else."""

    world: SimulatedWorld
    path: Path  # of the export
    seed: int
    labelled: dict[str, Json] = field(default_factory=dict)  # tasks of the export, by image
    refused: Counter[str] = field(default_factory=Counter)  # annotations that break a rule, by reason

    def work(self, tasks: pd.DataFrame, most: int, now: datetime) -> int:
        """Label up to ``most`` images of ``tasks`` (LABEL_TASKS), those of the newest window first; return how many.

        Of each window images are chosen at random. The export is replaced in one step.
        """
        done = {image_id for task in self.labelled.values() for image_id in task["data"]["cluster"]}
        open_tasks = tasks[[done.isdisjoint(ids) for ids in tasks["image_ids"]]]
        chosen = self._in_order(open_tasks).head(most)
        for row in chosen.itertuples():
            self.labelled[row.image_id] = self._label(row.image_id, list(row.image_ids), now)
        self.write()
        return len(chosen)

    def answers(self) -> list[tuple[str, Json]]:
        """Return every annotation of the export with the image that it is about."""
        return [(image, one) for image, task in self.labelled.items() for one in task["annotations"]]

    def write(self) -> None:
        """Write the export: every task that has answers."""
        write_file(self.path, json.dumps(list(self.labelled.values()), indent=1).encode())

    def _in_order(self, tasks: pd.DataFrame) -> pd.DataFrame:
        order = [-pd.Timestamp(window).value for window in tasks["window"]]
        chance = [self._rng(image_id, 0).random() for image_id in tasks["image_id"]]
        return tasks.assign(order=order, chance=chance).sort_values(["order", "chance"])

    def _rng(self, image_id: str, use: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, use, int(image_id[:12], 16)])

    def _label(self, image_id: str, cluster: list[str], now: datetime) -> Json:
        """Return the task with both experts' answers, and the reviewer's decision where they disagree."""
        truth = self._truth([image_id, *cluster])
        rng = self._rng(truth.image_id, 1)
        number = len(self.labelled) + 1
        seen = [impression(truth, expert, rng) for expert in range(len(EXPERTS))]
        submitted = [submission(answer, rng) for answer in seen]
        annotations = [self._annotation(10 * number + expert, expert, one, now) for expert, one in enumerate(submitted)]
        for verdict in verdicts(seen, truth, rng):
            _review(annotations[verdict.place], verdict, now)
        self.refused.update(one.outcome for one in submitted if one.outcome not in VALID)
        data = {"image_id": image_id, "cluster": cluster}
        return {"id": number, "data": data, "annotations": annotations, "drafts": [], "predictions": []}

    def _truth(self, image_ids: list[str]) -> PlantedImage:
        for image_id in image_ids:
            if image_id in self.world.planted.images:
                return self.world.planted.images[image_id]
        raise ValueError(f"image {image_ids[0]} was not planted in this year")

    def _annotation(self, number: int, expert: int, submitted: Submission, now: datetime) -> Json:
        moment = _stamp(now - timedelta(seconds=submitted.seconds))
        return {
            "id": number,
            "completed_by": {"id": expert + 1, "email": EXPERTS[expert]},
            "result": answer_results(submitted.answer, _keys(number)),
            "was_cancelled": submitted.outcome == SKIPPED,
            "created_at": moment,
            "updated_at": moment,
            "lead_time": submitted.seconds,
            "updated_by": {"id": expert + 1, "email": EXPERTS[expert]},
        }


def _review(annotation: Json, verdict: Verdict, now: datetime) -> None:
    """Add the reviewer's decision to an answer, unless it was skipped."""
    if annotation["was_cancelled"]:
        return
    annotation["result"] += review_results(verdict, _keys(annotation["id"], "review"))
    annotation["updated_at"] = _stamp(now + timedelta(seconds=30))
    annotation["updated_by"] = {"id": len(EXPERTS) + 1, "email": REVIEWER}


def _keys(number: int, what: str = "answer") -> Callable[[], str]:
    """Return a function that gives the results of an annotation their ids."""
    count = itertools.count(1)
    return lambda: f"{what}-{number}-{next(count)}"


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
