"""A picture that an earlier crawl has dealt with is not fetched again, unless that could end differently now."""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crawlers.errors import CrawlError
from crawlers.jobs import CrawlLimits
from crawlers.known import KnownAddresses, is_passing, known_addresses
from crawlers.page_writer import address_key
from crawlers.posts import ImageFacts, ImageResult, MediaItem
from crawlers.storage import ImageStore
from crawlers.tables import IMAGES

NOW = datetime(2019, 7, 3, 12, tzinfo=UTC)
LIMITS = CrawlLimits()
PERMANENT = ["animated", "not_an_image", "opted_out", "undecodable", "other_content"]
GONE = ["http_400", "http_404", "http_410", "http_451"]
BY_LIMIT = ["too_large", "too_many_pixels"]
PASSING = [
    "timeout",
    "connection_failed",
    "incomplete",
    "truncated",
    "rate_limited",
    "robots_txt",
    "robots_unreachable",
]
PASSING += ["http_403", "http_429", "http_500", "http_503", "unknown_host", "too_many_redirects", "forbidden_address"]


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "images")


@pytest.fixture
def known(tmp_path: Path, store: ImageStore) -> Iterator[KnownAddresses]:
    with known_addresses(tmp_path / "state", LIMITS, store) as addresses:
        yield addresses


def fetched(store: ImageStore, data: bytes = b"picture") -> ImageResult:
    facts = ImageFacts(store.put(data), "JPEG", 40, 30, len(data))
    return ImageResult(NOW, 2, facts=facts, http_status=200, robots_txt="allowed", x_robots_tag="all")


def failed(reason: str, attempts: int = 2) -> ImageResult:
    return ImageResult(NOW, attempts, reason=reason, detail="a line")


def test_nothing_is_known_of_a_new_address(known: KnownAddresses) -> None:
    assert known.find("a") == (None, 0)


def test_a_stored_picture_is_used_again_as_long_as_its_file_is_there(known: KnownAddresses, store: ImageStore) -> None:
    result = fetched(store)
    known.learn([("a", result)])
    assert known.find("a") == (result, 0)
    assert result.facts is not None
    path = store.path(result.facts.image_id)
    path.write_bytes(b"cut")
    assert known.find("a") == (None, 0)
    path.unlink()
    assert known.find("a") == (None, 0)


def test_a_stored_picture_that_is_over_a_new_limit_is_looked_at_again(
    tmp_path: Path, known: KnownAddresses, store: ImageStore
) -> None:
    known.learn([("a", fetched(store))])
    for limits, found in (({"max_pixels": 1200}, True), ({"max_pixels": 1199}, False), ({"max_bytes": 6}, False)):
        with known_addresses(tmp_path / "state", CrawlLimits(**limits), store) as other:
            assert (other.find("a")[0] is not None) is found


@pytest.mark.parametrize("reason", PASSING)
def test_a_failure_that_may_pass_is_tried_again_with_its_attempts(known: KnownAddresses, reason: str) -> None:
    assert is_passing(reason)
    known.learn([("a", failed(reason, 5))])
    assert known.find("a") == (None, 5)


@pytest.mark.parametrize("reason", PERMANENT + GONE)
def test_a_failure_that_will_not_pass_is_known(known: KnownAddresses, reason: str) -> None:
    assert not is_passing(reason)
    known.learn([("a", failed(reason))])
    assert known.find("a") == (failed(reason), 0)


@pytest.mark.parametrize("reason", BY_LIMIT)
def test_a_failure_by_a_limit_is_known_until_the_limits_change(
    tmp_path: Path, known: KnownAddresses, store: ImageStore, reason: str
) -> None:
    known.learn([("a", failed(reason))])
    assert known.find("a") == (failed(reason), 0)
    for limits in ({"max_bytes": LIMITS.max_bytes + 1}, {"max_pixels": LIMITS.max_pixels - 1}):
        with known_addresses(tmp_path / "state", CrawlLimits(**limits), store) as other:
            assert other.find("a") == (None, 2)
    with known_addresses(tmp_path / "state", CrawlLimits(timeout=1), store) as other:
        assert other.find("a") == (failed(reason), 0)


def test_what_is_learned_later_counts(known: KnownAddresses, store: ImageStore) -> None:
    known.learn([("a", failed("timeout")), ("b", failed("http_404"))])
    result = fetched(store)
    known.learn([("a", result)])
    assert known.find("a") == (result, 0)
    assert known.find("b")[0] == failed("http_404")


def table(path: Path, *rows: tuple[str, ImageResult], schema: pa.Schema = IMAGES) -> Path:
    values = [result.to_row(post_id="p", media_index=0, url=url, alt_text=None, window="w") for url, result in rows]
    pq.write_table(pa.Table.from_pylist(values, schema=schema), path)
    return path


def key(url: str) -> str:
    assert address_key(MediaItem(0, url)) == sha256(url.encode()).hexdigest()
    return address_key(MediaItem(0, url))


def test_tables_say_what_is_known_where_nothing_else_does(
    tmp_path: Path, known: KnownAddresses, store: ImageStore
) -> None:
    results = {
        "https://x/ok": fetched(store),
        "https://x/404": failed("http_404"),
        "https://x/big": failed("too_large"),
    }
    known.learn([(key("https://x/404"), failed("timeout", 7))])
    known.learn_tables([table(tmp_path / "images.parquet", *results.items())])
    assert known.find(key("https://x/ok")) == (results["https://x/ok"], 0)
    assert known.find(key("https://x/404")) == (None, 7)  # what was learned before is newer
    assert known.find(key("https://x/big")) == (None, 2)  # nobody knows the limits that it was too large for


def test_a_table_is_read_once_until_it_changes(tmp_path: Path, known: KnownAddresses, store: ImageStore) -> None:
    path = table(tmp_path / "images.parquet", ("https://x/1", fetched(store)))
    known.learn_tables([path])
    known._connection.execute("DELETE FROM addresses")
    known.learn_tables([path])
    assert known.find(key("https://x/1")) == (None, 0)
    table(path, ("https://x/1", fetched(store)), ("https://x/2", failed("http_404")))
    known.learn_tables([path])
    assert known.find(key("https://x/1"))[0] is not None
    assert known.find(key("https://x/2"))[0] is not None


def test_a_table_of_an_earlier_version_lacks_columns(tmp_path: Path, known: KnownAddresses, store: ImageStore) -> None:
    fields = [field for field in IMAGES if field.name not in ("robots_txt", "x_robots_tag", "tdm_reservation")]
    known.learn_tables([table(tmp_path / "images.parquet", ("https://x/1", fetched(store)), schema=pa.schema(fields))])
    result, _ = known.find(key("https://x/1"))
    assert result is not None
    assert (result.facts, result.robots_txt, result.attempts) == (fetched(store).facts, None, 2)


def test_two_crawls_may_learn_at_the_same_time(tmp_path: Path, known: KnownAddresses, store: ImageStore) -> None:
    with known_addresses(tmp_path / "state", LIMITS, store) as other:
        known.learn([("a", failed("http_404"))])
        other.learn([("b", failed("http_404"))])
        assert known.find("b")[0] == other.find("a")[0] == failed("http_404")


def test_results_of_a_failed_crawl_are_not_half_learned(known: KnownAddresses) -> None:
    def results() -> Iterator[tuple[str, Any]]:
        yield "a", failed("http_404")
        yield "b", None

    with pytest.raises(AttributeError):
        known.learn(results())
    known._connection.rollback()
    assert known.find("a") == (None, 0)


def test_a_damaged_file_is_named_with_what_to_do(tmp_path: Path, store: ImageStore) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "addresses.sqlite").write_bytes(b"what is this?" * 1000)
    with (
        pytest.raises(CrawlError, match="remove it, it is made anew"),
        known_addresses(tmp_path / "state", LIMITS, store),
    ):
        pass
    (tmp_path / "state" / "addresses.sqlite").unlink()
    with known_addresses(tmp_path / "state", LIMITS, store) as known:
        known.learn([("a", failed("http_404"))])
    connection = sqlite3.connect(tmp_path / "state" / "addresses.sqlite")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()
