"""The convex program of a nearest point: the least norm over half-spaces and a box, by solvers that need no trust.

Written in u = weights (z - x) / scale, so that all numbers are about one. What comes back are a point and multipliers;
`distance.proved_distance` makes a bound of them, whatever they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from relu_shallow.precision import LP_OPTIONS, PENALTIES, RESIDUAL, climb_limits
from relu_shallow.questions.distance import Norm

SMALL = 64  # inputs; up to here the compiled simplex, whose basis is dense, is faster than HiGHS (measured)


@dataclass(frozen=True, eq=False)
class Solution:
    """A point u of (nearly) least norm, the rows' multipliers and a slope of the norm there; `missed` rows by how much.

    Where `missed` is positive no point fits all rows, as far as the solver can tell.
    """

    u: Float[np.ndarray, " n"]
    dual: Float[np.ndarray, " k"]
    slope: Float[np.ndarray, " n"]
    missed: float


def least_norm(
    norm: Norm,
    low: Float[np.ndarray, " n"],
    high: Float[np.ndarray, " n"],
    G: Float[np.ndarray, "k n"],
    h: Float[np.ndarray, " k"],
    price: float = PENALTIES[0],
    seconds: float = np.inf,
) -> Solution | None:
    """The u of least norm with G u >= h and low <= u <= high; None where the solver gives up, as after some seconds.
    Rows of unit norm.

    For "1" and "inf" rows are elastic at a price for the most that one is missed by, so that there is an answer always.
    """
    start = np.clip(0.0, low, high)
    if (low <= 0).all() and (high >= 0).all() and (h <= 0).all():
        return Solution(start, np.zeros(len(h)), np.zeros(len(low)), 0.0)
    if norm == "2":
        return _least_square(low, high, G, h)
    found = _climbed(norm, low, high, G, h, price) if len(low) <= SMALL else None
    return found if found is not None else _priced(norm, low, high, G, h, price, seconds)


def _least_square(low: np.ndarray, high: np.ndarray, G: np.ndarray, h: np.ndarray) -> Solution | None:
    """Least distance programming as non-negative least squares (Lawson and Hanson 1974, chapter 23)."""
    from scipy.optimize import nnls

    n = len(low)
    rows = np.concatenate([G, np.eye(n), -np.eye(n)])
    right = np.concatenate([h, low, -high])
    E = np.concatenate([rows.T, right[None]])
    try:
        y, _ = nnls(E, np.append(np.zeros(n), 1.0))
    except RuntimeError:  # too many steps
        return None
    rest = E @ y - np.append(np.zeros(n), 1.0)
    if -rest[-1] <= RESIDUAL or not np.isfinite(rest).all():  # y proves that there is none
        return Solution(np.clip(0.0, low, high), y[: len(h)], np.zeros(n), 1.0)
    u = np.clip(rest[:-1] / -rest[-1], low, high)
    length = float(np.linalg.norm(u))
    if length == 0:
        return Solution(u, np.zeros(len(h)), np.zeros(n), 0.0)
    return Solution(u, y[: len(h)] / (-rest[-1] * length), u / length, float(np.maximum(h - G @ u, 0).max(initial=0.0)))


def _priced(
    norm: Norm, low: np.ndarray, high: np.ndarray, G: np.ndarray, h: np.ndarray, price: float, seconds: float = np.inf
) -> Solution | None:
    """The least L1 or L-infinity norm by HiGHS."""
    from scipy.optimize import linprog

    k, n = G.shape
    short = np.ones((k, 1))  # the one slack that all rows share
    if norm == "1":  # u = plus - minus
        cost = np.concatenate([np.ones(2 * n), [price]])
        rows, right = -np.concatenate([G, -G, short], axis=1), -h
        ends = [np.maximum(low, 0), np.maximum(-high, 0)], [np.maximum(high, 0), np.maximum(-low, 0)]
    else:  # |u_i| <= t
        cost = np.concatenate([np.zeros(n), [1.0, price]])
        eye, one, none = np.eye(n), np.ones((n, 1)), np.zeros((n, 1))
        rows = np.block([[-G, np.zeros((k, 1)), -short], [eye, -one, none], [-eye, -one, none]])
        right = np.concatenate([-h, np.zeros(2 * n)])
        ends = [low, np.zeros(1)], [high, np.full(1, np.inf)]
    bounds = np.stack([np.append(np.concatenate(ends[0]), 0.0), np.append(np.concatenate(ends[1]), np.inf)], axis=1)
    found = linprog(cost, A_ub=rows, b_ub=right, bounds=bounds, method="highs-ds",
                    options=LP_OPTIONS | {"time_limit": seconds})  # fmt: skip
    if found.status != 0:
        return None
    dual = -found.ineqlin.marginals
    if norm == "1":
        u = found.x[:n] - found.x[n : 2 * n]
        return Solution(u, dual[:k], np.clip(G.T @ dual[:k], -1.0, 1.0), float(found.x[-1]))
    return Solution(found.x[:n], dual[:k], dual[k : k + n] - dual[k + n :], float(found.x[-1]))


def _climbed(
    norm: Norm, low: np.ndarray, high: np.ndarray, G: np.ndarray, h: np.ndarray, price: float
) -> Solution | None:
    """The same by the search's compiled simplex, from a vertex that is known; None where it gave up.

    Variables are u, t (one, or one for each feature) and the shared slack s; rows t - u, t + u, u - low, high - u, s,
    and G u - h + s, each >= 0 and of unit norm.
    """
    from relu_shallow.lp.kernel import OPTIMAL, climb, padded, refactor

    (k, n), sizes = G.shape, 1 if norm == "inf" else len(low)
    d, rows, root = n + sizes + 1, 4 * n + 1 + k, float(np.sqrt(0.5))
    AT, b = np.zeros((padded(d), 8 * ((rows + 7) // 8))), np.zeros(8 * ((rows + 7) // 8))
    i = np.arange(n)
    t = n + (np.zeros(n, int) if sizes == 1 else i)
    AT[i, i], AT[t, i], AT[i, n + i], AT[t, n + i] = -root, root, root, root
    AT[i, 2 * n + i], AT[i, 3 * n + i], AT[d - 1, 4 * n] = 1.0, -1.0, 1.0
    AT[:n, 4 * n + 1 : rows], AT[d - 1, 4 * n + 1 : rows] = root * G.T, root
    b[2 * n : 3 * n], b[3 * n : 4 * n], b[4 * n + 1 : rows] = -low, high, -root * h
    basis = _first_vertex(norm, low, high, G, h)
    slack, y, binv, scratch = np.zeros(len(b)), np.zeros(d), np.zeros((d, d)), np.zeros((d, 2 * d))
    if not refactor(AT, b, slack, y, basis, binv, rows, d, scratch):
        return None
    cost = np.zeros(d)
    cost[n:-1], cost[-1] = -1.0, -price
    prices, edge, denom, ratio = np.zeros(d + 4), np.zeros(padded(d)), np.zeros(len(b)), np.zeros(len(b) + d)
    state = climb(AT, b, slack, y, basis, binv, rows, d, cost, 0.0, np.inf, prices, edge, denom, ratio, scratch,
                  np.zeros(3, np.int64), climb_limits(d, rows))  # fmt: skip
    if state != OPTIMAL:
        return None
    found = np.zeros(rows)
    found[basis] = np.maximum(-prices[:d], 0.0)
    return Solution(y[:n].copy(), root * found[4 * n + 1 :], root * (found[:n] - found[n : 2 * n]), float(y[-1]))


def _first_vertex(norm: Norm, low: np.ndarray, high: np.ndarray, G: np.ndarray, h: np.ndarray) -> np.ndarray:
    """The rows of `_climbed` that meet in a vertex near u = 0, with s as large as the rows need."""
    n = len(low)
    u = np.clip(0.0, low, high)
    i = np.arange(n)
    bound = np.where(u > 0, 2 * n + i, 3 * n + i)  # the end of its range at which u is, where that is not 0
    sized = np.where(u > 0, i, n + i)
    if norm == "1":
        first, second = np.where(u == 0, i, bound), np.where(u == 0, n + i, sized)
    else:
        far = int(np.argmax(np.abs(u)))
        top = abs(u[far])
        first = np.where(top <= high, i, 3 * n + i)
        corner = [far, n + far] if top == 0 else [bound[far], sized[far]]
        first[far], second = corner[0], np.array(corner[1:])
        u = np.minimum(top, high) if top > 0 else u
        u[far] = np.clip(0.0, low[far], high[far])
    short = h - G @ u
    worst = 4 * n if short.max(initial=0.0) <= 0 else 4 * n + 1 + int(np.argmax(short))
    return np.concatenate([first, second, [worst]]).astype(np.int64)
