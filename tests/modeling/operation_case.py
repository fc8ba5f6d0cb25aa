"""A planted world for trends and drift: images with true labels, and a model that errs in a known way."""

import datetime as dt

import numpy as np
import pandas as pd
import pyarrow as pa

from modeling.following import FollowedSet
from modeling.tables import DATA_SET, STYLE_PREDICTIONS

LABELS = ["Casual", "Retro", "Sporty", "Classic"]
CONFUSION = np.array([[0.7, 0.1, 0.1, 0.1], [0.3, 0.6, 0.05, 0.05], [0.1, 0.1, 0.75, 0.05], [0.15, 0.1, 0.05, 0.7]])
SUBS, FOUND_MAIN, FOUND_SUB, FALSE_ALARM = 0.2, 0.85, 0.6, 0.1
SET, MODEL = "top-4", "backbone-0123456789ab"


def window_names(count):
    return [str(dt.date(2024, 1, 1) + dt.timedelta(weeks=week)) for week in range(count)]


class World:
    """Draws images; ``outside`` is the share that does not belong to the label set."""

    def __init__(self, seed=0, confusion=CONFUSION, outside=0.0, version=MODEL):
        self.random, self.confusion, self.outside, self.version = (
            np.random.default_rng(seed),
            confusion,
            outside,
            version,
        )
        self.truth, self.seen = [], {}

    def draw(self, window, images, shares, shift=0.0):
        """Add a window of images with these shares of main labels; return the STYLE_PREDICTIONS table of it."""
        random, size = self.random, len(LABELS)
        shares = np.asarray(shares) / np.sum(shares)
        main = random.choice(size, images, p=shares)
        inside = random.random(images) >= self.outside
        carried = random.random((images, size)) < SUBS
        carried[np.arange(images), main] = True
        carried &= inside[:, None]
        told = np.where(inside, main, random.integers(0, size, images))
        answered = (self.confusion[told].cumsum(axis=1) > random.random((images, 1))).argmax(axis=1)
        is_main = (np.arange(size) == main[:, None]) & inside[:, None]
        rate = np.where(is_main, FOUND_MAIN, np.where(carried, FOUND_SUB, FALSE_ALARM))
        predicted = random.random((images, size)) < rate
        high = random.beta(5, 2, images) if self.outside == 0 else np.where(
            inside, random.beta(8, 2, images), random.beta(2, 5, images)
        )  # fmt: skip
        other = random.random((images, size)) * high[:, None] * 0.9
        other[np.arange(images), answered] = high
        ids = [f"{window}-{place:05}" for place in range(images)]
        labels = [[LABELS[at] for at in np.flatnonzero(row)] for row in carried]
        for image_id, at, here, names in zip(ids, main, inside, labels, strict=True):
            self.truth.append((image_id, window, LABELS[at] if here else None, names))
        rows = {
            "label_set": SET,
            "image_id": ids,
            "window": window,
            "model_version": self.version,
            "main": [LABELS[at] for at in answered],
            "subs": [
                [LABELS[at] for at in np.flatnonzero(row) if at != answer]
                for row, answer in zip(predicted, answered, strict=True)
            ],
            "labels": [LABELS] * images,
            "probabilities": list(other),
            "embedding": list(random.normal(size=(images, 8)) + shift),
        }
        self.seen[window] = pa.Table.from_pandas(pd.DataFrame(rows), STYLE_PREDICTIONS, preserve_index=False)
        return self.seen[window]

    def read(self, window):
        return self.seen.get(window)

    def labels(self, windows=None, share=1.0):
        """LABELS rows of a random part of the images of these windows."""
        rows = [
            {
                "image_id": image_id, "window": window, "status": "agreed", "main": main,
                "answer": "style" if main else "not_fashion",
                "subs": [name for name in carried if name != main], "annotators": 1, "mains": [main or "not_fashion"],
            }
            for image_id, window, main, carried in self.truth
            if (windows is None or window in windows) and self.random.random() < share
        ]  # fmt: skip
        columns = ["image_id", "window", "status", "answer", "main", "subs", "annotators", "mains"]
        return pd.DataFrame(rows, columns=columns).astype({"main": object, "answer": object})

    def data_set(self, windows, test=0.5):
        """DATA_SET rows of the images of these windows that belong to the label set, each a group of its own."""
        rows = [
            {
                "image_id": image_id, "file_id": image_id, "window": window, "group_id": image_id, "main": main,
                "subs": [name for name in carried if name != main],
                "split": "test" if self.random.random() < test else "train",
            }
            for image_id, window, main, carried in self.truth
            if window in windows and main
        ]  # fmt: skip
        return pd.DataFrame(rows, columns=DATA_SET.names)


def followed(data_set=None, version=MODEL, **more):
    known = {} if data_set is None else {version: data_set}
    return FollowedSet(SET, tuple(LABELS), champion=version if known else None, trained_on=known, **more)
