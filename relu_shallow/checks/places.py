"""Points at which two forms of a network are compared: anywhere, in regions, on their borders and at their corners."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from relu_shallow.domain import Box, Domain, WholeSpace, contains
from relu_shallow.network import Network, activation_patterns
from relu_shallow.shallow.table import Table

FAR = 1e6  # the farthest scale of samples in an unbounded domain, in units of the witnesses' own
NARROW = 2.0**-36  # of a segment: how far around a computed border it is looked for
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
    a, b = _around_the_border(network, own, a, b)
    for _ in range(BISECTIONS):
        middle = a + (b - a) / 2
        if ((middle == a).all(axis=1) | (middle == b).all(axis=1)).all():
            break
        same = (activation_patterns(network, middle) == own).all(axis=1)[:, None]
        a, b = np.where(same, middle, a), np.where(same, b, middle)
    return np.concatenate([a, b])


def _around_the_border(
    network: Network, own: Bool[np.ndarray, "points neurons"], a: np.ndarray, b: np.ndarray
) -> tuple[Float[np.ndarray, "points n"], Float[np.ndarray, "points n"]]:
    """Nearer ends of segments that leave their first ends' regions, `own` the patterns there, where floats find them.

    Under a region's own slopes every pre-activation is affine along the segment, so where it ends is a quotient.
    """
    value, step, start = a, b - a, 0
    leaves = np.ones(len(a))
    for layer, gate in zip(network.affine, network.gates, strict=False):
        value, step = (layer.W @ value.T).T + layer.b, (layer.W @ step.T).T
        on = own[:, start : start + len(layer.b)]
        slope, start = np.where(on, gate.active, gate.inactive), start + len(layer.b)
        away = (gate.active != gate.inactive) & (np.where(on, value, -value) > 0) & (np.where(on, step, -step) < 0)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            leaves = np.minimum(leaves, np.where(away, -value / step, np.inf).min(axis=1, initial=np.inf))
        value, step = value * slope, step * slope
    near, far = (a + np.minimum(leaves * (1 + off), 1.0)[:, None] * (b - a) for off in (-NARROW, NARROW))
    inside, outside = ((activation_patterns(network, x) == own).all(axis=1)[:, None] for x in (near, far))
    return np.where(inside, near, a), np.where(outside, b, far)


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
