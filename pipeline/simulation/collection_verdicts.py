"""Whether posts, images, duplicates and labels of a simulated year are all there, once."""

import re
from collections import Counter

import pandas as pd

from pipeline import jobs
from pipeline.demo.planted import DROPPED_KINDS, FAILED_KINDS, KEPT_KINDS, PlantedPost
from pipeline.simulation.verdicts import Verdict, all_of, exact, same
from pipeline.simulation.year import Lived

_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def collection_verdicts(lived: Lived) -> list[Verdict]:
    """Compare posts, images and duplicates with what was planted."""
    posts = lived.storage.read_windows("posts", lived.year.windows).to_pandas()
    images = lived.storage.read_windows("images", lived.year.windows).to_pandas()
    unique = lived.storage.read_table("unique_images").to_pandas()
    return [
        *_post_verdicts(lived, posts),
        *_image_verdicts(lived, images),
        *_duplicate_verdicts(lived, unique),
        _outage(lived),
        same("windows with a suspicious share set aside", [lived.year.window(lived.year.bad_week)], _flagged(lived)),
    ]


def _staying(lived: Lived) -> list[PlantedPost]:
    gone = lived.world.withdrawn_posts()
    return [post for post in lived.world.planted.posts if post.post_id not in gone]


def _post_verdicts(lived: Lived, posts: pd.DataFrame) -> list[Verdict]:
    native = posts["post_id"].str.partition(":")[2]
    kept = set(native[posts["kept"]])
    reasons = dict(zip(native, posts["reason"], strict=True))
    staying = _staying(lived)
    crawled = [post.post_id for post in staying if post.kind in KEPT_KINDS or post.kind in FAILED_KINDS]
    verdicts = [all_of("posts kept", crawled, kept)]
    for kind, reason in DROPPED_KINDS.items():
        ids = [post.post_id for post in staying if post.kind == kind]
        verdicts.append(exact(f"posts left out: {reason}", len(ids), sum(reasons.get(one) == reason for one in ids)))
    wanted = {post.post_id for post in staying if post.kind != "other_tag"}
    verdicts.append(exact("posts that should not be there", 0, len(set(native) - wanted)))
    verdicts.append(exact("posts that stand twice", 0, int(native.duplicated().sum())))
    windows = dict(zip(native, posts["window"], strict=True))
    elsewhere = sum(windows[one] != lived.year.window(lived.world.weeks[one]) for one in set(native) & wanted)
    verdicts.append(exact("posts in the window of another week", 0, elsewhere))
    return verdicts


def _image_verdicts(lived: Lived, images: pd.DataFrame) -> list[Verdict]:
    withdrawn = lived.world.withdrawn_images()
    planted = set(lived.world.planted.images) - withdrawn
    found = set(images.loc[images["status"] == "ok", "image_id"])
    stored = {image_id for image_id in planted if lived.storage.exists(lived.storage.image_key(image_id))}
    native = images["post_id"].str.partition(":")[2]
    failures = dict(zip(native, images["reason"], strict=True))
    verdicts = [
        all_of("images, by their bytes", planted, found),
        all_of("images stored", planted, stored),
        exact("images that nobody planted", 0, len(found - planted - withdrawn)),
    ]
    for kind, reason in FAILED_KINDS.items():
        ids = [post.post_id for post in _staying(lived) if post.kind == kind]
        if ids:
            found_ids = sum(failures.get(one) == reason for one in ids)
            verdicts.append(exact(f"images refused: {reason}", len(ids), found_ids))
    return verdicts


def _duplicate_verdicts(lived: Lived, unique: pd.DataFrame) -> list[Verdict]:
    planted, withdrawn = lived.world.planted, lived.world.withdrawn_images()
    canonical = dict(zip(unique["image_id"], unique["canonical_id"], strict=True))
    uploads = dict(zip(unique["image_id"], unique["posts"], strict=True))
    again = {
        post.image_ids[0] for post in planted.posts if post.kind == "same_bytes" and post.image_ids[0] not in withdrawn
    }
    edited = [image for image in planted.images.values() if image.edit and image.image_id not in withdrawn]
    together = sum(canonical.get(image.image_id) == canonical.get(planted.root(image.image_id), "") for image in edited)
    wrong = sum(
        planted.root(image_id) != planted.root(kept)
        for image_id, kept in canonical.items()
        if image_id in planted.images and kept in planted.images
    )
    originals = sum(image.edit is None and image.image_id not in withdrawn for image in planted.images.values())
    return [
        exact("files posted more than once", len(again), sum(uploads.get(one, 0) > 1 for one in again)),
        exact("edited reposts set aside for their originals", len(edited), together),
        exact("different pictures taken for one", 0, wrong),
        exact("unique images kept", originals, int(unique["kept"].sum())),
    ]


def _outage(lived: Lived) -> Verdict:
    """Judge whether the window that met no server failed then, and was crawled later."""
    window = lived.year.window(lived.year.outage)
    runs = [run for run in lived.journal.runs if run.job == jobs.NEW_WINDOW and run.covers(window)]
    failed = [run for run in runs if run.failure or any(c.name == "window_complete" for c in run.failed_checks)]
    later = [run for run in runs if run not in failed and failed and run.at > failed[0].at]
    found = " then ".join(
        [*(f"failed on {run.at:%Y-%m-%d}" for run in failed), *(f"crawled on {run.at:%Y-%m-%d}" for run in later)]
    )
    planned = lived.year.crawled_at(lived.year.outage)
    ok = bool(failed and later) and failed[0].at.date() == planned.date()
    return Verdict(f"outage in window {window}", f"failed on {planned:%Y-%m-%d} then crawled", found or "no run", ok)


def _flagged(lived: Lived) -> set[str]:
    """Return the windows that the check of duplicates named."""
    checks = (check for run in lived.journal.runs for check in run.failed_checks)
    found = (_DATE.search(check.description) for check in checks if check.name == "share_set_aside")
    return {match.group() for match in found if match}


def label_verdicts(lived: Lived) -> list[Verdict]:
    """Compare the experts' answers and the labels that follow with what the team handed over."""
    withdrawn = lived.world.withdrawn_images()
    staying = [(image, one) for image, one in lived.team.answers() if image not in withdrawn]
    valid = lived.storage.read_table("annotations").to_pandas()
    aside = lived.storage.read_table("quarantined_annotations").to_pandas()
    ids = {str(one["id"]) for _, one in staying}
    refused = Counter(aside.loc[aside["annotation_id"].isin(ids), "reason"])
    counted = Counter(dict(sorted(lived.team.refused.items())))
    styles = valid[valid["answer"] == "style"]
    truth = lived.world.planted.images
    right = sum(truth[row.labeled_image_id].main == row.main for row in styles.itertuples())
    share = right / max(1, len(styles))
    before, set_aside = lived.unknown
    return [
        all_of("answers in a table, valid or set aside", ids, {*valid["annotation_id"], *aside["annotation_id"]}),
        exact("answers that count twice", 0, int(valid["annotation_id"].duplicated().sum())),
        Verdict(
            "answers set aside for a mistake",
            f"at most {counted.total():,}",
            f"{refused.total():,}",
            refused.total() <= counted.total(),
        ),
        exact("answers with the new style, set aside until the settings had it", before, set_aside),
        Verdict("main labels as planted", "at least 88%", f"{share:.1%}", share >= 0.88),
    ]
