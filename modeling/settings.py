"""Settings of data sets, label graph, word vectors and evaluation, checked when they are made."""

import math
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from modeling.errors import ModelingError
from modeling.training_settings import LossName, Pooling

Membership = Literal["all", "main"]
GraphForm = Literal["equation", "reference_code", "identity", "learned"]


class _Settings(BaseModel):
    """Frozen, and a key that does not exist is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class LabelSetSettings(_Settings):
    """Which labels make a label set, and which images belong to it. Give either ``top`` or ``labels``."""

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9._-]*$",
        max_length=60,
        description="partition key and folder name: small letters, digits, dot, dash, underscore",
    )
    top: int | None = Field(default=None, ge=2, description="the so many labels that are most frequent as main label")
    labels: list[str] | None = Field(default=None, min_length=2, description="these labels, in this order")
    membership: Membership = Field(
        default="all",
        description="all: every label of an image is in the set; main: the main label is, other sub labels are dropped",
    )

    @model_validator(mode="after")
    def _one_choice(self) -> "LabelSetSettings":
        if (self.top is None) == (self.labels is None):
            raise ValueError(f"label set {self.name!r}: give either top or labels, not both and not none")
        if self.labels is not None and len(set(self.labels)) != len(self.labels):
            twice = next(label for label in self.labels if self.labels.count(label) > 1)
            raise ValueError(f"label set {self.name!r}: label {twice!r} stands twice in labels; leave one out")
        return self


class GraphSettings(_Settings):
    """How the adjacency of the label graph is made from co-occurrence counts."""

    form: GraphForm = Field(
        default="equation",
        description="equation: as the paper; reference_code: as its published code; identity: no graph; learned: "
        "starts as equation and is trained with the network",
    )
    tau: Annotated[float, Field(gt=0, le=1)] | Literal["validation"] = Field(
        default="validation",
        description="least conditional probability that makes an edge, 0 to 1; validation: the one of a sweep whose "
        "graph scores best on the validation split",
    )
    p: float = Field(default=0.2, gt=0, lt=1, description="weight that a label's neighbours share, 0 to 1")

    @property
    def threshold(self) -> float:
        """The number that ``tau`` is. Raises ModelingError while it is still to be chosen."""
        if isinstance(self.tau, str):
            raise ModelingError("graph.tau is still to be chosen on the validation split: materialize tau_sweep first")
        return self.tau


class SweepSettings(_Settings):
    """The sweep over tau: label branches trained on features of the frozen backbone, scored on the validation split."""

    repeats: int = Field(default=3, ge=1, le=20, description="trainings of each graph, with different seeds")
    epochs: int = Field(default=30, ge=1, description="passes over the train split's features")


class AblationSettings(_Settings):
    """Which forms of the model the ablation compares, and how much it may cost."""

    forms: tuple[GraphForm, ...] = Field(
        default=("identity", "equation", "reference_code", "learned"),
        min_length=1,
        description="forms of the adjacency",
    )
    taus: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(
        default=(0.1, 0.2, 0.4), min_length=1, description="thresholds; those that give the same graph are one"
    )
    poolings: tuple[Pooling, ...] = Field(default=("max", "average"), min_length=1, description="global poolings")
    losses: tuple[LossName, ...] = Field(
        default=("bce", "focal", "asymmetric", "class_balanced"), min_length=1, description="losses"
    )
    epochs: int = Field(default=20, ge=1, description="passes over the train split's features")
    repeats: int = Field(default=2, ge=1, le=20, description="trainings of each form, with different seeds")
    run: bool = Field(default=False, description="make it a part of `stylegraph run`")


class SplitSettings(_Settings):
    """Target shares of the three splits, and the salt of the hash that assigns groups to them."""

    train: float = Field(default=0.7, gt=0, lt=1, description="share of images, 0 to 1")
    validation: float = Field(default=0.1, gt=0, lt=1, description="share of images, 0 to 1")
    test: float = Field(default=0.2, gt=0, lt=1, description="share of images, 0 to 1")
    salt: str = Field(default="stylegraph", description="another salt gives another split of the same images")

    @model_validator(mode="after")
    def _whole(self) -> "SplitSettings":
        total = self.train + self.validation + self.test
        if not math.isclose(total, 1.0, abs_tol=1e-9):
            raise ValueError(f"train + validation + test must be 1, not {total:g}")
        return self

    @property
    def shares(self) -> dict[str, float]:
        """Target share by split, in the order train, validation, test."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


class WordVectorSettings(_Settings):
    """Where the labels' word vectors come from."""

    path: Path | None = Field(
        default=None,
        description="GloVe text file of any dimension, plain or zip; none: the table carried in the project",
    )
    parts: dict[str, list[str]] = Field(
        default_factory=dict, description="label to the words whose vectors are averaged, over the built-in table"
    )


class EvaluationSettings(_Settings):
    """Bootstrap intervals."""

    resamples: int = Field(default=1000, ge=100, le=100_000, description="bootstrap resamples of the groups")
    seed: int = Field(default=0, ge=0, description="seed of the resamples")
    only_blind: bool = Field(
        default=False, description="evaluate only on images whose annotators were never shown a prediction"
    )
    floor: float = Field(
        default=0.3, ge=0, le=1, description="mean of the five recalls on the test split below which a check fails"
    )
    most_calibration_error: float = Field(
        default=0.15, ge=0, le=1, description="calibration error on the test split above which a check warns"
    )


class PromotionSettings(_Settings):
    """When a challenger takes the champion's place."""

    significance: float = Field(default=0.05, gt=0, lt=1, description="level of the paired test")
    margin: float = Field(
        default=0.01,
        ge=0,
        lt=1,
        description="how far below the champion's mean of the five recalls a newer model's interval may reach",
    )
    newer_by_days: int = Field(
        default=56,
        ge=0,
        description="days that the newest window of its images must be newer by, where it is not better",
    )
    least_score: float = Field(
        default=0.0, ge=0, le=1, description="mean of the five recalls that any champion must reach"
    )
    least_images: int = Field(default=30, ge=1, description="common test images that a comparison needs")


class DriftSettings(_Settings):
    """When a window counts as different from the windows that the champion was trained on."""

    significance: float = Field(default=0.01, gt=0, lt=1, description="level of the tests, after Holm's correction")
    least_images: int = Field(default=30, ge=2, description="images that a window needs to be tested")
    most_label_shift: float = Field(
        default=0.15, ge=0, le=1, description="total variation distance between shares of labels"
    )
    most_score_shift: float = Field(
        default=0.15, ge=0, le=1, description="largest Kolmogorov-Smirnov distance of a label's probabilities"
    )
    most_embedding_shift: float = Field(
        default=0.05, ge=0, le=2, description="squared maximum mean discrepancy of the embeddings"
    )
    permutations: int = Field(default=500, ge=99, le=100_000, description="of the permutation test")
    seed: int = Field(default=0, ge=0, description="seed of permutations and of what is drawn from large windows")


class TrendSettings(_Settings):
    """How shares of styles are followed from window to window."""

    significance: float = Field(default=0.05, gt=0, lt=1, description="level of the tests, after Holm's correction")
    resamples: int = Field(default=500, ge=100, le=100_000, description="bootstrap resamples, for the 95% intervals")
    seed: int = Field(default=0, ge=0, description="seed of the resamples")
    recent: int = Field(
        default=4, ge=1, description="windows at the end whose co-occurrence is compared with the ones before"
    )


class DataCardSettings(_Settings):
    """Who answers for the data sets, for their data cards."""

    creator: str | None = Field(default=None, description="name of the organization that made the data sets")
    url: str | None = Field(default=None, pattern=r"^https?://", description="page about the data sets")
    license: str | None = Field(
        default=None, description="licence of labels and tables (an address); pictures have the licences of their posts"
    )
    contact: str | None = Field(default=None, description="where people ask for the removal of a picture")


class SuspicionSettings(_Settings):
    """The search for labels that are probably wrong."""

    folds: int = Field(
        default=5, ge=2, le=20, description="parts of the cross-validation that scores images out of sample"
    )
    most: int = Field(default=200, ge=1, description="labels listed per label set, the most suspicious first")
    retrain: Literal["basic_cnn", "backbone", "backbone_max", "linear_probe"] | None = Field(
        default=None,
        description="architecture that is trained anew for each fold, as long as so many trainings; "
        "none: linear heads on features, in seconds",
    )
