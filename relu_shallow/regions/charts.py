"""Bounded charts: the unit boxes in which the search looks at a domain.

A chart writes homogeneous input (x', x0), x = x' / x0, as an affine function of y in [-1, 1]^d:
x' = M y + v and x0 = e[:d] . y + e[d] >= 0. A bounded domain is one chart with x0 = 1. The whole space is 2n + 1
charts: the box |x_i| <= R, and for every input and sign the part beyond it, x_i = +-R / t, x_j = u_j R / t with t in
[0, 1], u_j in [-1, 1]; there (x', x0) = (+-R, u_j R, t), so every pre-activation, with biases multiplying x0, stays
affine and the region keeps its pattern. A polytope is looked for in the same charts, around a box that about holds it;
its rows A x <= c become c x0 - A x' >= 0.

An input on which neither the first layer nor a row of the domain depends takes no coordinate: the search holds it at
the middle of its bounds, or at 0. All regions are products of what it finds and of those inputs' whole ranges, so
patterns, rows and maps are those of a search over all inputs, and a witness found there is one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from relu_shallow.domain import Box, Domain, WholeSpace
from relu_shallow.errors import DomainError
from relu_shallow.network import Network, dense
from relu_shallow.precision import LP_OPTIONS, rows_error


@dataclass(frozen=True, eq=False)
class Chart:
    """(x', x0) = (M y + v, e . (y, 1)) for y in [-1, 1]^d, and further rows A y + b >= 0, each to within its error.

    `room` is the smallest half-width of the inputs held though the domain leaves them free; infinite without bounds. A
    ball fits into a product of a cell and intervals where it fits into the cell and into each interval, so a region's
    inscribed radius is the smaller of its cell's and `room`.
    """

    M: Float[np.ndarray, "n d"]
    v: Float[np.ndarray, " n"]
    e: Float[np.ndarray, " d_plus_1"]
    A: Float[np.ndarray, "rows d"]
    b: Float[np.ndarray, " rows"]
    error: Float[np.ndarray, " rows"]
    room: float = float("inf")

    @property
    def dimension(self) -> int:
        """d, the number of chart coordinates."""
        return int(self.M.shape[1])

    @property
    def reach(self) -> float:
        """The largest homogeneous coordinate in the chart."""
        return float(np.max([*(np.abs(self.M).sum(axis=1) + np.abs(self.v)), np.abs(self.e).sum()]))

    def to_input(self, Y: Float[np.ndarray, "points d"]) -> Float[np.ndarray, "points n"]:
        """Input points of chart points (with t > 0)."""
        # not by BLAS, whose own threads go on spinning for a while and take a core from the threads of the search
        t = np.einsum("pk,k->p", Y, self.e[:-1]) + self.e[-1]
        return (np.einsum("pk,nk->pn", Y, self.M) + self.v) / t[:, None]


def charts_of(network: Network, domain: Domain, *, every_input: bool = False) -> tuple[Chart, ...]:
    """The charts that cover a domain (fitted to the network's inputs); some may not meet it.

    Inputs on which nothing depends take no coordinate, unless `every_input` is to.
    """
    n = network.inputs
    searched = np.ones(n, dtype=bool) if every_input else searched_inputs(network, domain)
    if isinstance(domain, Box):
        return (box_chart(domain, searched),)
    radius, d = natural_radius(network), int(searched.sum())
    if isinstance(domain, WholeSpace):
        charts = _cover(np.zeros(d), np.full(d, radius), np.zeros((0, d)), np.zeros(0))
    else:
        told = (domain.A != 0).any(axis=1)
        if (domain.b[~told] < 0).any():
            raise DomainError("the polytope is empty: it has a row 0.x <= b with negative b")
        rows = domain.A[told][:, searched]
        size = np.abs(rows).max(axis=1, initial=0.0)
        A, c = rows / size[:, None], domain.b[told] / size
        charts = _cover(*_whereabouts(A, c, radius), A, c)
    return charts if d == n else tuple(_with_zeros(chart, searched) for chart in charts)


def searched_inputs(network: Network, domain: Domain) -> Bool[np.ndarray, " n"]:
    """Which inputs a search must vary: those that the domain leaves free, but for those on which nothing depends.

    An input of a box whose middle rounds to a bound is varied all the same, so that what holds the others is inside.
    """
    used = dense(network.affine[0].W).any(axis=0)
    if isinstance(domain, Box):
        middle = 0.5 * domain.lo + 0.5 * domain.hi
        held = (domain.lo < middle) & (middle < domain.hi) & ~used
        return np.asarray((domain.hi > domain.lo) & ~held)
    return np.asarray(used if isinstance(domain, WholeSpace) else used | domain.A.any(axis=0))


def box_chart(box: Box, searched: Bool[np.ndarray, " n"] | None = None) -> Chart:
    """The chart of a box; inputs with equal bounds, and those not `searched`, are fixed and take no coordinate."""
    wide = box.hi > box.lo
    varied = wide if searched is None else wide & searched
    free = np.flatnonzero(varied)
    middle = np.where(wide, 0.5 * box.lo + 0.5 * box.hi, box.lo)
    half = 0.5 * box.hi - 0.5 * box.lo
    M = np.zeros((len(box.lo), len(free)))
    M[free, np.arange(len(free))] = half[free]
    room = float(half[wide & ~varied].min(initial=np.inf))
    return Chart(M, middle, _constant(len(free)), np.zeros((0, len(free))), np.zeros(0), np.zeros(0), room)


def input_chart(n: int) -> Chart:
    """The inputs themselves as coordinates, though not within a unit box: for exact arithmetic at points."""
    return Chart(np.eye(n), np.zeros(n), _constant(n), np.zeros((0, n)), np.zeros(0), np.zeros(0))


def natural_radius(network: Network) -> float:
    """R: about the distance of the first layer's farther hyperplanes, so that most vertices lie inside."""
    W, b = dense(network.affine[0].W), network.affine[0].b
    norms = np.linalg.norm(W, axis=1)
    distances = np.abs(b[norms > 0]) / norms[norms > 0]
    distances = distances[(distances > 0) & np.isfinite(distances)]
    return float(2.0 * np.quantile(distances, 0.9)) if len(distances) else 1.0


def _constant(d: int) -> Float[np.ndarray, " d_plus_1"]:
    e = np.zeros(d + 1)
    e[d] = 1.0
    return e


def _cover(center: np.ndarray, scale: np.ndarray, A: np.ndarray, c: np.ndarray) -> tuple[Chart, ...]:
    """The 2n + 1 charts of the polyhedron A x <= c: the box center +- scale, and what lies beyond each of its faces.

    They cover all of R^n whatever the box is, so nothing rests on how it was found.
    """
    n = len(center)
    charts = [_with_rows(np.diag(scale), center, _constant(n), A, c)]
    for axis in range(n):
        for sign in (-1.0, 1.0):
            M = np.diag(scale)
            M[:, axis] = center / 2  # x' = center t + scale * (+-1, u), and t = (1 + y_axis) / 2
            v = center / 2
            v[axis] += sign * scale[axis]
            e = np.zeros(n + 1)
            e[axis] = e[n] = 0.5
            charts.append(_with_rows(M, v, e, A, c))
    return tuple(charts)


def _with_rows(M: np.ndarray, v: np.ndarray, e: np.ndarray, A: np.ndarray, c: np.ndarray) -> Chart:
    """A chart with the rows c x0 - A x' >= 0, scaled to unit norm, and their rounding."""
    rows = np.outer(c, e[:-1]) - A @ M
    constants = c * e[-1] - A @ v
    norms = np.linalg.norm(rows, axis=1)
    norms[norms == 0] = 1.0
    error = rows_error(A, c, M, v, e) / norms
    return Chart(M, v, e, rows / norms[:, None], constants / norms, error)


def _with_zeros(chart: Chart, searched: Bool[np.ndarray, " n"]) -> Chart:
    """The same chart in a space with further inputs, which are 0 all over it."""
    M, v = np.zeros((len(searched), chart.dimension)), np.zeros(len(searched))
    M[searched], v[searched] = chart.M, chart.v
    return replace(chart, M=M, v=v)


def _whereabouts(A: np.ndarray, c: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """(center, scale) of a box that holds about all of a polytope, by a general solver; only speed rests on it."""
    from scipy.optimize import linprog

    n = A.shape[1]
    center, scale = np.zeros(n), np.full(n, radius)
    for axis in range(n):
        ends = []
        for sign in (1.0, -1.0):
            direction = np.zeros(n)
            direction[axis] = sign
            found = linprog(direction, A_ub=A, b_ub=c, bounds=[(None, None)] * n, options=LP_OPTIONS)
            ends.append(float(found.x[axis]) if found.status == 0 else np.nan)
        if np.isfinite(ends).all() and ends[1] > ends[0]:
            center[axis] = (ends[0] + ends[1]) / 2
            scale[axis] = (ends[1] - ends[0]) * 0.5625  # an eighth wider
    return center, scale
