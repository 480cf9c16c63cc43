"""A cell of the prover's walk: its rows in floats with a vertex to climb from, and in integers where floats fail."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from jaxtyping import Float

from relu_shallow.errors import OutputError
from relu_shallow.lp.exact import Vertex, feasible, maximum, values, vertex_of
from relu_shallow.lp.kernel import OPTIMAL, REACHED, climb, padded, refactor, refresh_slack
from relu_shallow.network import Network
from relu_shallow.precision import search_limits
from relu_shallow.proof.check import UNIT, highest
from relu_shallow.regions.kernel import COUNTERS

Row = Sequence[int]
Terms = list[tuple[Any, int]]  # weights (floats that float32 holds, or fractions) with the numbers of rows
Corner = tuple[np.ndarray, np.ndarray]  # a vertex and its basis
LARGEST = float(np.finfo(np.float32).max)


class Cell:
    """The unit box cut by rows; the arrays are those of lp/kernel.py: after row 0 the box's 2 d faces, then the rows.

    `sure` says whether the vertex at hand is one of the cell.
    """

    def __init__(self, d: int, network: Network, domain_rows: int) -> None:
        most = 1 + 2 * d + domain_rows + network.neurons
        self.d, self.first = d, 1 + 2 * d
        self.limits = search_limits(network, d, most)
        self.AT, self.b, self.slack, self.norms = (
            np.zeros((padded(d), most)),
            np.zeros(most),
            np.zeros(most),
            np.ones(most),
        )
        for axis in range(d):
            self.AT[axis, 1 + 2 * axis], self.AT[axis, 2 + 2 * axis] = 1.0, -1.0
        self.b[1 : self.first] = 1.0
        self.y, self.basis, self.binv = -np.ones(d), 1 + 2 * np.arange(d), np.eye(d)
        self.price, self.edge, self.denom, self.ratio = (
            np.zeros(d + 1),
            np.zeros(padded(d)),
            np.zeros(most),
            np.zeros(most),
        )
        self.scratch, self.counters = np.zeros((d + 1, 2 * d + 2)), np.zeros(COUNTERS, np.int64)
        self.rows: list[Row] = []
        self.corner: Corner | None = None
        self.sure = domain_rows == 0

    def move(self, corner: Corner | None) -> None:
        """Goes, with the next rows held, to a vertex of theirs, or (None) to where none is known."""
        self.sure, self.corner = corner is not None, corner

    def hold(self, rows: Sequence[Row]) -> None:
        """Makes these the rows of the cell; those it shares with the rows held before stay."""
        same = min(len(self.rows), len(rows))
        while same and self.rows[same - 1] is not rows[same - 1]:  # rows are only ever added and dropped at the end
            same -= 1
        del self.rows[same:]
        for row in rows[same:]:
            at = self.first + len(self.rows)
            line, self.norms[at] = unit(row)
            self.AT[: self.d, at], self.b[at] = line[:-1], line[-1]
            self.rows.append(row)
        if self.corner is not None:
            self.y[:], self.basis[:] = self.corner
            self.corner = None
            self._settle()

    def part(self, row: Row) -> tuple[Corner | None, Corner | None]:
        """Vertices where a row is clearly negative and clearly positive, each None if floats do not find it."""
        if not self._stand():
            return None, None
        line, _ = unit(row)
        first = 1.0 if line[:-1] @ self.y + line[-1] > 0 else -1.0
        clear = self.limits[6] * self.limits[5]
        found: dict[float, Corner | None] = {}
        for sign in (first, -first):
            reached = self._climb(sign * line, clear) == REACHED
            found[sign] = (self.y.copy(), self.basis.copy()) if reached else None
        return found[-1.0], found[1.0]

    def refute(self, row: Row, box: list[Any]) -> Terms:
        """Weights of rows that prove a row <= 0 on the cell; raises OutputError where it is not."""
        line, norm = unit(row)
        if self._stand() and self._climb(line, np.inf) == OPTIMAL:
            for rounded in (_single, Fraction):
                terms = self._terms(norm, rounded)
                if terms is not None and highest([(1, row), *((w, self.rows[at]) for w, at in terms)], box)[0] <= 0:
                    return terms
        return self._refute_exactly(row)

    def bounds(self, rows: Sequence[Row], box: list[Any]) -> list[Terms]:
        """Weights for a lower and an upper bound on every coordinate; none where they are not worth their room.

        They are worth it where they decide the sign of more neurons of a layer, by its `rows`, than they are long.
        """
        scaled = np.array([unit(row)[0] for row in rows if any(row[:-1])]).reshape(-1, self.d + 1)
        narrow = np.array(box, dtype=float).reshape(self.d, 2) / UNIT
        before = undecided(scaled, narrow)
        if before == 0 or not self._stand():
            return []
        lists: list[Terms] = []
        for k in range(2 * self.d):
            axis, sign = k // 2, k % 2 * 2 - 1.0
            line = np.zeros(self.d + 1)
            line[axis] = sign
            terms = self._terms(1.0, _single) if self._climb(line, np.inf) == OPTIMAL else None
            if terms:
                narrow[axis, k % 2] = sign * min(sign * narrow[axis, k % 2], sign * self.y[axis])
            lists.append(terms or [])
        gained = before - undecided(scaled, narrow)
        return lists if gained > self.d else []

    def contradiction(self) -> Terms:
        """Weights that show that the rows leave no interior."""
        found = _some_vertex(self._matrix(), self.first)
        if isinstance(found, Vertex):
            raise OutputError("the list of regions cannot be proved complete: a part of the domain has none")
        top, last = found
        return [(Fraction(1), last - self.first), *self._exact_terms(self.rows[last - self.first], top)]

    def _stand(self) -> bool:
        """Whether there is a vertex of the cell to climb from; one is looked for exactly where none is known."""
        if not self.sure and self.d:
            found = _some_vertex(self._matrix(), self.first)
            if isinstance(found, Vertex):
                self.basis[:] = found.basis
                self._settle()
        return self.sure and self.d > 0

    def _settle(self) -> None:
        """Computes the vertex of the basis afresh."""
        self.sure = bool(
            refactor(self.AT, self.b, self.slack, self.y, self.basis, self.binv, self._count, self.d, self.scratch)
        )
        self.sure = self.sure and bool(self.slack[: self._count].min() > -self.limits[11])

    @property
    def _count(self) -> int:
        return self.first + len(self.rows)

    def _climb(self, line: np.ndarray, target: float) -> int:
        refresh_slack(self.AT, self.b, self.slack, self.y, self._count, self.d)
        self.slack[self.basis] = 0.0
        result = climb(
            self.AT, self.b, self.slack, self.y, self.basis, self.binv, self._count, self.d, line[:-1].copy(),
            float(line[-1]), target, self.price, self.edge, self.denom, self.ratio, self.scratch, self.counters,
            self.limits,
        )  # fmt: skip
        self.sure = result in (OPTIMAL, REACHED)
        return result

    def _terms(self, norm: float, rounded: Any) -> Terms | None:
        """The dual solution of the last climb, for rows of size about 1; the box's faces need no weights."""
        terms = []
        for price, index in zip(self.price[: self.d].tolist(), self.basis.tolist(), strict=True):
            if price < 0.0 and index >= self.first:
                weight = -price * norm / float(self.norms[index])
                if not np.isfinite(weight) or weight > LARGEST:
                    return None
                terms.append((rounded(weight), index - self.first))
        return [term for term in terms if term[0] > 0]

    def _matrix(self) -> np.ndarray:
        """The rows in integers, as the kernel counts them; row 0 says nothing."""
        faces = [[0] * self.d + [1]]
        for axis in range(self.d):
            faces += [[sign * (k == axis) for k in range(self.d)] + [1] for sign in (1, -1)]
        return np.array([*faces, *self.rows], dtype=object).reshape(-1, self.d + 1)

    def _refute_exactly(self, row: Row) -> Terms:
        matrix = self._matrix()
        start = vertex_of(matrix, self.basis.tolist()) if self.sure else None
        if start is None or not feasible(matrix, start):
            found = _some_vertex(matrix, self.first)
            if not isinstance(found, Vertex):
                raise OutputError("the list of regions cannot be proved complete: a cell of the tree has no interior")
            start = found
        objective = np.array(row, dtype=object)
        top = maximum(matrix, objective, start, stop_above_zero=True)
        if values(objective[None, :], top)[0] > 0:
            raise OutputError("the list of regions cannot be proved complete: one is missing")
        return self._exact_terms(row, top)

    def _exact_terms(self, row: Row, top: Vertex) -> Terms:
        """The weights at the vertex where a row is largest, exactly."""
        prices = np.array(row[:-1], dtype=object).dot(top.inverse)
        return [
            (
                Fraction(-int(price) * _size(self.rows[index - self.first]), top.denominator * _size(row)),
                index - self.first,
            )
            for price, index in zip(prices, top.basis, strict=True)
            if price and index >= self.first
        ]


def _single(weight: float) -> float:
    """A weight in the precision of the file."""
    return float(np.float32(weight))


def _size(row: Row) -> int:
    """The power of two above the largest number of a row, as the checker scales it."""
    return 1 << max(map(abs, row)).bit_length()


def unit(row: Row) -> tuple[Float[np.ndarray, " d_plus_1"], float]:
    """(line, norm): the row scaled to unit norm, and its norm after the checker's scaling (0 where it is constant)."""
    size = _size(row)
    line = np.array([v / size for v in row])
    norm = float(np.linalg.norm(line[:-1]))
    return (line / norm, norm) if norm > 0 else (np.append(np.zeros(len(row) - 1), np.sign(line[-1])), 1.0)


def undecided(lines: Float[np.ndarray, "rows d_plus_1"], box: Float[np.ndarray, "d 2"]) -> int:
    """How many of the rows take both signs on a box."""
    middle, half = box.mean(axis=1), (box[:, 1] - box[:, 0]) / 2
    return int((np.abs(lines[:, :-1] @ middle + lines[:, -1]) < np.abs(lines[:, :-1]) @ half).sum())


def _some_vertex(rows: np.ndarray, first: int) -> Vertex | tuple[Vertex, int]:
    """A vertex of the rows' polytope; or, if it has no interior, where the row that shows it is largest, and the row.

    Rows are imposed in turn, each by climbing it on what those before have left, which has interior.
    """
    here = vertex_of(rows, list(range(1, first, 2)))
    assert here is not None, "a corner of the unit box"
    for index in range(first, len(rows)):
        here = maximum(rows[:index], rows[index], here, stop_above_zero=True)
        if values(rows[index][None, :], here)[0] <= 0:
            return here, index
    return here
