"""People's decisions on near-duplicates: a small CSV that always wins over the rule.

Columns: ``decision`` (``keep``, ``same`` or ``different``), ``image_a``, ``image_b`` (empty for ``keep``), and any
others, for instance a note. ``keep``: the image is never set aside. ``same``: the two show one picture, whatever their
hashes say. ``different``: they do not, whatever their hashes say.
"""

import csv
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from crawlers.errors import CrawlError

KEEP, SAME, DIFFERENT = "keep", "same", "different"
_DECISIONS = (KEEP, SAME, DIFFERENT)
_IMAGE_ID = re.compile(r"[0-9a-f]{64}")

Pair = tuple[str, str]  # image ids, the smaller first


@dataclass(frozen=True)
class Overrides:
    """Decisions of people.

    Args:
        keep: images that are never set aside.
        same: pairs that show one picture.
        different: pairs that do not.
    """

    keep: frozenset[str] = frozenset()
    same: frozenset[Pair] = frozenset()
    different: frozenset[Pair] = frozenset()
    images: frozenset[str] = field(default=frozenset(), compare=False)  # all that are named

    @property
    def version(self) -> str:
        """A hash of the decisions, empty if there are none."""
        if not self.images:
            return ""
        lines = sorted([f"{KEEP} {one}" for one in self.keep] + [f"{SAME} {a} {b}" for a, b in self.same])
        lines += sorted(f"{DIFFERENT} {a} {b}" for a, b in self.different)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def read_overrides(path: Path | None) -> Overrides:
    """Read a file of decisions; without a path there are none.

    Raises:
        CrawlError: if the file cannot be read, or a row is wrong or contradicts another; the message names the row.
    """
    if path is None:
        return Overrides()
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            names = [name.strip() for name in reader.fieldnames or ()]
            for name in ("decision", "image_a", "image_b"):
                if name not in names:
                    raise CrawlError(f"{path}: no column {name}; write decision,image_a,image_b in the first row")
            reader.fieldnames = names
            rows = [(number, _row(path, number, row)) for number, row in enumerate(reader, start=1)]
    except OSError as error:
        raise CrawlError(f"{path}: cannot be read ({error.strerror}); set deduplication.overrides") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise CrawlError(f"{path}: is no CSV in UTF-8 ({error})") from error
    return _collected(path, rows)


def _row(path: Path, number: int, row: Mapping[str, str | None]) -> tuple[str, str, str]:
    decision, first, second = ((row.get(name) or "").strip().lower() for name in ("decision", "image_a", "image_b"))
    if decision not in _DECISIONS:
        raise CrawlError(f"{path}: row {number}: decision {decision!r} is none of {', '.join(_DECISIONS)}")
    named = {"image_a": first} if decision == KEEP else {"image_a": first, "image_b": second}
    for name, image_id in named.items():
        if not _IMAGE_ID.fullmatch(image_id):
            raise CrawlError(f"{path}: row {number}: {name} {image_id[:80]!r} is no image id (64 hex digits)")
    if decision == KEEP and second:
        raise CrawlError(f"{path}: row {number}: keep is said of one image; leave image_b empty")
    if decision != KEEP and first == second:
        raise CrawlError(f"{path}: row {number}: image_a and image_b are the same image")
    return decision, *((first, "") if decision == KEEP else (min(first, second), max(first, second)))


def _collected(path: Path, rows: list[tuple[int, tuple[str, str, str]]]) -> Overrides:
    said: dict[Pair, tuple[str, int]] = {}
    keep: set[str] = set()
    for number, (decision, first, second) in rows:
        if decision == KEEP:
            keep.add(first)
            continue
        before, where = said.setdefault((first, second), (decision, number))
        if before != decision:
            raise CrawlError(f"{path}: rows {where} and {number} contradict each other ({before}, {decision})")
    for (first, second), (decision, number) in said.items():
        if decision == SAME and first in keep and second in keep:
            raise CrawlError(f"{path}: row {number}: same, but both images are to be kept; remove one keep")
    pairs = {
        decision: frozenset(pair for pair, (what, _) in said.items() if what == decision) for decision in _DECISIONS
    }
    images = frozenset(keep) | {image_id for pair in said for image_id in pair}
    return Overrides(frozenset(keep), pairs[SAME], pairs[DIFFERENT], images)
