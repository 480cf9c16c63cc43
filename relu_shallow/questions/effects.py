"""Exact effects of one feature: partial dependence and individual conditional expectation, with every kink.

Along one feature, t -> f(x with x_j = t) is piecewise linear. Its kinks are found layer by layer: between two
neighbouring kinks of the layers below, a pre-activation is linear in t, so it has one zero where its signs at the two
differ, at t0 + (t1 - t0) z0 / (z0 - z1). No grid is involved, and a neuron that touches zero without crossing adds
nothing. The curves are those of Friedman (2001, partial dependence) and Goldstein et al. (2015, ICE).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from relu_shallow.errors import DataError, UsageError
from relu_shallow.network import Network, evaluate
from relu_shallow.precision import EFFECT_LOSS, UNIT, evaluation_error, map_roundings
from relu_shallow.questions.features import feature_number
from relu_shallow.questions.source import network_of
from relu_shallow.questions.twofold import can_be_split, twofold_slopes, twofold_values
from relu_shallow.shallow.opening import opened
from relu_shallow.shallow.table import as_points, refuse_overflow

NUMBERS = 1 << 22  # pre-activations held at once: 32 MB
CHECKED = 64  # points, at most, computed again in twice the precision where error bounds leave digits open
ASKED = 1 << 25  # values of rows' curves that a mean is taken from


@dataclass(frozen=True, eq=False)
class Curves:
    """One curve per row: row r owns the points at[start[r]:start[r + 1]], ascending, between which it is linear.

    The first and last point of a row are the ends of the range; `value` holds the outputs at the points, `slope` the
    derivatives just right of them (at the last point of a row: left of it). `row` is the row of each point.
    """

    start: Int[np.ndarray, " rows_plus_1"]
    row: Int[np.ndarray, " points"]
    at: Float[np.ndarray, " points"]
    value: Float[np.ndarray, "points outputs"]
    slope: Float[np.ndarray, "points outputs"]


@dataclass(frozen=True, eq=False)
class Effects:
    """The effect of a feature on every output, before the head: the mean curve over weighted rows, and each row's own.

    The mean is linear between neighbouring points of `at`, with these slopes; `jump` is by how much they change at each
    (zero at the two ends of the range). Kinks of a row where no output's slope changes beyond rounding are left out.
    """

    feature: str
    outputs: tuple[str, ...]
    at: Float[np.ndarray, " points"]
    mean: Float[np.ndarray, "points outputs"]
    slope: Float[np.ndarray, "pieces outputs"]
    jump: Float[np.ndarray, "points outputs"]
    weights: Float[np.ndarray, " rows"]
    ice: Curves

    def __repr__(self) -> str:
        """One line, without the curves."""
        return (f"Effects({self.feature} in [{self.at[0]:g}, {self.at[-1]:g}]: {len(self.weights)} rows, "
                f"{len(self.at) - 2} kinks)")  # fmt: skip

    def __call__(self, t: Float[np.ndarray, " places"]) -> Float[np.ndarray, "places outputs"]:
        """The mean curves at values of the feature within the range."""
        t = np.asarray(t, dtype=np.float64)
        if len(t) and not (self.at[0] <= t.min() and t.max() <= self.at[-1]):
            raise UsageError(f"the effect is known on [{self.at[0]:g}, {self.at[-1]:g}] only")
        return np.column_stack([np.interp(t, self.at, column) for column in self.mean.T])


def effects(
    source: Any,
    X: object,
    feature: int | str,
    *,
    weights: object = None,
    bounds: tuple[float, float] | None = None,
) -> Effects:
    """The exact effect of a feature (its name or number) on all outputs, with the other features as in the rows of X.

    `bounds` is the range of the feature, by default that of the rows; `weights` are the rows', by default equal. Raises
    UsageError for a feature or range that is none, DataError for rows that do not fit.
    """
    source = opened(source)
    network = network_of(source)
    j = feature_number(feature, network.feature_names)
    rows = as_points(X, network.inputs)
    if not len(rows):
        raise DataError("an effect is a mean over rows of data, and there are none")
    share = _shares(weights, len(rows))
    low, high = (float(rows[:, j].min()), float(rows[:, j].max())) if bounds is None else map(float, bounds)
    if not (np.isfinite([low, high]).all() and low < high):
        given = "the feature is constant in the data, so say which range of it is meant" if bounds is None else (
            "a range needs two finite numbers, the first below the second")  # fmt: skip
        raise UsageError(f"the range [{low:g}, {high:g}] of {network.feature_names[j]} is empty: {given}")
    for end in (low, high):
        moved = rows.copy()
        moved[:, j] = end
        refuse_overflow(network, moved, f"the data, with {network.feature_names[j]} = {end:g},")
    ice = _all_curves(network, rows, j, low, high)
    return Effects(network.feature_names[j], network.output_names, *_mean_curve(ice, share), share, ice)


def _shares(weights: object, rows: int) -> Float[np.ndarray, " rows"]:
    """The weights, not negative, with sum one."""
    if weights is None:
        return np.full(rows, 1.0 / rows)
    given = np.asarray(weights, dtype=np.float64)
    if given.shape != (rows,) or not np.isfinite(given).all() or (given < 0).any() or not given.any():
        raise DataError(f"the weights must be {rows} finite numbers, not negative and not all zero, "
                        f"got shape {given.shape}")  # fmt: skip
    return given / given.sum()


def _all_curves(network: Network, X: np.ndarray, j: int, low: float, high: float) -> Curves:
    """The curves of all rows, as many at a time as fit into memory."""
    widest = max((network.inputs, *network.widths))
    parts, begin, step = [], 0, 1  # the first row shows how many kinks there are
    while begin < len(X):
        parts.append(_curves(network, X[begin : begin + step], j, low, high))
        begin += step
        met = len(parts[-1].at) / (len(parts[-1].start) - 1)
        step = max(1, int(NUMBERS // (widest * 2 * met)))
    offsets = np.cumsum([0, *(len(part.at) for part in parts)])
    rows = np.cumsum([0, *(len(part.start) - 1 for part in parts)])
    start = np.concatenate([[0], *(part.start[1:] + offset for part, offset in zip(parts, offsets, strict=False))])
    row = np.concatenate([part.row + first for part, first in zip(parts, rows, strict=False)])
    joined = [np.concatenate([getattr(part, name) for part in parts]) for name in ("at", "value", "slope")]
    return Curves(start.astype(np.int64), row, *joined)


def _curves(network: Network, X: np.ndarray, j: int, low: float, high: float) -> Curves:
    """The curves of some rows: in floats, and again in twice the precision where that tells another story."""
    found, noise = _traced(network, X, j, low, high, twofold=False)
    points = _moved(X, found.row, j, found.at)
    length = np.diff(found.at, append=found.at[-1])[:, None]  # of no meaning between two rows
    if _sure(evaluation_error(network, points), found.value) and _sure(noise * np.abs(length), found.value):
        return found
    if not can_be_split(network, points) or _confirmed(network, X, j, found):
        return found
    return _traced(network, X, j, low, high, twofold=True)[0]


def _sure(error: Float[np.ndarray, "some outputs"], values: Float[np.ndarray, "points outputs"]) -> bool:
    """Whether errors, those of slopes over a piece, are small beside the largest of each output's values."""
    return bool((error.max(axis=0) <= EFFECT_LOSS * np.abs(values).max(axis=0)).all())


def _confirmed(network: Network, X: np.ndarray, j: int, found: Curves) -> bool:
    """Whether some values and slopes come out the same in twice the precision."""
    count = min(CHECKED, 4 + len(found.at) // 32)
    some = np.unique(np.linspace(0, len(found.at) - 2, count).astype(np.int64))
    row, at = found.row[some], found.at[some]
    value = twofold_values(network, _moved(X, row, j, at))
    inner = found.row[some + 1] == row
    middle = (at + (found.at[some + 1] - at) / 2)[inner]
    slope = twofold_slopes(network, _moved(X, row[inner], j, middle), j)
    off, steep = np.abs(value - found.value[some]), np.abs(slope - found.slope[some[inner]])
    return _sure(off, found.value) and _sure(steep * (found.at[some + 1] - at)[inner, None], found.value)


def _traced(
    network: Network, X: np.ndarray, j: int, low: float, high: float, *, twofold: bool
) -> tuple[Curves, Float[np.ndarray, "points outputs"]]:
    """(The curves of some rows, bounds on the rounding in slopes): kinks by layers, then outputs and slopes there."""
    row = np.repeat(np.arange(len(X)), 2)
    at = np.tile([low, high], len(X))
    for depth in range(len(network.gates)):
        row, at = _with_crossings(_Layer(network, X, j, depth, twofold), row, at)
    inner = np.flatnonzero(row[1:] == row[:-1])
    middle = at[inner] + (at[inner + 1] - at[inner]) / 2
    slope, noise = (np.empty((len(at), network.outputs)) for _ in range(2))
    slope[inner], noise[inner] = _slopes(network, _moved(X, row[inner], j, middle), j, twofold)
    last = np.flatnonzero(np.append(row[1:] != row[:-1], True))
    slope[last], noise[last] = slope[last - 1], noise[last - 1]
    keep = np.ones(len(at), dtype=bool)
    keep[1:-1] = (np.abs(slope[1:-1] - slope[:-2]) > noise[1:-1] + noise[:-2]).any(axis=1)
    keep[last] = keep[last[:-1] + 1] = True
    row, at, slope, noise = row[keep], at[keep], slope[keep], noise[keep]
    start = np.searchsorted(row, np.arange(len(X) + 1))
    points = _moved(X, row, j, at)
    value = twofold_values(network, points) if twofold else evaluate(network, points)
    return Curves(start.astype(np.int64), row, at, value, slope), noise


def _moved(X: np.ndarray, row: np.ndarray, j: int, at: np.ndarray) -> Float[np.ndarray, "points inputs"]:
    points = X[row]
    points[:, j] = at
    return points


@dataclass(frozen=True, eq=False)
class _Layer:
    """The pre-activations of one hidden layer as functions of a row and its feature j."""

    network: Network
    X: Float[np.ndarray, "rows inputs"]
    j: int
    depth: int
    twofold: bool

    def __call__(self, row: np.ndarray, at: np.ndarray) -> Float[np.ndarray, "points neurons"]:
        """The pre-activations at points, each a row's number and the value of feature j."""
        points = _moved(self.X, row, self.j, at)
        if self.twofold:
            return twofold_values(self.network, points, self.depth + 1)
        below = Network(self.network.affine[: self.depth + 1], self.network.gates[: self.depth])
        return evaluate(below, points)


def _with_crossings(
    layer: _Layer, row: np.ndarray, at: np.ndarray
) -> tuple[Int[np.ndarray, " more"], Float[np.ndarray, " more"]]:
    """The points and, between neighbours of one row, the zeros of pre-activations that switch there."""
    z, gate = layer(row, at), layer.network.gates[layer.depth]
    low, high = z[:-1], z[1:]
    crosses = (low < 0) & (high > 0) | (low > 0) & (high < 0)
    crosses &= (gate.active != gate.inactive) & (row[1:] == row[:-1])[:, None]
    place, neuron = np.nonzero(crosses)
    z0, z1 = low[place, neuron], high[place, neuron]
    t0, t1 = at[place], at[place + 1]
    zero = np.clip(t0 + (t1 - t0) * (z0 / (z0 - z1)), t0, t1)
    # interpolation is right to rounding of the interval; one step from the value there, to rounding of the zero itself
    left = layer(row[place], zero)[np.arange(len(place)), neuron]
    zero = np.clip(zero + (t1 - t0) * (left / (z0 - z1)), t0, t1)
    both = np.concatenate([row, row[place]]), np.concatenate([at, zero])
    order = np.lexsort(both[::-1])
    row, at = both[0][order], both[1][order]
    new = np.append(True, (row[1:] != row[:-1]) | (at[1:] != at[:-1]))
    return row[new], at[new]


def _slopes(
    network: Network, points: np.ndarray, j: int, twofold: bool
) -> tuple[Float[np.ndarray, "points outputs"], Float[np.ndarray, "points outputs"]]:
    """The outputs' derivatives by feature j at points inside linear pieces, and bounds on their rounding."""
    z = points
    rate = np.zeros_like(points)
    rate[:, j] = 1.0
    size = rate
    for index, layer in enumerate(network.affine):
        z = (layer.W @ z.T).T + layer.b
        rate, size = (layer.W @ rate.T).T, (abs(layer.W) @ size.T).T
        if index < len(network.gates):
            gate = network.gates[index]
            slope = np.where(z > 0, gate.active, gate.inactive)
            z, rate, size = z * slope, rate * slope, size * np.abs(slope)
    if twofold:
        rate = twofold_slopes(network, points, j)
        return rate, map_roundings(network, UNIT**2)[-1] * size + UNIT * np.abs(rate)
    return rate, map_roundings(network)[-1] * size


def _mean_curve(ice: Curves, share: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(points, mean, slopes, changes of slope): all rows' kinks merged, and the rows' curves averaged at each.

    Where these are too many for all rows to be asked at each, they are asked at some, and the weighted slopes added up
    from one to the next, in extended precision where the machine has it.
    """
    wide = np.longdouble
    weight = share[ice.row][:, None].astype(wide)
    first = ice.start[:-1]
    change = weight * ice.slope
    change[1:] -= weight[1:] * ice.slope[:-1]
    change[first] = 0.0
    change[ice.start[1:] - 1] = 0.0
    at, place = np.unique(ice.at, return_inverse=True)
    jump = np.zeros((len(at), ice.value.shape[1]), dtype=wide)
    np.add.at(jump, place.reshape(-1), change)
    keep = (jump != 0).any(axis=1)
    keep[[0, -1]] = True
    at, jump = at[keep], jump[keep]
    slope = (share[:, None] * ice.slope[first]).sum(axis=0, dtype=wide) + np.cumsum(jump, axis=0, dtype=wide)[:-1]
    steps = slope * np.diff(at.astype(wide))[:, None]
    added = np.concatenate([np.zeros((1, jump.shape[1]), dtype=wide), np.cumsum(steps, axis=0, dtype=wide)])
    every = -(-len(at) * len(share) * jump.shape[1] // ASKED)
    before = np.arange(len(at)) // every
    mean = _mean_at(ice, share, at[::every])[before] + (added - added[::every][before])
    return at, mean.astype(np.float64), slope.astype(np.float64), jump.astype(np.float64)


def _mean_at(ice: Curves, share: np.ndarray, at: Float[np.ndarray, " places"]) -> np.ndarray:
    """The weighted mean of the rows' curves at some places, each between its own two kinks, in extended precision."""
    total = np.zeros((len(at), ice.value.shape[1]), dtype=np.longdouble)
    for row, weight in enumerate(share.tolist()):
        own = slice(ice.start[row], ice.start[row + 1])
        for k in range(total.shape[1]):
            total[:, k] += weight * np.interp(at, ice.at[own], ice.value[own, k])
    return total
