"""Test images one by one: Figure 7 (where two architectures differ) and what the score browser reads."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from modeling.evaluate import mean_over_seeds
from modeling.metrics import Bools, Floats, Ints
from pipeline.report.data import LabelSetResult, ReportData
from pipeline.report.thumbnails import Thumbnails

SHOWN_EACH_WAY = 6  # Figure 7: images that only one of the two got right
BROWSER_IMAGES = 800  # images a label set may have in the browser
TOP = 3


@dataclass(frozen=True)
class Ranked:
    """One architecture's test scores, the mean over its seeds.

    ``order``: (N, C) label indices, highest score first, ties by label order.
    """

    architecture: str
    table: pd.DataFrame  # the test rows of SCORES, one an image, by image_id
    scores: Floats  # (N, C)
    order: Ints  # (N, C)
    truth: Bools  # (N, C)

    @cached_property
    def row_of(self) -> dict[str, int]:
        """Row of each image by its id."""
        return {image_id: row for row, image_id in enumerate(self.table["image_id"])}

    def all_recall(self, k: int) -> Bools:
        """(N,) bool: every true label is among the k highest."""
        chosen = np.zeros_like(self.truth)
        np.put_along_axis(chosen, self.order[:, :k], True, axis=1)
        return np.asarray((chosen | ~self.truth).all(axis=1))


def ranked(result: LabelSetResult) -> list[Ranked]:
    """The architectures that have test scores for the labels of the set, each sorted by image_id."""
    found = []
    for model in result.models:
        if model.scores is None or not (model.scores["split"] == "test").any():
            continue
        table = mean_over_seeds(model.scores[model.scores["split"] == "test"])
        table = table.sort_values("image_id").reset_index(drop=True)
        if table.empty or any(set(labels) != set(result.labels) for labels in table["labels"]):
            continue  # not scored, or scored before the label set changed
        place = {label: index for index, label in enumerate(result.labels)}
        scores = np.array([_in_order(row.labels, row.scores, result.labels) for row in table.itertuples()])
        truth = np.zeros(scores.shape, dtype=bool)
        for index, row in enumerate(table.itertuples()):
            truth[index, [place[label] for label in (row.main, *row.subs) if label in place]] = True
        found.append(Ranked(model.architecture, table, scores, np.argsort(-scores, axis=1, kind="stable"), truth))
    return found


def differences_view(
    data: ReportData, result: LabelSetResult, models: list[Ranked], thumbnails: Thumbnails
) -> dict[str, Any] | None:
    """Figure 7: test images that one of backbone and ML-GCN gets wholly right in its top 2 and the other does not."""
    by_name = {model.architecture: model for model in models}
    graph = by_name.get("ml_gcn")
    other = by_name.get("backbone") or by_name.get("backbone_max")
    if graph is None or other is None or list(graph.table["image_id"]) != list(other.table["image_id"]):
        return None
    by_graph, by_other = graph.all_recall(2), other.all_recall(2)
    same = [set(a[:2]) == set(b[:2]) for a, b in zip(graph.order, other.order, strict=True)]
    files = files_of(result)
    sides = []
    for key, chosen in (("graph", by_graph & ~by_other), ("other", by_other & ~by_graph)):
        rows = np.flatnonzero(chosen)
        cards = [_card(row, result, (other, graph), data) for row in rows[:SHOWN_EACH_WAY]]
        for card in cards:
            card["picture"] = thumbnails.uri(files.get(card["image_id"], card["image_id"]))
        sides.append({"key": key, "count": len(rows), "cards": cards})
    return {
        "graph": data.display_name(graph.architecture),
        "other": data.display_name(other.architecture),
        "images": len(same),
        "differ": len(same) - sum(same),
        "both_right": int((by_graph & by_other).sum()),
        "both_wrong": int((~by_graph & ~by_other).sum()),
        "sides": sides,
    }


def browser_payload(data: ReportData, views: list[tuple[LabelSetResult, list[Ranked]]], thumbs: Thumbnails) -> Any:
    """What the page's script reads: label sets with their test images, scores in thousandths, top 3 by architecture."""
    pictures: dict[str, int] = {}
    store: list[str] = []
    sets = []
    for result, models in views:
        if not models:
            continue
        files = files_of(result)
        images = []
        ids = list(models[0].table["image_id"])
        for number, image_id in enumerate(ids[:BROWSER_IMAGES]):
            if image_id not in pictures:
                text = thumbs.base64(files.get(image_id, image_id))
                pictures[image_id] = -1 if text is None else len(store)
                store += [] if text is None else [text]
            truth = models[0].table.iloc[number]
            images.append(
                {
                    "id": image_id,
                    "thumb": pictures[image_id],
                    "main": list(result.labels).index(truth["main"]),
                    "subs": [list(result.labels).index(label) for label in truth["subs"]],
                    "models": [_scores(model, model.row_of.get(image_id)) for model in models],
                }
            )
        sets.append(
            {
                "name": result.name,
                "labels": list(result.labels),
                "architectures": [
                    {"key": model.architecture, "name": data.display_name(model.architecture)} for model in models
                ],
                "images": images,
                "total": len(ids),
            }
        )
    return {"sets": sets, "thumbs": store}


def _scores(model: Ranked, row: int | None) -> dict[str, list[int]] | None:
    if row is None:
        return None
    return {
        "scores": [round(1000 * float(value)) for value in model.scores[row]],
        "top": [int(label) for label in model.order[row, :TOP]],
    }


def _card(row: int, result: LabelSetResult, models: tuple[Ranked, ...], data: ReportData) -> dict[str, Any]:
    table = models[0].table.iloc[row]
    return {
        "image_id": table["image_id"],
        "main": table["main"],
        "subs": list(table["subs"]),
        "models": [
            {
                "key": model.architecture,
                "name": data.display_name(model.architecture),
                "right": bool(model.all_recall(2)[row]),
                "labels": [
                    {
                        "label": result.labels[index],
                        "score": float(model.scores[row, index]),
                        "true": bool(model.truth[row, index]),
                    }
                    for index in model.order[row, :2]
                ],
            }
            for model in models
        ],
    }


def files_of(result: LabelSetResult) -> dict[str, str]:
    """image_id to the file whose bytes the models saw."""
    if result.data_set is None:
        return {}
    return dict(zip(result.data_set["image_id"], result.data_set["file_id"], strict=True))


def _in_order(labels: Any, scores: Any, wanted: Any) -> list[float]:
    by_label = dict(zip(labels, scores, strict=True))
    return [float(by_label[label]) for label in wanted]
