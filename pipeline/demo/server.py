"""A small social network that speaks the Mastodon API and shows the demo's world, on 127.0.0.1 only.

Run it by ``python -m pipeline.demo.server --world FOLDER --port N``, or use ``running_server`` inside a program.
"""

import argparse
import json
import logging
import mimetypes
import sys
import threading
import time
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

from pipeline.demo.planted import MEDIA_FOLDER, PLANTED_FILE, STATUSES_FILE, week_folders
from pipeline.demo.posts import BASE

DEFAULT_LIMIT, MOST = 20, 40  # statuses on a page
RATE_LIMIT, RATE_PERIOD = 30_000, 300  # requests, seconds
_logger = logging.getLogger(__name__)


def fold(tag: str) -> str:
    """A hashtag in the form in which it is looked up."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", tag.lstrip("#")).casefold())


class World:
    """The statuses and pictures of a built world, indexed for the API."""

    def __init__(self, folder: Path, base: str) -> None:
        """Read a world; ``base`` is the server's address. Raises FileNotFoundError if there is none in ``folder``."""
        if not (folder / STATUSES_FILE).exists():
            raise FileNotFoundError(f"{folder} holds no demo world ({STATUSES_FILE} is missing): build one first")
        self.base = base
        weeks = week_folders(folder)
        self.weeks = len(weeks)
        self.media = [(part / MEDIA_FOLDER).resolve() for part in (folder, *weeks)]
        self.statuses: dict[int, str] = {}
        self.accounts: dict[str, Any] = {}
        self.tags: dict[str, list[int]] = {}  # ids in rising order
        self._read(folder)
        for week in weeks:
            for gone in json.loads((week / PLANTED_FILE).read_text(encoding="utf-8"))["gone"]:
                del self.statuses[int(gone)]
            self._read(week)
        self._index()

    def _read(self, folder: Path) -> None:
        with (folder / STATUSES_FILE).open(encoding="utf-8") as file:
            for line in file:
                text = line.rstrip("\n").replace(BASE, self.base)
                self.statuses[int(json.loads(text)["id"])] = text

    def _index(self) -> None:
        for number, text in sorted(self.statuses.items()):
            status = json.loads(text)
            self.accounts[status["account"]["id"]] = status["account"]
            for tag in {fold(tag["name"]) for tag in status["tags"]}:
                self.tags.setdefault(tag, []).append(number)

    def picture(self, name: str) -> Path | None:
        """Return the file of a picture; None where there is none of that name."""
        if "/" in name or "\\" in name or name.startswith("."):
            return None
        return next((folder / name for folder in self.media if (folder / name).is_file()), None)

    def page(self, tag: str, limit: int, max_id: int | None, since_id: int | None, min_id: int | None) -> list[int]:
        """Ids of one page of a tag's timeline, newest first.

        They lie below ``max_id`` and above ``since_id``; ``min_id`` takes those next above it.
        """
        numbers = self.tags.get(fold(tag), [])
        end = bisect_left(numbers, max_id) if max_id is not None else len(numbers)
        low = max((number for number in (since_id, min_id) if number is not None), default=-1)
        start = bisect_left(numbers, low + 1)
        chosen = numbers[start:end]
        chosen = chosen[:limit] if min_id is not None else chosen[max(0, len(chosen) - limit) :]
        return chosen[::-1]


class DemoServer(ThreadingHTTPServer):
    """Serves one world."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, folder: Path, port: int = 0) -> None:
        """Bind to 127.0.0.1; port 0 takes a free one. Raises OSError if the port is taken."""
        super().__init__(("127.0.0.1", port), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self._folder = folder
        try:
            self._world = World(folder, self.url)
        except BaseException:
            self.server_close()
            raise
        self._lock = threading.Lock()
        self._window, self._used = 0, 0

    @property
    def world(self) -> World:
        """The world as it is now: a week that was added is there at the next request."""
        if len(week_folders(self._folder)) != self._world.weeks:
            with self._lock:
                if len(week_folders(self._folder)) != self._world.weeks:
                    self._world = World(self._folder, self.url)
        return self._world

    def take_request(self) -> tuple[int, int]:
        """Count a request against the rate limit: what is left, and when the count starts again (epoch seconds)."""
        with self._lock:
            window = int(time.time()) // RATE_PERIOD
            if window != self._window:
                self._window, self._used = window, 0
            self._used += 1
            return RATE_LIMIT - self._used, (window + 1) * RATE_PERIOD

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Note a connection that broke; clients that go away are no news."""
        _logger.debug("connection from %s ended early: %s", client_address, sys.exc_info()[1])


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "stylegraph-demo"
    disable_nagle_algorithm = True

    @property
    def demo(self) -> DemoServer:
        """The server that this connection belongs to."""
        return cast(DemoServer, self.server)

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        steps = [unquote(step) for step in parts.path.strip("/").split("/")]
        query = parse_qs(parts.query)
        match steps:
            case ["robots.txt"]:
                self._send(HTTPStatus.OK, b"User-agent: *\nDisallow: /auth/\n", "text/plain; charset=utf-8")
            case ["media", name]:
                self._media(name)
            case ["api", "v1", "timelines", "tag", tag]:
                self._timeline(tag, query)
            case ["api", "v1", "statuses", number] if number.isdecimal() and int(number) in self.demo.world.statuses:
                self._json(HTTPStatus.OK, self.demo.world.statuses[int(number)])
            case ["api", "v1", "accounts", number] if number in self.demo.world.accounts:
                self._json(HTTPStatus.OK, json.dumps(self.demo.world.accounts[number]))
            case ["api", "v1" | "v2", "instance"]:
                self._json(HTTPStatus.OK, json.dumps(_instance(self.demo.url)))
            case [""]:
                self._send(
                    HTTPStatus.OK,
                    b"A made-up social network for the demo of stylegraph.\n",
                    "text/plain; charset=utf-8",
                )
            case _:
                self._json(HTTPStatus.NOT_FOUND, '{"error":"Record not found"}')

    do_HEAD = do_GET  # noqa: N815  # the name that http.server calls

    def _timeline(self, tag: str, query: dict[str, list[str]]) -> None:
        try:
            limit = int(query.get("limit", [str(DEFAULT_LIMIT)])[-1])
            bounds = {key: int(query[key][-1]) if key in query else None for key in ("max_id", "since_id", "min_id")}
        except ValueError:
            self._json(HTTPStatus.BAD_REQUEST, '{"error":"limit and ids are whole numbers"}')
            return
        limit = max(1, min(limit, MOST))
        world = self.demo.world
        numbers = world.page(tag, limit, **bounds)
        links = {}
        if numbers:
            kept = {key: values[-1] for key, values in query.items() if key not in ("max_id", "since_id", "min_id")}
            address = self.demo.url + urlsplit(self.path).path
            older, newer = urlencode({**kept, "max_id": numbers[-1]}), urlencode({**kept, "min_id": numbers[0]})
            links["Link"] = f'<{address}?{older}>; rel="next", <{address}?{newer}>; rel="prev"'
        self._json(HTTPStatus.OK, "[" + ",".join(world.statuses[number] for number in numbers) + "]", links)

    def _media(self, name: str) -> None:
        path = self.demo.world.picture(name)
        if path is None:
            self._send(HTTPStatus.NOT_FOUND, b"not found\n", "text/plain; charset=utf-8")
            return
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        self._send(HTTPStatus.OK, path.read_bytes(), kind, {"Cache-Control": "public, max-age=31536000, immutable"})

    def _json(self, status: HTTPStatus, text: str, headers: dict[str, str] | None = None) -> None:
        left, reset = self.demo.take_request()
        limits = {
            "X-RateLimit-Limit": str(RATE_LIMIT),
            "X-RateLimit-Remaining": str(max(0, left)),
            "X-RateLimit-Reset": datetime.fromtimestamp(reset, UTC).strftime("%Y-%m-%dT%H:%M:%S.000000Z"),
        }
        if left < 0:
            status, text = HTTPStatus.TOO_MANY_REQUESTS, '{"error":"Too many requests"}'
        self._send(status, text.encode(), "application/json; charset=utf-8", {**limits, **(headers or {})})

    def _send(self, status: HTTPStatus, body: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
        self.send_response_only(status)
        self.send_header("Date", formatdate(usegmt=True))
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _instance(url: str) -> dict[str, Any]:
    return {
        "domain": urlsplit(url).netloc,
        "title": "stylegraph demo",
        "version": "4.3.0 (compatible; stylegraph-demo)",
        "source_url": url,
        "description": "A made-up social network: every account and picture is synthetic.",
        "usage": {"users": {"active_month": 0}},
        "languages": ["en", "ko"],
        "configuration": {"statuses": {"max_media_attachments": 4}},
        "registrations": {"enabled": False},
        "rules": [],
    }


@contextmanager
def running_server(folder: Path, port: int = 0) -> Iterator[str]:
    """Serve the world in ``folder`` from a thread; yields the server's address (``http://127.0.0.1:N``)."""
    server = DemoServer(folder, port)
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="demo-server", daemon=True
    )
    thread.start()
    try:
        yield server.url
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


def main(arguments: list[str] | None = None) -> int:
    """Serve a world until interrupted; the address is printed when the server answers."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.demo.server", description=main.__doc__)
    parser.add_argument("--world", type=Path, required=True, help="folder of a world that was built")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one")
    options = parser.parse_args(arguments)
    try:
        server = DemoServer(options.world, options.port)
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{server.url}\n")
    sys.stdout.flush()
    try:
        server.serve_forever(poll_interval=0.1)
    except KeyboardInterrupt:
        sys.stdout.write("stopped\n")
    finally:
        server.server_close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
