"""A crawl that is killed at any moment and run again ends as one that was left in peace, and repeats nothing."""

import hashlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from crawl_server import (
    Answer,
    LocalServer,
    command,
    crawled,
    environment,
    jpeg,
    mastodon,
    run_crawl,
    status,
    timeline,
    write_job,
)

from tests.crawlers.crawl_forks import forks

TAG = "/api/v1/timelines/tag/ootd"
SECRETS = (b"very-secret-token", b"somebody.special")
POSTS, CONCURRENCY = 40, 4


def lay_out(server: LocalServer) -> dict[str, Any]:
    account = {"acct": "somebody.special@home.invalid"}
    statuses = [status(n, f"{server.url}/{n}.jpg", account=account) for n in range(1, POSTS + 1)]
    server.routes = {f"/{n}.jpg": Answer(jpeg(n)) for n in range(1, POSTS + 1)}
    server.routes[TAG] = timeline(statuses)
    return mastodon(server, page_size=4, concurrency=CONCURRENCY, token_env="TOKEN")


def check_no_secret(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert not [secret for secret in SECRETS if secret in data], path


def settled(folder: Path) -> set[str]:
    """Keys of the addresses that the journal of a killed crawl has dealt with."""
    found: set[str] = set()
    for path in (folder / "images.state" / "journals").glob("*.sqlite"):
        connection = sqlite3.connect(path)
        try:
            found |= {row[0] for row in connection.execute("SELECT address FROM downloads WHERE result NOT NULL")}
        except sqlite3.OperationalError:  # killed before the tables were there
            continue
        finally:
            connection.close()
    return found


@pytest.mark.integration
def test_a_crawl_that_is_killed_twenty_times_ends_as_one_in_peace(server: LocalServer, tmp_path: Path) -> None:
    source, env = lay_out(server), environment(TOKEN=SECRETS[0].decode())
    peace = run_crawl(tmp_path / "peace", source, env={"TOKEN": SECRETS[0].decode()})
    assert (peace.code, len(peace.rows("images"))) == (0, POSTS)
    server.pace = 0.08
    moment, kills, crawls = random.Random(20190701), 0, 0
    while kills < 20 or not crawls:
        folder = tmp_path / f"crawl{crawls}"
        folder.mkdir()
        job = write_job(folder, source)
        done, kills_here, pages = set[str](), 0, 0
        while True:
            server.forget()
            process = forks().start(job, env)
            if kills < 20 and not forks().ends_within(moment.uniform(0.05, 0.9)):
                os.kill(process, signal.SIGKILL)
            code = forks().wait(process)
            paths = server.paths()
            pages += paths.count(TAG)
            again = {path for path in paths if hashlib.sha256(f"{server.url}{path}".encode()).hexdigest() in done}
            assert not again, "pictures that were done are asked for again"
            check_no_secret(folder)
            if code == 0:
                break
            assert code == -signal.SIGKILL
            kills, kills_here, done = kills + 1, kills_here + 1, settled(folder)
        crawls += 1
        ended = crawled(0, job)
        assert ended.tables() == peace.tables()
        assert ended.rows("counts", {"count"}) == peace.rows("counts", {"count"})
        assert pages <= POSTS // 4 + 1 + kills_here  # of one timeline one page is in flight at a time
        assert all(row["attempts"] == 1 for row in ended.rows("images"))
        names = {path.relative_to(folder).parts[0] for path in folder.rglob("*") if ".part" in path.name}
        assert not names
        assert not [path for path in (folder / "images").iterdir() if path.name.startswith(".")]
        stored = {path.name for path in (folder / "images").rglob("*") if path.is_file()}
        assert stored == {row["image_id"] for row in ended.rows("images")}
        assert [path.suffix for path in (folder / "images.state" / "journals").iterdir()] == [".lock"]
        assert not any(secret.decode() in str(ended.found) + ended.log for secret in SECRETS)


_STOPS = """
import os, signal, sys
import crawlers.outcome, crawlers.run, pyarrow.parquet
from crawlers.journal import Journal
from crawlers.known import KnownAddresses
left = int(sys.argv[2])
def stopping(owner, name):
    original = getattr(owner, name)
    def wrapper(*arguments, **named):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **named)
    setattr(owner, name, wrapper)
stopping(crawlers.outcome, "_write")
stopping(pyarrow.parquet.ParquetWriter, "write_table")
stopping(KnownAddresses, "learn")
stopping(Journal, "remove")
sys.exit(crawlers.run.main(["--job", sys.argv[1]]))
"""


@pytest.mark.integration
def test_a_crawl_that_is_killed_while_its_tables_are_written_is_gone_on_with(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for n in range(3):
        (photos / f"{n}.jpg").write_bytes(jpeg(n))
    (tmp_path / "posts.csv").write_text("image\n0.jpg\n1.jpg\n2.jpg\n")
    source = {"kind": "archive", "name": "a", "folder": str(photos), "posts": str(tmp_path / "posts.csv")}
    peace = run_crawl(tmp_path / "peace", source)
    kills = 0
    for moment in range(20):
        folder = tmp_path / f"at{moment}"
        folder.mkdir()
        job = write_job(folder, source)
        first = subprocess.run([sys.executable, "-c", _STOPS, str(job), str(moment)], env=environment(), timeout=60)
        kills += first.returncode == -signal.SIGKILL
        again = run_crawl(folder, source) if first.returncode else crawled_by_hand(job)
        assert again.code == 0, again.log
        assert again.tables() == peace.tables()
        assert {path.name for path in (folder / "out").iterdir()} == {f"{name}.parquet" for name in peace.found}
        assert not list(folder.rglob("*.part"))
        if first.returncode == 0:
            break
    assert kills == 4 + 4 + 1 + 1


def crawled_by_hand(job: Path) -> Any:
    job.with_suffix(".log").touch()
    return crawled(0, job)


def test_of_two_crawls_of_a_window_the_second_is_refused(server: LocalServer, tmp_path: Path) -> None:
    source = lay_out(server) | {"token_env": None}
    server.pace = 0.02
    job = write_job(tmp_path, source)
    second = tmp_path / "second.json"
    second.write_text(job.read_text())
    first = forks().start(job, environment())
    while TAG not in server.paths() and not forks().ends_within(0.02):
        pass
    server.pace = 5  # it cannot end before the second has tried
    done = subprocess.run(command(second), env=environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "window 2019-07-01 is being crawled by another process" in done.stderr
    os.kill(first, signal.SIGKILL)
    assert forks().wait(first) == -signal.SIGKILL
    server.pace = 0
    again = run_crawl(tmp_path, source)
    assert (again.code, len(again.rows("images"))) == (0, POSTS)
    assert "going on with the crawl of" in again.log


def test_what_was_known_to_be_incomplete_is_so_after_a_kill(server: LocalServer, tmp_path: Path) -> None:
    """Posts that could not be met are not looked for, also by the process that goes on with the crawl."""
    posts = [status(n, f"{server.url}/{n}.jpg") for n in range(1, 5)]
    server.routes = {TAG: timeline(posts)} | {f"/{n}.jpg": Answer(jpeg(n)) for n in range(1, 5)}
    first = run_crawl(tmp_path, mastodon(server))
    limited = mastodon(server, page_size=1, max_pages=2)
    server.fault = lambda asked: Answer(silent=10) if asked.path.endswith(".jpg") else None
    server.forget()
    process = forks().start(write_job(tmp_path, limited, refetch=True), environment())
    while len(server.asked) < 1 + 2 + 2 and not forks().ends_within(0.02):
        pass  # robots.txt, two pages, and the two pictures, which do not come
    os.kill(process, signal.SIGKILL)
    assert forks().wait(process) == -signal.SIGKILL
    server.fault = lambda _: None
    server.forget()
    second = run_crawl(tmp_path, limited, refetch=True)
    assert (second.code, server.times()) == (0, {"/robots.txt": 1, "/4.jpg": 1, "/3.jpg": 1})
    assert "incomplete" in second.log
    assert second.rows("deleted_posts") == []
    assert second.rows("posts") == first.rows("posts")
    assert second.rows("images") == first.rows("images")
