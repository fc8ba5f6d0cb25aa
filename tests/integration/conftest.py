"""A shortened demo, run once."""

import os
import subprocess
import sys

import pytest

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
