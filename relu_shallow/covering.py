"""How much of the domain a partial list covers: the fraction of its volume, from random points, with an interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8

from relu_shallow.domain import Box, Domain, Polytope, WholeSpace, contains, fit
from relu_shallow.errors import UsageError
from relu_shallow.network import Network, activation_patterns
from relu_shallow.precision import LP_OPTIONS, surely_signed
from relu_shallow.regions.charts import input_chart
from relu_shallow.regions.exact import exact_pattern, lay_out_exactly
from relu_shallow.regions.folder import RegionsFolder, as_keys, find
from relu_shallow.regions.partition import pack
from relu_shallow.shallow.projection import parts_of
from relu_shallow.shallow.stored import StoredNetwork, in_pieces
from relu_shallow.shallow.table import ShallowNetwork

POINTS = 10_000
CONFIDENCE = 0.95
TRIES = 100  # points of the bounding box tried, at most, for each point of a polytope that is wanted


@dataclass(frozen=True)
class Coverage:
    """The fraction of the domain's volume that listed regions fill, its 95 % interval, and the points it rests on."""

    fraction: float
    low: float
    high: float
    points: int


def coverage(
    listed: ShallowNetwork | StoredNetwork | RegionsFolder, *, points: int = POINTS, seed: int = 0
) -> Coverage | None:
    """The part of the domain's volume that a list covers; None where the domain has no finite volume, or too little.

    Points are drawn uniformly, and the interval is that of Clopper and Pearson (1934). Raises UsageError for a number
    of points that is none.
    """
    if isinstance(listed, StoredNetwork):
        listed = listed.folder
    if points < 1:
        raise UsageError(f"the number of points must be at least 1, got {points}")
    X = uniform_points(fit(listed.domain, listed.network.inputs), points, np.random.default_rng(seed))
    if X is None:
        return None
    pieces = in_pieces(points, listed.network.neurons)
    hits = sum(int(_listed(listed, _patterns(listed.network, X[piece])).sum()) for piece in pieces)
    from scipy.stats import beta

    tail = (1 - CONFIDENCE) / 2
    low = float(beta.ppf(tail, hits, points - hits + 1)) if hits else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, points - hits)) if hits < points else 1.0
    return Coverage(hits / points, low, high, points)


def _patterns(network: Network, X: Float[np.ndarray, "points inputs"]) -> UInt8[np.ndarray, "points bytes"]:
    """The packed patterns of points; where rounding leaves a sign open, in exact arithmetic."""
    patterns = activation_patterns(network, X)
    unsure = np.flatnonzero(~surely_signed(network, X))
    if len(unsure):
        exactly = lay_out_exactly(network, WholeSpace(), input_chart(network.inputs))
        for row in unsure:
            patterns[row] = exact_pattern(exactly, X[row])
    return pack(patterns)


def uniform_points(domain: Domain, count: int, rng: np.random.Generator) -> Float[np.ndarray, "points n"] | None:
    """Points spread evenly over a box, or over a polytope by rejection; None where that cannot be had."""
    if isinstance(domain, WholeSpace):
        return None
    if isinstance(domain, Box):
        return domain.lo + rng.random((count, len(domain.lo))) * (domain.hi - domain.lo)
    box = _bounding_box(domain)
    if box is None:
        return None
    kept: list[np.ndarray] = []
    for _ in range(TRIES):
        X = box.lo + rng.random((count, len(box.lo))) * (box.hi - box.lo)
        kept.append(X[contains(domain, X)])
        if sum(map(len, kept)) >= count:
            return np.concatenate(kept)[:count]
    return None


def _bounding_box(domain: Polytope) -> Box | None:
    from scipy.optimize import linprog

    n = domain.A.shape[1]
    ends = np.empty((2, n))
    for axis in range(n):
        for side, sign in enumerate((1.0, -1.0)):
            goal = np.zeros(n)
            goal[axis] = sign
            found = linprog(goal, A_ub=domain.A, b_ub=domain.b, bounds=[(None, None)] * n, options=LP_OPTIONS)
            if found.status != 0:
                return None
            ends[side, axis] = found.x[axis]
    return Box(ends[0], ends[1]) if (ends[1] > ends[0]).all() else None


def _listed(
    listed: ShallowNetwork | RegionsFolder, bits: UInt8[np.ndarray, "points bytes"]
) -> Bool[np.ndarray, " points"]:
    """Whether each pattern is in the list."""
    if isinstance(listed, RegionsFolder):
        return find(listed, bits) >= 0
    found = np.ones(len(bits), dtype=bool)
    for table in listed.tables:  # a point is covered where all modules list it
        wanted = bits if table.module is None else parts_of(bits, table.module)
        found &= _among(as_keys(table.bits), as_keys(wanted))
    return found


def _among(keys: np.ndarray, wanted: np.ndarray) -> Bool[np.ndarray, " points"]:
    """Whether each key is one of those that are sorted."""
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.asarray(keys[at] == wanted)
