"""The largest ball inside a region of an unbounded domain, in input coordinates."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8

from relu_shallow.domain import Box, Domain, Polytope, WholeSpace
from relu_shallow.network import Network, local_maps
from relu_shallow.precision import search_limits
from relu_shallow.regions.ball import ball_in_box
from relu_shallow.regions.partition import unpack

GROWTH = 64.0  # how much wider the box around a witness becomes while it is what holds the ball's centre
WIDENINGS = 6


def inscribed_radii(
    network: Network,
    domain: Domain,
    bits: UInt8[np.ndarray, "regions bytes"],
    witnesses: Float[np.ndarray, "regions n"],
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
