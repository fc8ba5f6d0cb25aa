"""``stylegraph champions`` and ``stylegraph rollback``, and what ``predict`` says of a champion."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from dagster._core.storage.tags import MAX_RETRIES_TAG
from rich.console import Console
from typer.testing import CliRunner

from pipeline import launcher
from pipeline.champions import champion_version, promotions
from pipeline.instance import open_instance
from pipeline.processes import this_process
from pipeline.run_launcher import worker_of
from pipeline.settings import Settings
from pipeline.storage import Storage
from pipeline.tables import TableError
from tests.pipeline.operation_case import failure, make_location, materialize, put_model


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, Storage, list[str]]:
    """A label set that had two champions."""
    settings, storage = make_location(tmp_path_factory.mktemp("case"))
    versions = [put_model(settings, storage, "basic_cnn", 1)]
    assert failure(materialize(settings, storage, "champion", "colours")) == ""
    easy = settings.promotion.model_copy(update={"newer_by_days": 0, "margin": 0.99})
    easily = settings.model_copy(update={"promotion": easy})
    versions.append(put_model(settings, storage, "basic_cnn", 2))
    assert failure(materialize(easily, storage, "champion", "colours")) == ""
    return settings, storage, versions


@pytest.fixture
def command(case: tuple[Settings, Storage, list[str]], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a command line; returns exit code and output."""
    folder = Path(case[1].location).parent
    monkeypatch.setenv("STYLEGRAPH_CONFIG", str(folder / "stylegraph.toml"))

    def run(*arguments: object) -> tuple[int, str]:
        output = io.StringIO()
        monkeypatch.setattr(launcher, "console", Console(file=output, width=300))
        result = CliRunner().invoke(launcher.app, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, output.getvalue()

    return run


def test_there_and_back(case: tuple[Settings, Storage, list[str]], command: Any) -> None:
    settings, storage, (first, second) = case
    code, output = command("champions")
    assert code == 0
    lines = [line for line in output.splitlines() if "basic_cnn-" in line]
    assert first in lines[0]
    assert second in lines[1]
    assert ["now" in line for line in lines[:2]] == [False, True]
    picture = storage.image_path(f"{1:064x}")
    code, output = command("predict", picture, "--json")
    assert {key: json.loads(output)[key] for key in ("model_version", "champion")} == {
        "model_version": second,
        "champion": True,
    }
    code, output = command("rollback", "colours")
    assert (code, champion_version(storage, "colours")) == (0, first)
    assert output.startswith(f"colours: {first} is the champion now, no longer {second}.")
    with open_instance(settings) as instance:
        (run,) = instance.get_runs(limit=1)
    assert worker_of(run.tags) == this_process()  # so that nobody waits for ever for one that is killed
    assert run.tags[MAX_RETRIES_TAG] == "0"
    code, output = command("predict", picture)
    assert output.splitlines()[0].endswith(f"(Basic CNN, colours, champion {first})")
    code, output = command("predict", picture, "--json", "--architecture", "basic_cnn")
    assert json.loads(output)["champion"] is False
    code, output = command("rollback", "colours", "--to", first)
    assert output == f"colours: {first} is the champion already\n"
    with pytest.raises(TableError, match="had no champion before this one"):
        command("rollback", "colours")
    with pytest.raises(TableError, match="colours has no champion basic_cnn-1; there are: basic_cnn-"):
        command("rollback", "colours", "--to", "basic_cnn-1")
    assert command("rollback", "colours", "--to", second)[0] == 0
    assert champion_version(storage, "colours") == second
    decisions = [row["decision"] for row in promotions(storage, "colours").to_pylist()]
    assert decisions == ["promoted", "promoted", "rolled_back", "rolled_back"]
