"""The page: complete, self-contained, safe, the same every time, and whole where parts of a run are missing."""

import base64
import io
import itertools
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from modeling.published import TABLE_3, TABLE_4
from pipeline.report import LabelSetResult, ModelResult, ReportData, build_report
from pipeline.report.build import SECTIONS

TABLES = (
    "posts",
    "images",
    "counts",
    "unique_images",
    "similar_pairs",
    "labels",
    "agreement",
    "confusion",
    "annotators",
    "acceptance",
    "quarantined_annotations",
    "returned",
    "label_frequencies",
)
LABEL_SET_PARTS = ("data_set", "split_balance", "correlation", "tau_sweep", "ablation", "comparison")
MODEL_PARTS = ("curves", "seed_runs", "slices", "reliability")
VOID = {"meta", "link", "img", "br", "input", "line", "circle", "polyline"}


class Page(HTMLParser):
    """Collects tags, and checks that they nest."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.texts = [], [], []
        self.feed(html)
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.texts.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.texts)).replace("\u2011", "-")


@pytest.fixture(scope="session")
def html(run_data):
    return build_report(run_data)


@pytest.fixture(scope="session")
def page(html):
    return Page(html)


@pytest.fixture(scope="session")
def small(run_data):
    """One label set and no pictures: what is quick to lay out again and again."""
    return replace(run_data, label_sets=run_data.label_sets[:1], thumbnail=lambda key: None)


LINKS = ("https://label-studio.example.invalid/", "http://127.0.0.1:3000/")  # what people may follow


def payload(html):
    return json.loads(re.search(r'<script id="scores" type="application/json">(.*?)</script>', html, re.S).group(1))


def test_every_section_is_there_and_linked(page):
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(set(ids)) == len(ids)
    links = [attrs["href"] for tag, attrs in page.tags if tag == "a"]
    for key, name in SECTIONS:
        assert key in ids
        assert f"#{key}" in links
        assert name in page.text


def test_page_needs_nothing_from_outside(html, page):
    for tag, attrs in page.tags:
        for name in ("src", "href", "xlink:href", "action", "poster"):
            if name in attrs and not (tag == "a" and attrs[name].startswith(LINKS)):
                assert attrs[name].startswith(("#", "data:")), (tag, attrs)
    assert "url(" not in html
    assert "@import" not in html
    assert "default-src 'none'" in html


def test_same_run_gives_the_same_bytes(html, run_data):
    assert build_report(run_data) == html


def test_paper_figures_stand_in_marked_columns(page):
    for table in (TABLE_3, TABLE_4):
        for recalls in table.values():
            for value in recalls.values():
                assert f"{100 * value:.2f}" in page.text
    assert page.text.count("The paper (another data set)") >= 3


def test_figures_are_those_of_the_tables(page, run_data):
    for result in run_data.label_sets:
        for model in result.models:
            table = model.evaluation
            row = table[(table["split"] == "test") & (table["metric"] == "mean5")].iloc[0]
            assert re.search(
                rf"{100 * row['value']:.1f} (highest )?{100 * row['low']:.1f}–{100 * row['high']:.1f}", page.text
            )
        images = int((result.data_set["split"] == "test").sum())
        assert f"n = {images} images" in page.text
        assert result.data_set_version in page.text
        assert result.graph_hash in page.text


def test_outcomes_are_counted_by_window(page, run_data):
    counts = run_data.counts
    total = counts.loc[(counts["what"] == "image") & (counts["outcome"] == "http_404"), "count"].sum()
    assert "deleted at the source (404) http_404" in page.text
    assert re.search(rf"http_404 (\d+ )+{total} ", page.text)


def test_text_of_strangers_stays_text(run_data):
    evil = '<img src=x onerror="alert(1)"></script><script>alert(2)</script>'
    labels = ["Casual", evil]
    frequencies = run_data.label_frequencies.head(2).assign(label=labels)
    quarantined = run_data.quarantined_annotations.assign(
        detail=evil, reason=evil, task_id=evil, task_link="javascript:alert(3)"
    )
    returned = run_data.returned.assign(detail=evil, reason=evil, way=evil)
    annotators = run_data.annotators[run_data.annotators["annotator"] == "simulated-3@example.invalid"]
    agreement = run_data.agreement.assign(
        annotator_a=run_data.agreement["annotator_a"].replace("simulated-1@example.invalid", evil),
        label=run_data.agreement["label"].replace("Casual", evil),
        window=run_data.agreement["window"].replace("2019-07-01", evil),
    )
    confusion = run_data.confusion.assign(
        label_a=run_data.confusion["label_a"].replace("Casual", evil),
        label_b=run_data.confusion["label_b"].replace("Casual", evil),
    )
    acceptance = run_data.acceptance.assign(model_version=evil)
    answers = {
        "returned": returned,
        "annotators": annotators.assign(annotator=evil),
        "agreement": agreement,
        "confusion": confusion,
        "acceptance": acceptance,
    }
    small = run_data.label_sets[0]
    models = [
        replace(
            model,
            scores=model.scores.assign(
                main=evil,
                subs=[[]] * len(model.scores),
                labels=[labels] * len(model.scores),
                scores=[[0.9, 0.2]] * len(model.scores),
                logits=[[2.0, -1.0]] * len(model.scores),
            ),
            slices=model.slices.assign(dimension=evil, slice=evil),
            card={"note": evil},
        )
        for model in small.models
    ]
    result = LabelSetResult(
        evil,
        labels,
        data_set=small.data_set,
        tau_sweep=small.tau_sweep.assign(scored_on=evil),
        ablation=small.ablation.assign(form=evil, pooling=evil, loss=evil, scored_on=evil),
        models=models,
        failure=evil,
    )
    tables = {"label_frequencies": frequencies, "quarantined_annotations": quarantined, "label_sets": [result]}
    words = {"title": evil, "notices": [evil], "versions": {evil: evil}, "settings": {evil: [evil]}}
    html = build_report(replace(run_data, **tables, **answers, **words))
    page = Page(html)
    assert all("onerror" not in attrs for _, attrs in page.tags)
    assert all(attrs["href"].startswith(("#", LINKS[1])) for tag, attrs in page.tags if tag == "a")
    assert "overlooked" in page.text
    assert sum(tag == "script" for tag, _ in page.tags) == 2
    assert evil in " ".join(page.texts)
    assert payload(html)["sets"][0]["labels"] == labels


def test_browser_scores_are_those_of_the_table(html, run_data):
    result = run_data.label_sets[1]
    shown = payload(html)["sets"][1]
    table = result.models[3].scores
    test = table[table["split"] == "test"].sort_values("image_id").reset_index(drop=True)
    assert [image["id"] for image in shown["images"]] == list(test["image_id"])
    assert shown["labels"] == list(result.labels)
    for image, row in zip(shown["images"], test.itertuples(), strict=True):
        assert shown["labels"][image["main"]] == row.main
        assert [shown["labels"][index] for index in image["subs"]] == list(row.subs)
        model = image["models"][3]
        assert model["scores"] == [round(1000 * float(score)) for score in row.scores]
        best = sorted(range(len(row.scores)), key=lambda index: (-row.scores[index], index))
        assert model["top"] == best[:3]


def test_pictures_are_small_jpegs_even_when_originals_are_not(html):
    for text in payload(html)["thumbs"][:5]:
        assert base64.b64decode(text)[:2] == b"\xff\xd8"
        assert len(text) < 8000


def test_page_stays_small_with_many_detailed_pictures(run_data):
    noise = np.random.default_rng(1)

    def detailed(key):
        buffer = io.BytesIO()
        Image.fromarray(noise.integers(0, 255, (160, 120, 3), dtype="uint8")).save(buffer, "PNG", compress_level=0)
        return buffer.getvalue()

    html = build_report(replace(run_data, thumbnail=detailed))
    assert len(html.encode()) < 8_000_000


def test_empty_run_gives_a_page_that_says_so():
    page = Page(build_report(ReportData()))
    assert "no label set" in page.text
    assert "This run holds no crawled data." in page.text


def test_failed_label_set_is_named_and_the_other_shown(run_data):
    failed = LabelSetResult("top-9", (), failure="only 8 labels have images: lower top")
    page = Page(build_report(replace(run_data, label_sets=[failed, run_data.label_sets[1]])))
    assert "only 8 labels have images: lower top" in page.text
    assert "Table 4." in page.text


def test_failed_model_is_named_and_the_others_compared(small):
    result = small.label_sets[0]
    models = [*result.models[:2], ModelResult("ml_gcn", failure="training was stopped")]
    page = Page(build_report(replace(small, label_sets=[replace(result, models=models, comparison=None)])))
    assert "ML-GCN has no result: training was stopped." in page.text
    assert "nothing can be said about its label branch" in page.text


@pytest.mark.parametrize("missing", TABLES)
def test_missing_table_leaves_the_rest(small, missing):
    page = Page(build_report(replace(small, **{missing: None})))
    assert "Table 3." in page.text


@pytest.mark.parametrize("empty", TABLES)
def test_empty_table_leaves_the_rest(small, empty):
    page = Page(build_report(replace(small, **{empty: getattr(small, empty).iloc[:0]})))
    assert "Table 3." in page.text


@pytest.mark.parametrize("part", LABEL_SET_PARTS)
@pytest.mark.parametrize("left", ["nothing", "no rows"])
def test_missing_part_of_a_label_set_leaves_the_rest(small, part, left):
    result = small.label_sets[0]
    empty = None if left == "nothing" else getattr(result, part).iloc[:0]
    page = Page(build_report(replace(small, label_sets=[replace(result, **{part: empty})])))
    assert "Table 3." in page.text


@pytest.mark.parametrize("part", [*MODEL_PARTS, "scores", "evaluation"])
@pytest.mark.parametrize("left", ["nothing", "no rows"])
@pytest.mark.parametrize("models", ["one", "all"])
def test_missing_part_of_a_model_leaves_the_rest(small, part, left, models):
    result = small.label_sets[0]
    first, *others = [
        replace(model, **{part: None if left == "nothing" else getattr(model, part).iloc[:0]})
        for model in result.models
    ]
    kept = [first, *(result.models[1:] if models == "one" else others)]
    page = Page(build_report(replace(small, label_sets=[replace(result, models=kept)])))
    assert "Table 3." in page.text


def test_headings_go_down_one_step_at_a_time(page):
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_spread_between_seeds_stands_beside_the_figures_of_several_seeds_only(page, run_data):
    for result, several in zip(run_data.label_sets, (True, False), strict=True):
        for model in result.models:
            row = model.evaluation.query("split == 'test' and metric == 'mean5'").iloc[0]
            figure = rf"{100 * row['value']:.1f} (highest )?{100 * row['low']:.1f}–{100 * row['high']:.1f} "
            assert bool(re.search(figure + f"± {100 * row['spread']:.1f}", page.text)) == several


def test_missing_ablation_says_how_to_get_one(page):
    assert page.text.count("set ablation.run = true") == 1


def test_unreadable_pictures_are_left_out(small):
    for thumbnail in (lambda key: None, lambda key: b"<html>", lambda key: b"\x89PNG\r\n\x1a\n" + b"0" * 40):
        html = build_report(replace(small, thumbnail=thumbnail))
        assert "no picture" in html
        assert payload(html)["thumbs"] == []


def test_no_header_of_a_table_is_empty(html):
    assert not re.findall(r"<th[^>]*>\s*</th>", html)


def test_page_says_what_each_test_counts(page):
    assert "counts images as independent; the interval, over groups, does not" in page.text
    assert "In the row of the mean of the five: images on which the first hits more of the five" in page.text


def test_figures_without_an_interval_have_none(page, run_data):
    """Calibration errors; a dash below the figure would read as a missing one."""
    table = run_data.label_sets[1].models[0].evaluation.query("split == 'test'").set_index("metric")
    assert np.isnan(table.loc["ece", "low"])
    before, after = (f"{100 * table.loc[name, 'value']:.1f}" for name in ("ece_raw", "ece"))
    assert re.search(rf"too sure {before} {after} ", page.text)


def test_labels_without_edges_of_their_own_are_named_so(small):
    """Casual points nowhere, and others point at it: it is no label without a neighbour."""
    result = small.label_sets[0]
    row = result.correlation["row_label"] == result.labels[0]
    changed = result.correlation.assign(binary=(~row & (result.correlation["column_label"] == result.labels[0])) * 1)
    page = Page(build_report(replace(small, label_sets=[replace(result, correlation=changed)])))
    assert f"Without an edge of their own: {result.labels[0]}." in page.text
    assert "without a neighbour" not in page.text


def test_confident_errors_say_what_is_predicted_and_what_is_true(page):
    assert re.search(r"wrong predicted [A-Z]\w+ \d+ .*?true, but overlooked [A-Z]\w+ \d+ ", page.text)


def test_images_that_models_are_not_judged_by_are_not_counted(small):
    """As with evaluation.only_blind: scores hold some of the data set's test images."""
    result = small.label_sets[0]
    test = result.data_set[result.data_set["split"] == "test"]
    kept = test[test["group_id"].isin(test["group_id"].unique()[::3])]
    models = [replace(m, scores=m.scores[m.scores["image_id"].isin(kept["image_id"])]) for m in result.models]
    judged = result.data_set["image_id"].isin(kept["image_id"])
    subs = [[] if kept_one else ["a", "b"] for kept_one in judged]
    changed = replace(result, models=models, data_set=result.data_set.assign(subs=subs))
    settings = {"evaluation": {"only_blind": True}}
    page = Page(build_report(replace(small, settings=settings, label_sets=[changed])))
    assert f"images in {kept['group_id'].nunique()} groups" in page.text
    assert " 0.0% of the test images carry more than 2 labels" in page.text, "all the others do"
    assert "experts saw no prediction only" in page.text
    assert "experts saw no prediction only" not in Page(build_report(small)).text


def test_tables_can_be_read_without_sight(page):
    for tag, attrs in page.tags:
        if tag == "img":
            assert attrs["alt"]
        if tag == "div" and attrs.get("class") == "scroll":
            assert attrs["tabindex"] == "0"
            assert attrs["aria-label"]
        if tag == "svg":
            assert attrs["role"] == "img"
            assert attrs["aria-label"]
