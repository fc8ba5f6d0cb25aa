"""Installs the Label Studio server into a virtual environment of its own, with exact versions."""

import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import IO

from labeling.studio.errors import StudioError

LABEL_STUDIO_VERSION = "1.23.2"
SECONDS = 1800  # that one step of the installation may take
READY = ".ready"


def install(folder: Path, say: Callable[[str], None] = lambda line: None) -> Path:
    """Install the server into ``folder`` unless it is there, and return the folder.

    It takes 1 to 3 minutes and 1 GB. A mark that is written last tells a finished installation from an interrupted one
    or one of other versions, which is made anew. One process installs while others wait. Raises StudioError.
    """
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    constraints = resources.files("labeling.studio").joinpath("server-constraints.txt")
    mark = hashlib.sha256(constraints.read_bytes() + sys.version.encode()).hexdigest()
    with folder.with_name(f"{folder.name}.lock").open("w") as lock, resources.as_file(constraints) as pins:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ready = folder / READY
        if not ready.is_file() or ready.read_text() != mark:
            say(f"Installing Label Studio {LABEL_STUDIO_VERSION} into {folder} (1 to 3 minutes and 1 GB, once)")
            ready.unlink(missing_ok=True)
            _run([sys.executable, "-m", "venv", "--clear", str(folder)], lock)
            pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            _run([*pip, "--constraint", str(pins), f"label-studio=={LABEL_STUDIO_VERSION}"], lock)
            ready.write_text(mark)
    return folder


def executable(environment: Path) -> Path:
    """Return the server's command in an environment."""
    return environment / "bin" / "label-studio"


def _run(command: list[str], lock: IO[str]) -> None:
    """Run an installation step. It inherits the lock: nobody else installs while it outlives a killed caller."""
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter
            command,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            pass_fds=(lock.fileno(),),
        )
    except subprocess.TimeoutExpired:
        raise StudioError(f"the installation of Label Studio took more than {SECONDS} s: run this again") from None
    if done.returncode:
        said = " / ".join(line.strip() for line in done.stdout.splitlines()[-3:])
        raise StudioError(f"Label Studio could not be installed ({said}): see that pip can reach its index, then retry")
