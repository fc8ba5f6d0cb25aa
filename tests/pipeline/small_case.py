"""A folder of drawn outfits with posts and labels, and settings that take it through the whole graph in seconds."""

import csv
from pathlib import Path

import numpy as np

from pipeline.demo.illustrations import draw_outfit

STYLES = ("Casual", "Romantic", "Sporty")
SETTINGS = """
architectures = ["basic_cnn", "ml_gcn"]

[data]
location = "data"

[windows]
start = 2019-07-01
end = 2019-07-15

[sources.drawn]
kind = "archive"
folder = "photos"
posts = "posts.csv"

[labels]
kind = "csv"
path = "labels.csv"

[taxonomy]
labels = ["Casual", "Romantic", "Sporty", "Elegant"]

[label_sets.top-3]
top = 3

[label_sets.pair]
labels = ["Romantic", "Casual"]
membership = "main"

[tau_sweep]
repeats = 1
epochs = 2

[training]
preset = "small"
image_size = [32, 32]
epochs = 2
batch_size = 16

[ablation]
run = true
forms = ["identity", "equation"]
taus = [0.1]
poolings = ["max"]
losses = ["bce"]
epochs = 2
repeats = 1

[evaluation]
resamples = 100
"""


def write_case(folder: Path, images: int = 66, settings: str = SETTINGS) -> Path:
    """Write pictures, posts.csv, labels.csv and stylegraph.toml into ``folder``; return the settings file."""
    photos = folder / "photos"
    photos.mkdir(parents=True)
    rng = np.random.default_rng(0)
    posts, labels = [], []
    for number in range(images):
        main = STYLES[number % len(STYLES)]
        subs = [STYLES[(number + 1) % len(STYLES)]] if rng.random() < 0.5 else []
        name = f"{number:03}.jpg"
        draw_outfit(main, subs, number, (120, 150)).save(photos / name, quality=90)
        posts.append([name, f"2019-07-{1 + number % 14:02}T12:00:00Z"])
        labels.append([name, main, "|".join(subs)])
    write_csv(folder / "posts.csv", ["image", "created_at"], posts)
    write_csv(folder / "labels.csv", ["image", "main", "subs"], labels)
    path = folder / "stylegraph.toml"
    path.write_text(settings, encoding="utf-8")
    return path


def write_csv(path: Path, header: list[str], rows: list[list[str]]) -> None:
    """Write a CSV file."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
