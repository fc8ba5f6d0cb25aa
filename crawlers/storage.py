"""Files that appear whole or not at all."""

import glob
import hashlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give the name of a temporary file beside ``path``; when the block ends well it takes the place of ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=_part_prefix(path), suffix=".part", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def remove_leftovers(path: Path) -> None:
    """Remove temporary files that killed processes left beside ``path``; nobody else may be writing it."""
    for left in path.parent.glob(f"{glob.escape(_part_prefix(path))}*.part"):
        left.unlink(missing_ok=True)


def _part_prefix(path: Path) -> str:
    return f".{path.name[:16]}-"


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically: a reader, or a crash, sees the old content or the new one."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


class ImageStore:
    """Original image bytes under the sha256 of their content: ``ab/abcdef...``, 64 hex digits, no extension.

    Args:
        folder: where they lie.
        incoming: where files are written before they get their name, if not there; on the same file system.
    """

    def __init__(self, folder: Path, incoming: Path | None = None) -> None:
        self._folder, self._incoming = folder, incoming or folder
        self._made: set[str] = set()

    def path(self, image_id: str) -> Path:
        """Say where the bytes with this sha256 lie, or would."""
        return self._folder / image_id[:2] / image_id

    def holds(self, image_id: str, size: int) -> bool:
        """Say whether a file of this many bytes lies there."""
        try:
            return self.path(image_id).stat().st_size == size
        except OSError:
            return False

    def adopt(self, file: Path, image_id: str) -> None:
        """Move a file of the same file system, whose sha256 is known, to its place."""
        path = self.path(image_id)
        if image_id[:2] not in self._made:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._made.add(image_id[:2])
        file.replace(path)

    def put(self, data: bytes, sha256: str | None = None) -> str:
        """Keep bytes and return their sha256 (computed if not given); bytes that are there are not written again.

        The file appears whole or not at all, but it is not forced to the disk: whoever writes a table that names it
        must do that first (``os.sync``).
        """
        image_id = sha256 or hashlib.sha256(data).hexdigest()
        if not self.holds(image_id, len(data)):
            part = self._incoming / f".{image_id[:32]}-{uuid.uuid4().hex}.part"
            self._incoming.mkdir(parents=True, exist_ok=True)
            try:
                part.write_bytes(data)
                self.adopt(part, image_id)
            finally:
                part.unlink(missing_ok=True)
        return image_id


@contextmanager
def incoming_folder(images: Path, window: str) -> Iterator[Path]:
    """Give an empty folder, on the images' file system, for files that are still being received.

    What a killed crawl of the same window left there is removed; no two crawls of a window run at a time.
    """
    folder = images / f".incoming-{hashlib.sha256(window.encode()).hexdigest()[:16]}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
