"""The smallest box around each region, as far as floats can tell: never too small."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Float, UInt8

from relu_shallow.checks.closure import STEPS
from relu_shallow.checks.counting import domain_rows, free_inputs
from relu_shallow.domain import Box, Domain, WholeSpace, fit
from relu_shallow.network import Network, dense, stacked
from relu_shallow.precision import gamma, sum_rounding

PIECE = 1 << 11  # regions that a thread takes at a time


def bounding_boxes(
    network: Network,
    domain: Domain,
    bits: UInt8[np.ndarray, "regions bytes"],
    witnesses: Float[np.ndarray, "regions n"],
    workers: int = 1,
) -> tuple[Float[np.ndarray, "regions n"], Float[np.ndarray, "regions n"]]:
    """(lo, hi) of each region within the domain, infinite where it has no end.

    On a box they hold with all rounding counted. On unbounded domains and polytopes they are the optima of linear
    programs, moved out by far more than their rounding. Where a witness lies within rounding of a border they are the
    domain's own.
    """
    domain = fit(domain, network.inputs)
    low, high = np.full(witnesses.shape, -np.inf), np.full(witnesses.shape, np.inf)
    if isinstance(domain, Box):
        low[:], high[:] = domain.lo, domain.hi
    free = np.flatnonzero(free_inputs(domain, network.inputs))
    if not len(free) or not len(bits) or not (network.neurons or not isinstance(domain, Box)):
        return low, high
    first = np.ascontiguousarray(dense(network.affine[0].W).T)
    A, b, width = np.zeros((0, network.inputs)), np.zeros(0), np.full(len(free), np.inf)
    if not isinstance(domain, WholeSpace):
        A, b = domain_rows(domain)
        bounding = (A[:, free] != 0).any(axis=1)
        A, b = np.ascontiguousarray(A[bounding]), b[bounding]
    placed = np.ones(len(bits), dtype=bool)
    if isinstance(domain, Box):
        width = (domain.hi - domain.lo)[free] * (1 + gamma(2))
        fixed = domain.hi == domain.lo
        placed = (witnesses[:, fixed] == domain.lo[fixed]).all(axis=1)
    net = stacked(network) if network.neurons else _no_layers()
    from relu_shallow.export.climb import region_boxes

    def work(start: int) -> None:
        part = start + np.flatnonzero(placed[start : start + PIECE])
        least, most = low[part][:, free], high[part][:, free]
        region_boxes(
            bits[part], witnesses[part], first, np.ascontiguousarray(first[free]), free, net, A, b, width,
            sum_rounding(network), STEPS * (len(free) + 1), least, most,
        )  # fmt: skip
        low[np.ix_(part, free)], high[np.ix_(part, free)] = least, most

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, range(0, len(bits), PIECE)))
    return low, high


def _no_layers() -> tuple[np.ndarray, ...]:
    """A network without neurons, as compiled code reads it."""
    none, whole = np.zeros(0), np.zeros(1, np.int64)
    return none, whole[:0], none, whole, none, none
