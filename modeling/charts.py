"""What every chart of the package shares: its colours, a figure in the plain style, and its bytes.

matplotlib is imported when the first chart is drawn, so that importing this module costs nothing.
"""

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours: told apart with every common kind of colour blindness. Markers differ too.
BLUE, ORANGE, GREEN, PURPLE, INK, GREY = "#0072b2", "#d55e00", "#009e73", "#aa4499", "#1f2933", "#8a94a0"
SERIES = ((GREY, "s"), (BLUE, "o"), (GREEN, "D"), (ORANGE, "^"), (PURPLE, "v"), (INK, "P"))
DPI = 110  # dots per inch of every chart
WIDE_FONTS = ("Noto Sans CJK KR", "Noto Sans CJK JP", "NanumGothic", "Malgun Gothic", "Apple SD Gothic Neo")


@contextmanager
def chart(width: float, height: float) -> Iterator["Figure"]:
    """A figure of so many inches on the Agg canvas, in the project's plain style."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.font_manager import fontManager

    installed = set(fontManager.get_font_names())
    style: dict[Any, Any] = {
        "font.family": ["DejaVu Sans", *(name for name in WIDE_FONTS if name in installed)],
        "font.size": 9,
        "text.parse_math": False,  # a label may hold a dollar sign
        "text.color": INK,
        "axes.edgecolor": "#c5ccd3",
        "axes.labelcolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
    }
    with matplotlib.rc_context(style), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        yield figure


def png(figure: "Figure") -> bytes:
    """The drawn figure as PNG bytes, without a date or a program's name."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def titled(axes: "Axes", title: str, x: str, y: str) -> None:
    """Title at the left, axis names and a pale grid."""
    axes.set_title(title, loc="left", fontsize=10)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(axis="both", color="#e4e8ec", lw=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def styles(count: int) -> Sequence[tuple[str, str]]:
    """Colour and marker of each of so many series."""
    return [SERIES[index % len(SERIES)] for index in range(count)]
