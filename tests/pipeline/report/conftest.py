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
from modeling.calibration import calibrated, fit_temperature, reliability_table
from modeling.correlation import correlation_table, graph_from_table, tau_sweep
from modeling.evaluate import compare, evaluate
from modeling.label_sets import label_frequencies, split_balance
from modeling.published import TABLE_2
from modeling.settings import GraphSettings, SplitSettings
from modeling.slices import slices
from pipeline.report import LabelSetResult, ModelResult, ReportData
from tests.pipeline.report.operation_frames import card, lineage, operation_frames, promotions, training_requests

START = pd.Timestamp("2019-07-01", tz="UTC")
WINDOWS = [(START + pd.Timedelta(weeks=week)).strftime("%Y-%m-%d") for week in range(9)]
STYLES = list(TABLE_2)
SKILL = {"basic_cnn": 0.5, "backbone": 0.9, "backbone_max": 1.0, "ml_gcn": 1.2, "csra": 1.1}


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


def scores_frame(data_set, names, skill, random, seeds):
    """Scores of models that are too sure of themselves, and calibrated as training does; each seed has its luck."""
    rows = []
    shared = {image: random.normal(0, 1.1, len(names)) for image in data_set["image_id"]}
    for seed in range(seeds):
        luck = skill + 0.15 * seed
        for row in data_set[data_set["split"] != "train"].itertuples():
            truth = np.array([2.0 * (name == row.main) + 1.1 * (name in row.subs) for name in names])
            noise = shared[row.image_id] + random.normal(0, 0.85, len(names))
            logits = 3 * (luck * truth - 1.5 + noise)
            rows.append(
                {"seed": seed, "image_id": row.image_id, "split": row.split, "group_id": row.group_id, "main": row.main}
                | {"subs": row.subs, "labels": names, "logits": logits.astype(np.float32)}
            )
    for seed in range(seeds):
        own = [row for row in rows if row["seed"] == seed]
        temperature = temperature_of([row for row in own if row["split"] == "validation"])
        for row in own:
            row["scores"] = calibrated(row["logits"], temperature)
    return frame(rows, model.SCORES)


def temperature_of(rows):
    """The temperature that the logits of some rows of SCORES call for."""
    targets = [[name in (row["main"], *row["subs"]) for name in row["labels"]] for row in rows]
    return fit_temperature(np.array([row["logits"] for row in rows]), targets)


def curves_frame(skill, seeds):
    rows = [
        {
            "seed": seed,
            "epoch": epoch,
            "train_loss": 0.25 + 0.5 / epoch**0.6 + 0.02 * seed,
            "learning_rate": 1e-4,
            "seconds": 2.1,
            "best": epoch == 9 + seed,
        }
        | {
            "validation_loss": 0.3 + 0.45 / epoch**0.6 / skill - 0.03 * seed,
            "validation_score": 0.85 - 0.2 / epoch / skill - 0.02 * (seed - 1) ** 2,
        }
        for seed in range(seeds)
        for epoch in range(1, 13 + seed)
    ]
    return frame(rows, model.TRAINING_CURVES)


def seed_runs_frame(curves, scores):
    """One row for each seed; seed 1 is kept where there is one."""
    validation = scores[scores["split"] == "validation"]
    best = curves[curves["best"]]
    rows = [
        {"seed": row.seed, "epochs": int((curves["seed"] == row.seed).sum()), "best_epoch": row.epoch}
        | {"validation_score": row.validation_score, "validation_loss": row.validation_loss}
        | {
            "temperature": temperature_of(validation[validation["seed"] == row.seed].to_dict("records")),
            "kept": row.seed == min(1, best["seed"].max()),
        }
        for row in best.itertuples()
    ]
    return frame(rows, model.SEED_RUNS)


def sweep_frame(correlation, seeds):
    """The graphs of every tau, with scores that are best near 0.25; the best threshold is that nearest to 0.4."""
    graph = graph_from_table(correlation)
    table = tau_sweep(graph.conditional, graph.images)
    nearest = table.groupby("graph")["tau"].transform(lambda taus: (taus - 0.25).abs().min())
    table = table.assign(
        validation_score=0.76 - 0.12 * nearest,
        spread=0.008 if seeds > 1 else None,
        seeds=seeds,
        chosen=np.isclose(table["tau"], graph.settings.tau),
        scored_on="ResNet-18 after one training from random weights",
        form=graph.settings.form,
        p=graph.settings.p,
    )
    order = [-table["validation_score"].round(9), (table["tau"] - 0.4).abs()]
    table["best"] = table.index == pd.concat(order, axis=1).sort_values(["validation_score", "tau"]).index[0]
    return frame(table.to_dict("records"), model.TAU_SWEEP)


def ablation_frame(random):
    graphs = [("identity", None, 0), *((form, tau, 4) for form in ("equation", "learned") for tau in (0.1, 0.4))]
    rows = [
        {"form": form, "tau": tau, "pooling": pooling, "loss": loss, "edges": edges, "spread": 0.006, "seeds": 2}
        | {"validation_score": 0.70 + 0.03 * (pooling == "max") + 0.01 * edges / 4 + random.normal(0, 0.01)}
        | {"seconds": 1.5, "scored_on": "ResNet-18 after one training from random weights"}
        for form, tau, edges in graphs
        for pooling in ("max", "average")
        for loss in ("bce", "class_balanced")
    ]
    ranked = sorted(rows, key=lambda row: -row["validation_score"])
    return frame([row | {"rank": rank} for rank, row in enumerate(ranked, start=1)], model.ABLATION)


def model_result(key, scores, seeds, facts):
    curves = curves_frame(SKILL[key], seeds)
    return ModelResult(
        key,
        evaluation=evaluate(scores, resamples=200).to_pandas(),
        scores=scores,
        curves=curves,
        seed_runs=seed_runs_frame(curves, scores),
        slices=slices(scores, facts, resamples=200).to_pandas(),
        reliability=reliability_table(scores).to_pandas(),
        card={
            "architecture": key,
            "seed": 7,
            "graph_hash": "ab" * 32,
            "settings": {"epochs": 12, "batch_size": 32},
        },
    )


def label_set(name, names, labels, agreed, random, seeds, tau):
    data_set = data_set_frame(labels, names)
    scores = {key: scores_frame(data_set, names, skill, random, seeds) for key, skill in SKILL.items()}
    correlation = correlation_table(data_set, names, GraphSettings(tau=tau)).to_pandas()
    place = [int(image_id[-2:], 16) for image_id in data_set["image_id"]]
    facts = pd.DataFrame(
        {
            "window": [WINDOWS[number % 4] for number in place],
            "source": ["flickr" if number < 100 else "social" for number in place],
            "blind": [number % 9 == 0 for number in place],
        },
        index=list(data_set["image_id"]),
    )
    return LabelSetResult(
        name,
        names,
        data_set=data_set,
        split_balance=split_balance(data_set, names, SplitSettings()).to_pandas(),
        correlation=correlation,
        tau_sweep=sweep_frame(correlation, seeds),
        ablation=ablation_frame(random) if seeds > 1 else None,
        comparison=compare(scores, resamples=200).to_pandas(),
        models=[model_result(key, table, seeds, facts) for key, table in scores.items()],
        promotions=promotions(),
        training_requests=training_requests(),
        card=card(name, names, data_set, agreed),
        card_files=[f"data_cards/{name}/README.md", f"croissant-{name}.json"],
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
        label_sets=[
            label_set("top-5", order[:5], frames["labels"], frames["agreement"], random, seeds=3, tau=0.4),
            label_set("top-7", order[:7], frames["labels"], frames["agreement"], random, seeds=1, tau=0.7),
        ],
        versions={"stylegraph": "0.1.0", "torch": "2.13.0"},
        settings={"graph": {"tau": "validation", "p": 0.2}, "architectures": list(SKILL)},
        thumbnail=drawing,
        lineage=lineage(),
        **operation_frames({"top-5": order[:5], "top-7": order[:7]}),
        **frames,
    )


@pytest.fixture(scope="session")
def run_data():
    return make_data(1500)
