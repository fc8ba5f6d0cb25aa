"""The data folder of a local Label Studio: its database, its users, and what the server is told by its environment."""

import contextlib
import json
import os
import secrets
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from labeling.studio.errors import StudioError

USERS_NAME = "users.json"
TOKEN_NAME = "admin.token"  # noqa: S105 - the name of a file
DATABASE_NAME = "label_studio.sqlite3"
EXPERTS = 2
# `label-studio init --quiet` for each user, in one process: starting it costs seconds
ADD_USERS = """
import json, os, sys
from label_studio.server import main
for variables in json.load(sys.stdin):
    os.environ.update(variables)
    sys.argv = ["label-studio", "init", "--quiet"]
    main()
"""
SECONDS = 600  # that the first start may take; the database is built then


@dataclass(frozen=True)
class User:
    """Someone who can log in; the token is a legacy one."""

    email: str
    password: str = field(repr=False)
    token: str = field(repr=False)


@dataclass(frozen=True)
class Users:
    """The people of a local server."""

    admin: User
    experts: tuple[User, ...]
    reviewer: User

    def __iter__(self) -> Iterator[User]:
        yield from (self.admin, *self.experts, self.reviewer)


def create_data_folder(
    environment: Path, data: Path, say: Callable[[str], None] = lambda line: None, experts: int = EXPERTS
) -> Users:
    """Make a new data folder with an admin, experts and a reviewer, who get passwords and tokens of their own.

    These are in users.json, which only its owner can read. It takes one to two minutes; the folder appears when all is
    done. Raises StudioError, also if the folder exists.
    """
    data = data.absolute()
    if data.exists():
        raise StudioError(f"{data} exists: start the server with it, or choose another folder")
    say(f"Building the database of Label Studio in {data} (1 to 2 minutes, once)")
    data.parent.mkdir(parents=True, exist_ok=True)
    users = Users(
        _new_user("admin"), tuple(_new_user(f"expert-{n}") for n in range(1, experts + 1)), _new_user("reviewer")
    )
    fresh = Path(tempfile.mkdtemp(prefix=f"{data.name}.new-", dir=data.parent))
    try:
        _init(environment.absolute(), fresh, users)
        with contextlib.closing(sqlite3.connect(fresh / DATABASE_NAME)) as database:
            database.execute("PRAGMA journal_mode = WAL")  # stays with the file; commits take a third of the time
        _write_private(fresh / USERS_NAME, json.dumps(asdict(users), indent=2) + "\n")
        _write_private(fresh / TOKEN_NAME, users.admin.token + "\n")
        fresh.rename(data)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    return users


def load_users(data: Path) -> Users:
    """Return the users of a data folder. Raises StudioError if it has none."""
    try:
        content = json.loads((data / USERS_NAME).read_text())
        return Users(
            User(**content["admin"]), tuple(User(**each) for each in content["experts"]), User(**content["reviewer"])
        )
    except (OSError, ValueError, KeyError, TypeError):
        raise StudioError(
            f"{data} is no data folder of a local Label Studio: name another, or let one be made"
        ) from None


def server_environment(
    data: Path, document_root: Path | None = None, more: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the whole environment of the server: no variable of ours reaches it but the path, and it calls nobody."""
    inherited = {name: os.environ[name] for name in ("PATH", "TMPDIR", "SSL_CERT_FILE") if name in os.environ}
    local_files = (
        {
            "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
            "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(document_root.absolute()),
        }
        if document_root
        else {}
    )
    return {
        **inherited,
        "HOME": str(data),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "LABEL_STUDIO_BASE_DATA_DIR": str(data),
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
        "LABEL_STUDIO_LATEST_VERSION_CHECK": "false",
        "LABEL_STUDIO_COLLECT_ANALYTICS": "false",
        "TASK_LOCK_TTL": "3600",  # seconds that a task shown to one person is kept from others; a day is the default
        "LABEL_STUDIO_SENTRY_DSN": "",
        "LABEL_STUDIO_FRONTEND_SENTRY_DSN": "",
        **local_files,
        **(more or {}),
    }


def _new_user(name: str) -> User:
    return User(f"{name}@example.invalid", secrets.token_urlsafe(15), secrets.token_hex(20))


def _init(environment: Path, data: Path, users: Users) -> None:
    """Build the database and add the users.

    Passwords and tokens travel through a pipe: a command line can be read by everyone on the machine.
    """
    variables = [
        {
            "LABEL_STUDIO_USERNAME": user.email,
            "LABEL_STUDIO_PASSWORD": user.password,
            "LABEL_STUDIO_USER_TOKEN": user.token,
        }
        for user in users
    ]
    done = subprocess.run(  # noqa: S603 - what install() put there
        [str(environment / "bin" / "python"), "-c", ADD_USERS],
        cwd=data,
        env=server_environment(data),
        input=json.dumps(variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=SECONDS,
    )
    if done.returncode:
        said = " / ".join(line.strip() for line in done.stdout.splitlines()[-3:])
        for user in users:
            said = said.replace(user.password, "[password]").replace(user.token, "[token]")
        raise StudioError(f"the database of Label Studio could not be built in {data}: {said}")


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)
