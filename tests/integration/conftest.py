"""A shortened demo, run once, and a browser."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.integration.finished_demo import FinishedDemo


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


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert chromium, "these tests need chromium: apt-get install chromium"
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=flags)
        yield started
        started.close()
