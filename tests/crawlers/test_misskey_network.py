import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from crawlers.errors import CrawlError
from crawlers.identity import author_hmac
from crawlers.networks.base import MalformedAnswerError, Page, PageContent, Surroundings
from crawlers.networks.misskey import MisskeyNetwork, MisskeySource
from crawlers.posts import Post
from crawlers.windows import CrawlWindow
from tests.crawlers.network_memory import DictMemory

KEY = bytes.fromhex("00" * 16)
ENVIRONMENT = {"STYLEGRAPH_HMAC_KEY": "00" * 16}
FIXTURES = Path(__file__).parent / "fixtures" / "misskey"
START = datetime(2024, 7, 1, tzinfo=UTC)
WINDOW = CrawlWindow("w", START, START + timedelta(days=31))
PICTURE = {"id": "f1", "type": "image/webp", "url": "https://media.example/1.webp", "isSensitive": False}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**20) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def source(**changes: Any) -> MisskeySource:
    return MisskeySource(**{"name": "mk", "server": "https://mk.example", "hashtags": ["ootd"]} | changes)


def network(several: bool = False, environment: dict[str, str] = ENVIRONMENT, **changes: Any) -> MisskeyNetwork:
    return MisskeyNetwork(source(**changes), Surroundings(environment, WINDOW, several_servers=several))


def fixture(case: str, name: str = "answer") -> Any:
    return json.loads((FIXTURES / case / f"{name}.json").read_text())


def note(native_id: str = "a1", **changes: Any) -> dict[str, Any]:
    return {
        "id": native_id,
        "createdAt": "2024-07-03T12:00:00.000Z",
        "user": {"id": "u1", "username": "mina", "host": None},
        "text": "#ootd",
        "cw": None,
        "visibility": "public",
        "tags": ["ootd"],
        "files": [PICTURE],
        "fileIds": ["f1"],
        "replyId": None,
        "renoteId": None,
    } | changes


def read(crawler: MisskeyNetwork, answer: Any) -> PageContent:
    return crawler.read_page(crawler.first_pages()[0], answer, {}, DictMemory())


def read_one(**changes: Any) -> Post:
    (post,) = read(network(), [note(**changes)]).posts
    return post


def walk(crawler: MisskeyNetwork, server: Callable[[str | None], list[Any]]) -> tuple[list[str], list[str]]:
    memory, pages = DictMemory(), list(crawler.first_pages())
    ids: list[str] = []
    stops: list[str] = []
    for _ in range(2000):
        if not pages:
            return ids, stops
        page = Page(**json.loads(json.dumps(vars(pages.pop(0)))))  # as the journal keeps it
        assert page.body is not None
        content = crawler.read_page(page, server(page.body.get("untilId")), {}, memory)
        ids += [post.post_id.removeprefix("misskey:") for post in content.posts]
        stops += [content.stopped] if content.stopped else []
        pages += content.next_pages
    raise AssertionError("paging does not end")


def test_a_recorded_page_gives_the_expected_posts() -> None:
    expected = fixture("tag_page", "expected")
    content = read(network(), fixture("tag_page", "page"))
    assert (content.malformed, content.stopped) == ((), None)
    assert [page.body for page in content.next_pages] == [expected["next"]]
    for post, want in zip(content.posts, expected["posts"], strict=True):
        assert (post.post_id, post.url, post.server) == (want["post_id"], want["url"], "mk.example")
        assert post.created_at is not None
        assert post.created_at.isoformat() == want["created_at"]
        assert post.author_hmac == author_hmac(want["handle"], "unused", KEY)
        assert list(post.hashtags) == want["hashtags"]
        assert (post.sensitive, post.opt_out, post.identity) == (want["sensitive"], want["opt_out"], want["identity"])
        assert [[m.index, m.url, m.alt_text] for m in post.media] == want["media"]
        assert not post.boost


def test_the_first_page_of_each_hashtag_is_asked_for_by_post() -> None:
    first, second = network(hashtags=["#OOTD", "ファッション"], page_size=30).first_pages()
    assert (first.url, first.body) == ("https://mk.example/api/notes/search-by-tag", {"tag": "ootd", "limit": 30})
    assert second.body == {"tag": "ファッション", "limit": 30}
    assert first.timeline != second.timeline
    assert network().request(first).body == first.body


@settings(deadline=None, max_examples=60)
@given(numbers=st.lists(st.integers(0, 10**6), unique=True, max_size=60), size=st.integers(1, 20))
def test_every_note_is_met_whatever_the_page_size(numbers: list[int], size: int) -> None:
    ids = [f"9v{number:08}" for number in numbers]

    def server(until: str | None) -> list[Any]:
        return [note(native_id) for native_id in sorted(ids, reverse=True) if until is None or native_id < until][:size]

    assert walk(network(), server) == (sorted(ids, reverse=True), [])


@settings(deadline=None, max_examples=60)
@given(numbers=st.lists(st.integers(0, 10**6), unique=True, max_size=60), size=st.integers(2, 20), seed=st.integers())
def test_every_note_is_met_on_pages_without_order(numbers: list[int], size: int, seed: int) -> None:
    ids = [f"9v{number:08}" for number in numbers]
    shuffled = random.Random(seed)

    def server(until: str | None) -> list[Any]:
        page = sorted((native_id for native_id in ids if until is None or native_id < until), reverse=True)[:size]
        return [note(native_id) for native_id in shuffled.sample(page, len(page))]

    met, stops = walk(network(), server)
    assert (set(met), stops) == (set(ids), [])


def test_a_note_that_a_server_places_by_arrival_does_not_hide_the_others() -> None:
    by_arrival = ["a5", "a9", "a1", "a8", "a7", "a6", "a4", "a3", "a2"]

    def server(until: str | None) -> list[Any]:
        return [note(native_id) for native_id in by_arrival if until is None or native_id < until][:3]

    met, stops = walk(network(), server)
    assert (set(met), stops) == (set(by_arrival), [])


def test_dates_do_not_end_a_timeline() -> None:
    ids = [f"a{number}" for number in range(9, 0, -1)]
    dates = {native_id: f"20{10 + int(native_id[1:]) * 7 % 9}-07-03T12:00:00Z" for native_id in ids}

    def server(until: str | None) -> list[Any]:
        return [note(i, createdAt=dates[i]) for i in ids if until is None or i < until][:2]

    assert walk(network(), server) == (ids, [])


def test_a_short_page_is_no_end() -> None:
    pages = {None: ["a9", "a8", "a7"], "a7": ["a6"], "a6": ["a5", "a4", "a3"], "a3": []}
    ids, _ = walk(network(), lambda until: [note(native_id) for native_id in pages[until]])
    assert ids == ["a9", "a8", "a7", "a6", "a5", "a4", "a3"]


def test_a_server_that_ignores_the_cursor_is_left_after_a_page_without_news() -> None:
    assert walk(network(), lambda _: [note("a3"), note("a2"), note("a1")])[0] == ["a3", "a2", "a1"] * 2


def test_a_server_that_repeats_its_cursor_is_left() -> None:
    numbers = iter(range(10**6, 0, -1))
    ids, _ = walk(network(), lambda _: [note(f"b{next(numbers):07}"), note("a")])
    assert len(ids) == 4


def test_endless_paging_ends_at_the_limit_and_says_so() -> None:
    numbers = iter(range(10**6, 0, -1))
    ids, stops = walk(network(max_pages=3), lambda _: [note(f"a{next(numbers):07}")])
    assert len(ids) == 3
    assert stops == ["#ootd on mk.example: max_pages (3) is reached before its end"]


def test_a_page_that_names_no_note_stops_the_timeline_and_says_so() -> None:
    content = read(network(), [{"text": "x"}])
    assert content.malformed == ("note has no usable id",)
    assert content.stopped is not None
    assert "no note with an id" in content.stopped
    assert read(network(), []) == PageContent()


def test_a_second_hashtag_is_paged_to_its_own_end() -> None:
    crawler, memory = network(hashtags=["a", "b"]), DictMemory()
    for page in crawler.first_pages():
        assert crawler.read_page(page, [note("a1")], {}, memory).next_pages


def test_ids_carry_the_server_when_there_are_several() -> None:
    crawler = network(several=True, server="https://MK.example:8443")
    (post,) = read(crawler, [note("a1")]).posts
    assert post.post_id == "misskey:mk.example:8443/a1"
    assert source(server="https://MK.example:8443").server_names() == frozenset({"mk.example:8443"})
    page = crawler.presence_page({"post_id": post.post_id, "server": post.server})
    assert page is not None
    assert page.body == {"noteId": "a1"}


def test_a_note_seen_elsewhere_has_the_identity_of_its_origin() -> None:
    here = read_one(native_id="a1")
    (there,) = read(network(server="https://other.example"), [note("z9", uri="https://mk.example/notes/a1")]).posts
    assert here.identity == there.identity
    (capital,) = read(network(server="https://MK.example"), [note("a1")]).posts
    assert capital.identity == here.identity


def test_a_pure_renote_is_a_boost_with_the_content_of_the_other() -> None:
    inner = note("a0", tags=["inner"], createdAt="2018-01-01T00:00:00Z")
    own: dict[str, Any] = {"text": None, "files": [], "fileIds": [], "tags": None, "renoteId": "a0", "renote": inner}
    post = read_one(**own)
    assert (post.post_id, post.boost, post.hashtags, len(post.media)) == ("misskey:a1", True, ("inner",), 1)
    assert post.created_at is not None
    assert post.created_at.year == 2024
    assert read_one(**own | {"renote": None}).boost
    assert read_one(**own | {"renote": inner | {"visibility": "followers"}}).opt_out == "visibility: followers"
    assert read_one(**own | {"visibility": "followers"}).opt_out == "visibility: followers"
    hidden = inner | {"user": {"username": "x", "preventAiLearning": True}}
    assert read_one(**own | {"renote": hidden}).opt_out == "profile: preventAiLearning"


@pytest.mark.parametrize(
    "own", [{"text": "look"}, {"cw": ""}, {"poll": {"choices": []}}, {"replyId": "x"}, {"files": [PICTURE]}]
)
def test_a_quote_is_the_authors_own(own: dict[str, Any]) -> None:
    bare = {"text": None, "files": [], "fileIds": [], "tags": ["mine"], "renoteId": "a0", "renote": note("a0")}
    post = read_one(**bare | own)
    assert (post.boost, post.hashtags, len(post.media)) == (False, ("mine",), len(own.get("files", [])))


@pytest.mark.parametrize(
    ("changes", "sensitive"),
    [
        ({}, False),
        ({"cw": ""}, False),
        ({"cw": "food"}, True),
        ({"files": [PICTURE | {"isSensitive": True}]}, True),
        ({"files": [PICTURE, {"type": "video/mp4", "url": "https://x.example/v", "isSensitive": True}]}, False),
    ],
)
def test_a_warning_or_a_sensitive_picture_makes_a_note_sensitive(changes: dict[str, Any], sensitive: bool) -> None:
    assert read_one(**changes).sensitive is sensitive


@pytest.mark.parametrize(
    ("changes", "opt_out"),
    [
        ({"visibility": "home"}, None),
        ({"visibility": "followers"}, "visibility: followers"),
        ({"visibility": "specified"}, "visibility: specified"),
        ({"visibility": ["public"]}, "visibility: unknown"),
        ({"isHidden": True}, "visibility: hidden"),
        ({"user": {"username": "m", "requireSigninToViewContents": True}}, "profile: requireSigninToViewContents"),
        ({"user": {"username": "m", "noCrawle": True}}, "profile: noCrawle"),
        ({"user": {"username": "m", "preventAiLearning": True}}, "profile: preventAiLearning"),
        ({"user": {"username": "m", "preventAiLearning": "no"}}, None),
        ({"user": {"username": "m", "noindex": True}}, "profile: noindex"),
        ({"user": {"username": "m", "description": "art #NoBot"}}, "profile: #nobot"),
        ({"tags": ["ootd", "noai"]}, "#noai"),
    ],
)
def test_signs_against_being_collected_are_named(changes: dict[str, Any], opt_out: str | None) -> None:
    assert read_one(**changes).opt_out == opt_out


def test_hashtags_are_compared_in_the_form_that_misskey_keeps() -> None:
    assert network(hashtags=["ｏｏｔｄ"]).hashtags == frozenset({"ｏｏｔｄ", "ootd"})


def test_an_edit_has_its_date() -> None:
    post = read_one(updatedAt="2024-07-04T00:00:00Z", lang="ja")
    assert post.edited_at == datetime(2024, 7, 4, tzinfo=UTC)
    assert post.language == "ja"
    assert read_one(updatedAt=None).edited_at is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"id": None}, "note has no usable id"),
        ({"createdAt": "soon"}, "which is none"),
        ({"createdAt": None}, "no usable createdAt"),
        ({"updatedAt": "later"}, "which is none"),
        ({"user": None}, "no usable username"),
        ({"user": {"username": ["m"]}}, "no usable username"),
    ],
)
def test_an_entry_that_is_no_note_is_named_and_the_rest_goes_on(changes: dict[str, Any], words: str) -> None:
    content = read(network(), [note("a2") | changes, note("a1")])
    assert [post.post_id for post in content.posts] == ["misskey:a1"]
    assert words in content.malformed[0]


@settings(deadline=None)
@given(
    field=st.sampled_from([*note(), "renote", "uri", "updatedAt", "lang", "poll"]), value=JSON, entry=JSON, whole=JSON
)
def test_answers_of_any_form_are_survived(field: str, value: Any, entry: Any, whole: Any) -> None:
    renote = note("a3", text=None, files=[], fileIds=[], renote=note("a0") | {field: value})
    content = read(
        network(), [note("a2") | {field: value}, renote, note("a1", files=[PICTURE | {"url": value}]), entry]
    )
    assert len(content.posts) + len(content.malformed) == 4
    try:
        assert isinstance(read(network(), whole), PageContent)
    except MalformedAnswerError:
        assert not isinstance(whole, list)
    for status in (200, 400, 404, 500):
        assert network().read_presence(status, whole) in ("unverified", "changed", "hidden")
        assert network().read_presence(status, {"error": value}) == "unverified"


@pytest.mark.parametrize("answer", [None, {"error": {"code": "INTERNAL_ERROR"}}, "x"])
def test_an_answer_that_is_no_page_is_an_error(answer: Any) -> None:
    with pytest.raises(MalformedAnswerError, match="a list of notes"):
        read(network(), answer)


def test_a_refusal_is_not_foreseen() -> None:
    crawler = network()
    refusal = {"error": {"code": "CREDENTIAL_REQUIRED"}}
    assert crawler.read_refusal(crawler.first_pages()[0], 401, refusal, DictMemory()) is None


def test_a_token_is_sent_in_a_header_and_shows_nowhere() -> None:
    crawler = network(environment=ENVIRONMENT | {"MK_TOKEN": "abc-secret"}, token_env="MK_TOKEN")
    (page,) = crawler.first_pages()
    request = crawler.request(page)
    assert request.headers["Authorization"] == "Bearer abc-secret"
    assert "abc-secret" not in repr((page, request))
    assert "Authorization" not in network().request(page).headers


def test_a_missing_token_or_key_is_named() -> None:
    with pytest.raises(CrawlError, match=r"set MK_TOKEN to an access token of https://mk\.example"):
        network(token_env="MK_TOKEN")
    with pytest.raises(CrawlError, match="STYLEGRAPH_HMAC_KEY is not set"):
        network(environment={})


@pytest.mark.parametrize(
    "changes",
    [
        {"server": "mk.example"},
        {"server": "http://mk.example", "token_env": "MK_TOKEN"},
        {"hashtags": []},
        {"page_size": 0},
        {"page_size": 101},
        {"token_env": "not a name"},
    ],
)
def test_settings_that_cannot_work_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        source(**changes)


@pytest.mark.parametrize("case", ["show", "no_such_note", "signin_required"])
def test_the_presence_of_a_note_is_asked_for_by_its_id(case: str) -> None:
    crawler = network()
    page = crawler.presence_page({"post_id": "misskey:9v1aa0005x", "server": "mk.example"})
    assert page is not None
    assert (page.url, page.body) == ("https://mk.example/api/notes/show", {"noteId": "9v1aa0005x"})
    expected = fixture(case, "expected")
    assert crawler.read_presence(expected["status"], fixture(case)) == expected["presence"]


def test_a_note_that_is_there_but_hidden_or_not_of_this_server() -> None:
    crawler = network()
    assert crawler.read_presence(200, note("a1", visibility="followers")) == "hidden"
    assert crawler.read_presence(200, note("a1", isHidden=True)) == "hidden"
    assert crawler.read_presence(403, None) == "hidden"
    assert crawler.read_presence(502, None) == "unverified"
    assert crawler.presence_page({"post_id": "misskey:a1", "server": "other.example"}) is None
    assert crawler.presence_page({"post_id": "mastodon:a1", "server": "mk.example"}) is None
