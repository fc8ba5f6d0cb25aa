"""What trainings that were killed and never begun again have left in a cache."""

import shutil
import time
from pathlib import Path

MOST_DAYS = 14  # for so long a training that was interrupted may be gone on with
# Checkpoints and their halves, backbones of head trainings, folds of held-out scores, halves of memory-mapped files.
LEFT = ("checkpoints/*.safetensors", "checkpoints/.*", "backbones/.backbone-*", "fold-*", "*/*.part")


def remove_leftovers(cache_dir: Path) -> None:
    """Remove checkpoints and temporary files of trainings in which nothing was written for ``MOST_DAYS`` days.

    Another process may do the same at the same time.
    """
    oldest = time.time() - MOST_DAYS * 24 * 3600
    for pattern in LEFT:
        for path in cache_dir.glob(pattern):
            if _last_written(path) >= oldest:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)  # what stays is tried again by the next training
            else:
                path.unlink(missing_ok=True)


def _last_written(path: Path) -> float:
    """When something in a file or folder was written last; now where it is gone."""
    try:
        return max(part.stat().st_mtime for part in (path, *path.rglob("*")))
    except FileNotFoundError:
        return time.time()
