"""The largest ball inside a region of an unbounded domain, in input coordinates."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8
from numba import njit

from relu_shallow.domain import Box, Domain, Polytope, WholeSpace
from relu_shallow.lp.kernel import OPTIMAL, climb, refactor
from relu_shallow.network import Network, local_maps
from relu_shallow.precision import search_limits
from relu_shallow.regions.kernel import COUNTERS
from relu_shallow.regions.partition import unpack

GROWTH = 64.0  # how much wider the box around a witness becomes while it is what holds the ball's centre
WIDENINGS = 6


@njit(cache=True, nogil=True)
def ball_in_box(A, b, limits):
    """max r with A y + b >= r (unit rows), |y| <= 1 and r <= 4: (r, y, whether the box or the cap holds it).

    The climb starts at the corner y = -1 with r as low as the rows need.
    """
    rows, d = A.shape
    total = 2 + 2 * d + rows
    AT = np.zeros((4 * ((d + 4) // 4), total))
    constants = np.ones(total)
    AT[d, 1] = -1.0
    constants[1] = 4.0
    for axis in range(d):
        AT[axis, 2 + 2 * axis] = 1.0
        AT[axis, 3 + 2 * axis] = -1.0
    lowest = 4.0
    blocking = 1
    for i in range(rows):
        at = b[i]
        for k in range(d):
            AT[k, 2 + 2 * d + i] = A[i, k]
            at -= A[i, k]
        AT[d, 2 + 2 * d + i] = -1.0
        constants[2 + 2 * d + i] = b[i]
        if at < lowest:
            lowest, blocking = at, 2 + 2 * d + i
    basis = np.empty(d + 1, np.int64)
    for axis in range(d):
        basis[axis] = 2 + 2 * axis
    basis[d] = blocking
    y, slack, binv = np.zeros(d + 1), np.zeros(total), np.zeros((d + 1, d + 1))
    scratch = np.zeros((d + 1, 2 * d + 2))
    price, edge, denom, ratio = np.zeros(d + 1), np.zeros(len(AT)), np.zeros(total), np.zeros(total)
    h = np.zeros(d + 1)
    h[d] = 1.0
    refactor(AT, constants, slack, y, basis, binv, total, d + 1, scratch)
    result = climb(AT, constants, slack, y, basis, binv, total, d + 1, h, 0.0, np.inf, price, edge, denom, ratio,
                   scratch, np.zeros(COUNTERS, np.int64), limits)  # fmt: skip
    held = result != OPTIMAL
    for i in range(d + 1):
        if 0 < basis[i] < 2 + 2 * d and price[i] < -limits[10]:
            held = True
    return y[d], y[:d].copy(), held


def inscribed_radii(
    network: Network, domain: Domain, bits: UInt8[np.ndarray, "regions bytes"], witnesses: Float[np.ndarray, "regions n"]
) -> Float[np.ndarray, " regions"]:
    """The radius of the largest ball in each region, in input units; infinite where there is no largest.

    A region holds balls of every size exactly when its recession cone has interior. Otherwise a largest ball exists
    at a finite place: the box around the witness widens until it does not hold the centre any more.
    """
    limits = search_limits(network, network.inputs, 2 * network.inputs + 2)
    patterns = unpack(bits, network.neurons)
    radii = np.empty(len(bits))
    for region, (pattern, witness) in enumerate(zip(patterns, witnesses, strict=True)):
        A, b = _unit_rows(network, domain, pattern)
        radii[region] = _radius(A, b, witness, limits)
    return radii


def _unit_rows(network: Network, domain: Domain, pattern: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    maps = local_maps(network, pattern)[:-1]
    sign = np.where(pattern, 1.0, -1.0)
    A = sign[:, None] * np.concatenate([G for G, _ in maps])
    b = sign * np.concatenate([g for _, g in maps])
    if isinstance(domain, Polytope):
        A, b = np.concatenate([A, -domain.A]), np.concatenate([b, domain.b])
    norms = np.linalg.norm(A, axis=1)
    kept = norms > 0
    return A[kept] / norms[kept][:, None], b[kept] / norms[kept]


def _radius(A: np.ndarray, b: np.ndarray, witness: np.ndarray, limits: np.ndarray) -> float:
    if len(A) == 0:
        return float("inf")
    opening, _, _ = ball_in_box(A, np.zeros(len(A)), limits)
    if opening > limits[10]:
        return float("inf")
    slack = A @ witness + b
    scale = float(np.abs(slack).min()) + float(np.abs(witness).max()) * limits[10]
    scale = max(scale, float(np.finfo(np.float64).tiny)) * GROWTH
    radius = 0.0
    for _ in range(WIDENINGS):
        reached, _, held = ball_in_box(A, slack / scale, limits)
        radius = reached * scale
        if not held:
            break
        scale *= GROWTH
    return radius


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
    return found.x[:inputs], float(found.x[inputs])
