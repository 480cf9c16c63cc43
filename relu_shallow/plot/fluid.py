"""Charts whose text keeps its size while the drawing widens with the page: what a template needs to write them.

Drawings are paths in a square of SIDE by SIDE units that is stretched to its place (lines and dots keep their width);
everything that is read stands beside them as text, at percentages of the width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from relu_shallow.plot.ticks import ticks

SIDE = 1000
ROOM = 0.04  # of an axis beyond the outermost values
INTERVALS = 5  # on an axis: labels of more run into one another on a phone


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: where, in per cent of its length, and its text."""

    place: float
    text: str


@dataclass(frozen=True)
class Axis:
    """The range of numbers that a chart shows."""

    low: float
    high: float

    def at(self, values: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Where numbers are, in units of the drawing."""
        return (values - self.low) / (self.high - self.low) * SIDE

    def percent(self, value: float) -> float:
        """Where a number is, in per cent of the length."""
        return round(float(self.at(np.array([value]))[0]) / SIDE * 100, 2)

    @property
    def ticks(self) -> tuple[Tick, ...]:
        """Round numbers along the axis."""
        return tuple(Tick(self.percent(value), text) for value, text in ticks(self.low, self.high, INTERVALS))


@dataclass(frozen=True)
class Mark:
    """One path of a drawing: the class that styles it, and its data."""

    look: str
    path: str


@dataclass(frozen=True)
class Lane:
    """One line of a chart: its name, what stands beside the name, the drawing, what is said at the end."""

    name: str
    detail: str
    marks: tuple[Mark, ...]
    value: str


@dataclass(frozen=True)
class Lanes:
    """A chart of lines over one axis."""

    lanes: tuple[Lane, ...]
    axis: Axis
    zero: str  # the path of the line at zero

    @property
    def ticks(self) -> tuple[Tick, ...]:
        """Those of the axis."""
        return self.axis.ticks


def axis_over(values: Float[np.ndarray, " values"]) -> Axis:
    """An axis with a little room on both sides; numbers that are all one are given room of their own size."""
    low, high = float(values.min()), float(values.max())
    room = (high - low) * ROOM or abs(low) or 1.0
    return Axis(low - room, high + room)


def upright(axis: Axis, value: float) -> str:
    """A line across a lane at a number; nothing where that is not on the axis."""
    return f"M{_short(axis.percent(value) * SIDE / 100)} 0V{SIDE}" if axis.low <= value <= axis.high else ""


def block(axis: Axis, start: float, end: float, top: int = 200, bottom: int = 800) -> str:
    """A bar between two numbers, at least a hair wide."""
    left, right = np.sort(axis.at(np.array([start, end]))).tolist()
    right = max(right, left + 2)
    return f"M{_short(left)} {top}H{_short(right)}V{bottom}H{_short(left)}Z"


def whisker(axis: Axis, low: float, high: float) -> str:
    """A line with two ends between numbers, cut where the axis ends."""
    left, right = np.clip(axis.at(np.array([low, high])), 0, SIDE).tolist()
    return f"M{_short(left)} 500H{_short(right)}M{_short(left)} 300V700M{_short(right)} 300V700"


def dots(x: Float[np.ndarray, " dots"], y: Float[np.ndarray, " dots"]) -> str:
    """Dots as lines of no length, whose round ends are what is seen."""
    return "".join(f"M{_short(a)} {_short(b)}h0" for a, b in zip(x.tolist(), y.tolist(), strict=True))


def curve(x: Float[np.ndarray, " points"], y: Float[np.ndarray, " points"]) -> str:
    """A line through points, without those that a line between their neighbours passes within a quarter of a unit."""
    keep = _corners(np.column_stack([x, y]))
    return "M" + "L".join(f"{_short(a)} {_short(b)}" for a, b in zip(x[keep].tolist(), y[keep].tolist(), strict=True))


def _corners(points: Float[np.ndarray, "points 2"], within: float = 0.25) -> Int[np.ndarray, " kept"]:
    """The points that a polyline needs (Ramer, Douglas and Peucker 1972-73), for points in the order of x."""
    keep = np.zeros(len(points), dtype=bool)
    keep[[0, -1]] = True
    parts = [(0, len(points) - 1)]
    while parts:
        first, last = parts.pop()
        inner = points[first + 1 : last]
        if not len(inner):
            continue
        line = np.interp(inner[:, 0], points[[first, last], 0], points[[first, last], 1])
        far = np.abs(inner[:, 1] - line)
        if far.max() > within:
            middle = first + 1 + int(far.argmax())
            keep[middle] = True
            parts += [(first, middle), (middle, last)]
    return np.flatnonzero(keep)


def _short(value: float) -> str:
    text = f"{value:.1f}"
    return text.removesuffix(".0")
