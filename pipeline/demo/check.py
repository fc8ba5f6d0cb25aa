"""Was everything found that was planted? One line for each thing, as the demo prints it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from pipeline.demo.judgement import DRAFT, STYLE, VALID
from pipeline.demo.planted import DROPPED_KINDS, FAILED_KINDS, KEPT_KINDS, UNSEEN_KINDS, Planted
from pipeline.demo.work import Work


@dataclass(frozen=True)
class Check:
    """One thing that was planted, and how often it was found."""

    name: str
    planted: int
    found: int
    ok: bool


def _exact(name: str, planted: int, found: int) -> Check:
    return Check(name, planted, found, planted == found)


def check_planted(
    planted: Planted,
    *,
    posts: pd.DataFrame,
    images: pd.DataFrame,
    counts: pd.DataFrame,
    unique: pd.DataFrame,
    annotations: pd.DataFrame,
    quarantined: pd.DataFrame,
    refused: Mapping[str, int] | None = None,
) -> list[Check]:
    """Compare a world's truth with the tables of the run over all windows.

    Tables: POSTS, IMAGES, CRAWL_COUNTS, UNIQUE_IMAGES, ANNOTATIONS and QUARANTINED_ANNOTATIONS. ``refused`` is what
    ``write_export`` returned; without it the quarantine is not compared.
    """
    return [
        *_check_posts(planted, posts),
        *_check_images(planted, images, counts),
        *_check_duplicates(planted, unique),
        *_check_annotations(planted, annotations, quarantined, refused or {}),
    ]


def _check_posts(planted: Planted, posts: pd.DataFrame) -> list[Check]:
    native = posts["post_id"].str.partition(":")[2]
    kept = set(native[posts["kept"].astype(bool)])
    reasons = dict(zip(native, posts["reason"], strict=True))
    wanted = [post.post_id for post in planted.posts if post.kind in KEPT_KINDS or post.kind in FAILED_KINDS]
    checks = [_exact("posts kept", len(wanted), len(kept & set(wanted)))]
    for kind, reason in DROPPED_KINDS.items():
        ids = [post.post_id for post in planted.posts if post.kind == kind]
        checks.append(_exact(f"posts set aside: {reason}", len(ids), sum(reasons.get(one) == reason for one in ids)))
    for kind in sorted(UNSEEN_KINDS):
        ids = [post.post_id for post in planted.posts if post.kind == kind]
        checks.append(_exact(f"posts left out: {kind}", len(ids), sum(one not in reasons for one in ids)))
    known = {post.post_id for post in planted.posts}
    checks.append(_exact("posts that nobody planted", 0, sum(one not in known for one in native)))
    return checks


def _check_images(planted: Planted, images: pd.DataFrame, counts: pd.DataFrame) -> list[Check]:
    good = images[images["status"] == "ok"]
    found = set(good["image_id"])
    checks = [_exact("good images, by their bytes", len(planted.images), len(found & set(planted.images)))]
    native = images["post_id"].str.partition(":")[2]
    failures = dict(zip(native, images["reason"], strict=True))
    for kind, reason in FAILED_KINDS.items():
        ids = [post.post_id for post in planted.posts if post.kind == kind]
        checks.append(_exact(f"images refused: {reason}", len(ids), sum(failures.get(one) == reason for one in ids)))
    ended = counts[(counts["what"] == "image") & (counts["outcome"] != "ok")]
    planned = sum(post.kind in FAILED_KINDS for post in planted.posts)
    checks.append(_exact("images refused, as counted by the crawler", planned, int(ended["count"].sum())))
    return checks


def _check_duplicates(planted: Planted, unique: pd.DataFrame) -> list[Check]:
    canonical = dict(zip(unique["image_id"], unique["canonical_id"], strict=True))
    uploads = dict(zip(unique["image_id"], unique["posts"], strict=True))
    again = {post.image_ids[0] for post in planted.posts if post.kind == "same_bytes"}
    checks = [_exact("files uploaded more than once", len(again), sum(int(uploads.get(one, 0)) > 1 for one in again))]
    edits: dict[str, list[str]] = {}
    for image in planted.images.values():
        if image.edit:
            edits.setdefault(image.edit, []).append(image.image_id)
    for edit, ids in sorted(edits.items()):
        together = sum(_together(planted, canonical, one) for one in ids)
        checks.append(_exact(f"reposts found: {edit}", len(ids), together))
    wrong = sum(
        image_id != kept and planted.root(image_id) != planted.root(kept)
        for image_id, kept in canonical.items()
        if image_id in planted.images and kept in planted.images
    )
    checks.append(_exact("different pictures taken for one", 0, wrong))
    return checks


def _together(planted: Planted, canonical: Mapping[str, str], image_id: str) -> bool:
    """Does a repost stand in the cluster of the picture that it repeats?"""
    root = planted.root(image_id)
    return image_id in canonical and canonical[image_id] == canonical.get(root)


def _check_annotations(
    planted: Planted, annotations: pd.DataFrame, quarantined: pd.DataFrame, refused: Mapping[str, int]
) -> list[Check]:
    """The quarantine holds what the experts did wrong; the rest is right as often as the experts are."""
    found = Counter(quarantined["reason"])
    checks = [
        _exact(f"annotations refused: {reason}", count, found[reason]) for reason, count in sorted(refused.items())
    ]
    styles = annotations[annotations["answer"] == STYLE]
    right = sum(
        image_id in planted.images and planted.images[image_id].main == main
        for image_id, main in zip(styles["image_id"], styles["main"], strict=True)
    )
    checks.append(Check("main labels as planted (at least 88%)", len(styles), right, right >= 0.88 * len(styles) > 0))
    return checks


def check_work(
    work: Work,
    *,
    annotations: pd.DataFrame,
    quarantined: pd.DataFrame,
    versions: pd.DataFrame,
    returned: pd.DataFrame,
) -> list[Check]:
    """Compare what the simulated experts did on a live server with the tables that came back from it.

    Tables: ANNOTATIONS, QUARANTINED_ANNOTATIONS, ANNOTATION_VERSIONS and RETURNED_TASKS, exported after ``work``.
    """
    answers, reviews = Counter(annotations["answer"]), Counter(annotations["review"].dropna())
    reasons, refused = Counter(quarantined["reason"]), Counter(work.refused)
    back = returned[(returned["way"] == "to_annotator") & returned["annotation_id"].isin(annotations["annotation_id"])]
    corrected = Counter(back.drop_duplicates(["annotation_id", "reason"])["reason"])
    pairs = {
        "answers": (work.outcomes, answers, sorted(VALID)),
        "annotations refused": (refused, reasons, sorted(refused | reasons)),
        "reviews": (work.reviews, reviews, ["accepted", "rejected"]),
        "sent back and corrected": (work.corrected, corrected, sorted(work.corrected | corrected)),
    }
    checks = [
        _exact(f"{what}: {name}", planted[name], found[name])
        for what, (planted, found, names) in pairs.items()
        for name in names
    ]
    kept = versions["annotation_id"].nunique()
    checks.append(_exact("answers in the history", work.outcomes.total() + work.corrected[DRAFT], kept))
    return checks
