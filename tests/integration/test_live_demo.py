"""The demo with a live Label Studio that somebody else runs: what experts do there comes back through the sensor."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from labeling.studio.server import RunningServer
from labeling.studio.task_list import listed_tasks
from pipeline.storage import Storage
from tests.integration.label_studio_server import LabelStudioFiles

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]


@pytest.fixture
def label_studio(label_studio_files: LabelStudioFiles, tmp_path: Path) -> Iterator[RunningServer]:
    """A server of this test's own: the demo's experts sign up there."""
    with label_studio_files.server(tmp_path) as running:
        yield running


def test_the_demo_works_with_any_server(label_studio: RunningServer) -> None:
    folder = label_studio.document_root / "demo"  # the server may show pictures from below its document root
    working = label_studio.document_root.parent / "working"
    working.mkdir()
    environment = {key: value for key, value in os.environ.items() if not key.startswith("STYLEGRAPH_")}
    result = subprocess.run(
        [sys.executable, "-m", "pipeline", "demo", "--label-studio", "--posts", "300", "--folder", str(folder)],
        cwd=working,
        env={
            **environment,
            "STYLEGRAPH_TRAINING__EPOCHS": "1",
            "STYLEGRAPH_TRAINING__IMAGE_SIZE": "[48, 48]",
            "STYLEGRAPH_LABEL_STUDIO_URL": label_studio.url,
            "STYLEGRAPH_LABEL_STUDIO_TOKEN": label_studio.admin.token,
            "STYLEGRAPH_LABELS__DOCUMENT_ROOT": str(label_studio.document_root),
        },
        capture_output=True,
        text=True,
        timeout=1800,
    )
    output = result.stdout + result.stderr
    assert result.returncode == 0, output
    assert "differs" not in output
    assert "Experts' labels, by the sensor" in output
    assert label_studio.admin.token not in output

    storage = Storage(str(folder / "data"))
    queued = storage.read_table("queued_tasks").to_pandas()
    with label_studio.connection() as connection:
        [project] = [p for p in connection.get("/api/projects")["results"] if p["title"] == "Fashion styles (demo)"]
        standing = {task.task_id: task.image_id for task in listed_tasks(connection, project["id"])}
    assert dict(zip(queued["task_id"], queued["image_id"], strict=True)) == standing
    shown = storage.read_table("pre_annotations").to_pandas()
    assert set(shown["blind"]) == {True, False}
    acceptance = storage.read_table("prediction_acceptance").to_pandas()
    assert acceptance.loc[acceptance["label"].isna(), "answers"].sum() > 0
