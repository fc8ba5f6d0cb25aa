"""SCORES tables for tests: from written entries, or random ones of several seeds."""

import hashlib

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from modeling.tables import SCORES

LABELS = ["Casual", "Retro", "Sporty", "Classic"]


def scores_table(entries, split="test", labels=LABELS, seed=1):
    """SCORES rows from (group, labels of the image with the main one first, probabilities); equal rows, equal ids."""
    probabilities = [np.array(values, dtype=np.float64) for _, _, values in entries]
    return pd.DataFrame(
        {
            "seed": seed,
            "image_id": [hashlib.sha256(f"{split}{i}".encode()).hexdigest() for i in range(len(entries))],
            "split": split,
            "group_id": [group for group, _, _ in entries],
            "main": [carried[0] for _, carried, _ in entries],
            "subs": [list(carried[1:]) for _, carried, _ in entries],
            "labels": [list(labels)] * len(entries),
            "scores": [values.astype(np.float32) for values in probabilities],
            "logits": [logit(np.clip(values, 1e-6, 1 - 1e-6)).astype(np.float32) for values in probabilities],
        }
    )[SCORES.names]


def random_scores(seed, images=60, groups=20, skill=1.0, split="test", sharpness=1.0):
    """Images of one split carry the same labels whatever the seed; some logits are equal.

    ``scores`` are as calibrated with the temperature ``sharpness``.
    """
    world, model = np.random.default_rng(7 if split == "test" else 8), np.random.default_rng(seed)
    entries, logits = [], []
    for _ in range(images):
        carried = world.permutation(4)[: world.integers(1, 5)]
        values = np.round(model.normal(size=4) + skill * np.isin(np.arange(4), carried), 1)
        group = f"g{world.integers(groups)}"
        entries.append((group, [LABELS[index] for index in carried], expit(values)))
        logits.append((sharpness * values).astype(np.float32))
    return scores_table(entries, split, seed=seed).assign(logits=logits)


def several_seeds(*seeds, **options):
    """One table of the same validation and test images scored with each seed."""
    return pd.concat(
        [random_scores(seed, split=split, **options) for seed in seeds for split in ("validation", "test")],
        ignore_index=True,
    )
