"""The pictures in a folder, found one by one, so that a folder may hold any number of them."""

import errno
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from modeling.errors import ModelingError

SUFFIXES = frozenset({".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"})
# How JPEG, PNG, GIF, WebP, and TIFF in both byte orders begin.
_BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"II*\x00", b"MM\x00*")


def picture_files(folder: Path) -> Iterator[Path]:
    """Yield the pictures in a folder and in the folders below it, in the order of their names.

    A picture is a regular file, or a link to one, with the suffix of a picture, or without a suffix and with a
    beginning like one; what is hidden (a dot first) is left out, and links to folders are not followed. The names of
    one folder at a time are held in memory. A folder below that can't be read is yielded itself, for whoever reads it
    to say so. Raises ModelingError when there is no such folder.
    """
    if not folder.is_dir():
        raise ModelingError(f"there is no folder {printable(folder)}: give a folder with pictures")
    return _below(folder)


def _below(folder: Path) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            names = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
    except OSError:
        yield folder
        return
    for name, is_folder in names:
        path = folder / name
        if name.startswith("."):
            continue
        if is_folder:
            yield from _below(path)
        elif _is_picture(path):
            yield path


def _is_picture(path: Path) -> bool:
    if path.suffix and path.suffix.lower() not in SUFFIXES:
        return False
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # to open a pipe would wait for who writes to it
            return False
    except OSError as error:  # what can't be looked at is for whoever reads it to say; a broken link is no file
        return bool(path.suffix) and error.errno not in (errno.ENOENT, errno.ELOOP)
    if path.suffix:
        return True
    try:
        with path.open("rb") as file:
            return file.read(4).startswith(_BEGINNINGS)
    except OSError:
        return False


def printable(path: Path | str) -> str:
    r"""Return a path as text that is valid in any encoding of Unicode: a byte that is no UTF-8 is shown as ``\xff``."""
    shown = re.sub("[\udc80-\udcff]", lambda found: f"\\x{ord(found[0]) - 0xDC00:02x}", str(path))
    return shown.encode("utf-8", "backslashreplace").decode()
