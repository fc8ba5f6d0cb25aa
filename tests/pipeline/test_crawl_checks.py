"""Checks of a crawled window say what is wrong with it and what to do."""

import io
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from rich.console import Console

from crawlers.tables import IMAGES, POSTS
from crawlers.windows import CrawlWindow
from pipeline.commands.run import run_stages
from pipeline.crawl_checks import crawl_check_results
from pipeline.locks import one_at_a_time
from pipeline.run import collection_steps
from pipeline.settings import CrawlSettings, load_settings
from pipeline.storage import Storage
from tests.pipeline.small_case import write_case, write_csv

KEY = "2019-07-01"
WINDOW = CrawlWindow(KEY, datetime(2019, 7, 1, tzinfo=UTC), datetime(2019, 7, 8, tzinfo=UTC))


def judged(
    kept: int = 10,
    before: int | None = None,
    failed: int = 0,
    incomplete: tuple[str, ...] = (),
    posts: int = 0,
    reason: str = "http_404",
) -> dict[str, tuple[bool, str]]:
    """Return check -> passed, description."""
    statuses = ["failed"] * failed + ["ok"] * (10 - failed)
    reasons = [reason if status == "failed" else None for status in statuses]
    tables = {
        "posts": pa.table({"post_id": [str(number) for number in range(posts)]}),
        "images": pa.table({"status": statuses, "reason": reasons}),
    }
    facts = {"kept": kept, "incomplete": incomplete}
    results = crawl_check_results(CrawlSettings(most_failed=0.2, most_shrunk=0.2), WINDOW, tables, facts, before)
    return {result.check_name: (result.passed, result.description or "") for result in results}


def test_a_good_window_passes_every_check() -> None:
    assert {name: passed for name, (passed, _) in judged(before=12).items()} == {
        "window_complete": True,
        "window_not_empty": True,
        "window_not_shrunk": True,
        "few_failures": True,
    }


def test_pictures_that_were_withdrawn_are_no_failures() -> None:
    assert judged(failed=9, reason="withdrawn")["few_failures"][0]
    assert not judged(failed=9)["few_failures"][0]


@pytest.mark.parametrize(
    ("check", "window", "words"),
    [
        (
            "window_complete",
            {"incomplete": ("source a: b.example cannot be read (timeout)",)},
            "materialize the window",
        ),
        ("window_not_empty", {"kept": 0}, "no post has one of the hashtags"),
        ("window_not_empty", {"kept": 0, "posts": 3}, "3 posts were left out; look at their reasons"),
        ("window_not_shrunk", {"kept": 7, "before": 10}, "7 posts kept, 10 before; look at deleted_posts"),
        ("few_failures", {"failed": 3}, r"3 of 10 pictures failed \(30.0%\); materialize the window again"),
    ],
)
def test_what_is_wrong_is_named(check: str, window: dict[str, object], words: str) -> None:
    results = judged(**window)  # type: ignore[arg-type]
    passed, description = results.pop(check)
    assert not passed
    assert pa.compute.match_substring_regex(pa.array([description]), words)[0].as_py(), description
    assert all(passed for passed, _ in results.values())


@pytest.mark.parametrize(("kept", "before"), [(8, 10), (0, 0), (5, None)])
def test_a_window_may_lose_a_few_posts_or_be_new(kept: int, before: int | None) -> None:
    assert judged(kept=kept, before=before)["window_not_shrunk"][0]


def test_a_window_that_shrank_is_named_where_the_graph_is_run(tmp_path: Path) -> None:
    config = write_case(tmp_path, images=20)
    settings = load_settings(config)
    steps = collection_steps(settings)[:1]

    def run() -> str:
        output = io.StringIO()
        (outcome,) = run_stages(settings, steps, Console(file=output, width=200))
        assert outcome.failure is None
        return output.getvalue()

    assert "posts: " not in run()
    rows = [[f"{number:03}.jpg", "2019-07-02T12:00:00Z"] for number in range(4)]
    rows += [["gone.jpg", "2019-07-02T12:00:00Z"], ["lost.jpg", "2019-07-02T12:00:00Z"]]
    write_csv(tmp_path / "posts.csv", ["image", "created_at"], rows)
    output = run()
    assert "posts: 2019-07-01: 6 posts kept, 13 before" in output
    assert "images: 2019-07-01: 2 of 6 pictures failed (33.3%)" in output
    storage = Storage(settings.data.location)
    assert storage.read_table("posts", (KEY,)).schema.names == POSTS.names
    assert storage.read_table("images", (KEY,)).schema.names == IMAGES.names


def test_a_crawl_waits_for_the_one_before_and_not_for_a_killed_one(tmp_path: Path) -> None:
    code = (
        "import sys, time, pathlib; from pipeline.locks import one_at_a_time\n"
        "with one_at_a_time(pathlib.Path(sys.argv[1]), print, 'busy'): print('in', flush=True); time.sleep(60)\n"
    )
    first = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    assert first.stdout.readline() == "in\n"
    said: list[str] = []

    def wait() -> None:
        with one_at_a_time(tmp_path / "lock", said.append, "another window is crawled"):
            said.append("in")

    second = threading.Thread(target=wait)
    second.start()
    second.join(timeout=1)
    assert said == ["another window is crawled; waiting for it to end"]
    first.kill()
    second.join(timeout=30)
    first.wait()
    first.stdout.close()
    assert said[1:] == ["in"]
