import pandas as pd
import pytest

from pipeline.demo.check import Check, check_planted
from pipeline.demo.planted import DROPPED_KINDS, FAILED_KINDS, KEPT_KINDS, Planted

Tables = dict[str, pd.DataFrame]


@pytest.fixture
def tables(planted: Planted) -> Tables:
    """What a perfect run over the small world finds."""
    posts, images = [], []
    for post in planted.posts:
        if post.kind in ("outside_window", "other_tag"):
            continue
        post_id = f"mastodon:{post.post_id}"
        posts.append(
            {"post_id": post_id, "kept": post.kind not in DROPPED_KINDS, "reason": DROPPED_KINDS.get(post.kind)}
        )
        reason = FAILED_KINDS.get(post.kind)
        for image_id in post.image_ids or ([None] if reason else []):
            images.append(
                {"post_id": post_id, "status": "failed" if reason else "ok", "reason": reason, "image_id": image_id}
            )
    uploads = pd.Series([image["image_id"] for image in images]).value_counts()
    unique = [
        {"image_id": key, "canonical_id": planted.root(key), "posts": int(uploads[key])} for key in planted.images
    ]
    failed = sum(image["status"] == "failed" for image in images)
    return {
        "posts": pd.DataFrame(posts),
        "images": pd.DataFrame(images),
        "counts": pd.DataFrame(
            [{"what": "image", "outcome": "any", "count": failed}, {"what": "image", "outcome": "ok", "count": 9}]
        ),
        "unique": pd.DataFrame(unique),
        "annotations": pd.DataFrame([{"image_id": key, "main": image.main} for key, image in planted.images.items()]),
        "quarantined": pd.DataFrame({"reason": ["skipped", "skipped", "draft"]}),
    }


def _failing(checks: list[Check]) -> list[str]:
    return [check.name for check in checks if not check.ok]


def test_perfect_run_passes_every_check(planted: Planted, tables: Tables) -> None:
    checks = check_planted(planted, **tables, refused={"skipped": 2, "draft": 1})
    assert _failing(checks) == []
    assert len({check.name for check in checks}) == len(checks)
    kept = sum(post.kind in KEPT_KINDS or post.kind in FAILED_KINDS for post in planted.posts)
    assert Check("posts kept", kept, kept, True) in checks


def test_each_loss_is_noticed(planted: Planted, tables: Tables) -> None:
    kinds = {post.kind: f"mastodon:{post.post_id}" for post in planted.posts}
    posts, images, unique = tables["posts"], tables["images"], tables["unique"]

    def failing(**changed: pd.DataFrame) -> list[str]:
        return _failing(check_planted(planted, **{**tables, **changed}))

    assert failing(posts=posts[posts["post_id"] != kinds["repost"]]) == ["posts kept"]
    extra = pd.DataFrame([{"post_id": kinds["outside_window"], "kept": True, "reason": None}])
    assert failing(posts=pd.concat([posts, extra])) == ["posts left out: outside_window"]
    stranger = pd.DataFrame([{"post_id": "mastodon:1", "kept": False, "reason": "boost"}])
    assert failing(posts=pd.concat([posts, stranger])) == ["posts that nobody planted"]
    assert failing(images=images.assign(reason=images["reason"].replace("http_404", "timeout"))) == [
        "images refused: http_404"
    ]
    assert failing(unique=unique.assign(canonical_id=unique["image_id"]))[0].startswith("reposts found")
    one = unique["image_id"].iloc[0]
    assert "different pictures taken for one" in failing(unique=unique.assign(canonical_id=one))
    wrong = tables["annotations"].assign(main="Preppy")
    assert failing(annotations=wrong) == ["main labels as planted (at least 88%)"]


def test_quarantine_is_compared_with_what_the_experts_did(planted: Planted, tables: Tables) -> None:
    assert _failing(check_planted(planted, **tables, refused={"skipped": 3})) == ["annotations refused: skipped"]
