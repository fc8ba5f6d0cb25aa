"""What a crawl does with what earlier crawls have left: pictures that are known, posts that are gone."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from crawl_server import (
    Answer,
    Asked,
    Crawled,
    LocalServer,
    jpeg,
    mastodon,
    run_crawl,
    status,
    timeline,
)

TAG = "/api/v1/timelines/tag/ootd"
NEXT = {"key": "2019-07-08", "start": "2019-07-08T00:00:00Z", "end": "2019-07-15T00:00:00Z"}


def media(server: LocalServer) -> dict[str, int]:
    """How often each picture was asked for since the last time; forgets what was asked."""
    times = {path[1:]: number for path, number in server.times().items() if path.endswith(".jpg")}
    server.forget()
    return times


def crawl(folder: Path, server: LocalServer, source: dict[str, Any] | None = None, **changes: Any) -> Crawled:
    crawled = run_crawl(folder, source or mastodon(server), **changes)
    assert crawled.code == 0, crawled.log
    return crawled


def show(server: LocalServer, *statuses: dict[str, Any]) -> None:
    server.routes[TAG] = timeline(list(statuses))


def test_a_picture_is_fetched_once_over_all_windows_and_failures_are_tried_again_if_they_may_pass(
    server: LocalServer, tmp_path: Path
) -> None:
    names = ("good", "later", "gone", "page")
    urls = [f"{server.url}/{name}.jpg" for name in names]
    server.routes = {
        TAG: timeline([status(1, *urls), status(2, urls[0], created_at="2019-07-09T00:00:00Z")]),
        "/good.jpg": Answer(jpeg(1), headers={"X-Robots-Tag": "all"}),
        "/later.jpg": Answer(status=503),
        "/page.jpg": Answer(b"<html></html>"),
    }
    first = crawl(tmp_path, server)
    assert media(server) == {"good.jpg": 1, "later.jpg": 2, "gone.jpg": 1, "page.jpg": 1}
    assert first.images()["later.jpg"]["attempts"] == 2
    tables = first.tables()

    second = crawl(tmp_path, server)
    assert media(server) == {"later.jpg": 2}
    assert second.images()["later.jpg"]["attempts"] == 4
    assert second.images()["gone.jpg"]["attempts"] == 1
    assert second.tables() == tables
    assert second.counts("known") == {"ok": 1, "http_404": 1, "not_an_image": 1}
    assert second.rows("deleted_posts") == []

    server.routes |= {"/later.jpg": Answer(jpeg(2)), "/gone.jpg": Answer(jpeg(3))}
    third = crawl(tmp_path, server)
    assert media(server) == {"later.jpg": 1}
    assert (third.images()["later.jpg"]["status"], third.images()["later.jpg"]["attempts"]) == ("ok", 1)
    assert third.images()["gone.jpg"]["reason"] == "http_404"

    # a later window has the same picture; the state may be lost, then the tables say what is known
    for state in ("kept", "lost"):
        if state == "lost":
            shutil.rmtree(tmp_path / "images.state")
        known = [str(first.out / "images.parquet")]
        later = crawl(tmp_path, server, window=NEXT, out=str(tmp_path / state), known=known, first_window=False)
        assert media(server) == {}
        (row,) = later.rows("images")
        assert row["image_id"] == first.images()["good.jpg"]["image_id"]
        assert (row["status"], row["x_robots_tag"], row["http_status"]) == ("ok", "all", 200)

    again = crawl(tmp_path, server, refetch=True)
    assert media(server) == {"good.jpg": 1, "later.jpg": 1, "gone.jpg": 1, "page.jpg": 1}
    assert again.images()["gone.jpg"]["status"] == "ok"
    assert "known" not in {row["what"] for row in again.rows("counts")}


def test_a_picture_that_left_the_folder_is_fetched_again(server: LocalServer, tmp_path: Path) -> None:
    server.routes = {TAG: timeline([status(1, f"{server.url}/a.jpg")]), "/a.jpg": Answer(jpeg(1))}
    first = crawl(tmp_path, server)
    image_id = first.images()["a.jpg"]["image_id"]
    (tmp_path / "images" / image_id[:2] / image_id).unlink()
    media(server)
    second = crawl(tmp_path, server)
    assert media(server) == {"a.jpg": 1}
    assert second.tables() == first.tables()
    assert (tmp_path / "images" / image_id[:2] / image_id).read_bytes() == jpeg(1)


def test_posts_that_are_gone_are_told_from_those_that_are_there(server: LocalServer, tmp_path: Path) -> None:
    url = [f"{server.url}/{n}.jpg" for n in range(10)]
    posts = {n: status(n, url[n], account={"acct": "mina"}) for n in range(1, 8)}
    posts[2]["media_attachments"] += status(2, url[8], f"{server.url}/missing.jpg")["media_attachments"]
    server.routes = {f"/{n}.jpg": Answer(jpeg(n)) for n in range(10)}
    show(server, *posts.values())
    first = crawl(tmp_path, server)
    before = {row["post_id"]: row for row in first.rows("posts", ())}
    assert first.rows("deleted_posts") == []

    def single(number: int, answer: Answer) -> None:
        server.routes[f"/api/v1/statuses/{number}"] = answer

    single(2, Answer(status=404))
    single(3, Answer(status=403))
    single(4, Answer(b'{"id": "4"}'))
    single(5, Answer(status=500))
    single(6, Answer(status=410))
    server.forget()
    show(server, posts[1], posts[7])
    second = crawl(tmp_path, server)
    gone = {row["post_id"]: row for row in second.rows("deleted_posts")}
    assert {post_id[9:]: (row["outcome"], row["http_status"]) for post_id, row in gone.items()} == {
        "2": ("deleted", 404),
        "3": ("hidden", 403),
        "4": ("changed", 200),
        "5": ("unverified", 500),
        "6": ("deleted", 410),
    }
    assert second.counts("gone") == {"deleted": 2, "hidden": 1, "changed": 1, "unverified": 1}
    row = gone["mastodon:2"]
    image_ids = {url: image["image_id"] for url, image in first.images().items()}
    assert row["image_ids"] == [image_ids["2.jpg"], image_ids["8.jpg"]]  # the missing one has none
    assert row["last_crawled_at"] == before["mastodon:2"]["crawled_at"] < row["noticed_at"]
    assert (row["network"], row["source"], row["server"], row["window"]) == (
        "mastodon",
        "demo",
        server.name,
        "2019-07-01",
    )
    fresh = crawl(tmp_path / "fresh", server)
    assert fresh.tables() == second.tables()
    assert [row["post_id"] for row in fresh.rows("posts")] == ["mastodon:1", "mastodon:7"]

    server.forget()
    show(server, posts[1], posts[3], posts[7])  # one comes back
    third = crawl(tmp_path, server)
    assert {row["post_id"]: row for row in third.rows("deleted_posts")} == {
        post_id: row for post_id, row in gone.items() if post_id != "mastodon:3"
    }
    assert not [path for path in server.paths() if path.startswith("/api/v1/statuses/")]  # nothing more to ask
    assert third.ids() == ["1", "3", "7"]


def test_a_post_that_is_listed_without_the_tag_is_not_gone(server: LocalServer, tmp_path: Path) -> None:
    """It was met, so nothing need be asked; it is no longer part of what is wanted."""
    server.routes = {"/1.jpg": Answer(jpeg(1))}
    show(server, status(1, f"{server.url}/1.jpg"), status(2))
    crawl(tmp_path, server)
    server.forget()
    show(server, status(1, f"{server.url}/1.jpg", tags=[]), status(2))
    second = crawl(tmp_path, server)
    assert second.ids() == ["2"]
    assert second.rows("deleted_posts") == []
    assert not [path for path in server.paths() if path.startswith("/api/v1/statuses/")]


def test_posts_of_hashtags_that_are_no_longer_asked_for_are_not_looked_for(server: LocalServer, tmp_path: Path) -> None:
    show(server, status(1))
    server.routes["/api/v1/timelines/tag/hats"] = timeline([status(2, tags=[{"name": "hats"}])])
    first = crawl(tmp_path, server, mastodon(server, hashtags=["ootd", "hats"]))
    assert first.ids() == ["1", "2"]
    server.forget()
    second = crawl(tmp_path, server)
    assert second.ids() == ["1"]
    assert second.rows("deleted_posts") == []
    assert "/api/v1/statuses/2" not in server.paths()


@pytest.mark.parametrize("previous", [None, "before"])
def test_the_tables_of_the_last_crawl_may_lie_elsewhere(
    server: LocalServer, tmp_path: Path, previous: str | None
) -> None:
    show(server, status(1), status(2))
    crawl(tmp_path, server, out=str(tmp_path / "before"))
    show(server, status(1))
    changes = {"previous": str(tmp_path / previous)} if previous else {}
    second = crawl(tmp_path, server, out=str(tmp_path / "after"), **changes)
    gone = [row["post_id"] for row in second.rows("deleted_posts")]
    assert gone == (["mastodon:2"] if previous else [])


def test_a_timeline_that_is_not_read_to_its_end_makes_no_post_gone(server: LocalServer, tmp_path: Path) -> None:
    posts = [status(n, f"{server.url}/{n}.jpg") for n in range(1, 5)]
    server.routes = {f"/{n}.jpg": Answer(jpeg(n)) for n in range(1, 5)}
    show(server, *posts)
    first = crawl(tmp_path, server)
    second = crawl(tmp_path, server, mastodon(server, page_size=1, max_pages=2))
    assert f"window 2019-07-01 is incomplete: source demo: #ootd on {server.name}: max_pages (2)" in second.log
    assert second.rows("posts") == first.rows("posts")
    assert second.rows("images") == first.rows("images")
    assert second.rows("deleted_posts") == []
    assert second.counts("post")["kept_from_before"] == 2
    assert not [path for path in server.paths() if path.startswith("/api/v1/statuses/")]


def test_the_answer_to_a_single_post_may_ask_for_a_token(server: LocalServer, tmp_path: Path) -> None:
    show(server, status(1), status(2))

    def single(asked: Asked) -> Answer:
        return Answer(status=404) if asked.headers.get("authorization") == "Bearer t0ken" else Answer(status=401)

    server.routes["/api/v1/statuses/2"] = single
    source = mastodon(server, token_env="TOKEN")
    run_crawl(tmp_path, source, env={"TOKEN": "t0ken"})
    show(server, status(1))
    second = run_crawl(tmp_path, source, env={"TOKEN": "t0ken"})
    assert [row["outcome"] for row in second.rows("deleted_posts")] == ["deleted"]
