"""The report's list of labels that are most likely wrong."""

import io
from dataclasses import replace

import pyarrow as pa
import pytest
from PIL import Image

from modeling.tables import DATA_SET, SUSPICIOUS_LABELS
from pipeline.report import LabelSetResult, ReportData, build_report
from pipeline.report.suspicious import SHOWN, suspicious_view
from pipeline.report.thumbnails import Thumbnails

LABELS = ["Casual", "Romantic", "<b>Odd</b>"]


def red(image_id):
    buffer = io.BytesIO()
    Image.new("RGB", (40, 60), "red").save(buffer, "PNG")
    return buffer.getvalue()


def data_set(count=60):
    rows = [
        {"image_id": f"{number:04}", "file_id": f"file-{number:04}", "window": "2019-07-01", "group_id": f"g{number}"}
        | {"main": LABELS[number % 2] if number else LABELS[2], "subs": [], "split": "train"}
        for number in range(count)
    ]
    return pa.Table.from_pylist(rows, DATA_SET).to_pandas()


def suspicious(count=30):
    kinds = ("wrong_main", "missing_label", "extra_label")
    rows = [
        {"rank": number + 1, "image_id": f"{number:04}", "label_set": "top-3", "split": "train"}
        | {"kind": kinds[number % 3], "label": "Casual", "given_main": "Casual", "given_subs": [LABELS[2]]}
        | {"suggested_main": "Romantic", "suggested_subs": [LABELS[2]], "probability": 0.1, "quality": number / 100}
        | {"scores_by": "linear heads on <i>something</i>, 5 folds"}
        for number in range(count)
    ]
    return pa.Table.from_pylist(rows, SUSPICIOUS_LABELS).to_pandas()


@pytest.fixture
def result() -> LabelSetResult:
    return LabelSetResult("top-3", LABELS, data_set=data_set(), suspicious=suspicious())


def test_the_worst_come_first_with_their_pictures_and_what_differs(result):
    asked = []
    shuffled = replace(result, suspicious=result.suspicious.sample(frac=1, random_state=0))
    view = suspicious_view(shuffled, Thumbnails(lambda key: asked.append(key) or red(key)))
    assert [card["rank"] for card in view["cards"]] == list(range(1, SHOWN + 1))
    assert asked[0] == "file-0000", "the picture that the scores are about"
    card = view["cards"][0]
    assert card["picture"].startswith("data:image/jpeg")
    assert [(item["label"], item["main"], item["changed"]) for item in card["given"]] == [
        ("Casual", True, True),
        ("<b>Odd</b>", False, False),
    ]
    assert [item["label"] for item in card["suggested"] if item["changed"]] == ["Romantic"]


def test_it_says_how_many_of_how_many_and_what_was_not_judged(result):
    view = suspicious_view(result, Thumbnails(red))
    assert (view["count"], view["images"]) == (30, 60)
    assert sum(count for _, count in view["kinds"]) == 30
    assert view["not_judged"] == ["<b>Odd</b>"]


def test_labels_that_left_the_set_since_are_no_error(result):
    view = suspicious_view(replace(result, labels=["Casual", "Sporty"]), Thumbnails(red))
    assert view["not_judged"] == ["Sporty", "<b>Odd</b>"]


def test_the_page_shows_the_section_and_escapes_labels(result):
    page = build_report(ReportData(label_sets=[result], thumbnail=red))
    section = page[page.index('<section id="suspicious">') : page.index('<section id="browser"')]
    assert "30 of 60 images are listed" in section
    assert "these are the first 24" in section
    assert section.count("<li>") == SHOWN
    assert "<b>Odd" not in section.replace("&lt;b&gt;Odd", "")
    assert "<i>something" not in section
    assert "Too few images to judge as main label" in section


def test_without_a_list_and_with_an_empty_one_the_page_says_so(result):
    assert suspicious_view(replace(result, suspicious=None), Thumbnails(red)) is None
    page = build_report(ReportData(label_sets=[replace(result, suspicious=None)]))
    assert "No list was made for this label set." in page
    empty = SUSPICIOUS_LABELS.empty_table().to_pandas()
    page = build_report(ReportData(label_sets=[replace(result, suspicious=empty)]))
    assert "No label of this set is in doubt." in page
