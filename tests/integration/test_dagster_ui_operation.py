"""What the Dagster UI shows of a graph that ran: groups, plots, a back-fill, a failed check, and what is switched off.

With SCREENSHOTS_FOLDER=docs/images the pictures of the documents are taken anew, of a graph with more images.
"""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from pipeline.automation import automation_names
from pipeline.settings import load_settings
from tests.integration.running_services import ENDED, Asked, free_port, wait_for
from tests.integration.weeks_case import WINDOWS, write_case

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(1500)]

WIDTH, HEIGHT = 1400, 900  # pixels of a page
MARGIN = 24  # around what is cut out of a page
GROUPS = ("inputs", "crawl", "dedup", "labels", "data_sets", "graph", "training", "evaluation", "operation")


@dataclass(frozen=True)
class Served:
    """The pages of a graph that has run."""

    address: str
    config: Path
    asked: Asked


class Pictures:
    """Keeps what a page shows, where the environment names a folder for it."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def keep(self, page: Page, name: str, *shown: Locator) -> None:
        """Keep the page, or of the page what is ``shown`` with a margin, in few colours, so that it stays small."""
        if self.folder is None:
            return
        page.wait_for_timeout(2000)  # the pages draw themselves in steps
        shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        if shown:
            shot = shot.crop(_around(shown, shot.size))
        self.folder.mkdir(parents=True, exist_ok=True)
        shot.quantize(256).save(self.folder / f"{name}.png", optimize=True)


def _around(shown: tuple[Locator, ...], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The rectangle around elements of a page, with a margin."""
    boxes = [box for box in (one.bounding_box() for one in shown) if box is not None]
    left, top = (min(int(box[side]) for box in boxes) - MARGIN for side in ("x", "y"))
    right = max(int(box["x"] + box["width"]) for box in boxes) + MARGIN
    bottom = max(int(box["y"] + box["height"]) for box in boxes) + MARGIN
    return max(left, 0), max(top, 0), min(right, size[0]), min(bottom, size[1])


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    folder = os.environ.get("SCREENSHOTS_FOLDER")
    return Pictures(None if folder is None else Path(folder))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, pictures: Pictures) -> Iterator[Served]:
    """Six weeks, run to their end and served by ``stylegraph dev``."""
    folder = tmp_path_factory.mktemp("ui")
    config = write_case(folder) if pictures.folder is None else write_case(folder, 160, labelled=100, epochs=20)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "STYLEGRAPH_HMAC_KEY": "0123456789abcdef" * 2}
    command = [sys.executable, "-m", "pipeline"]
    ran = subprocess.run([*command, "run"], cwd=config.parent, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    port, log = free_port(), config.parent / "dev.log"
    asked = Asked(port, config.parent)
    with log.open("wb") as output:
        child = subprocess.Popen(
            [*command, "dev", "--port", str(port)], cwd=config.parent, env=environment, stdout=output, stderr=output
        )
        try:
            wait_for(lambda: asked.shows_graph() or child.poll() is not None, 180, "the page of the graph")
            assert child.poll() is None, log.read_text()
            yield Served(f"http://127.0.0.1:{port}", config, asked)
        finally:
            if child.poll() is None:
                os.kill(child.pid, signal.SIGTERM)
            child.wait(timeout=90)


@pytest.fixture
def page(browser: Browser, served: Served) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
    page.set_default_timeout(60_000)
    yield page
    page.close()


def text(page: Page, said: str) -> Locator:
    """The first element that says exactly this, once it is there."""
    found = page.get_by_text(said, exact=True).first
    found.wait_for()
    return found


def open_plot(page: Page, name: str) -> Locator:
    """Open the plot that stands in an asset's metadata under ``name``; return the dialog, when the plot is drawn."""
    row = page.get_by_role("row").filter(has=page.get_by_text(name, exact=True))
    row.get_by_text("Show Markdown").click()
    dialog = page.get_by_role("dialog")
    drawn = dialog.locator("img[alt=picture]")
    drawn.wait_for()
    assert drawn.evaluate("image => image.decode().then(() => image.naturalWidth)") > 300
    return dialog


LATEST = """
query ($asset: AssetKeyInput!, $windows: [String!]!) {
  assetNodeOrError(assetKey: $asset) { ... on AssetNode { latestMaterializationByPartition(partitions: $windows) {
    runId } } }
}
"""
INSTIGATORS = """
{ repositoriesOrError { ... on RepositoryConnection { nodes {
    schedules { name scheduleState { status } } sensors { name sensorState { status } } } } } }
"""


def new_run(served: Served, before: set[str]) -> dict[str, Any]:
    """Wait until there is one run more than ``before``, and it has ended."""

    def ended() -> list[dict[str, Any]]:
        new = [run for run in served.asked.runs() if run["runId"] not in before]
        return new if all(run["status"] in ENDED for run in new) else []

    (run,) = wait_for(ended, 240, "a run that ends")
    return dict(run)


def test_operation_is_a_group_of_the_graph(page: Page, served: Served, pictures: Pictures) -> None:
    page.set_viewport_size({"width": WIDTH + 200, "height": HEIGHT + 300})
    page.goto(f"{served.address}/asset-groups")
    page.get_by_text("Hide navigation").click()
    nodes = [page.locator("svg").get_by_text(group, exact=True).first for group in GROUPS]
    for node in nodes:
        node.wait_for()
    across = [box["x"] for box in (node.bounding_box() for node in nodes) if box is not None]
    assert across == sorted(across)  # each group comes after those that it is made from
    pictures.keep(page, "graph", *nodes)


def test_a_matrix_shows_its_figures(page: Page, served: Served, pictures: Pictures) -> None:
    page.goto(f"{served.address}/assets/correlation_matrix?view=partitions&partition=top-3")
    for name in ("figure_6", "adjacency", "isolated_labels"):
        text(page, name)
    pictures.keep(page, "asset")
    open_plot(page, "figure_6")


def test_style_trends_are_plots_on_the_asset_s_page(page: Page, served: Served, pictures: Pictures) -> None:
    page.goto(f"{served.address}/assets/style_trends?view=events")
    pictures.keep(page, "trends", open_plot(page, "top-3_main"))


def test_the_champion_s_decision_is_on_its_page(page: Page, served: Served, pictures: Pictures) -> None:
    page.goto(f"{served.address}/assets/champion?view=partitions&partition=top-3")
    row = page.get_by_role("row").filter(has=text(page, "reason"))
    row.get_by_text("the first champion, with", exact=False).first.wait_for()
    text(page, "promoted")
    pictures.keep(page, "champion")
    open_plot(page, "champions")


def test_a_failed_check_says_what_to_do(page: Page, served: Served, pictures: Pictures) -> None:
    page.goto(f"{served.address}/assets/evaluation?view=checks&checkDetail=calibrated")
    text(page, "Failed")
    page.get_by_text("0.01 is allowed: do not take its probabilities for frequencies").wait_for()
    pictures.keep(page, "checks")


def test_everything_automatic_is_listed_and_off(page: Page, served: Served, pictures: Pictures) -> None:
    names = automation_names(load_settings(served.config))
    expected = {*names.schedules, *names.sensors}
    page.goto(f"{served.address}/automation")
    for name in expected:
        text(page, name)
    switches = page.locator("label[class*=formatSwitch] input[type=checkbox]")
    expect(switches).to_have_count(len(expected), timeout=60_000)
    assert not any(switch.is_checked() for switch in switches.all())
    pictures.keep(page, "automation")

    (repository,) = served.asked.graphql(INSTIGATORS)["repositoriesOrError"]["nodes"]
    states = {one["name"]: one["scheduleState"]["status"] for one in repository["schedules"]}
    states |= {one["name"]: one["sensorState"]["status"] for one in repository["sensors"]}
    assert states == dict.fromkeys(expected, "STOPPED")


def test_a_partition_is_made_from_its_page(page: Page, served: Served) -> None:
    before = {run["runId"] for run in served.asked.runs()}
    page.goto(f"{served.address}/assets/style_predictions?view=partitions&partition={WINDOWS[1]}")
    text(page, "Metadata")
    page.get_by_role("button", name="Materialize").first.click()
    page.get_by_role("dialog").get_by_role("button", name="Launch 1 run").click()
    run = new_run(served, before)
    assert run["status"] == "SUCCESS"
    assert run["tags"]["dagster/partition"] == WINDOWS[1]


def test_a_backfill_over_windows_is_one_run(page: Page, served: Served) -> None:
    page.goto(f"{served.address}/assets/style_predictions?view=partitions")
    text(page, WINDOWS[0])
    before = {run["runId"] for run in served.asked.runs()}
    page.get_by_role("button", name="Materialize").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="All", exact=True).click()
    dialog.get_by_text(f"{len(WINDOWS)} partitions").wait_for()
    dialog.get_by_text("Backfills all partitions in a single run.").wait_for()
    dialog.get_by_role("button", name="Launch backfill").click()
    run = new_run(served, before)
    assert run["status"] == "SUCCESS"
    assert run["tags"]["dagster/asset_partition_range_start"] == WINDOWS[0]
    assert run["tags"]["dagster/asset_partition_range_end"] == WINDOWS[-1]

    asset = {"path": ["style_predictions"]}
    made = served.asked.graphql(LATEST, asset=asset, windows=WINDOWS)["assetNodeOrError"]
    assert [one["runId"] for one in made["latestMaterializationByPartition"]] == [run["runId"]] * len(WINDOWS)
