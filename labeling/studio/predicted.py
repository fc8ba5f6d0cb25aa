"""Which predictions stand on a Label Studio server, task by task."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from labeling.studio.connection import Connection, StudioError
from labeling.studio.query import Filter, after_id, ask, pages, query_filter

# In a plain listing the versions are empty. The server joins them where a condition uses them, and this one holds
# for every task.
ANY_TASK = query_filter("predictions_model_versions", "not_contains", "List", [])
WITH_PREDICTION = query_filter("predictions_model_versions", "empty", "List", False)

_FIELDS = "id,data,is_labeled,total_annotations,total_predictions,predictions_model_versions"


class PredictedTask(NamedTuple):
    """What the server says about one task."""

    task_id: int
    image_id: str | None
    is_labeled: bool  # has all the answers that it needs
    answers: int
    predictions: int  # of any version
    versions: frozenset[str]

    @property
    def has_doubles(self) -> bool:
        """Whether a version predicts it more than once."""
        return bool(self.versions) and self.predictions > len(self.versions)


def predicted_tasks(
    connection: Connection, project_id: int, conditions: Sequence[Filter], page_size: int, after: int = 0
) -> Iterator[PredictedTask]:
    """Yield the tasks with an id above ``after`` that fulfil all conditions, by id; one page is held at a time.

    One of the conditions must be ``ANY_TASK`` or ``WITH_PREDICTION``.
    """
    for page in pages(
        lambda last: ask(connection, project_id, [*conditions, after_id(last)], page_size, _FIELDS), after
    ):
        yield from map(_predicted, page.tasks)


def _predicted(task: dict[str, Any]) -> PredictedTask:
    data = task["data"]
    return PredictedTask(
        task["id"],
        data.get("image_id") if isinstance(data, dict) else None,
        task["is_labeled"],
        task["total_annotations"],
        task["total_predictions"],
        frozenset(filter(None, task["predictions_model_versions"].split(","))),
    )


def standing(connection: Connection, project_id: int, version: str) -> int:
    """Return how many predictions of a version stand in the project."""
    return int(connection.get(f"/api/projects/{project_id}/model-versions/").get(version, 0))


def check_listing(connection: Connection, project_id: int) -> None:
    """Raise StudioError for a server that does not say which versions a task has: everything would be sent again."""
    task = next(predicted_tasks(connection, project_id, [ANY_TASK, WITH_PREDICTION], 1), None)
    if task is not None and not task.versions:
        raise StudioError(
            f"{connection.url} does not say which predictions it has (Label Studio {connection.version()}): "
            "use a version of Label Studio that this was tested with"
        )
