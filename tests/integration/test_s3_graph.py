"""The whole graph with its data in a bucket: everything is there, a second run is short, another machine goes on."""

import hashlib
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import fsspec
import pyarrow.parquet as pq
import pytest

from tests.integration.s3_server import KEYS, s3_server
from tests.pipeline.small_case import SETTINGS, write_case

pytest.importorskip("moto", reason="the extra dev brings the S3 server")
pytest.importorskip("s3fs", reason="the extra s3 brings it")
pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(1500)]

LOCATION = "s3://styles/lake"
MODELS = {("top-3", "basic_cnn"), ("top-3", "ml_gcn"), ("pair", "basic_cnn"), ("pair", "ml_gcn")}


@dataclass(frozen=True)
class Machine:
    """A machine with its own home folder that works on the bucket."""

    config: Path
    home: Path
    endpoint: str

    def stylegraph(self, *arguments: str, location: str | None = None) -> subprocess.CompletedProcess[str]:
        environment = os.environ | KEYS | {"AWS_ENDPOINT_URL": self.endpoint, "HOME": str(self.home)}
        environment |= {"OMP_NUM_THREADS": "1", "STYLEGRAPH_HMAC_KEY": "0123456789abcdef" * 2, "COLUMNS": "200"}
        environment |= {"STYLEGRAPH_DATA__LOCATION": location} if location else {}
        command = [sys.executable, "-m", "pipeline", *arguments]
        return subprocess.run(command, cwd=self.config.parent, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with s3_server(tmp_path_factory.mktemp("s3"), "styles") as url:
        yield url


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = SETTINGS.replace('location = "data"', f'location = "{LOCATION}"')
    return write_case(tmp_path_factory.mktemp("case"), settings=settings)


@pytest.fixture(scope="module")
def machine(endpoint: str, config: Path, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """The machine that ran the whole graph."""
    machine = Machine(config, tmp_path_factory.mktemp("home"), endpoint)
    done = machine.stylegraph("run")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return machine


@pytest.fixture(scope="module")
def other_machine(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """A machine that has only the settings."""
    return Machine(machine.config, tmp_path_factory.mktemp("other"), machine.endpoint)


@pytest.fixture
def bucket(machine: Machine) -> fsspec.AbstractFileSystem:
    return fsspec.filesystem(
        "s3",
        key=KEYS["AWS_ACCESS_KEY_ID"],
        secret=KEYS["AWS_SECRET_ACCESS_KEY"],
        endpoint_url=machine.endpoint,
        skip_instance_cache=True,
        use_listings_cache=False,
    )


def contents(bucket: fsspec.AbstractFileSystem, folder: str) -> dict[str, str]:
    """Every object below a folder of the location with the hash of its content."""
    found = bucket.find(f"styles/lake/{folder}", detail=True)
    return {path.removeprefix("styles/lake/"): str(details["ETag"]) for path, details in found.items()}


def test_tables_pictures_models_and_report_are_in_the_bucket(bucket: fsspec.AbstractFileSystem, config: Path) -> None:
    tables = contents(bucket, "tables")
    for window in ("2019-07-01", "2019-07-08"):
        assert {f"tables/{name}/{window}.parquet" for name in ("posts", "images", "image_hashes")} <= set(tables)
    for label_set, architecture in MODELS:
        assert f"tables/scores/{label_set}/{architecture}.parquet" in tables
        version = bucket.cat_file(f"styles/lake/models/{label_set}/{architecture}/current").decode().strip()
        names = {path.rpartition("/")[2] for path in contents(bucket, f"models/{label_set}/{architecture}/{version}")}
        assert {"card.json", "MODEL_CARD.md"} <= names
        assert any(name.endswith(".safetensors") for name in names)
    assert bucket.cat_file("styles/lake/reports/report.html").startswith(b"<!doctype html>")
    assert not list(config.parent.rglob("*.parquet"))


def test_pictures_are_named_by_their_content(bucket: fsspec.AbstractFileSystem) -> None:
    pictures = bucket.find("styles/lake/images")
    assert len(pictures) == 66
    for path, content in bucket.cat(pictures).items():
        assert hashlib.sha256(content).hexdigest() == path.rpartition("/")[2]


def test_champions_and_what_they_answer_are_in_the_bucket(bucket: fsspec.AbstractFileSystem) -> None:
    for label_set in ("top-3", "pair"):
        version = json.loads(bucket.cat_file(f"styles/lake/champions/{label_set}/current.json"))["version"]
        assert f"champions/{label_set}/{version}/card.json" in contents(bucket, f"champions/{label_set}")
    predictions = pq.read_table(io.BytesIO(bucket.cat_file("styles/lake/tables/style_predictions/2019-07-01.parquet")))
    assert set(predictions.column("label_set").to_pylist()) == {"top-3", "pair"}
    assert {"tables/style_trends.parquet", "tables/drift.parquet"} <= set(contents(bucket, "tables"))


def test_the_data_card_describes_what_is_in_the_bucket(bucket: fsspec.AbstractFileSystem) -> None:
    document = json.loads(bucket.cat_file("styles/lake/croissant-top-3.json"))
    table = document["distribution"][0]
    assert hashlib.sha256(bucket.cat_file(f"styles/lake/{table['contentUrl']}")).hexdigest() == table["sha256"]
    assert bucket.cat_file("styles/lake/data_cards/top-3/README.md").startswith(b"# Data card")


def test_a_second_run_has_nothing_to_do(machine: Machine, bucket: fsspec.AbstractFileSystem) -> None:
    before = contents(bucket, "")
    begin = time.monotonic()
    done = machine.stylegraph("run")
    seconds = time.monotonic() - begin
    assert done.returncode == 0, done.stdout + done.stderr
    assert contents(bucket, "") == before
    assert seconds < 30  # on a machine at rest: 10


def test_a_machine_with_nothing_but_the_settings_reads_the_figures(machine: Machine, other_machine: Machine) -> None:
    here, there = (one.stylegraph("report", "--json") for one in (machine, other_machine))
    assert there.returncode == 0, there.stderr
    assert json.loads(there.stdout) == json.loads(here.stdout)


def test_a_machine_with_nothing_but_the_settings_predicts(other_machine: Machine, machine: Machine) -> None:
    arguments = ("predict", "photos/000.jpg", "--json")
    here, there = (one.stylegraph(*arguments) for one in (machine, other_machine))
    assert there.returncode == 0, there.stderr
    assert json.loads(there.stdout) == json.loads(here.stdout)
    assert list(other_machine.home.rglob("*.safetensors"))


def test_two_locations_share_nothing(machine: Machine, bucket: fsspec.AbstractFileSystem) -> None:
    before = set(machine.home.rglob("dagster.yaml"))
    done = machine.stylegraph("report", location="s3://styles/another")
    assert done.returncode == 2
    assert "nothing was evaluated yet" in done.stderr
    machine.stylegraph("run", "--set", "sources.drawn.posts=absent.csv", location="s3://styles/another")
    assert set(machine.home.rglob("dagster.yaml")) > before


def test_a_bucket_that_is_not_there_is_said_in_one_line(machine: Machine) -> None:
    done = machine.stylegraph("run", location="s3://absent/lake")
    assert done.returncode != 0
    assert "absent" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
