"""A small world, built once for all tests of the demo."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.demo.planted import Planted
from pipeline.demo.server import running_server
from pipeline.demo.world import build_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a world of 60 posts; nobody changes it."""
    folder = tmp_path_factory.mktemp("demo") / "world"
    build_world(folder, seed=7, posts=60, processes=1)
    return folder


@pytest.fixture(scope="session")
def planted(world: Path) -> Planted:
    """The truth about that world."""
    return Planted.load(world)


@pytest.fixture(scope="session")
def server(world: Path) -> Iterator[str]:
    """The address of a server that shows that world."""
    with running_server(world) as url:
        yield url
