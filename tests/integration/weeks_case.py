"""Six weeks of drawn outfits in which one style rises, half of them labelled: models, trends and drift in a minute."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np

from pipeline.demo.illustrations import draw_outfit
from tests.pipeline.small_case import STYLES, write_csv

WEEKS = 6
RISING = "Romantic"
SHARES = (0.2, 0.6)  # of the rising style, in the first and in the last week
FIRST_DAY = date(2019, 7, 1)
WINDOWS = tuple(str(FIRST_DAY + timedelta(weeks=week)) for week in range(WEEKS))
SETTINGS = """
architectures = ["ml_gcn"]

[data]
location = "data"

[windows]
start = {start}
end = {end}

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

[tau_sweep]
repeats = 1
epochs = 1

[training]
preset = "small"
image_size = [32, 32]
epochs = {epochs}
batch_size = 16

[ablation]
run = false

[evaluation]
resamples = 100
most_calibration_error = 0.01  # no model passes this check
"""


def write_case(folder: Path, pictures: int = 48, labelled: int = 30, epochs: int = 4) -> Path:
    """Write so many pictures a week, some of them labelled, and settings into ``folder``; return the settings file."""
    photos = folder / "photos"
    photos.mkdir(parents=True)
    rng = np.random.default_rng(0)
    others = [style for style in STYLES if style != RISING]
    posts, labels = [], []
    for number in range(WEEKS * pictures):
        week, place = divmod(number, pictures)
        rises = rng.random() < np.interp(week, (0, WEEKS - 1), SHARES)
        main = RISING if rises else str(rng.choice(others, p=(0.6, 0.4)))
        subs = [STYLES[(STYLES.index(main) + 1) % len(STYLES)]] if rng.random() < 0.5 else []
        name = f"{number:03}.jpg"
        draw_outfit(main, subs, number, (120, 150)).save(photos / name, quality=90)
        posts.append([name, f"{FIRST_DAY + timedelta(weeks=week, days=place % 7)}T12:00:00Z"])
        if place < labelled:
            labels.append([name, main, "|".join(subs)])
    write_csv(folder / "posts.csv", ["image", "created_at"], posts)
    write_csv(folder / "labels.csv", ["image", "main", "subs"], labels)
    path = folder / "stylegraph.toml"
    end = FIRST_DAY + timedelta(weeks=WEEKS)
    path.write_text(SETTINGS.format(start=FIRST_DAY, end=end, epochs=epochs), encoding="utf-8")
    return path
