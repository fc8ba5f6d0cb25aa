"""The simulated experts at work in a live Label Studio: each under an account of their own, through its API."""

import itertools
import json
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from functools import partial
from typing import Any

from labeling.studio.connection import Connection, StudioError
from pipeline.demo.accounts import ExpertAccess, Person, expert_access
from pipeline.demo.judgement import DRAFT, SKIPPED, Verdict
from pipeline.demo.planted import Planted
from pipeline.demo.queue_view import Step, View, expert_view, reviewer_view
from pipeline.demo.results import answer_results, read_review, review_results
from pipeline.demo.work import Work

__all__ = ["ExpertAccess", "Person", "Work", "answer_all", "expert_access"]

PAGE_SIZE = 500  # tasks listed at a time, with everything in them
_DRAFT_TRIES = 3

Progress = Callable[[int, int], None]
Json = dict[str, Any]


def answer_all(
    server_url: str,
    access: ExpertAccess,
    project_id: int,
    planted: Planted,
    seed: int,
    progress: Progress = lambda done, total: None,
) -> Work:
    """Let both experts answer every task that waits for them, and correct what came back; then the reviewer decides.

    Called again, they do only what is open by then. What they do depends on the seed and the images alone.

    Raises:
        StudioError: the server cannot be used.
        ValueError: the project has a task whose image was not planted.
    """
    with ExitStack() as stack:
        *experts, reviewer = [
            _Desk(stack.enter_context(Connection(server_url, person.token)), person, project_id)
            for person in (*access.experts, access.reviewer)
        ]
        views = [
            [expert_view(task, desk.person.user_id, number, planted, seed) for task in desk.tasks()]
            for number, desk in enumerate(experts)
        ]
        jobs = [
            [partial(desk.do, view.step) for view in seen if view.step]
            for desk, seen in zip(experts, views, strict=True)
        ]
        done = _work([jobs[0], _from_the_middle(jobs[1])], progress)
        reviews, decisions = _reviews(reviewer, planted, seed)
        done += _work([decisions], progress, done)
    return _tally([view for seen in views for view in seen], reviews, done)


class _Desk:
    """One person, logged in and looking at one project."""

    def __init__(self, connection: Connection, person: Person, project_id: int) -> None:
        self.person = person
        self._connection, self._project_id = connection, project_id

    def tasks(self) -> Iterator[Json]:
        """Yield every task with its annotations, predictions and the person's own drafts, by id.

        ``shown`` are the predictions that the screen shows: those of the project's version.
        """
        project = self._connection.get(f"/api/projects/{self._project_id}/")
        version = project["model_version"] if project["show_collab_predictions"] else None
        last_id = 0
        while page := self._listed("greater", last_id):
            for task in page:
                shown = [one for one in task["predictions"] if version and one["model_version"] == version]
                yield {**task, "shown": shown}
            last_id = page[-1]["id"]

    def do(self, step: Step) -> None:
        """Skip a task, leave a draft, or submit or correct an answer; nothing happens twice."""
        submitted = step.submitted
        key = f"{self._connection.url}/projects/{self._project_id}/tasks/{step.task_id}/{self.person.email}"
        results = answer_results(submitted.answer, _keys(key))
        body: Json = {"result": results, "lead_time": submitted.seconds}
        if step.corrects is not None:
            self._connection.patch(f"/api/annotations/{step.corrects}/", {**body, "was_cancelled": False})
        elif submitted.outcome == DRAFT:
            self._leave_draft(step.task_id, body)
        else:
            body |= {"was_cancelled": submitted.outcome == SKIPPED, "parent_prediction": step.prediction}
            body |= {"draft_id": step.finishes} if step.finishes is not None else {}
            self._submit(step.task_id, {**body, "unique_id": str(uuid.uuid5(uuid.NAMESPACE_URL, key))})

    def review(self, annotation: Json, verdict: Verdict) -> None:
        """Write a decision into an expert's annotation, as the screen does when a reviewer updates it."""
        keys = _keys(f"{self._connection.url}/annotations/{annotation['id']}/{self.person.email}")
        result = [*annotation["result"], *review_results(verdict, keys)]
        self._connection.patch(f"/api/annotations/{annotation['id']}/", {"result": result})

    def _submit(self, task_id: int, body: Json) -> None:
        """Post an annotation. Where it got in although the server failed, its task is counted again by a change."""
        try:
            self._connection.post(f"/api/tasks/{task_id}/annotations/", body, retry=True)
        except StudioError:
            mine = [one for one in self._task(task_id)["annotations"] if one["completed_by"] == self.person.user_id]
            if not mine:
                raise
            self._connection.patch(f"/api/annotations/{mine[0]['id']}/", {"lead_time": body["lead_time"]})

    def _leave_draft(self, task_id: int, body: Json) -> None:
        """Post a draft; the server knows no key of a draft, so that a failure asks for a look before another try."""
        for remaining in reversed(range(_DRAFT_TRIES)):
            try:
                self._connection.post(f"/api/tasks/{task_id}/drafts", body)
            except StudioError:
                if not self._task(task_id)["drafts"]:
                    if not remaining:
                        raise
                    continue
            return

    def _task(self, task_id: int) -> Json:
        (task,) = self._listed("equal", task_id)
        return task

    def _listed(self, operator: str, task_id: int) -> list[Json]:
        """Return a page of the tasks with such an id; annotations name people by number here, but not everywhere."""
        condition = {"filter": "filter:tasks:id", "operator": operator, "type": "Number", "value": task_id}
        query = {"filters": {"conjunction": "and", "items": [condition]}, "ordering": ["tasks:id"]}
        return list(
            self._connection.get(
                "/api/tasks",
                project=self._project_id,
                page=1,
                page_size=PAGE_SIZE,
                fields="all",
                resolve_uri="false",
                query=json.dumps(query),
            )["tasks"]
        )


def _reviews(desk: _Desk, planted: Planted, seed: int) -> tuple[list[bool], list[Callable[[], None]]]:
    """Return the decisions that stand or are to be made, and how to make those."""
    reviews: list[bool] = []
    decisions: list[Callable[[], None]] = []
    for task in desk.tasks():
        reviews += [accepted for one in task["annotations"] if (accepted := read_review(one["result"])) is not None]
        for annotation, verdict in reviewer_view(task, planted, seed):
            reviews.append(verdict.accepted)
            decisions.append(partial(desk.review, annotation, verdict))
    return reviews, decisions


def _work(lines: Sequence[Sequence[Callable[[], None]]], progress: Progress, before: int = 0) -> int:
    """Do the jobs of each line one after another and the lines side by side; return how many were done.

    The first failure stops all lines and is raised.
    """
    total = before + sum(len(line) for line in lines)
    counter, lock, stop = iter(range(before + 1, total + 1)), threading.Lock(), threading.Event()

    def work(line: Sequence[Callable[[], None]]) -> None:
        for job in line:
            if stop.is_set():
                return
            job()
            with lock:
                progress(next(counter), total)

    with ThreadPoolExecutor(len(lines)) as pool:
        try:
            for future in as_completed([pool.submit(work, line) for line in lines]):
                future.result()
        finally:
            stop.set()
    return total - before


def _from_the_middle(jobs: Sequence[Callable[[], None]]) -> list[Callable[[], None]]:
    """Begin elsewhere than the other expert: two answers at once would both miss that the task has enough by them."""
    middle = len(jobs) // 2
    return [*jobs[middle:], *jobs[:middle]]


def _keys(name: str) -> Callable[[], str]:
    """Give ids to the results of one annotation, the same each time."""
    numbers = itertools.count()
    return lambda: uuid.uuid5(uuid.NAMESPACE_URL, f"{name}#{next(numbers)}").hex[:10]


def _tally(views: Sequence[View], reviews: Sequence[bool], steps: int) -> Work:
    return Work(
        outcomes=Counter(view.outcome for view in views if view.outcome),
        corrected=Counter(view.corrected for view in views if view.corrected),
        predictions=Counter(view.prediction for view in views if view.prediction),
        reviews=Counter("accepted" if accepted else "rejected" for accepted in reviews),
        steps=steps,
    )
