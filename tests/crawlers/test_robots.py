"""What a host's robots.txt says is kept: what it forbids, the pace that it asks for, and that it cannot be read."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from crawl_server import Answer, Crawled, LocalServer, jpeg, local_server, mastodon, run_crawl, status, timeline

TAG = "/api/v1/timelines/tag/ootd"
PICTURES = 3


def rules(text: str) -> Answer:
    return Answer(text.encode())


ROBOTS: dict[str, Answer] = {
    "absent": Answer(status=404),
    "gone": Answer(status=403),  # RFC 9309: any 4xx means that there are no rules
    "empty": rules(""),
    "allowed": rules("User-agent: *\nDisallow: /private/\n"),
    "for_us": rules("User-agent: *\nDisallow: /\n\nUser-agent: StyleGraph\nDisallow: /private/\n"),
    "for_others": rules("User-agent: otherbot\nDisallow: /\n"),
    "delay": rules("User-agent: *\nCrawl-delay: 0.3\n"),
    "rate": rules("User-agent: stylegraph\nRequest-rate: 4/1\n"),
    "page_instead": rules("<!DOCTYPE html><html>no rules here</html>"),
    "with_bom": Answer(b"\xef\xbb\xbfUser-agent: *\nDisallow: /m/\n"),
    "forbidden": rules("User-agent: *\nDisallow: /m/\n"),
    "forbidden_for_us": rules("User-agent: *\nAllow: /\n\nUser-agent: stylegraph\nDisallow: /\n"),
    "too_slow": rules("User-agent: *\nCrawl-delay: 61\n"),
    "too_low_a_rate": rules("User-agent: *\nRequest-rate: 1/120\n"),
    "behind_the_limit": rules("#" * (600 * 1024) + "\nUser-agent: *\nDisallow: /\n"),
    "endless": Answer(b"# more\n" * 10_000, endless=True),
    "broken": Answer(status=503),
    "busy": Answer(status=429),
    "silent": Answer(silent=5),
    "reset": Answer(reset=True),
    "cut": Answer(b"User-agent: *\n", length=500),
    "loop": Answer(status=302, headers={"Location": "/robots.txt"}),
}


@pytest.fixture(scope="module")
def crawled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Crawled, dict[str, LocalServer]]]:
    """One crawl of pictures on many hosts, each with another robots.txt."""
    with ExitStack() as stack:
        home = stack.enter_context(local_server())
        servers = {name: stack.enter_context(local_server()) for name in ROBOTS}
        for name, server in servers.items():
            server.routes = {f"/m/{name}{n}.jpg": Answer(jpeg(n)) for n in range(PICTURES)}
            server.routes["/robots.txt"] = ROBOTS[name]
        moved = stack.enter_context(local_server())
        moved.routes = {"/robots.txt": Answer(status=301, headers={"Location": f"{home.url}/rules.txt"})}
        home.routes["/rules.txt"] = rules("User-agent: *\nDisallow: /m/\n")
        servers["moved"] = moved
        names = [*ROBOTS, "moved"]
        urls = [[f"{servers[name].url}/m/{name}{n}.jpg" for n in range(PICTURES)] for name in names]
        home.routes[TAG] = timeline([status(n, *some) for n, some in enumerate(urls, start=1)])
        limits = {"backoff": 0, "timeout": 1.5, "retries": 1, "max_pause": 60}
        folder = tmp_path_factory.mktemp("robots")
        crawl = run_crawl(folder, mastodon(home, concurrency=64), limits=limits)
        assert crawl.code == 0, crawl.log
        yield crawl, servers


@pytest.mark.parametrize(
    ("name", "said", "reason"),
    [
        ("absent", "absent", None),
        ("gone", "absent", None),
        ("empty", "allowed", None),
        ("allowed", "allowed", None),
        ("for_us", "allowed", None),
        ("for_others", "allowed", None),
        ("delay", "allowed", None),
        ("rate", "allowed", None),
        ("page_instead", "allowed", None),
        ("behind_the_limit", "allowed", None),
        ("endless", "allowed", None),
        ("with_bom", "forbidden", "robots_txt"),
        ("forbidden", "forbidden", "robots_txt"),
        ("forbidden_for_us", "forbidden", "robots_txt"),
        ("moved", "forbidden", "robots_txt"),
        ("too_slow", "forbidden", "robots_txt"),
        ("too_low_a_rate", "forbidden", "robots_txt"),
        ("broken", "unreachable", "robots_unreachable"),
        ("busy", "unreachable", "robots_unreachable"),
        ("silent", "unreachable", "timeout"),
        ("reset", "unreachable", "connection_failed"),
        ("cut", "unreachable", "incomplete"),
        ("loop", "unreachable", "too_many_redirects"),
    ],
)
def test_what_robots_txt_says_is_kept_and_noted(
    crawled: tuple[Crawled, dict[str, LocalServer]], name: str, said: str, reason: str | None
) -> None:
    crawl, servers = crawled
    rows = [row for url, row in crawl.images().items() if url.startswith(name) and url[len(name) :][0].isdecimal()]
    assert len(rows) == PICTURES
    assert {(row["robots_txt"], row["reason"]) for row in rows} == {(said, reason)}
    asked = servers[name].times()
    assert sum(number for path, number in asked.items() if path.startswith("/m/")) == (0 if reason else PICTURES)
    passing = {"broken": 2, "busy": 5, "silent": 2, "cut": 2, "loop": 6}
    # the HTTP client itself asks once more on a new connection where one was reset
    assert asked["/robots.txt"] in ((2, 4) if name == "reset" else (passing.get(name, 1),))


@pytest.mark.parametrize(("name", "pause"), [("delay", 0.3), ("rate", 0.25)])
def test_the_pace_of_robots_txt_is_kept(
    crawled: tuple[Crawled, dict[str, LocalServer]], name: str, pause: float
) -> None:
    moments = sorted(asked.moment for asked in crawled[1][name].asked if asked.path.startswith("/m/"))
    assert len(moments) == PICTURES
    # over all of them: a busy machine may note a single request late
    assert moments[-1] - moments[0] > 0.8 * pause * (PICTURES - 1)


def test_too_slow_a_pace_is_explained(crawled: tuple[Crawled, dict[str, LocalServer]]) -> None:
    row = crawled[0].images()["too_slow0.jpg"]
    assert "asks for 61 s between two requests, more than the limit of 60 s (max_pause)" in row["detail"]
    assert row["attempts"] == 0


def test_the_attempts_to_read_robots_txt_count(crawled: tuple[Crawled, dict[str, LocalServer]]) -> None:
    assert crawled[0].images()["broken0.jpg"]["attempts"] == 2
    assert crawled[0].images()["forbidden0.jpg"]["attempts"] == 0


def test_a_server_whose_robots_txt_cannot_be_read_is_not_crawled(server: LocalServer, tmp_path: Path) -> None:
    server.routes = {"/robots.txt": Answer(status=500), TAG: timeline([status(1)])}
    crawl = run_crawl(tmp_path, mastodon(server))
    assert crawl.code == 1
    assert f"robots.txt of {server.name} cannot be read (HTTP status 500)" in crawl.log
    assert set(server.paths()) == {"/robots.txt"}
