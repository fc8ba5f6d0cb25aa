"""A small local web server for crawls, with an answer per path, and a way to run a crawl in a child process."""

import io
import json
import os
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from tests.crawlers.crawl_forks import forks, log_of

KEY = "00112233445566778899aabbccddeeff"
TIMES = {"crawled_at", "fetched_at"}


@dataclass
class Answer:
    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None  # stated in the header; -1 for a body that ends with the connection
    seconds: float = 0.0  # between the body's first and last half
    silent: float = 0.0  # seconds before anything is answered
    reset: bool = False  # the connection is reset instead
    endless: bool = False  # the body is repeated until the client has enough


@dataclass
class Asked:
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    moment: float = field(default_factory=time.monotonic)


Route = Answer | Callable[[Asked], Answer]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    server: "LocalServer"

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        asked = Asked(parts.path, dict(parse_qsl(parts.query)), {k.lower(): v for k, v in self.headers.items()})
        self.server.asked.append(asked)
        route = self.server.routes.get(parts.path, Answer(status=404))
        answer = self.server.fault(asked) or (route(asked) if callable(route) else route)
        if self.server.stopping.wait(answer.silent + self.server.pace) or answer.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(self.connection.detach())  # without a word: closing it in the usual way would say good-bye
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.length == -1 or answer.endless:
            self.send_header("Connection", "close")
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(len(answer.body) if answer.length is None else answer.length))
        self.end_headers()
        half = len(answer.body) // 2
        self.wfile.write(answer.body[:half])
        self.wfile.flush()
        if answer.seconds:
            self.server.stopping.wait(answer.seconds)
        try:
            self.wfile.write(answer.body[half:])
            while answer.endless and not self.server.stopping.is_set():
                self.wfile.write(answer.body)
            self.wfile.flush()
        except OSError:
            self.close_connection = True
        if answer.length is not None:
            self.close_connection = True


class LocalServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.routes: dict[str, Route] = {}
        self.asked: list[Asked] = []
        self.fault: Callable[[Asked], Answer | None] = lambda _: None  # instead of a route's answer
        self.pace = 0.0  # seconds before each answer
        self.stopping = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def name(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def paths(self) -> list[str]:
        return [asked.path for asked in self.asked]

    def times(self) -> dict[str, int]:
        """How often each path was asked for."""
        return Counter(self.paths())

    def forget(self) -> None:
        """Forget what was asked so far."""
        self.asked.clear()

    def handle_error(self, *_: Any) -> None:
        """Connections that a client breaks off are no news."""


@contextmanager
def local_server() -> Iterator[LocalServer]:
    with LocalServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.stopping.set()
            server.shutdown()
            thread.join()


def timeline(statuses: list[dict[str, Any]], *, link: bool = True) -> Callable[[Asked], Answer]:
    """A hashtag timeline as Mastodon serves it: newest id first, at most `limit`, older than `max_id`."""

    def answer(asked: Asked) -> Answer:
        older = [s for s in statuses if int(s["id"]) < int(asked.query.get("max_id", 1 << 62))]
        page = sorted(older, key=lambda s: -int(s["id"]))[: int(asked.query["limit"])]
        headers = {"Content-Type": "application/json"}
        if page and link:
            headers["Link"] = f'<https://elsewhere.invalid{asked.path}?max_id={page[-1]["id"]}>; rel="next"'
        return Answer(json.dumps(page).encode(), headers=headers)

    return answer


def status(number: int, *urls: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": str(number),
        "created_at": "2019-07-03T12:00:00.000Z",
        "account": {"acct": f"author{number % 3}"},
        "url": f"https://example.invalid/@a/{number}",
        "tags": [{"name": "ootd"}],
        "sensitive": False,
        "media_attachments": [{"type": "image", "url": url, "description": f"picture {number}"} for url in urls],
        **changes,
    }


def jpeg(seed: int, size: tuple[int, int] = (48, 64)) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 255, (size[1] // 8, size[0] // 8, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).resize(size).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def mastodon(server: LocalServer, **changes: Any) -> dict[str, Any]:
    return {
        "kind": "mastodon",
        "name": "demo",
        "server": server.url,
        "hashtags": ["ootd"],
        "allow_hosts": ["127.0.0.1"],
        "delay": 0,
        **changes,
    }


@dataclass
class Crawled:
    """How a crawl ended; its tables as they were then, also when a later crawl has replaced them."""

    code: int
    log: str
    folder: Path
    out: Path
    found: Mapping[str, list[dict[str, Any]]]

    def rows(self, table: str, without: Collection[str] = TIMES) -> list[dict[str, Any]]:
        return [{k: v for k, v in row.items() if k not in without} for row in self.found[table]]

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """What is the same in any crawl that meets the same posts and pictures, however often it had to ask."""
        without = TIMES | {"attempts"}
        counts = [row for row in self.rows("counts") if row["what"] in ("seen", "post", "image", "bytes")]
        return {"posts": self.rows("posts"), "images": self.rows("images", without), "counts": counts}

    def ids(self) -> list[str]:
        """Post ids without the name of the network."""
        return [row["post_id"].partition(":")[2] for row in self.rows("posts")]

    def images(self) -> dict[str, dict[str, Any]]:
        """Rows of the images table by the last part of their address."""
        return {row["url"].rpartition("/")[2]: row for row in self.rows("images")}

    def counts(self, what: str) -> dict[str, int]:
        return {row["outcome"]: row["count"] for row in self.rows("counts") if row["what"] == what}


def write_job(folder: Path, *sources: dict[str, Any], **changes: Any) -> Path:
    job = {
        "window": {"key": "2019-07-01", "start": "2019-07-01T00:00:00Z", "end": "2019-07-08T00:00:00Z"},
        "sources": sources,
        "out": str(folder / "out"),
        "images": str(folder / "images"),
        "first_window": True,
        "limits": {"backoff": 0, "timeout": 5, "retries": 1},
        **changes,
    }
    path = folder / "job.json"
    path.write_text(json.dumps(job, default=str))
    return path


def command(job: Path) -> list[str]:
    return [sys.executable, "-m", "crawlers.run", "--job", str(job)]


def environment(**changes: str) -> dict[str, str]:
    return {**os.environ, "STYLEGRAPH_HMAC_KEY": KEY, **changes}


def run_crawl(folder: Path, *sources: dict[str, Any], env: Mapping[str, str] = {}, **changes: Any) -> Crawled:
    folder.mkdir(exist_ok=True)
    job = write_job(folder, *sources, **changes)
    code = forks().wait(forks().start(job, environment(**env)))
    return crawled(code, job, changes.get("out"))


def crawled(code: int, job: Path, out: str | None = None) -> Crawled:
    """Gather what a crawl that has ended left."""
    tables = Path(out) if out else job.parent / "out"
    found = {path.stem: pq.read_table(path).to_pylist() for path in tables.glob("*.parquet")}
    return Crawled(code, log_of(job).read_text(), job.parent, tables, found)
