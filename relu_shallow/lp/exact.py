"""The same simplex in exact rational arithmetic: for the few questions that rounding leaves open.

Rows are integers: a row (a_1, .., a_d, b) stands for a . y + b >= 0. Bland's rule throughout, so it always ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

Row = Sequence[int]


@dataclass(frozen=True)
class Vertex:
    """A vertex of {y : a . y + b >= 0}: its point, the d rows that are zero there, and the inverse of their matrix."""

    point: list[Fraction]
    basis: list[int]
    inverse: list[list[Fraction]]


def vertex_of(rows: Sequence[Row], basis: Sequence[int]) -> Vertex | None:
    """The point where the basis rows vanish, or None where they are dependent."""
    d = len(basis)
    table = [[Fraction(v) for v in rows[i][:d]] + [Fraction(int(k == j)) for j in range(d)] for k, i in enumerate(basis)]
    for k in range(d):
        pivot = next((i for i in range(k, d) if table[i][k]), None)
        if pivot is None:
            return None
        table[k], table[pivot] = table[pivot], table[k]
        scale = table[k][k]
        table[k] = [v / scale for v in table[k]]
        for i in range(d):
            if i != k and table[i][k]:
                factor = table[i][k]
                table[i] = [v - factor * w for v, w in zip(table[i], table[k], strict=True)]
    inverse = [row[d:] for row in table]
    point = [-sum((inverse[k][j] * rows[i][d] for j, i in enumerate(basis)), Fraction(0)) for k in range(d)]
    return Vertex(point, list(basis), inverse)


def value(row: Row, point: Sequence[Fraction]) -> Fraction:
    """a . y + b."""
    return sum((a * y for a, y in zip(row, point, strict=False) if a), Fraction(row[-1]))


def feasible(rows: Sequence[Row], point: Sequence[Fraction]) -> bool:
    """Whether every row is >= 0 at the point."""
    return all(value(row, point) >= 0 for row in rows)


def maximum(rows: Sequence[Row], objective: Row, start: Vertex, stop_above: Fraction | None = None) -> Vertex:
    """A vertex at which objective . y is largest over the rows' bounded polyhedron, climbed from a feasible vertex.

    With `stop_above`, the first vertex at which the objective (its constant included) exceeds it.
    """
    d = len(start.basis)
    point, basis, inverse = list(start.point), list(start.basis), [list(row) for row in start.inverse]
    slack = [value(row, point) for row in rows]
    while True:
        if stop_above is not None and value(objective, point) > stop_above:
            break
        prices = [sum(objective[k] * inverse[k][i] for k in range(d)) for i in range(d)]
        rising = [i for i in range(d) if prices[i] > 0]
        if not rising:
            break
        leaving = min(rising, key=lambda i: basis[i])
        edge = [inverse[k][leaving] for k in range(d)]
        steps = [sum((row[k] * edge[k] for k in range(d) if row[k]), Fraction(0)) for row in rows]
        blocking = [(slack[i] / -step, i) for i, step in enumerate(steps) if step < 0]
        reach, entering = min(blocking)
        point = [y + reach * e for y, e in zip(point, edge, strict=True)]
        slack = [s + reach * step for s, step in zip(slack, steps, strict=True)]
        along = [sum((rows[entering][k] * inverse[k][i] for k in range(d)), Fraction(0)) for i in range(d)]
        for row in inverse:
            scaled = row[leaving] / along[leaving]
            for i in range(d):
                row[i] -= along[i] * scaled
            row[leaving] = scaled
        basis[leaving] = entering
    return Vertex(point, basis, inverse)


def deepest_point(rows: Sequence[Row], bounds: int) -> tuple[Fraction, list[Fraction], Vertex]:
    """(t, y, vertex): the point y that maximises t = min over rows of (a . y + b) / |a|_1 in the unit box, exactly.

    `bounds` says where the 2 d rows of the unit box start among the rows (y_k + 1, 1 - y_k, in turn). The polyhedron
    has interior exactly when t > 0. The climb starts at the corner y = -1 with t as low as the rows need.
    """
    d = len(rows[0]) - 1
    weights = [sum(abs(a) for a in row[:d]) for row in rows]
    lifted = [[*row[:d], -weight, row[d]] for row, weight in zip(rows, weights, strict=True)]
    hard = [[*rows[bounds + k][:d], 0, rows[bounds + k][d]] for k in range(2 * d)]
    corner = [Fraction(-1)] * d
    ratios = [(value(row, corner) / weight, i) for i, (row, weight) in enumerate(zip(rows, weights, strict=True)) if weight]
    _, lowest = min(ratios)
    start = vertex_of(lifted + hard, [len(rows) + 2 * k for k in range(d)] + [lowest])
    assert start is not None, "the corner's rows and one with t are independent"
    top = maximum(lifted + hard, [*([0] * d), 1, 0], start)
    return top.point[d], top.point[:d], top
