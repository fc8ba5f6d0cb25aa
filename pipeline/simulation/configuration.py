"""The settings file of a simulated year, as it stands at one time of it."""

import json
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from pipeline.demo.posts import HASHTAGS
from pipeline.demo.styles import STYLES as ALL_STYLES
from pipeline.settings import Settings, load_settings
from pipeline.simulation.plan import NEW, STYLES, Year
from pipeline.storage import write_file

LABEL_SET = "styles"
ARCHITECTURES = ("backbone", "ml_gcn")
BACKBONE, WEIGHTS_NAME = "resnet18", "backbone.safetensors"
EXPORT_NAME = "label_studio_export.json"
_FILE = """# Settings of a simulated year; stylegraph.toml of the project explains every key.
architectures = {architectures}

[data]
location = "data"

[windows]
start = {start}
end = {end}
every = "week"

[sources.network]
kind = "mastodon"
server = "{server}"
hashtags = {hashtags}
allow_hosts = ["127.0.0.1"]
delay = 0
seek = false

[limits]
retries = 1
backoff = 0.1

[taxonomy]
labels = {taxonomy}

[labels]
kind = "label_studio_export"
path = "{export}"

[label_sets.{label_set}]
labels = {labels}
membership = "main"

[tau_sweep]
repeats = 1
epochs = 5

[backbone]
name = "{backbone}"
weights = "{weights}"
trainable = "head"

[training]
preset = "small"
epochs = {epochs}
label_learning_rate = {rate}
threads = 2

[evaluation]
resamples = 200
floor = 0.2

[suspicion]
folds = 2

[retraining]
new_labels = {new_labels}
days = {days}
drift_labels = {drift_labels}
least_images = {least_images}

[promotion]
margin = 0.03
newer_by_days = {newer_by_days}
least_images = 15

[drift]
least_images = 20
permutations = 199

[trends]
resamples = 200
recent = {recent}

[automation]
crawl_cron = "0 8 * * 1"
crawl_delay_hours = 6.0
look_cron = "30 9 1 * *"
evaluate_seconds = 30
retries = 0
"""


@dataclass(frozen=True)
class Configuration:
    """What changes in the settings in the course of a year."""

    with_new_style: bool = False
    mistaken: bool = False  # a learning rate at which nothing is learned

    def write(self, path: Path, year: Year, server: str) -> Settings:
        """Write the settings file in one step, and read it as every command does."""
        known = [style for style in ALL_STYLES if style != NEW or self.with_new_style]
        text = _FILE.format(
            architectures=json.dumps(ARCHITECTURES),
            start=year.start.isoformat(),
            end=(year.start + timedelta(weeks=year.weeks)).isoformat(),
            server=server,
            hashtags=json.dumps(HASHTAGS),
            taxonomy=json.dumps(known),
            export=EXPORT_NAME,
            label_set=LABEL_SET,
            labels=json.dumps([*STYLES, *([NEW] if self.with_new_style else [])]),
            backbone=BACKBONE,
            weights=WEIGHTS_NAME,
            epochs=1 if self.mistaken else 20,
            rate=1e-7 if self.mistaken else 3e-3,
            new_labels=year.new_labels,
            days=year.retraining_days,
            drift_labels=year.drift_labels,
            least_images=year.first_training,
            newer_by_days=min(56, year.weeks),
            recent=max(1, year.weeks // 4),
        )
        write_file(path, text.encode())
        return load_settings(path)
