"""The facets of one region and the region behind each, in rational arithmetic: what floats leave open."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from jaxtyping import Bool

from relu_shallow.checks.exact import Point, Row, pattern_beyond
from relu_shallow.network import Network


@dataclass(frozen=True, eq=False)
class Crossing:
    """The way out of a region through one facet: a point inside the facet, and the pattern just beyond it."""

    point: Point
    pattern: Bool[np.ndarray, " neurons"]


def crossing(
    network: Network, row: Row, others: Sequence[Row], walls: Sequence[Row], fixed: Mapping[int, Fraction]
) -> Crossing | None:
    """The way out of a region through the hyperplane of one of its rows; None where that bounds no facet, or a wall's.

    `others` are the rows that may bound the region besides, and `walls` the domain's, all positive inside; so two that
    vanish on one hyperplane are positive multiples of each other.
    """
    if any(proportional(row, wall) for wall in walls):
        return None
    on_plane, lift = _restrict_to_zero(row, [other for other in [*others, *walls] if not proportional(row, other)])
    if any(not any(line[:-1]) and line[-1] <= 0 for line in on_plane):
        return None
    depth, inner = deepest([line for line in on_plane if any(line[:-1])], len(row) - 2)
    if depth <= 0:
        return None
    free = [i for i in range(network.inputs) if i not in fixed]
    x = {**fixed, **dict(zip(free, lift(inner), strict=True))}
    outward = dict(zip(free, (-a for a in row[:-1]), strict=True))
    point = tuple(x[i] for i in range(network.inputs))
    return Crossing(point, pattern_beyond(network, point, [outward.get(i, 0) for i in range(network.inputs)]))


def proportional(row: Row, other: Row) -> bool:
    """Whether two rows are multiples of each other, constants included."""
    axis = next(i for i, v in enumerate(row) if v)
    return all(row[axis] * b == other[axis] * a for a, b in zip(row, other, strict=True))


def deepest(rows: Sequence[Row], d: int) -> tuple[Fraction, list[Fraction]]:
    """(s, y) that maximises s <= 1 with a . y + b >= s |a|_1 for every row: s > 0 exactly if there is interior.

    A dictionary of fractions, each row a variable in terms of those at zero; Bland's rule, so it ends. Variables 0 to
    d - 1 are y, d is s, the rest slacks, the last that of s <= 1. Free variables enter first and never leave.
    """
    table = [[Fraction(v) for v in [*row[:-1], -sum(map(abs, row[:-1])), row[-1]]] for row in rows]
    table.append([*[Fraction(0)] * d, Fraction(-1), Fraction(1)])
    basic = [d + 1 + i for i in range(len(table))]
    column = list(range(d + 1))
    objective = [*[Fraction(0)] * d, Fraction(1), Fraction(0)]
    tightest = min(range(len(table)), key=lambda i: table[i][-1] / -table[i][d])  # s as high as y = 0 allows
    _exchange(table, objective, basic, column, tightest, d)
    while rising := [k for k, price in enumerate(objective[:-1]) if (price > 0 if column[k] > d else price != 0)]:
        entering = min(rising, key=column.__getitem__)
        way = 1 if objective[entering] > 0 else -1
        falling = [i for i, line in enumerate(table) if basic[i] > d and way * line[entering] < 0]
        leaving = min(falling, key=lambda i: (table[i][-1] / -(way * table[i][entering]), basic[i]))
        _exchange(table, objective, basic, column, leaving, entering)
    y = [Fraction(0)] * d
    for line, variable in zip(table, basic, strict=True):
        if variable < d:
            y[variable] = line[-1]
    return objective[-1], y


def _exchange(
    table: list[list[Fraction]], objective: list[Fraction], basic: list[int], column: list[int], row: int, place: int
) -> None:
    """Exchanges the variables of a row and a column."""
    inverse = 1 / table[row][place]
    lead = [-v * inverse for v in table[row]]
    lead[place] = inverse
    for line in (*table[:row], *table[row + 1 :], objective):
        factor, line[place] = line[place], Fraction(0)
        if factor:
            for k, v in enumerate(lead):
                line[k] += factor * v
    table[row] = lead
    basic[row], column[place] = column[place], basic[row]


def _restrict_to_zero(row: Row, others: Sequence[Row]) -> tuple[list[Row], Callable[[list[Fraction]], list[Fraction]]]:
    """The other rows where `row` is zero, in one coordinate less, and the map from there to all coordinates."""
    axis = max(range(len(row) - 1), key=lambda i: abs(row[i]))
    lead, sign = row[axis], 1 if row[axis] > 0 else -1
    reduced = [[sign * (lead * a - other[axis] * b) for a, b in zip(other, row, strict=True)] for other in others]
    kept = [*row[:axis], *row[axis + 1 : -1]]

    def lift(y: list[Fraction]) -> list[Fraction]:
        value = -(sum((a * v for a, v in zip(kept, y, strict=True)), Fraction(0)) + row[-1]) / lead
        return [*y[:axis], value, *y[axis:]]

    return [[*line[:axis], *line[axis + 1 :]] for line in reduced], lift
