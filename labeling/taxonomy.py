"""The labels that experts may give, in a fixed order."""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from labeling.errors import LabelingError

SUB_SEPARATOR = "|"  # between sub labels in a CSV cell, so no label may contain it


@dataclass(frozen=True)
class Taxonomy:
    """Labels in the order in which tables, screens and ties use them, each with one line for the style guide.

    Raises:
        LabelingError: if there is no label, a label is blank, padded or contains ``|``, two labels differ in case only,
            or a description is of no label.
    """

    labels: tuple[str, ...]
    descriptions: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.labels:
            raise LabelingError("the taxonomy has no label; list at least one")
        for label in self.labels:
            if not label or label != label.strip() or SUB_SEPARATOR in label:
                raise LabelingError(f"taxonomy label {label!r} must not be blank, padded or contain {SUB_SEPARATOR!r}")
        seen: dict[str, str] = {}
        for label in self.labels:
            if _key(label) in seen:
                raise LabelingError(f"taxonomy labels {seen[_key(label)]!r} and {label!r} are the same label twice")
            seen[_key(label)] = label
        if unknown := sorted(set(self.descriptions) - set(self.labels)):
            raise LabelingError(f"taxonomy describes {unknown[0]!r}, which is not one of its labels")

    def __iter__(self) -> Iterator[str]:
        return iter(self.labels)

    def __len__(self) -> int:
        return len(self.labels)

    def __contains__(self, label: object) -> bool:
        return label in self._places

    def canonical(self, text: str) -> str | None:
        """Return the label that ``text`` means, whatever its case and the space around it; None if there is none."""
        return self._by_key.get(_key(text.strip()))

    def ordered(self, labels: Iterable[str]) -> list[str]:
        """Sort distinct labels of this taxonomy into its order."""
        return sorted(set(labels), key=self._places.__getitem__)

    @cached_property
    def _by_key(self) -> dict[str, str]:
        return {_key(label): label for label in self.labels}

    @cached_property
    def _places(self) -> dict[str, int]:
        return {label: place for place, label in enumerate(self.labels)}


def _key(label: str) -> str:
    return unicodedata.normalize("NFC", label).casefold()
