"""The label graph of a label set: from counts or a data set to its matrices, their table, their health and their hash.

The formulas are in ``modeling.adjacency`` and are offered here too; ``equation_adjacency`` and
``reference_code_adjacency`` are for who has conditional probabilities and needs no table. A graph counts the train
images of the label set only, or takes counts that somebody published.
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

from modeling.adjacency import (
    Floats,
    Ints,
    adjacency_of,
    binarize,
    conditional_probability,
    cooccurrence,
    equation_adjacency,
    normalize,
    reference_code_adjacency,
    reference_code_normalize,
    reference_code_reweight,
    reweight,
)
from modeling.errors import ModelingError
from modeling.label_sets import as_frame, label_matrix
from modeling.settings import GraphSettings
from modeling.tables import CORRELATION_MATRIX

__all__ = [
    "TAUS",
    "GraphHealth",
    "LabelGraph",
    "adjacency_of",
    "binarize",
    "conditional_probability",
    "cooccurrence",
    "correlation_table",
    "equation_adjacency",
    "graph_from_counts",
    "graph_from_table",
    "graph_hash",
    "graph_health",
    "graph_problems",
    "graph_table",
    "label_graph",
    "normalize",
    "reference_code_adjacency",
    "reference_code_normalize",
    "reference_code_reweight",
    "reweight",
    "tau_sweep",
    "train_labels",
]

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


def label_graph(matrix: ArrayLike, labels: Sequence[str], settings: GraphSettings) -> LabelGraph:
    """All matrices of the label graph from the ``(images, C)`` bool label matrix of the TRAIN images.

    Raises ModelingError that names a label without a train image, or while ``settings.tau`` is still to be chosen.
    """
    both, images = cooccurrence(matrix)
    return graph_from_counts(both, images, labels, settings)


def graph_from_counts(both: ArrayLike, images: ArrayLike, labels: Sequence[str], settings: GraphSettings) -> LabelGraph:
    """All matrices of the label graph from counts, as ML-GCN's authors published them for VOC and COCO.

    ``both`` (C, C) counts the images that carry both labels (published as ``adj``; its diagonal is ignored) and
    ``images`` (C,) those that carry each label (``nums``), whole numbers as ints or floats. Where the published code
    divides by a sum plus 1e-6, the division here is exact: entries differ by less than 1e-6.

    Raises ModelingError for counts that do not fit the labels or are no counts, names a label without an image and a
    pair of labels whose counts can't be (not the same both ways, or more than the images of a label), and while
    ``settings.tau`` is still to be chosen.
    """
    tau = settings.threshold
    pairs = _counts(both, "both", (len(labels), len(labels)))
    np.fill_diagonal(pairs, 0)
    singles = _counts(images, "images", (len(labels),))
    conditional = conditional_probability(pairs, singles, labels)
    _check_pairs(pairs, singles, labels)
    binary = binarize(conditional, tau)
    reweighted, normalized = adjacency_of(binary, settings)
    return LabelGraph(tuple(labels), singles, pairs, conditional, binary, reweighted, normalized, settings)


def correlation_table(data_set: pd.DataFrame | pa.Table, labels: Sequence[str], settings: GraphSettings) -> pa.Table:
    """The label graph of a data set's train rows as a CORRELATION_MATRIX table, one row a cell; other rows are ignored.

    Raises ModelingError that names a label without a train image, or while ``settings.tau`` is still to be chosen.
    """
    return graph_table(label_graph(train_labels(data_set, labels), labels, settings))


def train_labels(data_set: pd.DataFrame | pa.Table, labels: Sequence[str]) -> NDArray[np.bool_]:
    """Which TRAIN image of a data set carries which label: ``(train images, C)`` bool; other rows are ignored."""
    rows = as_frame(data_set)
    rows = rows[rows["split"] == "train"]
    return label_matrix(rows["main"], rows["subs"], labels)


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
        "tau": [graph.settings.threshold] * size**2,
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


def graph_problems(graph: LabelGraph) -> list[str]:
    """What a person should know before trusting the graph, a sentence each: no edge at all, or only a star.

    Where the graph is left out on purpose (``identity``) or changes in training (``learned``) there is none.
    """
    health = graph_health(graph)
    at = f"at tau {graph.settings.threshold:g}"
    if graph.settings.form in ("identity", "learned"):
        return []
    if not health["edges"]:
        return [f"no edge {at}, so the graph does nothing; tau_sweep shows what lower thresholds leave"]
    if health["star_share"] == 1 and health["edges"] > 1:
        dominant = health["dominant"]
        return [f"every edge {at} points at {dominant}, a star; tau_sweep shows what lower thresholds leave"]
    return []


def tau_sweep(conditional: ArrayLike, images: ArrayLike, taus: Sequence[float] = TAUS) -> pd.DataFrame:
    """What each tau would leave of the graph, from P ``(C, C)`` and N ``(C,)``.

    Columns: tau, edges, isolated (labels without a neighbour), star_share (of the edges, those that point at the label
    with most images; 0 where there is no edge), graph (1, 2, ...; thresholds with the same number give the same edges).
    """
    dominant = int(np.asarray(images).argmax())
    rows = []
    graphs: dict[bytes, int] = {}
    for tau in taus:
        binary = binarize(conditional, tau)
        edges = int(binary.sum())
        star = int(binary[:, dominant].sum()) / edges if edges else 0.0
        isolated = int((~binary.any(axis=1)).sum())
        graph = graphs.setdefault(binary.tobytes(), len(graphs) + 1)
        rows.append({"tau": tau, "edges": edges, "isolated": isolated, "star_share": star, "graph": graph})
    return pd.DataFrame(rows, columns=["tau", "edges", "isolated", "star_share", "graph"])


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


def _check_pairs(both: Ints, images: Ints, labels: Sequence[str]) -> None:
    """Raise ModelingError that names the first pair of labels whose counts contradict each other."""
    uneven = np.argwhere(both != both.T)
    if len(uneven):
        row, column = uneven[0]
        raise ModelingError(
            f"counts 'both' say {both[row, column]} for {labels[row]!r} with {labels[column]!r} and "
            f"{both[column, row]} the other way round: give one number for both"
        )
    too_many = np.argwhere(both > images[:, None])
    if len(too_many):
        row, column = too_many[0]
        raise ModelingError(
            f"counts 'both' say {both[row, column]} images with {labels[row]!r} and {labels[column]!r}, but "
            f"counts 'images' only {images[row]} with {labels[row]!r}: correct one of them"
        )


def _counts(values: ArrayLike, name: str, shape: tuple[int, ...]) -> Ints:
    """Counts as int64; raises ModelingError for another shape, and for what is no whole number of at least 0."""
    given = np.asarray(values, dtype=np.float64)
    if given.shape != shape:
        raise ModelingError(f"counts {name!r} have the shape {given.shape}, but {shape[0]} labels need {shape}")
    if not np.isfinite(given).all() or (given < 0).any() or (given != np.rint(given)).any():
        raise ModelingError(f"counts {name!r} must be whole numbers of at least 0")
    return np.array(given, dtype=np.int64)
