import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from crawlers.errors import CrawlError
from crawlers.identity import author_hmac
from crawlers.networks.base import MalformedAnswerError, PageContent, Surroundings
from crawlers.networks.mastodon import MastodonNetwork, MastodonSource
from crawlers.posts import Post
from crawlers.tables import POSTS
from crawlers.windows import CrawlWindow
from tests.crawlers.network_memory import DictMemory

WINDOW = CrawlWindow("w", datetime(2019, 7, 1, tzinfo=UTC), datetime(2019, 7, 8, tzinfo=UTC))
KEY = bytes.fromhex("00" * 16)
ENVIRONMENT = {"STYLEGRAPH_HMAC_KEY": "00" * 16}
FIXTURES = Path(__file__).parent / "fixtures" / "mastodon"


def source(**changes: Any) -> MastodonSource:
    return MastodonSource(**{"name": "sns", "server": "https://sns.example", "hashtags": ["ootd"]} | changes)


def network(several: bool = False, environment: dict[str, str] = ENVIRONMENT, **changes: Any) -> MastodonNetwork:
    return MastodonNetwork(source(**changes), Surroundings(environment, WINDOW, several_servers=several))


def status(number: int | str = 1, **changes: Any) -> dict[str, Any]:
    return {
        "id": str(number),
        "created_at": "2019-07-03T12:00:00.000Z",
        "account": {"acct": "mina"},
        "tags": [{"name": "ootd"}],
        "media_attachments": [],
    } | changes


def read(entry: Any, several: bool = False, **changes: Any) -> Post:
    """Read one status, on the first page of the first server."""
    crawler = network(several, **changes)
    content = crawler.read_page(crawler.first_pages()[0], [entry], {}, DictMemory())
    assert content.malformed == ()
    (post,) = content.posts
    return post


def test_a_recorded_page_gives_the_expected_posts() -> None:
    folder = FIXTURES / "link_header"
    expected = json.loads((folder / "expected.json").read_text())
    link = (
        '<https://sns.example/api/v1/timelines/tag/ootd?min_id=102380000000000002>; rel="prev", '
        '<https://evil.example/steal?limit=40&max_id=102370000000000001>; rel="next"'
    )
    crawler = network()
    content = crawler.read_page(
        crawler.first_pages()[0], json.loads((folder / "page.json").read_text()), {"link": link}, DictMemory()
    )
    assert [page.url for page in content.next_pages] == [expected["next"]]
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
    waiting, memory = list(crawler.first_pages()[:1]), DictMemory()
    for _ in range(limit):
        page = waiting.pop()
        cursor = page.url.partition("max_id=")[2] or None
        answer, headers = answers(cursor)
        content = crawler.read_page(page, answer, headers, memory)
        ids += [post.post_id.removeprefix("mastodon:") for post in content.posts]
        waiting += content.next_pages
        if not waiting:
            return ids
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
    page, memory = crawler.first_pages()[0], DictMemory()
    contents: list[PageContent] = []
    for number in range(3):
        contents.append(crawler.read_page(page, [status(100 - number)], {}, memory))
        page = next(iter(contents[-1].next_pages), page)
    line = "#ootd on sns.example: max_pages (3) is reached before its end"
    assert [content.stopped for content in contents] == [None, None, line]
    assert contents[-1].next_pages == ()


def test_a_timeline_that_ends_with_its_last_allowed_page_is_complete() -> None:
    crawler, memory = network(max_pages=2), DictMemory()
    page = crawler.first_pages()[0]
    (page,) = crawler.read_page(page, [status(1)], {}, memory).next_pages
    assert crawler.read_page(page, [], {}, memory) == PageContent()


def test_a_second_hashtag_is_paged_to_its_own_end() -> None:
    crawler = network(hashtags=["a", "b"])
    (first, second), memory = crawler.first_pages(), DictMemory()
    assert len(crawler.read_page(first, [status(1)], {}, memory).next_pages) == 1
    assert len(crawler.read_page(second, [status(1)], {}, memory).next_pages) == 1


def test_a_page_without_a_usable_id_goes_on_by_the_link_alone() -> None:
    link = {"link": '<https://sns.example/x?max_id=7>; rel="next"'}
    crawler = network()
    first = crawler.first_pages()[0]
    assert crawler.read_page(first, [{"id": ""}], {}, DictMemory()).next_pages == ()
    (following,) = crawler.read_page(first, [{"id": ""}], link, DictMemory()).next_pages
    assert following.url.endswith("max_id=7")
    assert crawler.read_page(first, [], link, DictMemory()).next_pages == ()


def test_a_page_whose_ids_do_not_fall_is_gone_on_with_from_both_ends() -> None:
    crawler = network()
    content = crawler.read_page(crawler.first_pages()[0], [status(n) for n in (5, 12, 9)], {}, DictMemory())
    assert [page.url.partition("max_id=")[2] for page in content.next_pages] == ["9", "5", "12"]


@settings(deadline=None)
@given(
    ids=st.lists(st.integers(1, 10_000), unique=True, max_size=40),
    size=st.integers(1, 10),
    shuffle=st.randoms(use_true_random=False),
    by=st.sampled_from(("id", "offset")),
)
def test_every_post_is_met_whatever_the_order_inside_a_page(ids: list[int], size: int, shuffle: Any, by: str) -> None:
    """The server cuts its pages off by id, or by a cursor of its own, and orders each page as it likes."""
    order = shuffle.sample(ids, len(ids))

    def answers(cursor: str | None) -> tuple[list[dict[str, Any]], dict[str, str]]:
        if by == "offset":
            start = int(cursor or 0)
            page = order[start : start + size]
            return [status(n) for n in page], {"link": f'<https://x.example/?max_id={start + size}>; rel="next"'}
        page = sorted((n for n in ids if cursor is None or n < int(cursor)), reverse=True)[:size]
        shuffle.shuffle(page)
        return [status(n) for n in page], {}

    assert set(walk(network(), answers, 5_000)) == {str(n) for n in ids}


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
    content = crawler.read_page(crawler.first_pages()[0], [status(2, **changes), status(1)], {}, DictMemory())
    assert [post.post_id for post in content.posts] == ["mastodon:1"]
    assert words in content.malformed[0]


@pytest.mark.parametrize("entry", [None, 7, "text", [], [[]]])
def test_an_entry_of_any_kind_is_survived(entry: Any) -> None:
    crawler = network()
    content = crawler.read_page(crawler.first_pages()[0], [entry, status(1)], {}, DictMemory())
    assert [post.post_id for post in content.posts] == ["mastodon:1"]
    assert len(content.malformed) == 1


@pytest.mark.parametrize("answer", [None, {"error": "gone"}, "x"])
def test_an_answer_that_is_no_page_is_an_error(answer: Any) -> None:
    crawler = network()
    with pytest.raises(MalformedAnswerError, match="a list of statuses"):
        crawler.read_page(crawler.first_pages()[0], answer, {}, DictMemory())


def test_a_boost_has_its_own_id_and_date_and_the_content_of_the_other() -> None:
    inner = status(5, created_at="2018-01-01T00:00:00Z", language="ja", sensitive=True)
    post = read(status(9, tags=[], reblog=inner))
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
    naive = read(status(created_at="2019-07-03T12:00:00"))
    offset = read(status(created_at="2019-07-03T21:00:00.000+09:00"))
    assert naive.created_at == offset.created_at


def test_hashtags_are_compared_case_folded_in_nfc() -> None:
    decomposed = read(status(tags=[{"name": "CAFE\u0301"}, {"name": "ＯＯＴＤ"}, {"x": 1}, None]))
    assert "café" in decomposed.hashtags
    assert network(hashtags=["#Café"]).hashtags == frozenset({"café"})


def test_text_that_utf_8_cannot_hold_does_not_stop_a_crawl() -> None:
    half = json.loads('"\\ud800"')
    media = [{"type": "image", "url": f"https://x.example/{half}", "description": half}]
    entry = status(7, account={"acct": f"mina{half}"}, tags=[{"name": half}], language=half, media_attachments=media)
    post = read(entry)
    row = post.to_row(window="w", reason=None, matched=(), crawled_at=datetime.now(UTC))
    assert pa.Table.from_pylist([row], schema=POSTS).num_rows == 1
    assert post.media[0].url.encode() == b"https://x.example/?"


def test_a_missing_token_or_key_is_named() -> None:
    with pytest.raises(CrawlError, match=r"set SNS_TOKEN to an access token of https://sns\.example"):
        network(token_env="SNS_TOKEN")
    with pytest.raises(CrawlError, match="set SNS_TOKEN to an access token"):
        network(token_env="SNS_TOKEN", environment=ENVIRONMENT | {"SNS_TOKEN": "two\nlines"})
    with pytest.raises(CrawlError, match="STYLEGRAPH_HMAC_KEY is not set"):
        network(environment={})


def test_a_token_does_not_show_in_a_page() -> None:
    crawler = network(token_env="SNS_TOKEN", environment=ENVIRONMENT | {"SNS_TOKEN": "abc-secret"})
    (page,) = crawler.first_pages()
    request = crawler.request(page)
    assert request.headers["Authorization"] == "Bearer abc-secret"
    assert "abc-secret" not in f"{page!r} {request!r} {json.dumps(vars(page))}"


SEVERAL: dict[str, Any] = {"server": None, "servers": ["https://a.example", "https://b.example:8443"]}


def test_each_server_gets_its_own_token_and_all_timelines_their_first_page() -> None:
    names = {"b.example:8443": "TOKEN"}
    crawler = network(True, environment=ENVIRONMENT | {"TOKEN": "x"}, token_env=names, hashtags=["a", "b"], **SEVERAL)
    pages = crawler.first_pages()
    assert [page.timeline for page in pages] == [
        "#a on a.example",
        "#b on a.example",
        "#a on b.example:8443",
        "#b on b.example:8443",
    ]
    assert ["Authorization" in crawler.request(page).headers for page in pages] == [False, False, True, True]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"server": None}, "name one server, or several"),
        ({"servers": ["https://b.example"]}, "name one server, or several"),
        (SEVERAL | {"token_env": "T"}, "with several servers write"),
        (SEVERAL | {"token_env": {"b.example": "T"}}, "b.example is none of the servers"),
        (SEVERAL | {"servers": ["https://a.example", "http://A.example:80/"]}, "a server is named twice"),
        ({"server": "http://sns.example", "token_env": {"sns.example": "T"}}, "only sent over https"),
        ({"token_env": {"sns.example": "no-name"}}, "token_env"),
        ({"page_size": 81}, "less than or equal to 80"),
    ],
)
def test_servers_and_tokens_that_do_not_fit_are_explained(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        source(**changes)


def test_a_token_may_go_in_the_clear_to_a_host_that_is_allowed() -> None:
    assert source(server="http://127.0.0.1:8000", allow_hosts=["127.0.0.1"], token_env="T").token_env == "T"


def test_ids_carry_their_server_where_there_are_several_and_a_uri_is_the_same_everywhere() -> None:
    crawler = network(True, **SEVERAL)
    first, second = crawler.first_pages()
    shared = status(1, uri="https://home.example/1")
    posts = [
        crawler.read_page(page, [entry], {}, DictMemory()).posts[0]
        for page, entry in ((first, shared), (second, shared), (first, status(1)))
    ]
    assert [post.post_id for post in posts] == [
        "mastodon:a.example/1",
        "mastodon:b.example:8443/1",
        "mastodon:a.example/1",
    ]
    assert posts[0].identity == posts[1].identity is not None
    assert posts[2].identity is None
    assert [post.server_rank for post in posts] == [0, 1, 0]
    assert "home.example" not in str(posts)
    assert read(status(1)).post_id == "mastodon:1"


@pytest.mark.parametrize(
    ("changes", "sign"),
    [
        ({}, None),
        ({"visibility": "unlisted"}, None),
        ({"visibility": "private"}, "visibility: private"),
        ({"visibility": "direct"}, "visibility: direct"),
        ({"account": {"acct": "mina", "noindex": True}}, "profile: noindex"),
        ({"account": {"acct": "mina", "noindex": False, "note": "<p>I like <b>hats</b></p>"}}, None),
        ({"account": {"acct": "mina", "note": '<p>please <a href="#">#<span>NoBot</span></a></p>'}}, "profile: #nobot"),
        ({"tags": [{"name": "ootd"}, {"name": "NoAI"}]}, "#noai"),
        ({"reblog": {"visibility": "private", "tags": [{"name": "ootd"}]}}, "visibility: private"),
        ({"reblog": {"account": {"noindex": True}}}, "profile: noindex"),
    ],
)
def test_signs_by_which_people_ask_to_be_left_out(changes: dict[str, Any], sign: str | None) -> None:
    assert read(status(1, **changes)).opt_out == sign


def test_a_picture_that_its_server_has_not_fetched_yet_is_taken_from_its_origin() -> None:
    media = [
        {"type": "unknown", "url": None, "remote_url": "https://away.example/a.JPG?x=1"},
        {"type": "unknown", "remote_url": "https://away.example/a.mp4"},
        {"type": "video", "url": "https://sns.example/b.jpg"},
        {"type": "image", "url": "https://sns.example/c", "description": "c"},
        {"type": "unknown", "url": "https://[x/a.jpg"},
        "text",
    ]
    post = read(status(1, media_attachments=media))
    assert [(item.index, item.url, item.alt_text) for item in post.media] == [
        (0, "https://away.example/a.JPG?x=1", None),
        (1, "https://sns.example/c", "c"),
    ]


def test_the_presence_of_a_post_is_asked_of_its_own_server_only() -> None:
    crawler = network(token_env="T", environment=ENVIRONMENT | {"T": "x"})
    row = read(status(7)).to_row(window="w", reason=None, matched=(), crawled_at=datetime.now(UTC))
    page = crawler.presence_page(row)
    assert page is not None
    assert page.url == "https://sns.example/api/v1/statuses/7"
    assert crawler.request(page).headers["Authorization"] == "Bearer x"
    for change in ({"server": "else.example"}, {"url": None}, {"url": "https://sns.example.evil/api/v1/statuses/7"}):
        assert crawler.presence_page(row | change) is None


@pytest.mark.parametrize(
    ("code", "answer", "outcome"),
    [
        (404, None, "deleted"),
        (410, {"error": "gone"}, "deleted"),
        (401, None, "hidden"),
        (403, None, "hidden"),
        (200, {"id": "7"}, "changed"),
        (200, {"error": "x"}, "unverified"),
        (200, [], "unverified"),
        (503, None, "unverified"),
    ],
)
def test_what_the_answer_to_a_single_post_means(code: int, answer: Any, outcome: str) -> None:
    assert network().read_presence(code, answer) == outcome
