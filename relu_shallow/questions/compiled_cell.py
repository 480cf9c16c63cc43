"""The steps of a node of the nearest-point search by compiled code, in the terms of nearest_cell.py."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Int, Int8

from relu_shallow.network import Network
from relu_shallow.precision import PENALTIES, climb_limits
from relu_shallow.questions.cell_kernel import Packed, bound_cell, costs, packed, rows_of, values_at
from relu_shallow.questions.distance import Norm
from relu_shallow.questions.goal import Goal
from relu_shallow.questions.norm_kernel import bounded, squeeze
from relu_shallow.relaxation import Ball, Bounds

FEW_ENTRIES = 1 << 17  # weights up to which compiled loops are faster than NumPy's products (measured)
SMALL = 64  # inputs; up to here a simplex with a dense basis is faster than HiGHS (measured)
NORM = {"1": 1, "2": 2, "inf": 0}
PRICES = np.array(PENALTIES)

Rows = tuple[Float[np.ndarray, "k n"], Float[np.ndarray, " k"], Int[np.ndarray, " k"]]


def packed_if_small(network: Network) -> Packed | None:
    """The arrays of a dense network that compiled code is for; None of others."""
    whole = all(isinstance(layer.W, np.ndarray) for layer in network.affine)
    return packed(network) if whole and network.matrix_entries <= FEW_ENTRIES else None


def values_of(net: Packed, z: Float[np.ndarray, " n"]) -> Float[np.ndarray, " values"]:
    """The pre-activations and outputs at a point, end to end."""
    values, error = np.zeros((2, len(net.b)))
    h, h_error = np.zeros((2, int(net.widths.max())))
    values_at(net, z, values, h, error, h_error)
    return values


def relaxed(
    net: Packed,
    goal: Goal,
    box: tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]],
    signs: Int8[np.ndarray, " neurons"],
    known: Bounds | None,
    first: int,
    ball: Ball | None,
    sides: Float[np.ndarray, " values"],
) -> tuple[Bounds, Rows] | None:
    """Bounds on a cell, and (A, a, owners) of the lines above the goal and the given signs; None: proved empty."""
    lo, hi = box
    low, high = np.full(len(net.b), -np.inf), np.full(len(net.b), np.inf)
    if known is not None:
        np.concatenate(known.lower, out=low)
        np.concatenate(known.upper, out=high)
    widest, n = int(net.widths.max()), len(lo)
    heft, c, d, row, work = np.zeros(len(net.b)), np.zeros(widest), np.zeros(widest), np.zeros(n), np.zeros((3, widest))
    x, weights, radius, norm = (lo, lo, 0.0, 0) if ball is None else (
        ball.centre, ball.weights, ball.radius, NORM[ball.norm])  # fmt: skip
    if not bound_cell(net, lo, hi, signs, low, high, heft, first, norm, x, weights, radius, sides, c, d, row, work):
        return None
    most = 2 * (len(goal.c) + np.count_nonzero(signs))
    rows, a, owners = np.zeros((most, n)), np.zeros(most), np.zeros(most, np.int64)
    k = rows_of(net, goal.C, goal.c, signs, low, high, heft, sides, rows, a, owners, c, d)
    ends = net.off.tolist()
    lower, upper = ([part[i:j] for i, j in pairwise(ends)] for part in (low, high))
    return Bounds(lo, hi, lower, upper), (rows[:k], a[:k], owners[:k])


def squeezed(
    lo: Float[np.ndarray, " n"],
    hi: Float[np.ndarray, " n"],
    A: Float[np.ndarray, "k n"],
    a: Float[np.ndarray, " k"],
    whole: Bool[np.ndarray, " n"],
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """The box, narrowed to where each row by itself can be >= 0; lo > hi somewhere: it is empty."""
    lo, hi = lo.copy(), hi.copy()
    squeeze(A, a, lo, hi, whole)
    return lo, hi


def nearest_of(
    norm: Norm,
    at: tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]],
    box: tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]],
    rows: tuple[Float[np.ndarray, "k n"], Float[np.ndarray, " k"]],
    margin: Float[np.ndarray, " k"],
    reach: float,
) -> tuple[float, Float[np.ndarray, " n"] | None, Float[np.ndarray, " k"]]:
    """(proved lower bound, relaxed nearest point or None, multipliers) in the norms 1 and inf; `at` is (x, weights)."""
    (x, weights), (A, a) = at, rows
    n, k = len(x), len(a)
    z, y = np.zeros(n), np.zeros(k)
    d = n + (n if norm == "1" else 1) + 1
    bound, some = bounded(NORM[norm], x, weights, *box, A, a, margin, reach, PRICES, climb_limits(d, 4 * n + 1 + k),
                          z, y)  # fmt: skip
    return float(bound), z if some else None, y


def scores(
    net: Packed,
    goal: Goal,
    signs: Int8[np.ndarray, " neurons"],
    bounds: Bounds,
    sides: Float[np.ndarray, " values"],
    owners: Int[np.ndarray, " k"],
    weights: Float[np.ndarray, " k"],
    z: Float[np.ndarray, " n"],
    glance: float,
) -> Float[np.ndarray, " neurons"]:
    """What each open neuron's lines cost the weighted rows at z, and `glance` of what they cost anywhere."""
    score = np.zeros(len(net.inactive))
    c, d = np.zeros((2, int(net.widths.max())))
    costs(net, goal.C, signs, np.concatenate(bounds.lower), np.concatenate(bounds.upper), sides, owners,
          weights, glance, values_of(net, z), score, c, d)  # fmt: skip
    return score
