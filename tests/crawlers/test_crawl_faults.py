"""Servers that fail, once or for ever, in every way that they know: a crawl ends, and what is missing has a name."""

import gzip
import hashlib
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
from crawl_server import Answer, Asked, Crawled, LocalServer, jpeg, local_server, mastodon, run_crawl, status, timeline
from PIL import Image

ROBOTS = "/robots.txt"
TAG = "/api/v1/timelines/tag/"
PAGE_SIZE = 2
LIMITS = {"backoff": 0, "timeout": 2, "retries": 1, "max_pause": 5, "max_bytes": 400_000}
Fault = Callable[[], Answer]


def limited(headers: Callable[[datetime], dict[str, str]]) -> Fault:
    return lambda: Answer(status=429, headers=headers(datetime.now(UTC)))


def in_a_second(now: datetime) -> datetime:
    return now + timedelta(seconds=1)


FAULTS: dict[str, Fault] = {
    "429_seconds": limited(lambda _: {"Retry-After": "0.2"}),
    "429_date": limited(lambda now: {"Retry-After": format_datetime(in_a_second(now), usegmt=True)}),
    "429_epoch": limited(lambda now: {"X-RateLimit-Reset": str(int(now.timestamp()) + 1)}),
    "429_iso": limited(lambda now: {"X-RateLimit-Reset": (now + timedelta(seconds=0.2)).isoformat()}),
    "429_from_now": limited(lambda _: {"RateLimit-Reset": "0.2"}),
    "429": limited(lambda _: {}),
    "500": lambda: Answer(status=500),
    "503": lambda: Answer(status=503),
    "503_seconds": lambda: Answer(status=503, headers={"Retry-After": "0.2"}),
    "time_out": lambda: Answer(silent=4),
    "malformed": lambda: Answer(b'[{"id": "1", '),
    "cut": lambda: Answer(b"[", length=1_000),
    "reset": lambda: Answer(reset=True),
}


def lay_out(server: LocalServer) -> dict[str, Any]:
    """Two hashtags with three pages each, and six pictures; return the source."""
    for first, tag in ((0, "ootd"), (10, "hats")):
        statuses = []
        for n in range(first + 1, first + 7):
            pictures = [f"{server.url}/{n}.jpg"] if n % 2 else []
            server.routes |= {f"/{n}.jpg": Answer(jpeg(n)) for _ in pictures}
            statuses.append(status(n, *pictures, tags=[{"name": tag}]))
        server.routes[TAG + tag] = timeline(statuses)
    return mastodon(server, hashtags=["ootd", "hats"], page_size=PAGE_SIZE)


def name_of(asked: Asked) -> str:
    return f"{asked.path} {asked.query.get('max_id', '')}".strip()


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LocalServer, dict[str, Any], Crawled, list[str]]]:
    """A server, its source, a crawl without any fault, and the requests that it makes."""
    with local_server() as server:
        source = lay_out(server)
        crawled = run_crawl(tmp_path_factory.mktemp("quiet"), source, limits=LIMITS)
        assert crawled.code == 0, crawled.log
        requests = sorted({name_of(asked) for asked in server.asked})
        assert len(requests) == len(server.asked) == 1 + 2 * 4 + 6  # each timeline's last page is empty
        assert (len(crawled.rows("posts")), len(crawled.rows("images"))) == (12, 6)
        yield server, source, crawled, requests


def check_turn(
    quiet: tuple[LocalServer, dict[str, Any], Crawled, list[str]], folder: Path, kinds: dict[str, str]
) -> None:
    """Crawl while the first try of each request in ``kinds`` fails in its way; the tables must not show it."""
    server, source, expected, _ = quiet
    met = Counter[str]()

    def fault(asked: Asked) -> Answer | None:
        name = name_of(asked)
        met[name] += 1
        if name not in kinds or met[name] > 1:
            return None
        applies = name.startswith(TAG) or kinds[name] != "malformed"  # elsewhere such an answer is taken as it is
        return FAULTS[kinds[name] if applies else "500"]()

    server.fault = fault
    try:
        crawled = run_crawl(folder, source, limits=LIMITS)
    finally:
        server.fault = lambda _: None
    assert crawled.code == 0, f"{kinds}\n{crawled.log}"
    assert crawled.tables() == expected.tables(), kinds
    assert "incomplete" not in crawled.log
    assert {name: number for name, number in met.items() if number != 1} == dict.fromkeys(kinds, 2)


TURNS = [pytest.param(n, marks=[] if n == 6 else [pytest.mark.integration]) for n in range(len(FAULTS))]


@pytest.mark.parametrize("turn", TURNS)
def test_every_request_may_fail_once_in_every_way(
    quiet: tuple[LocalServer, dict[str, Any], Crawled, list[str]], tmp_path: Path, turn: int
) -> None:
    """All requests of a crawl fail once, each in another way; over all turns each of them in all ways."""
    kinds = list(FAULTS)
    check_turn(quiet, tmp_path, {name: kinds[(n + turn) % len(kinds)] for n, name in enumerate(quiet[3])})


@pytest.mark.integration
@pytest.mark.parametrize("index", range(15))
@pytest.mark.parametrize("kind", ["500", "429", "cut", "reset"])
def test_any_single_request_may_fail_once(
    quiet: tuple[LocalServer, dict[str, Any], Crawled, list[str]], tmp_path: Path, kind: str, index: int
) -> None:
    check_turn(quiet, tmp_path, {quiet[3][index]: kind})


def to(address: str) -> Fault:
    return lambda: Answer(status=302, headers={"Location": address})


def itself(asked: Asked) -> Answer:
    return Answer(status=302, headers={"Location": f"{asked.path}?{urlencode(asked.query)}".rstrip("?")})


FOR_EVER: dict[str, tuple[Fault, str, str, str | None]] = {
    # the fault, and the reasons for a page, a picture, and a picture on a host whose robots.txt is like that
    "429": (FAULTS["429"], "http_429", "http_429", "robots_unreachable"),
    "429_too_long": (limited(lambda _: {"Retry-After": "3600"}), "rate_limited", "rate_limited", "rate_limited"),
    "500": (FAULTS["500"], "http_500", "http_500", "robots_unreachable"),
    "503": (FAULTS["503"], "http_503", "http_503", "robots_unreachable"),
    "401": (lambda: Answer(status=401), "http_401", "http_401", None),
    "time_out": (FAULTS["time_out"], "timeout", "timeout", "timeout"),
    "slow": (lambda: Answer(jpeg(1), seconds=4), "timeout", "timeout", "timeout"),
    "malformed": (FAULTS["malformed"], "malformed", "not_an_image", None),
    "deep": (lambda: Answer(b"[" * 100_000), "malformed", "not_an_image", None),
    "other_page": (lambda: Answer(b'{"error": "no"}'), "malformed", "not_an_image", None),
    "cut": (FAULTS["cut"], "incomplete", "incomplete", "incomplete"),
    "reset": (FAULTS["reset"], "connection_failed", "connection_failed", "connection_failed"),
    "endless": (lambda: Answer(b" " * 65_536, endless=True), "too_large", "too_large", None),
    "loop": (to("itself"), "too_many_redirects", "too_many_redirects", "too_many_redirects"),
    "inward": (to("http://10.0.0.1/"), "forbidden_address", "forbidden_address", "forbidden_address"),
    "inward_by_name": (to("http://localhost:9/"), "forbidden_address", "forbidden_address", "forbidden_address"),
    "metadata": (to("http://169.254.169.254/latest/"), "forbidden_address", "forbidden_address", "forbidden_address"),
    "file": (to("file:///etc/hostname"), "http_302", "http_302", None),
    "bomb": (
        lambda: Answer(gzip.compress(b" " * 20_000_000), headers={"Content-Encoding": "gzip"}),
        "too_large",
        "too_large",
        "too_large",
    ),
    "bad_gzip": (
        lambda: Answer(b"\x1f\x8b" + b"x" * 50, headers={"Content-Encoding": "gzip"}),
        "malformed",
        "undecodable",
        "connection_failed",
    ),
}


QUICK = {"429_too_long", "500", "time_out", "malformed", "cut", "reset", "loop", "inward", "bomb", "bad_gzip"}


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[] if kind in QUICK else [pytest.mark.integration]) for kind in FOR_EVER]
)
def test_what_fails_for_ever_is_named_and_the_rest_is_there(server: LocalServer, tmp_path: Path, kind: str) -> None:
    fault, page, picture, by_robots = FOR_EVER[kind]
    source = lay_out(server)
    with local_server() as other:
        server.routes[f"{TAG}ootd"] = timeline(
            [status(n, *([f"{other.url}/1.jpg"] if n == 5 else [f"{server.url}/{n}.jpg"])) for n in range(1, 7)]
        )
        other.routes["/1.jpg"] = Answer(jpeg(1))
        failing = {f"{TAG}ootd 5", "/11.jpg"}

        def fails(asked: Asked) -> Answer | None:
            if asked.path != ROBOTS if asked.headers["host"] == other.name else name_of(asked) not in failing:
                return None
            answer = fault()
            return itself(asked) if answer.headers.get("Location") == "itself" else answer

        server.fault = other.fault = fails
        limits = LIMITS | {"timeout": 1, "retries": 1, "max_bytes": 300_000}
        crawled = run_crawl(tmp_path, source, limits=limits)
    assert crawled.code == 0, crawled.log
    assert crawled.ids() == ["11", "12", "13", "14", "15", "16", "5", "6"]
    assert crawled.counts("page") == {page: 1}
    line = f"window 2019-07-01 is incomplete: source demo: #ootd on {server.name}: {server.url}{TAG}ootd"
    assert line in crawled.log
    assert f"({page}); run it again" in crawled.log
    assert "Traceback" not in crawled.log
    rows = crawled.images()
    assert rows["11.jpg"]["reason"] == picture
    assert rows["11.jpg"]["detail"]
    assert rows["1.jpg"]["reason"] == by_robots
    others = [row for name, row in rows.items() if name in ("13.jpg", "15.jpg")]
    assert [row["status"] for row in others] == ["ok", "ok"]
    assert not list((tmp_path / "images").rglob("*.part"))


def test_a_server_that_asks_for_a_pause_is_left_alone_while_others_are_asked(
    server: LocalServer, tmp_path: Path
) -> None:
    with local_server() as other:
        urls = [f"{server.url}/m/{n}.jpg" for n in range(4)] + [f"{other.url}/m/{n}.jpg" for n in range(4)]
        for some, silent in ((server, 0.2), (other, 0.0)):
            some.routes |= {f"/m/{n}.jpg": Answer(jpeg(n), silent=silent) for n in range(4)}
        server.routes[f"{TAG}ootd"] = timeline([status(1, *urls)])
        limited = iter([Answer(status=429, headers={"Retry-After": "1"})])
        server.fault = lambda asked: next(limited, None) if asked.path.startswith("/m/") else None
        crawled = run_crawl(tmp_path, mastodon(server, concurrency=3), limits=LIMITS)
        assert crawled.code == 0, crawled.log
        assert crawled.counts("image") == {"ok": 8}
        moments = sorted(asked.moment for asked in server.asked if asked.path.startswith("/m/"))
        before = [moment for moment in moments if moment < moments[0] + 0.9]
        assert len(before) <= 3  # the one that was refused, and those in flight beside it
        theirs = [asked.moment for asked in other.asked if asked.path.startswith("/m/")]
        assert max(theirs) < moments[0] + 0.9
        assert f"{server.name} asks for a pause of 1 s" in crawled.log


def test_an_allowance_that_is_used_up_is_waited_for(server: LocalServer, tmp_path: Path) -> None:
    statuses = [status(n) for n in range(1, 4)]

    def counted(asked: Asked) -> Answer:
        answer = timeline(statuses)(asked)
        reset = (datetime.now(UTC) + timedelta(seconds=0.6)).isoformat()
        used_up = {
            "X-RateLimit-Remaining": "0" if asked.query.get("max_id") == "3" else "7",
            "X-RateLimit-Reset": reset,
        }
        return Answer(answer.body, headers={**answer.headers, **used_up})

    server.routes[f"{TAG}ootd"] = counted
    crawled = run_crawl(tmp_path, mastodon(server, page_size=1), limits=LIMITS)
    assert crawled.ids() == ["1", "2", "3"]
    moments = [asked.moment for asked in server.asked if asked.path != ROBOTS]
    assert moments[1] - moments[0] < 0.5 < moments[2] - moments[1]


def test_endless_paging_ends_and_says_so(server: LocalServer, tmp_path: Path) -> None:
    def invents(asked: Asked) -> Answer:
        last = int(asked.query.get("max_id", 10**9))
        return Answer(json.dumps([status(last - n) for n in (1, 2)]).encode())

    server.routes[f"{TAG}ootd"] = invents
    crawled = run_crawl(tmp_path, mastodon(server, max_pages=20))
    assert crawled.code == 0
    assert server.paths().count(f"{TAG}ootd") == 20
    assert len(crawled.rows("posts")) == 40
    assert f"incomplete: source demo: #ootd on {server.name}: max_pages (20) is reached before its end" in crawled.log
    assert crawled.counts("page") == {"stopped": 1}


def test_an_error_page_of_a_picture_may_be_compressed_in_any_way(server: LocalServer, tmp_path: Path) -> None:
    codings = ("gzip", "deflate", "br", "zstd", "x-unknown")
    for coding in codings:
        server.routes[f"/{coding}.jpg"] = Answer(b"what is this?", 404, {"Content-Encoding": coding})
    server.routes[f"{TAG}ootd"] = timeline([status(1, *(f"{server.url}/{coding}.jpg" for coding in codings))])
    crawled = run_crawl(tmp_path, mastodon(server), limits=LIMITS)
    assert crawled.counts("image") == {"http_404": 5}


def test_a_file_that_cannot_be_written_ends_the_crawl_with_its_reason(server: LocalServer, tmp_path: Path) -> None:
    """Whatever else is under way, the crawl ends at once, and goes on when there is room again."""
    source = lay_out(server)
    folder = tmp_path / "images" / hashlib.sha256(jpeg(5)).hexdigest()[:2]
    folder.parent.mkdir()
    folder.touch()  # a file where a folder is needed
    crawled = run_crawl(tmp_path, source, limits=LIMITS)
    assert crawled.code == 1
    assert "source demo: a file cannot be written: [Errno " in crawled.log
    assert "Traceback" not in crawled.log
    assert not (tmp_path / "out").exists()
    folder.unlink()
    again = run_crawl(tmp_path, source, limits=LIMITS)
    assert (again.code, again.counts("image")) == (0, {"ok": 6})
    assert "going on with the crawl of" in again.log


def big_png(seed: int) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 255, (700, 700, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG", compress_level=1)
    assert buffer.tell() > 1_200_000
    return buffer.getvalue()


def test_large_pictures_are_kept_as_they_came_and_nothing_of_a_failed_attempt_stays(
    server: LocalServer, tmp_path: Path
) -> None:
    """A body over one megabyte goes through a file; an attempt that was cut leaves nothing to the next."""
    big, other, small = big_png(1), big_png(2), jpeg(3)
    in_turn = {
        "/big.png": [Answer(big)],
        "/big_again.png": [Answer(other[:-5_000], length=len(other)), Answer(other)],
        "/small_again.jpg": [Answer(small[:-100], length=len(small)), Answer(small)],
        "/big_then_small.jpg": [Answer(big[:-5_000], length=len(big)), Answer(jpeg(4))],
        "/small_then_big.png": [Answer(small[:-100], length=len(small)), Answer(big_png(5))],
        "/zipped.png": [Answer(gzip.compress(big_png(6), 1), headers={"Content-Encoding": "gzip"})],
        "/damaged.png": [Answer(big[:-100_000])],
    }
    wanted = [big, other, small, jpeg(4), big_png(5), big_png(6)]
    answers = {path: iter(some) for path, some in in_turn.items()}
    server.routes = {path: lambda asked: next(answers[asked.path]) for path in in_turn}
    server.routes[f"{TAG}ootd"] = timeline([status(1, *(f"{server.url}{path}" for path in in_turn))])
    crawled = run_crawl(tmp_path, mastodon(server), limits={"backoff": 0, "timeout": 10, "retries": 1})
    assert crawled.code == 0, crawled.log
    rows = crawled.images()
    assert {name: row["reason"] for name, row in rows.items() if row["reason"]} == {"damaged.png": "truncated"}
    stored = {path.name: path for path in (tmp_path / "images").rglob("*") if path.is_file()}
    assert set(stored) == {hashlib.sha256(data).hexdigest() for data in wanted}
    for name, path in stored.items():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == name
    assert [rows[path[1:]]["bytes"] for path in list(in_turn)[:-1]] == [len(data) for data in wanted]
    assert [path.name for path in (tmp_path / "images").iterdir() if path.name.startswith(".")] == []
