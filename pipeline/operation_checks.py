"""Checks of what runs by itself: late windows, test images that stay, metric floor, calibration, drift, trends."""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
import pandas as pd
from dagster._utils.warnings import PreviewWarning  # not exported at the top

from pipeline.champions import champion_data_set, champion_version, champion_versions
from pipeline.metadata import for_people, markdown
from pipeline.partitions import label_set_models, label_sets, model_partition, window_keys
from pipeline.reasons import one_line
from pipeline.resources import Clock
from pipeline.settings import Settings
from pipeline.storage import Storage
from pipeline.style_rows import BY_VERSIONS, NOT_READ
from pipeline.windows_due import late_windows

MOST_MOVED = (
    0.01  # share of the test images of an earlier data set; above it, more than a window that changed moved them
)
MOST_UNPREDICTED = 0.01  # share of the unique images that may be pictures that nobody can read before the check warns
SUM_TOLERANCE = 1e-6
NAMED = 3  # windows or versions that a line names


def operation_checks(settings: Settings) -> Sequence[dg.AssetChecksDefinition]:
    """Return the checks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PreviewWarning)  # partitions of checks are new in Dagster
        return [
            _windows_on_time(settings),
            _test_set_stays(settings),
            _metric_floor(settings),
            _calibrated(settings),
            _every_image_predicted(),
            _shares_sum_to_one(),
            _no_drift("no_data_drift", ("expert_labels", "predicted_labels", "embeddings"), "styles and pictures"),
            _no_drift("no_score_drift", ("scores",), "the champion's scores"),
        ]


def _windows_on_time(settings: Settings) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset="posts",
        automation_condition=dg.AutomationCondition.cron_tick_passed(settings.automation.look_cron),
        description="Every window that ended has a complete crawl by its deadline (automation.overdue_hours).",
    )
    def windows_on_time(
        context: dg.AssetCheckExecutionContext, settings: dg.ResourceParam[Settings], clock: dg.ResourceParam[Clock]
    ) -> dg.AssetCheckResult:
        late = late_windows(settings, context.instance, clock())
        return dg.AssetCheckResult(
            passed=not late,
            severity=dg.AssetCheckSeverity.WARN,
            description="no window is late"
            if not late
            else f"{len(late)} windows have no complete crawl: {_named(late)}: look at their checks "
            "window_complete and at failed runs, put that right, and launch the job new_window for them",
            metadata={"late": len(late), "windows": list(late)},
        )

    return windows_on_time


def _test_set_stays(settings: Settings) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset="data_set",
        partitions_def=label_sets(settings),
        description="No test image of a champion's data set stands in another split now.",
    )
    def test_set_stays(
        context: dg.AssetCheckExecutionContext, storage: dg.ResourceParam[Storage]
    ) -> dg.AssetCheckResult:
        name, tested, moved = context.partition_key, set[str](), set[str]()
        now = storage.read_table("data_set", (name,), ["image_id", "split"]).to_pandas()
        others = set(now.loc[now["split"] != "test", "image_id"])
        with for_people():
            for version in champion_versions(storage, name):
                then = champion_data_set(storage, name, version)
                images = set(then.loc[then["split"] == "test", "image_id"])
                tested |= images
                moved |= images & others
        share = len(moved) / max(1, len(tested))
        bad = share > MOST_MOVED
        return dg.AssetCheckResult(
            passed=not moved,
            severity=dg.AssetCheckSeverity.ERROR if bad else dg.AssetCheckSeverity.WARN,
            description=f"{name}: all of {len(tested)} test images of champions are test images still, or left out"
            if not moved
            else f"{name}: {len(moved)} of {len(tested)} test images of champions ({share:.1%}) stand in train or "
            "validation now, and no comparison counts them any more: "
            + ("put [splits] back as it was" if bad else "a window was crawled anew with other posts"),
            metadata={"moved": len(moved), "tested": len(tested), "share": share},
        )

    return test_set_stays


def _metric_floor(settings: Settings) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset="comparison",
        blocking=True,
        partitions_def=label_sets(settings),
        description="The best new model reaches evaluation.floor; else no champion is chosen.",
    )
    def metric_floor(
        context: dg.AssetCheckExecutionContext,
        settings: dg.ResourceParam[Settings],
        storage: dg.ResourceParam[Storage],
    ) -> dg.AssetCheckResult:
        name, floor = context.partition_key, settings.evaluation.floor
        evaluated = [one for one in settings.architectures if storage.has_table("evaluation", (name, one))]
        if not evaluated:
            return dg.AssetCheckResult(passed=True, description=f"{name}: no model is evaluated, none can be promoted")
        architecture = max(evaluated, key=lambda one: _measured(storage, (name, one), "mean5", "validation"))
        value = _measured(storage, (name, architecture), "mean5")
        passed = value >= floor
        return dg.AssetCheckResult(
            passed=passed,
            description=f"{name}: {architecture} reaches {value:.3f}, the floor is {floor:g}"
            if passed
            else f"{name}: the best new model ({architecture}) reaches {value:.3f} only, the floor is {floor:g}; the "
            "champion stays: look at the training curves, the labels and the data set",
            metadata={"value": value, "floor": floor},
        )

    return metric_floor


def _calibrated(settings: Settings) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset="evaluation",
        partitions_def=label_set_models(settings),
        description="Probabilities are about as high as answers are right (evaluation.most_calibration_error).",
    )
    def calibrated(
        context: dg.AssetCheckExecutionContext,
        settings: dg.ResourceParam[Settings],
        storage: dg.ResourceParam[Storage],
    ) -> dg.AssetCheckResult:
        partition = model_partition(context.partition_key)
        value, most = _measured(storage, partition, "ece"), settings.evaluation.most_calibration_error
        known = math.isfinite(value)
        return dg.AssetCheckResult(
            passed=known and value <= most,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"{' | '.join(partition)}: calibration error {value:.3f}, {most:g} is allowed"
            + (
                ""
                if known and value <= most
                else ": do not take its probabilities for frequencies; look at reliability"
            ),
            metadata={"value": value, "most": most},
        )

    return calibrated


def _every_image_predicted() -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset="style_predictions",
        blocking=True,
        description="The champions have answered for every unique image of the windows that were made.",
    )
    def every_image_predicted(
        context: dg.AssetCheckExecutionContext,
        settings: dg.ResourceParam[Settings],
        storage: dg.ResourceParam[Storage],
    ) -> dg.AssetCheckResult:
        windows = list(context.partition_keys) if _has_windows(context) else window_keys(settings.windows)
        unique = storage.read_table("unique_images", columns=["image_id", "window", "kept"]).to_pandas()
        kept = unique[unique["kept"] & unique["window"].isin(windows)]
        today = {name: champion_version(storage, name) for name in settings.label_sets}
        wanted, missing, unread = 0, dict[str, int](), dict[str, int]()
        for window, images in kept.groupby("window"):
            made = _predicted_by(context.instance, str(window), today)
            wanted += len(images) * len(made.versions)
            lacking = _unpredicted(storage, str(window), set(images["image_id"]), made.versions)
            for counts, ids in ((missing, lacking - made.not_read), (unread, lacking & made.not_read)):
                if ids:
                    counts[str(window)] = len(ids)
        many = sum(unread.values()) > MOST_UNPREDICTED * max(1, len(kept))
        said = f"answers for {len(kept)} unique images of {len(windows)} windows"
        if missing:
            said = f"images without an answer: {sum(missing.values())} of {len(kept)}, in windows {_named(missing)}: "
            said += "materialize style_predictions for them"
        elif unread:
            said += f"; {sum(unread.values())} pictures cannot be read, in windows {_named(unread)}"
            said += ": crawl these windows again" if many else ""
        return dg.AssetCheckResult(
            passed=not missing and not many,
            # pictures that nobody can read stay so: they are told, and block nothing
            severity=dg.AssetCheckSeverity.ERROR if missing else dg.AssetCheckSeverity.WARN,
            description=said,
            metadata={"missing": sum(missing.values()), "not_read": sum(unread.values()), "wanted": wanted},
        )

    return every_image_predicted


def _has_windows(context: dg.AssetCheckExecutionContext) -> bool:
    """Say whether the run is about certain windows; a check that is launched alone is about all of them."""
    return bool(context.has_partition_key or context.has_partition_key_range)


@dataclass(frozen=True)
class _Predicted:
    """What the run that made a window's predictions said of them."""

    versions: Mapping[str, str]  # label set -> champion
    not_read: set[str]  # image_ids


def _predicted_by(instance: dg.DagsterInstance, window: str, today: Mapping[str, str | None]) -> _Predicted:
    """Return what the last run said of a window; of one that said nothing, that today's champions answered.

    A champion that came after the run is no fault of it: another run follows.
    """
    wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey("style_predictions"), asset_partitions=[window])
    records = instance.fetch_materializations(wanted, limit=1).records
    event = records[0].asset_materialization if records else None
    said: Mapping[str, Any] = event.metadata if event is not None else {}
    if BY_VERSIONS not in said:
        return _Predicted({name: version for name, version in today.items() if version is not None}, set())
    return _Predicted(dict(said[BY_VERSIONS].value), set(said[NOT_READ].value))


def _unpredicted(storage: Storage, window: str, images: set[str], versions: Mapping[str, str]) -> set[str]:
    """Return the images of a window for which an answer of one of the champions is missing."""
    if not storage.has_table("style_predictions", (window,)):
        return images if versions else set()
    columns = ["label_set", "image_id", "model_version"]
    rows = storage.read_table("style_predictions", (window,), columns).to_pandas()
    answered = [
        set(rows.loc[(rows["label_set"] == name) & (rows["model_version"] == version), "image_id"])
        for name, version in versions.items()
    ]
    return images - set.intersection(*answered) if answered else set()


def _shares_sum_to_one() -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset="style_trends",
        description="The shares of the main styles of a window sum to one, and lie in their bands.",
    )
    def shares_sum_to_one(storage: dg.ResourceParam[Storage]) -> dg.AssetCheckResult:
        rows = storage.read_table("style_trends").to_pandas()
        main = rows[rows["role"] == "main"]
        sums = main.groupby(["label_set", "window", "source"])["share"].sum()
        off = sums[(sums - 1).abs() > SUM_TOLERANCE]
        outside = rows[(rows["share"] < rows["low"] - SUM_TOLERANCE) | (rows["share"] > rows["high"] + SUM_TOLERANCE)]
        first = " | ".join(map(str, off.index[0])) if len(off) else ""
        return dg.AssetCheckResult(
            passed=off.empty and outside.empty,
            description=f"the shares of {len(sums)} windows and sources sum to one"
            if off.empty and outside.empty
            else f"{len(off)} sums are not one ({first}), {len(outside)} shares lie outside of their intervals: do not "
            "publish them; materialize style_predictions of the windows, then style_trends",
            metadata={"off": len(off), "outside": len(outside)},
        )

    return shares_sum_to_one


def _no_drift(name: str, kinds: tuple[str, ...], things: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset="drift", name=name, description=f"In no window {things} differ from what the champion was trained on."
    )
    def no_drift(storage: dg.ResourceParam[Storage]) -> dg.AssetCheckResult:
        rows = storage.read_table("drift").to_pandas()
        rows = rows[rows["what"].isin(kinds)]
        drifted = rows[rows["drifted"]].sort_values("distance", ascending=False)
        shown = drifted[["label_set", "window", "what", "label", "test", "distance", "threshold", "p_adjusted"]]
        first: Any = drifted.iloc[0] if len(drifted) else None
        return dg.AssetCheckResult(
            passed=drifted.empty,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"{rows['window'].nunique()} windows tested, none drifted"
            if drifted.empty
            else f"{drifted['window'].nunique()} windows drifted, {first['window']} most ({first['what']} of "
            f"{first['label_set']}: {first['distance']:.3f}, {first['threshold']:g} is allowed): let experts label "
            "images of these windows; with retraining.on_drift a training follows",
            metadata={"windows": sorted(drifted["window"].unique()), "drifted": dg.MetadataValue.md(markdown(shown))},
        )

    return no_drift


def _measured(storage: Storage, partition: Sequence[str], metric: str, split: str = "test") -> float:
    """Return a metric of a model over all images of a split; -inf for none, which no floor lets through."""
    rows = storage.read_table("evaluation", partition, ["split", "metric", "label", "value"]).to_pandas()
    chosen = rows[(rows["split"] == split) & (rows["metric"] == metric) & rows["label"].isna()]
    return float(chosen["value"].iloc[0]) if len(chosen) and pd.notna(chosen["value"].iloc[0]) else -math.inf


def _named(names: Any) -> str:
    shown = list(names)[:NAMED]
    return one_line(", ".join(shown) + ("" if len(names) <= NAMED else ", …"))
