"""The settings of a run: one TOML file, with environment variables on top.

A key ``a.b.c`` of the file is overridden by ``STYLEGRAPH_A__B__C``. Paths in the file are relative to the file, paths
in the environment to the working folder.
"""

import os
import re
import tomllib
import types
import typing
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from crawlers.dedup.rule import DedupRule
from crawlers.jobs import CrawlLimits
from crawlers.registry import Source
from labeling.consensus import ConsensusRule
from labeling.sources import LabelSource
from labeling.studio.settings import LabelStudioServer
from labeling.styles import FASHION_STYLES
from modeling.architectures import ARCHITECTURES
from modeling.settings import (
    AblationSettings,
    DataCardSettings,
    DriftSettings,
    EvaluationSettings,
    GraphSettings,
    LabelSetSettings,
    PromotionSettings,
    SplitSettings,
    SuspicionSettings,
    SweepSettings,
    TrendSettings,
    WordVectorSettings,
)
from modeling.training_checks import training_problem
from modeling.training_settings import PRESETS, BackboneSettings, TrainingSettings, preset_values

CONFIG_VARIABLE = "STYLEGRAPH_CONFIG"
PREFIX = "STYLEGRAPH_"
NOT_SETTINGS = {
    "STYLEGRAPH_CONFIG",
    "STYLEGRAPH_HMAC_KEY",
    "STYLEGRAPH_LABEL_STUDIO_URL",
    "STYLEGRAPH_LABEL_STUDIO_TOKEN",
    "STYLEGRAPH_DAGSTER_POSTGRES_URL",
    "STYLEGRAPH_SMTP_URL",
    "STYLEGRAPH_WEBHOOK_URL",
}
UNION_MEMBER = re.compile(r"(literal|constrained|int|float|str|bool)\b")  # how pydantic names a value's alternatives
PATHS = (
    "data.location",
    "deduplication.overrides",
    "labels.path",
    "labels.document_root",
    "labels.withdrawn",
    "backbone.weights",
    "word_vectors.path",
    "sources.*.folder",
    "sources.*.posts",
)


class SettingsError(ValueError):
    """Settings that cannot be used; one line per problem, each with the key's name and what is allowed."""


class Section(BaseModel):
    """A table of the settings file."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DataSettings(Section):
    """Where the graph keeps its data."""

    location: str = Field(default=".data/stylegraph", min_length=1, description="a folder, or an fsspec URL (s3://…)")


class WindowSettings(Section):
    """The crawl windows, in UTC."""

    start: date = Field(default=date(2019, 7, 1), description="first day of the first window")
    end: date | None = Field(default=None, description="first day that is not crawled; without it, go on for ever")
    every: Literal["day", "week", "month"] = Field(default="week", description="length of a window")

    @model_validator(mode="after")
    def _order(self) -> "WindowSettings":
        if self.end is not None and self.end <= self.start:
            raise ValueError(f"windows.end must be after windows.start ({self.start})")
        if self.every == "month" and self.start.day != 1:
            raise ValueError("windows.start must be the first day of a month when windows.every is 'month'")
        return self


class CrawlSettings(Section):
    """How windows are crawled, and when a crawl looks wrong."""

    refetch: bool = Field(default=False, description="fetch pictures again whose addresses are known")
    most_failed: float = Field(
        default=0.2, ge=0, le=1, description="share of a window's pictures that may fail before a check warns"
    )
    most_shrunk: float = Field(
        default=0.2, ge=0, le=1, description="share of kept posts that a window may lose against its last crawl"
    )


class DeduplicationSettings(DedupRule):
    """The rule of near-duplicates, people's decisions, and when a result looks wrong."""

    overrides: Path | None = Field(
        default=None, description="CSV with the columns decision (keep, same, different), image_a, image_b"
    )
    most_set_aside: float = Field(
        default=0.5, ge=0, le=1, description="share of a window's images that may be set aside before a check warns"
    )
    largest_cluster: int = Field(default=50, ge=1, description="images that a cluster may have before a check warns")


class TaxonomySettings(Section):
    """The labels that experts may give."""

    labels: tuple[str, ...] = Field(default=FASHION_STYLES.labels, min_length=2, description="in the order to show")

    @field_validator("labels")
    @classmethod
    def _distinct(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        seen = [label.strip().casefold() for label in labels]
        twice = sorted({label for label in seen if seen.count(label) > 1})
        if twice or "" in seen:
            raise ValueError(f"labels must be different and not empty (twice: {', '.join(twice) or 'an empty one'})")
        return labels


class RetrainingSettings(Section):
    """When models are trained anew; any one of the reasons is enough."""

    new_labels: int = Field(
        default=200, ge=1, description="images of a label set with a new or changed label since its last data set"
    )
    days: int | None = Field(
        default=28, ge=1, description="days since the last training, where at least one label is new; none: never"
    )
    on_drift: bool = Field(default=True, description="a newer window drifted, and drift_labels labels are new")
    drift_labels: int = Field(
        default=1, ge=1, description="images with a new or changed label that a training because of drift needs"
    )
    least_images: int = Field(default=100, ge=1, description="labelled images that a first training needs")


class AutomationSettings(Section):
    """What happens by itself, once it is switched on (`stylegraph automation on`)."""

    crawl_cron: str | None = Field(
        default=None, description="when windows that ended are crawled, as cron in UTC; none: each time a window ended"
    )
    crawl_delay_hours: float = Field(
        default=6.0, ge=0, description="hours that a window is left alone after its end, for late posts"
    )
    look_cron: str = Field(default="30 3 * * *", description="when it is asked whether a training is due, cron in UTC")
    label_file_seconds: int = Field(default=60, ge=5, description="seconds between two looks at a file of labels")
    evaluate_seconds: int = Field(default=30, ge=5, description="seconds between two looks at what follows")
    retries: int = Field(default=2, ge=0, le=10, description="further attempts of a run that failed in passing")
    runs_at_once: int = Field(default=2, ge=1, description="runs at the same time; trainings one at a time in any case")
    overdue_hours: float = Field(
        default=24.0, gt=0, description="hours after a window should have been crawled from which it counts as late"
    )


class AlertSettings(Section):
    """Who is told of a failed run or check. It always stands in the log."""

    email_to: tuple[str, ...] = Field(
        default=(), description="addresses; the server's smtp(s)://user:password@host:port is in STYLEGRAPH_SMTP_URL"
    )
    email_from: str = Field(default="stylegraph@localhost", description="sender of the mails")
    webhook: bool = Field(default=False, description="POST a JSON object to the address in STYLEGRAPH_WEBHOOK_URL")


class DagsterSettings(Section):
    """Where Dagster keeps its history of runs."""

    storage: Literal["sqlite", "postgres"] = Field(
        default="sqlite",
        description="sqlite: beside the data; postgres: postgresql://… in STYLEGRAPH_DAGSTER_POSTGRES_URL",
    )


class ReportSettings(Section):
    """What stands at the top of the report."""

    title: str = Field(default="Fashion styles", description="heading of the report")
    notices: tuple[str, ...] = Field(default=(), description="what a reader must know first, one sentence each")


class Settings(BaseSettings):
    """Everything that a run depends on, apart from secrets."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True)

    data: DataSettings = DataSettings()
    windows: WindowSettings = WindowSettings()
    sources: dict[str, Source] = Field(min_length=1, description="networks and archives to collect from, by name")
    limits: CrawlLimits = CrawlLimits()
    crawl: CrawlSettings = CrawlSettings()
    deduplication: DeduplicationSettings = DeduplicationSettings()
    taxonomy: TaxonomySettings = TaxonomySettings()
    labels: LabelSource
    consensus: ConsensusRule = ConsensusRule()
    label_sets: dict[str, LabelSetSettings] = Field(
        default_factory=lambda: {f"top-{n}": LabelSetSettings(name=f"top-{n}", top=n) for n in (5, 7)}, min_length=1
    )
    splits: SplitSettings = SplitSettings()
    word_vectors: WordVectorSettings = WordVectorSettings()
    graph: GraphSettings = GraphSettings()
    tau_sweep: SweepSettings = SweepSettings()
    architectures: tuple[str, ...] = Field(
        default=("basic_cnn", "backbone", "backbone_max", "ml_gcn", "csra"), min_length=1
    )
    backbone: BackboneSettings = BackboneSettings()
    training: TrainingSettings = TrainingSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    ablation: AblationSettings = AblationSettings()
    suspicion: SuspicionSettings = SuspicionSettings()
    retraining: RetrainingSettings = RetrainingSettings()
    promotion: PromotionSettings = PromotionSettings()
    drift: DriftSettings = DriftSettings()
    trends: TrendSettings = TrendSettings()
    data_card: DataCardSettings = DataCardSettings()
    automation: AutomationSettings = AutomationSettings()
    alerts: AlertSettings = AlertSettings()
    dagster: DagsterSettings = DagsterSettings()
    report: ReportSettings = ReportSettings()

    @model_validator(mode="before")
    @classmethod
    def _expand_preset(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Put the keys that are set over those of the training preset."""
        training = values.get("training", {})
        if not isinstance(training, Mapping):
            return values
        name, backbone = training.get("preset", "small"), values.get("backbone", {})
        if name not in PRESETS or not isinstance(backbone, Mapping):
            return values
        expanded_training, expanded_backbone = preset_values(name, training, backbone)
        return {**values, "training": expanded_training, "backbone": expanded_backbone}

    @field_validator("sources", "label_sets", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        return {key: {**entry, "name": key} if isinstance(entry, Mapping) else entry for key, entry in value.items()}

    @field_validator("architectures")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in ARCHITECTURES:
                raise ValueError(f"{name!r} is not an architecture; allowed: {', '.join(ARCHITECTURES)}")
        if len(set(names)) < len(names):
            raise ValueError("an architecture is named twice")
        return names

    @model_validator(mode="after")
    def _fit_together(self) -> "Settings":
        for name, label_set in self.label_sets.items():
            if label_set.top is not None and label_set.top > len(self.taxonomy.labels):
                raise ValueError(
                    f"label_sets.{name}.top is {label_set.top}, but taxonomy.labels has "
                    f"{len(self.taxonomy.labels)} labels"
                )
            for label in label_set.labels or ():
                if label not in self.taxonomy.labels:
                    raise ValueError(f"label_sets.{name}.labels: {label!r} is not in taxonomy.labels")
        server = self.label_studio
        if server is not None and server.predict_with is not None and server.predict_with not in self.label_sets:
            raise ValueError(
                f"labels.predict_with: no label set is called {server.predict_with!r}; "
                f"allowed: {', '.join(self.label_sets)}"
            )
        if self.evaluation.only_blind and server is None:
            raise ValueError(
                "evaluation.only_blind needs labels.kind = 'label_studio': no other source has blind images"
            )
        return self

    @model_validator(mode="after")
    def _can_be_trained(self) -> "Settings":
        trained = [("architectures", name) for name in self.architectures]
        if self.suspicion.retrain is not None:
            trained.append(("suspicion.retrain", self.suspicion.retrain))
        for key, name in trained:
            if problem := training_problem(ARCHITECTURES[name], self.backbone, self.training):
                raise ValueError(f"{key}: {name}: {problem}")
        return self

    @property
    def label_studio(self) -> LabelStudioServer | None:
        """The live Label Studio project that labels come from; None where they come from a file."""
        return self.labels if isinstance(self.labels, LabelStudioServer) else None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment win over the file, whose content is passed as arguments."""
        return env_settings, init_settings


def load_settings(path: Path | None = None) -> Settings:
    """Read the settings from ``path``, else from the file that STYLEGRAPH_CONFIG names, else from ./stylegraph.toml.

    Raises:
        SettingsError: the file is missing or not TOML, or a key, type or value is wrong.
    """
    path = path or Path(os.environ.get(CONFIG_VARIABLE) or "stylegraph.toml")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SettingsError(
            f"{path} does not exist: pass --config FILE, or copy stylegraph.toml from the project"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not a TOML file: {error}") from error
    _check_environment()
    for pattern in PATHS:
        _make_absolute(content, pattern.split("."), path.resolve().parent)
    try:
        return Settings(**content)
    except ValidationError as error:
        raise SettingsError("\n".join(f"{path}: {line}" for line in _describe(error))) from error
    except ValueError as error:  # an environment variable that should hold JSON
        raise SettingsError(f"{path}: {str(error).splitlines()[0]}") from error


def _check_environment() -> None:
    for variable in os.environ:
        name = variable.upper()
        if name.startswith(PREFIX) and name not in NOT_SETTINGS:
            key = name.removeprefix(PREFIX).split("__")[0].lower()
            if key not in Settings.model_fields:
                raise SettingsError(
                    f"environment variable {variable}: no setting {key}; allowed: {', '.join(Settings.model_fields)}"
                )


def _make_absolute(content: Any, keys: list[str], folder: Path) -> None:
    """Make the path under ``keys`` absolute, where there is one; ``*`` stands for any key."""
    if not isinstance(content, dict):
        return
    for key in list(content) if keys[0] == "*" else keys[:1]:
        value = content.get(key)
        if len(keys) > 1:
            _make_absolute(value, keys[1:], folder)
        elif isinstance(value, str) and value and "://" not in value and not _is_word(keys, value):
            content[key] = str((folder / Path(value).expanduser()).resolve())


def _is_word(keys: list[str], value: str) -> bool:
    """Say whether a value that may be a path is one of its other choices."""
    return keys == ["weights"] and value in {"imagenet", "none"}


def _describe(error: ValidationError) -> list[str]:
    """Return one line per key with a problem: the key, what is wrong, and what is allowed."""
    lines: dict[str, list[str]] = {}
    given: dict[str, str] = {}
    for problem in error.errors(include_url=False):
        loc = problem["loc"]
        key = ".".join(str(part) for part in loc if not _is_tag(loc, part))
        if problem["type"] == "extra_forbidden":
            allowed = _allowed_keys(loc[:-1])
            text = f"no such key; allowed: {', '.join(allowed)}" if allowed else "no such key"
        elif problem["type"] == "missing":
            text = "this key is needed and has no default"
        else:
            message = problem["msg"].removeprefix("Value error, ")
            text = message[0].lower() + message[1:]
            shown = isinstance(problem["input"], str | int | float | bool)
            given[key] = f" (got {problem['input']!r})" if shown else ""
        lines.setdefault(key, []).append(text)
    return [f"{key}: {' or '.join(texts)}{given.get(key, '')}".removeprefix(": ") for key, texts in lines.items()]


def _is_tag(loc: tuple[int | str, ...], part: int | str) -> bool:
    """Say whether a part of a location is the kind of a union's member, which people did not write as a key."""
    position = loc.index(part)
    if position == len(loc) - 1 and position > 0 and UNION_MEMBER.match(str(part)):
        return True
    return part in _tags() and position > 0 and loc[0] in {"sources", "labels"}


def _tags() -> set[str]:
    return {
        tag
        for model in (*_members(Source), *_members(LabelSource))
        for tag in typing.get_args(model.model_fields["kind"].annotation)
    }


def _members(union: Any) -> list[type[BaseModel]]:
    """Return the models of an annotated union (or of an annotated single model)."""
    if typing.get_origin(union) is typing.Annotated:
        union = typing.get_args(union)[0]
    if isinstance(union, types.UnionType) or typing.get_origin(union) is typing.Union:
        return list(typing.get_args(union))
    return [union]


def _allowed_keys(loc: tuple[int | str, ...]) -> list[str]:
    """Return the keys of the table at ``loc``, following unions by their kind."""
    models: list[type[BaseModel]] = [Settings]
    for part in loc:
        found: list[type[BaseModel]] = []
        for model in models:
            if part in model.model_fields:
                annotation = model.model_fields[str(part)].annotation
                found += _models_in(annotation)
            elif any(
                part in typing.get_args(m.model_fields["kind"].annotation) for m in [model] if "kind" in m.model_fields
            ):
                found.append(model)
        models = found or models
    return sorted({name for model in models for name in model.model_fields if name != "name"})


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in typing.get_args(annotation) for model in _models_in(argument)]
