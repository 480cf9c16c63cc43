"""Each region against the network's own maps: affine map, rows, witness, and what lies across its border."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int

from relu_shallow.checks.counting import free_inputs
from relu_shallow.checks.exact import is_inside, is_witness, witness_of
from relu_shallow.checks.flips import unlisted_neighbours
from relu_shallow.checks.lists import first_differing_neuron, missing_patterns
from relu_shallow.checks.maps import Maps, chunks, maps_of
from relu_shallow.checks.radii import check_radii
from relu_shallow.checks.walls import look_behind_walls
from relu_shallow.domain import Domain, contains
from relu_shallow.network import Network, preactivations, switching
from relu_shallow.precision import preactivation_errors
from relu_shallow.regions.partition import unpack
from relu_shallow.shallow.table import Table

NUMBERS = 1 << 29  # of all rows of all regions looked at; more regions than that are sampled
EXACT = 200  # witnesses within rounding of a border that are settled exactly
FACETS = 3  # nearest hyperplanes crossed from each region
ACROSS = 200_000  # points across borders that are looked up


@dataclass
class Findings:
    """Counts over the regions looked at."""

    maps: int = 0
    worst_map: float = 0.0
    rows: int = 0
    witnesses: int = 0
    doubtful: list[int] = field(default_factory=list)
    outside: int = 0
    slack: int = 0
    across: list[np.ndarray] = field(default_factory=list)


def check_regions(
    table: Table, domain: Domain, complete: bool, rng: np.random.Generator, *, search: bool = True
) -> list[tuple[str, bool, str]]:
    """(name, ok, detail) of every check that goes region by region.

    `search` says whether missing regions are looked for by paths and linear programs, which a proof makes needless.
    """
    regions = _chosen(table, rng)
    split = first_differing_neuron(table.bits)
    free = free_inputs(domain, table.network.inputs)
    found = Findings()
    per_region = max(1, -(-ACROSS // len(regions)))
    crossed = set(rng.choice(regions, min(len(regions), ACROSS), replace=False).tolist())
    for chunk in chunks(table.network, regions):
        maps = maps_of(table.network, unpack(table.bits[chunk], table.network.neurons))
        _compare_maps(table, chunk, maps, found)
        _compare_rows(table, chunk, split, maps, found)
        _look_at_witnesses(table, chunk, maps, domain, found)
        if complete:
            cross = np.array([region in crossed for region in chunk.tolist()])
            found.across.append(_across(table, chunk, maps, free, cross, min(per_region, 8), rng))
    of = f"{len(regions)} regions" + (f" (a random choice of {table.regions})" if len(regions) < table.regions else "")
    wrong, left = _settle_exactly(table, found.doubtful, np.flatnonzero(free).tolist())
    checks = [
        ("affine maps", found.maps == 0, f"alpha, beta of {found.maps} of {of} differ from the network's own; "
         f"largest difference {found.worst_map:.3g}"),
        ("half-spaces", found.rows == 0, f"{found.rows} of {len(table.c)} rows of H, c differ from the network's own"),
        ("witness patterns", found.witnesses + wrong == 0,
         f"witnesses of {found.witnesses + wrong} of {of} have another pattern or none; {len(found.doubtful)} within "
         f"rounding of a border, {len(found.doubtful) - left} settled exactly" + (f", {left} not" if left else "")),
        ("witnesses in the domain", found.outside == 0, f"witnesses of {found.outside} of {of} lie outside"),
        ("half-spaces hold at witnesses", found.slack == 0, f"rows of {found.slack} of {of} have the wrong sign there"),
    ]  # fmt: skip
    checks.append(("inscribed radii", *check_radii(table, domain)))
    if complete:
        X = np.concatenate(found.across)
        X = X[np.isfinite(X).all(axis=1)]
        X = X[contains(domain, X)]
        missing, doubtful = missing_patterns(table, X)
        checks.append(("neighbours listed", missing == 0,
                       f"{missing} of {len(X)} points across regions' borders have a pattern that is not listed "
                       f"({doubtful} on another border left out)"))  # fmt: skip
    if complete and search:
        regions_missed, tried, candidates = unlisted_neighbours(table, domain, rng)
        walls = look_behind_walls(table, domain)
        checks.append(("no region behind a wall", walls.missing == 0,
                       f"{walls.missing} points found with a pattern that is not listed, on {walls.paths} paths inside "
                       f"listed regions towards unlisted patterns, {walls.arrived} of which arrived; these are the "
                       f"most promising of {walls.looked_at} (region, neuron) pairs of {walls.pairs}"))  # fmt: skip
        checks.append(("no unlisted neighbour", regions_missed == 0,
                       f"{regions_missed} of {tried} patterns one neuron away from listed ones are regions and not "
                       f"listed (of {candidates} candidates)"))  # fmt: skip
    return checks


def _chosen(table: Table, rng: np.random.Generator) -> Int[np.ndarray, " regions"]:
    most = max(1, NUMBERS // ((table.network.neurons + 1) * (table.network.inputs + 1)))
    if table.regions <= most:
        return np.arange(table.regions)
    return np.sort(rng.choice(table.regions, most, replace=False))


def _compare_maps(table: Table, chunk: np.ndarray, maps: Maps, found: Findings) -> None:
    """alpha and beta against the last map; both may be off by its rounding error."""
    stored = np.concatenate([table.alpha[chunk], table.beta[chunk][:, :, None]], axis=2).transpose(1, 0, 2)
    difference = np.abs(stored - maps.output)
    found.maps += int((~(difference <= 2 * maps.output_error)).any(axis=(0, 2)).sum())
    found.worst_map = max(found.worst_map, float(difference.max()))


def _compare_rows(table: Table, chunk: np.ndarray, split: np.ndarray, maps: Maps, found: Findings) -> None:
    """Each node's row against the neuron in which its two neighbours first differ."""
    here = np.flatnonzero(chunk < table.regions - 1)
    node = chunk[here]
    row = table.trie.row[node]
    stored = np.column_stack([table.H[row], table.c[row]])
    own, error = maps.rows[split[node], here], maps.row_error[split[node], here]
    bad = (~(np.abs(stored - own) <= 2 * error)).any(axis=1)
    found.rows += len(np.unique(row[bad]))


def _look_at_witnesses(table: Table, chunk: np.ndarray, maps: Maps, domain: Domain, found: Findings) -> None:
    """The deep network's signs at each witness, and the signs of the stored rows there."""
    network, X = table.network, table.witnesses[chunk]
    patterns = unpack(table.bits[chunk], network.neurons)
    bad, doubtful = _signs(network, X, patterns, maps)
    tiny = np.isin(chunk, list(table.exact_witnesses))  # their witnesses are no floats
    found.witnesses += int((bad & ~tiny).sum())
    found.doubtful += chunk[tiny | (doubtful & ~bad)].tolist()
    unsure = tiny | ~contains(domain, X)  # a row of a polytope may cancel
    found.outside += sum(not is_inside(domain, witness_of(table, region)) for region in chunk[unsure].tolist())
    side = np.where(patterns, 1.0, -1.0).T
    value = side * (np.einsum("jrk,rk->jr", maps.rows[:, :, :-1], X) + maps.rows[:, :, -1])
    error = np.einsum("jrk,rk->jr", maps.row_error[:, :, :-1], np.abs(X)) + maps.row_error[:, :, -1]
    found.slack += int((~(value >= -2 * error) & ~tiny)[switching(network)].any(axis=0).sum())


def _signs(
    network: Network, X: Float[np.ndarray, "regions n"], patterns: Bool[np.ndarray, "regions neurons"], maps: Maps
) -> tuple[Bool[np.ndarray, " regions"], Bool[np.ndarray, " regions"]]:
    """(surely another pattern, within rounding of a border); rows made of zeros alone must only be inactive."""
    z = np.concatenate([np.zeros((len(X), 0)), *preactivations(network, X)[:-1]], axis=1)
    error = np.concatenate([np.zeros((len(X), 0)), *preactivation_errors(network, X)[:-1]], axis=1)
    blank = (maps.row_error == 0).all(axis=2).T & ~patterns
    clear = np.abs(z) > error
    switch = switching(network)
    bad = (clear & ((z > 0) != patterns) & switch).any(axis=1) | ~np.isfinite(z).all(axis=1)
    bad |= (patterns & ~switch).any(axis=1)
    return bad, (~clear & ~blank & switch).any(axis=1)


def _settle_exactly(table: Table, doubtful: list[int], free: list[int]) -> tuple[int, int]:
    """(false witnesses among those within rounding of a border, how many were not looked at)."""
    wrong = 0
    for region in doubtful[:EXACT]:
        pattern = unpack(table.bits[region : region + 1], table.network.neurons)[0]
        wrong += not is_witness(table.network, witness_of(table, region), pattern, free)
    return wrong, len(doubtful[EXACT:])


def _across(
    table: Table,
    chunk: np.ndarray,
    maps: Maps,
    free: np.ndarray,
    chosen: np.ndarray,
    more: int,
    rng: np.random.Generator,
) -> Float[np.ndarray, "points n"]:
    """Points just beyond the borders of the chosen regions: along the nearest rows' normals, and at random.

    All N rows of a region are used, so that a region missing from the list is met even though its neighbour's rows in
    the trie no longer show the border to it.
    """  # fmt: skip
    X, rows = table.witnesses[chunk[chosen]], maps.rows[:, chosen]
    if not len(X) or not len(rows):
        return np.zeros((0, X.shape[1]))
    normals = np.where(free, rows[:, :, :-1], 0.0)
    value = np.einsum("jrk,rk->jr", rows[:, :, :-1], X) + rows[:, :, -1]
    norms = np.linalg.norm(normals, axis=2)
    with np.errstate(divide="ignore", invalid="ignore"):
        height = np.where(norms > 0, np.abs(value) / norms, np.inf)
    nearest = np.argsort(height, axis=0)[:FACETS]
    every = np.arange(len(X))
    directions = [-np.sign(value[j, every])[:, None] * normals[j, every] for j in nearest]
    directions += [np.where(free, rng.normal(size=X.shape), 0.0) for _ in range(more)]
    points = []
    for direction in directions:
        rate = np.einsum("jrk,rk->jr", rows[:, :, :-1], direction)
        with np.errstate(divide="ignore", invalid="ignore"):
            reach = np.where(rate * value < 0, -value / rate, np.inf).min(axis=0)
            beyond = reach * (1 + 2.0 ** -rng.uniform(1, 24, len(X)))  # near the border more often than far
            points.append(X + beyond[:, None] * direction)
    return np.concatenate(points)
