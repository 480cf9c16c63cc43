"""Exact effects of one feature: partial dependence and individual conditional expectation, with every kink.

Along one feature, t -> f(x with x_j = t) is piecewise linear. Its kinks are found layer by layer: between two
neighbouring kinks of the layers below, a pre-activation is linear in t, so it has one zero where its signs at the two
differ, at t0 + (t1 - t0) z0 / (z0 - z1). No grid is involved, and a neuron that touches zero without crossing adds
nothing. The curves are those of Friedman (2001, partial dependence) and Goldstein et al. (2015, ICE).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from relu_shallow.errors import DataError, UsageError
from relu_shallow.network import Gate, Network, evaluate
from relu_shallow.precision import map_roundings
from relu_shallow.questions.features import feature_number
from relu_shallow.questions.source import network_of
from relu_shallow.shallow.opening import opened
from relu_shallow.shallow.table import as_points, refuse_overflow

NUMBERS = 1 << 22  # pre-activations held at once: 32 MB


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

    The mean is linear between neighbouring points of `at`; `jump` is by how much its slope changes at each (zero at the
    two ends of the range). Kinks of a row where no output's slope changes beyond rounding are left out.
    """

    feature: str
    outputs: tuple[str, ...]
    at: Float[np.ndarray, " points"]
    mean: Float[np.ndarray, "points outputs"]
    jump: Float[np.ndarray, "points outputs"]
    weights: Float[np.ndarray, " rows"]
    ice: Curves

    def __repr__(self) -> str:
        """One line, without the curves."""
        return (f"Effects({self.feature} in [{self.at[0]:g}, {self.at[-1]:g}]: {len(self.weights)} rows, "
                f"{len(self.at) - 2} kinks)")  # fmt: skip

    @property
    def slope(self) -> Float[np.ndarray, "pieces outputs"]:
        """The slopes of the mean between neighbouring points."""
        first = self.ice.start[:-1]
        return self.weights @ self.ice.slope[first] + np.cumsum(self.jump, axis=0)[:-1]

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
    at, mean, jump = _mean_curve(ice, share)
    return Effects(network.feature_names[j], network.output_names, at, mean, jump, share, ice)


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
    """The curves of some rows: kinks by layers, then outputs at the kinks and slopes between them."""
    row = np.repeat(np.arange(len(X)), 2)
    at = np.tile([low, high], len(X))
    for depth, gate in enumerate(network.gates):
        below = Network(network.affine[: depth + 1], network.gates[:depth])
        row, at = _with_crossings(row, at, evaluate(below, _moved(X, row, j, at)), gate)
    inner = np.flatnonzero(row[1:] == row[:-1])
    middle = at[inner] + (at[inner + 1] - at[inner]) / 2
    slope, noise = (np.empty((len(at), network.outputs)) for _ in range(2))
    slope[inner], noise[inner] = _slopes(network, _moved(X, row[inner], j, middle), j)
    last = np.flatnonzero(np.append(row[1:] != row[:-1], True))
    slope[last], noise[last] = slope[last - 1], noise[last - 1]
    keep = np.ones(len(at), dtype=bool)
    keep[1:-1] = (np.abs(slope[1:-1] - slope[:-2]) > noise[1:-1] + noise[:-2]).any(axis=1)
    keep[last] = keep[last[:-1] + 1] = True
    row, at, slope = row[keep], at[keep], slope[keep]
    start = np.searchsorted(row, np.arange(len(X) + 1))
    return Curves(start.astype(np.int64), row, at, evaluate(network, _moved(X, row, j, at)), slope)


def _moved(X: np.ndarray, row: np.ndarray, j: int, at: np.ndarray) -> Float[np.ndarray, "points inputs"]:
    points = X[row]
    points[:, j] = at
    return points


def _with_crossings(
    row: np.ndarray, at: np.ndarray, z: Float[np.ndarray, "points neurons"], gate: Gate
) -> tuple[Int[np.ndarray, " more"], Float[np.ndarray, " more"]]:
    """The points and, between neighbours of one row, the zeros of pre-activations that switch there."""
    low, high = z[:-1], z[1:]
    crosses = (low < 0) & (high > 0) | (low > 0) & (high < 0)
    crosses &= (gate.active != gate.inactive) & (row[1:] == row[:-1])[:, None]
    place, neuron = np.nonzero(crosses)
    z0, z1 = low[place, neuron], high[place, neuron]
    t0, t1 = at[place], at[place + 1]
    zero = np.clip(t0 + (t1 - t0) * (z0 / (z0 - z1)), t0, t1)
    both = np.concatenate([row, row[place]]), np.concatenate([at, zero])
    order = np.lexsort(both[::-1])
    row, at = both[0][order], both[1][order]
    new = np.append(True, (row[1:] != row[:-1]) | (at[1:] != at[:-1]))
    return row[new], at[new]


def _slopes(
    network: Network, points: np.ndarray, j: int
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
    return rate, map_roundings(network)[-1] * size


def _mean_curve(ice: Curves, share: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(points, mean, change of slope there): all rows' kinks merged, the weighted slopes added up between them.

    The sums run over as many terms as there are kinks of all rows, so they are carried in extended
    precision, where the machine has it.
    """
    weight = share[ice.row][:, None]
    first = ice.start[:-1]
    change = weight * ice.slope
    change[1:] -= weight[1:] * ice.slope[:-1]
    change[first] = 0.0
    change[ice.start[1:] - 1] = 0.0
    at, place = np.unique(ice.at, return_inverse=True)
    jump = np.zeros((len(at), ice.value.shape[1]))
    np.add.at(jump, place.reshape(-1), change)
    keep = (jump != 0).any(axis=1)
    keep[[0, -1]] = True
    at, jump = at[keep], jump[keep]
    wide = np.longdouble
    slope = (share[:, None] * ice.slope[first]).sum(axis=0, dtype=wide) + np.cumsum(jump, axis=0, dtype=wide)[:-1]
    begin = (share[:, None] * ice.value[first]).sum(axis=0, dtype=wide)
    steps = slope * np.diff(at.astype(wide))[:, None]
    mean = np.concatenate([begin[None], begin + np.cumsum(steps, axis=0, dtype=wide)])
    return at, mean.astype(np.float64), jump
