"""Pairs of images that may be near-duplicates, in memory and on disk."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

RECORD = np.dtype(
    [
        ("a", "<u4"),
        ("b", "<u4"),
        ("variant_a", "u1"),
        ("variant_b", "u1"),
        ("distance64", "u1"),
        ("distance256", "<u2"),
    ]
)  # a pair on disk: the fields of Candidates


@dataclass(frozen=True)
class Candidates:
    """Pairs of images, K of them, each with the variants whose hashes are near: one picture is straight (0 or 1).

    A pair of images appears once for each two of their variants that are near.
    """

    a: npt.NDArray[np.int64]  # (K,) row of the image that was added first
    b: npt.NDArray[np.int64]  # (K,) row of the other
    variant_a: npt.NDArray[np.uint8]  # (K,) 0 plain, 1 without border, 2 mirrored, 3 both
    variant_b: npt.NDArray[np.uint8]  # (K,)
    distance64: npt.NDArray[np.int32]  # (K,) bits between these variants
    distance256: npt.NDArray[np.int32]  # (K,)

    def __len__(self) -> int:
        return len(self.a)

    @classmethod
    def of(cls, records: npt.NDArray[Any]) -> "Candidates":
        """Turn ``(K,)`` records into columns."""
        return cls(
            records["a"].astype(np.int64),
            records["b"].astype(np.int64),
            records["variant_a"].copy(),
            records["variant_b"].copy(),
            records["distance64"].astype(np.int32),
            records["distance256"].astype(np.int32),
        )

    @classmethod
    def joined(cls, parts: Sequence["Candidates"]) -> "Candidates":
        """Join pieces."""
        parts = [cls.of(np.empty(0, RECORD)), *parts]
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))
