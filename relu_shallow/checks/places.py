"""Points at which two forms of a network are compared: anywhere, in regions, on their borders and at their corners."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from relu_shallow.domain import Box, Domain, WholeSpace, contains
from relu_shallow.network import Network, activation_patterns
from relu_shallow.shallow.table import Table

FAR = 1e6  # the farthest scale of samples in an unbounded domain, in units of the witnesses' own
BISECTIONS = 60  # halvings of a segment: more than the bits of a float64


def anywhere(domain: Domain, table: Table, count: int, rng: np.random.Generator) -> Float[np.ndarray, "points n"]:
    """Random points of the domain: uniform in a box, mixtures of witnesses in a polytope, at several scales in R^n."""
    n = table.network.inputs
    if isinstance(domain, Box):
        return np.clip(rng.uniform(domain.lo, domain.hi, (count, n)), domain.lo, domain.hi)
    if isinstance(domain, WholeSpace):
        sizes = np.abs(table.witnesses).max(axis=1)
        scale = rng.choice(sizes[sizes > 0] if (sizes > 0).any() else np.ones(1), count)
        scale *= rng.choice([1 / FAR, 1.0, np.sqrt(FAR), FAR], count, p=[0.1, 0.6, 0.1, 0.2])
        return rng.normal(size=(count, n)) * scale[:, None]
    weights = rng.dirichlet(np.full(n + 1, 0.5), count)
    mixed = np.einsum("pk,pkn->pn", weights, table.witnesses[rng.integers(table.regions, size=(count, n + 1))])
    return mixed[contains(domain, mixed)]


def witnesses(table: Table, count: int, rng: np.random.Generator) -> Float[np.ndarray, "points n"]:
    """Witnesses, all of them or a random choice."""
    return table.witnesses[_some(table.regions, count, rng)]


def crossings(network: Network, table: Table, count: int, rng: np.random.Generator) -> Float[np.ndarray, "points n"]:
    """Points where the segment between two witnesses leaves the first one's region, to the last bit."""
    if table.regions < 2:
        return np.zeros((0, network.inputs))
    first = rng.integers(table.regions, size=count)
    step = rng.choice([1, -1, int(rng.integers(1, table.regions))], count)  # neighbours in the list are close in space
    a, b = table.witnesses[first], table.witnesses[(first + step) % table.regions]
    own = activation_patterns(network, a)
    for _ in range(BISECTIONS):
        middle = a + (b - a) / 2
        same = (activation_patterns(network, middle) == own).all(axis=1)[:, None]
        a, b = np.where(same, middle, a), np.where(same, b, middle)
    return np.concatenate([a, b])


def facets_and_corners(
    table: Table, count: int, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "points n"], Float[np.ndarray, "corners n"]]:
    """Witnesses moved to their nearest hyperplanes, and the points where their n nearest hyperplanes meet."""
    n = table.network.inputs
    facets, corners = [np.zeros((0, n))], [np.zeros((0, n))]
    for region in _some(table.regions, count, rng):
        x = table.witnesses[region]
        rows = np.unique(table.rows(int(region))[0])
        norms = np.linalg.norm(table.H[rows], axis=1)
        rows, norms = rows[norms > 0], norms[norms > 0]
        height = (table.H[rows] @ x + table.c[rows]) / norms
        nearest = np.argsort(np.abs(height))[:n]
        H, c = table.H[rows[nearest]] / norms[nearest, None], table.c[rows[nearest]] / norms[nearest]
        facets.append(x - height[nearest, None] * H)
        if len(nearest) == n and np.linalg.matrix_rank(H) == n:
            corners.append(np.linalg.solve(H, -c)[None])
    return np.concatenate(facets), np.concatenate(corners)


def _some(regions: int, count: int, rng: np.random.Generator) -> np.ndarray:
    return np.arange(regions) if regions <= count else np.sort(rng.choice(regions, count, replace=False))
