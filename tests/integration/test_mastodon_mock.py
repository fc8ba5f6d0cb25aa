"""The crawler against mastodon-mock, a server of other people's making that speaks the Mastodon API."""

import hashlib
import io
import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

pytestmark = pytest.mark.integration

CONFIG = """
[database]
path = "{folder}/mock.sqlite"
[[seed.accounts]]
username = "mina"
access_token = "mina_token"
[[seed.accounts]]
username = "jo"
access_token = "jo_token"
"""


def jpeg(seed: int) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 255, (10, 8, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).resize((80, 100)).save(buffer, "JPEG")
    return buffer.getvalue()


@dataclass
class Mock:
    """A running server, with what its posts are expected to become."""

    folder: Path
    url: str
    client: httpx.Client
    numbers: Iterator[int] = field(default_factory=lambda: iter(range(10_000)))

    def post(
        self, text: str, when: str, *pictures: bytes, account: str = "mina", name: str = "a.jpg", **more: Any
    ) -> str:
        """Publish a post with pictures and move it back to its date; return its id."""
        headers = {"Authorization": f"Bearer {account}_token"}
        media = []
        for data in pictures:
            files = {"file": (name, data, "image/jpeg")}
            answer = self.client.post("/api/v2/media", files=files, data={"description": "seen"}, headers=headers)
            media.append(answer.raise_for_status().json()["id"])
        answer = self.client.post("/api/v1/statuses", json={"status": text, "media_ids": media} | more, headers=headers)
        number: str = answer.raise_for_status().json()["id"]
        self.sql("UPDATE statuses SET created_at = ? WHERE id = ?", when, int(number))
        return number

    def sql(self, statement: str, *values: Any) -> None:
        connection = sqlite3.connect(self.folder / "mock.sqlite", timeout=10)
        with connection:
            connection.execute(statement, values)
        connection.close()

    def fault(self, path: str, count: int, **effect: Any) -> None:
        rule = {"match": {"path": path}, "effect": effect, "count": count}
        self.client.post("/api/v1/_mock/faults", json=rule).raise_for_status()


@pytest.fixture
def mock(tmp_path: Path) -> Iterator[Mock]:
    config = tmp_path / "mock.toml"
    config.write_text(CONFIG.format(folder=tmp_path) + '\n[server]\nhost = "127.0.0.1"\n')
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mastodon_mock", "serve", "--config", str(config), "--port", str(port)]
    with (tmp_path / "mock.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
                deadline = time.monotonic() + 60
                while time.monotonic() < deadline and process.poll() is None:
                    try:
                        client.get("/api/v1/instance").raise_for_status()
                        break
                    except httpx.HTTPError:
                        time.sleep(0.1)
                yield Mock(tmp_path, f"http://127.0.0.1:{port}", client)
        finally:
            process.terminate()
            process.wait(timeout=30)


def crawl(mock: Mock, name: str = "out", **changes: Any) -> dict[str, list[dict[str, Any]]]:
    source = {"kind": "mastodon", "name": "mock", "server": mock.url, "hashtags": ["OOTD", "street"]}
    job = {
        "window": {"key": "2019-07-01", "start": "2019-07-01T00:00:00Z", "end": "2019-07-08T00:00:00Z"},
        "sources": [source | {"allow_hosts": ["127.0.0.1"], "delay": 0, "page_size": 5}],
        "out": str(mock.folder / name),
        "images": str(mock.folder / "images"),
        "limits": {"backoff": 0.05, "retries": 3, "timeout": 10},
    }
    path = mock.folder / "job.json"
    path.write_text(json.dumps(job | changes))
    environment = {**os.environ, "STYLEGRAPH_HMAC_KEY": "00" * 16}
    command = [sys.executable, "-m", "crawlers.run", "--job", str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    tables = ("posts", "images", "counts")
    return {table: pq.read_table(mock.folder / name / f"{table}.parquet").to_pylist() for table in tables}


def test_a_planted_week_is_found_exactly(mock: Mock) -> None:
    shared, own, late = jpeg(1), jpeg(2), jpeg(3)
    kept = {
        mock.post("first #OOTD", "2019-07-01 00:00:00.000000", shared): [shared],
        mock.post("both #ootd #street", "2019-07-03 10:00:00.000000", own, shared, account="jo"): [own, shared],
        mock.post("the other tag #Street", "2019-07-07 23:59:59.000000", late): [late],
    }
    reasons: dict[str, str | None] = dict.fromkeys(kept)
    mock.post("too late #ootd", "2019-07-08 00:00:00.000000", jpeg(4))
    mock.post("too early #ootd", "2019-06-30 23:59:59.000000", jpeg(5))
    mock.post("not asked for #cats", "2019-07-03 10:00:00.000000", jpeg(6))
    reasons[mock.post("words only #ootd", "2019-07-03 11:00:00.000000")] = "no_image"
    reasons[mock.post("hidden #ootd", "2019-07-03 11:00:00.000000", jpeg(7), sensitive=True)] = "sensitive"
    for number in range(12):  # an old post between new ones, and more than one page
        mock.post(f"old {number} #ootd", "2018-01-01 00:00:00.000000", jpeg(8))
    # newest id, old date: a server's ids need not follow the posts' dates
    last = mock.post("arrived late #ootd", "2019-07-02 08:00:00.000000", own)
    reasons[last], kept[last] = None, [own]

    tables = crawl(mock)

    assert {row["post_id"].removeprefix("mastodon:"): row["reason"] for row in tables["posts"]} == reasons
    found: dict[str, list[str]] = {}
    for row in tables["images"]:
        found.setdefault(row["post_id"].removeprefix("mastodon:"), []).append(row["image_id"])
        assert (row["status"], row["format"], row["width"], row["height"]) == ("ok", "JPEG", 80, 100)
        assert row["alt_text"] == "seen"
    assert found == {number: [hashlib.sha256(data).hexdigest() for data in list_] for number, list_ in kept.items()}
    for image_id in {image_id for ids in found.values() for image_id in ids}:
        data = (mock.folder / "images" / image_id[:2] / image_id).read_bytes()
        assert hashlib.sha256(data).hexdigest() == image_id
    counts = {(row["what"], row["outcome"]): row["count"] for row in tables["counts"]}
    assert counts["post", "outside_window"] == 14
    assert counts["post", "kept"] == 4
    authors = {row["post_id"]: row["author_hmac"] for row in tables["posts"]}
    assert len(set(authors.values())) == 2


def test_broken_pictures_are_rows_with_a_reason(mock: Mock) -> None:
    when = "2019-07-03 10:00:00.000000"
    expected = {
        mock.post("cut #ootd", when, jpeg(1)[:500]): "truncated",
        mock.post("page #ootd", when, b"<!DOCTYPE html><html></html>"): "not_an_image",
    }
    gone = mock.post("gone #ootd", when, jpeg(2), name="gone.jpg")
    for path in mock.folder.rglob("*"):
        assert path.name != "gone.jpg"  # the mock names files itself
    mock.sql("UPDATE media_attachments SET url = ? WHERE status_id = ?", f"{mock.url}/media/none.jpg", int(gone))
    expected[gone] = "http_404"
    tables = crawl(mock)
    assert {row["post_id"].removeprefix("mastodon:"): row["reason"] for row in tables["images"]} == expected
    assert {row["status"] for row in tables["images"]} == {"failed"}


def test_faults_that_pass_change_nothing(mock: Mock) -> None:
    for number in range(8):
        mock.post(f"post {number} #ootd", "2019-07-03 10:00:00.000000", jpeg(number))
    quiet = crawl(mock)
    mock.fault("/api/v1/timelines/tag/ootd", 1, type="status", status=503)
    mock.fault("/api/v1/timelines/tag/ootd", 1, type="malformed")
    mock.fault(
        "/api/v1/timelines/tag/ootd", 1, type="ratelimit", headers={"Retry-After": "1", "X-RateLimit-Reset": "x"}
    )
    mock.fault("/media/*", 2, type="status", status=500)
    mock.fault("/media/*", 1, type="status", status=429, headers={"Retry-After": "1"})
    noisy = crawl(mock, "again")
    for tables in (quiet, noisy):
        for row in tables["posts"] + tables["images"]:
            for name in ("crawled_at", "fetched_at", "attempts"):
                row.pop(name, None)
    assert noisy["posts"] == quiet["posts"]
    assert noisy["images"] == quiet["images"]
    counts = {row["outcome"]: row["count"] for row in noisy["counts"] if row["what"] == "request"}
    assert (counts["http_429"], counts["http_500"], counts["http_503"]) == (2, 2, 1)


def test_a_server_s_own_rate_limit_is_waited_out(mock: Mock) -> None:
    mock.post("post #ootd", "2019-07-03 10:00:00.000000", jpeg(1))
    mock.fault("/api/v1/timelines/tag/ootd", 1, type="ratelimit", headers={"Retry-After": "2"})
    began = time.monotonic()
    tables = crawl(mock)
    assert time.monotonic() - began > 2
    assert [row["status"] for row in tables["images"]] == ["ok"]
