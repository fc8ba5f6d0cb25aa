"""Servers that the tests of a session share, and a shortened demo, run once."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from labeling.studio.server import RunningServer
from tests.integration import atproto_server, label_studio_server, mastodon_mock_server
from tests.integration.atproto_server import AtprotoServer
from tests.integration.finished_demo import FinishedDemo
from tests.integration.label_studio_server import LabelStudioFiles
from tests.integration.mastodon_mock_server import MastodonMock


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the first test that needs Label Studio wait for its installation; a limit of a test's own comes first."""
    for item in items:
        if {"label_studio", "label_studio_files"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.timeout(label_studio_server.SETUP_SECONDS))


@pytest.fixture(scope="session")
def atproto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AtprotoServer]:
    """An AT Protocol server without rate limits. Each test plants accounts of its own and posts with its own hashtags.

    A test that uses it may have to wait for the installation; see atproto_server.INSTALL_SECONDS.
    """
    with atproto_server.start(tmp_path_factory.mktemp("atproto")) as running:
        yield running


@pytest.fixture(scope="session")
def label_studio_files(tmp_path_factory: pytest.TempPathFactory) -> LabelStudioFiles:
    """An installed Label Studio and a database with users, for tests that need a server of their own."""
    return label_studio_server.build(tmp_path_factory.mktemp("label-studio"))


@pytest.fixture(scope="session")
def label_studio(
    label_studio_files: LabelStudioFiles, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    """A Label Studio with an admin, two experts and a reviewer. Each test makes its own project."""
    with label_studio_files.server(tmp_path_factory.mktemp("label-studio-server")) as running:
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
