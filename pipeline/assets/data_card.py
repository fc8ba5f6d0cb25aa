"""The data card of a label set: a Croissant file for tools, and a card for people."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from modeling.croissant import croissant, find_problems
from modeling.data_card import data_card as card_text
from pipeline.data_cards import card_key, croissant_key, gather_facts
from pipeline.metadata import for_people
from pipeline.partitions import label_sets
from pipeline.settings import Settings
from pipeline.storage import Storage

CHECK = "croissant_is_valid"


def data_card_assets(settings: Settings) -> Sequence[dg.AssetsDefinition]:
    """Return the asset that writes data cards."""

    @dg.asset(
        group_name="data_sets",
        kinds={"json", "markdown"},
        owners=["team:data"],
        deps=["data_set", "agreement", "label_frequencies"],
        partitions_def=label_sets(settings),
        check_specs=[
            dg.AssetCheckSpec(CHECK, asset="data_card", description="The Croissant file keeps the format's rules.")
        ],
    )
    def data_card(
        context: dg.AssetExecutionContext,
        settings: dg.ResourceParam[Settings],
        storage: dg.ResourceParam[Storage],
    ) -> Iterator[dg.MaterializeResult]:
        """Where a data set comes from, what it holds, how it was labelled, its known biases, and whom to ask.

        A Croissant file with its responsible-AI fields, which machine learning tools load, and the same for people.
        """
        label_set = context.partition_key
        with for_people():
            facts = gather_facts(settings, storage, label_set)
            document = croissant(facts)
            card = card_text(facts, f"../../{croissant_key(label_set)}")
            storage.write_json(croissant_key(label_set), document)
            storage.write_bytes(card_key(label_set), card.encode())
        yield dg.MaterializeResult(
            data_version=_version(document, card),
            metadata={
                "file": dg.MetadataValue.path(storage.path(card_key(label_set))),
                "croissant": dg.MetadataValue.path(storage.path(croissant_key(label_set))),
                "images": facts.images,
                "card": dg.MetadataValue.md(card),
            },
            check_results=[_check(find_problems(document))],
        )

    return [data_card]


def _version(document: dict[str, Any], card: str) -> dg.DataVersion:
    """Return the hash of what both files say, apart from the day on which the data set was written."""
    said = {key: value for key, value in document.items() if key != "datePublished"}
    return dg.DataVersion(hashlib.sha256(json.dumps([said, card], sort_keys=True).encode()).hexdigest())


def _check(problems: list[str] | None) -> dg.AssetCheckResult:
    """Say what the format's own library found; where it is not installed, that nobody looked."""
    if problems is None:
        return dg.AssetCheckResult(
            check_name=CHECK,
            passed=True,
            description="not checked: mlcroissant is not installed (pip install 'stylegraph[croissant]')",
            metadata={"checked": False},
        )
    return dg.AssetCheckResult(
        check_name=CHECK,
        passed=not problems,
        severity=dg.AssetCheckSeverity.WARN,
        description="mlcroissant finds nothing wrong"
        if not problems
        else f"mlcroissant refuses the file: {problems[0]}; correct [data_card] of the settings, or report a fault",
        metadata={"checked": True, "problems": problems},
    )
