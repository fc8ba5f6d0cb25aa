"""Ids leave texts, events and databases, also where they were cut off, escaped, or only deleted."""

import base64
import io
import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from crawlers.jobs import CrawlLimits
from crawlers.known import forget_addresses, known_addresses
from crawlers.page_writer import address_key
from crawlers.posts import ImageFacts, ImageResult, MediaItem
from crawlers.storage import ImageStore
from pipeline.metadata import markdown
from pipeline.withdrawal.databases import scrub_sqlite
from pipeline.withdrawal.plan import Plan
from pipeline.withdrawal.texts import GONE, Scrubber

IMAGE, OTHER = "0123456789abcdef" * 4, "fedcba9876543210" * 4
POST = "mastodon:mastodon.example/very-long-host-name.example/112233445566778899"
ADDRESS = "https://x.example/a/b[1]|c.jpg"
SCRUBBER = Scrubber(Plan(images={IMAGE}, posts={POST, "bluesky:ab/3k"}, names={ADDRESS, "001.jpg"}))


def event(metadata: dict[str, object]) -> str:
    entries = [{"label": name, "entry_data": {"md_str": value}} for name, value in metadata.items()]
    return json.dumps({"event": {"metadata_entries": entries}, "user": "x"})


def png() -> str:
    file = io.BytesIO()
    Image.new("RGB", (2, 2)).save(file, "PNG")
    return f"![picture](data:image/png;base64,{base64.b64encode(file.getvalue()).decode()})"


@pytest.mark.parametrize(
    "text",
    [IMAGE, f"images/01/{IMAGE}", IMAGE[:47], IMAGE.upper(), f"post {POST}: gone.", POST[:47], "see 001.jpg.", ADDRESS],
)
def test_ids_are_found_whole_cut_off_and_inside_paths(text: str) -> None:
    assert SCRUBBER.hits(text)
    assert GONE in SCRUBBER.replaced(text)
    assert not SCRUBBER.hits(SCRUBBER.replaced(text))


@pytest.mark.parametrize("text", [OTHER, IMAGE[1:40], IMAGE[:8], "x001.jpg", "photos/001.jpg2", "bluesky:ab/3kz", ""])
def test_what_only_resembles_an_id_stays(text: str) -> None:
    assert not SCRUBBER.hits(text)
    assert SCRUBBER.cleaned(text, pictures=True) == text


def test_of_a_preview_the_whole_row_goes() -> None:
    frame = pd.DataFrame(
        {"post_id": [POST, "mastodon:other"], "url": [ADDRESS, "https://y.example"], "tags": ["secret", "kept"]}
    )
    cleaned = SCRUBBER.cleaned(event({"preview": markdown(frame)}), pictures=False)
    assert "secret" not in cleaned
    assert "kept" in cleaned
    rows = json.loads(cleaned)["event"]["metadata_entries"][0]["entry_data"]["md_str"].splitlines()
    assert len({row.count("|") for row in rows}) == 1, "still a table"


def test_photographs_leave_events_and_charts_stay() -> None:
    cleaned = SCRUBBER.cleaned(event({"pictures": png(), "plot": png(), "novelty": png()}), pictures=True)
    shown = {
        entry["label"]: entry["entry_data"]["md_str"] for entry in json.loads(cleaned)["event"]["metadata_entries"]
    }
    assert shown == {"pictures": GONE, "plot": png(), "novelty": GONE}


def test_an_event_that_names_nothing_is_not_touched() -> None:
    text = event({"rows": "12", "plot": png()})
    assert SCRUBBER.cleaned(text, pictures=True) is text


def test_of_a_log_only_the_lines_go_that_name_something() -> None:
    log = f"begin\nimage {IMAGE} has no hashes\nend\n"
    assert SCRUBBER.cleaned(log, pictures=True) == f"begin\n{GONE}\nend\n"


def test_a_database_keeps_nothing_in_freed_pages_or_in_its_log(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE events (id INTEGER PRIMARY KEY, event TEXT)")
    connection.execute("CREATE TABLE kvs (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID")
    connection.executemany("INSERT INTO events VALUES (?, ?)", [(n, f"{n} {IMAGE} {'x' * 3000}") for n in range(40)])
    connection.execute("DELETE FROM events WHERE id > 20")  # what was deleted before still stands in the file
    connection.execute("INSERT INTO kvs VALUES (?, ?)", (IMAGE, f"[{IMAGE}]"))
    connection.close()
    assert IMAGE.encode() in path.read_bytes()
    assert scrub_sqlite(path, lambda text: SCRUBBER.cleaned(text, pictures=True)) == 22
    for file in tmp_path.iterdir():
        assert IMAGE[:20].encode() not in file.read_bytes()
    with sqlite3.connect(path) as again:
        assert again.execute("SELECT count(*), min(event) FROM events").fetchone() == (21, f"0 {GONE} {'x' * 3000}")


def test_known_addresses_forget_pictures_and_addresses(tmp_path: Path) -> None:
    media = [MediaItem(0, f"https://x.example/{name}.jpg") for name in ("gone", "same", "failed", "kept")]
    facts = {"gone": IMAGE, "same": IMAGE, "failed": None, "kept": OTHER}
    results = [
        (
            address_key(item),
            ImageResult(
                datetime(2019, 7, 1, tzinfo=UTC),
                1,
                ImageFacts(image_id, "PNG", 1, 1, 1) if image_id else None,
                "http_404",
            ),
        )
        for item, image_id in zip(media, facts.values(), strict=True)
    ]
    with known_addresses(tmp_path, CrawlLimits(), ImageStore(tmp_path / "images")) as known:
        known.learn(results)
    forget_addresses(tmp_path, {IMAGE}, {media[2].url}, {"d" * 64})
    with sqlite3.connect(tmp_path / "addresses.sqlite") as database:
        assert database.execute("SELECT address FROM addresses").fetchall() == [(address_key(media[3]),)]
    assert all(IMAGE.encode() not in file.read_bytes() for file in tmp_path.iterdir() if file.is_file())
