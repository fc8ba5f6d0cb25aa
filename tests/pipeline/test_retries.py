"""A step that speaks to a server is tried again where the fault may pass by itself, and only there."""

from pathlib import Path

import dagster as dg
import pytest

from crawlers.errors import CrawlError
from labeling.studio.errors import StudioError, StudioUnavailable
from pipeline import retries
from pipeline.graph import build_definitions
from pipeline.metadata import for_people
from pipeline.retries import passing_faults
from pipeline.settings import Settings, load_settings
from tests.pipeline.small_case import SETTINGS, write_case
from tests.pipeline.studio_case import live_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(write_case(tmp_path / "case", images=3, settings=SETTINGS + "[automation]\nretries = 2\n"))


@pytest.mark.parametrize(
    ("error", "attempts"),
    [
        (StudioUnavailable("the server does not answer"), 3),
        (StudioError("copy a token"), 1),
        (CrawlError("set the key"), 1),
        (ConnectionResetError("a child was killed"), 3),
    ],
)
def test_what_may_pass_is_tried_again(
    settings: Settings, error: Exception, attempts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "WAIT", 0.01)
    tried = []

    @dg.asset(retry_policy=passing_faults(settings))
    def speaks_to_a_server() -> None:
        tried.append(1)
        with for_people():
            raise error

    result = dg.materialize([speaks_to_a_server], raise_on_error=False, instance=dg.DagsterInstance.ephemeral())
    assert not result.success
    assert len(tried) == attempts


def test_no_retries_are_asked_for_by_setting(settings: Settings) -> None:
    none = settings.automation.model_copy(update={"retries": 0})
    assert passing_faults(settings.model_copy(update={"automation": none})) is None


def test_steps_that_speak_to_a_server_have_retries_and_no_others(tmp_path: Path) -> None:
    (tmp_path / "live").mkdir()
    definitions = build_definitions(live_settings(tmp_path / "live", "Retries"))
    ops = [one.op for one in definitions.assets or () if isinstance(one, dg.AssetsDefinition) and one.is_materializable]
    assert {op.name for op in ops if op.retry_policy} == {
        "crawl", "expert_annotations", "queued_tasks", "pre_annotations", "returned_tasks",
    }  # fmt: skip
