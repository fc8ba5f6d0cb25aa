"""The ablation: every form of the label branch on a small budget, so that one sees what each choice is worth.

Adjacency form x tau x global pooling x loss, each trained with several seeds over features of a frozen backbone (see
``modeling.head_training``) and ranked by the validation split. Loads without torch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from modeling.correlation import adjacency_of, binarize, conditional_probability, cooccurrence, train_labels
from modeling.settings import AblationSettings, GraphForm, GraphSettings
from modeling.tables import ABLATION
from modeling.training_settings import BackboneSettings, LossName, Pooling, TrainingSettings

if TYPE_CHECKING:
    from modeling.head_training import HeadComparison


@dataclass(frozen=True)
class AblationGraph:
    """One adjacency of the ablation."""

    form: GraphForm
    tau: float | None  # None where there is no graph
    edges: int
    adjacency: npt.NDArray[np.float64]  # normalised, (C, C)


_Cell = tuple[AblationGraph, Pooling, LossName]


def ablate(
    data_set: pd.DataFrame,
    labels: Sequence[str],
    word_vectors: npt.NDArray[np.floating],
    graph: GraphSettings,
    ablation: AblationSettings,
    backbone: BackboneSettings,
    training: TrainingSettings,
    image_path: Callable[[str], Path],
    cache_dir: Path,
    progress: Callable[[int, int], None] | None = None,
) -> pa.Table:
    """Train and rank every form of the label branch on a DATA_SET: an ABLATION table, best first.

    Of ``graph`` only p counts; forms, thresholds, poolings and losses are those of ``ablation``, everything else is
    the run's ``training``. Equal scores stand in the order of the settings. The test split is never read. Brings torch
    when it is called; ``progress`` is told (done, of how many). Raises ModelingError that names a label without a
    train image, or a picture that can't be read.
    """
    from modeling.head_training import HeadForm, compare_heads

    graphs = ablation_graphs(data_set, labels, graph, ablation)
    cells = list(product(graphs, ablation.poolings, ablation.losses))
    compared = compare_heads(
        data_set,
        labels,
        word_vectors,
        [HeadForm("ml_gcn", pooling, loss, part.adjacency, part.form == "learned") for part, pooling, loss in cells],
        ablation.epochs,
        ablation.repeats,
        backbone,
        training,
        image_path,
        cache_dir,
        progress,
    )
    return pa.Table.from_pylist(_ranked(cells, compared, ablation.repeats), ABLATION)


def _ranked(cells: Sequence[_Cell], compared: "HeadComparison", seeds: int) -> list[dict[str, Any]]:
    """Rows of the table, best first; ``compared`` has a result for each of the cells."""
    scores = np.array([result.score for result in compared.results])
    rows = []
    for rank, at in enumerate(np.argsort(-scores, kind="stable").tolist(), start=1):
        (part, pooling, loss), result = cells[at], compared.results[at]
        row = {"form": part.form, "tau": part.tau, "edges": part.edges, "pooling": pooling, "loss": loss}
        row |= {"validation_score": result.score, "spread": result.spread, "seeds": seeds}
        rows.append(row | {"seconds": result.seconds, "rank": rank, "scored_on": compared.source})
    return rows


def ablation_graphs(
    data_set: pd.DataFrame, labels: Sequence[str], graph: GraphSettings, ablation: AblationSettings
) -> list[AblationGraph]:
    """The adjacencies to compare, in the order of the settings.

    What comes to the same matrix is compared once, under the name that comes first: thresholds that leave the same
    edges, a graph without an edge and ``identity``, a graph of all edges in both directions and its reference code.
    ``learned`` is on its own, as training changes its matrix.
    """
    both, images = cooccurrence(train_labels(data_set, labels))
    conditional = conditional_probability(both, images, labels)
    graphs: list[AblationGraph] = []
    seen: set[tuple[bool, bytes]] = set()
    for form, tau in product(dict.fromkeys(ablation.forms), ablation.taus):
        binary = binarize(conditional, tau)
        adjacency = adjacency_of(binary, graph.model_copy(update={"form": form}))[1]
        content = (form == "learned", (adjacency.round(9) + 0.0).tobytes())
        if content in seen:
            continue
        seen.add(content)
        if form == "identity":
            graphs.append(AblationGraph(form, None, 0, adjacency))
        else:
            graphs.append(AblationGraph(form, tau, int(binary.sum()), adjacency))
    return graphs
