"""The social network of a simulated year: it shows what was posted until now, and is sometimes down."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.demo.posts import snowflake
from pipeline.demo.server import DemoServer, World
from pipeline.resources import Clock


class YearWorld(World):
    """The posts of a year, of which only those that have arrived can be seen."""

    def __init__(self, folder: Path, base: str, clock: Clock) -> None:
        super().__init__(folder, base)
        self._clock = clock

    def page(self, tag: str, limit: int, max_id: int | None, since_id: int | None, min_id: int | None) -> list[int]:
        """Return the ids of one page of a tag's timeline as it is now, newest first."""
        now = snowflake(self._clock(), 0)
        return super().page(tag, limit, min(max_id, now) if max_id is not None else now, since_id, min_id)


class YearServer(DemoServer):
    """Serves a year on 127.0.0.1. While ``down``, it takes connections and answers nothing on them."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        super().__init__(folder)
        self._year = YearWorld(folder, self.url, clock)
        self.down = False

    @property
    def world(self) -> World:
        """The posts that have arrived."""
        return self._year

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Say whether a connection is served."""
        return not self.down


@contextmanager
def running_year(folder: Path, clock: Clock) -> Iterator[YearServer]:
    """Serve a year from a thread while the block runs."""
    server = YearServer(folder, clock)
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="year-server", daemon=True
    )
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)
