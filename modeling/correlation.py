"""The label graph: co-occurrence counts, conditional probabilities, binary correlation, adjacency.

Two forms of the adjacency stand side by side. ``equation`` follows the paper (ML-GCN, CVPR 2019, equation 2 and the
symmetric normalisation); ``reference_code`` follows the published code, where rows and columns are swapped.
``identity`` is the ablation without a graph. All count train images of the label set only.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from modeling.errors import ModelingError
from modeling.label_sets import as_frame, label_matrix
from modeling.settings import GraphSettings
from modeling.tables import CORRELATION_MATRIX

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TAUS = tuple(step / 20 for step in range(1, 20))
"""Thresholds of a sweep: 0.05, 0.10, ... 0.95."""


@dataclass(frozen=True)
class LabelGraph:
    """The matrices of one label set, in label order; C labels."""

    labels: tuple[str, ...]
    images: Ints  # N: train images that carry each label, (C,)
    both: Ints  # M: train images that carry both, diagonal 0, (C, C)
    conditional: Floats  # P[i, j] = P(label j | label i), (C, C)
    binary: NDArray[np.int8]  # B, diagonal 0, (C, C)
    reweighted: Floats  # A' of the form, (C, C)
    normalized: Floats  # what the graph network multiplies node features by, (C, C)
    settings: GraphSettings

    @property
    def isolated(self) -> tuple[str, ...]:
        """Labels without a neighbour: their row of B is empty."""
        return tuple(label for label, row in zip(self.labels, self.binary, strict=True) if not row.any())


class GraphHealth(TypedDict):
    """What people check a label graph for."""

    edges: int
    isolated: list[str]  # labels without a neighbour
    dominant: str  # the label with most train images, the first of equals
    edges_to_dominant: int
    star_share: float  # share of the edges that point at the dominant label; 0 where there is no edge


def cooccurrence(matrix: ArrayLike) -> tuple[Ints, Ints]:
    """Counts from a ``(images, C)`` bool label matrix: M ``(C, C)`` int64 with diagonal 0, and N ``(C,)`` int64."""
    carried = np.asarray(matrix, dtype=np.bool_).astype(np.int64)
    both = carried.T @ carried
    images = np.diagonal(both).copy()
    np.fill_diagonal(both, 0)
    return both, images


def conditional_probability(both: ArrayLike, images: ArrayLike, labels: Sequence[str]) -> Floats:
    """P[i, j] = M[i, j] / N[i], ``(C, C)`` float64.

    Raises ModelingError that names every label without a train image.
    """
    counts = np.asarray(images, dtype=np.int64)
    empty = [label for label, count in zip(labels, counts, strict=True) if count == 0]
    if empty:
        names = ", ".join(repr(label) for label in empty)
        raise ModelingError(
            f"no train image carries label {names}: take it out of the label set, or label more images that carry it"
        )
    return np.asarray(np.asarray(both, dtype=np.float64) / counts[:, None])


def binarize(conditional: ArrayLike, tau: float) -> NDArray[np.int8]:
    """B[i, j] = 1 if P[i, j] >= tau else 0, with diagonal 0: ``(C, C)`` int8."""
    binary = (np.asarray(conditional, dtype=np.float64) >= tau).astype(np.int8)
    np.fill_diagonal(binary, 0)
    return binary


def reweight(binary: ArrayLike, p: float) -> Floats:
    """A' of ML-GCN's equation 2, ``(C, C)`` float64: neighbours share p, the diagonal is 1 - p.

    A row without a neighbour has zeros off the diagonal.
    """
    edges = _without_diagonal(binary)
    shared = p * _divide(edges, edges.sum(axis=1, keepdims=True))
    np.fill_diagonal(shared, 1.0 - p)
    return shared


def normalize(adjacency: ArrayLike) -> Floats:
    """D^-1/2 A D^-1/2 with D the row sums of A, ``(C, C)`` float64."""
    matrix = np.asarray(adjacency, dtype=np.float64)
    scale: Floats = 1.0 / np.sqrt(matrix.sum(axis=1))
    return np.asarray(scale[:, None] * matrix * scale[None, :])


def reference_code_reweight(binary: ArrayLike, p: float) -> Floats:
    """A of the published ML-GCN code, ``(C, C)`` float64: p/(1-p) times B over its COLUMN sums, plus the identity.

    At p = 0.2 the factor is the code's 0.25. A column without an edge stays zero off the diagonal.
    """
    edges = _without_diagonal(binary)
    return p / (1.0 - p) * _divide(edges, edges.sum(axis=0, keepdims=True)) + np.eye(len(edges))


def reference_code_normalize(adjacency: ArrayLike) -> Floats:
    """D Aᵀ D with D = (row sums of A)^-1/2, as the published code propagates, ``(C, C)`` float64."""
    return normalize(adjacency).T.copy()  # (D A D)ᵀ = D Aᵀ D, D being diagonal


def reference_code_adjacency(conditional: ArrayLike, tau: float, p: float) -> Floats:
    """The matrix that the published code multiplies node features by, from P: ``(C, C)`` float64."""
    return reference_code_normalize(reference_code_reweight(binarize(conditional, tau), p))


def equation_adjacency(conditional: ArrayLike, tau: float, p: float) -> Floats:
    """The matrix of the paper's equations, from P: ``(C, C)`` float64."""
    return normalize(reweight(binarize(conditional, tau), p))


def label_graph(matrix: ArrayLike, labels: Sequence[str], settings: GraphSettings) -> LabelGraph:
    """All matrices of the label graph from the ``(images, C)`` bool label matrix of the TRAIN images.

    Raises ModelingError that names a label without a train image.
    """
    both, images = cooccurrence(matrix)
    conditional = conditional_probability(both, images, labels)
    binary = binarize(conditional, settings.tau)
    if settings.form == "equation":
        reweighted = reweight(binary, settings.p)
        normalized = normalize(reweighted)
    elif settings.form == "reference_code":
        reweighted = reference_code_reweight(binary, settings.p)
        normalized = reference_code_normalize(reweighted)
    else:
        reweighted = np.eye(len(images))
        normalized = np.eye(len(images))
    return LabelGraph(tuple(labels), images, both, conditional, binary, reweighted, normalized, settings)


def correlation_table(data_set: pd.DataFrame | pa.Table, labels: Sequence[str], settings: GraphSettings) -> pa.Table:
    """The label graph of a data set's train rows as a CORRELATION_MATRIX table, one row a cell; other rows are ignored.

    Raises ModelingError that names a label without a train image.
    """
    rows = as_frame(data_set)
    rows = rows[rows["split"] == "train"]
    return graph_table(label_graph(label_matrix(rows["main"], rows["subs"], labels), labels, settings))


def graph_table(graph: LabelGraph) -> pa.Table:
    """A label graph as a CORRELATION_MATRIX table: C x C rows, row by row."""
    size = len(graph.labels)
    row, column = (index.ravel() for index in np.indices((size, size)))
    names = np.array(graph.labels, dtype=object)
    isolated = np.asarray(~graph.binary.any(axis=1))
    columns = {
        "row": row,
        "column": column,
        "row_label": names[row],
        "column_label": names[column],
        "images_row": graph.images[row],
        "images_both": graph.both.ravel(),
        "conditional": graph.conditional.ravel(),
        "binary": graph.binary.ravel(),
        "reweighted": graph.reweighted.ravel(),
        "normalized": graph.normalized.ravel(),
        "row_isolated": isolated[row],
        "form": [graph.settings.form] * size**2,
        "tau": [graph.settings.tau] * size**2,
        "p": [graph.settings.p] * size**2,
    }
    return pa.table([pa.array(columns[field.name], field.type) for field in CORRELATION_MATRIX], CORRELATION_MATRIX)


def graph_from_table(table: pd.DataFrame | pa.Table) -> LabelGraph:
    """The label graph that a CORRELATION_MATRIX table holds, whatever the order of its rows.

    Raises ModelingError when the table is not one whole square matrix.
    """
    rows = as_frame(table).sort_values(["row", "column"], kind="stable")
    size = int(rows["row"].max()) + 1 if len(rows) else 0
    expected = [index.ravel() for index in np.indices((size, size))]
    if (
        size == 0
        or len(rows) != size**2
        or any((rows[n] != e).any() for n, e in zip(("row", "column"), expected, strict=True))
    ):
        raise ModelingError("the correlation matrix is not one whole square matrix: make it anew from the data set")
    square = {name: rows[name].to_numpy().reshape(size, size) for name in rows.columns}
    first = rows.iloc[0]
    return LabelGraph(
        labels=tuple(str(label) for label in square["row_label"][:, 0]),
        images=square["images_row"][:, 0].astype(np.int64),
        both=square["images_both"].astype(np.int64),
        conditional=square["conditional"].astype(np.float64),
        binary=square["binary"].astype(np.int8),
        reweighted=square["reweighted"].astype(np.float64),
        normalized=square["normalized"].astype(np.float64),
        settings=GraphSettings(form=first["form"], tau=float(first["tau"]), p=float(first["p"])),
    )


def adjacency_from_table(table: pd.DataFrame | pa.Table) -> tuple[list[str], Floats]:
    """Label list and the matrix that the graph network multiplies by, ``(C, C)`` float64."""
    graph = graph_from_table(table)
    return list(graph.labels), graph.normalized


def graph_health(graph: LabelGraph | pd.DataFrame | pa.Table) -> GraphHealth:
    """Edges, isolated labels, and how much the graph is a star around its dominant label."""
    known = graph if isinstance(graph, LabelGraph) else graph_from_table(graph)
    edges = int(known.binary.sum())
    to_dominant = int(known.binary[:, int(known.images.argmax())].sum())
    return GraphHealth(
        edges=edges,
        isolated=list(known.isolated),
        dominant=known.labels[int(known.images.argmax())],
        edges_to_dominant=to_dominant,
        star_share=to_dominant / edges if edges else 0.0,
    )


def tau_sweep(conditional: ArrayLike, images: ArrayLike, taus: Sequence[float] = TAUS) -> pd.DataFrame:
    """What each tau would leave of the graph, from P ``(C, C)`` and N ``(C,)``.

    Columns: tau, edges, isolated (labels without a neighbour), star_share (of the edges, those that point at the label
    with most images; 0 where there is no edge).
    """
    dominant = int(np.asarray(images).argmax())
    rows = []
    for tau in taus:
        binary = binarize(conditional, tau)
        edges = int(binary.sum())
        star = int(binary[:, dominant].sum()) / edges if edges else 0.0
        rows.append({"tau": tau, "edges": edges, "isolated": int((~binary.any(axis=1)).sum()), "star_share": star})
    return pd.DataFrame(rows, columns=["tau", "edges", "isolated", "star_share"])


def graph_hash(graph: LabelGraph | pd.DataFrame | pa.Table) -> str:
    """Hex sha256 of label list, train counts, settings and the normalised matrix: what a model card refers to."""
    known = graph if isinstance(graph, LabelGraph) else graph_from_table(graph)
    content = {
        "labels": known.labels,
        "images": known.images.tolist(),
        "both": known.both.tolist(),
        "settings": known.settings.model_dump(),
        "normalized": known.normalized.tolist(),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _without_diagonal(binary: ArrayLike) -> Floats:
    edges = np.array(binary, dtype=np.float64)
    np.fill_diagonal(edges, 0.0)
    return edges


def _divide(values: Floats, sums: Floats) -> Floats:
    return np.divide(values, sums, out=np.zeros_like(values), where=sums > 0)
