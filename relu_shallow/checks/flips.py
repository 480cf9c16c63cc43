"""Patterns one neuron away from listed ones, which no listed region has: is any of them a region after all?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from relu_shallow.checks.counting import domain_rows, free_inputs
from relu_shallow.checks.lookup import region_hashes
from relu_shallow.checks.maps import maps_of
from relu_shallow.domain import Box, Domain, WholeSpace
from relu_shallow.network import Network, switching
from relu_shallow.precision import LP_OPTIONS, general_lp_margin
from relu_shallow.regions.partition import unpack
from relu_shallow.shallow.table import Table

REGIONS = 2_000  # listed regions whose neighbours are tried
CLEARLY = 10  # a ball this many times the solver's own error is no rounding
LOOKED_UP = 1 << 16  # patterns looked up in a longer list at a time
MOST = 200  # patterns put to a linear program, at about two milliseconds each


def unlisted_neighbours(
    table: Table,
    domain: Domain,
    rng: np.random.Generator,
    known: Callable[[UInt8[np.ndarray, "patterns bytes"]], Bool[np.ndarray, " patterns"]] | None = None,
) -> tuple[int, int, int]:
    """(patterns found to be regions, patterns tried, candidates).

    Two regions that share a facet differ, in general, in one neuron; so a missing region is one neuron away from
    its listed neighbours, and the candidates that most listed regions point to are tried first. Of a table that is part
    of a longer list, `known` tells which packed patterns that list holds.
    """
    network = table.network
    neurons = np.flatnonzero(switching(network))
    chosen = np.sort(rng.choice(table.regions, min(table.regions, REGIONS), replace=False))
    # a pattern's hash is the exclusive or of its active neurons' keys; two that share one are not told apart
    keys = np.random.default_rng(0).integers(0, 2**64, network.neurons, dtype=np.uint64)
    hashes = region_hashes(table.bits, keys)
    flipped = (hashes[chosen, None] ^ keys[neurons]).ravel()
    candidates, first, times = np.unique(flipped, return_index=True, return_counts=True)
    unlisted = np.flatnonzero(~np.isin(candidates, hashes))
    ranked = unlisted[np.lexsort((first[unlisted], -times[unlisted]))]  # of those met as often, the first met
    patterns = _flipped(table, chosen, neurons, first[ranked[:MOST]])
    if known is not None and len(ranked):
        pieces = [first[ranked[at : at + LOOKED_UP]] for at in range(0, len(ranked), LOOKED_UP)]
        every = [_flipped(table, chosen, neurons, piece) for piece in pieces]
        new = [~known(some) for some in every]
        patterns = np.concatenate([some[kept] for some, kept in zip(every, new, strict=True)])
        ranked, patterns = ranked[np.concatenate(new)], patterns[:MOST]
    found = sum(_is_region(network, unpack(row[None], network.neurons), domain) for row in patterns)
    return found, len(patterns), len(ranked)


def _flipped(
    table: Table, chosen: Int[np.ndarray, " regions"], neurons: Int[np.ndarray, " neurons"], pairs: np.ndarray
) -> UInt8[np.ndarray, "pairs bytes"]:
    """The packed patterns of (region, neuron) pairs, numbered over all chosen regions and neurons."""
    bits, neuron = table.bits[chosen[pairs // max(len(neurons), 1)]], neurons[pairs % max(len(neurons), 1)]
    bits[np.arange(len(bits)), neuron // 8] ^= (128 >> neuron % 8).astype(np.uint8)
    return bits


def _is_region(network: Network, pattern: Bool[np.ndarray, "1 neurons"], domain: Domain) -> bool:
    """Whether a ball clearly larger than the solver's error fits among the pattern's rows, on the free inputs."""
    free = free_inputs(domain, network.inputs)
    center, scale = np.zeros(network.inputs), np.ones(network.inputs)
    if isinstance(domain, Box):  # in units of the box
        center, scale = (domain.lo + domain.hi) / 2, np.where(free, (domain.hi - domain.lo) / 2, 1.0)
    maps = maps_of(network, pattern)
    slopes, error = maps.rows[:, 0, :-1][:, free], maps.row_error[:, 0, :-1]
    at_center = maps.rows[:, 0, :-1] @ center + maps.rows[:, 0, -1]
    center_error = 2 * (error @ np.abs(center) + maps.row_error[:, 0, -1])
    switch = switching(network)
    blank = (np.abs(slopes) <= error[:, free]).all(axis=1) & switch
    if ((at_center[blank] > center_error[blank]) != pattern[0, blank]).any():
        return False  # a constant neuron on the wrong side
    wall = switch & ~blank
    side = np.where(pattern[0, wall], 1.0, -1.0)
    A, b = -side[:, None] * slopes[wall], side * at_center[wall]
    if not isinstance(domain, WholeSpace):
        more, limits = domain_rows(domain)
        A, b = np.concatenate([A, more[:, free]]), np.concatenate([b, limits - more @ center])
    return largest_radius(A * scale[free], b) > CLEARLY * general_lp_margin(int(free.sum()))


def largest_radius(A: Float[np.ndarray, "rows d"], b: Float[np.ndarray, " rows"], most: float = 1.0) -> float:
    """The radius, up to `most`, of the largest ball in {y : A y <= b}; -inf where the solver finds none."""
    from scipy.optimize import linprog

    norms = np.linalg.norm(A, axis=1)
    A, b = A[norms > 0] / norms[norms > 0, None], b[norms > 0] / norms[norms > 0]
    objective = np.append(np.zeros(A.shape[1]), -1.0)
    bounds = [(None, None)] * A.shape[1] + [(None, most)]
    rows = np.column_stack([A, np.ones(len(A))])
    found = linprog(objective, A_ub=rows, b_ub=b, bounds=bounds, options=LP_OPTIONS)
    return float(found.x[-1]) if found.status == 0 else -np.inf
