"""Champions, trends, drift, data cards and lineage in the report: what is shown, and what only with its tables."""

from dataclasses import replace

import dagster as dg
import pytest

from pipeline.report import ReportData, build_report
from pipeline.report.champions import champion_view
from pipeline.report.drift import drift_view
from pipeline.report.lineage import collect_lineage
from pipeline.report.origins import lineage_view, origins
from pipeline.report.trends import trends_view
from tests.pipeline.report.operation_frames import VERSION, WINDOWS, lineage

OPERATION = ("champion", "trends", "drift", "data-cards", "lineage")


@pytest.fixture(scope="module")
def small(run_data):
    return replace(run_data, label_sets=run_data.label_sets[:1], thumbnail=lambda key: None)


def test_sections_are_there_only_with_their_tables(small):
    html = build_report(small)
    for key in OPERATION:
        assert f'<section id="{key}">' in html
        assert f'href="#{key}"' in html
    nothing = replace(small.label_sets[0], promotions=None, training_requests=None, card=None)
    html = build_report(replace(small, label_sets=[nothing], style_trends=None, drift=None, lineage=()))
    for key in OPERATION:
        assert f'<section id="{key}">' not in html
        assert f'href="#{key}"' not in html
    assert "Where these numbers come from" not in html


def test_the_champion_is_the_last_one_that_was_promoted(small):
    view = champion_view(small.label_sets[0])
    assert view["champion"] == VERSION
    assert view["since"] == "2026-02-10"
    assert [row["decision"] for row in view["decisions"]] == ["refused", "promoted", "promoted"]
    assert [row["challenger"] for row in view["decisions"]][1] == VERSION
    assert view["request"]["reason"] == "12 of 200 new labels"


def test_the_reason_of_a_decision_stays_text(small):
    html = build_report(small)
    assert "no better: &lt;b&gt;0.4 points&lt;/b&gt; below" in html


def test_each_style_has_a_chart_with_both_sources(small):
    result = small.label_sets[0]
    view = trends_view(small, result)
    assert [chart["label"] for chart in view["charts"]] == list(result.labels)
    for chart in view["charts"]:
        assert chart["plot"].count("<polyline") == chart["plot"].count("<polygon") == 2
        assert chart["plot"].count("<circle") == 2 * len(WINDOWS)
    assert (view["first"], view["last"]) == (WINDOWS[0], WINDOWS[-1])


def test_what_moves_stands_before_what_does_not(small):
    rows = trends_view(small, small.label_sets[0])["movements"]
    for source in ("champion", "experts"):
        steady = [row["direction"] == "steady" for row in rows if row["source"] == source]
        assert steady == sorted(steady)
    assert rows[0]["direction"] == "rising"


def test_trends_of_another_label_set_are_not_shown(small):
    assert trends_view(small, replace(small.label_sets[0], name="another")) is None


def test_a_window_that_drifted_is_named_and_a_small_one_is_not_judged(small):
    view = drift_view(small, small.label_sets[0])
    assert view["drifted"] == ["15 Sep"]
    html = build_report(small)
    assert "1 of 10 windows drifted: 15 Sep." in html
    assert "11 images: too few" in html


def test_every_number_leads_to_its_asset_and_what_is_upstream():
    rows = origins(lineage())
    (evaluation,) = rows["results"]
    assert evaluation["link"].endswith("/assets/evaluation?view=partitions&partition=ml_gcn%7Ctop-5")
    assert evaluation["run_link"].endswith("/runs/11112222-3333-4444-5555-666677778888")
    assert evaluation["changed"]
    assert evaluation["inputs"][0]["asset"] == "scores"
    listed = {group["asset"] for group in lineage_view(lineage())}
    assert {"scores", "data_set", "labels", "posts"} <= listed


def test_names_upstream_lead_to_a_row_of_the_page(small):
    html = build_report(small)
    assert 'href="#asset-data_set"' in html
    assert 'id="asset-data_set"' in html
    assert 'href="#asset-annotations"' not in html  # it was never made here


def made(instance, parts, version):
    """Materialize a chain ``window -> table -> part`` in an instance."""

    @dg.asset(partitions_def=dg.StaticPartitionsDefinition(["2025-03-03", "2025-03-10"]))
    def window():
        return dg.MaterializeResult(data_version=dg.DataVersion(f"window {version}"))

    @dg.asset(deps=[window], code_version="code 1")
    def table():
        return dg.MaterializeResult(data_version=dg.DataVersion(f"table {version}"))

    @dg.asset(deps=[table], partitions_def=dg.StaticPartitionsDefinition(["top-5", "top-7"]))
    def part():
        return dg.MaterializeResult(data_version=dg.DataVersion(f"part {version}"))

    assets = {"window": window, "table": table, "part": part}
    for name, key in parts:
        assert dg.materialize([*assets.values()], selection=[name], partition_key=key, instance=instance).success


def test_lineage_is_read_from_dagster_s_history():
    with dg.DagsterInstance.ephemeral() as instance:
        made(instance, [("window", "2025-03-03"), ("window", "2025-03-10"), ("table", None), ("part", "top-5")], "1")
        before = {(row.asset, row.partition): row for row in collect_lineage(instance)}
        made(instance, [("table", None)], "2")
        after = {(row.asset, row.partition): row for row in collect_lineage(instance)}
    assert set(before) == {("window", "2025-03-10"), ("table", None), ("part", "top-5")}
    assert before["window", "2025-03-10"].partitions == 2
    assert before["table", None].code == "code 1"
    assert [(one.asset, one.partitions) for one in before["table", None].inputs] == [("window", 2)]
    (used,) = before["part", "top-5"].inputs
    assert (used.asset, used.version, used.changed) == ("table", "table 1", False)
    (used,) = after["part", "top-5"].inputs
    assert (used.version, used.changed) == ("table 1", True)


def test_a_report_without_history_has_no_lineage():
    assert "Lineage" not in build_report(ReportData())
