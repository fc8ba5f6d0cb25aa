"""One network for all commands of a demo."""

import io
import shutil
from pathlib import Path

import httpx
import pytest
from rich.console import Console

from pipeline.commands.demo_network import CONFIG_NAME, KEY_VARIABLE, WORLD_NAME, demo_environment, is_demo
from pipeline.settings import SettingsError

SERVER = "STYLEGRAPH_SOURCES__DEMO__SERVER"
SETTINGS = """
[data]
location = "data"

[windows]
start = 2019-07-01
end = 2019-07-08

[sources.demo]
kind = "mastodon"
server = "http://127.0.0.1:8080"
hashtags = ["ootd"]

[labels]
kind = "label_studio_export"
path = "labels.json"
"""


@pytest.fixture
def config(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    shutil.copytree(world, tmp_path / WORLD_NAME)
    path = tmp_path / CONFIG_NAME
    path.write_text(SETTINGS, encoding="utf-8")
    assert is_demo(path)
    return path


def test_a_run_uses_the_network_of_the_services(config: Path) -> None:
    console = Console(file=io.StringIO())
    with demo_environment(config, console) as first, demo_environment(config, console, share=True) as second:
        assert second == first
        assert answers(second[SERVER])
    assert not answers(first[SERVER])
    with demo_environment(config, console, share=True) as again:  # at the same address, by which posts are known
        assert again == first
        assert answers(again[SERVER])


def test_services_do_not_start_a_second_network(config: Path) -> None:
    console = Console(file=io.StringIO())
    with demo_environment(config, console) as first:
        with (
            pytest.raises(SettingsError, match=r"another command .* serves the network"),
            demo_environment(config, console),
        ):
            pass
        assert answers(first[SERVER])


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/api/v2/instance", trust_env=False).is_success
    except httpx.TransportError:
        return False
