"""Where each number comes from: versions of code and settings, owners and tags of every asset, in one place.

``code_version`` changes with the code that an asset reaches, with the schema of its table, and with the settings that
its code reads. ``pipeline.metadata.data_version`` says what came out. With both, Dagster knows what is stale.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa

from pipeline.inputs import inputs_of
from pipeline.partitions import crawl_window, crawl_windows, window_keys
from pipeline.settings import Settings
from pipeline.source_code import Code, codes_of
from pipeline.tables import TABLES

OWNERS = {  # by group
    "crawl": "team:data",
    "dedup": "team:data",
    "labels": "team:labeling",
    "data_sets": "team:data",
    "graph": "team:modeling",
    "training": "team:modeling",
    "evaluation": "team:modeling",
    "operation": "team:fashion",
    "inputs": "team:data",
}
EVERYTHING = "all settings"  # in the place of a section
TRAINING_TAG = "stylegraph/training"
TRAINS = frozenset({"model", "training_curves", "seed_runs", "tau_sweep", "ablation", "suspicious_labels"})

# Settings that say how, how fast or when something is done, or from where on a check warns, but not what comes out.
NOT_CONTENT = frozenset(
    {
        "ablation.run",
        "crawl.most_failed",
        "crawl.most_shrunk",
        "crawl.refetch",
        "deduplication.largest_cluster",
        "deduplication.most_set_aside",
        "evaluation.floor",
        "evaluation.most_calibration_error",
        "labels.page_size",
        "labels.poll_seconds",
        "labels.reconcile_hours",
        "labels.timeout",
        "limits.backoff",
        "limits.max_pause",
        "limits.retries",
        "limits.timeout",
        "training.device",
        "training.threads",
        "windows.end",  # unless it cuts a window, see _sections
        *("alerts", "automation", "dagster", "data", "retraining"),
    }
)
# Sections that the code of an asset reads, but that its content has from upstream or holds as a note only.
ELSEWHERE: Mapping[str, frozenset[str]] = {
    # how near a picture must be to a withdrawn one: a changed rule is no reason to crawl again
    **dict.fromkeys(("posts", "images", "deleted_posts", "crawl_counts"), frozenset({"deduplication"})),
    "model": frozenset({"evaluation"}),  # kept beside the weights, for `stylegraph reproduce`
    "training_curves": frozenset({"evaluation"}),
    "seed_runs": frozenset({"evaluation"}),
    "tau_sweep": frozenset({"label_sets"}),  # the labels are those of the word vectors
    "correlation_matrix": frozenset({"label_sets"}),
    "ablation": frozenset({"label_sets"}),
    "champion": frozenset({"training"}),  # where to compute
    "suspicious_labels": frozenset({"label_sets"}),
}


def with_lineage(assets: Sequence[dg.AssetsDefinition], settings: Settings) -> list[dg.AssetsDefinition]:
    """Return the assets with versions of their code, owners and tags."""
    codes = codes_of([one.op.compute_fn.decorated_fn for one in assets])
    sections = _sections(settings)
    return [one.map_asset_specs(_described(code, sections, settings)) for one, code in zip(assets, codes, strict=True)]


def _described(code: Code, sections: Mapping[str, Any], settings: Settings) -> Callable[[dg.AssetSpec], dg.AssetSpec]:
    def describe(spec: dg.AssetSpec) -> dg.AssetSpec:
        return spec.replace_attributes(
            code_version=_code_version(spec.key.to_user_string(), code, sections),
            owners=[OWNERS[spec.group_name or ""]],
            deps=[*spec.deps, *inputs_of(spec.key.to_user_string(), settings)],
            tags={**spec.tags, **_tags(spec)},
        )

    return describe


def _code_version(name: str, code: Code, sections: Mapping[str, Any]) -> str:
    """Return the hash of an asset's code, of the settings that it reads, and of the schema of its table."""
    # without descriptions: other words make nothing stale
    fields = [field.remove_metadata() for field in TABLES[name].schema] if name in TABLES else []
    schema = str(pa.schema(fields)) if fields else ""
    counted = {section: sections[section] for section in sections_read(name, code) if section in sections}
    return hashlib.sha256(json.dumps([code.version, counted, schema], sort_keys=True).encode()).hexdigest()[:16]


def sections_read(name: str, code: Code) -> list[str]:
    """Return the sections of the settings that an asset's content depends on."""
    if "model_dump_json" in code.settings:
        return [EVERYTHING]  # they are shown
    read = {"labels" if one == "label_studio" else one for one in code.settings}
    return sorted(read.intersection(Settings.model_fields) - ELSEWHERE.get(name, frozenset()))


def _sections(settings: Settings) -> dict[str, Any]:
    """Return the settings that tables depend on, section by section; of a path, only the name of the file.

    What a file holds is followed by the assets of ``pipeline.inputs``.
    """
    content = json.loads(json.dumps(settings.model_dump(), default=_text))
    sections = {name: _counted(name, value) for name, value in content.items() if name not in NOT_CONTENT}
    sections[EVERYTHING] = {name: value for name, value in content.items() if name != "data"}
    if _cuts_a_window(settings):  # then the last window is another one when the end moves
        sections["windows"]["end"] = content["windows"]["end"]
    return sections


def _counted(section: str, values: Any) -> Any:
    if not isinstance(values, dict):
        return values
    return {key: value for key, value in values.items() if f"{section}.{key}" not in NOT_CONTENT}


def _text(value: Any) -> str:
    return value.name if isinstance(value, Path) else str(value)


def _cuts_a_window(settings: Settings) -> bool:
    keys = window_keys(settings.windows)
    if not keys:
        return False
    whole = crawl_windows(settings.windows).time_window_for_partition_key(keys[-1])
    return crawl_window(settings.windows, keys[-1]).end < whole.end


def _tags(spec: dg.AssetSpec) -> dict[str, str]:
    return {TRAINING_TAG: "true"} if spec.key.to_user_string() in TRAINS else {}
