"""How the models of one label set were trained: curves of every seed, and a row for each training."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from pipeline.report.charts import Line, line_chart
from pipeline.report.data import LabelSetResult, ModelResult, ReportData


@dataclass(frozen=True)
class _Run:
    """One training: a seed's rows of TRAINING_CURVES."""

    seed: int
    table: pd.DataFrame
    kept: bool  # the model that predicts
    temperature: float | None

    @property
    def best(self) -> "pd.Series[Any] | None":
        """The epoch whose weights were kept."""
        rows = self.table[self.table["best"]]
        return rows.iloc[0] if len(rows) else None

    @property
    def best_epoch(self) -> int | None:
        return None if self.best is None else int(self.best["epoch"])


def training_view(data: ReportData, result: LabelSetResult) -> dict[str, Any] | None:
    """A loss chart for each architecture on one scale, the validation scores of all in one, and the numbers."""
    trained = [(model, runs) for model in result.models if (runs := _runs(model))]
    if not trained:
        return None
    every = pd.concat([run.table for _, runs in trained for run in runs])
    last = int(every["epoch"].max())
    top = float(np.nanmax(every[["train_loss", "validation_loss"]].to_numpy(dtype=float)))
    charts, rows = [], []
    for model, runs in trained:
        name = data.display_name(model.architecture)
        title = f"{name}, {result.name}: train and validation loss by epoch"
        chart = line_chart(_losses(model, runs), title, 0.0, top, last, 2)
        charts.append({"name": name, "key": model.architecture, "svg": chart})
        rows.append(_rows(model, name, runs))
    return {
        "charts": charts,
        "temperatures": any(run.temperature is not None for _, runs in trained for run in runs),
        "scores": _scores(data, result, trained, last),
        "rows": rows,
        "several": any(len(runs) > 1 for _, runs in trained),
    }


def _runs(model: ModelResult) -> list[_Run]:
    """The trainings by seed, the kept one marked."""
    if model.curves is None:
        return []
    runs = None if model.seed_runs is None or model.seed_runs.empty else model.seed_runs.set_index("seed")
    temperatures = {} if runs is None else runs["temperature"].to_dict()
    parts = {int(seed): part for seed, part in model.curves.groupby("seed", sort=True)}
    kept = min(parts, default=0) if runs is None or not runs["kept"].any() else int(runs.index[runs["kept"]][0])
    return [_Run(seed, part, seed == kept, temperatures.get(seed)) for seed, part in parts.items()]


def _kept_last(runs: list[_Run]) -> list[_Run]:
    """The kept training is drawn over the others."""
    return sorted(runs, key=lambda run: run.kept)


def _losses(model: ModelResult, runs: list[_Run]) -> list[Line]:
    lines = []
    for run in _kept_last(runs):
        thin = "" if run.kept else " thin"
        epochs = run.table["epoch"].astype(float).tolist()
        named = f", seed {run.seed}" if len(runs) > 1 else ""
        lines.append(Line(f"train{named}", f"quiet{thin}", epochs, run.table["train_loss"].tolist()))
        mark = run.best_epoch if run.kept else None
        values = run.table["validation_loss"].tolist()
        lines.append(Line(f"validation{named}", f"a-{model.architecture}{thin}", epochs, values, mark))
    return lines


def _scores(
    data: ReportData, result: LabelSetResult, trained: list[tuple[ModelResult, list[_Run]]], last: int
) -> Markup:
    lines, values = [], []
    for model, runs in trained:
        for run in _kept_last(runs):
            named = f", seed {run.seed}" if len(runs) > 1 else ""
            score = [100 * float(value) for value in run.table["validation_score"]]
            values += score
            lines.append(
                Line(
                    data.display_name(model.architecture) + named,
                    f"a-{model.architecture}" + ("" if run.kept else " thin"),
                    run.table["epoch"].astype(float).tolist(),
                    score,
                    run.best_epoch if run.kept else None,
                    model.architecture,
                )
            )
    title = f"{result.name}: mean of the five recalls on the validation split by epoch, %"
    return line_chart(lines, title, float(np.nanmin(values)), float(np.nanmax(values)), last, 0)


def _rows(model: ModelResult, name: str, runs: list[_Run]) -> dict[str, Any]:
    """The trainings of one architecture, and the mean and spread of their validation scores."""
    scores = [float(run.best["validation_score"]) for run in runs if run.best is not None]
    return {
        "key": model.architecture,
        "name": name,
        "runs": [_row(run) for run in runs],
        "mean": float(np.mean(scores)) if len(scores) > 1 else None,
        "spread": float(np.std(scores, ddof=1)) if len(scores) > 1 else None,
    }


def _row(run: _Run) -> dict[str, Any]:
    best = run.best
    figures = ("train_loss", "validation_loss", "validation_score")
    return {
        "seed": run.seed,
        "kept": run.kept,
        "epochs": len(run.table),
        "best": run.best_epoch,
        "temperature": run.temperature,
        "seconds": float(run.table["seconds"].sum()),
        **{name: None if best is None else float(best[name]) for name in figures},
    }
