"""Weeks that are added to a demo's world."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import httpx
import pandas as pd
import pytest

from pipeline.commands.demo_weeks import _move_end
from pipeline.demo import weeks
from pipeline.demo.experts import add_to_export, write_export
from pipeline.demo.planted import KEPT_KINDS, UNSEEN_KINDS, Planted, week_folders
from pipeline.demo.server import running_server
from pipeline.demo.styles import STYLES
from pipeline.demo.weeks import add_week, last_day_after
from pipeline.settings import SettingsError


@pytest.fixture
def own(world: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of the world that a test may change."""
    return shutil.copytree(world, tmp_path / "world")


def fingerprint(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return digest.hexdigest()


def test_dates_go_on(own: Path, planted: Planted) -> None:
    assert last_day_after(own) == date(2019, 9, 1)
    for end in (date(2019, 9, 9), date(2019, 9, 16)):
        before = Planted.load(own)
        added = add_week(own)
        assert last_day_after(own) == end
        new = [post for post in added.posts if post.kind not in UNSEEN_KINDS]
        assert len(new) >= 30
        assert all(f"{date.fromordinal(end.toordinal() - 7)}" <= post.created_at < f"{end}" for post in new)
        after = Planted.load(own)
        kept = {post.post_id: post for post in before.posts if post.kind != "outside_window"}
        assert kept.items() <= {post.post_id: post for post in after.posts}.items()
        assert before.images.items() <= after.images.items()
        outside = [post for post in after.posts if post.kind == "outside_window"]
        assert len(outside) == planted.kinds()["outside_window"]
        assert all(post.created_at < "2019-07-01" or post.created_at >= f"{end}" for post in outside)


def test_the_same_world_gets_the_same_weeks(own: Path, world: Path, tmp_path: Path) -> None:
    other = shutil.copytree(world, tmp_path / "other")
    for folder in (own, other):
        add_week(folder)
        add_week(folder)
    assert fingerprint(own) == fingerprint(other)


def test_a_week_reposts_earlier_pictures(own: Path) -> None:
    before = Planted.load(own)
    added = add_week(own)
    reposts = [image for image in added.images.values() if image.origin is not None]
    assert reposts
    assert any(image.origin in before.images for image in reposts)
    after = Planted.load(own)
    assert all(after.root(image.image_id) in after.images for image in reposts)
    names = {path.name for path in (week_folders(own)[0] / "media").iterdir()}
    assert not names & {path.name for path in (own / "media").iterdir()}  # what was drawn again is not kept twice


def test_a_killed_call_leaves_the_world_as_it_was(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(weeks, "write_posts", killed)
        with pytest.raises(KeyboardInterrupt):
            add_week(own)
    assert week_folders(own) == []
    assert last_day_after(own) == date(2019, 9, 1)
    add_week(own)
    assert [path.name for path in (own / "weeks").iterdir()] == ["1"]


def test_a_running_server_shows_the_new_week(own: Path) -> None:
    with running_server(own) as url:
        before = Planted.load(own)
        added = add_week(own)
        post = next(post for post in added.posts if post.kind in KEPT_KINDS)
        status = httpx.get(f"{url}/api/v1/statuses/{post.post_id}", trust_env=False).json()
        picture = httpx.get(status["media_attachments"][0]["url"], trust_env=False)
        assert hashlib.sha256(picture.content).hexdigest() == post.image_ids[0]
        moved = {one.post_id for one in before.posts} - {one.post_id for one in Planted.load(own).posts}
        assert moved
        for post_id in moved:
            assert httpx.get(f"{url}/api/v1/statuses/{post_id}", trust_env=False).status_code == 404
        old = next(post for post in before.posts if post.kind == "outfit")
        assert httpx.get(f"{url}/api/v1/statuses/{old.post_id}", trust_env=False).status_code == 200


def tasks_of(image_ids: list[str]) -> pd.DataFrame:
    rows = [
        {"image_id": one, "image_ids": [one], "image_path": one, "created_at": pd.NaT, "hashtags": [], "alt_text": None}
        for one in image_ids
    ]
    return pd.DataFrame(rows)


def test_experts_go_on_where_they_stopped(planted: Planted, tmp_path: Path) -> None:
    path, images = tmp_path / "export.json", sorted(planted.images)
    write_export(tasks_of(images[1::2]), planted, path, 3, STYLES)
    before = json.loads(path.read_text())
    assert add_to_export(tasks_of(images), planted, path, 3) == len(images[::2])
    after = json.loads(path.read_text())
    assert after[: len(before)] == before
    assert {task["data"]["image_id"] for task in after} == set(images)
    ids = [task["id"] for task in after]
    answers = [one["id"] for task in after for one in (*task["annotations"], *task["drafts"])]
    assert len(set(ids)) == len(ids)
    assert len(set(answers)) == len(answers)
    late = [one["updated_at"] for task in after[len(before) :] for one in task["annotations"]]
    assert min(late) >= max(one["updated_at"] for task in before for one in task["annotations"])
    stamp = path.stat().st_mtime_ns
    assert add_to_export(tasks_of(images), planted, path, 3) == 0
    assert path.stat().st_mtime_ns == stamp


CONFIG = """\
# mine
[data]
location = "data"  # end = 2000-01-01

[windows]
start = 2019-07-01
end = 2019-09-01  # the end
every = "week"

[sources.demo]
kind = "mastodon"
server = "http://127.0.0.1:8080"
hashtags = ["ootd"]

[labels]
kind = "csv"
path = "labels.csv"
"""


def test_only_the_end_changes_in_the_settings(tmp_path: Path) -> None:
    config = tmp_path / "stylegraph.toml"
    config.write_text(CONFIG)
    _move_end(config, date(2019, 9, 9))
    assert config.read_text() == CONFIG.replace("2019-09-01", "2019-09-09")


def test_settings_without_an_end_are_named(tmp_path: Path) -> None:
    config = tmp_path / "stylegraph.toml"
    config.write_text(CONFIG.replace("end = 2019-09-01  # the end\n", ""))
    with pytest.raises(SettingsError, match="set end = 2019-09-09 there"):
        _move_end(config, date(2019, 9, 9))
