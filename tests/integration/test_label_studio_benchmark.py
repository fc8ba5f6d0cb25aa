"""The benchmark of the round trip does its work, and checks it, on a few tasks."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.label_studio_server import LabelStudioFiles

pytestmark = pytest.mark.integration

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "label_studio.py"


def test_the_benchmark_runs_on_a_few_tasks(label_studio_files: LabelStudioFiles) -> None:
    command = [sys.executable, str(BENCHMARK), "--smoke", "--template", str(label_studio_files.template)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    word, _, text = done.stdout.splitlines()[-1].partition(" ")
    assert word == "RESULT"
    results = json.loads(text)
    assert [entry["name"].split(",")[0] for entry in results] == [
        "seconds",
        "CPU seconds of the client",
        "peak MB of the client",
        "seconds",
        "seconds",
        "seconds",
        "seconds",
    ]
    assert all(entry["ours"] > 0 and entry["met"] is None for entry in results)
