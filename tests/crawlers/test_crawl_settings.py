import json
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from crawlers.errors import CrawlError
from crawlers.identity import author_hmac, key_from_env
from crawlers.jobs import CrawlJob
from crawlers.networks.mastodon import MastodonSource
from crawlers.registry import Source
from crawlers.run import main
from crawlers.sources import ArchiveSource, fold_hashtag, fold_hashtags, server_name
from crawlers.windows import CrawlWindow

KEY = b"sixteen bytes ok"


def test_a_window_holds_its_start_and_not_its_end() -> None:
    window = CrawlWindow("w", datetime(2019, 7, 1, tzinfo=UTC), datetime(2019, 7, 8, tzinfo=UTC))
    assert window.contains(window.start)
    assert not window.contains(window.end)
    assert window.contains(datetime(2019, 7, 8, 8, 59, tzinfo=timezone(timedelta(hours=9))))


@settings(deadline=None)
@given(st.datetimes(datetime(2019, 6, 1), datetime(2019, 10, 1), timezones=st.just(UTC)))
def test_every_moment_lies_in_exactly_one_of_adjacent_windows(moment: datetime) -> None:
    edges = [datetime(2019, 6, 1, tzinfo=UTC) + timedelta(days=7 * n) for n in range(20)]
    windows = [CrawlWindow(str(n), a, b) for n, (a, b) in enumerate(pairwise(edges))]
    assert sum(window.contains(moment) for window in windows) == 1


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        (datetime(2019, 7, 1), datetime(2019, 7, 8, tzinfo=UTC), "start has no time zone"),
        (datetime(2019, 7, 8, tzinfo=UTC), datetime(2019, 7, 8, tzinfo=UTC), "it ends"),
    ],
)
def test_a_window_that_makes_no_sense_is_refused(start: datetime, end: datetime, words: str) -> None:
    with pytest.raises(CrawlError, match=words):
        CrawlWindow("w", start, end)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"server": "sns.example"}, "write it like https://"),
        ({"server": "ftp://sns.example"}, "write it like https://"),
        ({"server": "https://me:pw@sns.example"}, "use token_env"),
        ({"server": "https://sns.example/?x=1"}, "without '\\?'"),
        ({"server": "https://sns.example:99999"}, "is not a server address"),
        ({"hashtags": []}, "at least 1 item"),
        ({"hashtags": ["two words"]}, "write one word"),
        ({"hashtags": ["#"]}, "is not a hashtag"),
        ({"allow_hosts": ["http://127.0.0.1"]}, "without port"),
        ({"page_size": 81}, "less than or equal to 80"),
        ({"contact": "a b"}, "contact"),
        ({"name": "../x"}, "name"),
        ({"server": "http://sns.example", "token_env": "T"}, "only sent over https"),
        ({"servers": ["x"]}, "write it like https://"),
        ({"tokens": "x"}, "Extra inputs"),
    ],
)
def test_a_wrong_setting_is_refused_with_what_is_allowed(changes: dict[str, Any], words: str) -> None:
    right = {"name": "sns", "server": "https://sns.example", "hashtags": ["ootd"]}
    with pytest.raises(ValidationError, match=words):
        MastodonSource(**right | changes)


def test_sources_are_told_apart_by_their_kind() -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(Source)
    archive = adapter.validate_python(
        {"kind": "archive", "name": "a", "folder": "x", "posts": "x.csv", "undated": "2019-07-01"}
    )
    assert archive == ArchiveSource(name="a", folder=Path("x"), posts=Path("x.csv"), undated=date(2019, 7, 1))
    with pytest.raises(ValidationError, match="'mastodon', 'bluesky', 'flickr', 'misskey', 'archive'"):
        adapter.validate_python({"kind": "telegraph", "name": "a"})


def test_settings_keep_hashtags_folded_and_survive_json() -> None:
    source = MastodonSource(name="sns", server="https://sns.example/", hashtags=("#OOTD", "ootd", "Fashion"))
    assert source.hashtags == ("fashion", "ootd")
    assert source.server == "https://sns.example"
    assert MastodonSource.model_validate_json(source.model_dump_json()) == source


def test_a_server_is_named_by_its_host_and_an_unusual_port() -> None:
    assert server_name("https://SNS.example:443/x") == server_name("http://sns.example:80") == "sns.example"
    assert server_name("http://sns.example:443") == "sns.example:443"


def test_a_crawl_is_another_one_if_what_is_crawled_differs_and_not_where_it_is_kept() -> None:
    first = CrawlJob.model_validate(job())
    for other in ({"out": "else"}, {"images": "else"}, {"state": "s"}, {"previous": "p"}, {"known": ["k"]}):
        assert CrawlJob.model_validate(job(**other)).fingerprint() == first.fingerprint()
    window = {"key": "w", "start": "2019-07-01T00:00:00Z", "end": "2019-07-09T00:00:00Z"}
    archive = {"kind": "archive", "name": "a", "folder": "x", "posts": "y.csv"}
    for other in (
        {"window": window},
        {"sources": [archive]},
        {"limits": {"max_bytes": 1}},
        {"refetch": True},
        {"first_window": True},
    ):
        assert CrawlJob.model_validate(job(**other)).fingerprint() != first.fingerprint()


def test_the_state_lies_beside_the_pictures_and_earlier_tables_where_the_new_ones_go() -> None:
    plain = CrawlJob.model_validate(job(images="data/pictures", out="data/tables"))
    assert (plain.state_folder, plain.previous_folder) == (Path("data/pictures.state"), Path("data/tables"))
    told = CrawlJob.model_validate(job(state="state", previous="before"))
    assert (told.state_folder, told.previous_folder) == (Path("state"), Path("before"))


@settings(deadline=None)
@given(st.text(max_size=20) | st.text("# \tAé", max_size=6))
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold_hashtag(fold_hashtag(text)) == fold_hashtag(text)


def test_folded_hashtags_are_sorted_and_unique() -> None:
    assert fold_hashtags(["b", "#A", "a", "", "#"]) == ("a", "b")


def test_an_author_is_the_same_from_both_servers_and_unreadable() -> None:
    assert author_hmac("@Mina", "sns.example", KEY) == author_hmac("mina@sns.example", "away.example", KEY)
    assert author_hmac("mina", "sns.example", KEY) != author_hmac("mina", "away.example", KEY)
    assert author_hmac("mina", "sns.example", KEY) != author_hmac("mina", "sns.example", KEY * 2)
    assert "mina" not in author_hmac("mina", "sns.example", KEY)


def test_a_key_is_hex_or_text_and_long_enough() -> None:
    assert key_from_env({"STYLEGRAPH_HMAC_KEY": "ab" * 16}) == bytes([0xAB]) * 16
    assert key_from_env({"STYLEGRAPH_HMAC_KEY": "sixteen bytes ok"}) == KEY
    for short in ("short", "ab" * 8):
        with pytest.raises(CrawlError, match="too short"):
            key_from_env({"STYLEGRAPH_HMAC_KEY": short})
    with pytest.raises(CrawlError, match=r"secrets\.token_hex\(32\)"):
        key_from_env({})


def job(**changes: Any) -> dict[str, Any]:
    return {
        "window": {"key": "w", "start": "2019-07-01T00:00:00Z", "end": "2019-07-08T00:00:00Z"},
        "sources": [{"kind": "archive", "name": "a", "folder": "x", "posts": "x.csv"}],
        "out": "out",
        "images": "images",
    } | changes


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "Invalid JSON"),
        (json.dumps(job(sources=[])), "sources: .*at least 1 item"),
        (json.dumps(job(sources=job()["sources"] * 2)), "two sources are called 'a'"),
        (json.dumps(job(window={"key": "w", "start": "2019-07-01", "end": "2019-07-08T00:00:00Z"})), "no time zone"),
        (json.dumps(job(limits={"max_byte": 1})), "limits.max_byte: Extra inputs"),
    ],
)
def test_a_wrong_job_is_one_line(
    tmp_path: Path, text: str, words: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "job.json"
    path.write_text(text)
    with pytest.raises(CrawlError, match=words) as caught:
        CrawlJob.from_file(path)
    assert "\n" not in str(caught.value)
    assert main(["--job", str(path)]) == 1
    assert str(caught.value) in caplog.text


def test_a_job_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(CrawlError, match="cannot be read"):
        CrawlJob.from_file(tmp_path / "none.json")
