import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from crawlers.errors import CrawlError
from crawlers.identity import author_hmac
from crawlers.networks import flickr
from crawlers.networks.base import MalformedAnswerError, Page, PageContent, RefusedAnswerError, Surroundings
from crawlers.networks.flickr import FlickrNetwork, FlickrSource
from crawlers.windows import CrawlWindow
from tests.crawlers.network_memory import DictMemory

KEY = bytes.fromhex("00" * 16)
API_KEY = "0123456789abcdef0123456789abcdef"
ENVIRONMENT = {"STYLEGRAPH_HMAC_KEY": "00" * 16, "FLICKR_KEY": API_KEY}
FIXTURES = Path(__file__).parent / "fixtures" / "flickr"
START = datetime(2019, 7, 1, tzinfo=UTC)
FIRST = int(START.timestamp())
HOUR = CrawlWindow("w", START, START + timedelta(hours=1))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**20) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def source(**changes: Any) -> FlickrSource:
    return FlickrSource(**{"name": "photos", "hashtags": ["ootd"], "key_env": "FLICKR_KEY"} | changes)


def network(window: CrawlWindow = HOUR, **changes: Any) -> FlickrNetwork:
    return FlickrNetwork(source(**changes), Surroundings(ENVIRONMENT, window))


def fixture(case: str, name: str = "answer") -> Any:
    return json.loads((FIXTURES / case / f"{name}.json").read_text())


def photo(number: int | str = 1, **changes: Any) -> dict[str, Any]:
    return {
        "id": str(number),
        "owner": "12037949754@N01",
        "title": "Linen",
        "ispublic": 1,
        "license": "4",
        "dateupload": str(FIRST),
        "tags": "ootd",
        "media": "photo",
        "url_o": f"https://live.example/{number}_o.jpg",
    } | changes


def answer(photos: list[Any], total: int | str | None = None, **changes: Any) -> dict[str, Any]:
    total = len(photos) if total is None else total
    return {"photos": {"page": 1, "perpage": 500, "total": total, "photo": photos} | changes, "stat": "ok"}


def read(crawler: FlickrNetwork, content: Any) -> PageContent:
    return crawler.read_page(crawler.first_pages()[0], content, {}, DictMemory())


def query(page: Page) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


class SimulatedFlickr:
    """Answers like flickr.photos.search: both dates inclusive, and past the limit only repetitions."""

    def __init__(self, uploads: dict[int, int], limit: int, overstated: float = 1.0) -> None:
        self.uploads, self.limit, self.overstated = uploads, limit, overstated
        self.requests = 0

    def __call__(self, page: Page) -> dict[str, Any]:
        self.requests += 1
        asked = query(page)
        first, last = int(asked["min_upload_date"]), int(asked["max_upload_date"])
        size, number = int(asked["per_page"]), int(asked["page"])
        found = sorted((second, photo_id) for photo_id, second in self.uploads.items() if first <= second <= last)
        shown = found[: self.limit]
        start = (number - 1) * size
        if start >= self.limit:
            start = max(0, self.limit - size)
        photos = [photo(photo_id, dateupload=str(second)) for second, photo_id in shown[start : start + size]]
        return answer(photos, str(int(len(found) * self.overstated)), perpage=size, page=number)


def walk(crawler: FlickrNetwork, server: Callable[[Page], Any]) -> tuple[list[str], list[str], list[tuple[str, str]]]:
    memory, pages = DictMemory(), list(crawler.first_pages())
    ids: list[str] = []
    stops: list[str] = []
    counts: list[tuple[str, str]] = []
    for _ in range(5000):
        if not pages:
            return ids, stops, counts
        page = Page(**json.loads(json.dumps(vars(pages.pop()))))  # as the journal keeps it
        content = crawler.read_page(page, server(page), {}, memory)
        ids += [post.post_id.removeprefix("flickr:") for post in content.posts]
        stops += [content.stopped] if content.stopped else []
        counts += content.counts
        pages += content.next_pages
    raise AssertionError("paging does not end")


def test_a_recorded_page_gives_the_expected_posts() -> None:
    expected = fixture("search", "expected")
    content = read(network(), fixture("search", "page"))
    assert list(content.malformed) == expected["malformed"]
    assert (content.next_pages, content.stopped) == ((), None)
    for post, want in zip(content.posts, expected["posts"], strict=True):
        assert (post.post_id, post.url, post.server) == (want["post_id"], want["url"], "api.flickr.com")
        assert post.created_at is not None
        assert post.created_at.isoformat() == want["created_at"]
        assert post.author_hmac == author_hmac(want["owner"], "flickr", KEY)
        assert list(post.hashtags) == want["hashtags"]
        assert (post.license, post.opt_out, post.identity) == (want["license"], want["opt_out"], None)
        assert [[m.index, m.url, m.alt_text] for m in post.media] == want["media"]


def test_the_query_asks_for_public_photos_of_the_window() -> None:
    (page,) = network(hashtags=["ootd", "ファッション"], licenses=[4, 9]).first_pages()
    asked = query(page)
    assert page.url.startswith("https://api.flickr.com/services/rest/?method=flickr.photos.search&")
    assert (asked["min_upload_date"], asked["max_upload_date"]) == (str(FIRST), str(FIRST + 3599))
    assert (asked["tags"], asked["tag_mode"], asked["license"]) == ("ootd,ファッション", "any", "4,9")
    assert (asked["per_page"], asked["page"], asked["sort"]) == ("500", "1", "date-posted-asc")
    assert (asked["media"], asked["content_type"], asked["privacy_filter"]) == ("photos", "1", "1")
    assert (asked["safe_search"], asked["format"], asked["nojsoncallback"]) == ("1", "json", "1")
    (unsafe,) = network(include_sensitive=True).first_pages()
    assert query(unsafe)["safe_search"] == "3"


def test_a_window_within_seconds_is_rounded_to_the_seconds_in_it() -> None:
    half = timedelta(milliseconds=500)
    (page,) = network(CrawlWindow("w", START + half, START + timedelta(seconds=2) + half)).first_pages()
    assert (query(page)["min_upload_date"], query(page)["max_upload_date"]) == (str(FIRST + 1), str(FIRST + 2))
    assert not network(CrawlWindow("w", START + half / 2, START + half)).first_pages()


def test_many_tags_are_asked_for_twenty_at_a_time() -> None:
    pages = network(hashtags=[f"tag{number:02}" for number in range(45)]).first_pages()
    assert [len(query(page)["tags"].split(",")) for page in pages] == [20, 20, 5]
    assert len({page.timeline for page in pages}) == 3


@pytest.mark.parametrize("overstated", [1.0, 1.03])
def test_a_window_with_more_photos_than_a_query_gives_is_read_completely(
    monkeypatch: pytest.MonkeyPatch, overstated: float
) -> None:
    monkeypatch.setattr(flickr, "RESULT_LIMIT", 40)
    uploads = {1000 + n: FIRST + (n * n) % 3600 for n in range(700)} | {5000 + n: FIRST + 1800 for n in range(30)}
    server = SimulatedFlickr(uploads, 40, overstated)
    ids, stops, _ = walk(network(page_size=10), server)
    assert set(map(int, ids)) == set(uploads)
    assert not stops


@settings(deadline=None, max_examples=50)
@given(seconds=st.lists(st.integers(0, 3599), max_size=80), size=st.integers(1, 9))
def test_every_photo_of_the_window_is_met_whatever_its_second(seconds: list[int], size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flickr, "RESULT_LIMIT", 20)
        uploads = {number: FIRST + second for number, second in enumerate([*seconds, 0, 3599], 1)}
        outside = {900: FIRST - 1, 901: FIRST + 3600}
        ids, stops, _ = walk(network(page_size=size), SimulatedFlickr(uploads | outside, 20))
    crowded = any(seconds.count(second) > 18 for second in seconds)
    assert set(map(int, ids)) == set(uploads) or crowded
    assert not stops or crowded


def test_a_second_with_too_many_photos_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flickr, "RESULT_LIMIT", 40)
    uploads = dict.fromkeys(range(1, 60), FIRST + 7) | {100: FIRST + 900}
    ids, stops, _ = walk(network(page_size=10), SimulatedFlickr(uploads, 40))
    assert stops == ["#ootd on Flickr: 59 photos were uploaded at 2019-07-01 00:00:07+00:00, and only 40 can be read"]
    assert set(map(int, ids)) == {*range(1, 41), 100}


def test_a_span_that_gives_far_fewer_photos_than_announced_is_halved() -> None:
    uploads = {number: FIRST + number for number in range(1, 200)}

    def forgetful(page: Page) -> Any:
        asked = query(page)
        whole = SimulatedFlickr(uploads, 4000)(page)
        if int(asked["max_upload_date"]) - int(asked["min_upload_date"]) > 1000:
            whole["photos"]["photo"] = whole["photos"]["photo"][::3]
        return whole

    ids, stops, _ = walk(network(page_size=50), forgetful)
    assert set(map(int, ids)) == set(uploads)
    assert not stops


def test_photos_that_are_announced_and_never_shown_are_counted() -> None:
    content = read(network(), answer([photo(1), photo(2)], 5))
    assert content.counts == (("photo", "announced_only"),) * 3
    assert (content.next_pages, content.stopped) == ((), None)


def test_a_server_with_smaller_pages_is_read_to_the_end() -> None:
    content = read(network(), answer([photo(1), photo(2)], 5, perpage=2))
    assert [query(page)["page"] for page in content.next_pages] == ["2"]


def test_endless_halving_ends_at_the_limit_and_says_so() -> None:
    _, stops, _ = walk(network(max_pages=5), lambda _: answer([photo(1)], 10**9))
    assert stops[0] == "#ootd on Flickr: max_pages (5) is reached before its end"


def test_the_api_key_shows_in_the_request_only() -> None:
    crawler = network()
    (page,) = crawler.first_pages()
    request = crawler.request(page)
    assert request.url == f"{page.url}&api_key={API_KEY}"
    assert API_KEY not in repr(page)
    assert API_KEY not in repr(request)
    with pytest.raises(RefusedAnswerError) as caught:
        read(crawler, {"stat": "fail", "code": 18, "message": f"Illogical arguments for {API_KEY}"})
    assert str(caught.value) == "#ootd on Flickr: Flickr does not answer the query (code 18: Illogical arguments for …)"


def test_a_key_that_is_not_taken_is_named_by_its_variable() -> None:
    crawler = network()
    for refuse in (
        lambda: read(crawler, fixture("invalid_key")),
        lambda: crawler.read_refusal(crawler.first_pages()[0], 403, fixture("invalid_key"), DictMemory()),
    ):
        with pytest.raises(RefusedAnswerError) as caught:
            refuse()
        assert str(caught.value) == fixture("invalid_key", "expected")["stopped"]
    assert crawler.read_refusal(crawler.first_pages()[0], 403, None, DictMemory()) is None


@pytest.mark.parametrize("code", [0, 10, 105, "105", 106, 201])
def test_a_passing_failure_is_asked_again(code: int | str) -> None:
    with pytest.raises(MalformedAnswerError, match="unavailable"):
        read(network(), fixture("unavailable") | {"code": code})


def test_the_message_of_a_passing_failure_is_the_expected_one() -> None:
    with pytest.raises(MalformedAnswerError) as caught:
        read(network(), fixture("unavailable"))
    assert str(caught.value) == fixture("unavailable", "expected")["error"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"environment": {"STYLEGRAPH_HMAC_KEY": "00" * 16}}, "set FLICKR_KEY to a Flickr API key"),
        ({"environment": ENVIRONMENT | {"FLICKR_KEY": "a b"}}, "set FLICKR_KEY to a Flickr API key"),
        ({"environment": {"FLICKR_KEY": API_KEY}}, "STYLEGRAPH_HMAC_KEY is not set"),
    ],
)
def test_a_missing_key_is_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(CrawlError, match=words):
        FlickrNetwork(source(), Surroundings(window=HOUR, **changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"server": "http://flickr.example"},
        {"hashtags": []},
        {"hashtags": ["a,b"]},
        {"hashtags": ["-ootd"]},
        {"hashtags": ["__"]},
        {"page_size": 501},
        {"page_size": 0},
        {"licenses": [-1]},
        {"key_env": "not a name"},
    ],
)
def test_settings_that_cannot_work_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        source(**changes)


def test_a_local_server_may_be_asked_over_http() -> None:
    (page,) = network(server="http://127.0.0.1:8099/", allow_hosts=["127.0.0.1"]).first_pages()
    assert page.url.startswith("http://127.0.0.1:8099/services/rest/?")
    assert page.server == "127.0.0.1:8099"
    assert source().server_names() == frozenset()


def test_a_tag_is_also_met_without_its_punctuation() -> None:
    assert network(hashtags=["street_style"]).hashtags == frozenset({"street_style", "streetstyle"})


def test_photos_under_other_licences_are_only_counted() -> None:
    content = read(network(licenses=[4]), answer([photo(1), photo(2, license="0"), photo(3, license=None)]))
    assert [post.post_id for post in content.posts] == ["flickr:1"]
    assert content.counts == (("photo", "other_license"),) * 2


@pytest.mark.parametrize(
    ("changes", "license_text", "opt_out", "urls"),
    [
        ({"license": 9}, "https://creativecommons.org/publicdomain/zero/1.0/", None, 1),
        ({"license": "77"}, "flickr:77", None, 1),
        ({"license": "free"}, None, None, 1),
        ({"ispublic": 0}, "https://creativecommons.org/licenses/by/2.0/", "visibility: private", 1),
        ({"url_o": 7}, "https://creativecommons.org/licenses/by/2.0/", None, 0),
        ({"title": {"_content": "Linen"}}, "https://creativecommons.org/licenses/by/2.0/", None, 1),
    ],
)
def test_fields_are_read_for_what_they_are(
    changes: dict[str, Any], license_text: str | None, opt_out: str | None, urls: int
) -> None:
    (post,) = read(network(), answer([photo(1, **changes)])).posts
    assert (post.license, post.opt_out, len(post.media)) == (license_text, opt_out, urls)
    assert [item.alt_text for item in post.media] == ["Linen"] * urls


@pytest.mark.parametrize(
    "content",
    [None, [], "x", {}, {"photos": []}, {"photos": {"photo": {}}}, answer([], "many"), answer([], -1), answer([], "²")],
)
def test_an_answer_that_is_no_page_is_an_error(content: Any) -> None:
    with pytest.raises(MalformedAnswerError):
        read(network(), content)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"id": "../x"}, "has the id '../x', which is no number"),
        ({"id": None}, "no usable id"),
        ({"owner": []}, "no usable owner"),
        ({"dateupload": "soon"}, "which is no number"),
        ({"dateupload": 10**15}, "which is no number"),
        ({"dateupload": True}, "no usable dateupload"),
    ],
)
def test_an_entry_that_is_no_photo_is_named_and_the_rest_goes_on(changes: dict[str, Any], words: str) -> None:
    content = read(network(), answer([photo(2, **changes), photo(1)]))
    assert [post.post_id for post in content.posts] == ["flickr:1"]
    assert words in content.malformed[0]


@settings(deadline=None)
@given(
    field=st.sampled_from([*photo(), "url_k"]),
    value=JSON,
    entry=JSON,
    whole=JSON,
    name=st.sampled_from(["total", "perpage", "photo"]),
)
def test_answers_of_any_form_are_survived(field: str, value: Any, entry: Any, whole: Any, name: str) -> None:
    content = read(network(), answer([photo(1, **{field: value}), entry]))
    assert len(content.posts) + len(content.malformed) == 2
    for hostile in (whole, {"photos": whole, "stat": "ok"}, answer([photo(1)], **{name: value})):
        try:
            assert isinstance(read(network(), hostile), PageContent)
        except (MalformedAnswerError, RefusedAnswerError):
            continue
    with pytest.raises(RefusedAnswerError):
        read(network(), {"stat": "fail", "code": ["x", value], "message": value})
    assert network().read_presence(200, whole) in ("unverified", "changed")


def test_the_presence_of_a_photo_is_asked_for_by_its_id() -> None:
    crawler = network()
    page = crawler.presence_page({"post_id": "flickr:48196000001", "server": "api.flickr.com", "url": None})
    assert page is not None
    assert (query(page)["method"], query(page)["photo_id"]) == ("flickr.photos.getInfo", "48196000001")
    assert "api_key" not in page.url
    assert crawler.presence_page({"post_id": "mastodon:x"}) is None
    for case in ("info", "info_not_found"):
        assert crawler.read_presence(200, fixture(case)) == fixture(case, "expected")["presence"]
    assert crawler.read_presence(200, {"stat": "fail", "code": 2}) == "hidden"
    assert crawler.read_presence(200, fixture("unavailable")) == "unverified"
    assert crawler.read_presence(500, None) == "unverified"
