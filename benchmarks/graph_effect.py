"""What the edges of the label graph are worth: ML-GCN beside the same model whose graph has none.

ML-GCN differs from a backbone with a linear head in more than its graph: classifiers come from word vectors, through
two layers that all labels share. So this trains the same architecture once more with the identity for its adjacency,
every other setting, seed and image being the run's, and compares the two on the run's test split. Needs a finished run
with ml_gcn (``stylegraph run --config examples/street.toml``), and measures nothing without one. Differences are in
points of the mean of the five recalls, with a 95% bootstrap interval over groups of images, for the mean over seeds.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from rich.console import Console

from modeling.correlation import graph_from_table
from modeling.evaluate import compare
from modeling.metrics import MEAN_OF_FIVE
from modeling.predict import score_seeds
from modeling.repeats import train_repeats
from modeling.train import GraphReference
from modeling.word_vectors import vectors_from_table
from pipeline.display import Display
from pipeline.judged import judged_scores
from pipeline.settings import Settings, load_settings
from pipeline.storage import Storage

ARCHITECTURE = "ml_gcn"


def without_edges(settings: Settings, storage: Storage, label_set: str, folder: Path, display: Display) -> pa.Table:
    """Train the model without edges into ``folder`` and return its SCORES."""
    graph = graph_from_table(storage.read_table("correlation_matrix", (label_set,)))
    data_set = storage.read_table("data_set", (label_set,)).to_pandas()
    trained = train_repeats(
        data_set,
        graph.labels,
        vectors_from_table(storage.read_table("word_vectors", (label_set,)), graph.labels),
        np.eye(len(graph.labels)),
        ARCHITECTURE,
        settings.backbone,
        settings.training,
        storage.image_path,
        storage.cache_folder("cache"),
        folder,
        display.step(f"training without edges on {label_set}"),
        GraphReference("identity", "identity"),
    )
    trained.forget()
    return score_seeds(folder, data_set, storage.image_path)


def measure(settings: Settings, label_set: str, display: Display) -> dict[str, Any]:
    """Compare the run's model with the one without edges on a label set; print and return what came out."""
    storage = Storage(settings.data.location)
    with tempfile.TemporaryDirectory() as name:
        scores = {
            "without edges": without_edges(settings, storage, label_set, Path(name), display),
            "with edges": judged_scores(settings, storage, (label_set, ARCHITECTURE)),
        }
    rows = compare(scores, settings.evaluation.resamples, settings.evaluation.seed).to_pylist()
    row = next(row for row in rows if row["metric"] == MEAN_OF_FIVE)
    edges = int(graph_from_table(storage.read_table("correlation_matrix", (label_set,))).binary.sum())
    without, with_edges, difference, low, high = (
        100 * row[key] for key in ("value_a", "value_b", "difference", "low", "high")
    )
    print(
        f"{label_set}: ML-GCN with its edges ({edges}) {with_edges:.1f}, without {without:.1f}: "
        f"{difference:+.1f} ({low:+.1f} to {high:+.1f}), p {row['p_value']:.2f}"
    )
    return {
        "name": f"mean of the five recalls of ML-GCN with its edges, beside none, {label_set}, %",
        "ours": round(with_edges, 1),
        "peer": round(without, 1),
        "ratio": round(with_edges / without, 3),
        "target": f"an interval of the difference above zero; it is {low:+.1f} to {high:+.1f}",
        "met": bool(low > 0),
    }


def main() -> None:
    """Measure every label set of the settings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=Path("examples/street.toml"))
    config = parser.parse_args().config
    settings = load_settings(config)
    storage = Storage(settings.data.location)
    finished = [name for name in settings.label_sets if storage.has_table("scores", (name, ARCHITECTURE))]
    if not finished:
        print(f"nothing measured: `stylegraph run --config {config}` has to be finished first")
    display = Display(Console(stderr=True))
    with display.shown(len(finished)):
        results = [measure(settings, label_set, display) for label_set in finished]
    print("RESULT", json.dumps(results))


if __name__ == "__main__":
    main()
