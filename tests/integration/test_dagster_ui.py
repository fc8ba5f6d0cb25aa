"""The Dagster UI on the demo's instance, in a real browser."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.integration.finished_demo import FinishedDemo

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1500)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def address(demo: FinishedDemo) -> Iterator[str]:
    """The address of ``stylegraph dev``, which serves the demo's network too."""
    assert demo.code == 0, demo.output
    port = free_port()
    command = [sys.executable, "-m", "pipeline", "dev", "--port", str(port)]
    log = (demo.working_folder / "dev.log").open("wb")
    child = subprocess.Popen(
        command, cwd=demo.working_folder, env=demo.environment, stdout=log, stderr=subprocess.STDOUT
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            try:
                if httpx.get(f"{address}/server_info", timeout=2).status_code == 200:
                    break
            except httpx.TransportError:
                assert child.poll() is None, (demo.working_folder / "dev.log").read_text()
                time.sleep(0.5)
        yield address
    finally:
        os.kill(child.pid, signal.SIGTERM)
        assert child.wait(timeout=60) == 0, (demo.working_folder / "dev.log").read_text()[-2000:]
        log.close()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1600, "height": 1000})
    page.set_default_timeout(60_000)
    yield page
    page.close()


def graphql(address: str, query: str, **variables: object) -> dict:
    answer = httpx.post(f"{address}/graphql", json={"query": query, "variables": variables}, timeout=60)
    return answer.raise_for_status().json()["data"]


def test_the_graph_stands_in_groups(page: Page, address: str) -> None:
    page.goto(f"{address}/asset-groups")
    for group in ("crawl", "dedup", "labels", "data_sets", "graph", "training", "evaluation"):
        expect(page.get_by_text(group, exact=True).first).to_be_visible(timeout=60_000)


def test_an_asset_shows_its_plots(page: Page, address: str) -> None:
    page.goto(f"{address}/assets/correlation_matrix?view=partitions&partition=top-5")
    page.get_by_text("figure_6").first.wait_for()
    page.get_by_text("Show Markdown").first.click()
    expect(page.locator("img[alt=picture]").first).to_be_visible()


def test_a_window_is_crawled_again_from_the_ui(page: Page, address: str) -> None:
    runs = "{ runsOrError(limit: 1) { ... on Runs { results { runId status } } } }"
    before = graphql(address, runs)["runsOrError"]["results"][0]["runId"]
    page.goto(f"{address}/assets/posts?view=partitions&partition=2019-07-08")
    page.get_by_role("button", name="Materialize").first.click()
    page.get_by_role("button", name="Confirm").click()  # images and crawl_counts come with the posts
    page.get_by_role("button", name="Launch 1 run").click()
    for _ in range(240):
        latest = graphql(address, runs)["runsOrError"]["results"][0]
        if latest["runId"] != before and latest["status"] in {"SUCCESS", "FAILURE"}:
            break
        time.sleep(1)
    assert latest["runId"] != before
    assert latest["status"] == "SUCCESS"


BACKFILL = """
mutation ($keys: [String!]!, $assets: [AssetKeyInput!]!) {
  launchPartitionBackfill(backfillParams: {partitionNames: $keys, assetSelection: $assets}) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""
RUNS = """
query ($tags: [ExecutionTag!]!) {
  runsOrError(filter: {tags: $tags}) { ... on Runs { results { status tags { key value } stats {
    ... on RunStatsSnapshot { startTime endTime } } } } }
}
"""


def test_a_backfill_crawls_its_windows(address: str) -> None:
    keys = ["2019-07-01", "2019-07-15", "2019-08-05"]
    assets = [{"path": [name]} for name in ("posts", "images", "deleted_posts", "crawl_counts")]
    launched = graphql(address, BACKFILL, keys=keys, assets=assets)["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess", launched
    tags = [{"key": "dagster/backfill", "value": launched["backfillId"]}]
    runs: list[dict] = []
    for _ in range(240):
        runs = graphql(address, RUNS, tags=tags)["runsOrError"]["results"]
        if windows_of(runs) == set(keys) and all(run["status"] in {"SUCCESS", "FAILURE"} for run in runs):
            break
        time.sleep(1)
    assert windows_of(runs) == set(keys)
    assert {run["status"] for run in runs} == {"SUCCESS"}


def windows_of(runs: list[dict]) -> set[str]:
    """The windows that runs are for, each by itself or as one end of a range; these are not neighbours."""
    names = {"dagster/partition", "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"}
    return {tag["value"] for run in runs for tag in run["tags"] if tag["key"] in names}


def test_a_window_shows_its_checks(page: Page, address: str) -> None:
    page.goto(f"{address}/assets/posts?view=checks")
    for name in ("window_complete", "window_not_empty", "window_not_shrunk"):
        expect(page.get_by_text(name).first).to_be_visible(timeout=60_000)
