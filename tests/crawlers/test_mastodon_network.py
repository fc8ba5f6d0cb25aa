import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawlers.errors import CrawlError
from crawlers.identity import author_hmac
from crawlers.networks.base import MalformedAnswerError, PageContent
from crawlers.networks.mastodon import MastodonNetwork, read_status
from crawlers.sources import MastodonSource
from crawlers.tables import POSTS

KEY = bytes.fromhex("00" * 16)
ENVIRONMENT = {"STYLEGRAPH_HMAC_KEY": "00" * 16}
FIXTURES = Path(__file__).parent / "fixtures" / "mastodon"


def source(**changes: Any) -> MastodonSource:
    return MastodonSource(**{"name": "sns", "server": "https://sns.example", "hashtags": ["ootd"]} | changes)


def network(**changes: Any) -> MastodonNetwork:
    return MastodonNetwork(source(**changes), ENVIRONMENT)


def status(number: int | str = 1, **changes: Any) -> dict[str, Any]:
    return {
        "id": str(number),
        "created_at": "2019-07-03T12:00:00.000Z",
        "account": {"acct": "mina"},
        "tags": [{"name": "ootd"}],
        "media_attachments": [],
    } | changes


def test_a_recorded_page_gives_the_expected_posts() -> None:
    folder = FIXTURES / "link_header"
    expected = json.loads((folder / "expected.json").read_text())
    link = (
        '<https://sns.example/api/v1/timelines/tag/ootd?min_id=102380000000000002>; rel="prev", '
        '<https://evil.example/steal?limit=40&max_id=102370000000000001>; rel="next"'
    )
    crawler = network()
    content = crawler.read_page(
        crawler.first_pages()[0], json.loads((folder / "page.json").read_text()), {"link": link}
    )
    assert content.next_page is not None
    assert content.next_page.url == expected["next"]
    for post, want in zip(content.posts, expected["posts"], strict=True):
        assert post.post_id == want["post_id"]
        assert post.url == want["url"]
        assert post.created_at is not None
        assert post.created_at.isoformat() == want["created_at"]
        assert (post.edited_at and post.edited_at.isoformat()) == want["edited_at"]
        assert list(post.hashtags) == want["hashtags"]
        assert (post.language, post.sensitive) == (want["language"], want["sensitive"])
        assert post.author_hmac == author_hmac(want["handle"], "unused", KEY)
        assert [[m.index, m.url, m.alt_text] for m in post.media] == want["media"]


def walk(crawler: MastodonNetwork, answers: Any, limit: int = 500) -> list[str]:
    """Page through a server given as a function of the cursor; return the ids in the order they came."""
    ids: list[str] = []
    page = crawler.first_pages()[0]
    for _ in range(limit):
        cursor = page.url.partition("max_id=")[2] or None
        answer, headers = answers(cursor)
        content = crawler.read_page(page, answer, headers)
        ids += [post.post_id.removeprefix("mastodon:") for post in content.posts]
        if content.next_page is None:
            return ids
        page = content.next_page
    raise AssertionError("paging does not end")


@settings(deadline=None)
@given(
    ids=st.lists(st.integers(1, 10_000), unique=True, max_size=60),
    size=st.integers(1, 40),
    linked=st.booleans(),
)
def test_every_post_of_a_timeline_is_met_whatever_the_page_size(ids: list[int], size: int, linked: bool) -> None:
    def answers(cursor: str | None) -> tuple[list[dict[str, Any]], dict[str, str]]:
        older = sorted((n for n in ids if cursor is None or n < int(cursor)), reverse=True)[:size]
        link = f'<https://x.example/?max_id={older[-1]}>; rel="next"' if older else ""
        return [status(n) for n in older], {"link": link} if linked else {}

    assert walk(network(), answers) == [str(n) for n in sorted(ids, reverse=True)]


def test_a_server_that_ignores_the_cursor_is_left_after_a_page_without_news() -> None:
    assert walk(network(), lambda _: ([status(3), status(2), status(1)], {})) == ["3", "2", "1"] * 2


def test_a_server_that_repeats_its_cursor_is_left() -> None:
    link = {"link": '<https://sns.example/x?max_id=7>; rel="next"'}
    numbers = iter(range(10**6))
    assert len(walk(network(), lambda _: ([status(next(numbers))], link))) == 2


def test_endless_paging_ends_at_the_limit_and_says_so() -> None:
    crawler = network(max_pages=3)
    page = crawler.first_pages()[0]
    contents: list[PageContent] = []
    for number in range(3):
        contents.append(crawler.read_page(page, [status(100 - number)], {}))
        page = contents[-1].next_page or page
    assert [content.stopped for content in contents] == [None, None, "max_pages"]
    assert contents[-1].next_page is None


def test_a_second_hashtag_is_paged_to_its_own_end() -> None:
    crawler = network(hashtags=["a", "b"])
    first, second = crawler.first_pages()
    assert crawler.read_page(first, [status(1)], {}).next_page is not None
    assert crawler.read_page(second, [status(1)], {}).next_page is not None


def test_hashtags_are_percent_encoded() -> None:
    (page,) = network(hashtags=["#ファッション"]).first_pages()
    assert page.url.isascii()
    assert "/tag/%E3%83%95%E3%82%A1" in page.url


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"id": None}, "no usable id"),
        ({"id": "9" * 20_000}, "no usable id"),
        ({"created_at": "soon"}, "which is none"),
        ({"created_at": "0001-01-01T00:00:00+14:00"}, "which is none"),
        ({"created_at": None}, "no usable created_at"),
        ({"account": None}, "no usable acct"),
    ],
)
def test_an_entry_that_is_no_post_is_named_and_the_rest_goes_on(changes: dict[str, Any], words: str) -> None:
    crawler = network()
    content = crawler.read_page(crawler.first_pages()[0], [status(2, **changes), status(1)], {})
    assert [post.post_id for post in content.posts] == ["mastodon:1"]
    assert words in content.malformed[0]


@pytest.mark.parametrize("entry", [None, 7, "text", [], [[]]])
def test_an_entry_of_any_kind_is_survived(entry: Any) -> None:
    with pytest.raises(MalformedAnswerError):
        read_status(entry, source(), KEY)


@pytest.mark.parametrize("answer", [None, {"error": "gone"}, "x"])
def test_an_answer_that_is_no_page_is_an_error(answer: Any) -> None:
    crawler = network()
    with pytest.raises(MalformedAnswerError, match="a list of statuses"):
        crawler.read_page(crawler.first_pages()[0], answer, {})


def test_a_boost_has_its_own_id_and_date_and_the_content_of_the_other() -> None:
    inner = status(5, created_at="2018-01-01T00:00:00Z", language="ja", sensitive=True)
    post = read_status(status(9, tags=[], reblog=inner), source(), KEY)
    assert (post.post_id, post.boost, post.hashtags, post.language, post.sensitive) == (
        "mastodon:9",
        True,
        ("ootd",),
        "ja",
        True,
    )
    assert post.created_at is not None
    assert post.created_at.year == 2019


def test_a_time_without_zone_is_utc_and_any_zone_becomes_utc() -> None:
    naive = read_status(status(created_at="2019-07-03T12:00:00"), source(), KEY)
    offset = read_status(status(created_at="2019-07-03T21:00:00.000+09:00"), source(), KEY)
    assert naive.created_at == offset.created_at


def test_hashtags_are_compared_case_folded_in_nfc() -> None:
    decomposed = read_status(status(tags=[{"name": "CAFE\u0301"}, {"name": "ＯＯＴＤ"}, {"x": 1}, None]), source(), KEY)
    assert "café" in decomposed.hashtags
    assert network(hashtags=["#Café"]).hashtags == frozenset({"café"})


def test_text_that_utf_8_cannot_hold_does_not_stop_a_crawl() -> None:
    half = json.loads('"\\ud800"')
    media = [{"type": "image", "url": f"https://x.example/{half}", "description": half}]
    entry = status(7, account={"acct": f"mina{half}"}, tags=[{"name": half}], language=half, media_attachments=media)
    post = read_status(entry, source(), KEY)
    row = post.to_row(window="w", reason=None, crawled_at=datetime.now(UTC))
    assert pa.Table.from_pylist([row], schema=POSTS).num_rows == 1
    assert post.media[0].url.encode() == b"https://x.example/?"


def test_a_missing_token_or_key_is_named() -> None:
    with pytest.raises(CrawlError, match="set SNS_TOKEN to an access token"):
        MastodonNetwork(source(token_env="SNS_TOKEN"), ENVIRONMENT)
    with pytest.raises(CrawlError, match="STYLEGRAPH_HMAC_KEY is not set"):
        MastodonNetwork(source(), {})


def test_a_token_does_not_show_in_a_page() -> None:
    crawler = MastodonNetwork(source(token_env="SNS_TOKEN"), ENVIRONMENT | {"SNS_TOKEN": "abc-secret"})
    (page,) = crawler.first_pages()
    assert page.headers["Authorization"] == "Bearer abc-secret"
    assert "abc-secret" not in repr(page)
