"""A server on 127.0.0.1 with one long hashtag timeline, fast enough not to be the limit of a crawl.

It speaks as much of the Mastodon API as a crawl of ``#ootd`` needs: timeline pages with ``Link`` headers, at most 40
statuses each, and one JPEG per status. No two JPEGs are the same file: each has its number in a comment segment.
Run by :func:`serving` in a process of its own, which ends with its standard input.
"""

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

TAG = "ootd"
WINDOW = (datetime(2019, 7, 1, tzinfo=UTC), datetime(2019, 7, 8, tzinfo=UTC))
DEFAULT_LIMIT, MOST = 20, 40  # statuses on a page, as Mastodon has it
ROBOTS = b"User-agent: *\nDisallow: /auth/\n"
_TEXT = "Linen shirt, wide trousers and the old canvas shoes. A walk along the river before the rain came. " * 2
_COMMENT = b"\xff\xfe\x00\x0e%012d"  # a JPEG comment segment: marker, length, number


def picture_name(number: int) -> str:
    """Name the file of a status."""
    return f"{number:06d}.jpg"


class Answers:
    """All answers of the server, as bytes; statuses are numbered from 1, the newest is the last."""

    def __init__(self, posts: int, pictures: list[bytes], base: str) -> None:
        self._posts, self._base = posts, base
        self._first = int((WINDOW[0] + timedelta(hours=1)).timestamp() * 1000)
        self._spacing = int(timedelta(days=6).total_seconds() * 1000) // posts
        self._status = _status_template(base)
        self._heads = [
            _head("200 OK", "image/jpeg", len(picture) + len(_COMMENT % 0), long_lived=True) for picture in pictures
        ]
        self._bodies = [picture[2:] for picture in pictures]
        self.asked: Counter[str] = Counter()

    def answer(self, target: str) -> bytes:
        """Answer a GET request."""
        path, _, query = target.partition("?")
        if path.startswith("/media/"):
            self.asked["pictures"] += 1
            return self._picture(int(path[7:-4]))
        if path == f"/api/v1/timelines/tag/{TAG}":
            self.asked["pages"] += 1
            return self._page({name: values[-1] for name, values in parse_qs(query).items()})
        if path == "/robots.txt":
            self.asked["robots"] += 1
            return _whole("200 OK", "text/plain; charset=utf-8", ROBOTS)
        if path == "/benchmark":  # for the benchmark itself, not counted
            state = {**self.asked, "cpu": time.process_time()}
            return _whole("200 OK", "application/json", json.dumps(state).encode())
        self.asked["other"] += 1
        return _whole("404 Not Found", "application/json", b'{"error":"Record not found"}')

    def _picture(self, number: int) -> bytes:
        which = number % len(self._bodies)
        return b"".join((self._heads[which], b"\xff\xd8", _COMMENT % number, self._bodies[which]))

    def _page(self, query: dict[str, str]) -> bytes:
        limit = max(1, min(int(query.get("limit", DEFAULT_LIMIT)), MOST))
        newest = self._posts
        if "max_id" in query:
            newest = min(newest, (((int(query["max_id"]) - 1) >> 16) - self._first) // self._spacing)
        numbers = range(newest, max(0, newest - limit), -1)
        body = b"[" + b",".join(map(self._one, numbers)) + b"]"
        if not numbers:
            return _whole("200 OK", "application/json; charset=utf-8", body)
        older = f'<{self._base}/api/v1/timelines/tag/{TAG}?limit={limit}&max_id={self._id(numbers[-1])}>; rel="next"'
        return _whole("200 OK", "application/json; charset=utf-8", body, f"Link: {older}\r\n")

    def _id(self, number: int) -> int:
        return (self._first + number * self._spacing) << 16

    def _one(self, number: int) -> bytes:
        moment = datetime.fromtimestamp((self._first + number * self._spacing) / 1000, UTC)
        return self._status % {
            b"id": self._id(number),
            b"number": number,
            b"author": number % 500,
            b"moment": f"{moment:%Y-%m-%dT%H:%M:%S}.000Z".encode(),
        }


def _status_template(base: str) -> bytes:
    """Return the JSON of a status, about as large as a real one, with places for what differs."""
    account = {
        "id": "%(author)d", "username": "author%(author)d", "acct": "author%(author)d", "display_name": "Author",
        "locked": False, "bot": False, "discoverable": True, "group": False, "noindex": False,
        "created_at": "2017-04-05T00:00:00.000Z", "note": f"<p>{_TEXT}</p>", "url": f"{base}/@author%(author)d",
        "avatar": f"{base}/avatars/%(author)d.png", "header": f"{base}/headers/%(author)d.png",
        "followers_count": 321, "following_count": 123, "statuses_count": 2345, "emojis": [], "fields": [],
    }  # fmt: skip
    attachment = {
        "id": "%(id)d", "type": "image", "url": f"{base}/media/%(number)06d.jpg",
        "preview_url": f"{base}/previews/%(number)06d.jpg", "remote_url": None, "preview_remote_url": None,
        "meta": {"original": {"width": 1080, "height": 1350, "size": "1080x1350", "aspect": 0.8}},
        "description": _TEXT, "blurhash": "UBL_:rOpGG-oBUNG,qRj2so|=eE1w^n4S5NH",
    }  # fmt: skip
    status = {
        "id": "%(id)d", "created_at": "%(moment)b", "in_reply_to_id": None, "in_reply_to_account_id": None,
        "sensitive": False, "spoiler_text": "", "visibility": "public", "language": "en",
        "uri": f"{base}/users/author%(author)d/statuses/%(id)d", "url": f"{base}/@author%(author)d/%(id)d",
        "replies_count": 1, "reblogs_count": 2, "favourites_count": 7, "edited_at": None,
        "content": f"<p>{_TEXT}</p>", "reblog": None, "account": account, "media_attachments": [attachment],
        "mentions": [], "tags": [{"name": TAG, "url": f"{base}/tags/{TAG}"}], "emojis": [], "card": None, "poll": None,
    }  # fmt: skip
    return json.dumps(status, separators=(",", ":")).encode()


def _head(status: str, kind: str, length: int, more: str = "", *, long_lived: bool = False) -> bytes:
    cache = "public, max-age=31536000, immutable" if long_lived else "private, no-store"
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nCache-Control: {cache}\r\n"
        f"Last-Modified: Mon, 08 Jul 2019 00:00:00 GMT\r\n{more}\r\n"
    ).encode()


def _whole(status: str, kind: str, body: bytes, more: str = "") -> bytes:
    return _head(status, kind, len(body), more) + body


class Connection(asyncio.Protocol):
    """One connection: GET requests without a body, one after the other, kept open between them."""

    def __init__(self, answers: Answers, latency: float) -> None:
        self._answers, self._latency = answers, latency
        self._loop = asyncio.get_running_loop()
        self._transport: Any = None
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note where answers go."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each request that is complete, after the latency."""
        self._received += data
        while b"\r\n\r\n" in self._received:
            request, _, self._received = self._received.partition(b"\r\n\r\n")
            answer = self._answers.answer(request.split(b" ", 2)[1].decode("latin-1"))
            if self._latency:
                self._loop.call_later(self._latency, self._transport.write, answer)
            else:
                self._transport.write(answer)


async def _serve(posts: int, folder: Path, latency: float) -> None:
    loop = asyncio.get_running_loop()
    pictures = [path.read_bytes() for path in sorted(folder.glob("*.jpg"))]
    answers: list[Answers] = []
    server = await loop.create_server(lambda: Connection(answers[0], latency), "127.0.0.1", 0, backlog=256)
    base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    answers.append(Answers(posts, pictures, base))
    print(base, flush=True)
    await loop.run_in_executor(None, sys.stdin.read)  # until whoever started it goes away
    server.close()


@dataclass(frozen=True)
class Served:
    """A server that runs: its address, and what it has been asked."""

    url: str

    def state(self) -> dict[str, float]:
        """Return requests by kind (pages, pictures, robots, other) and the CPU seconds of the server so far."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{self.url}/benchmark", timeout=30) as answer:
            state = json.load(answer)
        return {kind: state.get(kind, 0) for kind in ("pages", "pictures", "robots", "other", "cpu")}


@contextlib.contextmanager
def serving(posts: int, folder: Path, latency: float = 0.0) -> Iterator[Served]:
    """Run the server in a process of its own.

    Args:
        posts: statuses in the timeline, each with one picture.
        folder: JPEGs that are served in turn.
        latency: seconds before every answer.
    """
    command = [sys.executable, __file__, "--posts", str(posts), "--folder", str(folder), "--latency", str(latency)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            address = process.stdout.readline().strip() if process.stdout else ""
            if not address:
                raise SystemExit("the server did not start")
            yield Served(address)
        finally:
            process.terminate()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--posts", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--latency", type=float, default=0.0)
    asked = parser.parse_args()
    asyncio.run(_serve(asked.posts, asked.folder, asked.latency))
