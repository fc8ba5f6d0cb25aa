"""A client that does next to nothing with what it gets: shows what a server can serve at most."""

import asyncio
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

from crawling.server import picture_name


class _Connection(asyncio.Protocol):
    """Asks for one picture after the other and counts the bytes of the answers."""

    def __init__(self, numbers: Iterator[int], done: asyncio.Future[None]) -> None:
        self._numbers, self._done = numbers, done
        self._transport: Any = None
        self._left = -1  # bytes of the answer, -1 before its head
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        number = next(self._numbers, None)
        if number is None:
            self._transport.close()
            self._done.set_result(None)
            return
        self._left, self._head = -1, b""
        self._transport.write(f"GET /media/{picture_name(number)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        if self._left < 0:
            self._head += data
            head, end, body = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            self._left = int(head.partition(b"Content-Length: ")[2].split(b"\r\n", 1)[0]) - len(body)
        else:
            self._left -= len(data)
        if self._left == 0:
            self._ask()


async def _fetch(url: str, pictures: int, connections: int) -> None:
    loop = asyncio.get_running_loop()
    host, _, port = url.removeprefix("http://").partition(":")
    numbers = iter(range(1, pictures + 1))
    ends: list[asyncio.Future[None]] = [loop.create_future() for _ in range(connections)]
    for end in ends:
        await loop.create_connection(partial(_Connection, numbers, end), host, int(port))
    await asyncio.gather(*ends)


def pictures_per_second(url: str, pictures: int, connections: int) -> float:
    """Fetch pictures over some connections and throw them away."""
    begin = time.perf_counter()
    asyncio.run(_fetch(url, pictures, connections))
    return pictures / (time.perf_counter() - begin)
