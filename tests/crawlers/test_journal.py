"""What a crawl has done so far is on the disk, whole pages and whole pictures, and nothing of it is done again."""

import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from crawlers.errors import CrawlError
from crawlers.journal import Journal, PageFailure, open_journal
from crawlers.networks.base import Page
from crawlers.page_writer import PageWriter, address_key
from crawlers.posts import ImageFacts, ImageResult, MediaItem, Post

NOW = datetime(2019, 7, 3, 12, tzinfo=UTC)


def page(name: str, server: str = "sns.example") -> Page:
    return Page(f"https://{server}/{name}", f"#{name}", server, context={"tag": name})


def post(number: int, *, source: int = 0, server: str = "sns.example", rank: int = 0, **changes: Any) -> Post:
    values: dict[str, Any] = {
        "post_id": f"mastodon:{number}",
        "network": "mastodon",
        "source": f"source{source}",
        "server": server,
        "url": None,
        "created_at": NOW,
        "author_hmac": None,
        "hashtags": ("ootd",),
        "media": (),
        "server_rank": rank,
    }
    return Post(**values | changes)


def media(name: str, index: int = 0) -> MediaItem:
    return MediaItem(index, f"https://files.example/{name}")


def ok(name: str = "a") -> ImageResult:
    return ImageResult(NOW, 1, facts=ImageFacts(name * 64, "JPEG", 4, 3, 100), http_status=200)


def add(writer: PageWriter, a_post: Post, reason: str | None = None) -> bool:
    return writer.add_post(a_post, a_post.to_row(window="w", reason=reason, matched=(), crawled_at=NOW))


@contextmanager
def opened(folder: Path, fingerprint: str = "f", window: str = "w") -> Iterator[Journal]:
    with open_journal(folder, window, fingerprint) as journal:
        yield journal


def file_of(folder: Path) -> Path:
    (path,) = folder.glob("*.sqlite")
    return path


def taken(journal: Journal, source: int = 0) -> list[str]:
    """Take all pages that are to be asked for."""
    names = []
    while (found := journal.next_page(source)) is not None:
        names.append(found[1].timeline)
    return names


def fetched(journal: Journal, source: int = 0, resting: frozenset[str] = frozenset()) -> list[str]:
    """Take all pictures that are to be fetched."""
    names = []
    while (found := journal.next_download(source, resting)) is not None:
        names.append(found.fetch_url.rpartition("/")[2])
    return names


def with_pictures(journal: Journal, *names: str, server: str = "files.example") -> None:
    """Let one page bring one post with some pictures."""
    journal.start(0, [page("first")])
    found = journal.next_page(0)
    assert found is not None
    with journal.page_read(0, found[0]) as writer:
        add(writer, post(1, media=tuple(media(name, n) for n, name in enumerate(names))))
        for n, name in enumerate(names):
            assert writer.add_picture("mastodon:1", media(name, n), server) == address_key(media(name))


def test_a_page_is_taken_once_and_its_followers_before_other_pages(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.start(0, [page("a"), page("b")])
        journal.start(1, [page("c")])
        number, first = journal.next_page(0) or (0, page("none"))
        assert first == page("b")
        with journal.page_read(0, number) as writer:
            writer.next_pages.append(page("b2"))
        assert journal.pages_waiting(0) == 2
        assert taken(journal) == ["#b2", "#a"]
        assert journal.pages_waiting(0) == 2  # they are being asked for
        assert taken(journal, 1) == ["#c"]


def test_a_page_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.start(0, [page("a")])
        number, _ = journal.next_page(0) or (0, None)
        with pytest.raises(KeyError):
            half_written(journal, number)
        assert journal.pages_waiting(0) == 1
        assert taken(journal) == []  # it is still being asked for
        assert list(journal.counts()) == []
        assert journal.progress() == (0, 0, 0)
        assert journal.failures() == []
        with journal.page_read(0, number) as writer:
            assert writer.recall("#a") == {}
            assert writer.is_new("mastodon:1")
            assert writer.unseen("#a", ["1"]) == ["1"]
            assert writer.add_picture("mastodon:1", media("x"), "files.example") is not None
        assert journal.pages_waiting(0) == 0
        assert journal.progress() == (1, 0, 1)
        assert fetched(journal) == ["x"]


def half_written(journal: Journal, number: int) -> None:
    with journal.page_read(0, number) as writer:
        writer.is_new("mastodon:1")
        writer.unseen("#a", ["1"])
        writer.keep("#a", {"pages": 1})
        add(writer, post(1))
        writer.add_picture("mastodon:1", media("x"), "files.example")
        journal.note_failure(PageFailure(0, "sns.example", "#a", "stopped", "x"))
        writer.next_pages.append(page("b"))
        raise KeyError


def test_a_killed_process_leaves_nothing_of_a_page_that_it_was_writing(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from crawlers.journal import open_journal; from crawlers.networks.base import Page\n"
        "with open_journal(Path(sys.argv[1]), 'w', 'f') as journal:\n"
        "    journal.start(0, [Page('https://a/', '#a', 'a'), Page('https://b/', '#b', 'a')])\n"
        "    for last in (False, True):\n"
        "        with journal.page_read(0, journal.next_page(0)[0]) as writer:\n"
        "            writer.is_new(f'x:{last}'); writer.keep('t', {'last': last})\n"
        "            if last: os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)])
    assert killed.returncode == -9
    with opened(tmp_path) as journal:
        assert journal.resumed
        assert [journal.was_met(0, name) for name in ("x:False", "x:True")] == [True, False]
        (found,) = [journal.next_page(0)]
        assert found is not None
        assert found[1].timeline == "#a"
        with journal.page_read(0, found[0]) as writer:
            assert writer.recall("t") == {"last": False}


def test_after_a_kill_what_was_in_flight_comes_back_and_what_was_done_does_not(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        assert not journal.resumed
        began = journal.began
        with_pictures(journal, "done", "flying", "waiting")
        journal.start(1, [page("in flight"), page("failed"), page("read")])
        number, _ = journal.next_page(1) or (0, None)
        with journal.page_read(1, number) as writer:
            writer.count("seen", "post", 2)
        number, _ = journal.next_page(1) or (0, None)
        journal.page_failed(number, PageFailure(1, "sns.example", "#failed", "http_500", "no"), ["http_500"] * 2)
        journal.note_failure(PageFailure(1, "sns.example", "#deep", "stopped", "max_pages"))
        assert taken(journal, 1) == ["#in flight"]
        download = journal.next_download(0, frozenset())
        assert download is not None
        journal.downloaded(0, download.address, ok(), ["http_200"])
        assert journal.next_download(0, frozenset()) is not None
    for _ in range(2):
        with opened(tmp_path) as journal:
            assert journal.resumed
            assert journal.began == began
            journal.start(0, [page("first")])  # is not begun again
            journal.start(1, [page("in flight"), page("failed"), page("read")])
            assert taken(journal) == []
            assert taken(journal, 1) == ["#failed", "#in flight"]
            assert fetched(journal) == ["flying", "waiting"]
            assert [failure.reason for failure in journal.failures()] == ["stopped"]
            assert list(journal.settled()) == [(address_key(media("done")), ok())]
            assert sorted(journal.counts()) == [
                (0, "request", "http_200", 1),
                (1, "request", "http_500", 2),
                (1, "seen", "post", 2),
            ]


def test_a_page_that_failed_is_not_asked_for_again_by_the_same_process(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.start(0, [page("a")])
        number, _ = journal.next_page(0) or (0, None)
        journal.page_failed(number, PageFailure(0, "sns.example", "#a", "timeout", "no"), [])
        assert taken(journal) == []
        assert journal.pages_waiting(0) == 0


def set_about(path: Path, name: str, value: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute("UPDATE about SET value = ? WHERE name = ?", (value, name))
    connection.commit()
    connection.close()


def began_before(age: timedelta) -> Callable[[Path], None]:
    return lambda path: set_about(path, "began", (datetime.now(UTC) - age).isoformat())


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def scramble(path: Path) -> None:
    """Damage what lies behind the first pages of the file, which the list of tables is in."""
    data = bytearray(path.read_bytes())
    data[4096 * 3 :] = b"\x5a" * (len(data) - 4096 * 3)
    path.write_bytes(data)


def without_tables(path: Path) -> None:
    path.unlink()
    sqlite3.connect(path).close()
    path.touch()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "no_database": lambda path: path.write_bytes(b"what is this?" * 1000),
    "cut": cut_in_half,
    "scrambled": scramble,
    "without_tables": without_tables,
    "too_old": began_before(timedelta(hours=24, minutes=1)),
    "no_date": lambda path: set_about(path, "began", "yesterday"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_journal_that_cannot_be_gone_on_with_is_begun_afresh(tmp_path: Path, damage: str) -> None:
    with opened(tmp_path) as journal:
        with_pictures(journal, *(f"{n}" * 60 for n in range(60)))
    DAMAGES[damage](file_of(tmp_path))
    with opened(tmp_path) as journal:
        assert not journal.resumed
        assert datetime.now(UTC) - journal.began < timedelta(minutes=1)
        journal.start(0, [page("first")])
        assert taken(journal) == ["#first"]
        assert journal.progress() == (0, 0, 0)


def test_another_fingerprint_is_another_crawl_and_another_window_another_file(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.start(0, [page("a")])
        with opened(tmp_path, "f", "other window") as other:
            assert not other.resumed
            assert taken(other) == []
    with opened(tmp_path, "other") as journal:
        assert not journal.resumed
        assert journal.pages_waiting(0) == 0
    began_before(timedelta(hours=23, minutes=59))(
        next(path for path in tmp_path.glob("*.sqlite") if "other" in about(path))
    )
    with opened(tmp_path, "other") as journal:
        assert journal.resumed


def about(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    values = [row[0] for row in connection.execute("SELECT value FROM about")]
    connection.close()
    return values


def test_a_window_is_crawled_by_one_process_at_a_time(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.start(0, [page("a")])
        with pytest.raises(CrawlError, match="window w is being crawled by another process"), opened(tmp_path):
            pass
        assert taken(journal) == ["#a"]
    with opened(tmp_path) as journal:
        assert taken(journal) == ["#a"]


def test_the_file_is_for_its_owner_only_and_goes_when_the_crawl_is_done(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        with_pictures(journal, "a")
        files = [path for path in tmp_path.iterdir() if path.suffix != ".lock"]
        assert {path.name.rpartition(".sqlite")[2] for path in files} == {"", "-wal", "-shm"}
        assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
        journal.remove()
        assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


def test_the_address_of_a_picture_that_was_fetched_is_not_kept(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        with_pictures(journal, "mina")
        download = journal.next_download(0, frozenset())
        assert download is not None
        journal.downloaded(0, download.address, ok(), [])
        assert journal.connection().execute("SELECT fetch_url FROM downloads").fetchall() == [("",)]


def test_pictures_come_in_order_and_those_of_resting_servers_later(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.start(0, [page("a")])
        number, _ = journal.next_page(0) or (0, None)
        names = [f"{n:03}" for n in range(450)]  # more than are taken from the file at a time
        with journal.page_read(0, number) as writer:
            for name in names:
                writer.add_picture("mastodon:1", media(name), "slow.example" if int(name) < 300 else "well.example")
        slow = frozenset({"slow.example"})
        assert fetched(journal, 0, slow) + fetched(journal, 0, slow) == names[300:]
        assert journal.downloads_waiting(0) == 450
        assert fetched(journal, 0, frozenset({"slow.example", "well.example"})) == []
        assert fetched(journal) == names[:300]
        assert fetched(journal) == []


def test_a_server_that_rests_long_does_not_draw_all_its_pictures_into_memory(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.start(0, [page("a")])
        number, _ = journal.next_page(0) or (0, None)
        with journal.page_read(0, number) as writer:
            for n in range(2_300):
                writer.add_picture("mastodon:1", media(str(n)), "slow.example")
        for _ in range(20):
            assert journal.next_download(0, frozenset({"slow.example"})) is None
        assert len(journal._queues[0].waiting) == 2_000
        assert len(fetched(journal)) == 2_300


def test_a_picture_is_fetched_once_whatever_shows_it(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        with_pictures(journal, "a")
        journal.start(1, [page("x"), page("y")])
        for _ in range(2):
            number, _ = journal.next_page(1) or (0, None)
            with journal.page_read(1, number) as writer:
                new = [writer.add_picture(f"mastodon:{n}", media("a"), "files.example") for n in range(2)]
        assert new == [None, None]
        assert fetched(journal) == ["a"]
        assert fetched(journal, 1) == ["a"]  # each source has its own hosts that are allowed


def test_what_is_known_of_a_picture_is_noted_with_its_post(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.start(0, [page("a")])
        number, _ = journal.next_page(0) or (0, None)
        with journal.page_read(0, number) as writer:
            settled, tried = (writer.add_picture("mastodon:1", media(name), "f.example") or "" for name in "ab")
            writer.settle(settled, ok())
            writer.tried(tried, 3)
        download = journal.next_download(0, frozenset())
        assert download is not None
        assert (download.attempts, download.address) == (3, tried)
        assert journal.next_download(0, frozenset()) is None
        assert journal.progress() == (0, 1, 2)


@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [
        (post(1, rank=0), post(2, rank=1, source=0), (True, False)),
        (post(2, rank=1), post(1, rank=0), (True, True)),
        (post(1, rank=0), post(2, rank=0), (True, False)),
        (post(2, rank=0), post(1, rank=0), (True, True)),  # the tables have the smaller id
    ],
)
def test_pictures_are_wanted_of_the_copy_of_a_post_that_the_tables_will_have(
    tmp_path: Path, first: Post, second: Post, wanted: tuple[bool, bool]
) -> None:
    with opened(tmp_path) as journal:
        with journal.archive(0) as writer:
            changed = [Post(**vars(copy) | {"identity": "the same"}) for copy in (first, second)]
            assert tuple(add(writer, copy) for copy in changed) == wanted
        with journal.archive(1) as writer:
            assert not add(writer, Post(**vars(first) | {"post_id": "x:9", "identity": "the same"}))
            assert add(writer, Post(**vars(first) | {"post_id": "x:9"}))


def test_a_copy_that_is_left_out_gives_way_but_for_an_opt_out(tmp_path: Path) -> None:
    with opened(tmp_path) as journal, journal.archive(0) as writer:
        for reason, wanted in (("sensitive", True), ("opted_out", False)):
            assert not add(writer, post(1, identity=reason), reason)
            assert add(writer, post(2, identity=reason, rank=1)) is wanted


def test_posts_that_were_not_met_again_are_named_until_they_are_looked_into(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        with journal.archive(0) as writer:
            assert writer.is_new("mastodon:2")
            assert not writer.is_new("mastodon:2")
        assert [journal.was_met(0, f"mastodon:{n}") for n in (1, 2, 3)] == [False, True, False]
        assert not journal.was_met(1, "mastodon:2")
        journal.note_gone("mastodon:3", "deleted", 404)
    with opened(tmp_path) as journal:
        assert [journal.was_met(0, f"mastodon:{n}") for n in (1, 2, 3)] == [False, True, True]
        ((outcome, status, noticed),) = journal.gone().values()
        assert (outcome, status) == ("deleted", 404)
        assert datetime.now(UTC) - noticed < timedelta(minutes=1)


def test_counts_add_up_over_pages_and_requests(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        with_pictures(journal, "a", "b")
        journal.count(0, "server", "robots_txt")
        journal.count(0, "server", "robots_txt", 2)
        while (download := journal.next_download(0, frozenset())) is not None:
            journal.downloaded(0, download.address, ok(), ["no_answer", "http_200"])
        counts = {(what, outcome): 0 for _, what, outcome, _ in journal.counts()}
        for _, what, outcome, number in journal.counts():
            counts[what, outcome] += number
        assert counts == {("server", "robots_txt"): 3, ("request", "no_answer"): 2, ("request", "http_200"): 2}


def test_an_archive_is_written_anew_each_time(tmp_path: Path) -> None:
    for _ in range(2):
        with opened(tmp_path) as journal:
            with journal.archive(0) as writer:
                add(writer, post(1, media=(media("a"),)))
                writer.add_picture("mastodon:1", media("a"), "", address="1 0")
                writer.settle("1 0", ok())
                writer.count("seen", "post")
            assert list(journal.counts()) == [(0, "seen", "post", 1)]
            assert journal.progress() == (1, 1, 1)
