"""Synthetic tables of a run of realistic size, in the schemas of the packages."""

import hashlib
import io

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image, ImageDraw

from crawlers import tables as crawl
from labeling import tables as label
from labeling.agreement import agreement, confusion_table
from labeling.annotators import annotator_figures
from modeling import tables as model
from modeling.correlation import correlation_table
from modeling.evaluate import compare, evaluate
from modeling.label_sets import label_frequencies, split_balance
from modeling.published import TABLE_2
from modeling.settings import GraphSettings, SplitSettings
from pipeline.report import LabelSetResult, ModelResult, ReportData

START = pd.Timestamp("2019-07-01", tz="UTC")
WINDOWS = [(START + pd.Timedelta(weeks=week)).strftime("%Y-%m-%d") for week in range(9)]
STYLES = list(TABLE_2)
SKILL = {"basic_cnn": 1.1, "backbone": 1.9, "backbone_max": 2.1, "ml_gcn": 2.35}


def frame(rows, schema):
    """Rows as the frame that a stored table of that schema gives."""
    return pa.Table.from_pylist(rows, schema).to_pandas()


def image_id(number):
    return hashlib.sha256(f"image {number}".encode()).hexdigest()


def moment(number):
    return (START + pd.Timedelta(minutes=59 * number)).to_pydatetime()


def window_of(number):
    return WINDOWS[min((moment(number) - START.to_pydatetime()).days // 7, 8)]


def crawl_frames(count):
    posts, images = [], []
    for number in range(count):
        reason = {3: "boost", 17: "sensitive", 29: "no_image"}.get(number % 60)
        posts.append(
            {"post_id": f"mastodon:{number}", "network": "mastodon", "source": "demo", "window": window_of(number)}
            | {"created_at": moment(number), "hashtags": ["ootd"], "sensitive": False, "image_count": 1}
            | {
                "kept": reason is None,
                "reason": reason,
                "crawled_at": moment(number),
                "author_hmac": f"a{number % 300}",
            }
        )
        if reason is None:
            failed = {11: "http_404", 44: "truncated", 71: "not_an_image"}.get(number % 120)
            images.append(
                {"post_id": f"mastodon:{number}", "media_index": 0, "window": window_of(number), "url": "http://x/y"}
                | {"image_id": None if failed else image_id(number), "status": "failed" if failed else "ok"}
                | {
                    "reason": failed,
                    "attempts": 1,
                    "fetched_at": moment(number),
                    "alt_text": "<script>alert(1)</script>",
                }
            )
    counts = [
        {"window": row["window"], "source": "demo", "what": "post", "outcome": row["reason"] or "kept", "count": 1}
        for row in posts
    ]
    counts += [
        {"window": row["window"], "source": "demo", "what": "image", "outcome": row["reason"] or "ok", "count": 1}
        for row in images
    ]
    counts += [
        {"window": key, "source": "demo", "what": "post", "outcome": "outside_window", "count": 40 + index}
        for index, key in enumerate(WINDOWS)
    ]
    table = pd.DataFrame(counts).groupby(["window", "source", "what", "outcome"], as_index=False)["count"].sum()
    return {
        "posts": frame(posts, crawl.POSTS),
        "images": frame(images, crawl.IMAGES),
        "counts": frame(table.to_dict("records"), crawl.CRAWL_COUNTS),
    }


def duplicate_frames(images):
    ids = list(images.loc[images["status"] == "ok", "image_id"])
    numbers = {image_id(number): number for number in range(9000)}
    rows, pairs, kept = [], [], []
    for place, key in enumerate(ids):
        aside = place % 9 == 8
        canonical = kept[place // 3] if aside else key
        via = ("plain", "trim", "mirror", "plain", "trim_mirror")[place % 5] if aside else None
        bits = place % 16 * 2 if aside else None
        rows.append(
            {"image_id": key, "window": window_of(numbers[key]), "canonical_id": canonical, "best_image_id": canonical}
            | {"kept": not aside, "stage": "phash" if aside else None, "reason": "same picture" if aside else None}
            | {"distance64": 2 if aside else None, "distance256": bits, "via": via, "cluster_size": 1}
            | {
                "post_id": f"mastodon:{numbers[key]}",
                "created_at": moment(numbers[key]),
                "posts": 1 + (place % 40 == 0),
            }
            | {"author_hmac": f"a{numbers[key] % 300}", "rule_version": "1", "hash_version": "2"}
        )
        if aside:
            pairs.append((*sorted((key, canonical)), bits, via, "duplicate"))
        else:
            kept.append(key)
            if place % 30 == 7:
                pairs.append((*sorted((key, kept[0])), 34 + place % 22, "plain", "review"))
    similar = [
        {
            "image_a": a,
            "image_b": b,
            "distance64": 2,
            "distance256": bits,
            "chroma_distance": 1.0,
            "via": via,
            "band": band,
        }
        for a, b, bits, via, band in pairs
        if a != b
    ]
    return {"unique_images": frame(rows, crawl.UNIQUE_IMAGES), "similar_pairs": frame(similar, crawl.SIMILAR_PAIRS)}


def label_frames(unique, random):
    weights = np.array([TABLE_2[style].images for style in STYLES], dtype=float)
    rows = []
    for place, key in enumerate(unique.loc[unique["kept"], "image_id"]):
        main = STYLES[random.choice(len(STYLES), p=weights / weights.sum())]
        near = {"Romantic": "Elegant", "Elegant": "Romantic", "Casual": "Natural", "Sexy": "Casual"}.get(main, "Casual")
        subs = sorted({near} if random.random() < 0.45 else set(), key=STYLES.index)
        status = ("agreed",) * 8 + ("resolved_by_review", "unreviewed", "conflict")
        chosen = status[place % 11]
        answer = None if chosen == "conflict" else "not_fashion" if place % 50 == 7 else "style"
        rows.append(
            {"image_id": key, "window": unique["window"].iloc[0], "status": chosen, "annotators": 2}
            | {"answer": answer, "main": main if answer == "style" else None, "mains": [main, main]}
            | {"subs": subs if answer == "style" else []}
        )
    labels = frame(rows, label.LABELS)
    annotations, windows = annotation_frame(labels, random)
    return {
        "labels": labels,
        "agreement": agreement(annotations, windows, resamples=100).to_pandas(),
        "confusion": confusion_table(annotations, STYLES).to_pandas(),
        "annotators": annotator_figures(annotations, permutations=199).to_pandas(),
        "acceptance": acceptance_frame(),
        "quarantined_annotations": quarantine_frame(),
        "returned": returned_frame(),
        "label_frequencies": label_frequencies(labels, STYLES).to_pandas(),
    }


def annotation_frame(labels, random):
    """What three simulated experts say of each image, the last of whom gets worse; and the images' windows."""
    rows, windows = [], {}
    for place, row in enumerate(labels.itertuples()):
        week = place * 6 // len(labels)
        windows[row.image_id] = WINDOWS[week]
        answer = "not_fashion" if row.answer == "not_fashion" else "style"
        for person, right in enumerate((0.9, 0.8, 0.8 if week < 5 else 0.3)):
            main = row.mains[0] if random.random() < right else STYLES[random.integers(6)]
            rows.append(
                {"annotation_id": f"{place}:{person}", "image_id": row.image_id, "labeled_image_id": row.image_id}
                | {"annotator": f"simulated-{person + 1}@example.invalid", "answer": answer}
                | {"main": main if answer == "style" else None, "subs": []}
                | {"lead_time": 8.0 + 40 * random.random(), "created_at": moment(week * 24 * 7 + place % 90)}
                | ({"review": "accepted", "reviewer": "simulated-reviewer"} if place % 9 == person else {})
            )
    return frame(rows, label.ANNOTATIONS), windows


def acceptance_frame():
    rows = [
        {"model_version": "ml_gcn 0123abcd", "label": name, "blind": blind, "answers": 40}
        | {"accepted": 20 + 8 * (not blind), "changed": 6, "rejected": 14 - 8 * (not blind)}
        for name in (None, "Casual", "Retro")
        for blind in (False, True)
    ]
    return frame(rows, label.PREDICTION_ACCEPTANCE)


def quarantine_frame():
    reasons = ["two_mains"] * 4 + ["unknown_label"] * 3 + ["skipped"] * 20 + ["draft"] * 9
    links = [f"https://label-studio.example.invalid/projects/1/data?task={number}" for number in range(3)]
    rows = [
        {
            "annotation_id": f"{number:03}",
            "reason": reason,
            "detail": f"annotation {number}: <b>check</b> it",
            "raw": "{}",
        }
        | {"task_id": str(number), "task_link": links[number] if number < len(links) else None}
        for number, reason in enumerate(reasons)
    ]
    return frame(rows, label.QUARANTINED_ANNOTATIONS)


def returned_frame():
    ways = {"two_mains": "to_annotator", "conflict": "to_another_annotator", "suspicious": "to_reviewer"}
    rows = [
        {
            "task_id": number,
            "reason": reason,
            "way": way,
            "detail": f"look at task {number} again",
            "returned_at": START,
        }
        for number, (reason, way) in enumerate([*ways.items(), *ways.items(), ("conflict", "to_another_annotator")])
    ]
    return frame(rows, label.RETURNED_TASKS)


def data_set_frame(labels, names):
    rows = []
    for row in labels[labels["main"].isin(names)].itertuples():
        subs = [name for name in names if name in row.subs]
        split = ("train",) * 7 + ("validation", "test", "test")
        rows.append(
            {"image_id": row.image_id, "file_id": row.image_id, "window": row.window, "group_id": row.image_id[:3]}
            | {"main": row.main, "subs": subs, "split": split[int(row.image_id[:3], 16) % 10]}
        )
    return frame(rows, model.DATA_SET)


def scores_frame(data_set, names, skill, random):
    rows = []
    for row in data_set[data_set["split"] != "train"].itertuples():
        truth = np.array([2.0 * (name == row.main) + 1.1 * (name in row.subs) for name in names])
        logits = skill * truth - 1.5 + random.normal(0, 1.4, len(names))
        scores = (1 / (1 + np.exp(-logits))).astype(np.float32)
        rows.append(
            {"image_id": row.image_id, "split": row.split, "group_id": row.group_id, "main": row.main}
            | {"subs": row.subs, "labels": names, "scores": scores}
        )
    return frame(rows, model.SCORES)


def curves_frame(skill):
    rows = [
        {
            "epoch": epoch,
            "train_loss": 0.25 + 0.5 / epoch**0.6,
            "learning_rate": 1e-4,
            "seconds": 2.1,
            "best": epoch == 9,
        }
        | {"validation_loss": 0.3 + 0.45 / epoch**0.6 / skill, "validation_score": 0.85 - 0.5 / epoch / skill}
        for epoch in range(1, 13)
    ]
    return frame(rows, model.TRAINING_CURVES)


def label_set(name, names, labels, random):
    data_set = data_set_frame(labels, names)
    scores = {key: scores_frame(data_set, names, skill, random) for key, skill in SKILL.items()}
    models = [
        ModelResult(
            key,
            evaluation=evaluate(table, resamples=200).to_pandas(),
            scores=table,
            curves=curves_frame(SKILL[key]),
            card={
                "architecture": key,
                "seed": 7,
                "graph_hash": "ab" * 32,
                "settings": {"epochs": 12, "batch_size": 32},
            },
        )
        for key, table in scores.items()
    ]
    return LabelSetResult(
        name,
        names,
        data_set=data_set,
        split_balance=split_balance(data_set, names, SplitSettings()).to_pandas(),
        correlation=correlation_table(data_set, names, GraphSettings(tau=0.25)).to_pandas(),
        comparison=compare(scores, resamples=200).to_pandas(),
        models=models,
        data_set_version="cd" * 32,
        graph_hash="ab" * 32,
    )


def drawing(key):
    """A small picture as PNG bytes, made from the id."""
    colors = [tuple(int(key[at : at + 2], 16) for at in (start, start + 2, start + 4)) for start in (0, 6, 12)]
    image = Image.new("RGB", (240, 320), colors[0])
    draw = ImageDraw.Draw(image)
    draw.rectangle((70, 90, 170, 200), fill=colors[1])
    draw.polygon([(70, 200), (170, 200), (200, 300), (40, 300)], fill=colors[2])
    draw.ellipse((95, 25, 145, 85), fill=(230, 190, 160))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def make_data(posts=1500):
    random = np.random.default_rng(5)
    frames = crawl_frames(posts)
    frames |= duplicate_frames(frames["images"])
    frames |= label_frames(frames["unique_images"], random)
    order = list(frames["label_frequencies"].sort_values("rank")["label"])
    return ReportData(
        title="Fashion styles of summer 2019",
        notices=["The pictures of this run are drawn by the demo, and its experts are simulated."],
        label_sets=[label_set(f"top-{size}", order[:size], frames["labels"], random) for size in (5, 7)],
        versions={"stylegraph": "0.1.0", "torch": "2.13.0"},
        settings={"graph": {"tau": 0.25, "p": 0.2}, "architectures": list(SKILL)},
        thumbnail=drawing,
        **frames,
    )


@pytest.fixture(scope="session")
def run_data():
    return make_data(1500)
