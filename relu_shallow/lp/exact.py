"""The same simplex in exact arithmetic, all in integers: for the few questions that rounding leaves open.

A row (a_1, .., a_d, b) of integers stands for a . y + b >= 0; rows are the lines of an object array. A vertex is kept
as numerators over one positive denominator, so that no fraction is ever reduced. Bland's rule throughout, so it ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np


@dataclass(frozen=True, eq=False)
class Vertex:
    """The point numerators / denominator where the basis rows vanish; inverse / denominator inverts their matrix."""

    numerators: np.ndarray
    denominator: int
    basis: tuple[int, ...]
    inverse: np.ndarray

    @property
    def point(self) -> list[Fraction]:
        """The coordinates as fractions."""
        return [Fraction(int(top), self.denominator) for top in self.numerators]


def adjugate(matrix: np.ndarray) -> tuple[np.ndarray, int]:
    """(X, D) with matrix X = D I, D > 0, in integers (Bareiss' elimination); D = 0 where the matrix is singular."""
    d = len(matrix)
    table = [[*map(int, row), *(int(k == j) for j in range(d))] for k, row in enumerate(matrix)]
    last = 1
    for k in range(d):
        swap = next((i for i in range(k, d) if table[i][k]), None)
        if swap is None:
            return np.zeros((0, 0), dtype=object), 0
        if swap != k:
            table[k], table[swap] = table[swap], [-v for v in table[k]]
        pivot = table[k][k]
        for i in range(d):
            if i != k:
                factor, lead = table[i][k], table[k]
                table[i] = [(pivot * v - factor * w) // last for v, w in zip(table[i], lead, strict=True)]
        last = pivot
    sign = -1 if last < 0 else 1
    inverse = np.empty((d, d), dtype=object)
    for k in range(d):
        inverse[k] = [sign * v for v in table[k][d:]]
    return inverse, abs(last)


def vertex_of(rows: np.ndarray, basis: Sequence[int]) -> Vertex | None:
    """The point where the basis rows vanish, or None where they are dependent."""
    chosen = rows[list(basis)]
    inverse, denominator = adjugate(chosen[:, :-1])
    if denominator == 0:
        return None
    return Vertex(-inverse.dot(chosen[:, -1]), denominator, tuple(int(i) for i in basis), inverse)


def values(rows: np.ndarray, vertex: Vertex) -> np.ndarray:
    """The rows' values at a vertex, times its (positive) denominator."""
    return rows[:, :-1].dot(vertex.numerators) + rows[:, -1] * vertex.denominator


def feasible(rows: np.ndarray, vertex: Vertex) -> bool:
    """Whether every row is >= 0 at the vertex."""
    return not (values(rows, vertex) < 0).any()


def maximum(rows: np.ndarray, objective: np.ndarray, start: Vertex, *, stop_above_zero: bool = False) -> Vertex:
    """A vertex at which objective . (y, 1) is largest over the rows' polytope, climbed from a feasible vertex.

    With `stop_above_zero`, the first vertex at which it is positive.
    """
    here = start
    while not (stop_above_zero and values(objective[None, :], here)[0] > 0):
        prices = objective[:-1].dot(here.inverse)
        rising = [i for i in range(len(here.basis)) if prices[i] > 0]
        if not rising:
            break
        leaving = min(rising, key=here.basis.__getitem__)
        steps = rows[:, :-1].dot(here.inverse[:, leaving])
        slack = values(rows, here)
        entering = -1
        for i in np.flatnonzero(steps < 0):
            if entering < 0 or slack[i] * steps[entering] > slack[entering] * steps[i]:  # both steps are negative
                entering = int(i)
        here = _exchanged(here, leaving, entering, rows[entering])
    return here


def _exchanged(vertex: Vertex, leaving: int, entering: int, row: np.ndarray) -> Vertex:
    """The vertex with one row of its basis exchanged for another, in integers throughout (Edmonds, Bareiss).

    With B X = D I and p = row X: D' = p_l, X'_l = X_l and X'_i = (p_l X_i - p_i X_l) / D, where nothing remains.
    """
    X, D = vertex.inverse, vertex.denominator
    p = row[:-1].dot(X)
    lead, column = p[leaving], X[:, leaving]
    value = row[:-1].dot(vertex.numerators) + row[-1] * D
    inverse = (lead * X - np.multiply.outer(column, p)) // D
    inverse[:, leaving] = column
    numerators = (lead * vertex.numerators - value * column) // D
    if lead < 0:
        lead, inverse, numerators = -lead, -inverse, -numerators
    basis = (*vertex.basis[:leaving], entering, *vertex.basis[leaving + 1 :])
    return Vertex(numerators, int(lead), basis, inverse)


def deepest_point(rows: np.ndarray) -> tuple[Fraction, list[Fraction]]:
    """(t, y): the point y of the unit box that maximises t = min over rows of (a . y + b) / |a|_1, exactly.

    The rows begin with the 2 d faces of the unit box (y_k + 1, 1 - y_k, in turn). The polyhedron has interior exactly
    when t > 0 (a constant row that is not positive leaves none). The climb starts at the corner y = -1 with t as low as
    the rows need.
    """
    d = rows.shape[1] - 1
    constant = ~(rows[:, :-1] != 0).any(axis=1)
    if (rows[constant, -1] <= 0).any():
        return Fraction(0), [Fraction(0)] * d
    rows = rows[~constant]
    weights = abs(rows[:, :-1]).sum(axis=1)
    lifted = np.concatenate([rows[:, :-1], -weights[:, None], rows[:, -1:]], axis=1)
    hard = lifted[: 2 * d].copy()
    hard[:, d] = 0
    corner = rows[:, -1] - rows[:, :-1].sum(axis=1)
    lowest = min(range(len(rows)), key=lambda i: Fraction(int(corner[i]), int(weights[i])))
    both = np.concatenate([lifted, hard])
    start = vertex_of(both, [len(rows) + 2 * k for k in range(d)] + [lowest])
    assert start is not None, "the corner's rows and one with t are independent"
    objective = np.array([0] * d + [1, 0], dtype=object)
    top = maximum(both, objective, start).point
    return top[d], top[:d]
