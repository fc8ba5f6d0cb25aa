"""What the crawler's tests rely on in the AT Protocol server: see the list in atproto_server.py."""

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.integration import atproto_server
from tests.integration.atproto_server import AtprotoServer, RateLimit, Record, blob_cid

pytestmark = [pytest.mark.integration, pytest.mark.timeout(atproto_server.INSTALL_SECONDS + 300)]

POSTS = "app.bsky.feed.post"
WHEN = "2019-07-01T00:00:00Z"
NOTHING: dict[str, Any] = {"records": []}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AtprotoServer]:
    with atproto_server.start(tmp_path_factory.mktemp("atproto")) as running:
        yield running


def ask(server: AtprotoServer, name: str, **parameters: Any) -> httpx.Response:
    return httpx.get(f"{server.url}/xrpc/com.atproto.{name}", params=parameters, trust_env=False)


def error(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]


def pages(server: AtprotoServer, name: str, rows: str, **parameters: Any) -> list[list[dict[str, Any]]]:
    """All pages, to the first without a cursor."""
    found = []
    cursor: dict[str, str] = {}
    while True:
        page = ask(server, name, **parameters, **cursor).raise_for_status().json()
        found.append(page[rows])
        if "cursor" not in page:
            return found
        cursor = {"cursor": page["cursor"]}


def test_a_post_is_read_back_as_it_was_planted(server: AtprotoServer) -> None:
    client = server.client
    account, other = client.create_account("mina"), client.create_account("mina-2")
    broken = client.upload_blob(account, b"not an image", "image/jpeg")
    text = "été 😀 #OOTD #ootds #ootd"
    made = client.create_post(
        account, text, "any text", [(broken, "seen")], tags=["street"], facet_tags=["OOTD", "ootd"], labels=["porn"]
    )
    quote = client.create_post(other, "quoting", WHEN, quote=made, reply=(made, made), rkey="3jzfcijpj2z2a")
    shared = client.repost(other, made, WHEN)

    (row,) = ask(server, "repo.listRecords", repo=account.did, collection=POSTS).json()["records"]
    assert (row["uri"], row["cid"]) == (made.uri, made.cid)
    value = row["value"]
    assert (value["text"], value["createdAt"], value["tags"]) == (text, "any text", ["street"])
    assert value["embed"]["images"] == [{"image": broken, "alt": "seen"}]
    assert value["labels"]["values"] == [{"val": "porn"}]
    spans = [(facet["index"]["byteStart"], facet["index"]["byteEnd"]) for facet in value["facets"]]
    assert [text.encode()[start:end].decode() for start, end in spans] == ["#OOTD", "#ootd"]
    (row,) = ask(server, "repo.listRecords", repo=other.did, collection=POSTS).json()["records"]
    assert row["uri"] == f"at://{other.did}/{POSTS}/3jzfcijpj2z2a" == quote.uri
    assert row["value"]["embed"]["record"] == made.reference
    assert shared.uri.startswith(f"at://{other.did}/app.bsky.feed.repost/")

    client.delete_record(account, made)
    assert ask(server, "repo.listRecords", repo=account.did, collection=POSTS).json() == NOTHING


def test_records_come_newest_first_whatever_their_dates(server: AtprotoServer) -> None:
    account = server.client.create_account("many-pages")
    dates = ("2030-01-01T00:00:00Z", WHEN, "2025-01-01T00:00:00Z", "", "2019-07-01")
    keys = [server.client.create_post(account, "text", date).rkey for date in dates]
    where = {"repo": account.did, "collection": POSTS, "limit": 2}

    def listed(**more: Any) -> list[list[str]]:
        rows = pages(server, "repo.listRecords", "records", **where, **more)
        return [[Record(row["uri"], row["cid"]).rkey for row in page] for page in rows]

    assert listed() == [[keys[4], keys[3]], [keys[2], keys[1]], [keys[0]], []]
    assert listed(reverse="true") == [keys[:2], keys[2:4], keys[4:], []]
    assert error(ask(server, "repo.listRecords", **where | {"limit": 101})) == (400, "InvalidRequest")


def test_a_blob_is_served_until_it_is_gone(server: AtprotoServer) -> None:
    client = server.client
    account = client.create_account("blobs")
    blob, lost = (client.upload_blob(account, data, "image/png") for data in (b"first", b"second"))
    where = {"did": account.did, "cid": blob_cid(blob)}
    assert error(ask(server, "sync.getBlob", **where)) == (400, "InvalidRequest")  # no record names it yet
    post = client.create_post(account, "pictures", WHEN, [(blob, ""), (lost, "")])

    answer = ask(server, "sync.getBlob", **where)
    assert (answer.status_code, answer.content) == (200, b"first")
    expected = {
        "content-type": "image/png",
        "content-length": "5",
        "x-content-type-options": "nosniff",
        "content-disposition": f'attachment; filename="{where["cid"]}"',
        "content-security-policy": "default-src 'none'; sandbox",
        "cache-control": "private",
    }
    assert {name: answer.headers.get(name) for name in expected} == expected

    client.take_down_blob(account, where["cid"])
    assert error(ask(server, "sync.getBlob", **where)) == (400, "InvalidRequest")
    client.take_down_blob(account, where["cid"], applied=False)
    assert ask(server, "sync.getBlob", **where).status_code == 200
    server.delete_blob(account, blob_cid(lost))
    assert error(ask(server, "sync.getBlob", did=account.did, cid=blob_cid(lost))) == (400, "InvalidRequest")
    records = ask(server, "repo.listRecords", repo=account.did, collection=POSTS).json()["records"]
    assert [row["uri"] for row in records] == [post.uri]


def test_accounts_are_listed_with_what_became_of_them(server: AtprotoServer) -> None:
    client = server.client
    names = ("active", "away", "removed")
    active, away, removed = (client.create_account(name) for name in names)
    client.deactivate_account(away)
    client.take_down_account(removed)

    found = pages(server, "sync.listRepos", "repos", limit=2)
    assert found[-1] == []
    rows = {row["did"]: row for page in found for row in page}
    assert {"did", "head", "rev", "active"} == set(rows[active.did])
    states = [(rows[who.did]["active"], rows[who.did].get("status")) for who in (active, away, removed)]
    assert states == [(True, None), (False, "deactivated"), (False, "takendown")]

    profile = {"collection": "app.bsky.actor.profile", "rkey": "self"}
    cid = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
    blobs = {active: "InvalidRequest", away: "RepoDeactivated", removed: "RepoTakendown"}
    for account, name in blobs.items():
        assert error(ask(server, "sync.getBlob", did=account.did, cid=cid)) == (400, name)
        records = ask(server, "repo.listRecords", repo=account.did, collection=POSTS)
        missing = error(ask(server, "repo.getRecord", repo=account.did, **profile))
        if account is active:
            assert (records.json(), missing) == (NOTHING, (400, "RecordNotFound"))
        else:
            assert (error(records), missing) == ((400, "InvalidRequest"), (400, "InvalidRequest"))

    client.activate_account(away)
    client.put_profile(away, ["!no-unauthenticated"])
    written = ask(server, "repo.getRecord", repo=away.did, **profile).json()["value"]
    assert written["labels"]["values"] == [{"val": "!no-unauthenticated"}]


def test_robots_txt_allows_the_public_interface(server: AtprotoServer) -> None:
    assert httpx.get(f"{server.url}/robots.txt", trust_env=False).text == atproto_server.ROBOTS


def test_too_many_requests_are_refused_for_a_while(
    server: AtprotoServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert "ratelimit-limit" not in ask(server, "sync.listRepos").headers
    with atproto_server.start(tmp_path_factory.mktemp("limited"), RateLimit(points=3, seconds=2)) as limited:
        account = limited.client.create_account("planter")
        for _ in range(5):
            limited.client.create_post(account, "planting is not limited", WHEN)
        answers = [ask(limited, "sync.listRepos") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["2", "1", "0", "0"]
        refused = answers[-1]
        assert error(refused) == (429, "RateLimitExceeded")
        assert refused.headers["ratelimit-policy"] == "3;w=2"
        assert abs(int(refused.headers["ratelimit-reset"]) - time.time()) < 5
        assert refused.headers["retry-after"] in {"1", "2"}
        time.sleep(int(refused.headers["retry-after"]))
        assert ask(limited, "sync.listRepos").status_code == 200
