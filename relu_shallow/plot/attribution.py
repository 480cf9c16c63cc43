"""Charts of an explanation: bars of importance, swarms of rows, and the steps by which one prediction comes about."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int

from relu_shallow.explanation.attribution import BOUNDS, ESTIMATE, LOCAL, Attribution, Columns, columns_of
from relu_shallow.explanation.work import CONFIDENT
from relu_shallow.plot.fluid import SIDE, Axis, Lane, Lanes, Mark, axis_over, block, dots, upright, whisker
from relu_shallow.plot.lettering import MINUS, number, short

SWARM_ROWS = 600  # more dots than this hide one another and make the page heavy
SHOWN = 15  # features drawn; the others are summed in one line
SHADES = 7  # colours from a feature's low to its high values
BINS = 90  # across a swarm: dots of one bin are stacked
NAME = 40  # characters of a feature's name
VISIBLE = 400  # a step smaller than this part of the axis is not drawn


def bars(attribution: Attribution, output: int = 0) -> Lanes:
    """Mean |value| by feature over all rows, the largest first; `output` counts among the explained outputs."""
    columns = columns_of(attribution)
    size, order = importance(columns, output)
    axis = axis_over(np.append(size, 0.0))
    axis = Axis(0.0, axis.high)
    shown, rest = order[:SHOWN], order[SHOWN:]
    lanes = [
        Lane(short(columns.names[i], NAME), "", (Mark("plain", block(axis, 0.0, float(size[i]))),), number(size[i]))
        for i in shown.tolist()
    ]
    if len(rest):
        total = float(size[rest].sum())
        mark = Mark("plain", block(axis, 0.0, min(total, axis.high)))
        lanes.append(Lane(f"{len(rest)} others, summed", "", (mark,), number(total)))
    return Lanes(tuple(lanes), axis, "")


def importance(columns: Columns, output: int) -> tuple[Float[np.ndarray, " columns"], Int[np.ndarray, " columns"]]:
    """(mean |value| of each column, the columns by it)."""
    size = np.abs(columns.phi[:, output]).mean(axis=0)
    return size, np.argsort(-size, kind="stable")


def beeswarm(attribution: Attribution, output: int = 0, most: int = SWARM_ROWS) -> Lanes:
    """Every row's values by feature, coloured by the feature's value; of many rows an even sample is drawn."""
    columns = columns_of(attribution)
    _, order = importance(columns, output)
    rows = np.linspace(0, len(attribution.X) - 1, min(len(attribution.X), most)).astype(np.int64)
    shown = order[:SHOWN]
    phi = columns.phi[rows, output]
    axis = axis_over(np.append(phi[:, shown], 0.0))
    lanes = []
    for i in shown.tolist():
        x = axis.at(phi[:, i])
        y, shade = _stacked(x), _shades(columns.data[rows, i])
        marks = (Mark(f"v{s}", dots(x[shade == s], y[shade == s])) for s in np.unique(shade).tolist())
        lanes.append(Lane(short(columns.names[i], NAME), "", tuple(marks), ""))
    return Lanes(tuple(lanes), axis, upright(axis, 0.0))


def _stacked(x: Float[np.ndarray, " dots"]) -> Float[np.ndarray, " dots"]:
    """Heights at which dots of one place stand above and below each other, the middle one in the middle."""
    place = np.floor(x / SIDE * BINS).astype(np.int64)
    order = np.argsort(place, kind="stable")
    _, first, count = np.unique(place[order], return_index=True, return_counts=True)
    rank = np.empty(len(x))
    rank[order] = np.arange(len(x)) - np.repeat(first, count) - np.repeat((count - 1) / 2, count)
    widest = max(float(count.max()) / 2, 4.0)
    return SIDE / 2 + rank / widest * SIDE * 0.42


def _shades(values: np.ndarray) -> Int[np.ndarray, " rows"]:
    """Each value's colour, on a scale between the 5 % and 95 % quantiles; for words the middle one."""
    if values.dtype == object:
        try:
            values = values.astype(np.float64)
        except ValueError:  # a group of features: its value is a name
            return np.full(len(values), SHADES // 2)
    low, high = np.quantile(values, [0.05, 0.95])
    if low == high:
        low, high = values.min(), values.max()
    span = high - low
    share = np.clip((values - low) / span, 0, 1) if span > 0 else np.full(len(values), 0.5)
    return np.minimum((share * SHADES).astype(np.int64), SHADES - 1)


def waterfall(attribution: Attribution, row: int, output: int = 0, most: int = SHOWN) -> Lanes:
    """How one row's prediction comes about: from the mean prediction, a step for each feature, the largest first.

    A step has a whisker where only bounds, or an estimate with its error, are known; a local row's last step is what
    its values leave unexplained.
    """
    columns, status = columns_of(attribution), attribution.status[row]
    phi = columns.phi[row, output]
    order = np.argsort(-np.abs(phi), kind="stable")
    shown, rest = order[:most], order[most:]
    base, end = float(attribution.base_value[output]), float(attribution.prediction[row, output])
    steps = phi[shown].tolist() + ([float(phi[rest].sum())] if len(rest) else [])
    gap = -float(attribution.gap[row, output]) if status == LOCAL else 0.0
    ends = base + np.cumsum([0.0, *steps])
    axis = axis_over(np.append(ends, [base, end]))
    lanes = [Lane("mean prediction", "", (Mark("still", _pin(axis, base)),), number(base))]
    names = [(short(columns.names[i], NAME), held(attribution, columns, row, i)) for i in shown.tolist()]
    names += [(f"{len(rest)} others, summed", "")] * bool(len(rest))
    known = _spread(columns, status, row, output, np.append(shown, rest[:1]))
    for place, ((name, detail), step, (start, stop)) in enumerate(zip(names, steps, pairwise(ends), strict=True)):
        low, high = known[place] if place < len(shown) else (np.nan, np.nan)
        lanes.append(_step(axis, name, detail, start, stop, step, start + low, start + high))
    if abs(gap) * VISIBLE > axis.high - axis.low:
        lanes.append(_step(axis, "not explained (gap)", "", float(ends[-1]), end, gap, np.nan, np.nan, "rest"))
    lanes.append(Lane("prediction", "", (Mark("still", _pin(axis, end)),), number(end)))
    return Lanes(tuple(lanes), axis, upright(axis, base))


def _step(
    axis: Axis, name: str, detail: str, start: float, stop: float, step: float, low: float, high: float, look: str = ""
) -> Lane:
    marks = [Mark(look or ("up" if step >= 0 else "down"), block(axis, start, stop))]
    text = signed(step)
    if np.isfinite([low, high]).all():
        marks.append(Mark("whisker", whisker(axis, low, high)))
        text += f" ({brief(low - start)} to {brief(high - start)})"
    return Lane(name, detail, tuple(marks), text)


def _spread(
    columns: Columns, status: str, row: int, output: int, shown: Int[np.ndarray, " some"]
) -> Float[np.ndarray, "some 2"]:
    """Where each of the row's values lies, proved or with 95 % confidence; NaN where nothing is known."""
    if status == BOUNDS:
        return np.column_stack([columns.lo[row, output, shown], columns.hi[row, output, shown]])
    if status == ESTIMATE:
        middle, reach = columns.phi[row, output, shown], CONFIDENT * columns.se[row, output, shown]
        return np.column_stack([middle - reach, middle + reach])
    return np.full((len(shown), 2), np.nan)


def _pin(axis: Axis, value: float) -> str:
    return upright(axis, value).replace(f"V{SIDE}", f"M{axis.percent(value) * SIDE / 100:g} 150V850")


def held(attribution: Attribution, columns: Columns, row: int, column: int) -> str:
    """What a row has in a column: a number, for a one-hot group the member that is 1, for other groups nothing."""
    value = columns.data[row, column]
    members = attribution.groups.get(columns.names[column])
    if members is None:
        return number(float(value))
    values = attribution.X[row, list(members)]
    one_hot = values.sum() == 1 and ((values == 0) | (values == 1)).all()
    return short(str(value), NAME) if one_hot else ""


def brief(value: float) -> str:
    """A number in three digits, for the end of an interval."""
    return f"{value:.3g}".replace("-", MINUS)


def signed(value: float) -> str:
    """A number with its sign."""
    text = number(value)
    return text if text.startswith(MINUS) else f"+{text}"

