"""A small local web server for crawls, with an answer per path, and a way to run a crawl in a child process."""

import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

KEY = "00112233445566778899aabbccddeeff"
TIMES = {"crawled_at", "fetched_at"}


@dataclass
class Answer:
    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None  # stated in the header; -1 for a body that ends with the connection
    seconds: float = 0.0  # between the body's first and last half


@dataclass
class Asked:
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]


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
        answer = route(asked) if callable(route) else route
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.length == -1:
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
        self.stopping = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def paths(self) -> list[str]:
        return [asked.path for asked in self.asked]

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
    code: int
    log: str
    folder: Path

    def rows(self, table: str) -> list[dict[str, Any]]:
        rows = pq.read_table(self.folder / "out" / f"{table}.parquet").to_pylist()
        return [{k: v for k, v in row.items() if k not in TIMES} for row in rows]

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
    job = write_job(folder, *sources, **changes)
    done = subprocess.run(command(job), env=environment(**env), capture_output=True, text=True, timeout=120)
    return Crawled(done.returncode, done.stderr + done.stdout, folder)
