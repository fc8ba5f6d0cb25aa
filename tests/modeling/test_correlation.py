import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import ValidationError

from modeling.correlation import (
    binarize,
    conditional_probability,
    cooccurrence,
    correlation_table,
    equation_adjacency,
    graph_from_counts,
    graph_from_table,
    graph_hash,
    graph_health,
    graph_problems,
    label_graph,
    normalize,
    reference_code_adjacency,
    reference_code_reweight,
    reweight,
    tau_sweep,
)
from modeling.errors import ModelingError
from modeling.settings import GraphSettings
from modeling.tables import CORRELATION_MATRIX

LABELS = ["a", "b", "c", "d"]

# Ten images by hand: N = 4, 3, 3, 5; a and b meet in two images, a-c, b-c and c-d in one each.
IMAGES = ["a", "ab", "ab", "bc", "ac", "cd", "d", "d", "d", "d"]


def by_hand():
    return np.array([[label in image for label in LABELS] for image in IMAGES])


def data_set_rows(images, split="train"):
    return pd.DataFrame(
        {"main": [image[0] for image in images], "subs": [list(image[1:]) for image in images], "split": split}
    )


def test_counts_by_hand():
    both, images = cooccurrence(by_hand())
    assert images.tolist() == [4, 3, 3, 5]
    assert both.tolist() == [[0, 2, 1, 0], [2, 0, 1, 0], [1, 1, 0, 1], [0, 0, 1, 0]]
    assert both.dtype == images.dtype == np.int64


def test_equation_matrices_by_hand():
    """P is M over N by row; at tau = 0.3 the edges are a-b, b-a, b-c, c-a, c-b, c-d and d is isolated."""
    graph = label_graph(by_hand(), LABELS, GraphSettings(tau=0.3, p=0.2))
    third = 1 / 3
    np.testing.assert_allclose(
        graph.conditional,
        [[0, 0.5, 0.25, 0], [2 / 3, 0, third, 0], [third, third, 0, third], [0, 0, 0.2, 0]],
        rtol=1e-15,
    )
    assert graph.binary.tolist() == [[0, 1, 0, 0], [1, 0, 1, 0], [1, 1, 0, 1], [0, 0, 0, 0]]
    assert graph.isolated == ("d",)
    fifteenth = 0.2 / 3
    expected = np.array([[0.8, 0.2, 0, 0], [0.1, 0.8, 0.1, 0], [fifteenth, fifteenth, 0.8, fifteenth], [0, 0, 0, 0.8]])
    np.testing.assert_allclose(graph.reweighted, expected, rtol=1e-15)
    # Row sums are 1, 1, 1, 0.8: only d's row and column change, d's diagonal to 1.
    expected[2, 3] = fifteenth / np.sqrt(0.8)
    expected[3, 3] = 1
    np.testing.assert_allclose(graph.normalized, expected, rtol=1e-15)


def test_reference_code_matrices_by_hand():
    """Column sums of B are 2, 2, 1, 1; A = 0.25 B / column sum + I has the row sums 1.125, 1.375, 1.5, 1."""
    graph = label_graph(by_hand(), LABELS, GraphSettings(form="reference_code", tau=0.3, p=0.2))
    np.testing.assert_allclose(
        graph.reweighted, [[1, 0.125, 0, 0], [0.125, 1, 0.25, 0], [0.125, 0.125, 1, 0.25], [0, 0, 0, 1]], rtol=1e-15
    )
    sums = [1.125, 1.375, 1.5, 1.0]
    expected = [
        [1 / 1.125, 0.125 / np.sqrt(1.125 * 1.375), 0.125 / np.sqrt(1.125 * 1.5), 0],
        [0.125 / np.sqrt(1.375 * 1.125), 1 / 1.375, 0.125 / np.sqrt(1.375 * 1.5), 0],
        [0, 0.25 / np.sqrt(1.5 * 1.375), 1 / 1.5, 0],
        [0, 0, 0.25 / np.sqrt(1.0 * 1.5), 1],
    ]
    np.testing.assert_allclose(graph.normalized, expected, rtol=1e-14)
    scale = np.diag(np.array(sums) ** -0.5)
    np.testing.assert_allclose(graph.normalized, scale @ graph.reweighted.T @ scale, rtol=1e-14)


def test_the_identity_form_passes_features_through():
    graph = label_graph(by_hand(), LABELS, GraphSettings(form="identity", tau=0.3))
    np.testing.assert_array_equal(graph.normalized, np.eye(4))
    np.testing.assert_array_equal(graph.reweighted, np.eye(4))
    assert graph.both[0, 1] == 2


def test_the_learned_form_starts_as_the_equation():
    learned = label_graph(by_hand(), LABELS, GraphSettings(form="learned", tau=0.3))
    equation = label_graph(by_hand(), LABELS, GraphSettings(form="equation", tau=0.3))
    np.testing.assert_array_equal(learned.normalized, equation.normalized)
    np.testing.assert_array_equal(learned.reweighted, equation.reweighted)
    assert graph_hash(learned) != graph_hash(equation)


def test_no_graph_before_tau_is_chosen():
    with pytest.raises(ModelingError, match="still to be chosen on the validation split"):
        correlation_table(data_set_rows(IMAGES), LABELS, GraphSettings(tau="validation"))


def published_conditional(both, images):
    """P of the published code, from its files' ``adj`` and ``nums``."""
    return both / images[:, None]


def published_adjacency(both, images, tau):
    """What the published code multiplies node features by, in its own order of steps, with its 1e-6 and its 0.25."""
    edges = (published_conditional(both, images) >= tau).astype(np.float64)
    weighted = 0.25 * edges / (edges.sum(axis=0, keepdims=True) + 1e-6) + np.eye(len(edges))
    scale = np.diag(weighted.sum(axis=1) ** -0.5)
    return scale @ weighted.T @ scale


def equation_of_the_paper(both, images, tau, p=0.2):
    """Equation 2 and the symmetric normalisation, row by row."""
    edges = published_conditional(both, images) >= tau
    weighted = np.array([p * row / row.sum() if row.any() else 0.0 * row for row in edges]) + (1 - p) * np.eye(
        len(edges)
    )
    return weighted / np.sqrt(np.outer(weighted.sum(axis=1), weighted.sum(axis=1)))


def counts_like(labels, images, labels_of_an_image, seed):
    """Counts as steep as those of a detection data set: the first label (as person there) in most images."""
    random = np.random.default_rng(seed)
    share = 0.5 / np.arange(1, labels + 1) ** 0.8
    matrix = random.random((images, labels)) < share * labels_of_an_image / share.sum()
    partner = random.permutation(labels)
    matrix |= matrix[:, partner] & (random.random((images, labels)) < 0.5)  # labels that come in pairs
    matrix[np.arange(labels), np.arange(labels)] = True
    both = matrix.T.astype(np.int64) @ matrix
    return both, np.diag(both).copy()


CASES = {"VOC-like": counts_like(20, 5011, 1.5, 1), "COCO-like": counts_like(80, 20_000, 2.9, 2)}


@pytest.mark.parametrize("tau", [0.1, 0.4])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", [np.int64, np.float64, np.float32])
def test_published_counts_give_the_published_matrices(case, tau, kind):
    both, images = CASES[case]
    labels = [f"label {number}" for number in range(len(images))]
    without = both - np.diag(np.diag(both))
    given = both.astype(kind), images.astype(kind)  # with the labels' own counts on the diagonal
    code = graph_from_counts(*given, labels, GraphSettings(form="reference_code", tau=tau))
    equation = graph_from_counts(*given, labels, GraphSettings(form="equation", tau=tau))
    assert code.binary.any()
    assert bool(code.isolated) == (tau == 0.4), "rows without an edge, too"
    np.testing.assert_allclose(code.conditional, published_conditional(without, images), atol=1e-12)
    np.testing.assert_array_equal(code.binary, published_conditional(without, images) >= tau)
    np.testing.assert_allclose(code.normalized, published_adjacency(without, images, tau), rtol=0, atol=1e-6)
    np.testing.assert_allclose(equation.normalized, equation_of_the_paper(without, images, tau), rtol=0, atol=1e-12)
    assert code.both.diagonal().sum() == 0
    assert code.images.dtype == code.both.dtype == np.int64


def test_counts_give_the_graph_of_the_images_they_were_counted_from():
    both, images = cooccurrence(by_hand())
    for form in ("equation", "reference_code", "identity", "learned"):
        chosen = GraphSettings(form=form, tau=0.3)
        counted = graph_from_counts((both + 7 * np.eye(4)).tolist(), images.astype(float), LABELS, chosen)
        assert graph_hash(counted) == graph_hash(label_graph(by_hand(), LABELS, chosen))


def test_given_counts_are_not_changed():
    both, images = np.full((2, 2), 3), np.array([4, 5])
    graph_from_counts(both, images, ["a", "b"], GraphSettings(tau=0.4))
    assert both.tolist() == [[3, 3], [3, 3]]


@pytest.mark.parametrize(
    ("both", "images", "message"),
    [
        ([[0, 1], [1, 0]], [2, 0], r"no train image carries label 'b':"),
        ([[0, 1], [1, 0]], [2, 3, 4], r"counts 'images' have the shape \(3,\), but 2 labels need \(2,\)"),
        ([[0, 1, 1]], [2, 3], r"counts 'both' have the shape \(1, 3\), but 2 labels need \(2, 2\)"),
        ([[0, -1], [1, 0]], [2, 3], r"counts 'both' must be whole numbers of at least 0"),
        ([[0, 0.5], [0.5, 0]], [2, 3], r"counts 'both' must be whole numbers"),
        ([[0, 1], [1, 0]], [2, np.nan], r"counts 'images' must be whole numbers"),
        ([[0, 5], [3, 0]], [9, 9], r"counts 'both' say 5 for 'a' with 'b' and 3 the other way round: give one number"),
        ([[0, 2], [2, 0]], [1, 2], r"2 images with 'a' and 'b', but counts 'images' only 1 with 'a': correct one"),
        ([[0, 2], [2, 0]], [2, 1], r"2 images with 'b' and 'a', but counts 'images' only 1 with 'b': correct one"),
    ],
)
def test_what_are_no_counts_of_these_labels_is_refused(both, images, message):
    with pytest.raises(ModelingError, match=message):
        graph_from_counts(both, images, ["a", "b"], GraphSettings(tau=0.4))


def test_a_probability_equal_to_tau_is_an_edge():
    both, images = np.array([[0, 2], [2, 0]]), np.array([5, 10])
    probability = conditional_probability(both, images, ["a", "b"])
    assert binarize(probability, 0.4).tolist() == [[0, 1], [0, 0]]
    assert binarize(probability, 0.2).tolist() == [[0, 1], [1, 0]]


def test_a_label_without_train_image_is_named():
    rows = pd.concat([data_set_rows(["a", "ab"]), data_set_rows(["c", "ca"], "test")])
    with pytest.raises(ModelingError, match=r"no train image carries label 'c':"):
        correlation_table(rows, ["a", "b", "c"], GraphSettings(tau=0.4))
    with pytest.raises(ModelingError, match=r"label 'b', 'c':"):
        conditional_probability(np.zeros((3, 3)), [1, 0, 0], ["a", "b", "c"])


def test_only_train_rows_count():
    train = data_set_rows(IMAGES)
    others = pd.concat([data_set_rows(["bd", "bd", "ac"], "validation"), data_set_rows(["cd"] * 5, "test")])
    alone = correlation_table(train, LABELS, GraphSettings(tau=0.4))
    together = correlation_table(pd.concat([others, train]), LABELS, GraphSettings(tau=0.4))
    assert alone.equals(together)


@pytest.mark.parametrize("form", ["equation", "reference_code", "identity", "learned"])
def test_the_table_holds_the_graph(form):
    chosen = GraphSettings(form=form, tau=0.3, p=0.2)
    table = correlation_table(data_set_rows(IMAGES), LABELS, chosen)
    assert table.schema == CORRELATION_MATRIX
    assert table.num_rows == 16
    shuffled = table.to_pandas().sample(frac=1, random_state=1)
    graph = graph_from_table(shuffled)
    made = label_graph(by_hand(), LABELS, chosen)
    assert graph.labels == made.labels == tuple(LABELS)
    assert graph.settings == chosen
    np.testing.assert_array_equal(graph.normalized, made.normalized)
    cells = {(row.row_label, row.column_label): row for row in shuffled.itertuples()}
    assert cells["a", "b"].images_row == 4
    assert cells["a", "b"].images_both == 2
    assert cells["d", "b"].row_isolated == (not graph.binary[3].any())
    assert graph_hash(table) == graph_hash(graph)


def test_a_table_with_a_missing_cell_is_refused():
    table = correlation_table(data_set_rows(IMAGES), LABELS, GraphSettings(tau=0.4))
    with pytest.raises(ModelingError, match="not one whole square matrix"):
        graph_from_table(table.slice(0, 15))
    with pytest.raises(ModelingError, match="not one whole square matrix"):
        graph_from_table(table.slice(0, 0))


def test_health_of_a_graph():
    health = graph_health(label_graph(by_hand(), LABELS, GraphSettings(tau=0.3)))
    # d has most images (5); of the six edges one points at it.
    assert health == {
        "edges": 6,
        "isolated": ["d"],
        "dominant": "d",
        "edges_to_dominant": 1,
        "star_share": pytest.approx(1 / 6),
    }
    empty = graph_health(label_graph(by_hand(), LABELS, GraphSettings(tau=0.9)))
    assert empty["edges"] == 0
    assert empty["star_share"] == 0
    assert empty["isolated"] == LABELS


def test_problems_of_a_graph_are_named():
    star = [[0, 1, 0], [1, 0, 1], [0, 1, 0]], [5, 5, 2]  # P(b | a) = 0.2, P(b | c) = 0.5
    at = {tau: graph_from_counts(*star, ["a", "b", "c"], GraphSettings(tau=tau)) for tau in (0.1, 0.4, 0.9)}
    assert graph_problems(at[0.1]) == []
    assert graph_problems(at[0.9]) == [
        "no edge at tau 0.9, so the graph does nothing; tau_sweep shows what lower thresholds leave"
    ]
    around_b = graph_from_counts([[0, 1, 0], [1, 0, 1], [0, 1, 0]], [2, 9, 2], ["a", "b", "c"], GraphSettings(tau=0.4))
    assert graph_problems(around_b) == [
        "every edge at tau 0.4 points at b, a star; tau_sweep shows what lower thresholds leave"
    ]
    assert graph_problems(at[0.4]) == [], "a single edge is no star"
    without = graph_from_counts(*star, ["a", "b", "c"], GraphSettings(form="identity", tau=0.9))
    assert graph_problems(without) == []


def test_thresholds_with_the_same_edges_have_the_same_number():
    graph = label_graph(by_hand(), LABELS, GraphSettings(tau=0.4))
    sweep = tau_sweep(graph.conditional, graph.images, [0.2, 0.21, 0.25, 0.3, 0.5, 0.6, 0.9, 1.0])
    assert sweep["graph"].tolist() == [1, 2, 2, 3, 4, 5, 6, 6]


def test_the_sweep_agrees_with_the_graph_at_each_tau():
    graph = label_graph(by_hand(), LABELS, GraphSettings(tau=0.4))
    sweep = tau_sweep(graph.conditional, graph.images, [0.2, 0.3, 0.5, 0.9])
    assert sweep["edges"].tolist() == [8, 6, 2, 0]
    assert sweep["isolated"].tolist() == [0, 1, 2, 4]
    assert sweep["star_share"].tolist() == [1 / 8, 1 / 6, 0, 0]
    for row in sweep.itertuples():
        health = graph_health(label_graph(by_hand(), LABELS, GraphSettings(tau=row.tau)))
        assert (row.edges, row.isolated, row.star_share) == (
            health["edges"],
            len(health["isolated"]),
            health["star_share"],
        )


def test_the_hash_changes_with_anything_that_changes_the_graph():
    graphs = [
        label_graph(by_hand(), LABELS, GraphSettings(tau=0.4)),
        label_graph(by_hand(), ["a", "b", "d", "c"], GraphSettings(tau=0.4)),
        label_graph(by_hand(), LABELS, GraphSettings(tau=0.3)),
        label_graph(by_hand(), LABELS, GraphSettings(form="reference_code", tau=0.4)),
        label_graph(np.vstack([by_hand(), by_hand()]), LABELS, GraphSettings(tau=0.4)),
    ]
    assert len({graph_hash(graph) for graph in graphs}) == len(graphs)


@pytest.mark.parametrize("wrong", [{"tau": 0}, {"tau": 1.1}, {"p": 0}, {"p": 1}, {"form": "learnt"}, {"t": 0.4}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValidationError):
        GraphSettings(**wrong)


MATRICES = hnp.arrays(bool, st.tuples(st.integers(1, 12), st.integers(2, 6)))
SHARES = st.floats(0.05, 0.95)


@settings(max_examples=60, deadline=None)
@given(MATRICES)
def test_counts_equal_a_count_of_pairs(matrix):
    both, images = cooccurrence(matrix)
    for i, j in itertools.product(range(matrix.shape[1]), repeat=2):
        together = sum(bool(row[i] and row[j]) for row in matrix)
        assert both[i, j] == (0 if i == j else together)
        assert images[i] == sum(bool(row[i]) for row in matrix)


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float64, (4, 4), elements=st.floats(0, 1)), SHARES, SHARES)
def test_both_forms_equal_the_formulas_cell_by_cell(conditional, tau, p):
    size = range(len(conditional))
    binary = [[int(i != j and conditional[i, j] >= tau) for j in size] for i in size]
    equation, reference = np.zeros((4, 4)), np.zeros((4, 4))
    for i, j in itertools.product(size, size):
        neighbours = sum(binary[i][k] for k in size if k != i)
        incoming = sum(binary[k][j] for k in size)
        equation[i, j] = 1 - p if i == j else (p * binary[i][j] / neighbours if neighbours else 0)
        reference[i, j] = 1 if i == j else (p / (1 - p) * binary[i][j] / incoming if incoming else 0)
    expected, swapped = np.zeros((4, 4)), np.zeros((4, 4))
    for i, j in itertools.product(size, size):
        expected[i, j] = equation[i, j] / np.sqrt(equation[i].sum() * equation[j].sum())
        swapped[i, j] = reference[j, i] / np.sqrt(reference[i].sum() * reference[j].sum())
    np.testing.assert_allclose(equation_adjacency(conditional, tau, p), expected, rtol=1e-12)
    np.testing.assert_allclose(reference_code_adjacency(conditional, tau, p), swapped, rtol=1e-12)


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.int8, (5, 5), elements=st.integers(0, 1)), SHARES)
def test_rows_sum_to_one_or_are_isolated(binary, p):
    np.fill_diagonal(binary, 0)
    weights = reweight(binary, p)
    isolated = ~binary.any(axis=1)
    np.testing.assert_allclose(weights.sum(axis=1), np.where(isolated, 1 - p, 1), rtol=1e-12)
    np.testing.assert_allclose(np.diag(normalize(weights))[isolated], 1, rtol=1e-12)
    assert not (normalize(weights) - np.diag(np.diag(normalize(weights))))[isolated].any()


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.int8, (5, 5), elements=st.integers(0, 1)), SHARES)
def test_the_forms_are_each_other_with_rows_and_columns_swapped(binary, p):
    np.fill_diagonal(binary, 0)
    np.testing.assert_allclose((1 - p) * reference_code_reweight(binary, p).T, reweight(binary.T, p), rtol=1e-12)


@settings(max_examples=60, deadline=None)
@given(MATRICES, st.randoms(use_true_random=False))
def test_label_order_moves_cells_and_changes_nothing_else(matrix, random):
    matrix = np.vstack([matrix, np.ones(matrix.shape[1], dtype=bool)])
    order = list(range(matrix.shape[1]))
    random.shuffle(order)
    for form in ("equation", "reference_code"):
        chosen = GraphSettings(form=form, tau=0.4)
        plain = label_graph(matrix, [str(i) for i in range(len(order))], chosen)
        moved = label_graph(matrix[:, order], [str(i) for i in order], chosen)
        np.testing.assert_allclose(moved.normalized, plain.normalized[np.ix_(order, order)], rtol=1e-12)
