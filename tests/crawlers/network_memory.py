"""A memory for tests of networks, kept in dicts."""

import json
from collections.abc import Iterable, Mapping
from typing import Any


class DictMemory:
    """Remembers as a crawl's journal does: a state must survive JSON."""

    def __init__(self) -> None:
        self._ids: dict[str, set[str]] = {}
        self._states: dict[str, str] = {}

    def unseen(self, timeline: str, ids: Iterable[str]) -> list[str]:
        noted = self._ids.setdefault(timeline, set())
        new = [native_id for native_id in dict.fromkeys(ids) if native_id not in noted]
        noted.update(new)
        return new

    def recall(self, timeline: str) -> dict[str, Any]:
        state: dict[str, Any] = json.loads(self._states.get(timeline, "{}"))
        return state

    def keep(self, timeline: str, state: Mapping[str, Any]) -> None:
        self._states[timeline] = json.dumps(dict(state))
