"""Servers that the tests of a session share, and a shortened demo, run once."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.integration import atproto_server, mastodon_mock_server
from tests.integration.atproto_server import AtprotoServer
from tests.integration.finished_demo import FinishedDemo
from tests.integration.mastodon_mock_server import MastodonMock


@pytest.fixture(scope="session")
def atproto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AtprotoServer]:
    """An AT Protocol server without rate limits. Each test plants accounts of its own and posts with its own hashtags.

    A test that uses it may have to wait for the installation; see atproto_server.INSTALL_SECONDS.
    """
    with atproto_server.start(tmp_path_factory.mktemp("atproto")) as running:
        yield running


@pytest.fixture(scope="session")
def mocks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[MastodonMock, MastodonMock]]:
    """Two servers with the Mastodon API. Each test plants posts with its own hashtags."""
    with socket.socket() as first, socket.socket() as second:
        for free in (first, second):
            free.bind(("127.0.0.1", 0))
        ports = [free.getsockname()[1] for free in (first, second)]
    folder = tmp_path_factory.mktemp("mocks")
    with (
        mastodon_mock_server.start(folder / "one", ports[0]) as one,
        mastodon_mock_server.start(folder / "two", ports[1]) as two,
    ):
        yield one, two


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> FinishedDemo:
    working = tmp_path_factory.mktemp("demo")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("STYLEGRAPH_")}
    folder = working / ".data" / "demo"
    result = subprocess.run(
        [sys.executable, "-m", "pipeline", "demo", "--posts", "450"],
        cwd=working,
        env={**environment, "STYLEGRAPH_TRAINING__EPOCHS": "2", "STYLEGRAPH_TRAINING__IMAGE_SIZE": "[48, 48]"},
        capture_output=True,
        text=True,
        timeout=1200,
    )
    return FinishedDemo(working, folder, environment, result.returncode, result.stdout + result.stderr)
