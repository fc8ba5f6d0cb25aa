"""Reads labels from a CSV file: ``image, main, subs``, the subs separated by ``|``.

In ``main``, "Not a fashion image" and "Can't tell" count as they do on the labeling screen.
"""

import csv
import logging
from collections.abc import Iterator
from pathlib import Path

from labeling.annotations import Annotation, Annotations, Problem, Refused, as_json, check_labels
from labeling.errors import LabelingError
from labeling.references import WITHDRAWN, ImageIndex, UnresolvedImage
from labeling.taxonomy import SUB_SEPARATOR, Taxonomy

logger = logging.getLogger(__name__)

CSV_ANNOTATOR = "csv"
COLUMNS = ("image", "main", "subs")

Row = dict[str | None, str | list[str] | None]  # as csv.DictReader gives it: surplus cells under None


def read_label_csv(path: Path, index: ImageIndex, taxonomy: Taxonomy) -> Annotations:
    """Read the CSV at ``path`` (UTF-8, with a header) into valid and quarantined annotations.

    An image named twice keeps its first valid row. Of several images of one near-duplicate cluster the row of the
    canonical image counts, else the first; the others are refused as ``near_duplicate``.

    Raises:
        LabelingError: if the file is missing or not UTF-8 text, or a column is missing.
    """
    refused: list[Refused] = []
    rows: dict[str, dict[str, tuple[Annotation, Row]]] = {}  # by cluster, then by image named
    for annotation_id, row in _rows(path):
        checked = _check(annotation_id, row, index, taxonomy)
        if isinstance(checked, Annotation):
            cluster = rows.setdefault(checked.image_id, {})
            first = cluster.setdefault(checked.labeled_image_id, (checked, row))[0]
            if first is checked:
                continue
            checked = Problem(
                "duplicate_image", f"the image has labels in {_line(first)} already; remove one of the rows"
            )
        refused.append(_refuse(annotation_id, row, checked))
    valid: list[Annotation] = []
    for image_id, cluster in rows.items():
        chosen = cluster.get(image_id) or next(iter(cluster.values()))
        valid.append(chosen[0])
        problem = Problem("near_duplicate", f"labels come from {_line(chosen[0])}, which names a near-duplicate of it")
        others = [entry for entry in cluster.values() if entry is not chosen]
        refused.extend(_refuse(annotation.annotation_id, row, problem) for annotation, row in others)
    logger.info("%s: %d rows used, %d refused", path.name, len(valid), len(refused))
    return Annotations.from_rows(valid, refused)


def _rows(path: Path) -> Iterator[tuple[str, Row]]:
    """Yield each row with its id, which holds the line of the file that it ends on."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader: csv.DictReader[str] = csv.DictReader(file, strict=True)
            header = [name.strip() for name in reader.fieldnames or ()]
            if missing := [column for column in COLUMNS if column not in header]:
                raise LabelingError(
                    f"{path.name} has no column {', '.join(missing)}; its header must name {', '.join(COLUMNS)}"
                )
            reader.fieldnames = header
            for row in reader:
                yield f"csv:{reader.line_num}", dict(row)
    except OSError as error:
        raise LabelingError(f"cannot read the label file {path}: {error.strerror}; correct its path") from error
    except UnicodeDecodeError as error:
        raise LabelingError(f"{path.name} is not UTF-8 text (byte {error.start}); save it as CSV UTF-8") from error
    except csv.Error as error:
        raise LabelingError(f"{path.name} is no CSV after line {reader.line_num} ({error}); correct it") from error


def _check(annotation_id: str, row: Row, index: ImageIndex, taxonomy: Taxonomy) -> Annotation | Problem:
    cells = [row[column] for column in COLUMNS]
    if None in row or not all(isinstance(cell, str) for cell in cells):
        return Problem("malformed", "the row has more or fewer cells than the header; correct it")
    image, main, subs = (str(cell).strip() for cell in cells)
    resolved = index.resolve(image)
    if isinstance(resolved, UnresolvedImage):
        return Problem(resolved.reason, resolved.detail)
    labels = check_labels(_split(main), _split(subs), taxonomy)
    if isinstance(labels, Problem):
        return labels
    return Annotation(annotation_id, None, resolved.image_id, resolved.labeled_image_id, CSV_ANNOTATOR, **vars(labels))


def _split(cell: str) -> list[str]:
    return [part.strip() for part in cell.split(SUB_SEPARATOR) if part.strip()]


def _line(annotation: Annotation) -> str:
    return "line " + annotation.annotation_id.removeprefix("csv:")


def _refuse(annotation_id: str, row: Row, problem: Problem) -> Refused:
    if problem.reason == WITHDRAWN:  # nothing that names the image is kept
        detail = f"line {annotation_id.removeprefix('csv:')}: {problem.detail}"
        return Refused(annotation_id, None, None, CSV_ANNOTATOR, problem.reason, detail, None, "")
    image = row.get("image")
    detail = f"line {annotation_id.removeprefix('csv:')}: {problem.detail}"
    raw = as_json({"" if name is None else name: cell for name, cell in row.items()})
    named = image.strip() if isinstance(image, str) else None
    return Refused(annotation_id, None, named, CSV_ANNOTATOR, problem.reason, detail, None, raw)
