"""A proxy on 127.0.0.1 before a real Label Studio, which tells a test of each request before it passes it on."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

NOT_PASSED = {"connection", "content-encoding", "content-length", "host", "keep-alive", "transfer-encoding"}


class Proxy(ThreadingHTTPServer):
    """Calls ``watch`` with method and path (with its query) of each request; it may wait as long as it likes."""

    daemon_threads = True

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.client = httpx.Client(base_url=target, timeout=60, trust_env=False)
        self.watch: Callable[[str, str], None] = lambda method, path: None

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed, or gave up, is what tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.server.watch(self.command, self.path)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in NOT_PASSED}
        answer = self.server.client.request(self.command, self.path, content=body, headers=headers)
        self.send_response_only(answer.status_code)  # without headers of its own
        for name, value in answer.headers.items():
            if name.lower() not in NOT_PASSED:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    do_GET = do_POST = do_PATCH = do_DELETE = _any  # noqa: N815  # the names that http.server calls

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextlib.contextmanager
def proxy(target: str) -> Iterator[Proxy]:
    """Run a proxy before ``target`` while the block runs."""
    server = Proxy(target)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        server.client.close()
        thread.join()
