import base64
import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from crawlers.errors import CrawlError
from crawlers.identity import author_hmac
from crawlers.networks.base import MalformedAnswerError, Page, PageContent, Surroundings
from crawlers.networks.bluesky import BlueskyNetwork, BlueskySource
from crawlers.networks.bluesky_records import blob_sha256
from crawlers.posts import Post
from crawlers.windows import CrawlWindow
from tests.crawlers.network_memory import DictMemory

KEY = bytes.fromhex("00" * 16)
ENVIRONMENT = {"STYLEGRAPH_HMAC_KEY": "00" * 16, "BSKY_TOKEN": "abc-secret"}
WINDOW = CrawlWindow("2024-01", datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC))
FIXTURES = Path(__file__).parent / "fixtures" / "bluesky"
MINA = "did:plc:doajmhbsfeap2gupzghlqncf"
OTHER = "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb"
SITE = "did:web:looks.example"
HIDDEN = "did:plc:cccccccccccccccccccccccc"
HEX = author_hmac(MINA, "bluesky", KEY)
SYNC = f"repository {HEX[:12]} on pds.example"


def recorded(name: str) -> Any:
    return json.loads((FIXTURES / f"{name}.json").read_text())


def search(**changes: Any) -> BlueskyNetwork:
    values = {"name": "bsky", "server": "https://view.example", "mode": "search", "hashtags": ["ootd"]} | changes
    return BlueskyNetwork(BlueskySource(**values), Surroundings(ENVIRONMENT, WINDOW))


def sync(**changes: Any) -> BlueskyNetwork:
    values = {"name": "bsky", "server": "https://pds.example", "mode": "sync"} | changes
    return BlueskyNetwork(BlueskySource(**values), Surroundings(ENVIRONMENT, WINDOW))


def read(network: BlueskyNetwork, page: Page, answer: Any, memory: DictMemory | None = None) -> PageContent:
    """Read an answer to a page as it comes out of a journal."""
    kept = Page(page.url, page.timeline, page.server, page.body, json.loads(json.dumps(page.context)))
    return network.read_page(kept, answer, {}, memory or DictMemory())


def records_page(network: BlueskyNetwork, memory: DictMemory | None = None) -> Page:
    memory = memory or DictMemory()
    listed = read(network, network.first_pages()[0], recorded("sync/repositories"), memory)
    return read(network, listed.next_pages[0], recorded("sync/profile"), memory).next_pages[0]


def query(page: Page) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(page.url).query))


def cid_of(content: bytes, prefix: bytes = bytes.fromhex("01551220")) -> str:
    return "b" + base64.b32encode(prefix + hashlib.sha256(content).digest()).decode().lower().rstrip("=")


def record(number: int = 1, did: str = MINA, **changes: Any) -> dict[str, Any]:
    image = {"alt": "", "image": {"$type": "blob", "ref": {"$link": cid_of(b"x")}, "mimeType": "image/jpeg", "size": 1}}
    value = {
        "$type": "app.bsky.feed.post",
        "createdAt": "2024-01-05T10:00:00.000Z",
        "tags": ["ootd"],
        "embed": {"$type": "app.bsky.embed.images", "images": [image]},
    } | changes
    return {"uri": f"at://{did}/app.bsky.feed.post/3k{number:011d}", "cid": "bafyreiabc", "value": value}


def view(number: int = 1, did: str = MINA, reason: Any = None, labels: Any = (), **changes: Any) -> dict[str, Any]:
    listed = record(number, did, **changes)
    author = {"did": did, "handle": "mina-looks.test", "labels": []}
    shown = {"uri": listed["uri"], "cid": "x", "author": author, "record": listed["value"], "labels": list(labels)}
    return shown | ({"reason": reason} if reason else {})


def one(**changes: Any) -> Post:
    network = sync()
    (post,) = read(network, records_page(network), {"records": [record(**changes)]}).posts
    return post


# --- settings


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mode": "search", "hashtags": ()}, "a search needs at least one"),
        ({"mode": "search", "accounts": ("a.example",)}, "a search covers all accounts"),
        ({"mode": "search", "token_env": "T", "server": "http://view.example"}, "only sent over https"),
        ({"token_env": "T"}, "read without a token"),
        ({"accounts": ("mina",)}, "is no account"),
        ({"accounts": ("did:key:z6Mk",)}, "is no account"),
        ({"accounts": ("a.example", "@A.example")}, "named twice"),
        ({"page_size": 101}, "less than or equal to 100"),
    ],
)
def test_settings_that_do_not_fit_are_explained(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        BlueskySource(**{"name": "b", "server": "https://a.example", "mode": "sync", "hashtags": ["x"]} | changes)


def test_every_field_is_described() -> None:
    own = set(BlueskySource.model_fields) - {"kind"}
    assert [name for name in own if not BlueskySource.model_fields[name].description] == []
    source = BlueskySource(name="b", server="https://a.example", mode="sync", plc_directory="")
    assert source.plc_directory is None


def test_a_missing_token_or_key_is_named() -> None:
    with pytest.raises(CrawlError, match=r"set NO_TOKEN to an access token of https://view\.example"):
        search(token_env="NO_TOKEN")
    source = BlueskySource(name="b", server="https://a.example", mode="sync")
    with pytest.raises(CrawlError, match="STYLEGRAPH_HMAC_KEY is not set"):
        BlueskyNetwork(source, Surroundings({}, WINDOW))


# --- content identifiers


def test_the_sha256_is_read_from_a_cid() -> None:
    # the example of https://atproto.com/specs/blob, converted from base 32 as one number
    example = "bafkreibjfgx2gprinfvicegelk5kosd6y2frmqpqzwqkg7usac74l3t2v4"
    assert blob_sha256(example) == "2929afa33e28696a8110c45abaa7487ec68b1641f0cda0a37e9200bfc5ee7aaf"
    assert blob_sha256(cid_of(b"picture 0")) == hashlib.sha256(b"picture 0").hexdigest()
    assert cid_of(b"picture 0") == "bafkreifwqzhn6jz3bvtbx7e3i777fihv4lu6nv53o3eob6uhd23wwffshu"


@pytest.mark.parametrize(
    "cid",
    [
        "",
        cid_of(b"x", bytes.fromhex("01711220")),  # dag-cbor
        cid_of(b"x", bytes.fromhex("01551320")),  # another hash
        cid_of(b"x", bytes.fromhex("00551220")),
        cid_of(b"x").upper(),
        cid_of(b"x") + "a",
        cid_of(b"x")[:-1],
        cid_of(b"x")[:-1] + "b",  # bits beyond the last byte
        "QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n",
    ],
)
def test_another_form_of_cid_gives_no_sha256(cid: str) -> None:
    assert blob_sha256(cid) is None


# --- repositories


def test_every_active_account_of_a_server_is_asked_for_its_profile() -> None:
    network = sync()
    (first,) = network.first_pages()
    assert first.url == "https://pds.example/xrpc/com.atproto.sync.listRepos?limit=1000"
    content = read(network, first, recorded("sync/repositories"))
    assert content.counts == (("account", "inactive"), ("account", "inactive"))
    *profiles, following = content.next_pages
    assert [query(page)["repo"] for page in profiles] == [MINA, "did:plc:h5a4jffli5sektoplhbe2na4"]
    assert (query(profiles[0])["collection"], query(profiles[0])["rkey"]) == ("app.bsky.actor.profile", "self")
    assert profiles[0].timeline == SYNC
    assert query(following)["cursor"] == recorded("sync/repositories")["cursor"]


def test_a_list_of_repositories_ends_without_cursor_or_news_or_with_an_old_cursor() -> None:
    network = sync()
    (page,) = network.first_pages()
    repos = recorded("sync/repositories")["repos"]
    assert len(read(network, page, {"repos": repos}).next_pages) == 2
    memory = DictMemory()
    assert len(read(network, page, {"repos": repos[:1], "cursor": "a"}, memory).next_pages) == 2
    assert len(read(network, page, {"repos": repos[1:2], "cursor": "a"}, memory).next_pages) == 1
    assert read(network, page, {"repos": repos[:2], "cursor": "b"}, memory).next_pages == ()
    assert read(network, page, {"repos": [], "cursor": "c"}, memory).next_pages == ()


def test_an_account_without_profile_is_read_and_one_that_opted_out_is_not() -> None:
    network, memory = sync(), DictMemory()
    profile = read(network, network.first_pages()[0], recorded("sync/repositories"), memory).next_pages[0]
    assert read(network, profile, recorded("sync/profile_opted_out")).counts == (("account", "opted_out"),)
    described = {"value": {"description": "no robots please #NoBot"}}
    assert read(network, profile, described) == PageContent(counts=(("account", "opted_out"),))
    content = network.read_refusal(profile, 400, recorded("sync/no_profile"), memory)
    assert content is not None
    assert query(content.next_pages[0]) == {"repo": MINA, "collection": "app.bsky.feed.post", "limit": "100"}
    again = network.read_refusal(profile, 400, recorded("sync/no_profile"), memory)
    assert again == PageContent()  # the account was named twice


@pytest.mark.parametrize(
    "error",
    ["RepoNotFound", "RepoDeactivated", "RepoSuspended", "RepoTakendown", "AccountDeactivated", "AccountTakedown"],
)
def test_an_account_that_is_gone_is_counted(error: str) -> None:
    network = sync()
    profile = read(network, network.first_pages()[0], recorded("sync/repositories")).next_pages[0]
    for page in (profile, records_page(network)):
        gone = network.read_refusal(page, 400, {"error": error, "message": MINA}, DictMemory())
        assert gone == PageContent(counts=(("account", "gone"),))


def test_an_account_that_is_gone_may_have_no_name_for_it() -> None:
    network = sync()
    listed = read(network, network.first_pages()[0], recorded("sync/repositories"))
    unclear = network.read_refusal(listed.next_pages[0], 400, recorded("sync/profile_of_the_gone"), DictMemory())
    assert unclear is not None
    (page,) = unclear.next_pages
    gone = network.read_refusal(page, 400, recorded("sync/records_of_the_gone"), DictMemory())
    assert gone == PageContent(counts=(("account", "gone"),))


@pytest.mark.parametrize(
    "answer", [None, [], {"error": 7}, {"error": "RateLimitExceeded"}, {"error": "RecordNotFound"}]
)
def test_another_refusal_is_not_foreseen(answer: Any) -> None:
    network = sync()
    assert network.read_refusal(records_page(network), 400, answer, DictMemory()) is None
    assert network.read_refusal(records_page(network), 503, {"error": "RepoNotFound"}, DictMemory()) is None
    assert network.read_refusal(network.first_pages()[0], 400, {"error": "RepoNotFound"}, DictMemory()) is None


def test_recorded_posts_are_read_to_the_end_of_the_repository() -> None:
    network, memory = sync(), DictMemory()
    page = records_page(network)
    posts: list[Post] = []
    malformed: list[str] = []
    for number in (1, 2, 3):
        content = read(network, page, recorded(f"sync/records_{number}"), memory)
        posts += content.posts
        malformed += content.malformed
        assert len(content.next_pages) == (number < 3)
        page = content.next_pages[0] if content.next_pages else page
    assert malformed == ["post 3n367jky4h22b has no usable createdAt"]
    words, many, quoting, old, coat = posts
    assert coat.post_id == f"bluesky:{HEX[:16]}/3n367jkwaus2b"
    assert (coat.network, coat.source, coat.server, coat.url) == ("bluesky", "bsky", "pds.example", None)
    assert coat.created_at == datetime(2024, 1, 5, 10, tzinfo=UTC)
    assert (coat.author_hmac, coat.hashtags, coat.language, coat.sensitive) == (HEX, ("ootd", "street"), "en", False)
    uri = f"at://{MINA}/app.bsky.feed.post/3n367jkwaus2b"
    assert coat.identity == hashlib.sha256(uri.encode()).hexdigest()
    cid = cid_of(b"picture 0")
    picture = coat.media[0]
    assert (picture.index, picture.alt_text) == (0, "a grey coat")
    assert picture.url == f"https://pds.example/xrpc/com.atproto.sync.getBlob?cid={cid}"
    assert picture.fetch_url == f"https://pds.example/xrpc/com.atproto.sync.getBlob?did={MINA}&cid={cid}"
    assert picture.sha256 == hashlib.sha256(b"picture 0").hexdigest()
    assert (coat.media[1].index, coat.media[1].alt_text) == (1, None)
    assert (old.sensitive, old.created_at) == (True, datetime(2019, 7, 1, tzinfo=UTC))
    assert [item.alt_text for item in quoting.media] == ["beside a quote"]
    assert quoting.created_at == datetime(2024, 1, 6, 2, 30, tzinfo=UTC)
    assert (len(many.media), many.opt_out) == (6, "#noai")
    assert words.media == ()


def test_neither_dids_nor_handles_get_into_what_is_shown_or_kept() -> None:
    network = sync(accounts=("mina-looks.test", MINA))
    memory, shown = DictMemory(), ""
    todo = list(network.first_pages())
    answers = {"resolveHandle": "identity/handle", "getRecord": "sync/profile", "listRecords": "sync/records_2"}
    while todo:
        page = todo.pop()
        name = next((answers[part] for part in answers if part in page.url), "identity/document")
        content = read(network, page, recorded(name), memory)
        kept = [
            (post.to_row(window="w", reason=None, matched=(), crawled_at=datetime.now(UTC))) for post in content.posts
        ]
        pictures = [item.url for post in content.posts for item in post.media]
        shown += repr((page.timeline, page.server, content.malformed, content.counts, content.stopped, kept, pictures))
        todo += content.next_pages
    assert "bluesky:" in shown
    assert MINA not in shown
    assert MINA.split(":")[2] not in shown
    assert "mina" not in shown


def test_paging_ends_at_the_limit_and_says_so_without_a_name() -> None:
    network, memory = sync(max_pages=2), DictMemory()
    page = records_page(network)
    (page,) = read(network, page, {"records": [record(3)], "cursor": "3"}, memory).next_pages
    content = read(network, page, {"records": [record(2)], "cursor": "2"}, memory)
    assert content.stopped == f"{SYNC}: max_pages (2) is reached before its end"
    assert content.next_pages == ()
    memory = DictMemory()
    (page,) = read(network, records_page(network), {"records": [record(3)], "cursor": "3"}, memory).next_pages
    assert read(network, page, {"records": [], "cursor": "2"}, memory).stopped is None


def test_a_repository_ends_with_an_old_cursor_or_without_news() -> None:
    network, memory = sync(), DictMemory()
    page = records_page(network)
    assert read(network, page, {"records": [record(3)], "cursor": "c"}, memory).next_pages
    assert read(network, page, {"records": [record(2)], "cursor": "c"}, memory).next_pages == ()
    assert read(network, page, {"records": [record(2)], "cursor": "d"}, memory).next_pages == ()
    assert read(network, page, {"records": [record(1, createdAt=None)], "cursor": "e"}, memory).next_pages


@settings(deadline=None, max_examples=40)
@given(numbers=st.lists(st.integers(0, 10**6), unique=True, max_size=30), size=st.integers(1, 10))
def test_every_post_is_met_whatever_the_page_size(numbers: list[int], size: int) -> None:
    network, memory = sync(page_size=size), DictMemory()
    page, met = records_page(network), []
    for _ in range(len(numbers) + 2):
        cursor = int(query(page).get("cursor", 10**9))
        older = sorted((number for number in numbers if number < cursor), reverse=True)[:size]
        end = {"cursor": str(older[-1])} if older else {}
        content = read(network, page, {"records": [record(number) for number in older], **end}, memory)
        met += [int(post.post_id[-11:]) for post in content.posts]
        if not content.next_pages:
            break
        (page,) = content.next_pages
    assert met == sorted(numbers, reverse=True)


# --- listed accounts


def test_a_handle_leads_to_its_did_and_that_to_its_server() -> None:
    network = sync(server="https://other.example", accounts=("@Mina-looks.test",))
    (page,) = network.first_pages()
    assert page.url == "https://other.example/xrpc/com.atproto.identity.resolveHandle?handle=mina-looks.test"
    (document,) = read(network, page, recorded("identity/handle")).next_pages
    assert document.url == f"https://plc.directory/{MINA}"
    (profile,) = read(network, document, recorded("identity/document")).next_pages
    assert profile.url.startswith("https://pds.example/xrpc/com.atproto.repo.getRecord?")
    (records,) = read(network, profile, recorded("sync/profile")).next_pages
    assert records.url.startswith("https://pds.example/xrpc/com.atproto.repo.listRecords?")
    (post,) = read(network, records, {"records": [record()]}).posts
    assert post.server == "other.example"
    assert post.media[0].url.startswith("https://other.example/xrpc/")
    assert (post.media[0].fetch_url or "").startswith("https://pds.example/xrpc/")


def test_without_a_directory_everything_is_asked_of_the_server() -> None:
    network = sync(accounts=(MINA, SITE), plc_directory=None)
    assert [urlsplit(page.url).netloc for page in network.first_pages()] == ["pds.example"] * 2
    with_directory = sync(accounts=(SITE,)).first_pages()[0]
    assert with_directory.url == "https://looks.example/.well-known/did.json"


def test_an_account_that_cannot_be_resolved_is_named_by_its_place() -> None:
    network = sync(accounts=("a.example", "b.example", MINA))
    handle, document = network.first_pages()[1:]
    refused = network.read_refusal(handle, 400, recorded("identity/handle_unknown"), DictMemory())
    assert refused == PageContent(missing="accounts[1] cannot be resolved")
    refused = network.read_refusal(document, 404, recorded("identity/document_unknown"), DictMemory())
    assert refused == PageContent(missing="accounts[2] cannot be resolved")
    for answer in (None, {"did": "mina"}, {"did": ["x"]}, {"did": "did:plc:" + "a" * 9000}):
        assert read(network, handle, answer).missing == "accounts[1] cannot be resolved"
    assert network.read_refusal(handle, 500, None, DictMemory()) is None


@pytest.mark.parametrize(
    "change",
    [
        {"id": OTHER},
        {"service": None},
        {"service": [7, {"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": 7}]},
        {
            "service": [
                {"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": "ftp://x.example"}
            ]
        },
        {
            "service": [
                {"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": "https://u:p@x.y"}
            ]
        },
        {"service": [{"id": "#other", "type": "AtprotoPersonalDataServer", "serviceEndpoint": "https://x.example"}]},
        {"service": [{"id": "#atproto_pds", "type": "Other", "serviceEndpoint": "https://x.example"}]},
    ],
)
def test_a_document_that_names_no_server_is_not_followed(change: dict[str, Any]) -> None:
    network = sync(accounts=(MINA,))
    content = read(network, network.first_pages()[0], recorded("identity/document") | change)
    assert content == PageContent(missing="accounts[0] cannot be resolved")


# --- search


def test_a_search_names_the_hashtag_and_the_window() -> None:
    network = search(hashtags=["#OOTD", "ファッション"], page_size=50)
    first, second = network.first_pages()
    assert first.url.startswith("https://view.example/xrpc/app.bsky.feed.searchPosts?")
    assert query(first) == {
        "q": "#ootd",
        "tag": "ootd",
        "sort": "latest",
        "since": "2023-12-31T23:00:00.000Z",
        "until": "2024-02-01T00:00:00.000Z",
        "limit": "50",
    }
    assert second.url.isascii()
    assert (first.timeline, first.server) == ("#ootd on view.example", "view.example")


def test_only_a_search_on_the_sources_own_server_carries_the_token() -> None:
    network = search(token_env="BSKY_TOKEN", include_sensitive=True)
    (page,) = network.first_pages()
    request = network.request(page)
    assert request.headers["Authorization"] == "Bearer abc-secret"
    assert "abc-secret" not in repr((request, page))
    content = read(network, page, recorded("search/posts"))
    assert len(content.next_pages) == 4
    elsewhere = [network.request(page).headers for page in content.next_pages[:-1]]
    assert all("Authorization" not in headers for headers in elsewhere)
    for trap in ("https://view.example.evil.example/xrpc/x", "https://view.example@evil.example/xrpc/x"):
        assert "Authorization" not in network.request(Page(trap, "t", "view.example")).headers


def test_posts_with_pictures_wait_for_the_server_of_their_author() -> None:
    network, memory = search(include_sensitive=True), DictMemory()
    content = read(network, network.first_pages()[0], recorded("search/posts"), memory)
    hidden, words = content.posts
    assert hidden.opt_out == "label: !no-unauthenticated"
    assert words.media == ()
    mina, other, site, following = content.next_pages
    assert [page.url for page in (mina, other, site)] == [
        f"https://plc.directory/{MINA}",
        f"https://plc.directory/{OTHER}",
        "https://looks.example/.well-known/did.json",
    ]
    assert query(following)["cursor"] == "6"
    assert "new coat" not in json.dumps(mina.context)

    delivered = read(network, mina, recorded("identity/document"), memory).posts
    assert [post.post_id[-13:] for post in delivered] == ["3n367jkxb422b", "3n367jkwaus2b"]
    assert delivered[1].author_hmac == HEX
    item = delivered[1].media[0]
    assert item.url == f"https://view.example/xrpc/com.atproto.sync.getBlob?cid={cid_of(b'picture 0')}"
    assert (item.fetch_url or "").startswith(f"https://pds.example/xrpc/com.atproto.sync.getBlob?did={MINA}&cid=")

    (labelled,) = read(network, other, {"id": OTHER}, memory).posts  # nothing is said about a server
    assert (labelled.sensitive, labelled.opt_out) == (True, None)  # a label that was taken back does not count
    assert (labelled.media[0].fetch_url or "").startswith("https://view.example/xrpc/")

    (own,) = read(network, site, recorded("search/document_of_a_website"), memory).posts
    assert (own.media[0].fetch_url or "").startswith("https://own.example/xrpc/com.atproto.sync.getBlob?did=did:web:")

    # from now on everybody is known
    more = {"posts": [view(2), view(3, OTHER), view(4, SITE)]}
    content = read(network, following, more, memory)
    hosts = [urlsplit(post.media[0].fetch_url or "").netloc for post in content.posts]
    assert hosts == ["pds.example", "view.example", "own.example"]


@pytest.mark.parametrize(("status", "answer"), [(404, {"message": "DID not registered"}), (410, None), (503, None)])
def test_posts_of_an_author_who_is_not_found_are_delivered_anyhow(status: int, answer: Any) -> None:
    network, memory = search(), DictMemory()
    author = read(network, network.first_pages()[0], {"posts": [view()]}, memory).next_pages[0]
    content = network.read_refusal(author, status, answer, memory)
    assert content is not None
    assert urlsplit(content.posts[0].media[0].fetch_url or "").netloc == "view.example"


def test_without_a_directory_or_for_unknown_kinds_of_did_nobody_waits() -> None:
    for network, did in ((search(plc_directory=None), MINA), (search(), "did:key:z6Mkabc"), (search(), "did:web:x:y")):
        content = read(network, network.first_pages()[0], {"posts": [view(1, did)]})
        assert urlsplit(content.posts[0].media[0].fetch_url or "").netloc == "view.example"


@pytest.mark.parametrize(
    "post",
    [
        view(createdAt="2019-01-01T00:00:00Z"),
        view(tags=["other"]),
        view(embed=None),
        view(tags=["ootd", "noai"]),
        view(labels=[{"val": "porn"}]),
        view(reason={"$type": "app.bsky.feed.defs#reasonRepost"}),
    ],
)
def test_an_author_is_not_looked_up_for_pictures_that_are_not_fetched(post: dict[str, Any]) -> None:
    network = search()
    content = read(network, network.first_pages()[0], {"posts": [post]})
    assert len(content.posts) == 1
    assert not [page for page in content.next_pages if page.context["step"] == "author"]


@pytest.mark.parametrize("value", ["!no-unauthenticated", "!hide", "!takedown"])
def test_a_label_of_the_author_or_the_post_asks_to_be_left_out(value: str) -> None:
    network = search()
    label = {"src": MINA, "uri": f"at://{MINA}", "val": value}
    by_author = view(1)
    by_author["author"]["labels"] = [label]
    content = read(network, network.first_pages()[0], {"posts": [by_author, view(2, labels=[label])]})
    assert [post.opt_out for post in content.posts] == [f"label: {value}"] * 2


def test_a_repost_is_a_boost_and_does_not_stand_for_the_post_that_it_shows() -> None:
    network = search(plc_directory=None)
    shown = {"post": view(1), "reason": {"$type": "app.bsky.feed.defs#reasonRepost", "by": {}}}
    content = read(network, network.first_pages()[0], {"posts": [shown, view(1)]})
    assert [post.boost for post in content.posts] == [True, False]
    assert len({post.post_id for post in content.posts}) == len({post.identity for post in content.posts}) == 2
    assert one(**{"$type": "app.bsky.feed.repost"}).boost


def test_the_same_post_is_the_same_in_both_modes() -> None:
    network = search(plc_directory=None)
    (found,) = read(network, network.first_pages()[0], {"posts": [view()]}).posts
    listed = one()
    assert (found.post_id, found.author_hmac, found.identity) == (listed.post_id, listed.author_hmac, listed.identity)
    assert found.media[0].sha256 == listed.media[0].sha256


def walk(network: BlueskyNetwork, server: Callable[[dict[str, str]], dict[str, Any]], limit: int = 200) -> list[str]:
    """Page through a search given as a function of its query; return the last digits of the posts' keys."""
    memory, met = DictMemory(), []
    (page,) = network.first_pages()
    for _ in range(limit):
        content = read(network, page, server(query(page)), memory)
        met += [post.post_id[-2:] for post in content.posts]
        if not content.next_pages:
            return met
        (page,) = content.next_pages
    raise AssertionError("paging does not end")


def day(number: int) -> dict[str, Any]:
    return view(number, createdAt=f"2024-01-{number:02d}T12:00:00Z")


def test_a_search_that_is_cut_off_goes_on_with_what_is_older() -> None:
    def server(asked: dict[str, str]) -> dict[str, Any]:
        start = int(asked.get("cursor", 0))
        days = [day(n) for n in range(30, 0, -1) if f"2024-01-{n:02d}T12:00:00.000Z" < asked["until"]]
        shown = days[start : start + 3]
        return {"posts": shown} | ({"cursor": str(start + 3)} if shown and start < 6 else {})

    met = walk(search(plc_directory=None), server)
    assert list(dict.fromkeys(met)) == [f"{n:02d}" for n in range(30, 0, -1)]


def test_a_server_that_ignores_everything_is_left_after_one_more_page() -> None:
    asked = []

    def server(given: dict[str, str]) -> dict[str, Any]:
        asked.append(given)
        return {"posts": [day(3), day(2)], "cursor": "2"}

    assert walk(search(plc_directory=None), server) == ["03", "02"] * len(asked)
    assert len(asked) == 3


def test_an_empty_page_of_a_search_is_not_its_end_but_several_are() -> None:
    answers = iter([[day(9)], [], [], [day(8)], [], [], [], [], [], []])
    cursors = iter(range(100))
    met = walk(search(plc_directory=None), lambda _: {"posts": next(answers), "cursor": str(next(cursors))})
    assert met == ["09", "08"]


def test_endless_paging_of_a_search_ends_at_the_limit() -> None:
    network, memory = search(max_pages=2, plc_directory=None), DictMemory()
    (page,) = network.first_pages()
    (page,) = read(network, page, {"posts": [view(1)], "cursor": "1"}, memory).next_pages
    content = read(network, page, {"posts": [view(2)], "cursor": "2"}, memory)
    assert content.stopped == "#ootd on view.example: max_pages (2) is reached before its end"
    assert content.next_pages == ()


def test_a_search_without_permission_is_not_foreseen() -> None:
    network = search()
    assert network.read_refusal(network.first_pages()[0], 403, None, DictMemory()) is None


# --- anything


def test_only_whole_repositories_show_that_a_post_is_gone() -> None:
    assert (sync().complete_listing, search().complete_listing) == (True, False)
    assert sync().presence_page({}) is search().presence_page({}) is None
    assert search().read_presence(200, {}) == "unverified"
    assert (sync().hashtags, sync(hashtags=["#A"]).hashtags) == (None, frozenset({"a"}))


def test_hashtags_come_from_facets_and_tags() -> None:
    feature = {"$type": "app.bsky.richtext.facet#tag", "tag": "CAFE\u0301"}
    link = {"$type": "app.bsky.richtext.facet#link", "uri": "x", "tag": "no"}
    facets = [{"features": [feature, link, 7]}, 7, {"features": {}}]
    assert one(facets=facets, tags=["#Street", 7]).hashtags == ("café", "street")


@pytest.mark.parametrize("value", ["porn", "sexual", "nudity", "graphic-media", "gore", "nsfl", "sexual-figurative"])
def test_labels_of_the_author_make_a_post_sensitive(value: str) -> None:
    labels = {"$type": "com.atproto.label.defs#selfLabels", "values": [7, {"val": 7}, {"val": value}]}
    assert one(labels=labels).sensitive
    assert not one(labels={"values": [{"val": "spoiler"}]}).sensitive


def test_a_blob_of_the_first_year_and_a_gallery_beside_a_quote_are_pictures() -> None:
    old = {"image": {"cid": cid_of(b"old"), "mimeType": "image/jpeg"}, "alt": "old"}
    other = {"image": {"cid": "QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n", "mimeType": "image/jpeg"}}
    odd: list[Any] = [7, {}, {"image": 7}, {"image": {"ref": 7}}, {"image": {"ref": {"$link": "../did:plc:x"}}}]
    gallery = {"$type": "app.bsky.embed.gallery", "items": [*odd, old, other]}
    media = one(embed={"$type": "app.bsky.embed.recordWithMedia", "record": {}, "media": gallery}).media
    assert [(item.index, item.alt_text) for item in media] == [(0, "old"), (1, None)]
    assert [item.sha256 for item in media] == [hashlib.sha256(b"old").hexdigest(), None]
    assert one(embed={"$type": "app.bsky.embed.video", "images": [old]}).media == ()
    assert one(embed={"$type": ["app.bsky.embed.images"], "images": [old]}).media == ()


def test_a_key_that_could_hold_a_name_is_hashed() -> None:
    network = sync()
    entry = record()
    entry["uri"] = f"at://{MINA}/app.bsky.feed.post/mina-looks.test"
    content = read(network, records_page(network), {"records": [entry, entry | {"value": None}]})
    assert "mina" not in repr([post.post_id for post in content.posts]) + repr(content.malformed)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"uri": None}, "no usable uri"),
        ({"uri": "at://mina-looks.test/app.bsky.feed.post/3kabc"}, "no usable uri"),
        ({"uri": f"at://{MINA}/app.bsky.feed.post/a b"}, "no usable uri"),
        ({"uri": f"at://{MINA}/app.bsky.feed.like/3kabc"}, "is not a post"),
        ({"uri": f"at://{OTHER}/app.bsky.feed.post/3kabc"}, "another repository"),
        ({"value": []}, "has no record"),
        ({"value": {"createdAt": f"on {MINA}"}}, "no usable createdAt"),
        ({"value": {"createdAt": "0001-01-01T00:00:00+14:00"}}, "no usable createdAt"),
        ({"value": {}}, "no usable createdAt"),
    ],
)
def test_an_entry_that_is_no_post_is_named_and_the_rest_goes_on(change: dict[str, Any], words: str) -> None:
    network = sync()
    content = read(network, records_page(network), {"records": [record(2) | change, record(1)]})
    assert len(content.posts) == 1
    (line,) = content.malformed
    assert words in line
    assert "did:" not in line


def test_an_author_who_is_not_the_one_of_the_address_is_not_believed() -> None:
    network = search()
    posts = [view(1) | {"author": {"did": OTHER}}, view(2) | {"author": None}]
    content = read(network, network.first_pages()[0], {"posts": posts})
    assert content.malformed == ("record and its author do not agree",) * 2


@pytest.mark.parametrize("answer", [None, [], "x", {}, {"posts": {}, "repos": {}, "records": {}, "value": []}])
def test_an_answer_that_is_no_page_is_an_error(answer: Any) -> None:
    listing = sync()
    profile = read(listing, listing.first_pages()[0], recorded("sync/repositories")).next_pages[0]
    found = search()
    for network, page in ((listing, listing.first_pages()[0]), (listing, profile), (found, found.first_pages()[0])):
        with pytest.raises(MalformedAnswerError, match="was expected"):
            read(network, page, answer)
    with pytest.raises(MalformedAnswerError, match="was expected"):
        read(listing, records_page(listing), answer)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(MINA),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["tag", "val", "$type", "did"]), inner),
    max_leaves=6,
)


@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_any_json_in_any_place_is_survived(data: st.DataObject) -> None:
    names = ["createdAt", "facets", "tags", "langs", "labels", "embed", "$type"]
    changed = data.draw(st.dictionaries(st.sampled_from(names), JSON))
    outer = data.draw(st.dictionaries(st.sampled_from(["uri", "author", "record", "labels", "reason", "post"]), JSON))
    cursor = data.draw(JSON)
    found, listing = search(), sync()
    broken = view(1)
    broken = broken | {"record": broken["record"] | changed} | outer
    content = read(found, found.first_pages()[0], {"posts": [broken, view(2)], "cursor": cursor})
    for page in content.next_pages:
        if page.context["step"] == "author":
            read(found, page, data.draw(JSON))
    read(listing, records_page(listing), {"records": [record(1, **changed) | outer, data.draw(JSON)], "cursor": cursor})
    read(listing, listing.first_pages()[0], {"repos": [{"did": data.draw(JSON)}, data.draw(JSON)], "cursor": cursor})
