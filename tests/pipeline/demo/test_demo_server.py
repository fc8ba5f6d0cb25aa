import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from pipeline.demo.planted import Planted
from pipeline.demo.server import DemoServer, running_server


def _get(url: str) -> tuple[int, dict[str, str], bytes]:
    try:
        with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310
            return response.status, dict(response.headers), response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read()


def _json(url: str) -> Any:
    status, _, body = _get(url)
    assert status == 200
    return json.loads(body)


def _walk(url: str) -> list[dict[str, Any]]:
    """All statuses of a timeline, by the links that the server gives."""
    found: list[dict[str, Any]] = []
    following: str | None = url
    while following:
        status, headers, body = _get(following)
        assert status == 200
        found += json.loads(body)
        match = re.search(r'<([^>]+)>; rel="next"', headers.get("Link", ""))
        following = match[1] if match else None
    return found


def test_timeline_pages_through_every_post_of_a_tag_newest_first(server: str, planted: Planted) -> None:
    statuses = _walk(f"{server}/api/v1/timelines/tag/ootd?limit=7")
    ids = [int(status["id"]) for status in statuses]
    assert ids == sorted({int(post.post_id) for post in planted.posts if "ootd" in post.hashtags}, reverse=True)


def test_order_is_by_arrival_and_not_by_date(world: Path) -> None:
    lines = (world / "statuses.json").read_text(encoding="utf-8").splitlines()
    dates = [json.loads(line)["created_at"] for line in lines]
    assert dates != sorted(dates, reverse=True)


def test_limit_is_capped_at_40_and_20_by_default(server: str, planted: Planted) -> None:
    tagged = sum("ootd" in post.hashtags for post in planted.posts)
    assert len(_json(f"{server}/api/v1/timelines/tag/ootd")) == min(20, tagged)
    assert len(_json(f"{server}/api/v1/timelines/tag/ootd?limit=500")) == min(40, tagged)
    assert len(_json(f"{server}/api/v1/timelines/tag/ootd?limit=0")) == 1


def test_bounds_are_exclusive_and_min_id_pages_upwards(server: str) -> None:
    ids = [int(status["id"]) for status in _json(f"{server}/api/v1/timelines/tag/ootd?limit=40")]
    base = f"{server}/api/v1/timelines/tag/ootd?limit=3"

    def page(bounds: str) -> list[int]:
        return [int(status["id"]) for status in _json(base + bounds)]

    assert page(f"&max_id={ids[4]}") == ids[5:8]
    assert page(f"&since_id={ids[9]}") == ids[:3]
    assert page(f"&min_id={ids[9]}") == ids[6:9]
    assert page(f"&max_id={ids[2]}&since_id={ids[5]}") == ids[3:5]
    assert page(f"&max_id={ids[0]}&min_id={ids[1]}") == []


def test_tags_are_found_whatever_their_case_and_percent_encoded(server: str, planted: Planted) -> None:
    assert _json(f"{server}/api/v1/timelines/tag/OOTD") == _json(f"{server}/api/v1/timelines/tag/ootd")
    tag = "데일리룩"
    wanted = sum(tag in post.hashtags for post in planted.posts)
    assert wanted
    assert len(_json(f"{server}/api/v1/timelines/tag/{quote(tag)}?limit=40")) == wanted
    assert _json(f"{server}/api/v1/timelines/tag/nobodyusesthis") == []


def test_status_media_and_account_can_be_fetched(server: str, planted: Planted) -> None:
    post = next(post for post in planted.posts if post.kind == "outfit")
    status = _json(f"{server}/api/v1/statuses/{post.post_id}")
    assert status["created_at"] == post.created_at
    assert [tag["name"] for tag in status["tags"]] == list(post.hashtags)
    assert status["url"].startswith(server)
    attachment = status["media_attachments"][0]
    code, headers, body = _get(attachment["url"])
    assert code == 200
    assert headers["Content-Type"].startswith("image/")
    assert len(body) == int(headers["Content-Length"]) > 1000
    assert _json(f"{server}/api/v1/accounts/{status['account']['id']}")["acct"] == post.author
    assert re.fullmatch(r"user\d{4}", post.author)


def test_rate_limit_is_announced_and_kept(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.demo.server.RATE_LIMIT", 2)
    monkeypatch.setattr("pipeline.demo.server.time.time", lambda: 1_000_000.0)
    with running_server(world) as url:
        address = f"{url}/api/v1/timelines/tag/ootd?limit=1"
        left = []
        for _ in range(3):
            status, headers, _ = _get(address)
            left.append((status, headers["X-RateLimit-Remaining"]))
        assert left == [(200, "1"), (200, "0"), (429, "0")]
        assert headers["X-RateLimit-Reset"].startswith("1970-01-12T13:50:00")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/robots.txt", 200),
        ("/", 200),
        ("/api/v2/instance", 200),
        ("/api/v1/instance", 200),
        ("/api/v1/statuses/1", 404),
        ("/api/v1/accounts/1", 404),
        ("/api/v1/timelines/public", 404),
        ("/api/v1/timelines/tag/ootd?limit=many", 400),
        ("/media/nothing.jpg", 404),
        ("/media/..%2Fplanted.json", 404),
        ("/media/%2e%2e/planted.json", 404),
        ("/planted.json", 404),
    ],
)
def test_other_addresses(server: str, path: str, status: int) -> None:
    assert _get(server + path)[0] == status


def test_deleted_picture_is_gone(server: str, planted: Planted) -> None:
    post = next(post for post in planted.posts if post.kind == "deleted")
    attachment = _json(f"{server}/api/v1/statuses/{post.post_id}")["media_attachments"][0]
    assert _get(attachment["url"])[0] == 404


def test_boost_repeats_another_status(server: str, planted: Planted) -> None:
    post = next(post for post in planted.posts if post.kind == "boost")
    status = _json(f"{server}/api/v1/statuses/{post.post_id}")
    origin = _json(f"{server}/api/v1/statuses/{status['reblog']['id']}")
    assert status["reblog"] == origin
    assert status["media_attachments"] == origin["media_attachments"]


def test_without_a_world_the_server_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="build one first"):
        DemoServer(tmp_path)


def test_command_prints_its_address_and_answers(world: Path) -> None:
    command = [sys.executable, "-m", "pipeline.demo.server", "--world", str(world), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:")
        assert _get(f"{url}/robots.txt")[0] == 200
        process.terminate()
        process.wait(timeout=10)
