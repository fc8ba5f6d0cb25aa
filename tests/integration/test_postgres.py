"""The history of runs in a real PostgreSQL: the graph runs, the UI shows it, and the password stands nowhere."""

import hashlib
import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy
from rich.console import Console

from pipeline.commands.withdraw import Asked as Wish
from pipeline.commands.withdraw import withdraw
from pipeline.graph import build_definitions
from pipeline.instance import open_instance
from pipeline.run import collection_steps, run_steps
from pipeline.settings import load_settings
from tests.integration.postgres_server import Postgres, running_postgres
from tests.integration.running_services import ENDED, Asked, free_port, wait_for
from tests.integration.withdrawal_case import SHOWN
from tests.pipeline.small_case import SETTINGS, write_case

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(600)]


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    # not below tmp_path: the server's user has to get there, and each pytest that starts shuts its folder for others
    with tempfile.TemporaryDirectory(prefix="postgres-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        with running_postgres(folder / "server") as server:
            yield server


def test_the_small_case_runs_with_its_history_in_postgres(postgres: Postgres, tmp_path: Path) -> None:
    config = write_case(tmp_path, settings=SETTINGS + '\n[dagster]\nstorage = "postgres"\n')
    environment = {key: value for key, value in os.environ.items() if not key.startswith("STYLEGRAPH_")}
    environment |= {"STYLEGRAPH_DAGSTER_POSTGRES_URL": postgres.url, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pipeline"]
    run = subprocess.run(
        [*command, "run", "--config", config], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout + run.stderr
    port = free_port()
    log = tmp_path / "dev.log"
    with log.open("wb") as output:
        services = subprocess.Popen(
            [*command, "dev", "--config", config, "--port", str(port)],
            cwd=tmp_path, env=environment, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        asked = Asked(port, tmp_path / "data" / "dagster")
        wait_for(asked.shows_graph, 120, "the graph")
        assert {one["status"] for one in asked.runs()} == {"SUCCESS"}
        started = asked.launch("write_report")
        wait_for(lambda: asked.status(started) in ENDED, 120, "a run from the UI")
        assert asked.status(started) == "SUCCESS"
        shown = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
        assert postgres.password not in shown
    finally:
        services.terminate()
        assert services.wait(60) == 0, log.read_text()
    assert not list((tmp_path / "data" / "dagster").rglob("*.db"))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in files if postgres.password.encode() in path.read_bytes()] == []
    assert postgres.password not in run.stdout + run.stderr


def test_nothing_of_a_withdrawn_picture_is_left_in_the_history(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STYLEGRAPH_DAGSTER_POSTGRES_URL", postgres.url)
    monkeypatch.setenv("STYLEGRAPH_HMAC_KEY", "5a" * 32)
    settings = load_settings(write_case(tmp_path, 24, SETTINGS + '\n[dagster]\nstorage = "postgres"\n'))
    with open_instance(settings) as instance:
        outcomes = list(run_steps(collection_steps(settings), build_definitions(settings), instance))
        image = hashlib.sha256((tmp_path / "photos" / "003.jpg").read_bytes()).hexdigest()
        shown = image[:SHOWN]
        instance.report_runless_asset_event(dg.AssetMaterialization("preview", metadata={"rows": f"| {shown}… | 1 |"}))
    assert not [outcome.failure for outcome in outcomes if outcome.failure]
    engine = sqlalchemy.create_engine(postgres.url)
    with engine.begin() as connection:  # where there is no primary key, too
        connection.execute(sqlalchemy.text("CREATE TABLE notes (note TEXT)"))
        connection.execute(sqlalchemy.text("INSERT INTO notes VALUES (:note), ('other')"), {"note": f"see {image}"})
    assert {"event_logs", "notes"} <= tables_with(engine, shown)
    assert files_with(postgres, engine, shown)

    output = io.StringIO()
    code = withdraw(settings, Wish(images=[image], reason="asked"), Console(file=output, width=200), now=True)

    assert code == 0, output.getvalue()
    assert tables_with(engine, shown) == set()
    with engine.connect() as connection:
        notes = connection.execute(sqlalchemy.text("SELECT note FROM notes ORDER BY note")).scalars().all()
    assert notes == ["other", "see [withdrawn]"]
    assert files_with(postgres, engine, shown) == []
    engine.dispose()
    with open_instance(settings) as instance:
        runs = instance.get_runs()
        assert {run.status.value for run in runs} == {"SUCCESS"}
        assert instance.get_latest_materialization_event(dg.AssetKey("unique_images")) is not None


def tables_with(engine: sqlalchemy.Engine, text: str) -> set[str]:
    """The tables of which a row holds the text."""
    metadata = sqlalchemy.MetaData()
    metadata.reflect(engine)
    with engine.connect() as connection:
        return {
            table.name
            for table in metadata.sorted_tables
            if any(text in str(value) for row in connection.execute(sqlalchemy.select(table)) for value in row)
        }


def files_with(postgres: Postgres, engine: sqlalchemy.Engine, text: str) -> list[Path]:
    """The files of tables in which the text stands, once all that is in memory is written to them."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sqlalchemy.text("CHECKPOINT"))
    files = [path for path in (postgres.data / "base").rglob("*") if path.is_file()]
    return [path for path in files if text.encode() in path.read_bytes()]


def test_what_is_missing_is_said_in_one_line(tmp_path: Path) -> None:
    config = write_case(tmp_path, images=1, settings=SETTINGS + '\n[dagster]\nstorage = "postgres"\n')
    environment = {key: value for key, value in os.environ.items() if not key.startswith("STYLEGRAPH_")}
    run = subprocess.run(
        [sys.executable, "-m", "pipeline", "run", "--config", config],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 2
    assert run.stderr.strip() == (
        'dagster.storage = "postgres" needs the address of a database in the environment: '
        "STYLEGRAPH_DAGSTER_POSTGRES_URL=postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
    )
