from collections import Counter

import pandas as pd
import pytest

from pipeline.demo.check import Check, check_planted, check_work
from pipeline.demo.planted import DROPPED_KINDS, FAILED_KINDS, KEPT_KINDS, Planted
from pipeline.demo.work import Work

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
        "annotations": pd.DataFrame(
            [{"image_id": key, "answer": "style", "main": image.main} for key, image in planted.images.items()]
        ),
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


def test_answers_that_are_no_style_are_neither_right_nor_wrong(planted: Planted, tables: Tables) -> None:
    own = pd.DataFrame([{"image_id": key, "answer": "cant_tell", "main": None} for key in planted.images])
    tables["annotations"] = pd.concat([tables["annotations"], own], ignore_index=True)
    assert _failing(check_planted(planted, **tables)) == []


WORK = Work(
    outcomes=Counter(style=4, cant_tell=1, skipped=1, draft=1, no_main=1),
    corrected=Counter(two_mains=1),
    reviews=Counter(accepted=1, rejected=1),
)


@pytest.fixture
def answers() -> Tables:
    """What a perfect export holds after that work."""
    return {
        "annotations": pd.DataFrame(
            {
                "annotation_id": ["1", "2", "3", "4", "5"],
                "answer": ["style", "style", "style", "style", "cant_tell"],
                "review": ["accepted", "rejected", None, None, None],
            }
        ),
        "quarantined": pd.DataFrame({"reason": ["skipped", "draft", "no_main"]}),
        "versions": pd.DataFrame({"annotation_id": ["1", "1", "2", "3", "4", "4", "4", "5", "6", "7", "draft:8"]}),
        "returned": pd.DataFrame(
            [
                {"annotation_id": "4", "reason": "two_mains", "way": "to_annotator"},
                {"annotation_id": "7", "reason": "no_main", "way": "to_annotator"},  # not corrected yet
                {"annotation_id": None, "reason": "conflict", "way": "to_another_annotator"},
                {"annotation_id": "3", "reason": "suspicious", "way": "to_reviewer"},
            ]
        ),
    }


def test_work_that_was_exported_as_it_was_done_passes(answers: Tables) -> None:
    checks = check_work(WORK, **answers)
    assert _failing(checks) == []
    named = {check.name: check.planted for check in checks}
    assert named["sent back and corrected: two_mains"] == 1
    assert named["answers: not_fashion"] == 0
    assert named["answers in the history"] == 8


def test_each_loss_of_work_is_noticed(answers: Tables) -> None:
    annotations, quarantined, versions, returned = answers.values()

    def failing(**changed: pd.DataFrame) -> list[str]:
        return _failing(check_work(WORK, **{**answers, **changed}))

    assert failing(annotations=annotations[annotations["annotation_id"] != "5"]) == ["answers: cant_tell"]
    assert failing(annotations=annotations.assign(review=None)) == ["reviews: accepted", "reviews: rejected"]
    more = pd.concat([quarantined, pd.DataFrame({"reason": ["two_mains"]})])
    assert failing(quarantined=more) == ["annotations refused: two_mains"]
    assert failing(quarantined=quarantined[quarantined["reason"] != "draft"]) == ["annotations refused: draft"]
    assert failing(returned=returned.iloc[1:]) == ["sent back and corrected: two_mains"]
    assert failing(versions=versions.iloc[:-1]) == ["answers in the history"]
