"""Charts of the label graph: the sweep over tau and the ablation."""

import io
import itertools

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from modeling import figures_graph
from modeling.charts import ORANGE, PURPLE
from modeling.correlation import tau_sweep


def color(name):
    return tuple(int(name[at : at + 2], 16) for at in (1, 3, 5))


def picture(png):
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    return Image.open(io.BytesIO(png)).convert("RGB")


def sweep(spread=0.01):
    rows = tau_sweep(np.array([[0, 0.5, 0.1], [0.3, 0, 0.2], [0.6, 0.3, 0]]), [9, 5, 3])
    rows["validation_score"] = 0.6 + 0.02 * rows["graph"]
    rows["spread"] = np.nan if spread is None else spread
    rows["seeds"] = 1 if spread is None else 3
    rows["best"] = rows["chosen"] = rows["tau"] == 0.65
    return rows


def ablation(losses=("bce", "focal", "asymmetric", "class_balanced"), seeds=2):
    graphs = [("identity", None), *itertools.product(("equation", "reference_code", "learned"), (0.1, 0.4))]
    cells = list(itertools.product(graphs, ("max", "average"), losses))
    scores = np.linspace(0.7, 0.6, len(cells))
    rows = [
        {"form": form, "tau": tau, "pooling": pooling, "loss": loss, "edges": 0 if tau is None else 5}
        for (form, tau), pooling, loss in cells
    ]
    spread = np.nan if seeds == 1 else 0.004
    return pd.DataFrame(rows).assign(validation_score=scores, spread=spread, seeds=seeds, rank=range(1, len(cells) + 1))


CHARTS = {
    "sweep": lambda: figures_graph.tau_sweep(sweep()),
    "sweep with one seed": lambda: figures_graph.tau_sweep(sweep(spread=None)),
    "sweep with one graph": lambda: figures_graph.tau_sweep(sweep().assign(graph=1, edges=0, star_share=0.0)),
    "ablation": lambda: figures_graph.ablation(ablation()),
    "ablation of few": lambda: figures_graph.ablation(ablation(("bce",), seeds=1).head(3)),
}


@pytest.mark.parametrize("name", CHARTS)
def test_chart_is_a_png_of_readable_size_and_the_same_every_time(name):
    png = CHARTS[name]()
    image = picture(png)
    assert 200 <= image.width <= 1600
    assert 150 <= image.height <= 1600
    assert len(image.getcolors(image.width * image.height)) > 5, "something is drawn"
    assert png == CHARTS[name]()


def test_the_sweep_shows_scores_and_what_was_chosen():
    shown = figures_graph.tau_sweep(sweep())
    assert color(PURPLE) in picture(shown).get_flattened_data()
    assert figures_graph.tau_sweep(sweep().assign(chosen=False)) != shown
    assert figures_graph.tau_sweep(sweep(spread=0.002)) != shown, "the spread between the seeds is drawn"


def test_the_ablation_shows_means_and_the_order_of_rows_does_not_matter():
    table = ablation()
    shown = figures_graph.ablation(table)
    assert color(ORANGE) in picture(shown).get_flattened_data()
    assert figures_graph.ablation(table.sample(frac=1, random_state=0)) == shown
