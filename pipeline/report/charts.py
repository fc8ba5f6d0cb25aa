"""Small line charts as SVG that takes its colours from the page, so that it follows light and dark."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

WIDTH, HEIGHT = 300, 176  # units of the drawing; about CSS pixels at full size
LEFT, RIGHT, TOP, BOTTOM = 36, 8, 10, 24


@dataclass(frozen=True)
class Line:
    """One line of a chart: ``css`` is the class that colours it, ``mark`` the x of a ringed point."""

    name: str
    css: str
    x: Sequence[float]
    y: Sequence[float]
    mark: float | None = None


def ticks(low: float, high: float, wanted: int = 4) -> list[float]:
    """Round values from at or below ``low`` to at or above ``high``, about ``wanted`` steps."""
    if high - low < 1e-6:  # a flat line, or differences that no chart shows
        high = low + 1.0
    raw = (high - low) / wanted
    size = 10.0 ** np.floor(np.log10(raw))
    step = float(next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= raw * 0.999))
    first = np.floor(low / step + 1e-9)
    last = np.ceil(high / step - 1e-9)
    return [round(float(step * index), 10) for index in np.arange(first, last + 1)]


def line_chart(lines: Sequence[Line], title: str, low: float, high: float, last_x: int, digits: int = 1) -> Markup:
    """A line chart over epochs 1 to ``last_x`` with the y axis covering ``low`` to ``high``.

    ``title`` is read out by screen readers; the numbers stand in the table beside the chart.
    """
    marks = ticks(low, high)
    bottom, top = marks[0], marks[-1]

    def at(x: float, y: float) -> tuple[float, float]:
        across = LEFT + (WIDTH - LEFT - RIGHT) * (x - 1) / max(last_x - 1, 1)
        up = HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (y - bottom) / (top - bottom)
        return round(across, 1), round(up, 1)

    parts = [f'<svg class="lines" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">']
    for value in marks:
        _, up = at(1, value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{up}" y2="{up}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{up + 3.5}" text-anchor="end">{value:.{digits}f}</text>')
    for epoch in sorted({1, last_x, *(round(value) for value in ticks(1, last_x) if 1 < value < last_x * 0.93)}):
        across, _ = at(epoch, bottom)
        parts.append(f'<text x="{across}" y="{HEIGHT - 7}" text-anchor="middle">{epoch}</text>')
    for line in lines:
        points = [at(x, y) for x, y in zip(line.x, line.y, strict=True) if np.isfinite(y)]
        path = " ".join(f"{x},{y}" for x, y in points)
        parts.append(f'<polyline class="line {escape(line.css)}" points="{path}"><title>{escape(line.name)}</title>')
        parts.append("</polyline>")
        parts += [_ring(at(x, y), line) for x, y in zip(line.x, line.y, strict=True) if x == line.mark]
    return Markup("".join(parts) + "</svg>")  # noqa: S704  # numbers, and texts that are escaped above


def _ring(point: tuple[float, float], line: Line) -> str:
    text = f"{line.name}: kept epoch {line.mark:g}"
    return f'<circle class="ring" cx="{point[0]}" cy="{point[1]}" r="4.5"><title>{escape(text)}</title></circle>'
