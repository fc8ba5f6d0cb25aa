"""From what an export or a CSV calls an image to the image that it means."""

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from labeling.name_lookup import NameLookup
from labeling.tables import LABEL_TASKS

WITHDRAWN = "withdrawn"  # the reason of an image that somebody withdrew: of its rows nothing is kept
_IMAGE_ID = re.compile(r"[0-9a-f]{64}")
_UPLOAD_PREFIX = re.compile(r"^[0-9a-f]{8}-")  # Label Studio puts it before the name of an uploaded file


@dataclass(frozen=True)
class ImageReference:
    """An image of the collection as somebody named it."""

    image_id: str  # canonical image of its near-duplicate cluster: what labels are kept for
    labeled_image_id: str  # the image that was named


@dataclass(frozen=True)
class UnresolvedImage:
    """Why a name means no image: ``unknown_image`` or ``ambiguous_image``, and one line for people."""

    reason: str
    detail: str


class ImageIndex:
    """Finds images by id, address, path or file name.

    In this order: an image id; the exact address or path; the path inside a Label Studio local-files address; an image
    id as the last part of a path; the last part of a path as a file name, also behind the prefix of a Label Studio
    upload. A name borne by images of two clusters means none of them.
    """

    def __init__(
        self, column: Callable[[str], pa.ChunkedArray], withdrawn: Callable[[str], bool] = lambda spelling: False
    ) -> None:
        """Index the images of ``LABEL_TASKS``.

        ``column`` reads one of its columns image_id, image_ids, names, name_image_ids; ``withdrawn`` says of an image
        id or another name whether the image that bore it was withdrawn.
        """
        self._withdrawn = withdrawn
        self._canonical = column("image_id").combine_chunks()
        self._images, self._task_of = _items(column("image_ids"))
        self._by_id = NameLookup(self._images)
        names, _ = _items(column("names"))
        self._bearers, _ = _items(column("name_image_ids"))
        self._by_name = NameLookup(names, _normal)
        self._by_file_name = NameLookup(names, lambda name: _file_name(_path(_normal(name))))

    @classmethod
    def from_tasks(
        cls, tasks: pa.Table | pd.DataFrame, withdrawn: Callable[[str], bool] = lambda spelling: False
    ) -> Self:
        """Build the index from rows of ``LABEL_TASKS``."""
        if isinstance(tasks, pa.Table):
            return cls(tasks.column, withdrawn)
        return cls(lambda name: pa.chunked_array([pa.array(tasks[name], LABEL_TASKS.field(name).type)]), withdrawn)

    def resolve(self, name: str) -> ImageReference | UnresolvedImage:
        """Find the image that ``name`` means, or say why there is none."""
        for image_ids in self._candidates(_normal(name)):
            if image_ids:
                return self._one_cluster(name, image_ids)
        if any(self._withdrawn(spelling) for spelling in spellings(name)):
            return UnresolvedImage(WITHDRAWN, "the image was withdrawn; take it out of the file")
        return UnresolvedImage("unknown_image", f"no image is called {name!r}; crawl it, or correct the name")

    def _candidates(self, name: str) -> Iterator[set[str]]:
        yield self._known_id(name)
        yield self._called(self._by_name, name)
        path = _path(name)
        yield self._called(self._by_name, path)
        file_name = _file_name(path)
        yield self._known_id(file_name)
        yield self._called(self._by_file_name, file_name)
        yield self._called(self._by_file_name, _UPLOAD_PREFIX.sub("", file_name))

    def _called(self, names: NameLookup, name: str) -> set[str]:
        return {self._bearers[row].as_py() for row in names.rows(name)}

    def _known_id(self, text: str) -> set[str]:
        text = text.lower()
        return {text} if _IMAGE_ID.fullmatch(text) and self._by_id.rows(text) else set()

    def _cluster(self, image_id: str) -> str:
        """Return the canonical image of an image's cluster."""
        row = self._by_id.rows(image_id)[-1]
        return str(self._canonical[int(self._task_of[row])].as_py())

    def _one_cluster(self, name: str, image_ids: set[str]) -> ImageReference | UnresolvedImage:
        clusters = sorted({self._cluster(image_id) for image_id in image_ids})
        if len(clusters) > 1:
            return UnresolvedImage(
                "ambiguous_image", f"{len(clusters)} images are called {name!r}; use the full path, address or image id"
            )
        labeled = clusters[0] if clusters[0] in image_ids else min(image_ids)
        return ImageReference(clusters[0], labeled)


def _items(column: pa.ChunkedArray) -> tuple[pa.Array, NDArray[np.int32]]:
    """Return all items of a column of lists, and the row that each stands in."""
    lists = column.combine_chunks()
    return pc.list_flatten(lists), np.asarray(pc.list_parent_indices(lists), dtype=np.int32)


def spellings(name: str) -> list[str]:
    """Return what a name may be known by: as it is, the path in it, and the file name, without an upload's prefix."""
    normal = _normal(name)
    path = _path(normal)
    file_name = _file_name(path)
    return list(dict.fromkeys([normal, path, file_name, _UPLOAD_PREFIX.sub("", file_name)]))


def _normal(name: str) -> str:
    return unicodedata.normalize("NFC", name.strip())


def _path(name: str) -> str:
    """Take the path out of an address; of a Label Studio local-files address, the path inside its document root."""
    try:
        parts = urlsplit(name)
    except ValueError:  # an unbalanced bracket: no address, so a file name
        return name
    if parts.path.endswith("/local-files/") and (inner := parse_qs(parts.query).get("d")):
        return _normal(inner[0])
    if parts.scheme in ("http", "https", "s3", "gs") or name.startswith("/"):
        return _normal(unquote(parts.path))
    return name


def _file_name(path: str) -> str:
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2]
