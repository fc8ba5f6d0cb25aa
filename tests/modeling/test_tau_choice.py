"""The choice of tau: what is trained, what is compared, and what decides."""

import numpy as np
import pandas as pd
import pytest

import modeling.head_training
from modeling.correlation import TAUS, correlation_table, graph_from_table, label_graph, train_labels
from modeling.errors import ModelingError
from modeling.head_training import HeadComparison, HeadResult
from modeling.settings import GraphSettings, SweepSettings
from modeling.tables import TAU_SWEEP
from modeling.tau_choice import choose_tau, with_chosen_tau
from tests.modeling.training_case import FROM_SCRATCH, LABELS, QUICK, WORD_VECTORS, make_case

SWEEP = SweepSettings(repeats=2, epochs=3)


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return make_case(tmp_path_factory.mktemp("pictures"), 60)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def choose(case, cache, graph, data_set=None, sweep=SWEEP, progress=None):
    rows = case.data_set if data_set is None else data_set
    return choose_tau(rows, LABELS, WORD_VECTORS, graph, sweep, FROM_SCRATCH, QUICK, case.image_path, cache, progress)


@pytest.fixture
def scored(monkeypatch):
    """Stands for the trainings with scores written down in advance; gives the forms that were asked for."""
    asked = []

    def with_scores(scores):
        def compare_heads(data_set, labels, word_vectors, forms, epochs, repeats, *rest):
            asked.extend(forms)
            results = [HeadResult((score,) * repeats, (1,) * repeats, 0.1) for score in scores[: len(forms)]]
            return HeadComparison(results, "numbers of a test")

        monkeypatch.setattr(modeling.head_training, "compare_heads", compare_heads)
        return asked

    return with_scores


def test_a_sweep_from_pictures_to_the_table(case, cache):
    told = []
    table = choose(case, cache, GraphSettings(), progress=lambda *done: told.append(done))
    assert table.schema == TAU_SWEEP
    rows = table.to_pandas()
    assert rows["tau"].tolist() == list(TAUS)
    assert told[-1] == (1000, 1000)
    assert rows["validation_score"].between(0, 1).all()
    assert (rows["seeds"] == 2).all()
    assert rows["best"].sum() == 1
    assert rows["chosen"].tolist() == rows["best"].tolist()
    joined = rows[rows["edges"] > 0]
    assert joined.loc[joined["best"], "validation_score"].iloc[0] == joined["validation_score"].max()
    assert rows["scored_on"].unique().tolist() == [
        "features of MobileNetV3 small after one training from random weights"
    ]
    assert (rows.groupby("graph")["validation_score"].nunique() == 1).all(), "one training for the same edges"
    assert choose(case, cache, GraphSettings()).equals(table)
    for row in rows.itertuples():
        graph = label_graph(train_labels(case.data_set, LABELS), LABELS, GraphSettings(tau=row.tau))
        assert row.edges == graph.binary.sum()
        assert row.isolated == len(graph.isolated)


def test_test_rows_change_nothing(case, cache, tmp_path):
    changed = case.data_set.copy()
    test = changed["split"] == "test"
    changed.loc[test, "main"] = "blue"
    changed.loc[test, "file_id"] = "nowhere"
    whole = choose(case, cache, GraphSettings())
    assert choose(case, tmp_path / "a", GraphSettings(), changed).equals(whole)
    assert choose(case, tmp_path / "b", GraphSettings(), changed[~test]).equals(whole)


def test_thresholds_with_the_same_edges_share_one_training(case, cache, scored):
    asked = scored(np.linspace(0.5, 0.9, 20).tolist())
    rows = choose(case, cache, GraphSettings()).to_pandas()
    assert len(asked) == rows["graph"].nunique() < len(TAUS)
    for form, tau in zip(asked, rows.drop_duplicates("graph")["tau"], strict=True):
        graph = label_graph(train_labels(case.data_set, LABELS), LABELS, GraphSettings(tau=tau))
        np.testing.assert_array_equal(form.adjacency, graph.normalized)
        assert (form.architecture, form.pooling, form.loss, form.learned) == ("ml_gcn", "max", "bce", False)


@pytest.mark.parametrize("form", ["reference_code", "learned"])
def test_the_form_of_the_run_is_what_is_trained(case, cache, scored, form):
    asked = scored([0.5] * 20)
    choose(case, cache, GraphSettings(form=form))
    graph = label_graph(train_labels(case.data_set, LABELS), LABELS, GraphSettings(form=form, tau=TAUS[0]))
    np.testing.assert_array_equal(asked[0].adjacency, graph.normalized)
    assert {item.learned for item in asked} == {form == "learned"}


def test_of_equals_the_nearest_to_the_usual_tau_is_best(case, cache, scored):
    scored([0.5] * 20)
    rows = choose(case, cache, GraphSettings()).to_pandas()
    joined = rows[rows["edges"] > 0]
    assert rows.loc[rows["best"], "tau"].tolist() == [joined["tau"].max()], "0.4 itself leaves no edge here"
    assert joined["tau"].max() < 0.4


def test_a_graph_without_an_edge_is_not_chosen_where_there_is_another(case, cache, scored):
    graphs = choose(case, cache, GraphSettings()).to_pandas().drop_duplicates("graph")
    assert graphs["edges"].iloc[-1] == 0, "the case has thresholds that leave no edge"
    scored([0.5] * (len(graphs) - 1) + [0.9])
    rows = choose(case, cache, GraphSettings()).to_pandas()
    assert rows.loc[rows["best"], "edges"].iloc[0] > 0
    assert rows.loc[rows["edges"] == 0, "validation_score"].eq(0.9).all(), "it is shown all the same"


def test_the_highest_score_wins_whatever_its_tau(case, cache, scored):
    scored([0.9] + [0.5] * 20)
    rows = choose(case, cache, GraphSettings()).to_pandas()
    first = rows[rows["graph"] == 1]["tau"]
    assert rows.loc[rows["best"], "tau"].tolist() == [first.max()], "of the first graph's, the nearest to 0.4"
    assert rows.loc[rows["chosen"], "tau"].tolist() == [first.max()]


def test_of_two_as_near_the_lower_is_best(cache, scored):
    """P is 0.42 and 0.375: both edges up to 0.35, one at 0.4, none from 0.45; the first and the last are as good."""
    scored([0.9, 0.5, 0.9])
    images = [("red", ["green"])] * 42 + [("red", [])] * 58 + [("green", [])] * 70
    rows = pd.DataFrame(images, columns=["main", "subs"]).assign(split="train")
    table = choose_tau(
        rows, LABELS[:2], WORD_VECTORS[:2], GraphSettings(), SWEEP, FROM_SCRATCH, QUICK, None, cache
    ).to_pandas()
    assert table.groupby("graph")["tau"].max().tolist() == [0.35, 0.4, 0.95]
    assert table.loc[table["best"], "tau"].tolist() == [0.35]


def test_without_a_graph_there_is_one_training(case, cache, scored):
    asked = scored([0.7])
    rows = choose(case, cache, GraphSettings(form="identity")).to_pandas()
    assert len(asked) == 1
    np.testing.assert_array_equal(asked[0].adjacency, np.eye(3))
    assert (rows["graph"] == 1).all()
    assert rows.loc[rows["chosen"], "tau"].tolist() == [0.4]


def test_a_fixed_tau_is_chosen_and_the_best_is_still_shown(case, cache, scored):
    scored([0.9] + [0.5] * 20)
    inside = choose(case, cache, GraphSettings(tau=0.6)).to_pandas()
    assert inside["tau"].tolist() == list(TAUS)
    assert inside.loc[inside["chosen"], "tau"].tolist() == [0.6]
    assert inside.loc[inside["best"], "graph"].tolist() == [1]
    between = choose(case, cache, GraphSettings(tau=0.33)).to_pandas()
    assert between["tau"].tolist() == sorted([*TAUS, 0.33])
    assert between.loc[between["chosen"], "tau"].tolist() == [0.33]


def test_one_seed_has_no_spread(case, cache):
    rows = choose(case, cache, GraphSettings(), sweep=SweepSettings(repeats=1, epochs=1)).to_pandas()
    assert rows["spread"].isna().all()
    assert (rows["seeds"] == 1).all()


def test_the_graph_takes_the_chosen_tau(case, cache, scored):
    scored([0.9] + [0.5] * 20)
    asked = GraphSettings(form="reference_code", p=0.3)
    table = choose(case, cache, asked)
    chosen = with_chosen_tau(asked, table)
    rows = table.to_pandas()
    assert chosen == GraphSettings(form="reference_code", p=0.3, tau=rows.loc[rows["chosen"], "tau"].iloc[0])
    assert graph_from_table(correlation_table(case.data_set, LABELS, chosen)).settings == chosen


def test_a_sweep_for_another_tau_is_refused(case, cache, scored):
    scored([0.5] * 20)
    table = choose(case, cache, GraphSettings(tau=0.3))
    assert with_chosen_tau(GraphSettings(), table).tau == 0.3
    assert with_chosen_tau(GraphSettings(tau=0.3), table).tau == 0.3
    with pytest.raises(ModelingError, match=r"graph\.tau is 0\.2, but the sweep chose 0\.3: materialize tau_sweep"):
        with_chosen_tau(GraphSettings(tau=0.2), table)
    with pytest.raises(ModelingError, match="the sweep chose none"):
        with_chosen_tau(GraphSettings(), table.slice(0, 0))


def test_a_sweep_for_another_form_or_p_is_refused(case, cache, scored):
    """Its graphs were others, and so may be the best of them."""
    scored([0.5] * 20)
    table = choose(case, cache, GraphSettings(form="reference_code", p=0.3))
    assert with_chosen_tau(GraphSettings(form="reference_code", p=0.3), table).tau == 0.3
    message = r"graph\.form is equation, but the sweep was made with reference_code: materialize tau_sweep anew"
    with pytest.raises(ModelingError, match=message):
        with_chosen_tau(GraphSettings(form="equation", p=0.3), table)
    with pytest.raises(ModelingError, match=r"graph\.p is 0\.2, but the sweep was made with 0\.3: materialize"):
        with_chosen_tau(GraphSettings(form="reference_code", p=0.2), table)


def test_a_label_without_train_image_is_named(case, cache):
    rows = case.data_set.assign(subs=[[] for _ in range(len(case.data_set))])
    rows.loc[(rows["main"] == "red") & (rows["split"] == "train"), "split"] = "test"
    with pytest.raises(ModelingError, match="no train image carries label 'red'"):
        choose(case, cache, GraphSettings(), rows)
