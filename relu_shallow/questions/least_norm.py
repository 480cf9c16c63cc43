"""The convex program of a nearest point: the least norm over half-spaces and a box, by solvers that need no trust.

Written in u = weights (z - x) / scale, so that all numbers are about one. What comes back are a point and multipliers;
`distance.proved_distance` makes a bound of them, whatever they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from relu_shallow.precision import LP_OPTIONS, PENALTIES
from relu_shallow.questions.distance import Norm


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
) -> Solution | None:
    """The u of least norm with G u >= h and low <= u <= high; None where the solver gives up. Rows of unit norm."""
    start = np.clip(0.0, low, high)
    if (low <= 0).all() and (high >= 0).all() and (h <= 0).all():
        return Solution(start, np.zeros(len(h)), np.zeros(len(low)), 0.0)
    if norm == "2":
        return _least_square(low, high, G, h)
    return _linear(norm, low, high, G, h)


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
    if -rest[-1] <= 1 - float(np.nextafter(1, 0)) or not np.isfinite(rest).all():  # y proves that there is none
        return Solution(np.clip(0.0, low, high), y[: len(h)], np.zeros(n), 1.0)
    u = np.clip(rest[:-1] / -rest[-1], low, high)
    length = float(np.linalg.norm(u))
    if length == 0:
        return Solution(u, np.zeros(len(h)), np.zeros(n), 0.0)
    return Solution(u, y[: len(h)] / (-rest[-1] * length), u / length, float(np.maximum(h - G @ u, 0).max(initial=0.0)))


def _linear(norm: Norm, low: np.ndarray, high: np.ndarray, G: np.ndarray, h: np.ndarray) -> Solution | None:
    """The least L1 or L-infinity norm by HiGHS, rows elastic at a price, so that there is always an answer."""
    found = None
    for price in PENALTIES:
        found = _priced(norm, low, high, G, h, price)
        if found is None or found.missed <= 0:
            break
    return found


def _priced(norm: Norm, low: np.ndarray, high: np.ndarray, G: np.ndarray, h: np.ndarray, price: float) -> Solution | None:
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
    found = linprog(cost, A_ub=rows, b_ub=right, bounds=bounds, method="highs-ds", options=LP_OPTIONS)
    if found.status != 0:
        return None
    dual = -found.ineqlin.marginals
    if norm == "1":
        u = found.x[:n] - found.x[n : 2 * n]
        return Solution(u, dual[:k], np.clip(G.T @ dual[:k], -1.0, 1.0), float(found.x[-1]))
    return Solution(found.x[:n], dual[:k], dual[k : k + n] - dual[k + n :], float(found.x[-1]))
