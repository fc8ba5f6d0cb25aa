"""Charts of values with intervals, one lane a row: positions in percent of a common axis."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.report.wording import missing

Figure = dict[str, Any]  # value, low, high: shares of 0 to 1, the ends may be missing


@dataclass(frozen=True)
class Lane:
    """A row of the chart: ``marks`` are (key of the mark, name, figure); a lane without any is a heading."""

    name: str
    marks: Sequence[tuple[str, str, Figure]] = ()
    note: str = ""  # small, after the name
    extra: dict[str, Any] = field(default_factory=dict)


def lane_plot(lanes: Sequence[Lane]) -> dict[str, Any] | None:
    """Lanes and ticks of a chart whose axis covers every interval; None without figures."""
    figures = [figure for lane in lanes for _, _, figure in lane.marks]
    ends = [float(figure[end]) for figure in figures for end in ("value", "low", "high") if not missing(figure[end])]
    if not ends:
        return None
    step = 0.1 if max(ends) - min(ends) > 0.25 else 0.05 if max(ends) - min(ends) > 0.06 else 0.01
    low, high = np.floor(min(ends) / step + 1e-9) * step, np.ceil(max(ends) / step - 1e-9) * step
    span = max(float(high - low), step)

    def at(value: Any) -> float:
        return round(100 * (float(value) - float(low)) / span, 2)

    rows = []
    for lane in lanes:
        marks = []
        for key, name, figure in lane.marks:
            left = at(figure["value"] if missing(figure["low"]) else figure["low"])
            right = at(figure["value"] if missing(figure["high"]) else figure["high"])
            place = {"at": at(figure["value"]), "left": left, "width": round(right - left, 2)}
            marks.append({"key": key, "name": name, "figure": figure} | place)
        rows.append({"name": lane.name, "note": lane.note, "marks": marks} | lane.extra)
    values = [float(low) + step * index for index in range(round(span / step) + 1)]
    return {"lanes": rows, "ticks": [{"at": at(value), "text": f"{100 * value:.0f}"} for value in values]}
