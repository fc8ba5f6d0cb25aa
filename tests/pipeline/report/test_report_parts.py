"""The views behind the page: what is said about the graph, how numbers read, and which pictures are chosen."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling.architectures import ARCHITECTURES
from modeling.metrics import all_hits
from pipeline.report import LabelSetResult, ModelResult, ReportData, charts, wording
from pipeline.report.charts import Line, line_chart, ticks
from pipeline.report.comparisons import finding, graph_verdict, oriented, paired_tests_view, verdict
from pipeline.report.lanes import Lane, lane_plot
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


def evaluation(value, spread=None, seeds=1):
    rows = [
        {
            "split": split,
            "metric": metric,
            "label": None,
            "value": value,
            "low": value - 0.04,
            "high": value + 0.04,
            "spread": spread,
            "seeds": seeds,
            "images": 200,
        }
        for split in ("validation", "test")
        for metric in METRICS
    ]
    return pd.DataFrame(rows)


def two_models(table, spread=None, seeds=(1, 1), pooling="max"):
    models = [
        ModelResult("backbone_max", evaluation(0.70, spread, seeds[0])),
        ModelResult("ml_gcn", evaluation(0.72, spread, seeds[1]), card={"pooling": pooling}),
    ]
    return LabelSetResult("top-5", list("abcde"), comparison=table, models=models)


def said(result):
    card = summary_view(ReportData(label_sets=[result]))["cards"][0]
    return card["chip"], " ".join(card["sentences"])


@pytest.mark.parametrize(
    ("numbers", "words", "chip"),
    [
        (
            (0.02, 0.01, 0.03, 0.01),
            "ML-GCN's label branch with its graph helped, and neither chance nor other seeds are a likely explanation",
            "ML-GCN is ahead",
        ),
        ((-0.02, -0.03, -0.01, 0.01), "ML-GCN's label branch with its graph did harm, and", "ML-GCN is behind"),
        (
            (0.02, 0.001, 0.04, 0.30),
            "a hint that ML-GCN's label branch with its graph helped, but no longer so once all 6 tests",
            "A hint that ML-GCN is ahead",
        ),
        (
            (0.02, -0.01, 0.05, 0.60),
            "ML-GCN differs by +2.0 points (95% interval −1.0 to +5.0): these images cannot tell the two apart "
            "(differences below about 3.0 points).",
            "ML-GCN: no clear difference",
        ),
    ],
)
def test_summary_says_whether_the_label_branch_helped_and_how_sure_that_is(numbers, words, chip):
    shown, sentences = said(two_models(comparison(*numbers), 0.005, (3, 3)))
    assert words in sentences
    assert shown == chip
    assert "the graph helped" not in sentences.replace("with its graph", ""), "the comparison does not isolate it"


def test_one_training_each_is_never_more_than_a_hint():
    result = two_models(comparison(0.02, 0.01, 0.03, 0.01))
    chip, sentences = said(result)
    assert chip == "A hint that ML-GCN is ahead"
    assert "graph helped: clear for these two trainings; other seeds unknown." in sentences
    assert "2.0 points before Backbone, max pooling, a hint though not proof: clear for these two" in sentences
    assert "trained once each" in sentences
    assert "Clear for these trainings, though perhaps not for other seeds: Top\u20111 any (any@1)" in sentences
    assert {row["outcome"] for row in paired_tests_view(ReportData(), result)["pairs"][0]["rows"]} == {"hint_better"}
    turned = two_models(comparison(-0.02, -0.03, -0.01, 0.01))
    assert said(turned)[0] == "A hint that ML-GCN is behind"


@pytest.mark.parametrize(
    ("spread", "words"),
    [
        (0.005, "2.0 points before Backbone, max pooling, more than chance and other seeds explain."),
        (0.02, "a hint though not proof: the test images are clear about it, but other seeds could turn it round."),
    ],
)
def test_lead_says_what_seeds_could_change(spread, words):
    assert words in said(two_models(comparison(0.02, 0.01, 0.03, 0.01), spread, (3, 3)))[1]


def test_single_recalls_that_seeds_could_turn_round_are_not_settled():
    """All recalls differ by 2.0 points; that of any@1 has a spread of 2 points over 3 seeds, the others of 0.5."""
    result = two_models(comparison(0.02, 0.01, 0.03, 0.01), 0.005, (3, 3))
    models = [
        replace(
            model,
            evaluation=model.evaluation.assign(spread=np.where(model.evaluation["metric"] == "any@1", 0.02, 0.005)),
        )
        for model in result.models
    ]
    result = replace(result, models=models)
    found = graph_verdict(result)
    assert found.better == ("all@2", "any@2", "all@3", "any@3")
    assert found.hints == ("any@1",)
    assert "though perhaps not for other seeds: Top\u20111 any (any@1)." in said(result)[1]
    rows = {row["metric"]: row["outcome"] for row in paired_tests_view(ReportData(), result)["pairs"][0]["rows"]}
    assert rows.pop("any@1") == "hint_better"
    assert set(rows.values()) == {"better"}


@pytest.mark.parametrize(
    ("difference", "low", "high", "p", "won", "expected"),
    [
        (0.02, 0.01, 0.03, 0.01, 6, "better"),
        (-0.02, -0.03, -0.01, 0.01, -6, "worse"),
        (0.02, -0.01, 0.05, 0.01, 6, "open"),  # McNemar is sure, the groups are not
        (0.02, 0.01, 0.03, 0.01, -6, "open"),  # most seeds say the opposite of the mean
        (0.02, 0.01, 0.03, 0.2, 6, "hint_better"),
        (0.0, 0.0, 0.0, 1.0, 0, "open"),
    ],
)
def test_a_finding_needs_the_test_the_interval_and_the_images_won(difference, low, high, p, won, expected):
    assert finding(difference, low, high, p, won) == expected


def test_mean_of_five_is_not_contradicted_by_images_won():
    """Its test is of the mean itself: few large gains may outweigh many small losses."""
    table = comparison(0.02, 0.01, 0.03, 0.01).assign(a_only=9, b_only=3)
    found = graph_verdict(two_models(table, 0.005, (3, 3)))
    assert found.outcome == "better"
    assert found.better == ()


@pytest.mark.parametrize(
    ("spread", "chip", "words"),
    [  # the standard error of the difference is spread x sqrt(2 / 3); two of them against 2.0 points
        (
            0.005,
            "ML-GCN is ahead",
            "(± 0.5 for ML-GCN and ± 0.5 for Backbone, max pooling); the seeds alone move",
        ),
        (0.012, "ML-GCN is ahead", "by about 1.0 points (standard error)"),
        (0.013, "A hint that ML-GCN is ahead", "but other seeds could turn it round"),
    ],
)
def test_a_difference_that_seeds_could_make_is_only_a_hint(spread, chip, words):
    shown, sentences = said(two_models(comparison(0.02, 0.01, 0.03, 0.01), spread, (3, 3)))
    assert shown == chip
    assert words in sentences.replace("\u00a0", " ")
    assert "Each figure is the mean of 3 seeds" in sentences


def test_seeds_of_one_side_alone_say_nothing_sure():
    result = two_models(comparison(0.02, 0.01, 0.03, 0.01))
    several = replace(result.models[1], evaluation=evaluation(0.72, 0.01, 3))
    chip, sentences = said(replace(result, models=[result.models[0], several]))
    assert chip == "A hint that ML-GCN is ahead"
    assert "clear for these trainings; other seeds unknown" in sentences
    assert "(3 for ML-GCN and 1 for Backbone, max pooling), too few to say" in sentences


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ((0.02, 0.01, 0.03, 0.01), "ML-GCN is ahead"),
        ((0.0, -0.02, 0.02, 0.9), "these images cannot tell the two apart (differences below about 2.0 points)"),
        ((-0.02, -0.03, -0.01, 0.2), "a hint that CSRA is ahead"),
        ((-0.02, -0.03, -0.01, 0.01), "CSRA is ahead"),
    ],
)
def test_summary_says_whether_a_head_without_a_graph_does_as_well(numbers, words):
    difference, low, high, p = numbers
    turned = comparison(-difference, -high, -low, p, a="ml_gcn", b="csra")  # the table holds csra - ml_gcn
    result = two_models(pd.concat([comparison(0.02, 0.01, 0.03, 0.01), turned]), 0.005, (3, 3))
    models = [*result.models, ModelResult("csra", evaluation(0.71, 0.005, 3))]
    assert f"from CSRA, which has no graph: {words}." in said(replace(result, models=models))[1]
    assert "CSRA" not in said(two_models(comparison(0.02, 0.01, 0.03, 0.01)))[1]


def test_summary_says_when_there_is_no_graph_to_help(run_data):
    correlation = run_data.label_sets[0].correlation
    both = pd.concat([comparison(0.02, 0.01, 0.03, 0.01), comparison(0.02, 0.01, 0.03, 0.01, a="csra")])
    result = two_models(both, 0.005, (3, 3))
    for changed, words in (
        (correlation.assign(binary=0), "no edge"),
        (correlation.assign(form="identity"), "identity"),
    ):
        chip, sentences = said(replace(result, correlation=changed))
        assert chip == "No graph: nothing to compare"
        assert words in sentences
        assert "ML-GCN's label branch without a graph helped" in sentences
        assert "with its graph" not in sentences
        assert "from CSRA: " in sentences, "CSRA differs in other things than a graph"
    for changed in (correlation, correlation.assign(form="learned", binary=0)):
        chip, sentences = said(replace(result, correlation=changed))
        assert chip == "ML-GCN is ahead"
        assert "label branch alone" not in sentences
        assert "from CSRA, which has no graph: " in sentences


def test_summary_has_what_the_ablation_says_of_the_graph_itself(run_data):
    with_ablation, without = (said(result)[1] for result in run_data.label_sets)
    assert "On frozen features, the best form with edges (" in with_ablation
    assert "from the same head with identity" in with_ablation
    assert "On frozen features" not in without


def test_pair_can_be_read_both_ways():
    table = comparison(0.02, 0.01, 0.03, 0.01)
    result = two_models(table, 0.005, (3, 3))
    there, back = verdict(result, "backbone_max", "ml_gcn"), verdict(result, "ml_gcn", "backbone_max")
    assert (there.outcome, back.outcome) == ("better", "worse")
    assert (back.difference, back.low, back.high) == (-0.02, -0.03, -0.01)
    assert list(oriented(table, "ml_gcn", "backbone_max")["a_only"]) == [9] * 6
    assert verdict(result, "backbone", "ml_gcn") is None


def test_graph_is_judged_against_the_baseline_with_the_same_pooling():
    both = pd.concat([comparison(0.05, 0.04, 0.06, 0.01, a="backbone"), comparison(0.0, -0.02, 0.02, 0.9)])
    assert graph_verdict(two_models(both)).a == "backbone_max"
    assert graph_verdict(two_models(both)).same_pooling
    assert graph_verdict(two_models(both, pooling="average")).a == "backbone"
    assert graph_verdict(two_models(None)) is None
    other = two_models(comparison(0.05, 0.04, 0.06, 0.01, a="backbone"))
    assert graph_verdict(other).a == "backbone"
    assert "not of the label branch alone" in said(other)[1]


@given(st.floats(-1, 1), st.floats(0, 0.5), st.floats(0, 1), st.integers(-9, 9))
def test_finding_turns_with_its_sign(difference, reach, p, won):
    low, high = difference - reach, difference + reach
    turned = {
        "better": "worse",
        "worse": "better",
        "hint_better": "hint_worse",
        "hint_worse": "hint_better",
        "open": "open",
    }
    if difference != 0:
        assert finding(-difference, -high, -low, p, -won) == turned[finding(difference, low, high, p, won)]


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


def test_scores_of_several_seeds_are_one_row_an_image(run_data):
    result = run_data.label_sets[0]
    for model, shown in zip(result.models, ranked(result), strict=True):
        test = model.scores[model.scores["split"] == "test"]
        assert test["seed"].nunique() == 3
        assert len(shown.table) == len(test) / 3
        image_id = shown.table["image_id"].iloc[7]
        expected = np.mean(test.loc[test["image_id"] == image_id, "scores"].tolist(), axis=0)
        assert shown.scores[shown.row_of[image_id]] == pytest.approx(expected)


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
        (wording.spread(0.0084), "±\u00a00.8"),
        (wording.spread(float("nan")), ""),
        (wording.listed(["a"]), "a"),
        (wording.listed(["a", "b", "c"], "or"), "a, b or c"),
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


@pytest.mark.parametrize("key", [*ARCHITECTURES, "one_of_ones_own"])
def test_every_architecture_has_a_mark_of_its_own_shape(key):
    svg = line_chart([Line("a", f"a-{key}", [1, 2], [0.1, 0.3], mark=2, shape=key)], "title", 0.0, 1.0, 2)
    assert f'class="spot a-{key}"' in svg
    css = (Path(charts.__file__).parent / "report.css").read_text("utf-8")
    if key in ARCHITECTURES:
        assert re.search(rf"^\.a-{key} {{ --c", css, re.M)
        assert len({charts.SHAPES.get(name) for name in ARCHITECTURES}) == len(ARCHITECTURES)


def test_axis_of_lanes_covers_every_interval():
    figures = [{"value": 0.71, "low": 0.65, "high": 0.803}, {"value": 0.9, "low": None, "high": None}]
    plot = lane_plot([Lane("a", [("ml_gcn", "ML-GCN", figures[0])]), Lane("head"), Lane("b", [("x", "X", figures[1])])])
    assert [tick["text"] for tick in plot["ticks"]] == ["65", "70", "75", "80", "85", "90"]
    first, second = plot["lanes"][0]["marks"][0], plot["lanes"][2]["marks"][0]
    assert (first["left"], first["at"], first["width"]) == (0.0, 24.0, 61.2)
    assert (second["left"], second["at"], second["width"]) == (100.0, 100.0, 0.0)
    assert lane_plot([Lane("head")]) is None
