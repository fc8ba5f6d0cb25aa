"""How long it takes to train and compare all heads over a frozen backbone, on the street photos or on the last run's.

Ours (``modeling.head_training``) sends every picture and its mirror image through the backbone once, keeps the pooled
features, and trains each head on them with several seeds; CSRA, which needs feature maps, goes through the usual
training with ``trainable = "head"``, for the run's epochs. Pictures are mirrored and not changed otherwise. The peer is
the plain way: a careful PyTorch loop that runs the frozen backbone in every epoch of every head, on pictures that are
decoded and resized already. It would take too long, so one epoch is timed and multiplied by the epochs that were
trained here. Logistic regressions of scikit-learn on the same features are fitted besides, for their time and
their score.

The split is by a hash of the file's name, without near-duplicate removal: the scores rank heads on the validation part,
and say nothing about test images. Street labels are garments, not styles. Without --street's folder or --weights the
data set and the backbone of the last run are taken.
"""

import argparse
import hashlib
import itertools
import json
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from modeling import torchvision_guard  # noqa: F401  (before torch)

# isort: split
import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from modeling.ablation import ablation_graphs
from modeling.head_features import HeadData, head_data
from modeling.head_training import HeadForm, HeadResult, compare_heads
from modeling.images import cached_images
from modeling.metrics import mean_of_five
from modeling.networks.style_network import build_network
from modeling.repeats import train_repeats
from modeling.settings import AblationSettings, GraphSettings
from modeling.training_settings import BackboneSettings, TrainingSettings, preset
from modeling.word_vectors import vectors_from_table, word_vectors
from pipeline.last_run import FILE, choose_config
from pipeline.settings import load_settings
from pipeline.storage import Storage

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
TARGET = 60.0  # seconds for everything on two idle cores, nothing cached before
EPOCHS, REPEATS = 30, 3
UNCHANGED = {"views": 1, "zoom": 0.0, "shift": 0.0, "color": 0.0, "erase": 0.0}  # but for the mirror image
TAU = 0.2  # of the label graphs
POOLINGS = ("average", "max")


@dataclass(frozen=True)
class Task:
    """What the heads are trained on."""

    name: str
    data_set: pd.DataFrame
    labels: list[str]
    image_path: Callable[[str], Path]
    backbone: BackboneSettings
    training: TrainingSettings
    vectors: np.ndarray


def street(folder: Path, weights: Path, top: int) -> Task:
    """The street photos whose main garment is one of the most frequent; other sub garments are dropped."""
    table = pd.read_csv(folder / "labels.csv", keep_default_na=False)
    labels = table["main"].value_counts().index[:top].tolist()
    rows = table[table["main"].isin(labels)].reset_index(drop=True)
    share = rows["image"].map(lambda name: int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 2**32)
    data_set = pd.DataFrame({"image_id": rows["image"], "file_id": rows["image"], "window": "", "main": rows["main"]})
    data_set["group_id"] = rows["image"]
    data_set["subs"] = [
        [name for name in labels if name in subs.split("|") and name != main]
        for main, subs in zip(rows["main"], rows["subs"], strict=True)
    ]
    data_set["split"] = np.select([share < 0.7, share < 0.8], ["train", "validation"], "test")
    training, backbone = preset("fine_tune", UNCHANGED, {"weights": str(weights), "trainable": "head"})
    vectors = vectors_from_table(word_vectors(labels), labels)
    images = folder / "images"
    return Task(f"street photos, top {top}", data_set, labels, images.joinpath, backbone, training, vectors)


def last_run() -> Task:
    """The first label set of the last run."""
    settings = load_settings(choose_config(None, recall=True))
    storage = Storage(settings.data.location)
    label_set = next(iter(settings.label_sets))
    table = storage.read_table("word_vectors", (label_set,))
    labels = table.column("label").to_pylist()
    data_set = storage.read_table("data_set", (label_set,)).to_pandas()
    vectors = vectors_from_table(table, labels)
    where = f"{label_set} of the last run"
    training = settings.training.model_copy(update=UNCHANGED)
    return Task(where, data_set, labels, storage.image_path, settings.backbone, training, vectors)


def forms_of(task: Task) -> dict[str, HeadForm]:
    """Linear heads and label graphs of every form, with both poolings, by name."""
    forms = {f"linear, {pooling}": HeadForm("backbone", pooling, task.training.loss) for pooling in POOLINGS}
    graphs = ablation_graphs(task.data_set, task.labels, GraphSettings(), AblationSettings(taus=(TAU,)))
    for graph, pooling in itertools.product(graphs, POOLINGS):
        tau = "" if graph.tau is None else f" tau {graph.tau:g}"
        forms[f"ml_gcn {graph.form}{tau}, {pooling}"] = HeadForm(
            "ml_gcn", pooling, task.training.loss, graph.adjacency, learned=graph.form == "learned"
        )
    return forms


def compare(task: Task, forms: dict[str, HeadForm], cache: Path) -> dict[str, HeadResult]:
    """Train and score every head that takes pooled features."""
    everything = compare_heads(
        task.data_set, task.labels, task.vectors, list(forms.values()), EPOCHS, REPEATS, task.backbone, task.training,
        task.image_path, cache,
    )  # fmt: skip
    return dict(zip(forms, everything.results, strict=True))


def csra(task: Task, cache: Path) -> tuple[float, ...]:
    """Train CSRA with the backbone frozen for the run's epochs, once for each seed; return the validation scores."""
    training = task.training.model_copy(update={"repeats": REPEATS})
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        trained = train_repeats(
            task.data_set, task.labels, None, None, "csra", task.backbone, training, task.image_path, cache,
            Path(folder),
        )  # fmt: skip
    return tuple(trained.runs.column("validation_score").to_pylist())


def plain_epoch(task: Task, cache: Path) -> float:
    """Seconds of one epoch of a linear head, the frozen backbone run for each batch, and of scoring the validation."""
    rows = task.data_set[task.data_set["split"] != "test"].sort_values("image_id", kind="stable")
    size = task.training.image_size
    pictures = cached_images(rows["file_id"].tolist(), task.image_path, size, task.training.resize, cache / "images")
    targets = torch.tensor(
        [[name in {m, *s} for name in task.labels] for m, s in zip(rows["main"], rows["subs"], strict=True)]
    )
    network = build_network("linear_probe", task.backbone, task.training, task.labels).network.eval()
    network = network.to(memory_format=torch.channels_last)  # as the pictures lie
    adam = torch.optim.Adam(network.head.parameters(), task.training.label_learning_rate)
    train, validation = (np.flatnonzero(rows["split"] == split) for split in ("train", "validation"))
    begin = time.perf_counter()
    for batch in np.array_split(
        np.random.default_rng(0).permutation(train), max(1, len(train) // task.training.batch_size)
    ):
        images = torch.from_numpy(pictures[batch]).permute(0, 3, 1, 2)
        with torch.no_grad():
            features = network.image_branch.trained(network.frozen(images)).mean(dim=(2, 3))
        loss = torch.nn.functional.binary_cross_entropy_with_logits(network.head(features), targets[batch].float())
        adam.zero_grad()
        loss.backward()
        adam.step()
    with torch.no_grad():
        for start in range(0, len(validation), 64):
            network(torch.from_numpy(pictures[validation[start : start + 64]]).permute(0, 3, 1, 2))
    return time.perf_counter() - begin


def regressions(data: HeadData) -> float:
    """Best validation score of a logistic regression for each label on average pooled features, over four penalties."""
    scaler = StandardScaler().fit(np.asarray(data.features[data.train, 0, 0], dtype=np.float64))
    known, asked = (scaler.transform(data.features[rows, 0, 0]) for rows in (data.train, data.validation))
    scores = []
    for penalty in (1e-4, 1e-3, 1e-2, 1e-1):
        fitted = [LogisticRegression(C=penalty, max_iter=1000).fit(known, y) for y in data.targets[data.train].T]
        logits = np.stack([head.decision_function(asked) for head in fitted], axis=1)
        scores.append(mean_of_five(logits, data.targets[data.validation] > 0))
    return max(scores)


def peer_epochs(pooled_heads: int, map_epochs: int) -> int:
    """Epochs that the peer would train: those of every head and seed here, ``map_epochs`` of each of CSRA's."""
    return REPEATS * (pooled_heads * EPOCHS + map_epochs)


def main() -> None:
    """Compare the heads, time the peers, print the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--street", type=Path, default=SHARED / "street", help="folder with images/ and labels.csv")
    weights = SHARED / "weights" / "mobilenet_v2.imagenet-features.safetensors"
    parser.add_argument("--weights", type=Path, default=weights, help="state dict of a pretrained MobileNetV2")
    parser.add_argument("--top", type=int, default=5, help="most frequent main labels")
    options = parser.parse_args()
    missing = [path for path in (options.street / "labels.csv", options.weights) if not path.is_file()]
    if not missing:
        task = street(options.street, options.weights, options.top)
    elif FILE.exists():
        print(f"no {missing[0]}: taking the pictures of the last run")
        task = last_run()
    else:
        raise SystemExit(f"no {missing[0]}: give --street FOLDER and --weights FILE, or run `make demo` first")
    with tempfile.TemporaryDirectory() as folder:
        report(task, Path(folder))


@dataclass(frozen=True)
class Line:
    """A head in the table."""

    scores: tuple[float, ...]  # of the seeds
    epochs: int
    seconds: float
    name: str


def table(lines: list[Line], data: HeadData) -> None:
    """Print heads, best first, and the regressions under them."""
    print(f"validation, mean of five over {REPEATS} seeds; spread; epochs; seconds; head")
    for line in sorted(lines, key=lambda line: float(np.mean(line.scores)), reverse=True):
        score, spread = 100 * np.mean(line.scores), 100 * np.std(line.scores, ddof=1)
        print(f"  {score:5.1f} {spread:5.1f} {line.epochs:4} {line.seconds:6.1f}  {line.name}")
    begin = time.perf_counter()
    score = 100 * regressions(data)
    print(f"  {score:5.1f}     -    - {time.perf_counter() - begin:6.1f}  scikit-learn, logistic regressions, average")


def report(task: Task, cache: Path) -> None:
    """Measure and print."""
    counts = task.data_set["split"].value_counts()
    threads = torch.get_num_threads()
    load = f"{threads} threads, load {os.getloadavg()[0]:.1f} before"
    print(f"{task.name}: {counts['train']} train, {counts['validation']} validation images; {load}")
    forms = forms_of(task)
    begin = time.perf_counter()
    data = head_data(task.data_set, task.labels, task.backbone, task.training, task.image_path, cache)
    features = time.perf_counter() - begin
    results = compare(task, forms, cache)
    pooled = time.perf_counter() - begin
    attention = csra(task, cache)
    ours = time.perf_counter() - begin
    lines = [Line(item.scores, EPOCHS, item.seconds, name) for name, item in results.items()]
    lines.append(Line(attention, task.training.epochs, ours - pooled, "csra (feature maps)"))
    table(lines, data)
    epoch, epochs = plain_epoch(task, cache), peer_epochs(len(results), task.training.epochs)
    peer = epoch * epochs
    heads = pooled - features
    print(f"decode and features {features:.1f} s, heads on them {heads:.1f} s, csra {ours - pooled:.1f} s")
    print(f"peer: {epoch:.1f} s an epoch (measured) x {epochs} epochs of all trainings = {peer:.0f} s")
    result = {
        "name": f"train and compare {len(lines)} heads with {REPEATS} seeds over a frozen backbone, seconds",
        "ours": round(ours, 1),
        "peer": round(peer),
        "ratio": round(peer / ours, 1),
        "target": f"ours below {TARGET:.0f} s",
        "met": ours < TARGET,
    }
    print("RESULT", json.dumps(result))


if __name__ == "__main__":
    main()
