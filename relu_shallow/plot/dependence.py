"""Charts of one feature's effect with its kinks, and of several local models side by side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from relu_shallow.plot.attribution import NAME, brief
from relu_shallow.plot.fluid import SIDE, Axis, Lane, Lanes, Mark, axis_over, curve, dots, upright
from relu_shallow.plot.lettering import short
from relu_shallow.questions.effects import Effects

COLUMNS = 200  # across the chart: kinks, and values of the data, of one column are drawn as one
LONGEST = 140  # units of the drawing, of the mark of the largest kink
FAINT = 3  # strengths in which the data's values are drawn
DOTS = 500  # rows drawn
LOOKS = 6  # local models told apart by colour and dashes


@dataclass(frozen=True)
class Dependence:
    """The effect of a feature on an output, as a chart: the mean curve, kinks above, rows as dots, the data below."""

    name: str
    marks: tuple[Mark, ...]
    rug: tuple[Mark, ...]
    across: Axis
    up: Axis
    kinks: int
    low: float
    high: float
    at_low: float
    at_high: float

    @property
    def rows_up(self) -> tuple[tuple[float, str], ...]:
        """The marks of the upright axis, in per cent from the top."""
        return tuple((round(100 - tick.place, 2), tick.text) for tick in self.up.ticks)


def dependence(
    found: Effects, output: int, x: Float[np.ndarray, " rows"], shown: Float[np.ndarray, " rows"]
) -> Dependence:
    """The chart of an effect on an output of the network; (x, shown) are the rows' dots, x the data's values too."""
    mean, jump = found.mean[:, output], np.abs(found.jump[:, output])
    across = Axis(float(found.at[0]), float(found.at[-1]))
    some = np.linspace(0, len(x) - 1, min(len(x), DOTS)).astype(np.int64)
    up = axis_over(np.concatenate([mean, shown[some]]))
    line = curve(across.at(found.at), SIDE - up.at(mean))
    marks = (
        Mark("grid", "".join(upright(across, tick) for tick, _ in _round(across))),
        Mark("kinks", _kinks(across, found.at, jump)),
        Mark("rows", dots(across.at(x[some]), SIDE - up.at(shown[some]))),
        Mark("casing", line),
        Mark("effect", line),
    )
    return Dependence(
        short(found.feature, NAME), marks, _rug(across, x), across, up, int((jump[1:-1] > 0).sum()),
        across.low, across.high, float(mean[0]), float(mean[-1]),
    )  # fmt: skip


def _round(axis: Axis) -> list[tuple[float, str]]:
    return [(axis.low + tick.place / 100 * (axis.high - axis.low), tick.text) for tick in axis.ticks]


def _kinks(across: Axis, at: np.ndarray, jump: np.ndarray) -> str:
    """Marks that hang from the top where the slope changes, longer where it changes more (by its root)."""
    place = np.minimum((across.at(at[1:-1]) / SIDE * COLUMNS).astype(np.int64), COLUMNS - 1)
    total = np.bincount(place, weights=jump[1:-1], minlength=COLUMNS)
    if not total.any():
        return ""
    length = np.sqrt(total / total.max()) * LONGEST
    step = SIDE / COLUMNS
    return "".join(f"M{(c + 0.5) * step:g} 0V{length[c]:.0f}" for c in np.flatnonzero(length >= 1).tolist())


def _rug(across: Axis, x: np.ndarray) -> tuple[Mark, ...]:
    """A line at each value of the data, stronger where there are many rows."""
    place = np.clip((across.at(x) / SIDE * COLUMNS).astype(np.int64), 0, COLUMNS - 1)
    count = np.bincount(place, minlength=COLUMNS)
    strength = np.ceil(np.sqrt(count / count.max()) * FAINT).astype(np.int64)
    step = SIDE / COLUMNS
    return tuple(
        Mark(f"rug{s}", "".join(f"M{(c + 0.5) * step:g} 0V{SIDE}" for c in np.flatnonzero(strength == s).tolist()))
        for s in range(1, FAINT + 1) if (strength == s).any()
    )  # fmt: skip


def parallel(
    names: tuple[str, ...], slopes: Float[np.ndarray, "models features"]
) -> Lanes:
    """Local models as parallel coordinates: a line per model through its slope by each feature, an axis per feature.

    The axes stand one above another, so that names are read and the chart fits a phone.
    """
    axis = axis_over(np.append(slopes, 0.0))
    x = axis.at(slopes)
    lanes = []
    for j, name in enumerate(names):
        before = (x[:, j - 1] + x[:, j]) / 2 if j else x[:, j]
        after = (x[:, j + 1] + x[:, j]) / 2 if j + 1 < len(names) else x[:, j]
        top, bottom = 0 if j else SIDE // 2, SIDE if j + 1 < len(names) else SIDE // 2
        marks = [
            Mark(f"model m{m % LOOKS}", f"M{a:.1f} {top}L{b:.1f} {SIDE // 2}L{c:.1f} {bottom}")
            for m, (a, b, c) in enumerate(zip(before.tolist(), x[:, j].tolist(), after.tolist(), strict=True))
        ]
        marks += [Mark(f"at m{m % LOOKS}", f"M{b:.1f} {SIDE // 2}h0") for m, b in enumerate(x[:, j].tolist())]
        low, high = float(slopes[:, j].min()), float(slopes[:, j].max())
        lanes.append(Lane(short(name, NAME), "", tuple(marks), f"{brief(low)} to {brief(high)}"))
    return Lanes(tuple(lanes), axis, upright(axis, 0.0))
