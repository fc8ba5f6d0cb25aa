"""Which images the experts get next, and which of them never show a prediction. Nothing here asks a server."""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from math import floor
from typing import NamedTuple

import pyarrow as pa

from labeling.studio.settings import LabelStudioServer

_BLIND_SALT = "stylegraph blind"  # of its own: splits hash the same ids
_ROUNDING = 1e-9


class Chosen(NamedTuple):
    """An image that is to be queued."""

    image_id: str
    chosen_as: str  # newest, rare, uncertain, random


@dataclass(frozen=True)
class _Candidate:
    image_id: str
    window: str
    main: str | None  # what the model says; None: it has not seen the image
    score: float
    place: bytes  # among its equals, by hash


def is_blind(image_id: str, share: float) -> bool:
    """Return whether an image never shows a prediction: for ever the same answer, for ``share`` (0 to 1) of all images.

    An image that is blind at one share is blind at every greater one.
    """
    digest = hashlib.sha256(f"{_BLIND_SALT}:{image_id}".encode()).digest()
    return int.from_bytes(digest[:8]) < share * 2**64


def next_images(
    tasks: pa.Table,
    queued: pa.Table,
    predictions: pa.Table,
    open_now: int,
    settings: LabelStudioServer,
    seed: int,
    labels: Mapping[str, str] | None = None,
    withdrawn: Collection[str] = (),
) -> list[Chosen]:
    """Choose the images that are queued next, in their order: the same answer whatever the order of the rows.

    A share ``settings.random_share`` is drawn at random, evenly over the order: any run of k images holds that share of
    k, give or take one, also over several calls. The others follow ``settings.next_images``:

    - newest: the latest window first;
    - rare: images whose predicted main label has the fewest images in the queue so far, balanced as the queue grows;
    - uncertain: the lowest score of the latest prediction first.

    Images without a prediction come last, newest first, and are chosen as ``newest``; equals are ordered by hash.

    Args:
        tasks: rows of ``LABEL_TASKS``.
        queued: rows of ``QUEUED_TASKS``. An image in it, whatever its state, is never chosen, and no other one of its
            near-duplicate cluster.
        predictions: the columns image_id, main, score and predicted_at, as in ``PRE_ANNOTATIONS``; an image may have
            several rows.
        open_now: tasks that wait for answers now; at most ``settings.open_tasks`` minus that many are chosen.
        settings: of the server.
        seed: of the order by hash.
        labels: for images that experts have labelled, their main label; it counts instead of the predicted one.
        withdrawn: ids of images that may not stand before experts; nothing of their clusters is chosen.
    """
    candidates = _candidates(tasks, {*queued.column("image_id").to_pylist(), *withdrawn}, predictions, seed)
    room = len(candidates)
    if settings.open_tasks is not None:
        room = min(room, max(settings.open_tasks - open_now, 0))
    by_strategy = iter(_by_strategy(candidates, queued, predictions, settings.next_images, labels or {}))
    by_chance = iter(sorted(candidates, key=lambda candidate: _place(seed, "random", candidate.image_id)))
    taken: set[str] = set()
    chosen: list[Chosen] = []
    for number in range(queued.num_rows + 1, queued.num_rows + room + 1):
        share = settings.random_share
        at_random = floor(number * share + _ROUNDING) > floor((number - 1) * share + _ROUNDING)
        candidate = _next_free(by_chance if at_random else by_strategy, taken)
        taken.add(candidate.image_id)
        by = settings.next_images if candidate.main is not None else "newest"
        chosen.append(Chosen(candidate.image_id, "random" if at_random else by))
    return chosen


def _next_free(order: Iterator[_Candidate], taken: set[str]) -> _Candidate:
    return next(candidate for candidate in order if candidate.image_id not in taken)


def _place(seed: int, purpose: str, image_id: str) -> bytes:
    return hashlib.sha256(f"{purpose}:{seed}:{image_id}".encode()).digest()


def _candidates(tasks: pa.Table, known: AbstractSet[str], predictions: pa.Table, seed: int) -> list[_Candidate]:
    """Return the images of clusters without any known image."""
    latest = _latest(predictions)
    candidates = []
    columns = (tasks.column(name).to_pylist() for name in ("image_id", "window", "image_ids"))
    for image_id, window, members in zip(*columns, strict=True):
        if image_id not in known and known.isdisjoint(members):
            main, score = latest.get(image_id, (None, 0.0))
            candidates.append(_Candidate(image_id, window, main, score, _place(seed, "tie", image_id)))
    return candidates


def _latest(predictions: pa.Table) -> dict[str, tuple[str, float]]:
    """Return main label and score of the latest prediction of each image."""
    columns = (predictions.column(name).to_pylist() for name in ("predicted_at", "image_id", "main", "score"))
    rows = sorted(zip(*columns, strict=True))
    return {image_id: (main, score) for _, image_id, main, score in rows}


def _by_strategy(
    candidates: list[_Candidate], queued: pa.Table, predictions: pa.Table, strategy: str, labels: Mapping[str, str]
) -> list[_Candidate]:
    order = sorted(candidates, key=lambda candidate: candidate.place)
    order.sort(key=lambda candidate: candidate.window, reverse=True)  # keeps the order of equals
    predicted = [candidate for candidate in order if candidate.main is not None]
    if strategy == "rare":
        predicted = _balanced(predicted, _queued_labels(queued, predictions, labels))
    elif strategy == "uncertain":
        predicted.sort(key=lambda candidate: candidate.score)
    else:
        return order
    return predicted + [candidate for candidate in order if candidate.main is None]


def _queued_labels(queued: pa.Table, predictions: pa.Table, labels: Mapping[str, str]) -> Counter[str]:
    """Count the labels of what stands in the queue: the experts' where there is one, else the predicted."""
    latest = _latest(predictions)
    counts = Counter(labels.values())
    for image_id, state in zip(queued.column("image_id").to_pylist(), queued.column("state").to_pylist(), strict=True):
        if state == "queued" and image_id not in labels and image_id in latest:
            counts[latest[image_id][0]] += 1
    return counts


def _balanced(candidates: list[_Candidate], counts: Counter[str]) -> list[_Candidate]:
    """Order so that each image is of the label with the fewest images before it."""
    counts = counts.copy()
    ranked: list[tuple[int, str, int, _Candidate]] = []
    for number, candidate in enumerate(candidates):
        label = candidate.main or ""
        ranked.append((counts[label], label, number, candidate))
        counts[label] += 1
    return [candidate for *_, candidate in sorted(ranked, key=lambda entry: entry[:3])]
