"""The threshold of the label graph, chosen on the validation split from a sweep that people can look at.

With one main and few sub labels an image, ML-GCN's tau = 0.4 often leaves a star around the dominant label, or nothing.
So each threshold's graph is tried: a label branch is trained on it over features of a frozen backbone (see
``modeling.head_training``), and the mean of the five recalls on the validation split decides. Loads without torch.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

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
    score over the seeds; the nearest to 0.4 among equals, then the lower. Chosen is the best, or ``graph.tau`` where
    that is a number. The test split is never read. Brings torch when it is called; ``progress`` is told (done, of how
    many). Raises ModelingError that names a label without a train image, or a picture that can't be read.
    """
    from modeling.head_training import HeadForm, compare_heads

    both, images = cooccurrence(train_labels(data_set, labels))
    conditional = conditional_probability(both, images, labels)
    fixed = () if graph.tau == "validation" else (graph.threshold,)
    rows = tau_sweep(conditional, images, sorted({*TAUS, *fixed}))
    if graph.form == "identity":
        rows["graph"] = 1
    forms = [
        HeadForm(
            architecture="ml_gcn",
            pooling=training.graph.pooling,
            loss=training.loss,
            adjacency=adjacency_of(binarize(conditional, tau), graph)[1],
            learned=graph.form == "learned",
        )
        for tau in rows.drop_duplicates("graph")["tau"]
    ]
    compared = compare_heads(
        data_set,
        labels,
        word_vectors,
        forms,
        sweep.epochs,
        sweep.repeats,
        backbone,
        training,
        image_path,
        cache_dir,
        progress,
    )
    number = rows["graph"].to_numpy() - 1
    rows["validation_score"] = np.array([result.score for result in compared.results])[number]
    rows["spread"] = [compared.results[at].spread for at in number]
    rows["seeds"] = sweep.repeats
    rows["best"] = rows["tau"] == _best(rows)
    rows["chosen"] = rows["tau"] == (fixed[0] if fixed else _best(rows))
    rows["scored_on"] = compared.source
    return pa.Table.from_pandas(rows[TAU_SWEEP.names], TAU_SWEEP, preserve_index=False).replace_schema_metadata(None)


def with_chosen_tau(graph: GraphSettings, sweep: pd.DataFrame | pa.Table) -> GraphSettings:
    """The graph settings with the threshold that a TAU_SWEEP table chose, always a number.

    Raises ModelingError when the sweep was made for another fixed threshold, or chose none.
    """
    rows = as_frame(sweep)
    chosen = [float(tau) for tau in rows.loc[rows["chosen"], "tau"]]
    if len(chosen) != 1 or graph.tau not in ("validation", chosen[0]):
        found = ", ".join(f"{tau:g}" for tau in chosen) or "none"
        raise ModelingError(f"graph.tau is {graph.tau}, but the sweep chose {found}: materialize tau_sweep anew")
    return graph.model_copy(update={"tau": chosen[0]})


def _best(rows: pd.DataFrame) -> float:
    """The threshold with the highest score, the nearest to 0.4 among equals, then the lower."""
    distance = (rows["tau"] - USUAL_TAU).abs().round(9)
    ranked = rows.assign(distance=distance).sort_values(
        ["validation_score", "distance", "tau"], ascending=[False, True, True], kind="stable"
    )
    return float(ranked["tau"].iloc[0])
