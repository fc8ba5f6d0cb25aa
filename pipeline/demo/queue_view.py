"""What an expert or the reviewer makes of one task as a live server lists it to them. Nothing here asks a server."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from labeling.config import ATTENTION
from pipeline.demo.judgement import (
    DRAFT,
    OWN_ANSWERS,
    STYLE,
    VALID,
    Answer,
    Submission,
    Verdict,
    impression,
    leaves_draft,
    submission,
    valid_outcome,
    verdicts,
)
from pipeline.demo.planted import Planted, PlantedImage
from pipeline.demo.results import read_answer, read_review
from pipeline.demo.styles import STYLES

TAKEN, CHANGED = "taken", "changed"  # what becomes of a prediction that an expert is shown
_REVIEWER = 2  # in the chance of a person; 0 and 1 are the experts

Task = Mapping[str, Any]


@dataclass(frozen=True)
class Step:
    """One thing that an expert is about to do with a task."""

    task_id: int
    submitted: Submission
    corrects: int | None = None  # annotation of theirs that came back
    finishes: int | None = None  # draft of theirs that came back
    prediction: int | None = None  # from which the answer is made


@dataclass(frozen=True)
class View:
    """A task in the eyes of one expert."""

    outcome: str | None = None  # of the expert's answer, with the step done; None: others answered it
    corrected: str | None = None  # the outcome that came back, where the answer is another one now
    prediction: str | None = None  # taken as it was shown, or changed
    step: Step | None = None  # None: nothing to do


def expert_view(task: Task, user_id: int, expert: int, planted: Planted, seed: int) -> View:
    """Return what an expert (0 or 1) makes of a task.

    The task is listed with all annotations, all predictions and those shown, and the expert's own drafts. Raises
    ValueError if the image was not planted.
    """
    truth = _truth(planted, task)
    rng = _chance(seed, expert, truth)
    seen = impression(truth, expert, rng)
    planned = submission(seen, rng)
    if leaves_draft(rng) and planned.outcome in VALID:
        planned = Submission(Answer(seen.mains), DRAFT, planned.seconds)
    mine = [annotation for annotation in task["annotations"] if annotation["completed_by"] == user_id]
    if mine:
        return _answered(task, max(mine, key=lambda annotation: int(annotation["id"])), planned, seen, truth)
    if task["drafts"]:
        return _begun(task, planned, seen)
    return View() if task["is_labeled"] else _open(task, planned, truth)


def reviewer_view(task: Task, planted: Planted, seed: int) -> list[tuple[dict[str, Any], Verdict]]:
    """Return the annotations of a task that a reviewer is to decide about, each with the decision.

    Nothing once a decision stands. A reviewer looks at tasks with two valid answers: where the main labels differ, and
    where the task asks for attention.
    """
    answered = [annotation for annotation in task["annotations"] if not annotation["was_cancelled"]]
    answers = [read_answer(annotation["result"]) for annotation in answered]
    decided = any(read_review(annotation["result"]) is not None for annotation in answered)
    if decided or len(answers) != 2 or not all(_is_valid(answer) for answer in answers):
        return []
    truth = _truth(planted, task)
    asked = bool(task["data"].get(ATTENTION))
    found = verdicts(answers, truth, _chance(seed, _REVIEWER, truth), asked=asked)
    return [(answered[verdict.place], verdict) for verdict in found]


def _open(task: Task, planned: Submission, truth: PlantedImage) -> View:
    """Nobody's turn but the expert's; a prediction that fits is taken as it is."""
    if not task["shown"]:
        return View(planned.outcome, step=Step(task["id"], planned))
    shown = max(task["shown"], key=lambda prediction: int(prediction["id"]))
    if planned.outcome != STYLE:  # the screen says from which prediction an answer is made, whatever it is
        return View(planned.outcome, step=Step(task["id"], planned, prediction=shown["id"]))
    suggested, answer = read_answer(shown["result"]), planned.answer
    taken = suggested.mains == answer.mains and set(suggested.subs) in (set(answer.subs), set(truth.subs))
    submitted = Submission(suggested if taken else answer, STYLE, planned.seconds)
    step = Step(task["id"], submitted, prediction=shown["id"])
    return View(STYLE, prediction=TAKEN if taken else CHANGED, step=step)


def _begun(task: Task, planned: Submission, seen: Answer) -> View:
    """A draft stands; the expert comes back to it when told so."""
    if not task["data"].get(ATTENTION):
        return View(DRAFT)
    submitted = Submission(seen, valid_outcome(seen), planned.seconds)
    return View(submitted.outcome, corrected=DRAFT, step=Step(task["id"], submitted, finishes=task["drafts"][0]["id"]))


def _answered(task: Task, annotation: Task, planned: Submission, seen: Answer, truth: PlantedImage) -> View:
    """An answer stands; if somebody else cancelled it, it came back and the expert thinks again."""
    better = Answer((truth.main,), truth.subs) if planned.outcome in VALID else seen
    outcome = valid_outcome(better)
    if annotation["was_cancelled"] and annotation["updated_by"] != annotation["completed_by"]:
        submitted = Submission(better, outcome, round((annotation["lead_time"] or 0.0) + planned.seconds, 3))
        step = Step(task["id"], submitted, corrects=annotation["id"])
        return View(outcome, corrected=planned.outcome, step=step)
    given = read_answer(annotation["result"])
    suggested = [
        read_answer(prediction["result"])
        for prediction in task["predictions"]
        if prediction["id"] == annotation["parent_prediction"]
    ]
    if given != planned.answer and given not in suggested:
        return View(outcome, corrected=planned.outcome)
    made_of_one = suggested and planned.outcome == STYLE
    return View(planned.outcome, prediction=(TAKEN if given in suggested else CHANGED) if made_of_one else None)


def _truth(planted: Planted, task: Task) -> PlantedImage:
    image_id = task["data"].get("image_id", "")
    if image_id not in planted.images:
        raise ValueError(
            f"task {task['id']}: image {image_id!r} was not planted in this world; the simulated experts need a "
            "project of their own"
        )
    return planted.images[image_id]


def _chance(seed: int, who: int, truth: PlantedImage) -> np.random.Generator:
    """The chance of one person with one image: the same in whatever order they work."""
    return np.random.default_rng([seed, who, int(truth.image_id, 16)])


def _is_valid(answer: Answer) -> bool:
    known = {*STYLES, *OWN_ANSWERS}
    return len(answer.mains) == 1 and answer.mains[0] in known and answer.mains[0] not in answer.subs
