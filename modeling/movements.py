"""Whether a style rises or falls: a line through its shares by window, and a test of its slope."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from modeling.following import Floats, Ints
from modeling.paired_tests import holm

RISING, FALLING, STEADY = "rising", "falling", "steady"


@dataclass(frozen=True)
class Movement:
    """Lines through the shares of C labels over the windows; every field is (C,)."""

    first_share: Floats  # of the line at the first window, within 0 to 1
    last_share: Floats
    change: Floats
    low: Floats  # 95% interval of the change
    high: Floats
    p_value: Floats  # two-sided, of no change

    def rows(self, labels: Sequence[str], significance: float, **common: Any) -> list[dict[str, Any]]:
        """Return a row of STYLE_MOVEMENTS for each label; p-values are adjusted over these labels (Holm)."""
        adjusted = holm(self.p_value.tolist())
        rows = []
        for index, label in enumerate(labels):
            names = ("first_share", "last_share", "change", "low", "high", "p_value")
            figures = {name: float(getattr(self, name)[index]) for name in names}
            moved = RISING if figures["change"] > 0 else FALLING
            direction = moved if adjusted[index] < significance and figures["change"] else STEADY
            rows.append({"label": label, **common, **figures, "p_adjusted": adjusted[index], "direction": direction})
        return rows


def counted_movement(place: Ints, images: Ints, counted: Ints) -> Movement:
    """Movement of shares that were counted: the Cochran-Armitage test for trend.

    ``place`` ``(W,)`` is each window's place in time, ``images`` ``(W,)`` the images it has, one or more, ``counted``
    ``(W, C)`` those with the label; W is 2 or more. Armitage, Biometrics 11, 1955. Where shares vary around the line
    more than chance alone makes them, the variance is multiplied by as much (quasi-binomial: McCullagh and Nelder,
    "Generalized Linear Models", 1989, section 4.5) and the test is a t-test: else a style that comes and goes would be
    called rising or falling.
    """
    share = counted / images[:, None]
    pooled = counted.sum(axis=0) / images.sum()
    line = _Line(place, images)
    sampling = pooled * (1 - pooled)  # variance of one image
    residual = line.residual_squares(share)
    per_degree = residual / max(len(place) - 2, 1)
    ratio = np.divide(per_degree, sampling, out=np.ones_like(sampling), where=sampling > 0)
    return line.movement(share, np.sqrt(sampling / line.spread) * line.span, ratio)


def resampled_movement(place: Ints, images: Ints, shares: Floats) -> Movement:
    """Movement of shares that were estimated: row 0 of ``shares`` ``(1 + B, W, C)``, with B resamples of them.

    Resamples of the windows share those of the model's known error, so that what is wrong with every window alike does
    not count as a movement, nor as certainty. The standard error of the change is that of the resamples, but no
    smaller than of shares that were counted; the test is normal, or a t-test where the shares vary around the line more
    than the resamples do (as in ``counted_movement``).
    """
    line = _Line(place, images)
    share, drawn = shares[0], shares[1:]
    pooled = (images[:, None] * share).sum(axis=0) / images.sum()
    least = np.sqrt(np.clip(pooled * (1 - pooled), 0, None) / line.spread) * line.span
    error = np.maximum(line.change(drawn).std(axis=0, ddof=1), least)
    expected = line.residual_squares(drawn - share).mean(axis=0)
    ratio = np.divide(line.residual_squares(share), expected, out=np.ones_like(expected), where=expected > 0)
    return line.movement(share, error, ratio)


class _Line:
    """Weighted least squares of shares on time: images are the weights."""

    def __init__(self, place: Ints, images: Ints) -> None:
        self._weights = images / images.sum()
        self._centered = place - (self._weights * place).sum()
        self._windows = len(place)
        self.spread = float((images * self._centered**2).sum())
        self._slope = images * self._centered / self.spread
        self.span = float(place[-1] - place[0])
        self._images = images

    def change(self, shares: Floats) -> Floats:
        """Change of the line from the first window to the last: (..., W, C) gives (..., C)."""
        return np.asarray(np.einsum("w,...wc->...c", self._slope, shares) * self.span)

    def residual_squares(self, shares: Floats) -> Floats:
        """Sum over the windows of images times the squared distance from the line: (..., W, C) gives (..., C)."""
        level = np.einsum("w,...wc->...c", self._weights, shares)
        fitted = level[..., None, :] + self.change(shares)[..., None, :] * (self._centered / self.span)[:, None]
        return np.asarray(np.einsum("w,...wc->...c", self._images.astype(float), (shares - fitted) ** 2))

    def movement(self, share: Floats, error: Floats, ratio: Floats) -> Movement:
        """The movement of ``share`` (W, C): ``error`` is the change's, ``ratio`` its variance over that of chance."""
        from scipy import stats  # late: the graph is loaded without scipy

        free = self._windows - 2
        varied = (ratio > 1) & (free > 0)
        error = error * np.sqrt(np.where(varied, ratio, 1.0))
        change = self.change(share)
        score = np.divide(np.abs(change), error, out=np.zeros_like(change), where=error > 0)
        p_value = np.where(varied, 2 * stats.t.sf(score, max(free, 1)), 2 * stats.norm.sf(score))
        reach = np.where(varied, stats.t.ppf(0.975, max(free, 1)), stats.norm.ppf(0.975)) * error
        level = np.einsum("w,wc->c", self._weights, share)
        slope = change / self.span
        first, last = (np.clip(level + slope * self._centered[at], 0, 1) for at in (0, -1))
        shown = last - first
        low, high = np.minimum(change - reach, shown), np.maximum(change + reach, shown)
        return Movement(first, last, shown, np.clip(low, -1, 1), np.clip(high, -1, 1), np.minimum(p_value, 1.0))
