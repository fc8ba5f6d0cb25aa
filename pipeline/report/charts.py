"""Small charts as SVG that take their colours from the page, so that they follow light and dark."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

WIDTH, HEIGHT = 300, 176  # units of the drawing; about CSS pixels at full size
LEFT, RIGHT, TOP, BOTTOM = 36, 12, 10, 24
SHAPES = {  # outlines about (0, 0), the same as the page's marks; any other architecture is a dot
    "basic_cnn": "M-4,-4H4V4H-4Z",
    "backbone_max": "M0,-5.4L5.4,0L0,5.4L-5.4,0Z",
    "ml_gcn": "M0,-5L5,4.4H-5Z",
    "csra": "M-1.7,-5H1.7V-1.7H5V1.7H1.7V5H-1.7V1.7H-5V-1.7H-1.7Z",
    "linear_probe": "M0,5L5,-4.4H-5Z",
}


@dataclass(frozen=True)
class Line:
    """One line of a chart: ``css`` is the class that colours it, ``mark`` the x of a marked point.

    The mark is a ring, or the shape of the architecture that ``shape`` names.
    """

    name: str
    css: str
    x: Sequence[float]
    y: Sequence[float]
    mark: float | None = None
    shape: str | None = None


class Chart:
    """A chart being drawn: ``x`` and ``y`` are the ends of its axes, ``title`` is read out by screen readers."""

    def __init__(
        self, title: str, x: tuple[float, float], y: tuple[float, float], width: int = WIDTH, height: int = HEIGHT
    ) -> None:
        self._x, self._y, self._width, self._height = x, y, width, height
        self._parts = [f'<svg class="lines" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">']

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a value lies in the drawing."""
        across = LEFT + (self._width - LEFT - RIGHT) * (x - self._x[0]) / ((self._x[1] - self._x[0]) or 1)
        up = self._height - BOTTOM - (self._height - TOP - BOTTOM) * (y - self._y[0]) / ((self._y[1] - self._y[0]) or 1)
        return round(float(across), 1), round(float(up), 1)

    def y_axis(self, values: Sequence[float], digits: int) -> None:
        """Lines across the chart, with their values."""
        for value in values:
            _, up = self.at(self._x[0], value)
            self._parts.append(f'<line class="grid" x1="{LEFT}" x2="{self._width - RIGHT}" y1="{up}" y2="{up}"/>')
            self._parts.append(f'<text x="{LEFT - 6}" y="{up + 3.5}" text-anchor="end">{value:.{digits}f}</text>')

    def x_axis(self, values: Sequence[float], digits: int = 0) -> None:
        """Values below the chart."""
        for value in values:
            across, _ = self.at(value, self._y[0])
            text = f"{value:.{digits}f}"
            self._parts.append(f'<text x="{across}" y="{self._height - 7}" text-anchor="middle">{text}</text>')

    def x_labels(self, labels: Sequence[tuple[float, str]]) -> None:
        """Texts below the chart; those at its ends stay inside of it."""
        for x, text in labels:
            across, _ = self.at(x, self._y[0])
            anchor = "start" if x == self._x[0] else "end" if x == self._x[1] else "middle"
            self._parts.append(
                f'<text x="{across}" y="{self._height - 7}" text-anchor="{anchor}">{escape(text)}</text>'
            )

    def band(self, css: str, x: Sequence[float], low: Sequence[float], high: Sequence[float], name: str) -> None:
        """The area between two lines."""
        points = [self.at(*point) for point in zip([*x, *reversed(x)], [*low, *reversed(high)], strict=True)]
        path = " ".join(f"{across},{up}" for across, up in points)
        self._parts.append(
            f'<polygon class="band {escape(css)}" points="{path}"><title>{escape(name)}</title></polygon>'
        )

    def upright(self, x: float, css: str) -> None:
        """A line from top to bottom."""
        (across, bottom), (_, top) = self.at(x, self._y[0]), self.at(x, self._y[1])
        self._parts.append(f'<line class="{escape(css)}" x1="{across}" x2="{across}" y1="{top}" y2="{bottom}"/>')

    def whisker(self, x: float, low: float, high: float, css: str) -> None:
        """A line between two values."""
        (across, bottom), (_, top) = self.at(x, low), self.at(x, high)
        self._parts.append(f'<line class="span {escape(css)}" x1="{across}" x2="{across}" y1="{top}" y2="{bottom}"/>')

    def line(self, css: str, x: Sequence[float], y: Sequence[float], name: str) -> None:
        """A line through points; one that is not a number is left out."""
        points = [self.at(*point) for point in zip(x, y, strict=True) if np.isfinite(point[1])]
        path = " ".join(f"{across},{up}" for across, up in points)
        self._parts.append(f'<polyline class="line {escape(css)}" points="{path}"><title>{escape(name)}</title>')
        self._parts.append("</polyline>")

    def circle(self, css: str, x: float, y: float, radius: float, name: str) -> None:
        """A dot or ring."""
        across, up = self.at(x, y)
        self._parts.append(f'<circle class="{escape(css)}" cx="{across}" cy="{up}" r="{radius:.1f}">')
        self._parts.append(f"<title>{escape(name)}</title></circle>")

    def shape(self, architecture: str, x: float, y: float, name: str) -> None:
        """The mark of an architecture, as in the legends."""
        if architecture not in SHAPES:
            self.circle(f"spot a-{architecture}", x, y, 4.4, name)
            return
        across, up = self.at(x, y)
        self._parts.append(f'<path class="spot a-{escape(architecture)}" transform="translate({across} {up})" ')
        self._parts.append(f'd="{SHAPES[architecture]}"><title>{escape(name)}</title></path>')

    def svg(self) -> Markup:
        """The chart as it stands."""
        return Markup("".join(self._parts) + "</svg>")  # noqa: S704  # numbers, and texts that are escaped above


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

    The numbers stand in the table beside the chart. Lines are drawn in the order given, all marks above them.
    """
    marks = ticks(low, high)
    chart = Chart(title, (1, last_x), (marks[0], marks[-1]))
    chart.y_axis(marks, digits)
    chart.x_axis(sorted({1, last_x, *(round(value) for value in ticks(1, last_x) if 1 < value < last_x * 0.93)}))
    for line in lines:
        chart.line(line.css, line.x, line.y, line.name)
    for line in lines:
        for x, y in zip(line.x, line.y, strict=True):
            if x == line.mark and np.isfinite(y):
                _mark(chart, line, x, y)
    return chart.svg()


def _mark(chart: Chart, line: Line, x: float, y: float) -> None:
    text = f"{line.name}: kept epoch {x:g}"
    if line.shape is None:
        chart.circle("ring", x, y, 4.5, text)
    else:
        chart.shape(line.shape, x, y, text)
