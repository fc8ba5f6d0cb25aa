import csv
import json
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from crawl_server import command, environment, jpeg, write_job
from dagster_pipes import encode_param

from crawlers.errors import CrawlError
from crawlers.jobs import CrawlJob
from crawlers.run import crawl

ENVIRONMENT = {"STYLEGRAPH_HMAC_KEY": "00" * 16}
WEEKS = [("2019-07-01", "2019-07-08"), ("2019-07-08", "2019-07-15")]


def archive(tmp_path: Path, rows: list[dict[str, Any]] | bytes | pa.Table, **changes: Any) -> dict[str, Any]:
    folder = tmp_path / "photos"
    folder.mkdir(exist_ok=True)
    posts = tmp_path / ("posts.parquet" if isinstance(rows, pa.Table) else "posts.csv")
    if isinstance(rows, pa.Table):
        pq.write_table(rows, posts)
    elif isinstance(rows, bytes):
        posts.write_bytes(rows)
    else:
        with posts.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)))
            writer.writeheader()
            writer.writerows(rows)
    return {"kind": "archive", "name": "street", "folder": str(folder), "posts": str(posts)} | changes


def picture(tmp_path: Path, name: str, seed: int) -> str:
    path = tmp_path / "photos" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(jpeg(seed))
    return name


def run(tmp_path: Path, source: dict[str, Any], week: int = 0, **changes: Any) -> dict[str, list[dict[str, Any]]]:
    start, end = WEEKS[week]
    job = CrawlJob.model_validate(
        {
            "window": {"key": start, "start": f"{start}T00:00:00Z", "end": f"{end}T00:00:00Z"},
            "sources": [source],
            "out": tmp_path / f"out{week}",
            "images": tmp_path / "images",
            "first_window": week == 0,
        }
        | changes
    )
    crawl(job, ENVIRONMENT)
    names = ("posts", "images", "counts")
    return {name: pq.read_table(tmp_path / f"out{week}" / f"{name}.parquet").to_pylist() for name in names}


def reasons(rows: list[dict[str, Any]]) -> dict[str, str | None]:
    return {row["post_id"].removeprefix("archive:street:"): row["reason"] for row in rows}


def test_a_csv_with_nothing_but_pictures(tmp_path: Path) -> None:
    source = archive(
        tmp_path, [{"image": picture(tmp_path, f"{n}.jpg", n), "main": "dress", "subs": ""} for n in (2, 1)]
    )
    tables = run(tmp_path, source)
    assert [row["post_id"] for row in tables["posts"]] == ["archive:street:1.jpg", "archive:street:2.jpg"]
    assert all(row["kept"] and row["created_at"] is None and row["author_hmac"] is None for row in tables["posts"])
    image = tables["images"][0]
    assert (image["url"], image["status"], image["format"], image["width"]) == ("1.jpg", "ok", "JPEG", 48)
    kept = tmp_path / "images" / image["image_id"][:2] / image["image_id"]
    assert kept.read_bytes() == jpeg(1)


def test_every_column_is_used(tmp_path: Path) -> None:
    source = archive(
        tmp_path,
        [
            {
                "image": picture(tmp_path, "in/a.jpg", 1),
                "post_id": "77",
                "created_at": "2019-07-03T21:00:00+09:00",
                "author": "Mina",
                "hashtags": "#OOTD, linen|Linen",
                "url": "https://sns.example/77",
                "alt_text": "a dress",
            },
            {"image": picture(tmp_path, "in/b.jpg", 2), "post_id": "77"},
        ],
    )
    tables = run(tmp_path, source)
    (post,) = tables["posts"]
    assert post["post_id"] == "archive:street:77"
    assert post["created_at"] == datetime(2019, 7, 3, 12, tzinfo=UTC)
    assert (post["hashtags"], post["url"], post["image_count"]) == (["linen", "ootd"], "https://sns.example/77", 2)
    assert len(post["author_hmac"]) == 64
    assert [(row["media_index"], row["url"], row["alt_text"]) for row in tables["images"]] == [
        (0, "in/a.jpg", "a dress"),
        (1, "in/b.jpg", None),
    ]


def test_parquet_says_the_same_as_csv(tmp_path: Path) -> None:
    names = [picture(tmp_path, f"{n}.jpg", n) for n in range(3)]
    times = [datetime(2019, 7, 3, 12, tzinfo=UTC), None, datetime(2019, 7, 9, tzinfo=UTC)]
    table = pa.table({"image": names, "created_at": times, "hashtags": [["B", "#a"], None, []], "post_id": [7, 8, 9]})
    rows = [
        {"image": "0.jpg", "created_at": "2019-07-03T12:00:00Z", "hashtags": "a B", "post_id": "7"},
        {"image": "1.jpg", "created_at": "", "hashtags": "", "post_id": "8"},
        {"image": "2.jpg", "created_at": "2019-07-09", "hashtags": "", "post_id": "9"},
    ]
    plain = run(tmp_path, archive(tmp_path, rows))
    columnar = run(tmp_path, archive(tmp_path, table))
    for tables in (plain, columnar):
        for row in tables["posts"] + tables["images"]:
            row.pop("crawled_at", None)
            row.pop("fetched_at", None)
    assert plain == columnar


def test_each_post_belongs_to_one_window(tmp_path: Path) -> None:
    source = archive(
        tmp_path,
        [
            {"image": picture(tmp_path, "edge.jpg", 1), "created_at": "2019-07-08"},
            {"image": picture(tmp_path, "first.jpg", 2), "created_at": "2019-07-01T00:00:00Z"},
            {"image": picture(tmp_path, "undated.jpg", 3), "created_at": ""},
            {"image": picture(tmp_path, "old.jpg", 4), "created_at": "2001-01-01"},
        ],
    )
    first, second = run(tmp_path, source), run(tmp_path, source, week=1)
    assert sorted(reasons(first["posts"])) == ["first.jpg", "undated.jpg"]
    assert sorted(reasons(second["posts"])) == ["edge.jpg"]
    dated = run(tmp_path, source | {"undated": "2019-07-10"}), run(tmp_path, source | {"undated": "2019-07-10"}, week=1)
    assert sorted(reasons(dated[0]["posts"])) == ["first.jpg"]
    assert sorted(reasons(dated[1]["posts"])) == ["edge.jpg", "undated.jpg"]
    counts = {(row["what"], row["outcome"]): row["count"] for row in first["counts"]}
    assert counts == {("image", "ok"): 2, ("post", "kept"): 2, ("post", "outside_window"): 2, ("seen", "post"): 4}


def test_bad_rows_carry_their_reason_and_the_rest_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    picture(tmp_path, "good.jpg", 1)
    (tmp_path / "secret.jpg").write_bytes(jpeg(9))
    (folder / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (folder / "inside.jpg").symlink_to(folder / "good.jpg")
    (folder / "page.jpg").write_bytes(b"<html></html>")
    (folder / "cut.jpg").write_bytes(jpeg(5)[:300])
    (folder / "big.jpg").write_bytes(jpeg(6) + bytes(60_000))
    os.mkfifo(folder / "pipe.jpg")
    names = "good.jpg ./good.jpg ../secret.jpg /etc/hostname link.jpg inside.jpg page.jpg cut.jpg big.jpg pipe.jpg"
    rows = [{"image": name} for name in (*names.split(), "none.jpg", "x/../good.jpg", "nul\0.jpg")]
    tables = run(tmp_path, archive(tmp_path, rows), limits={"max_bytes": 50_000})
    assert {(row["url"], row["media_index"]): row["reason"] for row in tables["images"]} == {
        ("good.jpg", 0): None,
        ("good.jpg", 1): "duplicate_row",
        ("good.jpg", 2): "duplicate_row",
        ("../secret.jpg", 0): "forbidden_path",
        ("/etc/hostname", 0): "forbidden_path",
        ("link.jpg", 0): "forbidden_path",
        ("inside.jpg", 0): None,
        ("page.jpg", 0): "not_an_image",
        ("cut.jpg", 0): "truncated",
        ("big.jpg", 0): "too_large",
        ("pipe.jpg", 0): "missing_file",
        ("none.jpg", 0): "missing_file",
        ("nul\0.jpg", 0): "unreadable_file",
    }
    details = {row["reason"]: row["detail"] for row in tables["images"]}
    assert details["duplicate_row"] == "row 12 lists the picture of row 1 again"
    assert details["missing_file"].startswith("row ")


def test_rows_that_make_no_sense_are_posts_with_a_reason(tmp_path: Path) -> None:
    text = (
        "image,created_at,alt_text\na.jpg,2019-07-03,fine\nb.jpg,someday,x\nc.jpg,2019-07-03,one,two\n,2019-07-03,x\n"
    )
    picture(tmp_path, "a.jpg", 1)
    tables = run(tmp_path, archive(tmp_path, text.encode()))
    assert reasons(tables["posts"]) == {"a.jpg": None, "b.jpg": "bad_date", "c.jpg": "bad_row", "row-4": "no_image"}
    assert [row["url"] for row in tables["images"]] == ["a.jpg"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"file,main\na.jpg,x\n", "no column image; found: file, main"),
        (b"", "no column image; found: none"),
        (b"image,image\na,b\n", "the column image twice"),
        ("image\n\u00e9.jpg\n".encode("latin-1"), "is not UTF-8"),
        (b'image\n"a.jpg\n', "cannot be read"),
    ],
)
def test_a_posts_file_that_cannot_be_used_is_one_line(tmp_path: Path, content: bytes, words: str) -> None:
    source = archive(tmp_path, content)
    with pytest.raises(CrawlError, match=words) as caught:
        run(tmp_path, source)
    assert "\n" not in str(caught.value)
    assert "source street" in str(caught.value)
    assert not (tmp_path / "out0").exists()


def test_a_missing_folder_file_or_key_is_named(tmp_path: Path) -> None:
    source = archive(tmp_path, [{"image": "a.jpg", "author": "mina"}])
    with pytest.raises(CrawlError, match="does not exist"):
        run(tmp_path, source | {"folder": str(tmp_path / "none")})
    with pytest.raises(CrawlError, match="No such file"):
        run(tmp_path, source | {"posts": str(tmp_path / "none.csv")})
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(CrawlError, match="cannot be read"):
        run(tmp_path, source | {"posts": str(tmp_path / "bad.parquet")})
    job = CrawlJob.model_validate(
        {
            "window": {"key": "w", "start": "2019-07-01T00:00:00Z", "end": "2019-07-08T00:00:00Z"},
            "sources": [source],
            "out": tmp_path / "out",
            "images": tmp_path / "images",
        }
    )
    with pytest.raises(CrawlError, match="STYLEGRAPH_HMAC_KEY is not set"):
        crawl(job, {})


def test_a_window_without_posts_has_empty_tables(tmp_path: Path) -> None:
    tables = run(tmp_path, archive(tmp_path, [{"image": "a.jpg", "created_at": "2001-01-01"}]))
    assert tables["posts"] == tables["images"] == []
    assert [(row["what"], row["outcome"]) for row in tables["counts"]] == [("post", "outside_window"), ("seen", "post")]


def test_a_crawl_started_by_dagster_reports_its_lines_and_counts(tmp_path: Path) -> None:
    source = archive(tmp_path, [{"image": picture(tmp_path, "a.jpg", 1)}, {"image": "none.jpg"}])
    job, messages = write_job(tmp_path, source), tmp_path / "messages"
    names = ("asset_keys", "code_version_by_asset_key", "provenance_by_asset_key", "partition_key")
    names += ("partition_key_range", "partition_time_window", "job_name")
    data = dict.fromkeys(names) | {"run_id": "r", "retry_number": 0, "extras": {}}
    pipes = {
        "DAGSTER_PIPES_CONTEXT": encode_param({"data": data}),
        "DAGSTER_PIPES_MESSAGES": encode_param({"path": str(messages)}),
    }
    subprocess.run(command(job), env=environment(**pipes), check=True, capture_output=True, timeout=60)
    sent = [json.loads(line) for line in messages.read_text().splitlines()]
    lines = [message["params"]["message"] for message in sent if message["method"] == "log"]
    assert any("2 posts, 2 kept, 1 images, 1 failed" in line for line in lines)
    (report,) = [message["params"]["payload"] for message in sent if message["method"] == "report_custom_message"]
    assert (report["posts"], report["images"], report["failed"]) == (2, 1, 1)
    assert {"source": "street", "what": "image", "outcome": "missing_file", "count": 1} in report["counts"]


def test_the_same_archive_gives_the_same_bytes(tmp_path: Path) -> None:
    source = archive(tmp_path, [{"image": picture(tmp_path, f"{n}.jpg", n % 4)} for n in range(12)])
    first = run(tmp_path, source)
    second = run(tmp_path, source)
    for row in first["posts"] + second["posts"] + first["images"] + second["images"]:
        row.pop("crawled_at", None)
        row.pop("fetched_at", None)
    assert first == second
    counts = (tmp_path / "out0" / "counts.parquet").read_bytes()
    run(tmp_path, source)
    assert (tmp_path / "out0" / "counts.parquet").read_bytes() == counts
