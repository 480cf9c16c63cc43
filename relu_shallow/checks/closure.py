"""Is the list complete? A proof from the list alone: whoever leaves a listed region enters a listed one.

Across a facet of a linear region that is not part of the domain's boundary lies exactly one other region (a row that
vanishes inside the facet vanishes on all of it, so no sign changes along it). The listed regions' union is closed. Were
it not the whole domain, a path inside the domain from a listed region to a point outside, moved off the places where
facets meet, would leave the union through the inside of a facet, into a region that is not listed. So if every facet
of every listed region leads to a listed region, none is missing.

Which one lies behind the facet of neuron k? Where no other row vanishes on the facet, all non-zero signs stay and k
flips. A neuron j that is zero all over the region w may become anything; but if the pattern with k alone flipped is a
real region, then there, with the same layers below, row j is a multiple c of row k (it vanishes on the facet), and j is
inactive where k has flipped: c is not positive, so j is inactive just beyond the facet as well. By induction over the
layers, the region behind is that pattern. Every listed region is proved real in the same run; where only a sample is
looked at, regions on which a neuron is zero go to exact arithmetic instead, which works out what lies behind.

Where nothing depends on an input, every region is a product with that input's whole range, and so are its facets inside
the domain: they are looked at in the other inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from relu_shallow.checks.counting import domain_rows, free_inputs
from relu_shallow.checks.crossing import crossing, proportional
from relu_shallow.checks.exact import (
    Listing,
    Point,
    Row,
    exact_rows,
    exact_walls,
    is_inside,
    is_witness,
    pattern_beyond,
    rational,
    witness_of,
)
from relu_shallow.checks.facets import (
    CONSTANT,
    COUNTERS,
    FLIPS,
    LISTED,
    OPEN,
    REGIONS,
    UNSETTLED,
    settle_cell,
    settle_regions,
)
from relu_shallow.checks.lookup import hash_table, region_hashes
from relu_shallow.domain import Box, Domain, Polytope, WholeSpace
from relu_shallow.network import Network, dense, stacked, switching
from relu_shallow.precision import TINY, gamma, sum_rounding
from relu_shallow.regions.partition import pack, unpack

PIECE = 2_000  # regions that a thread takes at a time
ENOUGH = 20  # missing regions after which the answer is no, and nothing more is looked at
STEPS = 50  # exchanges of one small simplex, per dimension, before it is given up

Progress = Callable[[int], None]
Known = Callable[[np.ndarray], bool]


@dataclass
class Closure:
    """What was proved of the regions looked at, and what was not.

    `false` regions have a witness that proves nothing; `missing` pairs a pattern that is not listed with a point on
    its region's border. `facets` counts the (region, neuron) pairs whose flip is listed; `exact` the regions settled in
    rational arithmetic, of which `crossings` facets were crossed there.
    """

    looked_at: int = 0
    facets: int = 0
    exact: int = 0
    crossings: int = 0
    false: list[int] = field(default_factory=list)
    missing: dict[bytes, Point] = field(default_factory=dict)


def check_closure(
    table: Listing,
    domain: Domain,
    regions: Int[np.ndarray, " regions"],
    *,
    facets_too: bool = True,
    alone: bool | None = None,
    known: Known | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> Closure:
    """Proves that each given region is real and, with `facets_too`, that all its facets lead to listed regions.

    `alone` says that the other regions are not proved real by anyone, as where only a sample is looked at; by default
    that is so wherever some are left out. Of a table that is part of a longer list, `known` tells of a packed pattern
    whether that list holds it.
    """
    found = Closure()
    alone = facets_too and (len(regions) < table.regions if alone is None else alone)
    if not table.network.neurons or not varying_inputs(table.network, domain).any():
        _without_facets(table, domain, regions, found)
        return found
    cells = lay_out_cells(table, domain)
    for region in sorted(table.exact_witnesses.keys() & set(regions.tolist())):
        if not is_real(cells, exact_cell(cells, region, table.exact_witnesses[region])):
            found.false.append(region)
    for region, state in settled(
        cells, regions, found, facets_too=facets_too, alone=alone, workers=workers, progress=progress
    ):
        x = rational(table.witnesses[region]) if state[-1] else witness_of(table, region)
        cell = exact_cell(cells, region, x)
        if region in found.false or not (state[-1] or is_real(cells, cell)):
            found.false = sorted({*found.false, region})
        elif facets_too:
            _cross_exactly(cells, cell, found, alone=alone, known=known)
        if len(found.missing) >= ENOUGH:
            break
    return found


def is_real(cells: Cells, cell: ExactCell) -> bool:
    """Whether a region's point proves it, in rational arithmetic."""
    inside = is_inside(cells.domain, cell.x)
    return inside and is_witness(cells.table.network, cell.x, cell.pattern, cells.free.tolist())


@dataclass(frozen=True, eq=False)
class Cells:
    """A table laid out for the compiled check: (keys, hashes, slots) to look patterns up, and its fixed arguments."""

    table: Listing
    domain: Domain
    free: Int[np.ndarray, " free"]
    width: Float[np.ndarray, " free"]
    listed: tuple[np.ndarray, np.ndarray, np.ndarray]
    rounding: float
    steps: int


def varying_inputs(network: Network, domain: Domain) -> Bool[np.ndarray, " inputs"]:
    """Which inputs matter to where regions end: free ones that the first layer, or a row of a polytope, reads."""
    read = dense(network.affine[0].W).any(axis=0)
    if isinstance(domain, Polytope):
        read = read | domain.A.any(axis=0)
    return np.asarray(free_inputs(domain, network.inputs) & read)


def lay_out_cells(table: Listing, domain: Domain) -> Cells:
    """The hash table of the listed patterns, the domain's width on the inputs that vary, and the size of a rounding."""
    network = table.network
    free = np.flatnonzero(varying_inputs(network, domain))
    rng = np.random.default_rng(0)  # any keys will do: where hashes agree, the patterns themselves are compared
    keys = rng.integers(0, 2**64, network.neurons, dtype=np.uint64)
    hashes = region_hashes(table.bits, keys)
    slots = hash_table(hashes, 1 << max(4, (2 * table.regions - 1).bit_length()))
    width = np.full(len(free), np.inf)
    if isinstance(domain, Box):
        width = (domain.hi - domain.lo)[free] * (1 + gamma(2))
    return Cells(table, domain, free, width, (keys, hashes, slots), sum_rounding(network), STEPS * (len(free) + 1))


def settled(
    cells: Cells,
    regions: Int[np.ndarray, " regions"],
    found: Closure,
    *,
    facets_too: bool = True,
    alone: bool = False,
    workers: int = 1,
    progress: Progress | None = None,
) -> Iterator[tuple[int, UInt8[np.ndarray, " states"]]]:
    """(region, states of its rows) of the regions that floats leave open, adding the rest to `found`.

    With `alone` the other regions are not proved, and those on which a neuron is zero are left open as well.
    """
    table, network = cells.table, cells.table.network
    first = np.ascontiguousarray(dense(network.affine[0].W).T)
    A, b = np.zeros((0, network.inputs)), np.zeros(0)
    placed = np.ones(table.regions, np.uint8)
    if not isinstance(cells.domain, WholeSpace):
        A, b = domain_rows(cells.domain)
        bounding = (A[:, cells.free] != 0).any(axis=1)
        placed[(table.witnesses @ A[~bounding].T > b[~bounding]).any(axis=1)] = 0  # one term each: no rounding
        A, b = np.ascontiguousarray(A[bounding]), b[bounding]
    arguments = (
        table.bits, table.witnesses, first, np.ascontiguousarray(first[cells.free]), cells.free, stacked(network), A, b,
        cells.width, cells.listed, cells.rounding, cells.steps, placed, facets_too, alone,
    )  # fmt: skip
    control = np.zeros(1, np.int64)

    def work(piece: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        out_region, out_state = np.empty(len(piece), np.int64), np.empty((len(piece), network.neurons + 1), np.uint8)
        counters = np.zeros(COUNTERS, np.int64)
        written = settle_regions(piece, *arguments, out_region, out_state, counters, control)
        return out_region[:written], out_state[:written], counters

    pieces = [regions[start : start + PIECE] for start in range(0, max(len(regions), 1), PIECE)]  # of none: compiles
    with ThreadPoolExecutor(workers) as pool:
        try:
            for out_region, out_state, counters in pool.map(work, pieces):
                found.facets += int(counters[FLIPS])
                found.exact += int(counters[UNSETTLED])
                yield from zip(out_region.tolist(), out_state, strict=True)
                found.looked_at += int(counters[REGIONS])
                if progress is not None:
                    progress(found.looked_at)
        finally:
            control[0] = 1


@dataclass(frozen=True, eq=False)
class ExactCell:
    """One region in rational numbers: its pattern and witness, its neurons' rows and the domain's, positive inside."""

    region: int
    pattern: Bool[np.ndarray, " neurons"]
    x: Point
    fixed: dict[int, Fraction]
    rows: list[Row]
    walls: list[Row]


def exact_cell(cells: Cells, region: int, x: Point) -> ExactCell:
    """A listed region around a point of its interior, exactly."""
    table, domain = cells.table, cells.domain
    pattern = unpack(table.bits[region : region + 1], table.network.neurons)[0]
    free = cells.free.tolist()
    held = domain.lo if isinstance(domain, Box) else np.zeros(table.network.inputs)
    fixed = {i: Fraction(float(held[i])) for i in range(table.network.inputs) if i not in free}
    return ExactCell(region, pattern, x, fixed, exact_rows(table.network, pattern, fixed), exact_walls(domain, free))


def states_of(cells: Cells, cell: ExactCell, found: Closure) -> UInt8[np.ndarray, " neurons"]:
    """The states of a real region's rows, settled once more from its exact rows, rounded once."""
    switch = switching(cells.table.network)
    state = np.full(len(cell.rows), CONSTANT, np.uint8)
    g = np.zeros((len(cell.rows) + len(cell.walls), len(cells.free)))
    y = [*(cell.x[i] for i in cells.free.tolist()), Fraction(1)]
    for place, row in enumerate([*cell.rows, *cell.walls]):
        value = sum((a * v for a, v in zip(row, y, strict=True)), Fraction(0))
        if place >= len(cell.rows) or (switch[place] and any(row[:-1])):
            g[place] = [_rounded(a, value) for a in row[:-1]]
            if place < len(cell.rows):
                state[place] = OPEN
    delta = cells.rounding * np.abs(g) + TINY
    counters = np.zeros(COUNTERS, np.int64)
    for every in (False, True):  # then with all rows left: where many vanish together, no single flip is listed
        if settle_cell(cell.region, g, delta, cells.width, cells.table.bits, cells.listed, cells.rounding, cells.steps,
                       every, state, counters):  # fmt: skip
            break
    found.facets += int(counters[FLIPS])
    return state


def _rounded(a: int, value: Fraction) -> float:
    """a / value in floats, infinite where it is too large or the value is zero (on a wall): then nothing is proved."""
    try:
        return float(a / value)
    except (OverflowError, ZeroDivisionError):
        return float("inf")


def _cross_exactly(
    cells: Cells, cell: ExactCell, found: Closure, *, alone: bool, known: Known | None = None
) -> None:
    """The region behind each facet that the rows left open may bound; with `alone`, behind every facet."""
    state = states_of(cells, cell, found)
    if not alone and not (state == OPEN).any():
        return
    planes: list[Row] = []  # each hyperplane once
    for neuron in np.concatenate([np.flatnonzero(state == kind) for kind in (OPEN, LISTED)]).tolist():
        if not any(proportional(cell.rows[neuron], plane) for plane in planes):
            planes.append(cell.rows[neuron])
    for plane in planes:
        way = crossing(cells.table.network, plane, planes, cell.walls, cell.fixed)
        if way is not None:
            found.crossings += 1
            behind = pack(way.pattern[None])
            if not (_is_listed(cells, way.pattern) or (known is not None and known(behind))):
                found.missing.setdefault(behind[0].tobytes(), way.point)


def _is_listed(cells: Cells, pattern: Bool[np.ndarray, " neurons"]) -> bool:
    """Whether a pattern is in the list, looked up as the compiled check does."""
    keys, hashes, slots = cells.listed
    wanted, row = np.bitwise_xor.reduce(keys[pattern]), pack(pattern[None])[0]
    at = int(wanted) & (len(slots) - 1)
    while slots[at] >= 0:
        if hashes[slots[at]] == wanted and np.array_equal(cells.table.bits[slots[at]], row):
            return True
        at = (at + 1) & (len(slots) - 1)
    return False


def _without_facets(table: Listing, domain: Domain, regions: Int[np.ndarray, " regions"], found: Closure) -> None:
    """A network without neurons, or a domain that is one point: a single region, which must hold the domain."""
    found.looked_at = len(regions)
    for region in regions.tolist():
        pattern = unpack(table.bits[region : region + 1], table.network.neurons)[0]
        x = witness_of(table, region)
        real = is_inside(domain, x)
        if table.network.neurons:
            real = real and bool((pattern_beyond(table.network, x, [0] * len(x)) == pattern).all())
        if not real:
            found.false.append(region)
