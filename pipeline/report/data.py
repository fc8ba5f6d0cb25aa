"""What the report is built from: tables of one run as pandas frames, and a way to get a picture.

A frame is ``None`` where a run has no such table (nothing crawled, one label set failed, labels without annotators):
the report then says so in that place and shows the rest. Frames have the schemas of the packages' ``tables`` modules.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from modeling.architectures import ARCHITECTURES
from modeling.card_facts import CardFacts
from pipeline.report.lineage import Made


@dataclass(frozen=True)
class ModelResult:
    """One architecture on one label set."""

    architecture: str
    evaluation: pd.DataFrame | None = None  # EVALUATION
    scores: pd.DataFrame | None = None  # SCORES of the images that models are judged by
    curves: pd.DataFrame | None = None  # TRAINING_CURVES
    seed_runs: pd.DataFrame | None = None  # SEED_RUNS
    slices: pd.DataFrame | None = None  # SLICES
    reliability: pd.DataFrame | None = None  # RELIABILITY
    card: Mapping[str, Any] = field(default_factory=dict)  # the model's card.json
    failure: str | None = None  # one line, when there is no model


@dataclass(frozen=True)
class LabelSetResult:
    """One label set: its images, its graph and its models, in the order in which they are shown."""

    name: str  # e.g. top-5
    labels: Sequence[str]  # in the order of the scores
    membership: str = "all"  # all, main
    data_set: pd.DataFrame | None = None  # DATA_SET
    split_balance: pd.DataFrame | None = None  # SPLIT_BALANCE
    correlation: pd.DataFrame | None = None  # CORRELATION_MATRIX
    tau_sweep: pd.DataFrame | None = None  # TAU_SWEEP
    ablation: pd.DataFrame | None = None  # ABLATION
    comparison: pd.DataFrame | None = None  # COMPARISON
    suspicious: pd.DataFrame | None = None  # SUSPICIOUS_LABELS
    promotions: pd.DataFrame | None = None  # PROMOTIONS
    training_requests: pd.DataFrame | None = None  # TRAINING_REQUESTS
    card: CardFacts | None = None  # what its data card says
    card_files: Sequence[str] = ()  # where the card is, in the location of the data
    models: Sequence[ModelResult] = ()
    data_set_version: str | None = None
    graph_hash: str | None = None
    failure: str | None = None  # one line, when the label set could not be built


@dataclass(frozen=True)
class ReportData:
    """Everything the report shows. ``thumbnail`` gives the bytes of a picture in any format and size, or None."""

    title: str = "Fashion styles: from posts to a compared model"
    notices: Sequence[str] = ()  # what a reader must know first, e.g. that the pictures are drawn by the demo
    posts: pd.DataFrame | None = None  # POSTS, all windows
    images: pd.DataFrame | None = None  # IMAGES, all windows
    counts: pd.DataFrame | None = None  # CRAWL_COUNTS, all windows
    unique_images: pd.DataFrame | None = None  # UNIQUE_IMAGES
    similar_pairs: pd.DataFrame | None = None  # SIMILAR_PAIRS
    labels: pd.DataFrame | None = None  # LABELS
    agreement: pd.DataFrame | None = None  # AGREEMENT
    confusion: pd.DataFrame | None = None  # MAIN_CONFUSION
    annotators: pd.DataFrame | None = None  # ANNOTATORS
    acceptance: pd.DataFrame | None = None  # PREDICTION_ACCEPTANCE
    quarantined_annotations: pd.DataFrame | None = None  # QUARANTINED_ANNOTATIONS
    returned: pd.DataFrame | None = None  # RETURNED_TASKS
    label_frequencies: pd.DataFrame | None = None  # LABEL_FREQUENCIES
    style_trends: pd.DataFrame | None = None  # STYLE_TRENDS, all label sets
    style_movements: pd.DataFrame | None = None  # STYLE_MOVEMENTS
    cooccurrence_changes: pd.DataFrame | None = None  # COOCCURRENCE_CHANGES
    drift: pd.DataFrame | None = None  # DRIFT
    label_sets: Sequence[LabelSetResult] = ()
    lineage: Sequence[Made] = ()  # assets with their versions, as they were made last
    versions: Mapping[str, str] = field(default_factory=dict)  # what -> version or hash
    settings: Mapping[str, Any] = field(default_factory=dict)  # the settings in force, as JSON can hold them
    architecture_names: Mapping[str, str] = field(default_factory=dict)  # overrides of the titles in ARCHITECTURES
    thumbnail: Callable[[str], bytes | None] = lambda image_id: None

    def display_name(self, architecture: str) -> str:
        """The name under which people see an architecture."""
        if name := self.architecture_names.get(architecture):
            return name
        return ARCHITECTURES[architecture].title if architecture in ARCHITECTURES else architecture
