"""Reads Label Studio's full JSON export as a stream of tasks; predictions are not read."""

from collections.abc import Iterator
from io import SEEK_CUR
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO

import ijson  # type: ignore[import-untyped]  # publishes no types

from labeling.annotations import Annotations
from labeling.errors import LabelingError
from labeling.reader import AnnotationReader, TaskReference
from labeling.references import ImageIndex
from labeling.results import Json
from labeling.taxonomy import Taxonomy

_BOM = b"\xef\xbb\xbf"


def read_label_studio_export(path: Path, index: ImageIndex, taxonomy: Taxonomy) -> Annotations:
    """Read the export at ``path`` (format "JSON") into valid and quarantined annotations.

    Where an annotator answered twice for the same near-duplicate cluster, the latest answer counts and the older ones
    are refused as ``superseded``.

    Raises:
        LabelingError: if the file is missing, is no JSON, or is another export format.
    """
    reader = AnnotationReader(index, taxonomy)
    for task in _tasks(path):
        reference = TaskReference.of(task.get("id"), task.get("data"))
        for place, raw in enumerate(_listed(task.get("annotations", task.get("completions")))):
            reader.add(raw, reference, "submitted", f"{reference.task_id}:{place}")
        for place, raw in enumerate(_listed(task.get("drafts"))):
            reader.add(raw, reference, "draft", f"{reference.task_id}:{place}")
    return reader.result()


def _tasks(path: Path) -> Iterator[Json]:
    """Yield the tasks of the export one by one; an entry that is no task comes as an annotation without one."""
    try:
        with path.open("rb") as file:
            is_object = _skip_to_content(file) == b"{"
            entries = ijson.items(file, "item", use_float=True)
            head = [] if is_object else list(islice(entries, 1))
            if is_object or (head and not _is_task(head[0])):
                raise LabelingError(
                    f"{path.name} is no full Label Studio export (a list of tasks, each with data and annotations); "
                    "export again with the format JSON, not JSON-MIN"
                )
            for task in chain(head, entries):
                yield task if isinstance(task, dict) else {"data": {}, "annotations": [task]}
    except OSError as error:
        raise LabelingError(f"cannot read the label export {path}: {error.strerror}; correct its path") from error
    except (ijson.JSONError, UnicodeDecodeError) as error:
        line = " ".join(str(error).split())
        raise LabelingError(f"{path.name} is not complete JSON ({line}); export it again") from error


def _skip_to_content(file: BinaryIO) -> bytes:
    """Skip a byte order mark and white space; return the first byte after them without reading it."""
    if file.read(len(_BOM)) != _BOM:
        file.seek(0)
    while (byte := file.read(1)).isspace():
        pass
    file.seek(-len(byte), SEEK_CUR)
    return byte


def _is_task(entry: Any) -> bool:
    answers = {"annotations", "completions"}
    return isinstance(entry, dict) and isinstance(entry.get("data"), dict) and not answers.isdisjoint(entry)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
