"""The crawler against the reference AT Protocol server: what is planted there is found exactly.

What posts, accounts and blobs can be like there is listed in atproto_server.py.
"""

import random
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from crawlers.identity import author_hmac, key_from_env
from tests.crawlers.crawl_server import KEY, Crawled, command, environment, jpeg, write_job
from tests.integration import atproto_server
from tests.integration.atproto_server import Account, AtprotoServer, RateLimit, Record, blob_cid
from tests.integration.mastodon_mock_server import MastodonMock
from tests.integration.real_crawl import LIMITS, crawl, sha256

pytestmark = [pytest.mark.integration, pytest.mark.timeout(atproto_server.INSTALL_SECONDS + 300)]

WHEN = "2019-07-03T12:00:00Z"
TAGS = ("ootd", "패션", "ファッション", "café", "straße")
HMAC_KEY = key_from_env({"STYLEGRAPH_HMAC_KEY": KEY})


def source(server: AtprotoServer, *tags: str, **changes: Any) -> dict[str, Any]:
    common = {"kind": "bluesky", "name": "sky", "server": server.url, "mode": "sync", "hashtags": tags}
    return common | {"plc_directory": "", "allow_hosts": ["127.0.0.1"], "delay": 0, "page_size": 7} | changes


def post_id(account: Account, rkey: str) -> str:
    """A post's id holds the keyed hash of its author, and of a record key in which a name could stand."""
    key = author_hmac(rkey, "record keys of bluesky", HMAC_KEY)[:32] if set(":.") & set(rkey) else rkey
    return f"bluesky:{author_hmac(account.did, 'bluesky', HMAC_KEY)[:16]}/{key}"


def large_jpeg() -> bytes:
    """More than a megabyte, so that it is received into a file."""
    noise = np.random.default_rng(0).integers(0, 255, (900, 900, 3), dtype=np.uint8)
    buffer = BytesIO()
    Image.fromarray(noise).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def png() -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (40, 30), (200, 10, 60)).save(buffer, "PNG")
    return buffer.getvalue()


def names_in(crawled: Crawled, accounts: Sequence[Account]) -> list[str]:
    """Where a DID or a handle stands: in a cell of a table, in a file that the crawl left, or in its log."""
    texts = {"log": crawled.log.encode()}
    for table in ("posts", "images", "counts", "deleted_posts"):
        texts[table] = repr(crawled.rows(table)).encode()
    for path in crawled.folder.rglob("*"):
        if path.is_file() and path.name != "job.json":  # written by whoever starts the crawl
            texts[str(path.relative_to(crawled.folder))] = path.read_bytes() + str(path).encode()
    names = [b"did:plc"]
    for account in accounts:
        names += [account.did.removeprefix("did:plc:").encode(), account.handle.removesuffix(".test").encode()]
    return [f"{name!r} in {place}" for place, text in texts.items() for name in names if name in text]


class Picture(NamedTuple):
    """A picture of a planted post, and what becomes of it."""

    data: bytes
    alt: str | None = "seen"
    outcome: str = "ok"
    claims: dict[str, Any] = {}  # noqa: RUF012


@dataclass
class Planter:
    """Plants posts and notes what is to be found of them."""

    server: AtprotoServer
    accounts: dict[str, Account] = field(default_factory=dict)
    posts: dict[str, tuple[str | None, list[str]]] = field(default_factory=dict)  # reason and hashtags
    pictures: dict[tuple[str, int], tuple[str, str | None, str | None]] = field(default_factory=dict)
    alts: dict[tuple[str, int], str | None] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    blobs: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    def account(self, name: str, **profile: Any) -> Account:
        made = self.accounts[name] = self.server.client.create_account(f"at-{name}")
        if profile:
            self.server.client.put_profile(made, **profile)
        return made

    def blob(self, account: Account, data: bytes) -> dict[str, Any]:
        key = account.did, sha256(data)
        if key not in self.blobs:
            self.blobs[key] = self.server.client.upload_blob(account, data, "image/jpeg")
        return self.blobs[key]

    def post(
        self,
        account: Account,
        *pictures: Picture,
        when: str = WHEN,
        fate: str | None = None,
        hashtags: Sequence[str] = ("ootd",),
        text: str = "a post #ootd",
        facet_tags: Sequence[str] = ("ootd",),
        **more: Any,
    ) -> Record:
        """Plant a post; fate is the reason against it, or what it is only counted as ("" for not at all)."""
        images = [(self.blob(account, picture.data) | picture.claims, picture.alt or "") for picture in pictures]
        record = self.server.client.create_post(account, text, when, images, facet_tags=facet_tags, **more)
        id_ = post_id(account, record.rkey)
        if fate != "":
            self.counts[fate or "kept"] += 1
        if fate not in ("", "other_tag", "outside_window", "malformed"):
            self.posts[id_] = fate, sorted(hashtags)
        for index, picture in enumerate(pictures if fate is None else ()):
            result = (sha256(picture.data), None) if picture.outcome == "ok" else (None, picture.outcome)
            self.pictures[id_, index] = ("ok" if picture.outcome == "ok" else "failed", *result)
            self.alts[id_, index] = picture.alt
        return record


def plant_dates(planter: Planter) -> None:
    account = planter.account("dates", description="Pictures of clothes", displayName="D")
    inside = [
        "2019-07-01T00:00:00.000Z",
        "2019-07-07T23:59:59.999Z",
        "2019-07-01T09:00:00+09:00",
        "2019-07-08T08:59:59.999+09:00",
        "2019-06-30T19:00:00.000-05:00",
        "2019-07-07T18:59:59-05:00",
        "2019-07-07T23:59:59.999999999Z",
        "2019-07-04T10:00:00",
        "2019-07-04",
    ]
    outside = [
        "2019-06-30T23:59:59.999Z",
        "2019-07-08T00:00:00.000Z",
        "2019-07-01T08:59:59.999+09:00",
        "2019-07-08T09:00:00+09:00",
        "2019-06-30T18:59:59.999-05:00",
        "2019-07-07T19:00:00-05:00",
        "2035-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
    ]
    days = [(f"2019-07-{day:02}T12:00:00.000Z", None if day < 8 else "outside_window") for day in range(1, 12)]
    planned = [(when, None) for when in inside] + [(when, "outside_window") for when in outside] + days
    random.Random(7).shuffle(planned)  # the order of writing has nothing to do with the dates
    for number, (when, fate) in enumerate(planned):
        planter.post(account, Picture(jpeg(number)), when=when, fate=fate)
    for when in ("someday", "", "2019-02-30T00:00:00Z", "0001-01-01T00:00:00+23:59"):
        planter.post(account, Picture(jpeg(0)), when=when, fate="malformed")
    first, last = "zz-custom", "2222222222222"
    for rkey in (first, last, account.handle, account.did, "self~made_key-1"):
        planter.post(account, Picture(jpeg(100)), rkey=rkey)
    for rkey in ("zzzz-old", "1-old"):
        planter.post(account, Picture(jpeg(100)), when="2018-01-01T00:00:00Z", rkey=rkey, fate="outside_window")


def plant_tags(planter: Planter) -> None:
    account, picture = planter.account("tags"), Picture(jpeg(200))
    decomposed = {"café": "cafe\u0301", "ファッション": "ファッション", "패션": "\u1111\u1162\u1109\u1167\u11ab"}
    planter.post(account, picture, text="as record.tags only", facet_tags=(), tags=["ootd", "Street"],
                 hashtags=("ootd", "street"))  # fmt: skip
    planter.post(account, picture, text="both #ootd #spring", facet_tags=("ootd", "spring"), tags=["ootd", "summer"],
                 hashtags=("ootd", "spring", "summer"))  # fmt: skip
    planter.post(account, picture, text="#OOTD", facet_tags=("OOTD",))
    planter.post(account, picture, text="with a sign", facet_tags=(), tags=["#OoTd", "＃ootd", " ", "#"])
    planter.post(account, picture, text="😀 été #패션", facet_tags=("패션",), hashtags=("패션",))
    planter.post(account, picture, text="#ファッション", facet_tags=("ファッション",), hashtags=("ファッション",))
    for folded, written in decomposed.items():
        planter.post(account, picture, text=f"#{written}", facet_tags=(written,), hashtags=(folded,))
    planter.post(account, picture, text="#CAFÉ", facet_tags=("CAFÉ",), hashtags=("café",))
    planter.post(account, picture, text="#STRASSE", facet_tags=("STRASSE",), hashtags=("strasse",))
    planter.post(account, picture, text="no tag", facet_tags=(), fate="other_tag")
    planter.post(account, picture, text="#ootd in the text alone", facet_tags=(), fate="other_tag")
    planter.post(account, picture, text="#cats", facet_tags=("cats",), tags=["ootds", "패션왕"], fate="other_tag")
    planter.post(account, picture, facet_tags=(), fate="other_tag", facets=[{"features": 7}, None], tags="ootd")
    planter.post(account, picture, tags=["NoAI"], hashtags=("noai", "ootd"), fate="opted_out")


def plant_kinds(planter: Planter) -> None:
    client = planter.server.client
    account, friend = planter.account("kinds", description="I like #ai"), planter.account("friend")
    for count in range(1, 5):
        alts = ("", "빨간 코트 👗", "x" * 1500, "two\nlines")
        planter.post(account, *(Picture(jpeg(300 + n), alts[n] or None) for n in range(count)))
    subject = planter.post(account, Picture(jpeg(310)))
    planter.post(friend, Picture(jpeg(311)), quote=subject)
    planter.post(friend, quote=subject, fate="no_image")
    planter.post(friend, Picture(jpeg(312)), reply=(subject, subject))
    client.repost(friend, subject, WHEN)
    planter.post(friend, fate="no_image")
    thumb = {"uri": "https://shop.example", "title": "t", "description": "d", "thumb": planter.blob(friend, jpeg(313))}
    planter.post(friend, embed={"$type": "app.bsky.embed.external", "external": thumb}, fate="no_image")
    for label in ("porn", "nudity", "sexual", "graphic-media"):
        planter.post(friend, Picture(jpeg(314)), labels=[label], fate="sensitive")
    planter.post(friend, Picture(jpeg(315)), labels=["!no-unauthenticated"], fate="opted_out")
    planter.post(friend, Picture(jpeg(316)), labels=["my-own-label"])
    deleted = planter.post(friend, Picture(jpeg(317)), fate="")
    client.delete_record(friend, deleted)


def plant_broken(planter: Planter) -> None:
    """Pictures of every kind of trouble; two of them are good at another account, which has the very same bytes."""
    client = planter.server.client
    account, other = planter.account("broken"), planter.account("other")
    good, html, lost, down = jpeg(400), b"<!DOCTYPE html><html></html>", jpeg(401), jpeg(402)
    planter.post(account, Picture(good[: len(good) // 2], "cut", "truncated"))
    planter.post(account, Picture(html, "page", "not_an_image"), Picture(b"<svg/>", "svg", "not_an_image"))
    planter.post(account, Picture(jpeg(403)), Picture(png()), Picture(large_jpeg()))
    # what a record says of a blob is only checked while no other record names it
    planter.post(account, Picture(jpeg(403), claims={"size": 1}), Picture(png(), claims={"mimeType": "image/jpeg"}))
    planter.post(account, Picture(jpeg(403), claims={"size": 90_000_000, "mimeType": "text/html"}))
    planter.post(account, Picture(lost, "gone from disk", "http_400"), Picture(down, "taken down here"))
    planter.post(other, Picture(lost, "still there"), Picture(down, "taken down", "http_400"))
    foreign = planter.blob(other, jpeg(404))
    planter.post(other, Picture(jpeg(404)))
    # a reference to a blob that the account does not have; the server lets it pass because it is of no known type
    record = planter.post(account, fate="", embed={
        "$type": "app.bsky.embed.images", "images": [{"image": foreign | {"$type": "not-a-blob"}, "alt": "foreign"}]
    })  # fmt: skip
    id_ = post_id(account, record.rkey)
    planter.posts[id_], planter.alts[id_, 0] = (None, ["ootd"]), "foreign"
    planter.pictures[id_, 0] = ("failed", None, "http_400")
    planter.counts["kept"] += 1
    planter.server.delete_blob(account, blob_cid(planter.blob(account, lost)))
    client.take_down_blob(other, blob_cid(planter.blob(other, down)))


def plant_unwanted(planter: Planter) -> None:
    """Accounts of which nothing may be found."""
    client = planter.server.client
    profiles: dict[str, dict[str, Any]] = {
        "hidden": {"labels": ["!no-unauthenticated"]},
        "noai": {"description": "I draw. #NoAI please"},
        "away": {},
        "removed": {},
    }
    for number, (name, profile) in enumerate(profiles.items()):
        planter.post(planter.account(name, **profile), Picture(jpeg(500 + number)), fate="")
    client.deactivate_account(planter.accounts["away"])
    client.take_down_account(planter.accounts["removed"])
    planter.account("silent")


@pytest.fixture(scope="module")
def planted(atproto: AtprotoServer) -> Planter:
    planter = Planter(atproto)
    for plant in (plant_dates, plant_tags, plant_kinds, plant_broken, plant_unwanted):
        plant(planter)
    return planter


@pytest.fixture(scope="module")
def whole(planted: Planter, tmp_path_factory: pytest.TempPathFactory) -> Crawled:
    """A crawl of every account of the server."""
    return crawl(tmp_path_factory.mktemp("whole"), source(planted.server, *TAGS))


def test_planted_posts_are_found_exactly(planted: Planter, whole: Crawled) -> None:
    rows = {row["post_id"]: row for row in whole.rows("posts")}
    assert {id_: (row["reason"], row["hashtags"]) for id_, row in rows.items()} == planted.posts
    folded = {"strasse" if tag == "straße" else tag for tag in TAGS}
    for row in rows.values():
        assert row["matched_hashtags"] == sorted(folded & set(row["hashtags"]))
        assert (row["kept"], row["url"], row["boost"]) == (row["reason"] is None, None, False)
        assert (row["network"], row["source"], row["server"]) == ("bluesky", "sky", planted.server.url[7:])
    assert [*rows] == sorted(rows)
    counts = whole.counts("post")
    for outcome in ("kept", "outside_window", "malformed", "no_image", "opted_out", "sensitive"):
        assert counts[outcome] == planted.counts[outcome], outcome
    assert "is incomplete" not in whole.log


def test_planted_pictures_are_found_exactly(planted: Planter, whole: Crawled) -> None:
    rows = {(row["post_id"], row["media_index"]): row for row in whole.rows("images")}
    assert {key: (row["status"], row["image_id"], row["reason"]) for key, row in rows.items()} == planted.pictures
    assert {key: row["alt_text"] for key, row in rows.items()} == planted.alts
    assert {row["robots_txt"] for row in rows.values()} == {"allowed"}
    image_ids = {row["image_id"] for row in rows.values()} - {None}
    assert {path.name for path in (whole.folder / "images").rglob("*") if path.is_file()} == image_ids
    for image_id in image_ids:
        assert sha256((whole.folder / "images" / image_id[:2] / image_id).read_bytes()) == image_id
    formats = Counter(row["format"] for row in rows.values())
    assert formats["PNG"] == 2


def test_nobody_is_named(planted: Planter, whole: Crawled) -> None:
    assert names_in(whole, list(planted.accounts.values())) == []
    assert [path.name for path in whole.folder.rglob("*.sqlite*")] == ["addresses.sqlite"]  # the journal is gone
    hashes = {author_hmac(account.did, "bluesky", HMAC_KEY): name for name, account in planted.accounts.items()}
    found = {hashes[row["author_hmac"]] for row in whole.rows("posts")}
    assert found == {"dates", "tags", "kinds", "friend", "broken", "other"}


def test_listed_accounts_give_the_same(planted: Planter, whole: Crawled, tmp_path: Path) -> None:
    who = planted.accounts
    handles = [f"@{who[name].handle}" for name in ("kinds", "noai", "silent")]
    dids = [who[name].did for name in ("tags", "friend", "broken", "other", "hidden", "away", "removed")]
    # a handle of nobody, of a deactivated account, and a DID of nobody
    unresolvable = ["at-nobody.test", who["away"].handle, "did:plc:" + "a" * 24]
    accounts = [who["dates"].handle.upper(), *unresolvable[:2], *dids, *handles, who["dates"].did, unresolvable[2]]
    plc = planted.server.plc_url
    listed = source(planted.server, *TAGS, accounts=accounts, plc_directory=plc)
    crawled = crawl(tmp_path, listed)
    for table in ("posts", "images"):
        assert crawled.rows(table) == whole.rows(table)
    assert crawled.counts("post") == planted.counts
    assert crawled.counts("account") == {"opted_out": 2, "gone": 2}
    assert crawled.counts("page") == {"missing": 3}
    lines = [line for line in crawled.log.splitlines() if "is incomplete" in line]
    said = sorted(line.partition("source sky: ")[2].partition(";")[0] for line in lines)
    places = sorted(accounts.index(name) for name in unresolvable)
    assert said == sorted(f"accounts[{place}] cannot be resolved" for place in places)
    assert names_in(crawled, list(who.values())) == []


def test_a_rate_limit_is_waited_out(tmp_path: Path) -> None:
    with atproto_server.start(tmp_path / "server", RateLimit(points=12, seconds=1)) as server:
        planter = Planter(server)
        for name in ("one", "two"):
            account = planter.account(name)
            for number in range(10):
                planter.post(account, Picture(jpeg(number + 20 * (name == "two"))))
        hasty = crawl(tmp_path / "hasty", source(server, "ootd", concurrency=24))
        time.sleep(1)
        slow = crawl(tmp_path / "slow", source(server, "ootd", concurrency=1, delay=0.1))
    requests = slow.counts("request")
    assert set(requests) == {"http_200", "http_400"}  # accounts without a profile
    refused = hasty.counts("request").pop("http_429")
    assert refused > 0
    assert hasty.counts("request") == requests | {"http_429": refused}
    assert hasty.rows("posts") == slow.rows("posts")
    pictures = [[row | {"attempts": 1} for row in crawled.rows("images")] for crawled in (hasty, slow)]
    assert pictures[0] == pictures[1]
    assert {row["post_id"] for row in slow.rows("posts")} == set(planter.posts)
    assert "is incomplete" not in hasty.log


def gone(crawled: Crawled) -> dict[str, tuple[str, int | None, list[str]]]:
    rows = crawled.rows("deleted_posts")
    return {row["post_id"]: (row["outcome"], row["http_status"], row["image_ids"]) for row in rows}


def test_deleted_and_late_posts_of_a_second_crawl(atproto: AtprotoServer, tmp_path: Path) -> None:
    planter = Planter(atproto)
    tagged: dict[str, Any] = {"text": "#rerun", "facet_tags": ["rerun"], "hashtags": ["rerun"]}
    account, changed = planter.account("rerun", displayName="R"), planter.account("rerun-2", displayName="R")
    stays = planter.post(account, Picture(jpeg(600)), Picture(b"no picture", outcome="not_an_image"), **tagged)
    deleted = planter.post(account, Picture(jpeg(601)), Picture(jpeg(602)), **tagged)
    left = planter.post(changed, Picture(jpeg(603)), **tagged)
    lost = planter.post(account, Picture(jpeg(604), outcome="http_400"), **tagged)
    atproto.delete_blob(account, blob_cid(planter.blob(account, jpeg(604))))
    everybody = source(atproto, "rerun")
    two = source(atproto, "rerun", accounts=[account.did, changed.handle])

    first = crawl(tmp_path / "all", everybody)
    crawl(tmp_path / "two", two)
    assert {row["post_id"] for row in first.rows("posts")} == set(planter.posts)
    assert first.rows("deleted_posts") == []
    assert first.counts("known") == {}
    atproto.client.delete_record(account, deleted)
    atproto.client.put_profile(changed, description="#noai")
    late = planter.post(account, Picture(jpeg(605)), **tagged | {"when": "2019-07-01T00:00:00Z"})
    second = crawl(tmp_path / "all", everybody)

    assert [row["post_id"] for row in second.rows("posts")] == sorted(
        post_id(account, record.rkey) for record in (stays, lost, late)
    )
    assert gone(second) == {
        post_id(account, deleted.rkey): ("deleted", None, [sha256(jpeg(601)), sha256(jpeg(602))]),
        post_id(changed, left.rkey): ("deleted", None, [sha256(jpeg(603))]),  # its author opts out now
    }
    # of the first crawl's requests, six were for pictures and two for the posts of the account that opts out now
    asked = first.counts("request")
    assert second.counts("known") == {"ok": 1, "not_an_image": 1, "http_400": 1}
    asked = {"http_200": asked["http_200"] - 5 - 2 + 1, "http_400": asked["http_400"] - 1}
    assert second.counts("request") == asked
    assert names_in(second, [account, changed]) == []
    # a list of accounts is no complete listing: one that is not there any more may have been taken from the list
    named = crawl(tmp_path / "two", two)
    assert gone(named) == {id_: ("unverified", None, ids) for id_, (_, _, ids) in gone(second).items()}

    third = crawl(tmp_path / "all", everybody)
    assert third.counts("request") == asked | {"http_200": asked["http_200"] - 1}
    # a table does not say whose a picture is, so only what is stored is known from it
    (tmp_path / "all" / "images.state" / "addresses.sqlite").unlink()
    fourth = crawl(tmp_path / "all", everybody, known=[tmp_path / "all" / "out" / "images.parquet"])
    assert fourth.counts("known") == {"ok": 2}
    assert fourth.counts("request") == {"http_200": asked["http_200"], "http_400": asked["http_400"] + 1}
    for again in (third, fourth):
        assert again.rows("posts") == second.rows("posts")
        assert again.rows("images") == second.rows("images")
        assert gone(again) == gone(second)


def progress(folder: Path) -> int:
    """Posts met and pictures dealt with, as the journal of a running crawl has them."""
    query = (
        "SELECT (SELECT coalesce(sum(number), 0) FROM counts WHERE what = 'seen') "
        "+ (SELECT count(*) FROM downloads WHERE result NOT NULL)"
    )
    for path in (folder / "images.state" / "journals").glob("*.sqlite"):
        with suppress(sqlite3.Error), closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as journal:
            return int(journal.execute(query).fetchone()[0])
    return 0


def test_killed_at_any_moment_and_gone_on_with(atproto: AtprotoServer, tmp_path: Path) -> None:
    planter, randomness = Planter(atproto), random.Random(20190701)
    tagged: dict[str, Any] = {"text": "#killed", "facet_tags": ["killed"], "hashtags": ["killed"]}
    names = ("kill-1", "kill-2", "kill-3")
    accounts = [planter.account(name) for name in names]
    for number in range(210):
        pictures = [Picture(jpeg(randomness.randrange(700, 780))) for _ in range(randomness.choice((0, 1, 1, 2)))]
        pictures = list({picture.data: picture for picture in pictures}.values())
        planter.post(accounts[number % 3], *pictures, **tagged, fate=None if pictures else "no_image")
    where = source(atproto, "killed", accounts=[account.did for account in accounts], delay=0.01)
    undisturbed = crawl(tmp_path / "undisturbed", where)

    folder = tmp_path / "killed"
    folder.mkdir()
    job = write_job(folder, where, limits=LIMITS)
    work = len(planter.posts) + len({image_id for _, image_id, _ in planter.pictures.values()})
    for target in sorted(randomness.sample(range(work * 6 // 10), 4)):
        process = subprocess.Popen(command(job), env=environment(), stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while progress(folder) < target and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert progress(folder) >= target
        assert not (folder / "out").exists()
        for path in (folder / "images").glob("??/*"):
            assert sha256(path.read_bytes()) == path.name
    resumed = crawl(folder, where)

    assert "going on with the crawl" in resumed.log
    for table in ("posts", "images", "deleted_posts"):
        assert resumed.rows(table) == undisturbed.rows(table)
    assert resumed.rows("counts") == undisturbed.rows("counts")
    assert {row["post_id"]: (row["reason"], row["hashtags"]) for row in resumed.rows("posts")} == planter.posts
    assert {(row["post_id"], row["media_index"]): row["image_id"] for row in resumed.rows("images")} == {
        key: image_id for key, (_, image_id, _) in planter.pictures.items()
    }
    image_ids = {row["image_id"] for row in resumed.rows("images")}
    assert {path.name for path in (folder / "images").rglob("*") if path.is_file()} == image_ids
    assert names_in(resumed, accounts) == []


def test_two_kinds_of_sources_in_one_crawl(
    atproto: AtprotoServer, mocks: tuple[MastodonMock, MastodonMock], tmp_path: Path
) -> None:
    mock, planter = mocks[0], Planter(atproto)
    account = planter.account("kinds-2")
    tagged: dict[str, Any] = {"text": "#atkinds", "facet_tags": ["atkinds"], "hashtags": ["atkinds"]}
    sky = planter.post(account, Picture(jpeg(800)), **tagged)
    sensitive = planter.post(account, Picture(jpeg(801)), **tagged, labels=["nudity"])
    planter.post(account, Picture(jpeg(802)), text="#mastokinds", facet_tags=["mastokinds"], fate="other_tag")
    toot = mock.post("a toot #mastokinds", "2019-07-03 12:00:00", jpeg(800))
    hidden = mock.post("a toot #mastokinds", "2019-07-03 12:00:00", jpeg(803), sensitive=True)
    mock.post("a toot #atkinds", "2019-07-03 12:00:00", jpeg(804))
    toots = {"kind": "mastodon", "name": "toots", "server": mock.url, "hashtags": ["mastokinds"], "delay": 0}

    crawled = crawl(
        tmp_path,
        source(atproto, "atkinds", accounts=[account.did], include_sensitive=True, contact="me@example.com"),
        toots | {"allow_hosts": ["127.0.0.1"], "page_size": 1},
    )

    rows = {row["post_id"]: (row["source"], row["server"], row["reason"]) for row in crawled.rows("posts")}
    assert rows == {
        post_id(account, sky.rkey): ("sky", atproto.url[7:], None),
        post_id(account, sensitive.rkey): ("sky", atproto.url[7:], None),
        f"mastodon:{toot}": ("toots", mock.name, None),
        f"mastodon:{hidden}": ("toots", mock.name, "sensitive"),
    }
    images = {(row["post_id"], row["image_id"]) for row in crawled.rows("images")}
    assert images == {
        (post_id(account, sky.rkey), sha256(jpeg(800))),
        (post_id(account, sensitive.rkey), sha256(jpeg(801))),
        (f"mastodon:{toot}", sha256(jpeg(800))),
    }
    counts = {(row["source"], row["outcome"]): row["count"] for row in crawled.rows("counts") if row["what"] == "post"}
    assert counts == {("sky", "kept"): 2, ("sky", "other_tag"): 1, ("toots", "kept"): 1, ("toots", "sensitive"): 1}
    assert "is incomplete" not in crawled.log
