"""Sections on what the models are worth: the sweep over tau, the ablation, calibration, slices, errors, seeds."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from modeling import tables
from modeling.metrics import all_hits
from modeling.slices import worst_errors
from pipeline.report import LabelSetResult, ModelResult, ReportData
from pipeline.report.ablation import ablation_view, graph_effect_sentence, main_effect
from pipeline.report.calibration import calibration_view
from pipeline.report.errors import SHOWN, errors_view
from pipeline.report.label_sets import graph_view
from pipeline.report.score_browser import ranked
from pipeline.report.slices import slice_name, slices_view
from pipeline.report.tau_sweep import tau_view
from pipeline.report.thumbnails import Thumbnails
from pipeline.report.training import training_view
from tests.pipeline.report.conftest import frame


def sweep(scores, spread=0.01, best=0, chosen=0, graphs=None):
    """A sweep over 0.1, 0.2, ... with one graph for each threshold unless ``graphs`` says otherwise."""
    rows = [
        {"tau": (place + 1) / 10, "edges": 6 - place, "isolated": place, "star_share": 0.5, "validation_score": score}
        | {"graph": (graphs or range(len(scores)))[place], "spread": spread, "seeds": 1 if spread is None else 4}
        | {"best": place == best, "chosen": place == chosen, "scored_on": "features", "form": "equation", "p": 0.2}
        for place, score in enumerate(scores)
    ]
    return frame(rows, tables.TAU_SWEEP)


def tau_sentences(table, tau="validation"):
    data = ReportData(settings={"graph": {"tau": tau}})
    view = tau_view(data, LabelSetResult("top-5", list("abc"), tau_sweep=table))
    return " ".join(view["sentences"]).replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("table", "tau", "words"),
    [
        (sweep([0.70, 0.60]), "validation", "τ = 0.1 was chosen on the validation split: of the 2 different graphs"),
        (sweep([0.70, 0.60]), "validation", "scored best (70.0% ± 1.0 over 4 seeds, the mean of five"),
        (sweep([0.70, 0.60], spread=None), "validation", "scored best (70.0%, the mean of five"),
        (sweep([0.70, 0.60]), 0.1, "τ = 0.1 stands in the settings; of the 2 different graphs"),
        (sweep([0.70, 0.66], chosen=1), 0.2, "τ = 0.2 stands in the settings and scores 66.0% ± 1.0 over 4 seeds."),
        (sweep([0.70, 0.66], chosen=1), 0.2, "4.0 points higher; set graph.tau to"),
        (sweep([0.7, 0.7, 0.6], chosen=1, graphs=[1, 1, 2]), 0.2, "τ = 0.2 stands in the settings; it gives the graph"),
        (sweep([0.70, 0.66], chosen=None), 0.25, "which one was taken is not said"),
        (sweep([0.7, 0.7], graphs=[1, 1]), "validation", "give the same graph, so the choice of τ changes nothing"),
    ],
)
def test_page_says_how_tau_was_chosen(table, tau, words):
    assert words in tau_sentences(table, tau)


@pytest.mark.parametrize(
    ("scores", "spread", "words"),
    [  # two standard errors of the difference of two means of 4: 2 x spread x sqrt(1 / 2) = 1.41 points
        ([0.70, 0.685, 0.60], 0.01, "The lead over every other graph is more than other seeds explain"),
        ([0.70, 0.687, 0.60], 0.01, "Of the 2 other graphs, 1 is within what other seeds could change"),
        ([0.70, 0.70, 0.69], 0.01, "Of the 2 other graphs, 2 are within what other seeds could change"),
        ([0.70, 0.60], None, "how sharp the choice is cannot be told"),
    ],
)
def test_page_says_how_sharp_the_choice_of_tau_is(scores, spread, words):
    assert words in tau_sentences(sweep(scores, spread))


def test_thresholds_with_the_same_graph_are_one_row():
    table = sweep([0.7, 0.7, 0.6], best=1, chosen=1, graphs=[1, 1, 2])
    rows = tau_view(ReportData(), LabelSetResult("top-5", list("abc"), tau_sweep=table))["rows"]
    assert [(row["taus"], row["chosen"], row["best"]) for row in rows] == [("0.1–0.2", "0.2", "0.2"), ("0.3", "", "")]


def test_charts_of_the_sweep_mark_the_choice_and_skip_what_is_undefined(run_data):
    for result, marks in zip(run_data.label_sets, (0, 1), strict=True):
        for chart in tau_view(run_data, result)["charts"]:
            assert chart.count('class="chosen"') == 1
            assert chart.count('class="best"') == marks  # of its own only where something else was chosen
            assert "nan" not in chart.replace("dominant", "")


def test_graph_without_edges_or_as_a_star_is_warned_of(run_data):
    result = run_data.label_sets[0]
    assert graph_view(result)["problems"] == []
    empty = replace(result, correlation=result.correlation.assign(binary=0, tau=0.9))
    assert graph_view(empty)["problems"][0].startswith("no edge at tau 0.9")


def ablation(rows):
    names = ("form", "tau", "pooling", "loss", "validation_score")
    filled = [
        dict(zip(names, row, strict=True))
        | {"edges": 1, "spread": 0.01, "seeds": 2, "seconds": 1.0, "rank": rank, "scored_on": "features"}
        for rank, row in enumerate(sorted(rows, key=lambda row: -row[-1]), start=1)
    ]
    return frame(filled, tables.ABLATION)


def test_main_effects_are_means_over_the_other_choices_by_hand():
    table = ablation(
        [
            ("identity", None, "max", "bce", 0.70),
            ("identity", None, "average", "bce", 0.60),
            ("equation", 0.1, "max", "bce", 0.80),
            ("equation", 0.4, "max", "bce", 0.70),
            ("equation", 0.1, "average", "bce", 0.66),
            ("equation", 0.4, "average", "bce", 0.56),
        ]
    )
    assert main_effect(table, "form")["value"].to_dict() == pytest.approx({"equation": 0.68, "identity": 0.65})
    # thresholds first: max is the mean of 0.75 (equation) and 0.70 (identity), not of three rows
    assert main_effect(table, "pooling")["value"].to_dict() == pytest.approx({"max": 0.725, "average": 0.605})
    assert main_effect(table, "tau")["value"].to_dict() == pytest.approx({0.1: 0.73, 0.4: 0.63})
    assert main_effect(table, "pooling").loc["max", ["low", "high", "forms"]].tolist() == [0.70, 0.80, 3]
    view = ablation_view(LabelSetResult("top-5", list("abc"), ablation=table))
    assert [lane["name"] for lane in view["plot"]["lanes"] if not lane["marks"]] == ["Adjacency", "τ", "Global pooling"]
    text = " ".join(view["sentences"])
    assert "First of 6 forms: equation at τ = 0.1, max pooling, bce, 80.0%; no other form is within" in text
    assert "the best form with edges (equation at τ = 0.1, max pooling, bce) differs from the same head with" in text
    assert "which has no graph, by +10.0 points on the validation split, more than other seeds explain." in text
    assert "matters most here is global pooling: on average 12.0 points lie between max and average" in text


def test_ablation_of_one_seed_and_one_choice_claims_nothing():
    one = ablation([("equation", 0.4, "max", "bce", 0.7)])
    assert ablation_view(LabelSetResult("top-5", list("abc"), ablation=one))["plot"] is None
    two = ablation([("equation", 0.4, "max", "bce", 0.7), ("identity", None, "max", "bce", 0.6)])
    view = ablation_view(LabelSetResult("top-5", list("abc"), ablation=two.assign(spread=None, seeds=1)))
    assert "with one seed each, nothing says how sure that is" in " ".join(view["sentences"])


def test_graph_is_judged_by_the_same_head_and_by_forms_with_edges():
    """The best form has no edge, and the best without a graph has another loss: neither is compared."""
    rows = [
        ("equation", 0.9, "max", "bce", 0.90),
        ("identity", None, "max", "focal", 0.80),
        ("equation", 0.1, "max", "bce", 0.75),
        ("identity", None, "max", "bce", 0.70),
    ]
    table = ablation(rows)
    table["edges"] = [0, 0, 3, 0]
    text = " ".join(ablation_view(LabelSetResult("top-5", list("abc"), ablation=table))["sentences"])
    assert "edges (equation at τ = 0.1, max pooling, bce) differs from the same head with identity" in text
    assert "by +5.0 points on the validation split" in text
    assert graph_effect_sentence(table[table["loss"] == "focal"]) is None
    assert graph_effect_sentence(table.drop(index=table.index[-1])) is None, "no identity with its loss"


def test_reliability_is_that_of_the_test_split(run_data):
    result = run_data.label_sets[0]
    for row, model in zip(calibration_view(run_data, result)["rows"], result.models, strict=True):
        test = model.scores[model.scores["split"] == "test"]
        answers = test["scores"].map(len).sum()
        for side in (0, 1):
            assert sum(line["cells"][side]["answers"] for line in row["bins"]) == answers
        table = model.evaluation.query("split == 'test'").set_index("metric")
        assert row["error"]["value"] == table.loc["ece", "value"]
        assert row["decisions"]["cf1"]["value"] == table.loc["cf1", "value"]
        assert row["temperature"] == pytest.approx(model.seed_runs["temperature"].mean())
        assert row["was"] == "too sure"


@pytest.mark.parametrize(
    ("temperature", "after", "words"),
    [
        (1.6, 0.02, "gave probabilities with an expected calibration error of 8.0 points over the test images; "
         "temperature scaling (T = 1.60: it was too sure) brings that down to 2.0."),
        (0.7, 0.02, "(T = 0.70: it was too cautious)"),
        (1.02, 0.08, "(T = 1.02: it was about right) leaves that as it is."),
        (1.6, 0.09, "makes it 9.0, no better on images that the temperature was not fitted on."),
    ],
)  # fmt: skip
def test_page_says_what_calibration_did(temperature, after, words):
    values = {"mean5": 0.7, "ece_raw": 0.08, "ece": after}
    rows = [
        {"split": split, "metric": metric, "value": value, "low": value, "high": value, "seeds": 1, "images": 50}
        for split in ("validation", "test")
        for metric, value in values.items()
    ]
    card = {"calibration": {"temperature": temperature}}
    model = ModelResult("ml_gcn", evaluation=frame(rows, tables.EVALUATION), card=card)
    view = calibration_view(ReportData(), LabelSetResult("top-5", list("abc"), models=[model]))
    assert words in view["sentence"]


def test_line_of_a_reliability_plot_goes_past_bins_of_few_answers():
    rows = [
        {"split": "test", "calibrated": True, "low": low, "high": low + 0.25, "answers": answers}
        | {"probability": low + 0.1, "share": low}
        for low, answers in ((0.0, 500), (0.25, 9), (0.5, 10))
    ]
    evaluation = frame([{"split": "test", "metric": "ece", "value": 0.1, "seeds": 1, "images": 50}], tables.EVALUATION)
    model = ModelResult("ml_gcn", evaluation=evaluation, reliability=frame(rows, tables.RELIABILITY))
    view = calibration_view(ReportData(), LabelSetResult("top-5", list("abc"), models=[model]))
    plot = view["rows"][0]["plot"]
    line = re.search(r'class="line a-ml_gcn" points="([^"]*)"', plot).group(1)
    assert len(line.split()) == 2
    assert plot.count('class="spot a-ml_gcn"') == 3
    assert len(view["rows"][0]["bins"]) == 3


def slices(values, dimension="window"):
    """A SLICES table of one dimension from (slice, value, half an interval, images)."""
    rows = [
        {"split": split, "dimension": dimension, "slice": name, "metric": "mean5", "value": value, "images": images}
        | {"low": None if half is None else value - half, "high": None if half is None else value + half}
        for split in ("validation", "test")
        for name, value, half, images in values
    ]
    return frame(rows, tables.SLICES)


def test_small_and_wide_slices_are_named_and_those_that_differ(run_data):
    result = run_data.label_sets[0]
    best = result.models[3]
    whole = float(best.evaluation.query("split == 'test' and metric == 'mean5'")["value"].iloc[0])
    table = slices(
        [
            ("2019-07-01", whole - 0.2, 0.05, 80),
            ("2019-07-08", whole, 0.05, 80),
            ("2019-07-15", whole - 0.2, 0.11, 40),
            ("2019-07-22", 0.1, 0.01, 29),
            ("2019-07-29", whole, None, 40),
        ]
    )
    view = slices_view(run_data, replace(result, models=[replace(best, slices=table)]))
    text = " ".join(view["sentences"])
    assert "Slices whose interval leaves that out: 1 Jul (" in text
    assert "and 15 Jul (" in text
    assert "8 Jul" not in text
    assert "one in twenty" not in text, "4 slices count, of which a fifth of one would by chance"
    assert "Too few images to say much (fewer than 30): 22 Jul." in text
    assert "Intervals wider than 20 points: 15 Jul and 29 Jul." in text
    lanes = view["dimensions"][0]["plot"]["lanes"]
    assert [lane["note"] for lane in lanes] == ["n = 80", "n = 80", "n = 40", "n = 29, few", "n = 40"]


def slices_text(run_data, *tables_):
    """Sentences and dimensions, for a model whose mean over all test images is the ``whole`` of the tables."""
    result = run_data.label_sets[0]
    model = replace(result.models[3], slices=pd.concat(tables_))
    view = slices_view(run_data, replace(result, models=[model]))
    return " ".join(view["sentences"]), {
        part["title"]: [row["name"] for row in part["rows"]] for part in view["dimensions"]
    }


def test_chance_is_spoken_of_from_twenty_slices_on(run_data):
    for number, expected in ((19, False), (20, True)):
        windows = [(f"2019-{place:02}", 0.1, 0.02, 80) for place in range(number)]
        text, _ = slices_text(run_data, slices(windows))
        assert (f"about one in twenty of the {number} would" in text) == expected


def test_numbers_of_labels_are_listed_apart_and_each_set_of_images_once(run_data):
    """Far from the mean by definition; "main label only" is "1 label", and two labels are not all with sub labels."""
    counts = [("1", 0.1, 0.02, 80), ("2", 0.2, 0.02, 60), ("3+", 0.3, 0.02, 50)]
    main_only = [("yes", 0.1, 0.02, 80), ("no", 0.25, 0.02, 110)]
    text, shown = slices_text(run_data, slices(counts, "labels"), slices(main_only, "main_only"))
    assert "interval leaves" not in text
    assert "differ by definition" in text
    assert "10.0% with 1 label, 20.0% with 2 labels and 30.0% with 3+ labels." in text
    assert shown["With and without sub labels"] == ["with sub labels"]
    two = [slices(counts[:2], "labels"), slices([main_only[0], ("no", 0.2, 0.02, 60)], "main_only")]
    assert slices_text(run_data, *two)[1] == {"By number of labels": ["1 label", "2 labels"]}


def test_a_dimension_with_one_slice_is_neither_tested_nor_shown(run_data):
    only = slices([("flickr", 0.1, 0.02, 190)], "source")
    text, shown = slices_text(run_data, only, slices([("2019-07-01", 0.1, 0.02, 90), ("2019-07-08", 0.1, 0.02, 90)]))
    assert "flickr" not in text
    assert list(shown) == ["By crawl window"]
    assert slices_text(run_data, only) == ("All test images are in one slice of every kind.", {})


def test_every_dimension_of_the_slices_has_its_rows(run_data):
    for result in run_data.label_sets:
        view = slices_view(run_data, result)
        assert [part["title"] for part in view["dimensions"]] == [
            "By crawl window",
            "By source",
            "By number of labels",
            "By what the experts saw",
        ]
        test = result.models[0].slices.query("split == 'test' and metric == 'mean5' and dimension != 'main_only'")
        assert [len(part["rows"]) for part in view["dimensions"]] == list(
            test.groupby("dimension", sort=False)["slice"].nunique()
        )


@pytest.mark.parametrize(
    ("dimension", "name", "expected"),
    [
        ("window", "2019-07-01", "1 Jul"),
        ("labels", "1", "1 label"),
        ("labels", "3+", "3+ labels"),
        ("main_only", "yes", "main label only"),
        ("blind", "no", "saw a prediction"),
        ("source", "flickr", "flickr"),
    ],
)
def test_slices_read_well(dimension, name, expected):
    assert slice_name(dimension, name) == expected


def test_error_gallery_holds_the_worst_errors_of_the_model_that_validation_chooses(run_data):
    result = run_data.label_sets[0]
    models = ranked(result)
    asked = []
    view = errors_view(run_data, result, models, Thumbnails(lambda key: asked.append(key)))
    validation = {
        model.architecture: model.evaluation.query("split == 'validation' and metric == 'mean5'")["value"].iloc[0]
        for model in result.models
    }
    assert view["key"] == max(validation, key=validation.get)
    chosen = next(model for model in result.models if model.architecture == view["key"])
    worst = worst_errors(chosen.scores)
    assert [card["image_id"] for card in view["cards"]] == list(worst["image_id"].head(SHOWN))
    assert view["count"] == len(worst_errors(chosen.scores, most=10_000)) < view["images"]
    shown = next(model for model in models if model.architecture == view["key"])
    others = [model for model in models if model is not shown]
    for card, row in zip(view["cards"], worst.itertuples(), strict=False):
        at = shown.row_of[card["image_id"]]
        said = {item["label"]: item["probability"] for item in (*card["said"], *card["overlooked"])}
        assert said[row.wrong_label] == pytest.approx(shown.scores[at].max(where=~shown.truth[at], initial=0))
        assert said[row.true_label] == pytest.approx(row.true_probability)
        assert {item["label"] for item in card["overlooked"]} == {card["main"], *card["subs"]} - set(row.predicted)
        size = 1 + len(card["subs"])
        assert card["others_wrong"] == sum(not all_hits(model.scores, model.truth, size)[at] for model in others)


def test_error_gallery_says_which_labels_are_in_doubt(run_data):
    result = run_data.label_sets[0]
    thumbnails = Thumbnails(lambda key: None)
    plain = errors_view(run_data, result, ranked(result), thumbnails)
    assert plain["doubtful"] is None
    listed = pd.DataFrame({"image_id": [plain["cards"][2]["image_id"], "other"]})
    view = errors_view(run_data, replace(result, suspicious=listed), ranked(result), thumbnails)
    assert [card["doubtful"] for card in view["cards"]].index(True) == 2
    assert view["doubtful"] == 1


def test_every_training_has_its_row_and_its_lines(run_data):
    several, once = (training_view(run_data, result) for result in run_data.label_sets)
    assert (several["several"], once["several"]) == (True, False)
    for group, chart, model in zip(several["rows"], several["charts"], run_data.label_sets[0].models, strict=True):
        assert [row["seed"] for row in group["runs"]] == [0, 1, 2]
        assert [row["kept"] for row in group["runs"]] == list(model.seed_runs["kept"])
        assert [row["best"] for row in group["runs"]] == list(model.seed_runs["best_epoch"])
        assert [row["epochs"] for row in group["runs"]] == list(model.seed_runs["epochs"])
        scores = model.seed_runs["validation_score"]
        assert (group["mean"], group["spread"]) == pytest.approx((scores.mean(), scores.std()))
        assert chart["svg"].count("<polyline") == 6
        assert chart["svg"].count(" thin") == 4
        assert chart["svg"].count("<circle") == 1, "only the kept training is marked"
    assert all(len(group["runs"]) == 1 and group["spread"] is None for group in once["rows"])
    assert once["charts"][0]["svg"].count("<polyline") == 2


def test_training_without_a_table_of_seeds_is_shown(run_data):
    result = run_data.label_sets[0]
    models = [replace(model, seed_runs=None) for model in result.models]
    view = training_view(run_data, replace(result, models=models))
    assert not view["temperatures"]
    assert np.all([row["runs"][0]["kept"] for row in view["rows"]])
