"""What the section "Labels" says of agreement, of single annotators, and of what came back."""

import numpy as np
import pandas as pd
import pytest

from labeling import tables
from pipeline.report import ReportData, wording
from pipeline.report.annotators import acceptance_view, agreement_view, annotators_view, confusion_view
from pipeline.report.labels import labels_view
from tests.pipeline.report.conftest import frame


def agreement_row(measure, value, **more):
    return {"measure": measure, "value": value, "images": 100} | more


def overall(alpha, same=0.64, kappa=0.6):
    rows = [("krippendorff_alpha", alpha), ("same_main", same), ("cohen_kappa", kappa)]
    return frame([agreement_row(measure, value) for measure, value in rows], tables.AGREEMENT)


@pytest.mark.parametrize(
    ("alpha", "said"),
    [(0.85, "calls labels reliable"), (0.7, "between 0.667 and 0.8"), (0.3, "below 0.667"), (-0.2, "is −0.20: below")],
)
def test_alpha_is_put_into_words(alpha, said):
    reading = agreement_view(overall(alpha))["reading"]
    assert said in reading
    # (0.64 - 0.6) / (1 - 0.6) = 0.1 is what chance gives
    assert "64% of the cases; by chance it would be 10%." in reading


def test_what_cannot_be_said_is_left_out():
    assert agreement_view(overall(None))["reading"] is None
    assert "by chance" not in agreement_view(overall(0.9, same=1.0, kappa=None))["reading"]
    view = agreement_view(overall(0.9))
    assert (view["windows"], view["plot"], view["pairs"], view["labels"]) == ([], None, None, [])


def test_intervals_of_windows_stay_on_their_axis(run_data):
    view = agreement_view(run_data.agreement)
    assert len(view["windows"]) == len(view["plot"]["lanes"]) == 6
    for lane in view["plot"]["lanes"]:
        assert 0 <= lane["left"] <= lane["at"] <= lane["left"] + lane["width"] <= 100.01
    assert view["plot"]["ticks"][0]["at"] == 0


def test_window_without_intervals_is_a_point():
    measures = ("krippendorff_alpha", "krippendorff_alpha_masi", "same_main")
    rows = [
        agreement_row(measure, value, window=window)
        for measure in measures
        for window, value in (("2019-07-01", 0.5), ("2019-07-08", 0.7), ("2019-07-15", None))
    ]
    view = agreement_view(frame(rows, tables.AGREEMENT))
    assert [lane["width"] for lane in view["plot"]["lanes"]] == [0, 0]
    assert [row["cells"][0]["value"] for row in view["windows"]] == ["0.50", "0.70", "–"]
    assert view["windows"][0]["cells"][0]["interval"] == "–"


def test_map_of_pairs_is_symmetric_and_many_annotators_are_listed():
    def pairs(people):
        names = [f"expert-{number:02}@example.invalid" for number in range(people)]
        rows = [
            agreement_row("cohen_kappa", 0.01 * (place + other), annotator_a=a, annotator_b=names[other])
            for place, a in enumerate(names)
            for other in range(place + 1, people)
        ]
        return agreement_view(frame(rows, tables.AGREEMENT))["pairs"]

    few = pairs(4)
    assert few["names"] == ["expert-00", "expert-01", "expert-02", "expert-03"]
    texts = np.array([[cell["text"] for cell in row["cells"]] for row in few["rows"]])
    assert (texts == texts.T).all()
    assert set(np.diag(texts)) == {""}
    many = pairs(30)
    assert many["rows"] == []
    assert (many["least"][0]["a"], many["least"][0]["b"], many["least"][0]["value"]) == (
        "expert-00",
        "expert-01",
        "0.01",
    )
    assert pairs(2) is None


def test_confusion_shows_used_labels_and_names_the_worst_pair():
    pairs = {("Casual", "Casual"): 6, ("Casual", "Retro"): 4, ("Retro", "Casual"): 4, ("Retro", "not_fashion"): 1}
    pairs |= {("not_fashion", "Retro"): 1}
    labels = ["Casual", "Retro", "Sporty", "not_fashion"]
    totals = {a: sum(pairs.get((a, b), 0) for b in labels) for a in labels}
    rows = [
        {"label_a": a, "label_b": b, "pairs": pairs.get((a, b), 0)}
        | {"share": pairs.get((a, b), 0) / totals[a] if totals[a] else None}
        for a in labels
        for b in labels
    ]
    view = confusion_view(frame(rows, tables.MAIN_CONFUSION))
    assert view["labels"] == ["Casual", "Retro", "not a fashion image"]
    assert [cell["text"] for cell in view["rows"][0]["cells"]] == ["60", "40", ""]
    assert view["most"][0] == {"labels": "Casual and Retro", "pairs": 4}
    assert confusion_view(frame(rows, tables.MAIN_CONFUSION).query("label_a == 'Sporty'")) is None


def annotators_frame(**facts):
    common = {
        "answers": 90,
        "timed": 80,
        "reviewed": 0,
        "compared": 80,
        "lead_time_median": 12.0,
        "lead_time_p90": 200.0,
    }
    whole = common | {"annotator": "expert-1@example.invalid", "kappa": 0.6} | facts
    week = common | {"annotator": "expert-1@example.invalid", "week": "2024-W20", "kappa": 0.4}
    return frame([whole, week], tables.ANNOTATORS)


def test_drift_is_said_in_words_and_only_when_it_is_sure():
    drift = {"drift_week": "2024-W20", "drift": -0.25}
    (row,) = annotators_view(annotators_frame(**drift, drift_p=0.0004))
    assert row["drifts"]
    assert row["note"] == "agrees less in 2024-W20: kappa 0.40, before 0.65 (p <\u00a00.001)"
    (row,) = annotators_view(annotators_frame(**drift | {"drift": 0.1}, drift_p=0.01))
    assert row["note"] == "agrees more in 2024-W20: kappa 0.40, before 0.30 (p = 0.010)"
    (row,) = annotators_view(annotators_frame(**drift, drift_p=0.06))
    assert (row["drifts"], row["note"]) == (False, "no clear change (p = 0.060)")
    (row,) = annotators_view(annotators_frame())
    assert row["note"] == "too few answers to judge"
    assert (row["name"], row["median"], row["p90"]) == ("expert-1", "12\u00a0s", "3.3\u00a0min")


def test_acceptance_is_told_apart_by_what_the_expert_saw(run_data):
    view = acceptance_view(run_data.acceptance)
    assert [(row["blind"], row["accepted"]) for row in view["overall"]] == [(False, 0.7), (True, 0.5)]
    assert [row["label"] for row in view["labels"]] == ["Casual", "Casual", "Retro", "Retro"]
    none = run_data.acceptance.assign(answers=0)
    assert acceptance_view(none) == {"overall": [], "labels": []}


def test_set_aside_and_returned_are_counted_with_examples(run_data):
    view = labels_view(run_data)
    rows = {row["code"]: row for row in view["quarantined"]}
    assert rows["skipped"]["count"] == 20
    assert [example["task"] for example in rows["two_mains"]["examples"]] == ["0", "1", "2"]
    assert all(example["link"].endswith(f"task={example['task']}") for example in rows["two_mains"]["examples"])
    assert rows["draft"]["examples"][0]["link"] is None
    returned = [(row["code"], row["way"], row["count"]) for row in view["returned"]]
    assert returned[0] == ("conflict", "to another annotator", 3)
    assert len(returned) == 3
    assert view["returned"][0]["example"] == "look at task 6 again"


def test_every_status_and_answer_has_words(run_data):
    view = labels_view(run_data)
    texts = {row["code"]: row["text"] for row in [*view["statuses"], *view["answers"]]}
    assert texts["unreviewed"] == "one answer, not reviewed"
    assert texts["not_fashion"] == "not a fashion image"
    assert sum(row["count"] for row in view["statuses"]) == len(run_data.labels)


def test_nothing_gives_empty_parts():
    view = labels_view(ReportData())
    assert view["confusion"] is None
    assert (view["annotators"], view["quarantined"], view["returned"], view["statuses"]) == ([], [], [], [])


@pytest.mark.parametrize(
    ("address", "link"),
    [
        ("https://example.invalid/projects/1/data?task=2", "https://example.invalid/projects/1/data?task=2"),
        (" HTTP://example.invalid/ ", "HTTP://example.invalid/"),
        ("javascript:alert(1)", None),
        ("java\nscript:http://", None),
        ("data:text/html,x", None),
        ("//example.invalid/", None),
        (None, None),
        (float("nan"), None),
        (pd.NA, None),
    ],
)
def test_only_web_addresses_are_linked(address, link):
    assert wording.web_link(address) == link


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (wording.figure(0.814), "0.81"),
        (wording.figure(-0.004), "0.00"),
        (wording.figure(-0.05), "−0.05"),
        (wording.figure(None), "–"),
        (wording.duration(8.4), "8\u00a0s"),
        (wording.duration(99.6), "1.7\u00a0min"),
        (wording.duration(np.nan), "–"),
    ],
)
def test_coefficients_and_times_read_well(text, expected):
    assert text == expected
