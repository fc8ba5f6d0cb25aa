"""Whole crawls in a child process, against a small server on this machine."""

import gzip
import hashlib
import json
import signal
import subprocess
import time
from pathlib import Path

import pytest
from crawl_server import (
    Answer,
    Asked,
    Crawled,
    LocalServer,
    command,
    environment,
    jpeg,
    local_server,
    mastodon,
    run_crawl,
    status,
    timeline,
    write_job,
)

TAG = "/api/v1/timelines/tag/ootd"


def stored(crawled: Crawled) -> set[str]:
    return {path.name for path in (crawled.folder / "images").rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def filters(tmp_path_factory: pytest.TempPathFactory) -> tuple[Crawled, LocalServer]:
    """One crawl of a timeline in which every kind of post occurs."""
    with local_server() as server:
        picture = f"{server.url}/media/one.jpg"
        statuses = [
            status(90, picture),
            status(85, picture, tags=[{"name": "OOTD"}, {"name": "Fashion"}], account={"acct": "someone@else.where"}),
            status(80, created_at="2019-07-07T23:59:59.999Z"),  # no picture; the window's last moment
            status(79, picture, created_at="2019-07-08T00:00:00Z"),
            status(78, f"{server.url}/media/two.jpg", created_at="2019-07-01T00:00:00+00:00"),
            status(77, picture, created_at="2019-07-01T08:59:59+09:00"),  # the day before in UTC
            status(70, picture, tags=[{"name": "cats"}]),
            status(69, picture, tags=[]),
            status(60, picture, sensitive=True),
            status(50, tags=[], reblog=status(85, picture)),
            status(45, created_at="yesterday"),
            status(40, picture, media_attachments=[{"type": "video", "url": picture}]),
            {"no": "id"} | status(39) | {"id": ""},
            # an old post in between does not end the timeline: some servers order by arrival
            status(30, picture, created_at="2018-01-01T00:00:00Z"),
            status(20, f"{server.url}/media/three.jpg", f"{server.url}/media/one.jpg"),
        ]
        routes = {f"/media/{name}.jpg": Answer(jpeg(seed)) for seed, name in enumerate(("one", "two", "three"))}
        pages = [sorted(statuses, key=lambda s: -int(s["id"] or 39))[n : n + 4] for n in range(0, len(statuses), 4)]
        cursors = {pages[n][-1]["id"]: n + 1 for n in range(len(pages))}

        def tag(asked: Asked) -> Answer:
            number = cursors[asked.query["max_id"]] if "max_id" in asked.query else 0
            return Answer(json.dumps(pages[number] if number < len(pages) else []).encode())

        server.routes = {TAG: tag, **routes}
        crawled = run_crawl(tmp_path_factory.mktemp("filters"), mastodon(server, page_size=4))
    assert crawled.code == 0, crawled.log
    return crawled, server


def test_posts_are_kept_or_carry_the_reason(filters: tuple[Crawled, LocalServer]) -> None:
    crawled, _ = filters
    reasons = {row["post_id"]: row["reason"] for row in crawled.rows("posts")}
    assert reasons == {
        "mastodon:20": None,
        "mastodon:40": "no_image",
        "mastodon:50": "boost",
        "mastodon:60": "sensitive",
        "mastodon:78": None,
        "mastodon:80": "no_image",
        "mastodon:85": None,
        "mastodon:90": None,
    }
    assert crawled.counts("post") == {
        "boost": 1,
        "kept": 4,
        "malformed": 2,
        "no_image": 2,
        "other_tag": 2,
        "outside_window": 3,
        "sensitive": 1,
    }


def test_rows_are_sorted_and_say_what_is_known(filters: tuple[Crawled, LocalServer]) -> None:
    crawled, server = filters
    posts = crawled.rows("posts")
    assert [row["post_id"] for row in posts] == sorted(row["post_id"] for row in posts)
    row = next(row for row in posts if row["post_id"] == "mastodon:85")
    assert (row["hashtags"], row["server"], row["image_count"]) == (["fashion", "ootd"], server.url[7:], 1)
    assert len(row["author_hmac"]) == 64
    assert "someone" not in str(posts)
    images = crawled.rows("images")
    assert [(row["post_id"], row["media_index"]) for row in images] == [
        ("mastodon:20", 0),
        ("mastodon:20", 1),
        ("mastodon:78", 0),
        ("mastodon:85", 0),
        ("mastodon:90", 0),
    ]
    assert images[0]["alt_text"] == "picture 20"
    assert (images[0]["format"], images[0]["width"], images[0]["height"]) == ("JPEG", 48, 64)


def test_a_picture_is_fetched_once_and_kept_as_it_came(filters: tuple[Crawled, LocalServer]) -> None:
    crawled, server = filters
    assert server.paths().count("/media/one.jpg") == 1
    assert stored(crawled) == {hashlib.sha256(jpeg(seed)).hexdigest() for seed in range(3)}
    image_id = hashlib.sha256(jpeg(0)).hexdigest()
    assert (crawled.folder / "images" / image_id[:2] / image_id).read_bytes() == jpeg(0)
    assert {row["image_id"] for row in crawled.rows("images") if row["url"].endswith("one.jpg")} == {image_id}


def test_the_crawler_says_who_it_is(filters: tuple[Crawled, LocalServer]) -> None:
    _, server = filters
    assert {asked.headers["user-agent"] for asked in server.asked} == {"stylegraph/0.1"}
    assert all("referer" not in asked.headers and "cookie" not in asked.headers for asked in server.asked)


@pytest.fixture(scope="module")
def failures(tmp_path_factory: pytest.TempPathFactory) -> tuple[Crawled, LocalServer]:
    """One crawl in which every picture is trouble of another kind."""
    with local_server() as server, local_server() as other:
        good, port = jpeg(7), server.server_port
        answers = {"flaky": [Answer(status=500), Answer(good)], "busy": [Answer(status=429), Answer(good)]}

        def in_turn(asked: Asked) -> Answer:
            return answers[asked.path.rpartition("/")[2]].pop(0)

        def to(address: str) -> Answer:
            return Answer(status=302, headers={"Location": address})

        server.routes = {
            "/robots.txt": Answer(b"User-agent: stylegraph\nDisallow: /m/hidden\n"),
            "/m/good": Answer(good),
            "/m/hidden": Answer(good),
            "/m/gone": Answer(status=410),
            "/m/broken": Answer(status=503),
            "/m/flaky": in_turn,
            "/m/busy": in_turn,
            "/m/page.jpg": Answer(b"<!DOCTYPE html><html>not here</html>", headers={"Content-Type": "image/jpeg"}),
            "/m/cut": Answer(good[: len(good) // 2]),
            "/m/lost": Answer(good[:100], length=len(good)),
            "/m/slow": Answer(good, seconds=20),
            "/m/big": Answer(bytes(300_000)),
            "/m/endless": Answer(bytes(300_000), length=-1),
            "/m/bomb": Answer(gzip.compress(bytes(3_000_000)), headers={"Content-Encoding": "gzip"}),
            "/m/moved": to("/m/good"),
            "/m/loop": to("/m/loop"),
            "/m/inward": to(f"http://localhost:{port}/m/good"),
            "/m/metadata": to("http://169.254.169.254/latest"),
            "/m/file": to("file:///etc/hostname"),
        }
        urls = [f"{server.url}{path}" for path in server.routes if path.startswith("/m/")]
        urls += [
            f"{server.url}/m/missing",
            f"http://localhost:{port}/name",
            f"http://2130706433:{port}/number",
            f"http://[::ffff:127.0.0.1]:{port}/mapped",
            "http://10.0.0.1/private",
            f"http://user:secret@127.0.0.1:{port}/login",
            "ftp://127.0.0.1/ftp",
            "http://127.0.0.1:99999/port",
            "https://no-such-host.invalid/nowhere",
        ]
        server.routes[TAG] = timeline([status(n, url) for n, url in enumerate(urls, start=1)])
        crawled = run_crawl(
            tmp_path_factory.mktemp("failures"),
            mastodon(server),
            limits={"backoff": 0, "timeout": 1.5, "retries": 1, "max_bytes": 200_000},
        )
        assert crawled.code == 0, crawled.log
        assert not other.asked
    return crawled, server


@pytest.mark.parametrize(
    ("name", "reason", "http_status", "attempts"),
    [
        ("good", None, 200, 1),
        ("moved", None, 200, 1),
        ("flaky", None, 200, 2),
        ("busy", None, 200, 2),
        ("missing", "http_404", 404, 1),
        ("gone", "http_410", 410, 1),
        ("broken", "http_503", 503, 2),
        ("page.jpg", "not_an_image", 200, 1),
        ("cut", "truncated", 200, 1),
        ("lost", "incomplete", None, 2),
        ("slow", "timeout", None, 2),
        ("big", "too_large", None, 1),
        ("endless", "too_large", None, 1),
        ("bomb", "too_large", None, 1),
        ("loop", "too_many_redirects", None, 1),
        ("file", "http_302", 302, 1),
        ("inward", "forbidden_address", None, 0),
        ("metadata", "forbidden_address", None, 0),
        ("name", "forbidden_address", None, 0),
        ("number", "bad_url", None, 0),
        ("mapped", "forbidden_address", None, 0),
        ("private", "forbidden_address", None, 0),
        ("login", "bad_url", None, 0),
        ("ftp", "bad_url", None, 0),
        ("port", "bad_url", None, 0),
        ("nowhere", "unknown_host", None, 2),
        ("hidden", "robots_txt", None, 0),
    ],
)
def test_each_failure_has_its_row(
    failures: tuple[Crawled, LocalServer], name: str, reason: str | None, http_status: int | None, attempts: int
) -> None:
    row = failures[0].images()[name]
    assert (row["reason"], row["http_status"], row["attempts"]) == (reason, http_status, attempts)
    assert row["status"] == ("failed" if reason else "ok")
    assert (row["image_id"] is None) == (reason is not None)
    assert (row["detail"] is None) == (reason is None)


def test_only_good_bytes_are_kept_and_private_hosts_are_left_alone(failures: tuple[Crawled, LocalServer]) -> None:
    crawled, server = failures
    assert stored(crawled) == {hashlib.sha256(jpeg(7)).hexdigest()}
    assert {asked.headers["host"] for asked in server.asked} == {f"127.0.0.1:{server.server_port}"}
    assert "/m/hidden" not in server.paths()
    assert "secret" not in crawled.log
    assert "Traceback" not in crawled.log


def test_a_token_goes_to_its_own_server_only(server: LocalServer, tmp_path: Path) -> None:
    with local_server() as other:
        other.routes = {"/moved": Answer(b"[]")}
        server.routes = {
            "/api/v1/timelines/tag/ootd": timeline([status(1, f"{server.url}/one.jpg")]),
            "/api/v1/timelines/tag/away": Answer(status=302, headers={"Location": f"{other.url}/moved"}),
            "/one.jpg": Answer(jpeg(1)),
        }
        source = mastodon(server, hashtags=["ootd", "away"], token_env="SNS_TOKEN")
        crawled = run_crawl(tmp_path, source, env={"SNS_TOKEN": "very-secret"})
        assert crawled.code == 0, crawled.log
        tokens = {asked.path: asked.headers.get("authorization") for asked in server.asked + other.asked}
    assert tokens[TAG] == "Bearer very-secret"
    assert tokens["/moved"] is None
    assert tokens["/one.jpg"] is None
    assert "very-secret" not in crawled.log


def test_two_sources_in_one_crawl(server: LocalServer, tmp_path: Path) -> None:
    server.routes = {
        TAG: timeline([status(1, f"{server.url}/one.jpg"), status(2, f"{server.url}/two.jpg")], link=False),
        "/api/v1/timelines/tag/%E3%83%95%E3%82%A1%E3%83%83%E3%82%B7%E3%83%A7%E3%83%B3": timeline(
            [status(2, f"{server.url}/two.jpg", tags=[{"name": "ファッション"}]), status(3, f"{server.url}/one.jpg")]
        ),
        "/one.jpg": Answer(jpeg(1)),
        "/two.jpg": Answer(jpeg(2)),
    }
    crawled = run_crawl(tmp_path, mastodon(server), mastodon(server, name="more", hashtags=["#ファッション"]))
    assert crawled.code == 0, crawled.log
    assert [(row["post_id"], row["source"]) for row in crawled.rows("posts")] == [
        ("mastodon:1", "demo"),
        ("mastodon:2", "demo"),
    ]
    counts = {(row["source"], row["outcome"]): row["count"] for row in crawled.rows("counts") if row["what"] == "post"}
    assert counts == {("demo", "kept"): 2, ("more", "other_source"): 1, ("more", "other_tag"): 1}
    assert [row["post_id"] for row in crawled.rows("images")] == ["mastodon:1", "mastodon:2"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(status=401), "give an access token by token_env"),
        (Answer(b"<html>"), "not a page: not JSON"),
    ],
)
def test_a_timeline_that_cannot_be_read_leaves_no_tables(
    server: LocalServer, tmp_path: Path, answer: Answer, words: str
) -> None:
    server.routes = {TAG: answer}
    crawled = run_crawl(tmp_path, mastodon(server))
    assert crawled.code == 1
    assert "source demo" in crawled.log
    assert words in crawled.log
    assert "Traceback" not in crawled.log
    assert words in (tmp_path / "job.error.txt").read_text()
    assert not (tmp_path / "out").exists()


def test_a_private_server_must_be_allowed(server: LocalServer, tmp_path: Path) -> None:
    crawled = run_crawl(tmp_path, mastodon(server, allow_hosts=[]))
    assert crawled.code == 1
    assert "add the host to allow_hosts" in crawled.log
    assert not server.asked


def test_a_server_that_forbids_its_api_is_left_alone(server: LocalServer, tmp_path: Path) -> None:
    server.routes = {"/robots.txt": Answer(b"User-agent: *\nDisallow: /api/\n"), TAG: timeline([status(1)])}
    crawled = run_crawl(tmp_path, mastodon(server))
    assert crawled.code == 0, crawled.log
    assert f"robots.txt of {server.url[7:]} forbids it to crawlers" in crawled.log
    assert server.paths() == ["/robots.txt"]
    assert crawled.rows("posts") == []
    assert crawled.counts("server") == {"robots_txt": 1}


@pytest.mark.integration
def test_killed_at_any_moment_and_run_again(server: LocalServer, tmp_path: Path) -> None:
    pictures = {f"/{n}.jpg": Answer(jpeg(n), seconds=0.1) for n in range(30)}
    server.routes = {TAG: timeline([status(n + 1, f"{server.url}/{n}.jpg") for n in range(30)]), **pictures}
    job = write_job(tmp_path, mastodon(server, concurrency=4))
    process = subprocess.Popen(command(job), env=environment(), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(list((tmp_path / "images").rglob("[0-9a-f]" * 64))) < 5 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "out").exists()
    for path in (tmp_path / "images").rglob("[0-9a-f]" * 64):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    again = run_crawl(tmp_path, mastodon(server, concurrency=4))
    (tmp_path / "undisturbed").mkdir()
    undisturbed = run_crawl(tmp_path / "undisturbed", mastodon(server, concurrency=8))
    assert again.code == undisturbed.code == 0
    for table in ("posts", "images"):
        assert again.rows(table) == undisturbed.rows(table)


def test_an_interrupted_crawl_says_so_and_leaves_no_tables(server: LocalServer, tmp_path: Path) -> None:
    server.routes = {TAG: timeline([status(1, f"{server.url}/1.jpg")]), "/1.jpg": Answer(jpeg(1), seconds=1)}
    job = write_job(tmp_path, mastodon(server))
    process = subprocess.Popen(command(job), env=environment(), stderr=subprocess.PIPE, text=True)
    while "/1.jpg" not in server.paths():
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "interrupted" in log
    assert not (tmp_path / "out").exists()
