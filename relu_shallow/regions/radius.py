"""The largest ball inside a region of an unbounded domain, in input coordinates."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import isqrt
from types import MappingProxyType

import numpy as np
from jaxtyping import Float, UInt8

from relu_shallow.domain import Box, Domain, Polytope, WholeSpace
from relu_shallow.errors import DomainError
from relu_shallow.lp.exact import deepest_point
from relu_shallow.network import Network, dense, switching
from relu_shallow.precision import search_limits
from relu_shallow.regions.ball import ball_radii
from relu_shallow.regions.charts import input_chart, searched_inputs
from relu_shallow.regions.exact import ExactProblem, cell_rows, lay_out_exactly
from relu_shallow.regions.partition import unpack
from relu_shallow.regions.weights import weights_of

GROWTH = 64.0  # how much wider the box around a witness becomes while it is what holds the ball's centre
WIDENINGS = 6
DIGITS = 160  # binary ones of a square whose root is wanted in floats
CUT = np.uint8(2)  # the flag of a neuron whose row bounds the cell


def inscribed_radii(
    network: Network,
    domain: Domain,
    bits: UInt8[np.ndarray, "regions bytes"],
    witnesses: Float[np.ndarray, "regions n"],
    exact: Mapping[bytes, tuple[Fraction, ...]] = MappingProxyType({}),
) -> Float[np.ndarray, " regions"]:
    """The radius of the largest ball in each region, in input units; infinite where there is no largest.

    In a region too thin for floats it is that of the ball around its witness (`exact`, by pattern, or the float one).
    """
    searched = searched_inputs(network, domain)  # along the others, which are unbounded, a ball has room
    d = int(searched.sum())
    rows = domain.A[:, searched] if isinstance(domain, Polytope) else np.zeros((0, d))
    constants = domain.b if isinstance(domain, Polytope) else np.zeros(0)
    limits = search_limits(network, d, 2 * d + 2)
    first = network.affine[0]
    columns = np.ascontiguousarray(np.concatenate([dense(first.W)[:, searched], first.b[:, None]], axis=1).T)
    radii = ball_radii(columns, weights_of(network), bits, np.ascontiguousarray(witnesses[:, searched]), -rows,
                       constants, limits, GROWTH, WIDENINGS)  # fmt: skip
    thin = np.flatnonzero(~(radii > 0))
    if len(thin):
        problem = lay_out_exactly(network, domain, input_chart(network.inputs))
        for region in thin:
            x = exact.get(bits[region].tobytes()) or tuple(map(Fraction, witnesses[region].tolist()))
            flags = unpack(bits[region : region + 1], network.neurons)[0] + CUT * switching(network)
            radii[region] = _thin_radius(problem, flags, x)
    return radii


def _thin_radius(problem: ExactProblem, flags: UInt8[np.ndarray, " neurons"], x: tuple[Fraction, ...]) -> float:
    """Infinite where the region's recession cone has interior, else the distance from x to the nearest row."""
    n = len(x)
    rows = cell_rows(problem, len(flags), flags)[1:]
    faces, rows = rows[: 2 * n], rows[2 * n :]  # those of the unit box, which bounds the cone
    rows = rows[(rows[:, :-1] != 0).any(axis=1)]
    cone = rows.copy()
    cone[:, -1] = 0
    if deepest_point(np.concatenate([faces, cone]))[0] > 0:
        return float("inf")
    return min(_distance(row, x) for row in rows)


def _distance(row: np.ndarray, x: tuple[Fraction, ...]) -> float:
    """The distance from a point to the hyperplane of an integer row."""
    value = sum((int(a) * v for a, v in zip(row, (*x, Fraction(1)), strict=True)), Fraction(0))
    square = value * value / sum(int(a) ** 2 for a in row[:-1])
    shift = max(DIGITS - square.numerator.bit_length() + square.denominator.bit_length(), 0) // 2
    root = Fraction(isqrt((square.numerator << 2 * shift) // square.denominator), 1 << shift)
    return float(min(root, Fraction(np.finfo(np.float64).max)))


def largest_ball(domain: Domain, inputs: int) -> tuple[Float[np.ndarray, " n"], float]:
    """The centre and radius of the largest ball in a domain (within its affine hull where it is a flat box)."""
    if isinstance(domain, WholeSpace):
        return np.zeros(inputs), float("inf")
    if isinstance(domain, Box):
        half = (domain.hi - domain.lo) / 2
        return domain.lo + half, float(half[half > 0].min()) if (half > 0).any() else 0.0
    from scipy.optimize import linprog

    norms = np.linalg.norm(domain.A, axis=1)
    found = linprog(np.r_[np.zeros(inputs), -1.0], A_ub=np.c_[domain.A, norms], b_ub=domain.b,
                    bounds=[(None, None)] * (inputs + 1))  # fmt: skip
    if found.status == 3:
        capped = linprog(np.r_[np.zeros(inputs), -1.0], A_ub=np.c_[domain.A, norms], b_ub=domain.b,
                         bounds=[(None, None)] * inputs + [(None, 1.0)])  # fmt: skip
        return capped.x[:inputs], float("inf")
    if found.status != 0 or not found.x[inputs] > 0:
        raise DomainError("the domain has no interior that the solver can see: it is empty, flat or tiny")
    return found.x[:inputs], float(found.x[inputs])
