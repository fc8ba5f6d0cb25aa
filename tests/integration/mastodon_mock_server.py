"""mastodon-mock, a server of other people's making that speaks the Mastodon API, and a client that plants posts.

It differs from Mastodon: the id of a status is a number that grows by one and says nothing of its date, a hashtag's
timeline has public statuses only, and a page of posts for a hashtag with other letters than ASCII is always status 500.
"""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

START_SECONDS = 60
ACCOUNTS = ("mina", "jo", "quiet")


@dataclass
class MastodonMock:
    """A running server; every account's token is its name with ``_token`` behind it."""

    folder: Path
    url: str
    client: httpx.Client

    @property
    def name(self) -> str:
        """The server as tables name it."""
        return self.url.removeprefix("http://")

    def post(
        self, text: str, when: str, *pictures: bytes, account: str = "mina", name: str = "a.jpg", **more: Any
    ) -> str:
        """Publish a post with pictures and move it back to its date; return its id."""
        headers = _bearer(account)
        media = []
        for data in pictures:
            files = {"file": (name, data, "image/jpeg")}
            answer = self.client.post("/api/v2/media", files=files, data={"description": "seen"}, headers=headers)
            media.append(answer.raise_for_status().json()["id"])
        answer = self.client.post("/api/v1/statuses", json={"status": text, "media_ids": media} | more, headers=headers)
        number: str = answer.raise_for_status().json()["id"]
        self.sql("UPDATE statuses SET created_at = ? WHERE id = ?", f"{when}.000000", int(number))
        return number

    def boost(self, number: str, when: str, tag: str, account: str = "jo") -> str:
        """Boost a post; the boost is in the hashtag's timeline, as some servers show it. Return its id."""
        answer = self.client.post(f"/api/v1/statuses/{number}/reblog", headers=_bearer(account))
        boost: str = answer.raise_for_status().json()["id"]
        self.sql("UPDATE statuses SET created_at = ? WHERE id = ?", f"{when}.000000", int(boost))
        self.sql("INSERT INTO status_tags (id, status_id, name) VALUES (?, ?, ?)", int(boost), int(boost), tag)
        return boost

    def delete(self, number: str, account: str = "mina") -> None:
        self.client.delete(f"/api/v1/statuses/{number}", headers=_bearer(account)).raise_for_status()

    def sql(self, statement: str, *values: Any) -> None:
        with contextlib.closing(sqlite3.connect(self.folder / "mock.sqlite", timeout=10)) as connection, connection:
            connection.execute(statement, values)

    def fault(self, path: str, count: int, **effect: Any) -> None:
        """Answer the next requests for a path otherwise."""
        rule = {"match": {"path": path}, "effect": effect, "count": count}
        self.client.post("/api/v1/_mock/faults", json=rule).raise_for_status()


def _bearer(account: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {account}_token"}


@contextlib.contextmanager
def start(folder: Path, port: int) -> Iterator[MastodonMock]:
    """Run a server on a port of 127.0.0.1, with its data in a folder, until the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    seeds = [f'[[seed.accounts]]\nusername = "{name}"\naccess_token = "{name}_token"\n' for name in ACCOUNTS]
    config = folder / "mock.toml"
    config.write_text(
        f'[database]\npath = "{folder}/mock.sqlite"\n{"".join(seeds)}\n[server]\nhost = "127.0.0.1"\nport = {port}\n'
    )
    command = [sys.executable, "-m", "mastodon_mock", "serve", "--config", str(config), "--port", str(port)]
    with (folder / "mock.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10, trust_env=False) as client:
            _wait_for(client, process, folder / "mock.log")
            yield MastodonMock(folder, f"http://127.0.0.1:{port}", client)
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_for(client: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError):
            client.get("/api/v1/instance").raise_for_status()
            return
        time.sleep(0.1)
    raise RuntimeError(f"mastodon-mock does not answer:\n{log.read_text(errors='replace')[-4000:]}")
