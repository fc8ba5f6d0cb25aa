"""The threshold of the label graph, chosen on the validation split from a sweep that people can look at.

With one main and few sub labels an image, ML-GCN's tau = 0.4 often leaves a star around the dominant label, or nothing.
So each threshold's graph is tried: a label branch is trained on it over features of a frozen backbone (see
``modeling.head_training``), and the mean of the five recalls on the validation split decides. Loads without torch.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from modeling.correlation import (
    TAUS,
    adjacency_of,
    binarize,
    conditional_probability,
    cooccurrence,
    tau_sweep,
    train_labels,
)
from modeling.errors import ModelingError
from modeling.label_sets import as_frame
from modeling.settings import GraphSettings, SweepSettings
from modeling.tables import TAU_SWEEP
from modeling.training_settings import BackboneSettings, TrainingSettings

if TYPE_CHECKING:
    from modeling.head_training import HeadComparison, HeadForm

USUAL_TAU = 0.4  # ML-GCN's; of thresholds that score the same, the nearest to it is taken


def choose_tau(
    data_set: pd.DataFrame,
    labels: Sequence[str],
    word_vectors: npt.NDArray[np.floating],
    graph: GraphSettings,
    sweep: SweepSettings,
    backbone: BackboneSettings,
    training: TrainingSettings,
    image_path: Callable[[str], Path],
    cache_dir: Path,
    progress: Callable[[int, int], None] | None = None,
) -> pa.Table:
    """Score the graph of each threshold on the validation split of a DATA_SET: a TAU_SWEEP table, lowest tau first.

    Thresholds are TAUS, and ``graph.tau`` where it is another number. Those that leave the same edges share one graph
    and its ``sweep.repeats`` trainings; without a graph (form ``identity``) all of them do. Best is the highest mean
    score over the seeds among graphs with an edge; the nearest to 0.4 among equals, then the lower. Chosen is the best,
    or ``graph.tau`` where that is a number. The test split is never read. Brings torch when it is called; ``progress``
    is told (done, of how many). Raises ModelingError that names a label without a train image, or a picture that can't
    be read.
    """
    from modeling.head_training import compare_heads

    rows, adjacencies = _graphs(data_set, labels, graph)
    compared = compare_heads(
        data_set,
        labels,
        word_vectors,
        [_form(adjacency, graph, training) for adjacency in adjacencies],
        sweep.epochs,
        sweep.repeats,
        backbone,
        training,
        image_path,
        cache_dir,
        progress,
    )
    return _table(rows, compared, graph, sweep.repeats)


def _graphs(
    data_set: pd.DataFrame, labels: Sequence[str], graph: GraphSettings
) -> tuple[pd.DataFrame, list[npt.NDArray[np.float64]]]:
    """A row for each threshold, and the normalised matrices (C, C) of the different graphs: ``graph`` counts from 1."""
    both, images = cooccurrence(train_labels(data_set, labels))
    conditional = conditional_probability(both, images, labels)
    fixed = () if graph.tau == "validation" else (graph.threshold,)
    rows = tau_sweep(conditional, images, sorted({*TAUS, *fixed})).assign(form=graph.form, p=graph.p)
    if graph.form == "identity":
        rows["graph"] = 1
    taus = rows.drop_duplicates("graph")["tau"]
    return rows, [adjacency_of(binarize(conditional, tau), graph)[1] for tau in taus]


def _form(adjacency: npt.NDArray[np.float64], graph: GraphSettings, training: TrainingSettings) -> "HeadForm":
    """The label branch over one graph."""
    from modeling.head_training import HeadForm

    return HeadForm("ml_gcn", training.graph.pooling, training.loss, adjacency, learned=graph.form == "learned")


def _table(rows: pd.DataFrame, compared: "HeadComparison", graph: GraphSettings, seeds: int) -> pa.Table:
    """The rows of ``_graphs`` with the results of their graphs."""
    results = [compared.results[number - 1] for number in rows["graph"]]
    rows["validation_score"] = [result.score for result in results]
    rows["spread"] = [result.spread for result in results]
    rows["seeds"] = seeds
    best = _best(rows)
    rows["best"] = rows["tau"] == best
    rows["chosen"] = rows["tau"] == (best if graph.tau == "validation" else graph.threshold)
    rows["scored_on"] = compared.source
    return pa.Table.from_pandas(rows[TAU_SWEEP.names], TAU_SWEEP, preserve_index=False).replace_schema_metadata(None)


def with_chosen_tau(graph: GraphSettings, sweep: pd.DataFrame | pa.Table) -> GraphSettings:
    """The graph settings with the threshold that a TAU_SWEEP table chose, always a number.

    Raises ModelingError when the sweep was made for another form, p or fixed threshold, or chose none.
    """
    rows = as_frame(sweep)
    chosen = [float(tau) for tau in rows.loc[rows["chosen"], "tau"]]
    if len(chosen) != 1 or graph.tau not in ("validation", chosen[0]):
        found = ", ".join(f"{tau:g}" for tau in chosen) or "none"
        raise ModelingError(f"graph.tau is {graph.tau}, but the sweep chose {found}: materialize tau_sweep anew")
    for key, wanted in (("form", graph.form), ("p", graph.p)):
        if (other := rows.loc[rows[key] != wanted, key]).size:
            raise ModelingError(
                f"graph.{key} is {wanted}, but the sweep was made with {other.iloc[0]}: materialize tau_sweep anew"
            )
    return graph.model_copy(update={"tau": chosen[0]})


def _best(rows: pd.DataFrame) -> float:
    """The threshold with the highest score, the nearest to 0.4 among equals, then the lower.

    A graph without an edge is none, and is taken only where no threshold leaves one: whoever wants none says identity.
    """
    joined = rows[rows["edges"] > 0]
    graphs = joined if len(joined) and rows["graph"].nunique() > 1 else rows
    distance = (graphs["tau"] - USUAL_TAU).abs().round(9)
    ranked = graphs.assign(distance=distance).sort_values(
        ["validation_score", "distance", "tau"], ascending=[False, True, True], kind="stable"
    )
    return float(ranked["tau"].iloc[0])
