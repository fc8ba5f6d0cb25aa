"""The ablation: every form once, ranked by the validation split."""

import numpy as np
import pytest

from modeling.ablation import ablate, ablation_graphs
from modeling.correlation import label_graph, train_labels
from modeling.head_training import HeadForm, compare_heads
from modeling.settings import AblationSettings, GraphSettings
from modeling.tables import ABLATION
from tests.modeling.training_case import FROM_SCRATCH, LABELS, QUICK, WORD_VECTORS, make_case

SMALL = AblationSettings(taus=(0.1, 0.2, 0.9), losses=("bce", "asymmetric"), epochs=2, repeats=2)


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return make_case(tmp_path_factory.mktemp("pictures"), 60)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def run(case, cache, ablation=SMALL, graph=None, data_set=None, progress=None):
    rows = case.data_set if data_set is None else data_set
    given = graph or GraphSettings()
    return ablate(rows, LABELS, WORD_VECTORS, given, ablation, FROM_SCRATCH, QUICK, case.image_path, cache, progress)


def test_every_form_stands_once_in_the_table_best_first(case, cache):
    told = []
    table = run(case, cache, progress=lambda *done: told.append(done))
    assert table.schema == ABLATION
    rows = table.to_pandas()
    graphs = ablation_graphs(case.data_set, LABELS, GraphSettings(), SMALL)
    assert len(rows) == len(graphs) * 2 * 2
    keys = ["form", "tau", "pooling", "loss"]
    assert not rows.duplicated(keys).any()
    assert rows["rank"].tolist() == list(range(1, len(rows) + 1))
    assert rows["validation_score"].is_monotonic_decreasing
    assert rows["tau"].isna().tolist() == (rows["form"] == "identity").tolist()
    assert (rows["seeds"] == 2).all()
    assert (rows["seconds"] > 0).all()
    assert told[-1] == (1000, 1000)
    again = run(case, cache).to_pandas()
    assert again.drop(columns="seconds").equals(rows.drop(columns="seconds"))


def test_a_row_is_what_its_form_scores(case, cache):
    rows = run(case, cache).to_pandas()
    row = rows[(rows["form"] == "learned") & (rows["tau"] == 0.1) & (rows["loss"] == "asymmetric")].iloc[0]
    graph = label_graph(train_labels(case.data_set, LABELS), LABELS, GraphSettings(form="learned", tau=0.1))
    form = HeadForm("ml_gcn", row["pooling"], "asymmetric", graph.normalized, learned=True)
    alone = compare_heads(
        case.data_set, LABELS, WORD_VECTORS, [form], 2, 2, FROM_SCRATCH, QUICK, case.image_path, cache
    ).results[0]
    assert row["edges"] == graph.binary.sum()
    assert row["validation_score"] == alone.score
    assert row["spread"] == alone.spread


def graphs_of(case, **ablation):
    return ablation_graphs(case.data_set, LABELS, GraphSettings(p=0.3), AblationSettings(**ablation))


def test_what_comes_to_the_same_is_compared_once(case):
    taus = (0.15, 0.9, 0.95, 0.16, 0.1)  # four edges, none, none, four, all six
    assert not label_graph(train_labels(case.data_set, LABELS), LABELS, GraphSettings(tau=0.9)).binary.any()
    found = graphs_of(case, taus=taus)
    assert [(graph.form, graph.tau) for graph in found] == [
        ("identity", None),
        ("equation", 0.15),
        ("equation", 0.1),
        ("reference_code", 0.15),
        ("learned", 0.15),
        ("learned", 0.9),
        ("learned", 0.1),
    ]
    for graph in found:
        settings = GraphSettings(form=graph.form, tau=graph.tau or 0.4, p=0.3)
        expected = label_graph(train_labels(case.data_set, LABELS), LABELS, settings)
        np.testing.assert_array_equal(graph.adjacency, expected.normalized)
        assert graph.edges == (0 if graph.form == "identity" else expected.binary.sum())
    alone = graphs_of(case, forms=("equation", "reference_code"), taus=(0.9,))
    assert [(graph.form, graph.tau, graph.edges) for graph in alone] == [("equation", 0.9, 0)]


def test_test_rows_change_nothing(case, cache, tmp_path):
    changed = case.data_set.copy()
    test = changed["split"] == "test"
    changed.loc[test, "main"] = "blue"
    changed.loc[test, "file_id"] = "nowhere"
    few = SMALL.model_copy(update={"forms": ("identity", "equation"), "losses": ("bce",)})
    whole, other = (
        run(case, folder, few, data_set=rows).to_pandas().drop(columns="seconds")
        for folder, rows in ((cache, case.data_set), (tmp_path, changed))
    )
    assert whole.equals(other)
