"""Where the data came from: the way from posts to label sets, and every outcome by crawl window."""

from typing import Any

import pandas as pd

from pipeline.report.data import ReportData
from pipeline.report.wording import missing, reason_text

GOOD = ("kept", "ok")
HEADS = {"post": "Posts", "image": "Pictures", "request": "Requests"}


def sources_view(data: ReportData) -> dict[str, Any]:
    """Rows of the outcome table, columns of the chart, the funnel, and the sources by name."""
    counts = _counts(data)
    view: dict[str, Any] = {"steps": funnel(data, counts), "windows": [], "groups": [], "columns": [], "sources": []}
    if counts is None or counts.empty:
        return view
    windows = sorted(set(counts["window"]))
    view["windows"] = [{"key": key, "label": window_label(key)} for key in windows]
    view["groups"] = [group for what in HEADS if (group := _group(counts, what, windows))]
    view["columns"] = _columns(counts, windows)
    by_source = counts[counts["what"] == "post"].pivot_table(
        index="source", columns=counts["outcome"].isin(GOOD), values="count", aggfunc="sum", fill_value=0
    )
    view["sources"] = [
        {"name": name, "kept": int(row.get(True, 0)), "set_aside": int(row.get(False, 0))}
        for name, row in by_source.sort_index().iterrows()
    ]
    return view


def period(data: ReportData) -> str | None:
    """First and last day of the posts kept, as ``1 July to 31 August 2019``."""
    if data.posts is None or not len(data.posts):
        return None
    times = pd.to_datetime(data.posts.loc[data.posts["kept"], "created_at"], utc=True).dropna()
    if times.empty:
        return None
    first, last = times.min(), times.max()
    start = f"{first.day} {first:%B}" + ("" if first.year == last.year else f" {first.year}")
    return f"{start} to {last.day} {last:%B} {last.year}"


def window_label(key: str) -> str:
    """A window's key as short as it stays clear: ``2019-07-01`` is ``1 Jul``."""
    day = pd.to_datetime(key, format="%Y-%m-%d", errors="coerce")
    return key if missing(day) else f"{day.day} {day:%b}"


def funnel(data: ReportData, counts: pd.DataFrame | None) -> list[dict[str, Any]]:
    """The steps from the posts found to the images of each label set, with what each step leaves."""
    steps: list[tuple[str, int, str]] = []
    if counts is not None:
        posts, images = (counts[counts["what"] == what] for what in ("post", "image"))
        if len(posts):
            steps.append(("posts found", int(in_windows(posts)["count"].sum()), "in the crawl windows"))
            steps.append(("posts kept", _good(posts), "with the hashtag and a picture that may be used"))
        if len(images):
            steps.append(("pictures fetched", _good(images), "valid, kept as the original bytes"))
    if data.unique_images is not None:
        kept = int(data.unique_images["kept"].sum())
        steps.append(("different files", len(data.unique_images), "by the hash of their bytes"))
        steps.append(("unique images", kept, "after near-duplicates were set aside"))
    if data.labels is not None:
        steps.append(("labelled images", int(data.labels["main"].notna().sum()), "with one main label"))
    for label_set in data.label_sets:
        if label_set.data_set is not None:
            note = "every label in the set" if label_set.membership == "all" else "main label in the set"
            steps.append((f"in {label_set.name}", len(label_set.data_set), note))
    most = max((number for _, number, _ in steps), default=0) or 1
    return [{"name": name, "count": number, "note": note, "width": 100 * number / most} for name, number, note in steps]


def _counts(data: ReportData) -> pd.DataFrame | None:
    """The crawl's own counts, or what can be counted in the tables where there are none."""
    if data.counts is not None:
        return data.counts
    parts = []
    if data.posts is not None:
        outcome = data.posts["reason"].where(~data.posts["kept"], "kept")
        parts.append(data.posts.assign(what="post", outcome=outcome)[["window", "source", "what", "outcome"]])
    if data.images is not None:
        outcome = data.images["reason"].where(data.images["status"] != "ok", "ok")
        images = data.images.assign(source="", what="image", outcome=outcome)
        parts.append(images[["window", "source", "what", "outcome"]])
    if not parts:
        return None
    rows = pd.concat(parts)
    rows["outcome"] = rows["outcome"].fillna("unknown")
    return rows.groupby(["window", "source", "what", "outcome"]).size().rename("count").reset_index()


def in_windows(posts: pd.DataFrame) -> pd.DataFrame:
    """The counts of posts of the windows: a post outside is met by the crawl of every window, and counted each time."""
    return posts[posts["outcome"] != "outside_window"]


def _good(counts: pd.DataFrame) -> int:
    return int(counts.loc[counts["outcome"].isin(GOOD), "count"].sum())


def _group(counts: pd.DataFrame, what: str, windows: list[str]) -> dict[str, Any] | None:
    part = counts[counts["what"] == what]
    if part.empty:
        return None
    table = part.pivot_table(index="outcome", columns="window", values="count", aggfunc="sum", fill_value=0)
    table = table.reindex(columns=windows, fill_value=0)
    good = {code for code in table.index if code in GOOD or (what == "request" and code.startswith("http_2"))}
    order = sorted(table.index, key=lambda code: (code not in good, -int(table.loc[code].sum()), code))
    rows = [
        {
            "code": code,
            "text": reason_text(code),
            "good": code in good,
            "cells": [int(value) for value in table.loc[code]],
            "total": int(table.loc[code].sum()),
        }
        for code in order
    ]
    return {"head": HEADS[what], "rows": rows}


def _columns(counts: pd.DataFrame, windows: list[str]) -> list[dict[str, Any]]:
    posts = in_windows(counts[counts["what"] == "post"])
    good = posts[posts["outcome"].isin(GOOD)].groupby("window")["count"].sum().reindex(windows, fill_value=0)
    every = posts.groupby("window")["count"].sum().reindex(windows, fill_value=0)
    most = int(every.max()) or 1 if len(every) else 1
    return [
        {
            "label": window_label(key),
            "key": key,
            "kept": int(good[key]),
            "aside": int(every[key] - good[key]),
            "kept_height": 100 * good[key] / most,
            "aside_height": 100 * (every[key] - good[key]) / most,
        }
        for key in windows
    ]
