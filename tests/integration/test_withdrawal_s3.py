"""An author withdraws from a collection in a bucket: nothing is left there, nor in what a machine keeps of it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from pipeline.partitions import window_keys
from pipeline.settings import Settings, load_settings
from pipeline.storage import Storage
from pipeline.withdrawal.plan import KEY as PLAN_KEY
from tests.integration.s3_server import KEYS, s3_server
from tests.integration.withdrawal_case import Traces, author_of, one_model, with_authors
from tests.pipeline.small_case import write_case

pytest.importorskip("moto", reason="the extra dev brings the S3 server")
pytest.importorskip("s3fs", reason="the extra s3 brings it")
pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(900)]

LOCATION = "s3://withdrawals/lake"


@pytest.fixture
def endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with s3_server(tmp_path, "withdrawals") as url:
        for name, value in {**KEYS, "AWS_ENDPOINT_URL": url, "STYLEGRAPH_HMAC_KEY": "5a" * 32}.items():
            monkeypatch.setenv(name, value)
        yield url
        fsspec.filesystem("s3").clear_instance_cache()


def stylegraph(home: Path, config: Path, *arguments: str) -> str:
    """Do something on the machine with this home folder."""
    environment = os.environ | {"HOME": str(home), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    command = [sys.executable, "-m", "pipeline", *arguments, "--config", str(config)]
    done = subprocess.run(command, cwd=config.parent, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def everything(settings: Settings, folder: Path) -> Path:
    """Copy all objects of the bucket into a folder."""
    storage = Storage(settings.data.location)
    storage.filesystem.invalidate_cache()
    storage.filesystem.get(LOCATION, str(folder), recursive=True)
    return folder


def test_nothing_is_left_in_the_bucket_nor_on_the_machines(endpoint: str, tmp_path: Path) -> None:
    config = write_case(tmp_path / "case", 48, one_model(LOCATION))
    with_authors(config.parent)
    settings, home, other = load_settings(config), tmp_path / "home", tmp_path / "other"
    for folder in (home, other):
        folder.mkdir()
    stylegraph(home, config, "run")
    storage = Storage(settings.data.location)
    windows = window_keys(settings.windows)
    theirs = Traces.of(storage, author_of(storage, "archive:drawn:001.jpg", windows), windows)
    assert {path.split("/")[0] for path in theirs.left(everything(settings, tmp_path / "before"))} >= {
        "tables",
        "images",
    }
    copies = storage.scratch.relative_to(Path.home())
    assert {path.split("/")[0] for path in theirs.left(home / copies)} >= {"images", "dagster"}
    assert "champions/top-3" in stylegraph(other, config, "where", sorted(theirs.images)[0])
    copy = other / copies / storage.image_key(sorted(theirs.images)[0])
    copy.parent.mkdir(parents=True)
    copy.write_bytes(storage.read_bytes(storage.image_key(copy.name)))

    said = stylegraph(
        home, config, "withdraw", "--author", "person1", "--server", "archive:drawn", "--reason", "asked", "--now"
    )

    assert "4 posts and 5 pictures leave" in said
    assert theirs.left(everything(settings, tmp_path / "after")) == {}
    assert theirs.left(home) == {}
    assert not storage.exists(PLAN_KEY)
    assert theirs.left(other), "what another machine keeps, that one has to remove"
    stylegraph(other, config, "withdraw", "--post", "archive:drawn:001.jpg", "--reason", "asked", "--now")
    assert theirs.left(other) == {}
    stylegraph(home, config, "run", "--all")
    assert theirs.left(everything(settings, tmp_path / "again")) == {}
    assert theirs.left(home) == {}
