"""The list of images that must leave Label Studio."""

import re
from pathlib import Path

from labeling.errors import LabelingError

_IMAGE_ID = re.compile(r"[0-9a-f]{64}")


def read_withdrawn(path: Path) -> frozenset[str]:
    """Read image ids, one a line; empty lines and what follows a ``#`` are passed over.

    Raises:
        LabelingError: if the file cannot be read, or a line is no image id. Nothing is withdrawn then.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LabelingError(f"cannot read the withdrawn images {path} ({error}); correct labels.withdrawn") from error
    ids = set()
    for number, line in enumerate(lines, start=1):
        entry = line.partition("#")[0].strip().lower()
        if not entry:
            continue
        if not _IMAGE_ID.fullmatch(entry):
            raise LabelingError(f"{path.name}, line {number}: {entry[:80]!r} is no image id (64 of 0-9 and a-f)")
        ids.add(entry)
    return frozenset(ids)
