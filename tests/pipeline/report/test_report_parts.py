"""The views behind the page: what is said about the graph, how numbers read, and which pictures are chosen."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling.metrics import all_hits
from pipeline.report import LabelSetResult, ModelResult, ReportData, wording
from pipeline.report.charts import Line, line_chart, ticks
from pipeline.report.comparisons import finding, graph_verdict, oriented, paired_tests_view, verdict
from pipeline.report.score_browser import differences_view, ranked
from pipeline.report.sources import period, sources_view, window_label
from pipeline.report.summary import summary_view
from pipeline.report.thumbnails import Thumbnails

METRICS = ("any@1", "all@2", "any@2", "all@3", "any@3", "mean5")


def comparison(difference, low, high, p, a="backbone_max", b="ml_gcn"):
    rows = [
        {"metric": metric, "architecture_a": a, "architecture_b": b, "value_a": 0.7, "value_b": 0.7 + difference}
        | {"difference": difference, "low": low, "high": high, "a_only": 3, "b_only": 9, "p_value": p, "p_adjusted": p}
        for metric in METRICS
    ]
    return pd.DataFrame(rows)


def evaluation(value):
    rows = [
        {
            "split": split,
            "metric": metric,
            "label": None,
            "value": value,
            "low": value - 0.04,
            "high": value + 0.04,
            "images": 200,
        }
        for split in ("validation", "test")
        for metric in METRICS
    ]
    return pd.DataFrame(rows)


def two_models(table):
    models = [ModelResult("backbone_max", evaluation(0.70)), ModelResult("ml_gcn", evaluation(0.72))]
    return LabelSetResult("top-5", list("abcde"), comparison=table, models=models)


@pytest.mark.parametrize(
    ("numbers", "said", "chip"),
    [
        ((0.02, 0.01, 0.03, 0.01), "the graph helped, and chance is an unlikely explanation", "The label graph helped"),
        ((-0.02, -0.03, -0.01, 0.01), "the graph did harm", "The label graph did harm"),
        ((0.02, 0.001, 0.04, 0.30), "a hint that the graph helped", "a hint"),
        ((0.02, -0.01, 0.05, 0.60), "a difference below about 3.0 points cannot be seen", "no clear difference"),
    ],
)
def test_summary_says_whether_the_graph_helped_and_how_sure_that_is(numbers, said, chip):
    card = summary_view(ReportData(label_sets=[two_models(comparison(*numbers))]))["cards"][0]
    assert said in " ".join(card["sentences"])
    assert chip in card["chip"]
    assert card["best"]["name"] == "ML-GCN"


def test_pair_can_be_read_both_ways():
    table = comparison(0.02, 0.01, 0.03, 0.01)
    there, back = verdict(table, "backbone_max", "ml_gcn"), verdict(table, "ml_gcn", "backbone_max")
    assert (there.outcome, back.outcome) == ("better", "worse")
    assert (back.difference, back.low, back.high) == (-0.02, -0.03, -0.01)
    assert list(oriented(table, "ml_gcn", "backbone_max")["a_only"]) == [9] * 6
    assert verdict(table, "backbone", "ml_gcn") is None


def test_graph_is_judged_against_the_baseline_with_the_same_pooling():
    both = pd.concat([comparison(0.05, 0.04, 0.06, 0.01, a="backbone"), comparison(0.0, -0.02, 0.02, 0.9)])
    assert graph_verdict(two_models(both)).a == "backbone_max"
    assert graph_verdict(two_models(comparison(0.05, 0.04, 0.06, 0.01, a="backbone"))).a == "backbone"
    assert graph_verdict(two_models(None)) is None


@given(st.floats(-1, 1), st.floats(0, 0.5), st.floats(0, 1))
def test_finding_turns_with_its_sign(difference, reach, p):
    low, high = difference - reach, difference + reach
    turned = {
        "better": "worse",
        "worse": "better",
        "hint_better": "hint_worse",
        "hint_worse": "hint_better",
        "open": "open",
    }
    if difference != 0:
        assert finding(-difference, -high, -low, p) == turned[finding(difference, low, high, p)]


def test_charts_of_paired_tests_stay_on_their_axis(run_data):
    for pair in paired_tests_view(run_data, run_data.label_sets[1])["pairs"]:
        for row in pair["rows"]:
            assert 0 <= row["left"] <= row["at"] <= row["left"] + row["width"] <= 100.01


def test_ranking_of_the_browser_is_the_metric_of_the_tables(run_data):
    result = run_data.label_sets[1]
    for model in ranked(result):
        hits = model.all_recall(2)
        assert (hits == all_hits(model.scores, model.truth, 2)).all()
        table = next(item.evaluation for item in result.models if item.architecture == model.architecture)
        row = table[(table["split"] == "test") & (table["metric"] == "all@2") & table["label"].isna()]
        assert row["value"].iloc[0] == pytest.approx(hits.mean())


def test_figure_7_counts_every_image_once(run_data):
    result = run_data.label_sets[1]
    view = differences_view(run_data, result, ranked(result), Thumbnails(run_data.thumbnail))
    parts = [view["both_right"], view["both_wrong"], *(side["count"] for side in view["sides"])]
    assert sum(parts) == view["images"] == len(ranked(result)[0].table)
    for side in view["sides"]:
        for card in side["cards"]:
            right = {model["key"]: model["right"] for model in card["models"]}
            assert right["ml_gcn"] == (side["key"] == "graph")
            assert right["backbone"] != right["ml_gcn"]


def test_scores_from_before_a_change_of_the_label_set_are_left_out(run_data):
    result = run_data.label_sets[0]
    assert ranked(replace(result, labels=[*result.labels[:-1], "Kitsch"])) == []


def test_windows_and_period_read_as_dates(run_data):
    assert window_label("2019-07-01") == "1 Jul"
    assert window_label("2019-07") == "2019-07"
    assert period(run_data).startswith("1 July to ")


def test_counts_come_from_the_tables_when_the_crawl_left_none(run_data):
    with_counts = {row["code"]: row["total"] for row in sources_view(run_data)["groups"][1]["rows"]}
    without = {row["code"]: row["total"] for row in sources_view(replace(run_data, counts=None))["groups"][1]["rows"]}
    assert with_counts == without


def test_thumbnail_budget_is_kept(run_data):
    thumbnails = Thumbnails(run_data.thumbnail, budget=6000)
    texts = [thumbnails.base64(f"{number:064x}") for number in range(40)]
    spent = sum(len(text) for text in texts if text)
    assert 0 < spent <= 6000
    assert texts[-1] is None
    assert thumbnails.base64(f"{0:064x}") == texts[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (wording.percent(0.7469), "74.7"),
        (wording.percent(None), "–"),
        (wording.percent(float("nan")), "–"),
        (wording.interval(0.701, 0.79), "70.1–79.0"),
        (wording.interval(None, 0.79), "–"),
        (wording.points(0.0124), "+1.2"),
        (wording.points(-0.0124), "−1.2"),
        (wording.points(-0.0001), "0.0"),
        (wording.p_value(0.0004), "<\u00a00.001"),
        (wording.p_value(0.0319), "0.032"),
        (wording.count(16685), "16,685"),
        (wording.reason_text("http_404"), "deleted at the source (404)"),
        (wording.reason_text("http_503"), "answered with status 503"),
        (wording.reason_text("some_new_reason"), "some new reason"),
        (wording.reason_text(None), "–"),
    ],
)
def test_numbers_and_reasons_read_well(text, expected):
    assert text == expected


def test_settings_are_laid_flat():
    nested = {
        "graph": {"tau": 0.4},
        "sources": [{"kind": "archive"}, {"kind": "mastodon"}],
        "labels": ["a", "b"],
        "none": None,
    }
    assert wording.flat(nested) == [
        ("graph.tau", "0.4"),
        ("sources[1].kind", "archive"),
        ("sources[2].kind", "mastodon"),
        ("labels", "a, b"),
        ("none", "–"),
    ]


@given(st.floats(-1e3, 1e3), st.floats(0, 1e3))
def test_ticks_enclose_their_range(low, span):
    marks = ticks(low, low + span)
    tolerance = 1e-6 * max(1.0, abs(low), span)
    assert marks[0] <= low + tolerance
    assert marks[-1] >= low + span - tolerance
    assert 2 <= len(marks) <= 12


def test_line_chart_escapes_names_and_skips_gaps():
    svg = line_chart([Line("<b>", "x", [1, 2, 3], [0.1, np.nan, 0.3], mark=3)], "a < b", 0.0, 1.0, 3)
    assert "<b>" not in svg
    assert "&lt;b&gt;" in svg
    assert "nan" not in svg
    assert svg.count("<circle") == 1
