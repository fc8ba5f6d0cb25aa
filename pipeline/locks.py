"""Locks between processes of one machine, which the operating system takes off a process that is killed."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from pipeline.progress import Progress
from pipeline.storage import Storage

TRAINING_POOL = "training"  # of what trains: the queue starts one run at a time that has something of it


@contextmanager
def one_at_a_time(path: Path, say: Callable[[str], None], busy: str) -> Iterator[None]:
    """Wait until nobody else holds the lock at ``path``; where somebody does, say ``busy`` first."""
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{busy}; waiting for it to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def is_held(path: Path) -> bool:
    """Say whether somebody holds the lock at ``path``."""
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def crawl_lock(storage: Storage) -> Path:
    """Return the lock of the crawls into a data location."""
    return storage.cache_folder("crawl") / "running.lock"


def near_duplicates_lock(storage: Storage) -> Path:
    """Return the lock of the clustering of all windows, and of the index of pairs that it extends."""
    return storage.cache_folder("locks") / "near_duplicates.lock"  # not in the index's folder, which may be removed


def training_request_lock(storage: Storage, label_set: str) -> Path:
    """Return the lock of the question whether a label set's models are to be trained anew."""
    return storage.cache_folder("locks") / f"training_request-{label_set}.lock"


def one_training(storage: Storage, say: Callable[[str], None], progress: Progress) -> AbstractContextManager[None]:
    """Wait until nobody else trains on a data location: the queue knows nothing of runs in a command's own process."""

    def wait(line: str) -> None:
        say(line)
        progress.step(line)  # for whoever sits before a terminal

    return one_at_a_time(storage.cache_folder("locks") / "training.lock", wait, "another training is under way")


def label_studio_lock(storage: Storage) -> Path:
    """Return the lock of what is written to a Label Studio project and to the tables about it."""
    return storage.cache_folder("label_studio") / "running.lock"
