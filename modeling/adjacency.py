"""From co-occurrence counts to the matrix that ML-GCN multiplies node features by, formula by formula.

Two forms stand side by side. ``equation`` follows the paper (Chen et al., CVPR 2019, equation 2 and the symmetric
normalisation); ``reference_code`` follows the published code, where rows and columns are swapped. ``identity`` is the
ablation without a graph, and ``learned`` starts as ``equation`` and is trained with the network.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modeling.errors import ModelingError
from modeling.settings import GraphSettings

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


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


def adjacency_of(binary: ArrayLike, settings: GraphSettings) -> tuple[Floats, Floats]:
    """A' and the normalised matrix of ``settings.form`` for the edges B, both ``(C, C)`` float64.

    ``learned`` gives what its training starts from: the matrices of ``equation``.
    """
    if settings.form == "identity":
        size = len(np.asarray(binary))
        return np.eye(size), np.eye(size)
    if settings.form == "reference_code":
        reweighted = reference_code_reweight(binary, settings.p)
        return reweighted, reference_code_normalize(reweighted)
    reweighted = reweight(binary, settings.p)
    return reweighted, normalize(reweighted)


def _without_diagonal(binary: ArrayLike) -> Floats:
    edges = np.array(binary, dtype=np.float64)
    np.fill_diagonal(edges, 0.0)
    return edges


def _divide(values: Floats, sums: Floats) -> Floats:
    return np.divide(values, sums, out=np.zeros_like(values), where=sums > 0)
