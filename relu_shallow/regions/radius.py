"""The largest ball inside a region of an unbounded domain, in input coordinates."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8

from relu_shallow.domain import Box, Domain, Polytope, WholeSpace
from relu_shallow.errors import DomainError
from relu_shallow.network import Network, dense, stacked
from relu_shallow.precision import search_limits
from relu_shallow.regions.ball import ball_radii

GROWTH = 64.0  # how much wider the box around a witness becomes while it is what holds the ball's centre
WIDENINGS = 6


def inscribed_radii(
    network: Network,
    domain: Domain,
    bits: UInt8[np.ndarray, "regions bytes"],
    witnesses: Float[np.ndarray, "regions n"],
) -> Float[np.ndarray, " regions"]:
    """The radius of the largest ball in each region, in input units; infinite where there is no largest."""
    rows = domain.A if isinstance(domain, Polytope) else np.zeros((0, network.inputs))
    constants = domain.b if isinstance(domain, Polytope) else np.zeros(0)
    limits = search_limits(network, network.inputs, 2 * network.inputs + 2)
    first = network.affine[0]
    columns = np.ascontiguousarray(np.concatenate([dense(first.W), first.b[:, None]], axis=1).T)
    return ball_radii(columns, *stacked(network), bits, witnesses, -rows, constants, limits, GROWTH, WIDENINGS)


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
