"""The demo from nothing: everything planted is found, and the commands after it speak of it."""

import json

import pytest
from playwright.sync_api import Browser

from pipeline.settings import load_settings
from pipeline.storage import Storage
from tests.integration.finished_demo import FinishedDemo

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1500)]


def test_the_demo_finds_what_it_planted(demo: FinishedDemo) -> None:
    assert demo.code == 0, demo.output
    assert "differs" not in demo.output
    for line in ("Planted and found", "top-5: test images", "top-7: test images", "Report: "):
        assert line in demo.output


def test_no_handle_reaches_a_table_and_no_key_a_log(demo: FinishedDemo) -> None:
    key = (demo.folder / "hmac.key").read_text().strip()
    assert key not in demo.output
    storage = Storage(str(demo.folder / "data"))
    posts = storage.read_windows("posts", ["2019-07-01", "2019-07-08"]).to_pandas()
    assert not posts.to_csv().count("user0")
    assert posts["author_hmac"].str.fullmatch("[0-9a-f]{64}").all()
    for path in (demo.folder / "data" / "dagster").rglob("*"):
        if path.is_file():
            assert key.encode() not in path.read_bytes(), path


def test_report_and_predict_speak_of_the_last_run(demo: FinishedDemo) -> None:
    result = demo.command("report", "--json")
    assert result.returncode == 0, result.stderr
    figures = json.loads(result.stdout)
    assert {row["label_set"] for row in figures} == {"top-5", "top-7"}
    assert {row["architecture"] for row in figures} == {"basic_cnn", "backbone", "backbone_max", "ml_gcn", "csra"}
    picture = next((demo.folder / "network" / "media").glob("*.jpg"))
    result = demo.command("predict", str(picture))
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("%") == 5
    result = demo.command("predict", str(demo.config), str(picture))
    assert result.returncode == 1
    assert "stylegraph.toml" in result.stderr


def test_doctor_names_what_is_missing(demo: FinishedDemo) -> None:
    result = demo.command("doctor")
    assert result.returncode == 1  # the demo's network does not run, and its key is not in the environment
    assert "does not answer" in result.stdout
    assert "STYLEGRAPH_HMAC_KEY" in result.stdout


def test_the_report_opens_in_a_browser(demo: FinishedDemo, browser: Browser) -> None:
    settings = load_settings(demo.config)
    page = browser.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"file://{Storage(settings.data.location).path('reports/report.html')}")
    assert page.locator("h1").inner_text() == settings.report.title
    assert page.locator("img").count() > 20
    assert errors == []
    page.close()
