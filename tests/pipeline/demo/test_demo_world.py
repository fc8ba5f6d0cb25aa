import hashlib
import json
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from crawlers.dedup.hashing import ImageHashes, hash_image
from crawlers.images import ImageRefusedError, inspect_image
from crawlers.jobs import CrawlLimits
from pipeline.demo.pictures import EDITS, Drawing, huge_png, write_drawing
from pipeline.demo.planning import END, SHARES, START, plan_posts, quotas
from pipeline.demo.planted import FAILED_KINDS, KEPT_KINDS, Planted
from pipeline.demo.world import build_world


def _files(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_same_seed_gives_the_same_files_with_one_process_or_two(
    tmp_path: Path, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.demo.world._WORTH_PROCESSES", 1)
    build_world(tmp_path / "again", seed=7, posts=60, processes=2)
    assert _files(tmp_path / "again") == _files(world)


def test_standing_world_is_used_again_and_another_one_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "world"
    first = build_world(folder, seed=1, posts=24, processes=1)
    marker = folder / "marker"
    marker.touch()
    assert build_world(folder, seed=1, posts=24, processes=1) == first
    assert marker.exists()
    assert build_world(folder, seed=2, posts=24, processes=1) != first
    assert not marker.exists()


def test_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match="give another folder"):
        build_world(tmp_path, posts=24, processes=1)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_a_killed_build_leaves_no_world(tmp_path: Path) -> None:
    def killed(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_world(tmp_path / "world", seed=1, posts=24, processes=1, progress=killed)
    assert not (tmp_path / "world").exists()
    assert len(build_world(tmp_path / "world", seed=1, posts=24, processes=1).posts) == 24


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    build_world(
        tmp_path / "world", seed=1, posts=24, processes=1, progress=lambda done, total: told.append((done, total))
    )
    assert [done for done, _ in told] == list(range(1, told[-1][1] + 1))


def test_kinds_are_as_many_as_planned(planted: Planted) -> None:
    assert planted.kinds() == quotas(60)
    assert set(planted.kinds()) == {*SHARES, "outfit"}
    assert quotas(1500)["outfit"] > 1100


def test_too_small_a_world_is_refused() -> None:
    with pytest.raises(ValueError, match="no room for outfits"):
        plan_posts(12, 1)


def test_posts_lie_in_the_windows_except_those_planted_outside(planted: Planted) -> None:
    for post in planted.posts:
        inside = START <= datetime.fromisoformat(post.created_at) < END
        assert inside == (post.kind != "outside_window"), post
        assert (set(post.hashtags) & set(planted.hashtags) == set()) == (post.kind == "other_tag")


def test_some_posts_arrive_late() -> None:
    plans = plan_posts(1500, 2019)
    late = [plan for plan in plans if (plan.arrival - plan.created_at).total_seconds() > 600]
    assert 40 < len(late) < 180
    assert all(plan.arrival >= plan.created_at for plan in plans)


def test_reposts_are_later_and_carry_the_styles_of_their_origin(planted: Planted) -> None:
    posts = {image_id: post for post in planted.posts for image_id in post.image_ids if post.kind == "outfit"}
    reposts = [post for post in planted.posts if post.kind == "repost"]
    assert reposts
    for post in reposts:
        image = planted.images[post.image_ids[0]]
        assert image.edit in EDITS
        origin = planted.images[planted.root(image.image_id)]
        assert (origin.main, origin.subs) == (image.main, image.subs)
        assert post.created_at > posts[origin.image_id].created_at


def test_good_files_are_what_the_truth_says(world: Path, planted: Planted) -> None:
    found = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (world / "media").iterdir()}
    assert set(planted.images) <= found
    assert {image_id for post in planted.posts if post.kind in KEPT_KINDS for image_id in post.image_ids} == set(
        planted.images
    )


def test_bad_files_are_refused_for_the_planted_reason(world: Path, planted: Planted) -> None:
    statuses = [json.loads(line) for line in (world / "statuses.json").read_text(encoding="utf-8").splitlines()]
    media = {
        status["id"]: [one["url"].rpartition("/")[2] for one in status["media_attachments"]] for status in statuses
    }
    reasons = set()
    for post in planted.posts:
        if post.kind not in FAILED_KINDS:
            continue
        path = world / "media" / media[post.post_id][0]
        if post.kind == "deleted":
            assert not path.exists()
            continue
        with pytest.raises(ImageRefusedError) as refused:
            inspect_image(path.read_bytes(), CrawlLimits())
        assert refused.value.reason == FAILED_KINDS[post.kind]
        reasons.add(refused.value.reason)
    assert len(reasons) == 4


def test_huge_png_is_small_and_promises_900_million_pixels() -> None:
    content = huge_png()
    assert len(content) < 2_000
    assert int.from_bytes(content[16:20], "big") * int.from_bytes(content[20:24], "big") == 900_000_000


@pytest.mark.parametrize("edit", sorted(EDITS))
def test_reposts_are_near_duplicates_of_their_origin(tmp_path: Path, edit: str) -> None:
    """By the hashes that de-duplication uses: at most 32 of 256 bits apart in one of the variants."""
    for seed, style in ((1, "Casual"), (2, "Sexy"), (3, "Elegant"), (4, "Glamorous")):
        files = write_drawing(tmp_path, Drawing(f"a{seed}", style, (), seed, ((f"b{seed}", edit),)))
        origin, repost = (hash_image(tmp_path / file.name) for file in files)
        assert isinstance(origin, ImageHashes)
        assert isinstance(repost, ImageHashes)
        variants = (repost.phash256, repost.trim_phash256, repost.mirror_phash256, repost.trim_mirror_phash256)
        assert min(_distance(origin.phash256, variant) for variant in variants) <= 32
        assert files[0].image_id != files[1].image_id


def _distance(a: bytes, b: bytes) -> int:
    return int(np.bitwise_count(np.frombuffer(a, np.uint8) ^ np.frombuffer(b, np.uint8)).sum())
