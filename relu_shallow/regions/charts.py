"""Bounded charts: the unit boxes in which the search looks at a domain.

A chart writes homogeneous input (x', x0), x = x' / x0, as an affine function of y in [-1, 1]^d:
x' = M y + v and x0 = e[:d] . y + e[d] >= 0. A bounded domain is one chart with x0 = 1. The whole space is 2n + 1
charts: the box |x_i| <= R, and for every input and sign the part beyond it, x_i = +-R / t, x_j = u_j R / t with t in
[0, 1], u_j in [-1, 1]; there (x', x0) = (+-R, u_j R, t), so every pre-activation, with biases multiplying x0, stays
affine and the region keeps its pattern. Rows A x <= c of a polytope become c x0 - A x' >= 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from relu_shallow.domain import Box, Domain, Polytope, WholeSpace
from relu_shallow.errors import DomainError
from relu_shallow.network import Network, dense
from relu_shallow.precision import FLAT_MARGIN


@dataclass(frozen=True, eq=False)
class Chart:
    """(x', x0) = (M y + v, e . (y, 1)) for y in [-1, 1]^d, and further rows A y + b >= 0."""

    M: Float[np.ndarray, "n d"]
    v: Float[np.ndarray, " n"]
    e: Float[np.ndarray, " d_plus_1"]
    A: Float[np.ndarray, "rows d"]
    b: Float[np.ndarray, " rows"]

    @property
    def dimension(self) -> int:
        """d, the number of chart coordinates."""
        return int(self.M.shape[1])

    def to_input(self, Y: Float[np.ndarray, "points d"]) -> Float[np.ndarray, "points n"]:
        """Input points of chart points (with t > 0)."""
        return (Y @ self.M.T + self.v) / (Y @ self.e[:-1] + self.e[-1])[:, None]


def charts_of(network: Network, domain: Domain) -> tuple[Chart, ...]:
    """The charts that cover a domain (fitted to the network's inputs); raises DomainError where it is empty."""
    if isinstance(domain, WholeSpace):
        nothing = np.zeros((0, network.inputs)), np.zeros(0)
        return _unbounded(network.inputs, natural_radius(network), *nothing)
    if isinstance(domain, Box):
        return (box_chart(domain),)
    return _polytope_charts(network, domain)


def box_chart(box: Box) -> Chart:
    """The chart of a box; inputs with equal bounds are fixed and take no coordinate."""
    free = np.flatnonzero(box.hi > box.lo)
    middle = 0.5 * box.lo + 0.5 * box.hi
    middle[box.hi == box.lo] = box.lo[box.hi == box.lo]
    M = np.zeros((len(box.lo), len(free)))
    M[free, np.arange(len(free))] = 0.5 * box.hi[free] - 0.5 * box.lo[free]
    return Chart(M, middle, _constant(len(free)), np.zeros((0, len(free))), np.zeros(0))


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


def _unbounded(inputs: int, radius: float, A: np.ndarray, c: np.ndarray) -> tuple[Chart, ...]:
    """The 2n + 1 charts of the polyhedron A x <= c."""
    charts = [_with_rows(np.eye(inputs) * radius, np.zeros(inputs), _constant(inputs), A, c)]
    for axis in range(inputs):
        for sign in (-1.0, 1.0):
            M = np.eye(inputs) * radius
            M[axis, axis] = 0.0
            v = np.zeros(inputs)
            v[axis] = sign * radius
            e = np.zeros(inputs + 1)
            e[axis] = e[inputs] = 0.5  # t = (1 + y_axis) / 2
            charts.append(_with_rows(M, v, e, A, c))
    return tuple(charts)


def _with_rows(M: np.ndarray, v: np.ndarray, e: np.ndarray, A: np.ndarray, c: np.ndarray) -> Chart:
    """A chart with the rows c x0 - A x' >= 0, scaled to unit norm."""
    rows = np.outer(c, e[:-1]) - A @ M
    constants = c * e[-1] - A @ v
    norms = np.linalg.norm(rows, axis=1)
    norms[norms == 0] = 1.0
    return Chart(M, v, e, rows / norms[:, None], constants / norms)


def _polytope_charts(network: Network, domain: Polytope) -> tuple[Chart, ...]:
    from scipy.optimize import linprog

    A, c, n = domain.A, domain.b, domain.A.shape[1]
    norms = np.linalg.norm(A, axis=1)
    if (c[norms == 0] < 0).any():
        raise DomainError("the polytope is empty: it has a row 0.x <= b with negative b")
    A, c = A[norms > 0] / norms[norms > 0][:, None], c[norms > 0] / norms[norms > 0]
    ball = linprog(
        np.r_[np.zeros(n), -1.0], A_ub=np.c_[A, np.ones(len(A))], b_ub=c, bounds=[(None, None)] * n + [(None, 1.0)]
    )
    if ball.status != 0 or ball.x[n] < -FLAT_MARGIN:
        raise DomainError("the polytope is empty: no point satisfies all of its rows")
    if ball.x[n] <= FLAT_MARGIN:
        raise DomainError(
            "the polytope is flat (it has no interior); write it in coordinates of its own affine hull, "
            "or, if it is a box with equal bounds, give it as a box"
        )
    lo, hi = np.empty(n), np.empty(n)
    for axis in range(n):
        for bound, sign in ((lo, 1.0), (hi, -1.0)):
            direction = np.zeros(n)
            direction[axis] = sign
            found = linprog(direction, A_ub=A, b_ub=c, bounds=[(None, None)] * n)
            if found.status == 3:
                return _unbounded(n, natural_radius(network), A, c)
            if found.status != 0:
                raise DomainError(f"the polytope's extent along input {axis} could not be found: {found.message}")
            bound[axis] = found.x[axis]
    margin = FLAT_MARGIN + (hi - lo) / 16  # the polytope's own rows bound it; the box only has to hold it
    chart = box_chart(Box(lo - margin, hi + margin))
    return (_with_rows(chart.M, chart.v, chart.e, A, c),)
