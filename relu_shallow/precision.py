"""Every threshold, derived from the precision and the magnitudes at hand; no other module holds a literal tolerance."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from relu_shallow.errors import ModelError
from relu_shallow.network import Matrix, Network, dense, preactivations

UNIT = float(np.finfo(np.float64).eps) / 2  # u, the unit round-off of float64
SAFE_EXPONENT = 480.0  # of 1023: their squares must still be finite
TINY = float(np.finfo(np.float64).tiny)
EXACT_PRODUCTS = 2.0**480  # between this and its inverse products are the sum of two floats, and sums do not overflow
NEAR_BOUND = 2.0**10  # a bound up to here, added to values of about one, costs them three digits of sixteen
FAR_PADDING = 2.0**20  # padding up to here six; beyond, values beside it in a maximum are as good as lost
UNIT32 = float(np.finfo(np.float32).eps) / 2


def gamma(operations: int, unit: float = UNIT) -> float:
    """k u / (1 - k u), the relative error of k roundings (Higham, Accuracy and Stability, section 3.1)."""
    return operations * unit / (1.0 - operations * unit)


def sum_rounding(network: Network) -> float:
    """The relative error of one layer's sum in compiled code: its longest row, and some forty roundings around it."""
    return gamma(max(_longest_row(layer.W) for layer in network.affine) + 40)


def _longest_row(W: Matrix) -> int:
    """The most terms that a row of a layer sums."""
    if isinstance(W, np.ndarray):
        return int(W.shape[1])
    return int(np.diff(W.indptr).max())


def preactivation_errors(
    network: Network,
    X: Float[np.ndarray, "rows inputs"],
    unit: float = UNIT,
    off: Float[np.ndarray, "rows inputs"] | None = None,
) -> list[Float[np.ndarray, "rows neurons"]]:
    """Bounds on |computed - exact| for z_1, ..., z_{L+1} at each row of X, in arithmetic of unit round-off `unit`.

    `off` is how far X itself may be from the inputs at which the exact values are meant; by default not at all.
    Running error analysis: magnitudes are carried beside values; a layer of k inputs adds gamma(k + 2) of its
    magnitudes, and an error passes a gate with at most its larger slope (a gate is Lipschitz).
    """
    h = np.asarray(X, dtype=np.float64)
    error = np.zeros_like(h) if off is None else off
    bounds = []
    for index, layer in enumerate(network.affine):
        size = abs(layer.W)
        rounding = gamma(layer.W.shape[1] + 2, unit) * ((size @ (np.abs(h) + error).T).T + np.abs(layer.b))
        error = (size @ error.T).T + rounding
        bounds.append(error)
        h = (layer.W @ h.T).T + layer.b
        if index < len(network.gates):
            gate = network.gates[index]
            steepest = np.maximum(np.abs(gate.active), np.abs(gate.inactive))
            h = h * np.where(h > 0, gate.active, gate.inactive)
            error = error * steepest + unit * np.abs(h)
    return bounds


def surely_signed(network: Network, X: Float[np.ndarray, "rows inputs"]) -> Bool[np.ndarray, " rows"]:
    """Where no pre-activation is within its rounding error of zero, except those that are zero at every point.

    Those have an error bound of zero even where no input is zero: no weight leads to them. (At the origin, on whose
    every side another region may lie, all bounds of a network without biases are zero.)
    """
    sure = np.ones(len(X), dtype=bool)
    errors = preactivation_errors(network, X)[:-1]
    everywhere = preactivation_errors(network, np.ones((1, network.inputs)))[:-1]
    layers = zip(preactivations(network, X)[:-1], errors, everywhere, network.gates, strict=True)
    for z, error, anywhere, gate in layers:
        sure &= ((np.abs(z) > error) | (anywhere == 0) | (gate.active == gate.inactive)).all(axis=1)
    return sure


def underflow_error(network: Network) -> float:
    """A bound on what underflow takes from an output, or from its slope, beside every other rounding.

    A product that underflows loses less than TINY; a layer multiplies what was lost before it by its weights.
    """
    lost = 0.0
    for index, layer in enumerate(network.affine):
        lost = lost * float(abs(layer.W).sum(axis=1).max()) + _longest_row(layer.W) * TINY
        if index < len(network.gates):
            gate = network.gates[index]
            lost = lost * float(np.maximum(np.abs(gate.active), np.abs(gate.inactive)).max()) + TINY
    return 4 * lost


def slope_underflow(network: Network) -> float:
    """`underflow_error` for slopes; zero where weights are too large for any product of them to underflow.

    The least product that is not zero, rounded or left over by a sum that cancels, has 53 binary digits fewer at each
    layer than its factors.
    """
    least = 0.0
    factors = [layer.W if isinstance(layer.W, np.ndarray) else layer.W.data for layer in network.affine]
    factors += [np.concatenate([gate.active, gate.inactive]) for gate in network.gates]
    for factor in factors:
        size = np.abs(factor[factor != 0])
        least += min(float(np.log2(size.min())), 0.0) - 53 if len(size) and not (size == 1).all() else 0.0
    return underflow_error(network) if least < np.log2(TINY) else 0.0


def evaluation_error(
    network: Network, X: Float[np.ndarray, "rows inputs"], unit: float = UNIT
) -> Float[np.ndarray, "rows outputs"]:
    """A bound on |computed - exact| for the network's outputs at each row of X (see `preactivation_errors`)."""
    return preactivation_errors(network, X, unit)[-1]


def map_roundings(network: Network, unit: float = UNIT) -> list[float]:
    """Relative errors of the rows of layers 1..L+1 under a pattern, against the same sums in magnitudes.

    See `local_rows_error` for the count of roundings.
    """
    roundings, found = 2 * network.inputs + 4, []
    for layer in network.affine:
        found.append(gamma(2 * roundings, unit))
        roundings += len(layer.b) + 3
    return found


def equality_error(
    network: Network, X: Float[np.ndarray, "rows inputs"], unit: float = UNIT
) -> Float[np.ndarray, "rows outputs"]:
    """A bound on |deep - shallow| at each row of X when both are the same function in exact arithmetic.

    The deep network's own error, plus the rounding in alpha, beta and alpha x + beta: at most gamma(2 K) of the sums in
    magnitudes, with the slopes of x's pattern (the steeper one where rounding leaves the sign open: on a border).
    """
    size = np.abs(np.asarray(X, dtype=np.float64))
    z = np.asarray(X, dtype=np.float64)
    errors = preactivation_errors(network, X, unit)
    for index, layer in enumerate(network.affine):
        size = (abs(layer.W) @ size.T).T + np.abs(layer.b)
        z = (layer.W @ z.T).T + layer.b
        if index < len(network.gates):
            gate = network.gates[index]
            slope = np.where(z > 0, gate.active, gate.inactive)
            steepest = np.maximum(np.abs(gate.active), np.abs(gate.inactive))
            size = size * np.where(np.abs(z) > errors[index], np.abs(slope), steepest)
            z = z * slope
    return errors[-1] + (map_roundings(network, unit)[-1] + gamma(network.inputs + 2, unit)) * size


RADIUS = 4 * float(np.sqrt(UNIT))  # relative: what an inscribed radius may be off
VOLUME = float(np.sqrt(UNIT))  # what volumes of regions, computed by qhull, may miss of the whole
GENERAL_POSITION = float(np.sqrt(UNIT))  # a smallest singular value above this is no rounding


# the tightest feasibility tolerance that HiGHS accepts
LP_TOLERANCE = 1e-10
PENALTIES = (2.0**14, 2.0**26)  # what missing a row costs, in sizes of the objective: first gently, then near 1/sqrt(u)
NEAREST = 2.0**10 * LP_TOLERANCE  # relative: what a nearest point may be off, its vertex a solution of some rows
FARTHEST = 1 / UNIT  # how far a nearest point is looked for: beyond, the point it is to be near to is lost in rounding
ROOM = 1 + 2.0**-16  # a search box's size, in radii: with room for the solver where the nearest point is at the end
SURPLUS = 2.0**12 * UNIT  # by how much a point sought shall fit rows of unit norm: more than the simplex gives way
LP_OPTIONS = {"primal_feasibility_tolerance": LP_TOLERANCE, "dual_feasibility_tolerance": LP_TOLERANCE}  # of linprog


def search_limits(
    network: Network, dimension: int, first_rows: int, *, certify: bool = True
) -> Float[np.ndarray, " limits"]:
    """The compiled search's numbers, in its order (see `lp/kernel.py: climb` and `regions/kernel.py: search`).

    Rows have unit norm and |y| <= 1, so round-off is measured against 1: the flattest edge counted as meeting a row is
    a few hundred u; a price is zero below a few u of the objective's size; a row of d + 1 terms is evaluated to
    gamma(4 d + 20); a pre-activation shows a side only `side` times beyond its own bound, which pays for the vertex
    being a solution of d equations in rounded arithmetic. Bounding a cell takes 2 d programs, which pay where more than
    d neurons are open (measured). The last entry says whether error bounds are carried.
    """
    flattest = 256 * UNIT
    price = 16 * UNIT
    most = 50 * (dimension + network.neurons + first_rows) + 1000
    return np.array([flattest, price, 40, most, 12, gamma(4 * dimension + 20), 16.0, sum_rounding(network), dimension,
                     64 * UNIT, np.sqrt(UNIT), 2.0**16 * UNIT, float(certify)])  # fmt: skip


def climb_limits(dimension: int, rows: int) -> Float[np.ndarray, " limits"]:
    """The numbers of `lp/kernel.py: climb` for a program of its own, as in `search_limits`; answers are checked."""
    most = 50 * (dimension + rows) + 1000
    return np.array([256 * UNIT, 16 * UNIT, 40, most, 12, 0.0, 0.0, 0.0, dimension, 64 * UNIT, np.sqrt(UNIT)])


def decomposition_limits() -> Float[np.ndarray, " limits"]:
    """The numbers of `questions/boxed_kernel.py: descend`: rows of unit norm in a unit box; answers are checked."""
    return np.array([LP_TOLERANCE, 2.0**10 * UNIT, 2.0**12])


def local_rows_error(
    network: Network, pattern: Bool[np.ndarray, " neurons"] | None = None
) -> tuple[Float[np.ndarray, "neurons inputs"], Float[np.ndarray, " neurons"]]:
    """(E, e) with |computed - exact| <= E |y| + e for every row G y + g of `network.local_maps`, at any point y.

    Without a pattern the bound holds for all patterns. Every entry of G_l is a sum of products with at most K_l
    roundings each, K_l = the widths passed plus slope, sum and dot product; so its error is at most gamma(K_l) times
    the same expression in magnitudes (Higham, section 3.5), itself computed with K_l roundings: gamma(2 K_l) covers
    both. Overflow and underflow are left aside.
    """
    size, shift = np.abs(dense(network.affine[0].W)), np.abs(network.affine[0].b)
    roundings = 2 * network.inputs + 4
    E, e, start = [np.zeros((0, network.inputs))], [np.zeros(0)], 0
    for gate, layer in zip(network.gates, network.affine[1:], strict=True):
        E.append(gamma(2 * roundings) * size)
        e.append(gamma(2 * roundings) * shift)
        stop = start + len(gate.active)
        slope = np.maximum(np.abs(gate.inactive), np.abs(gate.active))
        if pattern is not None:
            slope = np.abs(np.where(pattern[start:stop], gate.active, gate.inactive))
        size, shift = abs(layer.W) @ (slope[:, None] * size), abs(layer.W) @ (slope * shift) + np.abs(layer.b)
        roundings += layer.W.shape[1] + 3
        start = stop
    return np.concatenate(E), np.concatenate(e)


def general_lp_margin(dimension: int) -> float:
    """The smallest radius or height that a general solver's answer proves in a cell of unit-norm rows and size 1.

    A vertex is the solution of `dimension` rows, each off by up to the solver's tolerance, and so is the maximum.
    """
    return 2 * (dimension + 1) * LP_TOLERANCE


def check_range(network: Network, reach: float) -> None:
    """Raises ModelError where pre-activations on inputs up to `reach` may come near the end of float64.

    Small numbers are no danger: what underflow takes is part of every error bound.
    """
    largest = max(np.log2(max(reach, 1.0)), 0.0)
    for index, layer in enumerate(network.affine):
        largest += max(float(np.log2(max(abs(layer.W).max(), np.abs(layer.b).max(), 1.0))), 0.0)
        largest += float(np.log2(layer.W.shape[1] + 1))
        if index < len(network.gates):
            gate = network.gates[index]
            largest += float(np.log2(max(np.abs(gate.active).max(), np.abs(gate.inactive).max(), 1.0)))
    if largest > SAFE_EXPONENT:
        raise ModelError(
            f"the network's weights are too large for float64 on this domain: pre-activations may reach "
            f"2^{largest:.0f}; rescale its neurons or narrow the domain"
        )


def chart_error(
    W: Float[np.ndarray, "width n"], bias: Float[np.ndarray, " width"], embedding: Float[np.ndarray, "n d_plus_1"],
    e: Float[np.ndarray, " d_plus_1"],
) -> Float[np.ndarray, " width"]:
    """A bound, over the unit box, on the rounding in the first layer's rows W [M v] + bias e.

    It also covers moving an input point by four units in the last place of its largest value in the chart: the chart's
    own rounding, and that of a witness when it is written in input coordinates.
    """  # fmt: skip
    reach = np.abs(embedding).sum(axis=1)
    size = np.abs(W) @ reach + np.abs(bias) * np.abs(e).sum()
    return np.where(size > 0, gamma(W.shape[1] + 8) * size + TINY, TINY * (np.abs(W) > 0).any(axis=1))


def rows_error(
    A: Float[np.ndarray, "rows n"],
    c: Float[np.ndarray, " rows"],
    M: Float[np.ndarray, "n d"],
    v: Float[np.ndarray, " n"],
    e: Float[np.ndarray, " d_plus_1"],
) -> Float[np.ndarray, " rows"]:
    """A bound, over the unit box, on the rounding in the rows c x0 - A x' of a chart, A and c rounded once before.

    It is taken from the sizes of what is added up, since the sums may cancel.
    """
    size = np.abs(c) * np.abs(e).sum() + np.abs(A) @ (np.abs(M).sum(axis=1) + np.abs(v))
    return gamma(M.shape[0] + 12) * size + TINY


GRAIN = 2.0**10 * UNIT  # relative to a point's own numbers: what a distance from it may be off
NOT_WHOLE = float(np.sqrt(UNIT))  # a feature farther than this from whole numbers is none; rounding is far below it
RESIDUAL = float(np.sqrt(UNIT))  # of least distance programming: below, no point fits the rows
EFFECT_LOSS = 2.0**12 * UNIT  # of the largest value: curves that may be off by more are computed in twice the precision
RULE_CHANGE = 0.01  # of a region's depth: how far rounding its rule's numbers for people may move a border


def rescaled_error(
    A: Float[np.ndarray, "rows n"], E: Float[np.ndarray, "rows n"], b: Float[np.ndarray, " rows"],
    e: Float[np.ndarray, " rows"], offset: Float[np.ndarray, " n"],
) -> tuple[Float[np.ndarray, "rows n"], Float[np.ndarray, " rows"]]:
    """Bounds on what rows A, and constants b + A offset, are off where the given ones are within E and e.

    A has been divided once, which costs every entry that is not zero one rounding; the sum costs gamma(n + 4) of its
    magnitudes. So an entry of A that was exact before stays above its bound.
    """
    entries = E * (1 + gamma(4)) + gamma(2) * np.abs(A)
    size = np.abs(A) @ np.abs(offset) + np.abs(b)
    return entries, e + entries @ np.abs(offset) + gamma(A.shape[1] + 8) * size * (offset != 0).any()


def gap_closed(size: float, error: float) -> float:
    """A gap that may be all a solver's tolerance, at values of this size, and the rounding error of a value."""
    return 16 * LP_TOLERANCE * size + 64 * error + 64 * TINY


def shapley_error(
    network: Network,
    X: Float[np.ndarray, "rows inputs"],
    B: Float[np.ndarray, "points inputs"],
    outputs: list[int],
    terms: int,
) -> Float[np.ndarray, "rows outputs"]:
    """A bound on the rounding in a row's Shapley values against B, and in bounds on them, of `terms` summed hybrids.

    Every number on the way is a sum of products whose magnitudes |W|, |lo| + |hi - lo| of gates and |b| + |x - b|
    dominate, also where neurons are put into one another or replaced by their relaxations; K roundings lie between
    the inputs and an output, twice as many where differences of hybrids are taken. A Shapley value weighs outputs by 2
    in all.
    """
    size = np.abs(X) + 2 * np.abs(B).max(axis=0)
    roundings = 2 * network.inputs + 4
    for index, layer in enumerate(network.affine):
        size = (abs(layer.W) @ size.T).T + np.abs(layer.b)
        roundings += layer.W.shape[1] + 6
        if index < len(network.gates):
            gate = network.gates[index]
            size = size * (np.abs(gate.inactive) + np.abs(gate.active - gate.inactive))
    return 2 * (gamma(4 * roundings) + gamma(terms + network.inputs)) * size[:, outputs]
