"""``stylegraph label-studio``: a Label Studio of one's own on 127.0.0.1, with users for trying."""

import contextlib
import fcntl
import shlex
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from rich.console import Console

from labeling.studio.connection import TOKEN_VARIABLE, URL_VARIABLE, StudioError
from labeling.studio.server import (
    TOKEN_NAME,
    USERS_NAME,
    RunningServer,
    create_data_folder,
    install,
    require_free,
    running_server,
)

ENVIRONMENT_NAME = "env"
DATA_NAME = "data"
LOCK_NAME = "serve.lock"
Made = TypeVar("Made")
LOOK_SECONDS = 0.5  # between two looks at whether the server still runs


def serve(folder: Path, document_root: Path, port: int, fresh: bool, console: Console) -> int:
    """Install the server if needed, run it until Ctrl-C or SIGTERM, and return 0 then.

    ``folder`` holds the server and its data; ``fresh`` moves the data of last time aside. Pictures are served from
    below ``document_root``. Raises StudioError when the port is taken or the server ends by itself.
    """
    for number in (signal.SIGINT, signal.SIGTERM):  # a SIGINT ignored by a script's shell would stay ignored
        signal.signal(number, signal.default_int_handler)
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(KeyboardInterrupt), _only_one(folder):
        require_free(port)
        environment = _timed(console, lambda say: install(folder / ENVIRONMENT_NAME, say))
        data = folder / DATA_NAME
        if fresh and data.exists():
            aside = folder / time.strftime(f"{DATA_NAME}-%Y%m%d-%H%M%S")
            data.rename(aside)
            console.print(f"The data of last time is in {aside}", highlight=False, soft_wrap=True)
        if not data.exists():
            _timed(console, lambda say: create_data_folder(environment, data, say))
        with running_server(environment, data, document_root, port) as server:
            _introduce(server, data, console)
            while not server.wait(LOOK_SECONDS):
                pass
            raise StudioError(f"Label Studio ended by itself; its log {server.log} ends: {server.log_end()}")
    console.print("Label Studio is stopped; its data is kept", highlight=False)
    return 0


@contextlib.contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Raise StudioError if the server of this folder runs already: two must not write one database."""
    with (folder / LOCK_NAME).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StudioError(
                f"the Label Studio of {folder} runs already: stop it first, or name another folder"
            ) from None
        yield


def _timed(console: Console, work: Callable[[Callable[[str], None]], Made]) -> Made:
    """Do something that may take minutes; if it says something, say also how long it took."""
    started, said = time.monotonic(), []

    def say(line: str) -> None:
        said.append(line)
        console.print(line, highlight=False, soft_wrap=True)

    made = work(say)
    if said:
        console.print(f"  took {time.monotonic() - started:.0f} s", highlight=False)
    return made


def _introduce(server: RunningServer, data: Path, console: Console) -> None:
    """Say where the server is, who can log in, and what to type next. Secrets stay in their files."""
    names = ", ".join(user.email for user in (server.admin, *server.experts, server.reviewer))
    token = shlex.quote(str(data / TOKEN_NAME))
    console.print(
        f"Label Studio: {server.url}  (stop with Ctrl-C)\n"
        f"Users: {names}\n"
        f"Their passwords and tokens: {data / USERS_NAME}\n\n"
        "In another terminal:\n"
        f"  export {URL_VARIABLE}={server.url}\n"
        f"  export {TOKEN_VARIABLE}=$(cat {token})\n"
        "  stylegraph doctor",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
