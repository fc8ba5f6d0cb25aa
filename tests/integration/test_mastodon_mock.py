"""The crawler against mastodon-mock, a server of other people's making that speaks the Mastodon API."""

import time
from pathlib import Path
from typing import Any

import pytest

from tests.crawlers.crawl_server import Crawled, jpeg
from tests.integration.mastodon_mock_server import MastodonMock
from tests.integration.real_crawl import LIMITS, crawl, sha256

pytestmark = pytest.mark.integration

WHEN = "2019-07-03 10:00:00"
Mocks = tuple[MastodonMock, MastodonMock]


@pytest.fixture(scope="session")
def mock(mocks: Mocks) -> MastodonMock:
    return mocks[0]


def source(mock: MastodonMock, *tags: str, **changes: Any) -> dict[str, Any]:
    common = {"kind": "mastodon", "name": "mock", "server": mock.url, "hashtags": tags}
    return common | {"allow_hosts": ["127.0.0.1"], "delay": 0, "page_size": 5} | changes


def number(row: dict[str, Any]) -> str:
    return str(row["post_id"]).rpartition(":")[2].rpartition("/")[2]


def reasons(crawled: Crawled) -> dict[str, str | None]:
    return {number(row): row["reason"] for row in crawled.rows("posts")}


def test_a_planted_week_is_found_exactly(mock: MastodonMock, tmp_path: Path) -> None:
    shared, own, late = jpeg(1), jpeg(2), jpeg(3)
    kept = {
        mock.post("first #OOTD", "2019-07-01 00:00:00", shared): [shared],
        mock.post("both #ootd #street", WHEN, own, shared, account="jo"): [own, shared],
        mock.post("the other tag #Street", "2019-07-07 23:59:59", late): [late],
    }
    expected: dict[str, str | None] = dict.fromkeys(kept)
    mock.post("too late #ootd", "2019-07-08 00:00:00", jpeg(4))
    mock.post("too early #ootd", "2019-06-30 23:59:59", jpeg(5))
    mock.post("not asked for #cats", WHEN, jpeg(6))
    mock.post("for followers #ootd", WHEN, jpeg(9), visibility="private")
    expected[mock.post("words only #ootd", WHEN)] = "no_image"
    expected[mock.post("hidden #ootd", WHEN, jpeg(7), sensitive=True)] = "sensitive"
    for count in range(12):  # an old post between new ones, and more than one page
        mock.post(f"old {count} #ootd", "2018-01-01 00:00:00", jpeg(8))
    # newest id, old date: a server's ids need not follow the posts' dates
    last = mock.post("arrived late #ootd", "2019-07-02 08:00:00", own)
    expected[last], kept[last] = None, [own]

    crawled = crawl(tmp_path, source(mock, "OOTD", "street"))

    assert reasons(crawled) == expected
    found: dict[str, list[str]] = {}
    for row in crawled.rows("images"):
        found.setdefault(number(row), []).append(row["image_id"])
        assert (row["status"], row["format"], row["width"], row["height"]) == ("ok", "JPEG", 48, 64)
        assert (row["alt_text"], row["http_status"]) == ("seen", 200)
    assert found == {id_: [sha256(data) for data in list_] for id_, list_ in kept.items()}
    for image_id in {image_id for ids in found.values() for image_id in ids}:
        assert sha256((tmp_path / "images" / image_id[:2] / image_id).read_bytes()) == image_id
    posts = crawled.rows("posts")
    assert {row["server"] for row in posts} == {mock.name}
    assert len({row["author_hmac"] for row in posts}) == 2
    assert all(row["url"] == f"{mock.url}/api/v1/statuses/{number(row)}" for row in posts)
    outcomes = {"kept": 4, "no_image": 1, "sensitive": 1, "outside_window": 14}
    assert crawled.counts("post") == outcomes
    assert crawled.counts("seen") == {"post": sum(outcomes.values())}
    assert crawled.counts("image") == {"ok": 5}
    assert crawled.rows("deleted_posts") == []


def test_broken_pictures_are_rows_with_a_reason(mock: MastodonMock, tmp_path: Path) -> None:
    expected = {
        mock.post("cut #broken", WHEN, jpeg(1)[:500]): "truncated",
        mock.post("page #broken", WHEN, b"<!DOCTYPE html><html></html>"): "not_an_image",
    }
    gone = mock.post("gone #broken", WHEN, jpeg(2))
    mock.sql("UPDATE media_attachments SET url = ? WHERE status_id = ?", f"{mock.url}/media/none.jpg", int(gone))
    expected[gone] = "http_404"
    rows = crawl(tmp_path, source(mock, "broken")).rows("images")
    assert {number(row): row["reason"] for row in rows} == expected
    assert {row["status"] for row in rows} == {"failed"}


def test_faults_that_pass_change_nothing(mock: MastodonMock, tmp_path: Path) -> None:
    for count in range(8):
        mock.post(f"post {count} #faults", WHEN, jpeg(count))
    quiet = crawl(tmp_path / "quiet", source(mock, "faults"))
    timeline = "/api/v1/timelines/tag/faults"
    mock.fault(timeline, 1, type="status", status=503)
    mock.fault(timeline, 1, type="malformed")
    mock.fault(timeline, 1, type="ratelimit", headers={"Retry-After": "1", "X-RateLimit-Reset": "x"})
    mock.fault("/media/*", 2, type="status", status=500)
    mock.fault("/media/*", 1, type="status", status=429, headers={"Retry-After": "1"})
    noisy = crawl(tmp_path / "noisy", source(mock, "faults"))
    assert noisy.rows("posts") == quiet.rows("posts")
    pictures = [[row | {"attempts": 1} for row in crawled.rows("images")] for crawled in (noisy, quiet)]
    assert pictures[0] == pictures[1]
    good = quiet.counts("request")["http_200"]
    assert quiet.counts("request") == {"http_200": good}
    assert noisy.counts("request") == {"http_200": good + 1, "http_429": 2, "http_500": 2, "http_503": 1}


def test_a_server_s_own_rate_limit_is_waited_out(mock: MastodonMock, tmp_path: Path) -> None:
    mock.post("post #limited", WHEN, jpeg(1))
    mock.fault("/api/v1/timelines/tag/limited", 1, type="ratelimit", headers={"Retry-After": "2"})
    began = time.monotonic()
    rows = crawl(tmp_path, source(mock, "limited")).rows("images")
    assert time.monotonic() - began > 2
    assert [row["status"] for row in rows] == ["ok"]


def test_several_servers_in_one_source(mocks: Mocks, tmp_path: Path) -> None:
    one, two = mocks
    first = one.post("both servers show it #several", WHEN, jpeg(1))
    copy = two.post("both servers show it #several", WHEN, jpeg(1))
    for mock, id_ in ((one, first), (two, copy)):  # "url" is also what the mock serves as uri
        mock.sql("UPDATE statuses SET url = 'https://origin.example/statuses/1' WHERE id = ?", int(id_))
    # the same id on both servers, but not the same post
    same = one.post("one #several", WHEN, jpeg(2))
    other = two.post("two #several", WHEN, jpeg(3))
    two.sql("UPDATE statuses SET id = ? WHERE id = ?", int(same), int(other))
    two.sql("UPDATE status_tags SET status_id = ? WHERE status_id = ?", int(same), int(other))
    two.sql("UPDATE media_attachments SET status_id = ? WHERE status_id = ?", int(same), int(other))
    # what the first server has without its picture, the second one may have with it
    bare = one.post("no picture here #several", WHEN)
    whole = two.post("but here #several", WHEN, jpeg(4))
    for mock, id_ in ((one, bare), (two, whole)):
        mock.sql("UPDATE statuses SET url = 'https://origin.example/statuses/2' WHERE id = ?", int(id_))

    second = two.url.replace("127.0.0.1", "localhost")  # another host, as the authors' names need it
    hosts = {"servers": [one.url, second], "allow_hosts": ["127.0.0.1", "localhost"]}
    crawled = crawl(tmp_path, source(one, "several", server=None, **hosts))

    name = second.removeprefix("http://")
    expected = {
        f"mastodon:{one.name}/{first}": (one.name, sha256(jpeg(1))),
        f"mastodon:{one.name}/{same}": (one.name, sha256(jpeg(2))),
        f"mastodon:{name}/{same}": (name, sha256(jpeg(3))),
        f"mastodon:{name}/{whole}": (name, sha256(jpeg(4))),
    }
    images = {row["post_id"]: row["image_id"] for row in crawled.rows("images")}
    assert {row["post_id"]: (row["server"], images[row["post_id"]]) for row in crawled.rows("posts")} == expected
    assert crawled.counts("post") == {"kept": 4, "other_server": 2}
    assert len({row["author_hmac"] for row in crawled.rows("posts")}) == 2  # mina of one is not mina of the other


def test_boosts_and_authors_who_ask_to_be_left_out(mock: MastodonMock, tmp_path: Path) -> None:
    mock.sql(
        "UPDATE accounts SET note = '<p>words, <a href=\"#\">#<span>NoBots</span></a></p>' WHERE username = 'quiet'"
    )
    post = mock.post("mine #boosted", WHEN, jpeg(1))
    opted_out = mock.post("not for you #boosted", WHEN, jpeg(2), account="quiet")
    boost = mock.boost(post, "2019-07-04 10:00:00", "boosted")
    of_opted_out = mock.boost(opted_out, "2019-07-04 10:00:00", "boosted")
    old = mock.post("long ago #boosted", "2018-01-01 00:00:00", jpeg(3))
    new_boost = mock.boost(old, "2019-07-04 10:00:00", "boosted")

    crawled = crawl(tmp_path, source(mock, "boosted"))

    boosts = dict.fromkeys((boost, of_opted_out, new_boost), "boost")
    assert reasons(crawled) == {post: None, opted_out: "opted_out"} | boosts
    rows = {number(row): row for row in crawled.rows("posts")}
    assert {id_ for id_, row in rows.items() if row["boost"]} == set(boosts)
    assert rows[boost]["author_hmac"] != rows[post]["author_hmac"]
    assert rows[opted_out]["opt_out"] == rows[of_opted_out]["opt_out"] == "profile: #nobots"
    assert [row["image_id"] for row in crawled.rows("images")] == [sha256(jpeg(1))]


def test_posts_that_are_gone_between_two_crawls(mock: MastodonMock, tmp_path: Path) -> None:
    stays, deleted, untagged, refused = (mock.post(f"{seed} #gone", WHEN, jpeg(seed)) for seed in range(4))
    first = crawl(tmp_path, source(mock, "gone"))
    assert set(reasons(first)) == {stays, deleted, untagged, refused}
    mock.delete(deleted)
    mock.sql("DELETE FROM status_tags WHERE status_id = ?", int(untagged))
    mock.sql("DELETE FROM status_tags WHERE status_id = ?", int(refused))
    mock.fault(f"/api/v1/statuses/{refused}", 1, type="status", status=403)
    late = mock.post("late #gone", "2019-07-02 10:00:00", jpeg(4))

    second = crawl(tmp_path, source(mock, "gone"))

    assert reasons(second) == {stays: None, late: None}
    rows = {number(row): row for row in second.rows("deleted_posts")}
    assert {id_: (row["outcome"], row["http_status"], row["image_ids"]) for id_, row in rows.items()} == {
        deleted: ("deleted", 404, [sha256(jpeg(1))]),
        untagged: ("changed", 200, [sha256(jpeg(2))]),
        refused: ("hidden", 403, [sha256(jpeg(3))]),
    }
    assert second.counts("gone") == {"changed": 1, "deleted": 1, "hidden": 1}
    assert second.counts("known") == {"ok": 1}
    third = crawl(tmp_path, source(mock, "gone"))
    assert third.rows("posts") == second.rows("posts")
    assert [row | {"noticed_at": 0} for row in third.rows("deleted_posts")] == [
        row | {"noticed_at": 0} for row in second.rows("deleted_posts")
    ]


def test_a_hashtag_that_cannot_be_read_leaves_the_others(mock: MastodonMock, tmp_path: Path) -> None:
    mock.post("both #패션 #readable", WHEN, jpeg(1))
    mock.post("one #패션", WHEN, jpeg(2))
    mock.post("the other #readable", WHEN, jpeg(3))
    limits = LIMITS | {"retries": 1}
    crawled = crawl(tmp_path, source(mock, "readable", "#패션", page_size=1), limits=limits)
    assert {row["image_id"] for row in crawled.rows("images")} == {sha256(jpeg(1)), sha256(jpeg(3))}
    matched = sorted(row["matched_hashtags"] for row in crawled.rows("posts"))
    assert matched == [["readable"], ["readable", "패션"]]
    assert crawled.counts("page") == {"http_500": 1}
    assert "window 2019-07-01 is incomplete: source mock: #패션 on" in crawled.log
    assert "HTTP status 500" in crawled.log
