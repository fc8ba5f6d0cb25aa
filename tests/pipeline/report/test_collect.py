"""What the report is made from is read from the data location, table by table."""

import json

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from labeling.studio.settings import LabelStudioServer
from modeling.card_files import CARD_NAME
from modeling.label_sets import data_set_version
from pipeline.judged import judged_scores
from pipeline.report import build_report
from pipeline.report.collect import OF_MODEL, collect
from pipeline.settings import load_settings
from pipeline.storage import Storage
from pipeline.tables import TABLES
from tests.pipeline.small_case import SETTINGS, write_case

OF_LABEL_SET = ("data_set", "split_balance", "tau_sweep", "comparison")


@pytest.fixture
def case(run_data, tmp_path):
    """Settings and a data location with what a run leaves of two architectures; no ablation was run."""
    result = run_data.label_sets[0]
    names = ", ".join(json.dumps(label) for label in result.labels)
    labels = SETTINGS.replace('["Romantic", "Casual"]', f"[{names}]").replace(
        '["Casual", "Romantic", "Sporty", "Elegant"]',
        json.dumps([*run_data.label_frequencies["label"]]),
    )
    settings = load_settings(write_case(tmp_path, images=3, settings=labels))
    storage = Storage(settings.data.location)
    write(storage, "label_frequencies", run_data.label_frequencies)
    for name in OF_LABEL_SET:
        write(storage, name, getattr(result, name), "pair")
    write(storage, "correlation_matrix", result.correlation, "pair")
    for model in result.models:
        if model.architecture not in settings.architectures:
            continue
        for field, table in [*OF_MODEL.items(), ("scores", "scores")]:
            write(storage, table, getattr(model, field), "pair", model.architecture)
        with storage.model_folder("pair", model.architecture) as folder:
            card = {"architecture": model.architecture, "data_set_version": data_set_version(result.data_set)}
            (folder / CARD_NAME).write_text(json.dumps(card), "utf-8")
    return settings, storage, result


def write(storage, name, table, *partition):
    schema = TABLES[name].schema
    storage.write_table(name, pa.Table.from_pandas(table, schema, preserve_index=False), partition)


def test_every_table_of_the_models_reaches_the_report(case):
    settings, storage, result = case
    found = pair_of(settings, storage)
    pd.testing.assert_frame_equal(found.tau_sweep, result.tau_sweep)
    assert found.ablation is None
    expected = {model.architecture: model for model in result.models}
    assert [model.architecture for model in found.models] == list(settings.architectures)
    for model in found.models:
        assert model.card["architecture"] == model.architecture
        for field in (*OF_MODEL, "scores"):
            pd.testing.assert_frame_equal(
                getattr(model, field), getattr(expected[model.architecture], field), check_dtype=False
            )
    assert "set ablation.run = true" in build_report(collect(settings, storage))


def test_a_model_of_an_older_version_is_named_and_the_others_are_shown(case):
    settings, storage, _ = case
    old = storage.read_table("scores", ("pair", "ml_gcn")).drop_columns(["seed", "logits"])
    pq.write_table(old, storage.path(storage.table_key("scores", ("pair", "ml_gcn"))))
    found = pair_of(settings, storage)
    assert [model.failure is None for model in found.models] == [True, False]
    assert "table scores: missing columns ['logits', 'seed']" in found.models[1].failure
    assert "ML-GCN has no result: table scores" in build_report(collect(settings, storage))


def test_a_model_of_another_data_set_is_not_shown(case):
    """Its train images may be test images now."""
    settings, storage, result = case
    models = ("basic_cnn", "ml_gcn")
    compared = result.comparison[result.comparison[["architecture_a", "architecture_b"]].isin(models).all(axis=1)]
    assert len(pair_of(settings, storage).comparison) == len(compared) > 0
    with storage.model_folder("pair", "ml_gcn") as folder:
        (folder / CARD_NAME).write_text(json.dumps({"architecture": "ml_gcn", "data_set_version": "0" * 64}), "utf-8")
    found = pair_of(settings, storage)
    assert [model.failure for model in found.models] == [None, "trained on another data set: train it again"]
    assert found.models[1].evaluation is None
    assert found.comparison.empty, "its pairs are of an earlier run, too"


def test_scores_are_those_that_models_are_judged_by(case):
    """With evaluation.only_blind, of images whose experts saw no prediction."""
    settings, storage, _ = case
    changed = {
        "evaluation": settings.evaluation.model_copy(update={"only_blind": True}),
        "labels": LabelStudioServer(blind_share=0.5),
    }
    blind = settings.model_copy(update=changed)
    expected = judged_scores(blind, storage, ("pair", "ml_gcn")).to_pandas()
    assert 0 < len(expected) < len(pair_of(settings, storage).models[1].scores)
    pd.testing.assert_frame_equal(pair_of(blind, storage).models[1].scores, expected)


def pair_of(settings, storage):
    return next(item for item in collect(settings, storage).label_sets if item.name == "pair")
