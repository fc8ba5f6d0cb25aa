"""Several servers and sources in one crawl, servers that fail, and everybody who asks to be left out."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from crawl_server import Answer, Asked, Crawled, LocalServer, jpeg, local_server, mastodon, run_crawl, status, timeline

TAG = "/api/v1/timelines/tag/ootd"
LIMITS = {"backoff": 0, "timeout": 5, "retries": 1}


@pytest.fixture
def other() -> Iterator[LocalServer]:
    with local_server() as running:
        yield running


def both(server: LocalServer, other: LocalServer, **changes: Any) -> dict[str, Any]:
    return mastodon(server) | {"server": None, "servers": [server.url, other.url]} | changes


def show(server: LocalServer, *statuses: dict[str, Any]) -> None:
    server.routes[TAG] = timeline(list(statuses))


def with_picture(server: LocalServer, number: int, **changes: Any) -> dict[str, Any]:
    """A post of a server by a person of that server, with a picture of its own on it."""
    server.routes[f"/{server.server_port}/{number}.jpg"] = Answer(jpeg(number))
    account = {"acct": f"person{server.server_port}"}
    return status(number, f"{server.url}/{server.server_port}/{number}.jpg", **{"account": account} | changes)


def post_ids(crawled: Crawled) -> list[str]:
    return [row["post_id"] for row in crawled.rows("posts")]


def test_ids_of_two_servers_do_not_collide_and_a_shared_post_is_taken_from_the_first(
    server: LocalServer, other: LocalServer, tmp_path: Path
) -> None:
    shared = {"uri": "https://home.invalid/notes/1"}
    show(server, with_picture(server, 1), with_picture(server, 2, **shared), with_picture(server, 3))
    show(other, with_picture(other, 1), with_picture(other, 2), with_picture(other, 9, **shared))
    crawled = run_crawl(tmp_path, both(server, other))
    assert crawled.code == 0, crawled.log
    expected = [f"mastodon:{server.name}/{n}" for n in (1, 2, 3)] + [f"mastodon:{other.name}/{n}" for n in (1, 2)]
    assert post_ids(crawled) == sorted(expected)
    assert [row["post_id"] for row in crawled.rows("images")] == sorted(expected)
    assert {row["server"] for row in crawled.rows("posts")} == {server.name, other.name}
    assert crawled.counts("post") == {"kept": 5, "other_server": 1}
    assert crawled.counts("image") == {"ok": 5}

    turned = run_crawl(tmp_path / "turned", both(other, server))
    assert f"mastodon:{other.name}/9" in post_ids(turned)
    assert f"mastodon:{server.name}/2" not in post_ids(turned)


@pytest.mark.parametrize("first", ["one", "two"])
def test_the_source_that_is_named_first_has_a_post_that_both_show(
    server: LocalServer, tmp_path: Path, first: str
) -> None:
    shared = with_picture(server, 2, tags=[{"name": "ootd"}, {"name": "hats"}])
    show(server, shared)
    server.routes["/api/v1/timelines/tag/hats"] = timeline([shared, with_picture(server, 3, tags=[{"name": "hats"}])])
    sources = [mastodon(server, name="one"), mastodon(server, name="two", hashtags=["hats"])]
    if first == "two":
        sources.reverse()
    crawled = run_crawl(tmp_path, *sources)
    assert {row["post_id"]: row["source"] for row in crawled.rows("posts")} == {
        "mastodon:2": first,
        "mastodon:3": "two",
    }
    counts = {(row["source"], row["outcome"]): row["count"] for row in crawled.rows("counts") if row["what"] == "post"}
    second = "one" if first == "two" else "two"
    assert counts[second, "other_source"] == 1
    matched = next(row for row in crawled.rows("posts") if row["post_id"] == "mastodon:2")["matched_hashtags"]
    assert matched == (["ootd"] if first == "one" else ["hats"])


def test_one_post_under_two_ids_has_its_pictures_whichever_is_met_first(server: LocalServer, tmp_path: Path) -> None:
    same = {"uri": "https://home.invalid/1"}
    posts = [with_picture(server, 5, **same), with_picture(server, 4, **same)]
    for n, some in enumerate((posts, posts[::-1])):
        server.routes[TAG] = Answer(json.dumps(some).encode())
        crawled = run_crawl(tmp_path / str(n), mastodon(server, page_size=2))
        assert post_ids(crawled) == ["mastodon:4"]
        assert [row["status"] for row in crawled.rows("images")] == ["ok"]
        assert crawled.counts("post") == {"kept": 1, "other_server": 1}


def test_a_server_that_fails_does_not_take_the_others_with_it(
    server: LocalServer, other: LocalServer, tmp_path: Path
) -> None:
    show(server, with_picture(server, 1), with_picture(server, 2))
    show(other, with_picture(other, 1), with_picture(other, 7))
    source = both(server, other)
    server.routes[TAG] = Answer(status=500)
    alone = run_crawl(tmp_path / "alone", source)
    assert alone.code == 0
    assert f"window 2019-07-01 is incomplete: source demo: #ootd on {server.name}" in alone.log
    assert "answered with HTTP status 500 (http_500); run it again" in alone.log
    assert post_ids(alone) == [f"mastodon:{other.name}/1", f"mastodon:{other.name}/7"]
    assert alone.counts("page") == {"http_500": 1}

    show(server, with_picture(server, 1), with_picture(server, 2))
    whole = run_crawl(tmp_path, source)
    assert "incomplete" not in whole.log
    server.routes[TAG] = Answer(status=500)
    show(other, with_picture(other, 7))
    other.routes["/api/v1/statuses/1"] = Answer(status=404)
    server.forget()
    broken = run_crawl(tmp_path, source)
    assert broken.code == 0
    ids = sorted([f"mastodon:{server.name}/{n}" for n in (1, 2)] + [f"mastodon:{other.name}/7"])
    assert post_ids(broken) == ids
    assert broken.rows("posts") == [row for row in whole.rows("posts") if row["post_id"] in ids]
    assert broken.rows("images") == [row for row in whole.rows("images") if row["post_id"] in ids]
    assert [row["post_id"] for row in broken.rows("deleted_posts")] == [f"mastodon:{other.name}/1"]
    assert broken.counts("post") == {"kept": 1, "kept_from_before": 2}
    assert not [path for path in server.paths() if path.startswith("/api/v1/statuses/")]

    show(server, with_picture(server, 1))
    server.routes["/api/v1/statuses/2"] = Answer(status=404)
    well = run_crawl(tmp_path, source)
    assert post_ids(well) == sorted([f"mastodon:{server.name}/1", f"mastodon:{other.name}/7"])
    assert sorted(row["post_id"] for row in well.rows("deleted_posts")) == sorted(
        [f"mastodon:{server.name}/2", f"mastodon:{other.name}/1"]
    )


def test_a_shared_post_is_there_once_also_if_the_server_that_it_was_taken_from_fails(
    server: LocalServer, other: LocalServer, tmp_path: Path
) -> None:
    shared = {"uri": "https://home.invalid/1", "account": {"acct": "mina@home.invalid"}}
    mine = [with_picture(server, 2), with_picture(server, 1, **shared)]
    show(server, *mine)
    show(other, with_picture(other, 9, **shared), with_picture(other, 8))
    source = both(server, other)
    first = run_crawl(tmp_path, source)
    assert post_ids(first) == sorted([f"mastodon:{server.name}/{n}" for n in (1, 2)] + [f"mastodon:{other.name}/8"])
    server.routes[TAG] = Answer(status=500)
    broken = run_crawl(tmp_path, source)
    assert post_ids(broken) == sorted([f"mastodon:{server.name}/2"] + [f"mastodon:{other.name}/{n}" for n in (8, 9)])
    assert [row["post_id"] for row in broken.rows("images")] == post_ids(broken)
    show(server, *mine)
    well = run_crawl(tmp_path, source)
    for table in ("posts", "images", "deleted_posts"):
        assert well.rows(table) == first.rows(table)


def test_a_post_is_not_gone_because_ids_carry_their_server_now(
    server: LocalServer, other: LocalServer, tmp_path: Path
) -> None:
    show(server, with_picture(server, 1))
    show(other, with_picture(other, 1))
    one, two = mastodon(server), both(server, other)
    for source, number in ((one, 1), (two, 2), (one, 1)):
        crawled = run_crawl(tmp_path, source)
        assert len(post_ids(crawled)) == number
        assert not {row["post_id"] for row in crawled.rows("deleted_posts")} - {f"mastodon:{other.name}/1"}
    assert not [path for path in server.paths() if path.startswith("/api/v1/statuses/")]


def test_a_page_that_fails_in_the_middle_keeps_what_is_older_from_before(server: LocalServer, tmp_path: Path) -> None:
    posts = [with_picture(server, n) for n in range(1, 7)]
    show(server, *posts)
    source = mastodon(server, page_size=2)
    first = run_crawl(tmp_path, source)

    def fails(asked: Asked) -> Answer:
        return Answer(status=503) if asked.query.get("max_id") == "3" else timeline(posts)(asked)

    server.routes[TAG] = fails
    second = run_crawl(tmp_path, source)
    assert second.code == 0
    assert second.rows("posts") == first.rows("posts")
    assert second.rows("images") == first.rows("images")
    fresh = run_crawl(tmp_path / "fresh", source)
    assert (fresh.code, fresh.ids()) == (0, ["3", "4", "5", "6"])


def test_where_all_servers_fail_no_table_is_written_and_the_next_crawl_asks_again(
    server: LocalServer, other: LocalServer, tmp_path: Path
) -> None:
    server.routes[TAG] = other.routes[TAG] = Answer(status=500)
    source = both(server, other)
    failed = run_crawl(tmp_path, source)
    assert failed.code == 1
    assert not (tmp_path / "out").exists()
    assert "source demo" in (tmp_path / "job.error.txt").read_text()
    show(server, with_picture(server, 1))
    show(other, with_picture(other, 1))
    well = run_crawl(tmp_path, source)
    assert (well.code, len(post_ids(well))) == (0, 2)
    assert not (tmp_path / "job.error.txt").exists()
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    server.routes[TAG] = other.routes[TAG] = Answer(status=500)
    assert run_crawl(tmp_path, source).code == 1
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_a_server_whose_robots_txt_forbids_its_api_is_passed_by(
    server: LocalServer, other: LocalServer, tmp_path: Path
) -> None:
    show(server, with_picture(server, 1))
    server.routes["/robots.txt"] = Answer(b"User-agent: *\nDisallow: /api/\n")
    show(other, with_picture(other, 1))
    crawled = run_crawl(tmp_path, both(server, other))
    assert crawled.code == 0, crawled.log
    assert post_ids(crawled) == [f"mastodon:{other.name}/1"]
    assert crawled.counts("server") == {"robots_txt": 1}
    assert server.paths() == ["/robots.txt"]
    assert f"{server.name} is left alone: robots.txt of {server.name} forbids it" in crawled.log
    assert "incomplete" not in crawled.log


@pytest.mark.parametrize(
    ("headers", "shown"),
    [
        ({"X-Robots-Tag": "noindex, NoAI"}, "X-Robots-Tag: noai"),
        ({"x-robots-tag": "stylegraph: noimageai"}, "X-Robots-Tag: noimageai"),
        ({"TDM-Reservation": "1"}, "TDM-Reservation: 1"),
        ({"X-Robots-Tag": "noindex, nofollow, otherbot: noai", "TDM-Reservation": "0"}, None),
    ],
)
def test_an_api_that_asks_to_be_left_out_of_machine_learning_is_left_alone(
    server: LocalServer, other: LocalServer, tmp_path: Path, headers: dict[str, str], shown: str | None
) -> None:
    def tagged(asked: Asked) -> Answer:
        answer = timeline([with_picture(server, n) for n in (1, 2)])(asked)
        return Answer(answer.body, headers={**answer.headers, **headers})

    server.routes[TAG] = tagged
    show(other, with_picture(other, 1))
    crawled = run_crawl(tmp_path, both(server, other, page_size=1))
    assert crawled.code == 0, crawled.log
    theirs = [row for row in crawled.rows("posts") if row["server"] == server.name]
    assert len(theirs) == (0 if shown else 2)
    assert f"mastodon:{other.name}/1" in post_ids(crawled)
    if shown:
        assert f"{server.name} is left alone: the server asks to be left out ({shown})" in crawled.log
        assert crawled.counts("server") == {"opted_out": 1}
        assert server.times() == {"/robots.txt": 1, TAG: 1}


def test_a_server_that_opts_out_later_is_not_asked_for_its_posts_of_before(server: LocalServer, tmp_path: Path) -> None:
    show(server, with_picture(server, 1), with_picture(server, 2))
    tags = {"hashtags": ["ootd", *(f"tag{n}" for n in range(12))]}
    run_crawl(tmp_path, mastodon(server, **tags))
    out = Answer(b"[]", headers={"TDM-Reservation": "1"})
    server.routes |= {f"/api/v1/timelines/tag/{tag}": out for tag in tags["hashtags"]}
    server.forget()
    second = run_crawl(tmp_path, mastodon(server, **tags))
    assert second.code == 0
    assert second.rows("posts") == second.rows("images") == []
    assert [row["outcome"] for row in second.rows("deleted_posts")] == ["unverified"] * 2
    # pages that were asked for at the same moment had no time to learn of it
    assert len([path for path in server.paths() if path != "/robots.txt"]) <= 4
    assert second.counts("server") == {"opted_out": 13}


def test_pictures_whose_answers_ask_to_be_left_out_are_not_kept(server: LocalServer, tmp_path: Path) -> None:
    headers: dict[str, dict[str, str]] = {
        "noai": {"X-Robots-Tag": "NoAI"},
        "none": {"X-Robots-Tag": "nofollow, none"},
        "noindex": {"x-robots-tag": "noindex"},
        "ours": {"X-Robots-Tag": "stylegraph: noimageai"},
        "tdm": {"TDM-Reservation": "1"},
        "theirs": {"X-Robots-Tag": "otherbot: noindex", "TDM-Reservation": "0"},
        "later": {"X-Robots-Tag": "unavailable_after: 25 Jun 2010 15:00:00 PST"},
    }
    server.routes = {f"/{name}.jpg": Answer(jpeg(n), headers=some) for n, (name, some) in enumerate(headers.items())}
    server.routes["/error.jpg"] = Answer(status=500, headers={"X-Robots-Tag": "noai"})
    show(server, status(1, *(f"{server.url}/{name}.jpg" for name in (*headers, "error"))))
    crawled = run_crawl(tmp_path, mastodon(server))
    assert crawled.code == 0, crawled.log
    rows = {url.removesuffix(".jpg"): row for url, row in crawled.images().items()}
    for name, some in headers.items():
        lower = {key.lower(): value for key, value in some.items()}
        assert rows[name]["x_robots_tag"] == lower.get("x-robots-tag")
        assert rows[name]["tdm_reservation"] == lower.get("tdm-reservation")
        assert rows[name]["reason"] == (None if name in ("theirs", "later") else "opted_out")
    assert rows["noai"]["detail"] == "X-Robots-Tag: noai"
    assert rows["none"]["detail"] == "X-Robots-Tag: none"
    assert rows["tdm"]["detail"] == "TDM-Reservation: 1"
    assert rows["error"]["reason"] == "opted_out"
    kept = [path for path in (tmp_path / "images").rglob("*") if path.is_file()]
    assert {path.name for path in kept} == {rows["theirs"]["image_id"], rows["later"]["image_id"]}


def test_people_who_ask_to_be_left_out_are(server: LocalServer, tmp_path: Path) -> None:
    signs: dict[int, tuple[dict[str, Any], str]] = {
        1: ({"account": {"acct": "a", "noindex": True}}, "profile: noindex"),
        2: ({"account": {"acct": "a", "note": "<p>Hats. #<span>NoBot</span></p>"}}, "profile: #nobot"),
        3: ({"tags": [{"name": "ootd"}, {"name": "NoAI"}]}, "#noai"),
        4: ({"visibility": "private"}, "visibility: private"),
        5: ({"visibility": "direct"}, "visibility: direct"),
    }
    show(server, with_picture(server, 6), *(with_picture(server, n, **some) for n, (some, _) in signs.items()))
    crawled = run_crawl(tmp_path, mastodon(server))
    rows = {row["post_id"]: row for row in crawled.rows("posts")}
    for number, (_, sign) in signs.items():
        row = rows[f"mastodon:{number}"]
        assert (row["kept"], row["reason"], row["opt_out"]) == (False, "opted_out", sign)
    assert (rows["mastodon:6"]["kept"], rows["mastodon:6"]["opt_out"]) == (True, None)
    assert crawled.counts("post") == {"kept": 1, "opted_out": 5}
    assert len([path for path in server.paths() if path.endswith(".jpg")]) == 1
    assert [row["post_id"] for row in crawled.rows("images")] == ["mastodon:6"]


@pytest.mark.parametrize("knows", [0, 1])
def test_who_opts_out_on_one_server_is_left_out_where_another_does_not_know_yet(
    server: LocalServer, other: LocalServer, tmp_path: Path, knows: int
) -> None:
    shared = {"uri": "https://home.invalid/1"}
    told = {"account": {"acct": "a", "note": "#nobot"}}
    for n, some in enumerate((server, other)):
        show(some, with_picture(some, 1, **shared, **(told if n == knows else {})))
    crawled = run_crawl(tmp_path, both(server, other))
    ((row,), images) = crawled.rows("posts"), crawled.rows("images")
    assert (row["reason"], row["opt_out"], row["kept"]) == ("opted_out", "profile: #nobot", False)
    assert row["server"] == (server, other)[knows].name
    assert images == []


def test_each_server_gets_its_own_token_and_no_other(server: LocalServer, other: LocalServer, tmp_path: Path) -> None:
    show(server, with_picture(server, 1))
    show(other, with_picture(other, 1))
    source = both(server, other, token_env={server.name: "ONE", other.name: "TWO"})
    crawled = run_crawl(tmp_path, source, env={"ONE": "first-secret", "TWO": "second-secret"})
    assert crawled.code == 0, crawled.log
    for some, token in ((server, "first-secret"), (other, "second-secret")):
        sent = {asked.path: asked.headers.get("authorization") for asked in some.asked}
        assert sent.pop(TAG) == f"Bearer {token}"
        assert set(sent.values()) == {None}
    assert "secret" not in crawled.log


def test_an_account_that_is_not_there_makes_a_window_incomplete(server: LocalServer, tmp_path: Path) -> None:
    server.routes["/xrpc/com.atproto.identity.resolveHandle"] = Answer(b'{"error": "InvalidRequest"}', status=400)
    source = {
        "kind": "bluesky",
        "name": "sky",
        "server": server.url,
        "mode": "sync",
        "accounts": ["mina.example.social"],
        "allow_hosts": ["127.0.0.1"],
        "delay": 0,
    }
    crawled = run_crawl(tmp_path, source)
    assert crawled.code == 0, crawled.log
    assert "window 2019-07-01 is incomplete: source sky: accounts[0] cannot be resolved" in crawled.log
    assert "mina" not in crawled.log
    assert crawled.counts("page") == {"missing": 1}
