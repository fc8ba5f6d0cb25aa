"""An S3 service on 127.0.0.1, from moto, for tests."""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}


@contextlib.contextmanager
def s3_server(folder: Path, *buckets: str) -> Iterator[str]:
    """Start the service with empty ``buckets``; give its address. Its log is in ``folder``."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = folder / "s3.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], stdout=output, stderr=output
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_for(url, log)
        for bucket in buckets:
            httpx.put(f"{url}/{bucket}").raise_for_status()
        yield url
    finally:
        server.terminate()
        server.wait(timeout=30)


def _wait_for(url: str, log: Path) -> None:
    for _ in range(200):
        try:
            httpx.get(f"{url}/moto-api/").raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.3)
        else:
            return
    raise RuntimeError(f"the S3 server does not start: {log.read_text()[-500:]}")
