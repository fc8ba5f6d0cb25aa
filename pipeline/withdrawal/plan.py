"""What one carrying-out removes: ids in the clear, kept in a file until all of it is proven to be gone.

Tombstones cannot be read back, so a run that is killed half-way could not know any more what it was removing. The file
is written before anything is removed, and removed last.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pipeline.storage import Storage

KEY = "withdrawal/plan.json"
_SETS = ("images", "posts", "authors", "names", "tasks", "requests")


@dataclass
class Plan:
    """Everything that must leave.

    Args:
        images: image_ids, near-duplicates among them.
        posts: post_ids.
        authors: keyed hashes of authors as they stand in the tables.
        names: addresses and paths of these pictures and posts.
        tasks: numbers of tasks in Label Studio, as text.
        requests: the requests that are carried out.
        tables: ``table`` or ``table/partition`` of each table that is edited, with the rows that it loses.
        models: folder of each model whose training data held some of it, with the number of its images, counted over
            all withdrawals so far.
    """

    images: set[str] = field(default_factory=set)
    posts: set[str] = field(default_factory=set)
    authors: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    tasks: set[str] = field(default_factory=set)
    requests: set[str] = field(default_factory=set)
    tables: dict[str, int] = field(default_factory=dict)
    models: dict[str, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return any((self.images, self.posts, self.authors, self.tables))

    def merge(self, earlier: "Plan | None") -> "Plan":
        """Return this plan with what an earlier one, which was not finished, was about to remove."""
        if earlier is None:
            return self
        sets = {name: getattr(self, name) | getattr(earlier, name) for name in _SETS}
        return Plan(**sets, tables=_larger(self.tables, earlier.tables), models=_larger(self.models, earlier.models))

    def ids(self) -> set[str]:
        """Return all ids that are compared as a whole."""
        return self.images | self.posts | self.authors

    def write(self, storage: Storage) -> None:
        """Keep the plan."""
        content = {name: sorted(getattr(self, name)) for name in _SETS}
        storage.write_json(KEY, {**content, "tables": self.tables, "models": self.models})

    @classmethod
    def read(cls, storage: Storage) -> "Plan | None":
        """Return the plan of a run that did not come to its end, None where there is none."""
        try:
            content: dict[str, Any] = json.loads(storage.read_bytes(KEY))
        except FileNotFoundError:
            return None
        return cls(**{name: set(content[name]) for name in _SETS}, tables=content["tables"], models=content["models"])

    @staticmethod
    def remove(storage: Storage) -> None:
        """Remove the file of the plan."""
        remove(storage, KEY)


def remove(storage: Storage, key: str) -> None:
    """Remove a file of the data location; one that is not there is fine."""
    path = str(storage.filesystem._strip_protocol(storage.path(key)))
    if storage.filesystem.exists(path):
        storage.filesystem.rm(path)


def _larger(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    names: Iterable[str] = one.keys() | other.keys()
    return {name: max(one.get(name, 0), other.get(name, 0)) for name in sorted(names)}
