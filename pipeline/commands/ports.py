"""Ports on 127.0.0.1 that stay the same from run to run."""

import contextlib
import socket
from pathlib import Path

from pipeline.storage import write_file


def kept_port(note: Path) -> int:
    """Return the port that the file ``note`` names if it is free, else a free one, and note it."""
    if note.exists() and (noted := note.read_text().strip()).isdecimal():
        port = int(noted)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    write_file(note, str(port).encode())
    return port
