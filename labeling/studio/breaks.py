"""Labels that answers on the server use and that a new taxonomy no longer has."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree as ET

from labeling.config import CANT_TELL, MAIN, NOT_FASHION, SUBS
from labeling.results import Result, read_result
from labeling.studio.connection import Connection, StudioError
from labeling.studio.listing import IDS_PER_REQUEST, TaskReader
from labeling.studio.query import pages
from labeling.taxonomy import Taxonomy

PAGE_SIZE = 1000  # tasks
_MOST_EXAMPLES = 3


class TaxonomyError(StudioError):
    """A change of the taxonomy would leave answers of experts without their label."""


@dataclass(frozen=True)
class TaxonomyBreak:
    """A label that is on the labeling screen now, is not in the new taxonomy, and is used."""

    label: str
    mains: int  # submitted annotations that have it as main
    subs: int  # submitted annotations that have it as sub
    drafts: int  # drafts, as main or sub
    task_ids: tuple[int, ...]  # a few of the tasks

    def __str__(self) -> str:
        return f"{self.label!r} (main {self.mains}, sub {self.subs}, drafts {self.drafts})"


def breaking_changes(
    connection: Connection, project_id: int, taxonomy: Taxonomy, *, page_size: int = PAGE_SIZE
) -> list[TaxonomyBreak]:
    """Return the labels that a project would lose with a new taxonomy although answers use them, sorted.

    The answers are read only if the screen has a label that the taxonomy lacks, one page of tasks at a time. The
    server's own summary of used labels is no help: it forgets imported annotations and keeps labels since changed.
    Annotations that were skipped, or sent back to their annotator, do not count: their annotator answers anew.

    Raises:
        StudioError: if the server cannot be used.
    """
    config = connection.get(f"/api/projects/{project_id}", include="id,label_config")["label_config"]
    lost = lost_labels(config, taxonomy)
    if not lost:
        return []
    reader, uses = TaskReader(connection, project_id), LabelUses(lost)
    for page in pages(lambda after: reader.changed(None, after, page_size)):
        for task in page.tasks:
            uses.add_annotations(task["id"], task["annotations"])
    for page in pages(lambda after: reader.drafted(after, IDS_PER_REQUEST)):
        for task_id, drafts in reader.drafts([task["id"] for task in page.tasks]).items():
            uses.add_drafts(task_id, drafts)
    return uses.breaks()


def offered_labels(config: str) -> dict[str, set[str]]:
    """Return the values that a labeling config lets people choose as main and as sub, as they are stored."""
    offered: dict[str, set[str]] = {MAIN: set(), SUBS: set()}
    for control in ET.fromstring(config).iter("Choices"):  # noqa: S314 - the server takes no config with entities
        if (name := control.get("name")) in offered:
            offered[name] |= {choice.get("alias", choice.get("value", "")) for choice in control.iter("Choice")}
    return offered


def lost_labels(config: str, taxonomy: Taxonomy) -> set[str]:
    """Return the labels that a labeling config has and a taxonomy has not."""
    offered = offered_labels(config)
    return (offered[MAIN] | offered[SUBS]) - set(taxonomy) - {NOT_FASHION, CANT_TELL}


@dataclass
class LabelUses:
    """Counts where labels are used, and keeps a few examples; its size depends on the labels, not on the answers."""

    labels: set[str]
    _counts: Counter[tuple[str, str]] = field(default_factory=Counter)  # by kind of use and label
    _examples: dict[str, list[int]] = field(default_factory=dict)

    def add_annotations(self, task_id: int, annotations: Iterable[dict[str, Any]]) -> None:
        """Count the uses in the submitted annotations of a task."""
        for annotation in annotations:
            if not annotation["was_cancelled"]:
                for control, label in set(_chosen(annotation["result"])):
                    self._add(control, label, task_id)

    def add_drafts(self, task_id: int, drafts: Iterable[dict[str, Any]]) -> None:
        """Count the uses in the drafts of a task."""
        for draft in drafts:
            for label in {label for _, label in _chosen(draft["result"])}:
                self._add("draft", label, task_id)

    def breaks(self) -> list[TaxonomyBreak]:
        """Return a row for each label that is used, by label."""
        return [
            TaxonomyBreak(
                label,
                self._counts[MAIN, label],
                self._counts[SUBS, label],
                self._counts["draft", label],
                tuple(self._examples[label]),
            )
            for label in sorted(self._examples)
        ]

    def _add(self, kind: str, label: str, task_id: int) -> None:
        if label not in self.labels:
            return
        self._counts[kind, label] += 1
        examples = self._examples.setdefault(label, [])
        if task_id not in examples and len(examples) < _MOST_EXAMPLES:
            examples.append(task_id)


def _chosen(raw: Any) -> Iterator[tuple[str, str]]:
    """Yield control and label of each choice in a result; one that cannot be read is quarantined and has no label."""
    result = read_result(raw)
    if isinstance(result, Result):
        yield from ((MAIN, label) for label in result.mains)
        yield from ((SUBS, label) for label in result.subs)
