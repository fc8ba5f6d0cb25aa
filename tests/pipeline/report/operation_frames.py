"""Synthetic tables of a graph that has run for a while: champions, trends, drift, a data card and lineage."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa

from modeling import card_facts, tables
from modeling.card_facts import CardFacts, FileFacts, Withdrawals
from pipeline.report.lineage import Input, Made

NOW = datetime(2026, 3, 2, 4, 30, tzinfo=UTC)
WINDOWS = [f"{date(2025, 3, 3) + timedelta(weeks=week)}" for week in range(30)]
VERSION = "ml_gcn-0123456789ab"


def frame(rows, schema):
    return pa.Table.from_pylist(rows, schema).to_pandas()


def promotions():
    rows = [
        decision("promoted", "first", "the first model of this label set", "backbone-aaaaaaaaaaaa", None, 60),
        decision("promoted", "better", "better by 3.1 points", VERSION, "backbone-aaaaaaaaaaaa", 20, 0.031),
        decision(
            "refused", "not_better", "no better: <b>0.4 points</b> below", "csra-bbbbbbbbbbbb", VERSION, 0, -0.004
        ),
    ]
    return frame(rows, tables.PROMOTIONS)


def decision(what, rule, reason, challenger, before, days, difference=None):
    figures = {"challenger_value": 0.74, "images": 212}
    if difference is not None:
        figures |= {"champion_value": 0.74 - difference, "difference": difference, "low": difference - 0.02}
        figures |= {"high": difference + 0.02, "p_value": 0.003 if what == "promoted" else 0.61}
    champion = challenger if what == "promoted" else before
    return figures | {
        "decided_at": NOW - timedelta(days=days),
        "decision": what,
        "rule": rule,
        "reason": reason,
        "challenger": challenger,
        "champion_before": before,
        "champion": champion,
    }


def training_requests():
    row = {"decided_at": NOW, "due": False, "reason": "12 of 200 new labels", "asked_by": "rule", "new_labels": 12}
    return frame([row | {"images": 900, "days": 6.0, "drifted_windows": []}], tables.TRAINING_REQUESTS)


def trends(label_set, labels):
    rows = []
    for source, images in (("experts", 60), ("model", 300)):
        for role in ("main", "any"):
            for place, label in enumerate(labels):
                for week, window in enumerate(WINDOWS):
                    share = 0.18 + 0.12 * np.sin(week / 9 + place) + (0.02 if source == "experts" else 0.0)
                    margin = 1.96 * np.sqrt(share * (1 - share) / images)
                    counts = {"images": images, "counted": round(images * share), "raw_share": share, "share": share}
                    where = {"label_set": label_set, "window": window, "label": label, "source": source, "role": role}
                    rows.append(where | counts | {"low": max(0.0, share - margin), "high": share + margin})
    return rows


def movements(label_set, labels):
    directions = ("rising", "falling", "steady")
    return [
        {"label_set": label_set, "label": label, "source": source, "role": "main", "windows": 30, "first_share": 0.2}
        | {"last_share": 0.2 + change, "change": change, "low": change - 0.03, "high": change + 0.03}
        | {"p_value": 0.001, "p_adjusted": 0.004, "direction": directions[place % 3]}
        for source in ("experts", "model")
        for place, label in enumerate(labels)
        for change in ((0.11, -0.07, 0.01)[place % 3],)
    ]


def cooccurrence(label_set, labels):
    return [
        {"label_set": label_set, "label_a": labels[0], "label_b": label, "source": "model", "from_window": WINDOWS[-4]}
        | {"images_before": 4000, "images_recent": 600, "share_before": 0.05, "share_recent": 0.09, "change": 0.04}
        | {"p_value": 0.002, "p_adjusted": 0.02}
        for label in labels[1:4]
    ]


def drift(label_set, labels):
    tests = {"expert_labels": "chi_squared", "predicted_labels": "chi_squared", "scores": "kolmogorov_smirnov"}
    rows = []
    for week, window in enumerate(WINDOWS[20:]):
        for what, test in (tests | {"embeddings": "mmd_permutation"}).items():
            drifted = week == 8 and what != "expert_labels"
            small = week == 3 and what == "expert_labels"
            figures = {"statistic": 14.0, "distance": 0.31 if drifted else 0.04, "p_value": 0.2, "p_adjusted": 0.4}
            rows.append(
                {"label_set": label_set, "window": window, "model_version": VERSION, "what": what, "test": test}
                | {"label": labels[0] if what == "scores" else None, "images": 11 if small else 240}
                | {"reference_images": 2000, "threshold": 0.15, "drifted": drifted}
                | (dict.fromkeys(figures) if small else figures)
            )
    return rows


def operation_frames(label_sets):
    """The tables that hold all label sets, by the field of the report's data."""
    made = {
        "style_trends": (trends, tables.STYLE_TRENDS),
        "style_movements": (movements, tables.STYLE_MOVEMENTS),
        "cooccurrence_changes": (cooccurrence, tables.COOCCURRENCE_CHANGES),
        "drift": (drift, tables.DRIFT),
    }
    return {
        name: frame([row for key, labels in label_sets.items() for row in rows(key, labels)], schema)
        for name, (rows, schema) in made.items()
    }


def card(label_set, labels, data_set, agreement):
    """Facts of a data card, of images whose posts are made up."""
    number = range(len(data_set))
    posts = pd.DataFrame(
        {
            "image_id": data_set["image_id"],
            "network": ["flickr" if place % 4 else "mastodon" for place in number],
            "language": [(None, "ko", "en")[place % 3] for place in number],
            "license": [None if place % 2 else "https://creativecommons.org/licenses/by/2.0/" for place in number],
            "sensitive": False,
            "created_at": [NOW - timedelta(days=place % 200) for place in number],
            "author_hmac": [f"a{place % 90}" for place in number],
        }
    )
    counts = pd.DataFrame(
        [("post", "kept", 900), ("post", "opted_out", 31), ("post", "sensitive", 12), ("image", "robots_txt", 7)],
        columns=["what", "outcome", "count"],
    )
    labels_table = pd.DataFrame({"image_id": data_set["image_id"], "status": "agreed"})
    answers = pd.DataFrame({"image_id": data_set["image_id"], "annotator": "expert"})
    unique = pd.DataFrame({"image_id": data_set["image_id"], "window": data_set["window"], "kept": True})
    return CardFacts(
        title="Styles",
        label_set=label_set,
        labels=labels,
        membership="all",
        version="cd" * 32,
        made=date(2026, 3, 2),
        table=FileFacts(f"tables/data_set/{label_set}.parquet", "ef" * 32, 54321),
        images=len(data_set),
        groups=int(data_set["group_id"].nunique()),
        splits=card_facts.split_counts(data_set),
        label_rows=card_facts.label_rows(data_set, labels),
        origin=card_facts.origin(data_set, posts),
        crawled=card_facts.crawled(counts),
        labelling=card_facts.labelling(data_set, answers, labels_table, agreement, unique, "Label Studio"),
        withdrawals=Withdrawals(3, 1, {"author": 1, "image": 6, "look": 6}),
        hashtags=["ootd"],
    )


def lineage():
    """A chain from posts to an evaluation; the data set was made anew since the evaluation."""
    labels = Input("labels", "1a" * 16)
    changed = Input("scores", "2b" * 16, "ml_gcn|top-5", changed=True)
    return [
        made("evaluation", "ml_gcn|top-5", 4, [changed]),
        made("scores", "ml_gcn|top-5", 4, [Input("data_set", "3c" * 16, "top-5")]),
        made("data_set", "top-5", 2, [labels, Input("unique_images", "4d" * 16)]),
        made("labels", None, 0, [Input("annotations", "5e" * 16)]),
        made("unique_images", None, 0, [Input("image_hashes", "6f" * 16, partitions=30)]),
        made("posts", WINDOWS[-1], 30, []),
        made("champion", "top-5", 2, []),
        made("style_trends", None, 0, []),
        made("drift", None, 0, []),
        made("data_card", "top-5", 2, [Input("data_set", "3c" * 16, "top-5")]),
    ]


def made(asset, partition, partitions, inputs):
    return Made(
        asset, partition, partitions, "ab" * 32, "c0de" * 4, "11112222-3333-4444-5555-666677778888", NOW, inputs
    )
