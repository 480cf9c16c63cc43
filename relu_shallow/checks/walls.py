"""Is anything behind a wall? Paths inside listed regions towards the neurons whose flip no listed region has.

Where a region is missing, a listed neighbour of it has a facet with an unlisted pattern behind it. From the witness of
each region an interior-point path (affine scaling, many paths at once) climbs towards such a neuron's hyperplane within
the region's other rows. Where it gets there, the deep network is evaluated just beyond: only a pattern that rounding
cannot have changed counts, so a path that goes astray can miss a region but never invent one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from relu_shallow.checks.counting import domain_rows, free_inputs
from relu_shallow.checks.lists import missing_patterns
from relu_shallow.checks.maps import maps_of
from relu_shallow.domain import Domain, WholeSpace, contains
from relu_shallow.network import switching
from relu_shallow.precision import UNIT
from relu_shallow.regions.partition import pack, unpack
from relu_shallow.shallow.table import Table

FLIPS = 1_000_000  # (region, neuron) pairs looked at; of more, each region's nearest hyperplanes
STRAIGHT = 1 << 29  # numbers in how straight steps towards these flips meet the other rows
WORK = 1 << 26  # numbers in the rows of all paths taken; of more, the most promising
PIECE = 1 << 20  # numbers in the rows of the paths taken at once
EACH = 3  # paths towards one unlisted pattern, from different regions
STEPS = 30  # of a path
PATIENCE = 16  # a path is given up where even this many times its own estimate of what is left would not do
SHARE = 0.9  # of the way to the nearest wall that a step goes
BEYOND = 2.0 ** -np.arange(1, 26, 4)  # where beyond the hyperplane, as parts of the way to the next wall


@dataclass(frozen=True)
class Walls:
    """Points whose pattern is missing, paths taken and arrived, (region, neuron) pairs looked at and all there are."""

    missing: int
    paths: int
    arrived: int
    looked_at: int
    pairs: int


@dataclass(frozen=True, eq=False)
class Cells:
    """Some regions as polyhedra A y + b >= 0 around their witnesses, on the free inputs, rows of unit norm.

    The first N rows are the neurons'; rows that bound nothing are zero with the constant 1.
    """

    A: Float[np.ndarray, "regions rows d"]
    b: Float[np.ndarray, "regions rows"]


def look_behind_walls(table: Table, domain: Domain) -> Walls:
    """Climbs from listed regions towards unlisted patterns one neuron away, the most promising first."""
    network = table.network
    free = free_inputs(domain, network.inputs)
    neurons = int(switching(network).sum())
    if not neurons or not free.any():
        return Walls(0, 0, 0, 0, 0)
    rows = network.neurons + (0 if isinstance(domain, WholeSpace) else len(domain_rows(domain)[1]))
    each = min(neurons, max(1, min(FLIPS, STRAIGHT // rows) // table.regions))
    region, neuron, promise = _unlisted_flips(table, domain, each)
    most = max(1, WORK // (rows * int(free.sum())))
    kept = np.sort(_best_of_each(table, region, neuron, promise)[:most])
    points = [np.zeros((0, network.inputs))]
    size = max(1, PIECE // (rows * int(free.sum())))
    arrived = 0
    for start in range(0, len(kept), size):
        pair = kept[start : start + size]
        own, place = np.unique(region[pair], return_inverse=True)
        cells = cells_of(table, domain, own)
        owner, found = _climb(Cells(cells.A[place], cells.b[place]), neuron[pair])
        arrived += len(np.unique(owner))
        X = table.witnesses[region[pair][owner]]
        X[:, free] += found
        points.append(X)
    X = np.concatenate(points)
    X = X[contains(domain, X)]
    missing, _ = missing_patterns(table, X)
    return Walls(missing, len(kept), arrived, each * table.regions, neurons * table.regions)


def pieces(table: Table, rows: int) -> Iterator[Int[np.ndarray, " regions"]]:
    """All regions, a number at a time whose rows fit comfortably in memory."""
    size = max(1, PIECE // (max(rows, 1) * table.network.inputs))
    for start in range(0, table.regions, size):
        yield np.arange(start, min(start + size, table.regions))


def cells_of(table: Table, domain: Domain, regions: Int[np.ndarray, " regions"]) -> Cells:
    """The regions' rows by their patterns, all N of them, and the domain's."""
    network, X = table.network, table.witnesses[regions]
    free = free_inputs(domain, network.inputs)
    patterns = unpack(table.bits[regions], network.neurons)
    maps = maps_of(network, patterns)
    side = np.where(patterns, 1.0, -1.0)
    G = maps.rows[:, :, :-1].transpose(1, 0, 2)
    b = side * (np.einsum("rjk,rk->rj", G, X) + maps.rows[:, :, -1].T)
    A = side[:, :, None] * G[:, :, free]
    blank = (np.abs(A) <= maps.row_error[:, :, :-1].transpose(1, 0, 2)[:, :, free]).all(axis=2) | ~switching(network)
    if not isinstance(domain, WholeSpace):
        more, limits = domain_rows(domain)
        A = np.concatenate([A, np.broadcast_to(-more[:, free], (len(X), *more[:, free].shape))], axis=1)
        b = np.concatenate([b, limits - X @ more.T], axis=1)
        flat = np.broadcast_to(~more[:, free].any(axis=1), (len(X), len(more)))
        blank = np.concatenate([blank, flat], axis=1)
    norm = np.linalg.norm(A, axis=2)
    blank |= norm == 0
    norm[blank] = 1.0
    return Cells(np.where(blank[:, :, None], 0.0, A / norm[:, :, None]), np.where(blank, 1.0, b / norm))


def _unlisted_flips(table: Table, domain: Domain, each: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(region, neuron, how near a straight step comes) for flips of each region's nearest rows that are not listed."""
    network = table.network
    listed = {row.tobytes() for row in table.bits}
    found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    at_once = max(1, (STRAIGHT >> 6) // (network.neurons * max(each, network.inputs)))
    for regions in np.array_split(np.arange(table.regions), -(-table.regions // at_once)):
        cells = cells_of(table, domain, regions)
        N, inside = network.neurons, (cells.b > 0).all(axis=1)
        bounding = np.asarray(cells.A[:, :N].any(axis=2))
        nearest = np.argsort(np.where(bounding, cells.b[:, :N], np.inf), axis=1)[:, :each]
        every = np.arange(len(regions))[:, None]
        flipped = np.repeat(unpack(table.bits[regions], N), each, axis=0)
        flipped[np.arange(len(flipped)), nearest.ravel()] ^= True
        new = np.array([row.tobytes() not in listed for row in pack(flipped)]).reshape(nearest.shape)
        new &= np.asarray(bounding[every, nearest] & np.reshape(inside, (-1, 1)))
        rate = cells.A @ -cells.A[every, nearest].transpose(0, 2, 1)  # along each chosen row's normal
        with np.errstate(divide="ignore", invalid="ignore"):
            reach = np.where(rate < 0, -cells.b[:, :, None] / rate, np.inf)
        reach[every, nearest, np.arange(nearest.shape[1])] = np.inf
        with np.errstate(divide="ignore", invalid="ignore"):
            promise = reach.min(axis=1) / cells.b[every, nearest]
        found.append((regions[np.nonzero(new)[0]], nearest[new], promise[new]))
    region, neuron, promise = (np.concatenate(part) for part in zip(*found, strict=True))
    return region, neuron, promise


def _best_of_each(table: Table, region: np.ndarray, neuron: np.ndarray, promise: np.ndarray) -> np.ndarray:
    """The pairs, the most promising first, with at most EACH of them towards one pattern."""
    order = np.argsort(-promise, kind="stable")
    bits = table.bits[region[order]]
    bits[np.arange(len(order)), neuron[order] // 8] ^= (128 >> neuron[order] % 8).astype(np.uint8)
    seen: dict[bytes, int] = {}
    kept = np.zeros(len(order), dtype=bool)
    for place, row in enumerate(bits):
        key = row.tobytes()
        times = seen.get(key, 0)
        kept[place] = times < EACH
        seen[key] = times + 1
    return order[kept]


def _climb(cells: Cells, target: Int[np.ndarray, " paths"]) -> tuple[np.ndarray, np.ndarray]:
    """(path, point relative to its witness) beyond the target rows, for the paths that arrive there.

    Affine scaling for: go as far as possible towards row `target` while the other rows hold. With slacks s and the step
    D = (A' S^-2 A)^-1 g along the goal g, y = -S^-2 A D estimates the multipliers, and sum |y| s what is left to gain.
    """
    paths, d = len(target), cells.A.shape[2]
    alive, Y = np.arange(paths), np.zeros((paths, d))
    A, s = cells.A, cells.b.copy()
    owners, points = [np.zeros(0, dtype=np.int64)], [np.zeros((0, d))]
    for _ in range(STEPS):
        every = np.arange(len(alive))
        to_go = s[every, target]
        weight = s**-2.0
        weight[every, target] = 0.0
        weight /= weight.max(axis=1, keepdims=True)
        goal = -A[every, target]
        hessian = (A * weight[:, :, None]).transpose(0, 2, 1) @ A
        hessian[:, np.arange(d), np.arange(d)] += 64 * UNIT  # the largest weight is 1
        step = np.linalg.solve(hessian, goal[:, :, None])[:, :, 0]
        rate = np.einsum("prd,pd->pr", A, step)
        estimate = np.abs(weight * rate * s).sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            reach = np.where(rate < 0, -s / rate, np.inf)
        arrive = np.where(rate[every, target] < 0, reach[every, target], np.inf)
        reach[every, target] = np.inf
        wall = reach.min(axis=1)
        hit = np.flatnonzero((arrive < wall) & np.isfinite(step).all(axis=1))
        far = np.minimum(wall[hit], 2 * arrive[hit])
        for part in BEYOND:
            owners.append(alive[hit])
            points.append(Y[hit] + (arrive[hit] + part * (far - arrive[hit]))[:, None] * step[hit])
        on = np.isfinite(step).all(axis=1) & np.isfinite(wall) & (arrive >= wall) & (PATIENCE * estimate > to_go)
        move = np.where(on, SHARE * wall, 0.0)[:, None]
        s, Y = s + move * rate, Y + move * step
        on &= (s > 0).all(axis=1)
        A, s, Y, alive, target = A[on], s[on], Y[on], alive[on], target[on]
        if not len(alive):
            break
    return np.concatenate(owners), np.concatenate(points)
