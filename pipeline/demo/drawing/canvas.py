"""Painting in figure units: smooth shapes filled with plain colours or fabrics, with simple shading.

The unit of length is one head of the figure. x grows to the figure's left hand side on the page (right of the page), y
grows downwards from the top of the head (0) to the soles (about 8.8). A ``View`` places those units on the page.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
Points = npt.NDArray[np.float64]  # (N, 2)


class Cloth(Protocol):
    """Anything that can fill an area of the page."""

    @property
    def base(self) -> Colour:
        """The colour under the pattern."""
        ...

    def sheet(self, width: int, height: int, scale: float) -> Image.Image:
        """An RGB picture of ``width`` x ``height`` pixels at ``scale`` pixels per head."""
        ...


Paint = Colour | Cloth


@dataclass(frozen=True)
class View:
    """Where the figure stands on the page: pixels = rotate(unit * scale) + origin."""

    scale: float  # pixels per head
    x: float  # pixel column of the figure's centre line
    y: float  # pixel row of the top of the head
    angle: float = 0.0  # radians, about the middle of the figure
    mirror: bool = False

    def pixels(self, points: Points) -> Points:
        """Page coordinates of (N, 2) points in figure units."""
        p = np.asarray(points, dtype=np.float64) - (0.0, 4.4)
        if self.mirror:
            p = p * (-1.0, 1.0)
        c, s = math.cos(self.angle), math.sin(self.angle)
        rotated = np.stack([p[:, 0] * c - p[:, 1] * s, p[:, 0] * s + p[:, 1] * c], axis=1)
        return rotated * self.scale + (self.x, self.y + 4.4 * self.scale)


def _basis(steps: int) -> Points:
    t = np.linspace(0.0, 1.0, steps, endpoint=False)[:, None]
    powers = np.concatenate([np.ones_like(t), t, t**2, t**3], axis=1)
    catmull_rom = np.array([[0, 2, 0, 0], [-1, 0, 1, 0], [2, -5, 4, -1], [-1, 3, -3, 1]]) / 2.0
    basis: Points = powers @ catmull_rom
    return basis


_BASIS = _basis(7)


def curve(points: Sequence[tuple[float, float]] | Points) -> Points:
    """A smooth open line through the points (Catmull-Rom), their ends included."""
    p = np.asarray(points, dtype=np.float64)
    if len(p) < 3:
        return p
    padded = np.concatenate([[2 * p[0] - p[1]], p, [2 * p[-1] - p[-2]]])
    windows = np.stack([padded[i : len(p) - 1 + i] for i in range(4)], axis=1)
    line = np.einsum("sk,nkd->nsd", _BASIS, windows).reshape(-1, 2)
    return np.concatenate([line, p[-1:]])


def closed(points: Sequence[tuple[float, float]] | Points) -> Points:
    """A smooth closed outline through the points."""
    p = np.asarray(points, dtype=np.float64)
    windows = np.stack([np.roll(p, 1 - i, axis=0) for i in range(4)], axis=1)
    line: Points = np.einsum("sk,nkd->nsd", _BASIS, windows).reshape(-1, 2)
    return line


def join(*pieces: Sequence[tuple[float, float]] | Points) -> Points:
    """One outline out of several lines, corners kept where they meet."""
    return np.concatenate([np.asarray(piece, dtype=np.float64).reshape(-1, 2) for piece in pieces])


def ellipse(x: float, y: float, rx: float, ry: float, angle: float = 0.0, steps: int = 28) -> Points:
    """Outline of an ellipse turned by ``angle`` radians."""
    t = np.linspace(0.0, 2 * math.pi, steps, endpoint=False)
    px, py = rx * np.cos(t), ry * np.sin(t)
    c, s = math.cos(angle), math.sin(angle)
    return np.stack([x + px * c - py * s, y + px * s + py * c], axis=1)


def limb(line: Points, widths: Sequence[float]) -> Points:
    """Outline of a tube along ``line`` whose half-widths run through ``widths`` at even distances."""
    line = np.asarray(line, dtype=np.float64)
    steps = np.hypot(*np.diff(line, axis=0).T)
    where = np.concatenate([[0.0], np.cumsum(steps)])
    where /= where[-1]
    half = np.interp(where, np.linspace(0.0, 1.0, len(widths)), widths)[:, None]
    tangent = np.gradient(line, axis=0)
    tangent /= np.maximum(np.hypot(tangent[:, 0], tangent[:, 1]), 1e-9)[:, None]
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
    return np.concatenate([line + normal * half, (line - normal * half)[::-1]])


def cut(line: Points, start: float, end: float) -> Points:
    """The part of a line between two shares of its length (0 to 1)."""
    line = np.asarray(line, dtype=np.float64)
    where = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    where /= where[-1]
    inner = where[(where > start) & (where < end)]
    at = np.concatenate([[start], inner, [end]])
    return np.stack([np.interp(at, where, line[:, 0]), np.interp(at, where, line[:, 1])], axis=1)


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """Colour between ``a`` (share 0) and ``b`` (share 1)."""
    return (
        round(a[0] + (b[0] - a[0]) * share),
        round(a[1] + (b[1] - a[1]) * share),
        round(a[2] + (b[2] - a[2]) * share),
    )


def darker(colour: Colour, share: float = 0.25) -> Colour:
    """The colour in shadow."""
    return mix(colour, (18, 12, 28), share)


def lighter(colour: Colour, share: float = 0.35) -> Colour:
    """The colour in light."""
    return mix(colour, (255, 252, 246), share)


def base_of(paint: Paint) -> Colour:
    """The colour that a paint has where it has no pattern."""
    return paint if isinstance(paint, tuple) else paint.base


class Canvas:
    """A page that is painted at a higher resolution than it is delivered in."""

    def __init__(self, width: int, height: int, view: View, ground: Colour = (255, 255, 255)) -> None:
        self.image = Image.new("RGB", (width, height), ground)
        self.draw = ImageDraw.Draw(self.image)
        self.view = view

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.image.size

    def fill(self, outline: Points, paint: Paint, shade: float = 0.0) -> None:
        """Fill an outline in figure units; ``shade`` darkens its right edge (0 to 1)."""
        points = self.view.pixels(outline)
        if isinstance(paint, tuple) and shade <= 0:
            self.draw.polygon(points.ravel().tolist(), fill=paint)
            return
        low = np.maximum(np.floor(points.min(axis=0)).astype(int), 0)
        high = np.minimum(np.ceil(points.max(axis=0)).astype(int) + 1, self.size)
        if (high <= low).any():
            return
        box = (int(low[0]), int(low[1]), int(high[0]), int(high[1]))
        width, height = box[2] - box[0], box[3] - box[1]
        flat = (points - low).ravel().tolist()
        if isinstance(paint, tuple):
            self.draw.polygon(points.ravel().tolist(), fill=paint)
        else:
            mask = Image.new("L", (width, height))
            ImageDraw.Draw(mask).polygon(flat, fill=255)
            self.image.paste(paint.sheet(width, height, self.view.scale), box, mask)
        if shade > 0:
            reach = self.view.scale * 0.13
            shadow = Image.new("L", (width, height))
            pen = ImageDraw.Draw(shadow)
            pen.polygon(flat, fill=round(255 * shade))
            pen.polygon((points - low - (reach, reach * 0.35)).ravel().tolist(), fill=0)
            self.image.paste((24, 14, 34), box, shadow)

    def veil(self, outline: Points, colour: Colour, opacity: float) -> None:
        """Lay a see-through colour over an outline in figure units."""
        points = self.view.pixels(outline)
        low = np.maximum(np.floor(points.min(axis=0)).astype(int), 0)
        high = np.minimum(np.ceil(points.max(axis=0)).astype(int) + 1, self.size)
        if (high <= low).any():
            return
        mask = Image.new("L", (int(high[0] - low[0]), int(high[1] - low[1])))
        ImageDraw.Draw(mask).polygon((points - low).ravel().tolist(), fill=round(255 * opacity))
        self.image.paste(colour, (int(low[0]), int(low[1])), mask)

    def line(self, points: Sequence[tuple[float, float]] | Points, colour: Colour, width: float) -> None:
        """Draw a line of ``width`` heads."""
        pixels = self.view.pixels(np.asarray(points, dtype=np.float64))
        self.draw.line(
            pixels.ravel().tolist(), fill=colour, width=max(1, round(width * self.view.scale)), joint="curve"
        )

    def dot(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """Draw a filled circle in figure units."""
        px, py = self.view.pixels(np.array([[x, y]]))[0]
        r = radius * self.view.scale
        self.draw.ellipse((px - r, py - r, px + r, py + r), fill=colour)
