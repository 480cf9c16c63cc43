"""The shallow network as a table: every region's half-spaces (H, c) and affine map (alpha, beta)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from relu_shallow.domain import Domain, contains, describe
from relu_shallow.errors import DataError, OutputError
from relu_shallow.modules import Module
from relu_shallow.network import Network, activation_patterns, preactivations, without_losers
from relu_shallow.precision import SAFE_EXPONENT
from relu_shallow.regions.partition import Certificate, Effort, ExactWitnesses, Level, pack, unpack
from relu_shallow.shallow.trie import Trie, path, walk

AT_ONCE = 1 << 25  # entries of patterns unpacked at a time


@dataclass(frozen=True, eq=False)
class Table:
    """The regions of one network: patterns, distinct unsigned rows (H, c), affine maps (alpha, beta), witnesses.

    Row j is the pre-activation H[j].x + c[j] of a neuron in a cell of the earlier layers; `trie` says which regions
    it tells apart. Regions are sorted by pattern. `exact_witnesses` holds, by number, rational interior points of the
    regions that are too small for their witness to lie inside once written in floats. The network of a `module` is its
    addend of a larger one (modules.py).
    """

    network: Network
    bits: UInt8[np.ndarray, "regions bytes"]
    witnesses: Float[np.ndarray, "regions inputs"]
    radii: Float[np.ndarray, " regions"]
    H: Float[np.ndarray, "rows inputs"]
    c: Float[np.ndarray, " rows"]
    alpha: Float[np.ndarray, "regions outputs inputs"]
    beta: Float[np.ndarray, "regions outputs"]
    trie: Trie
    exact_witnesses: ExactWitnesses = field(default_factory=dict)
    module: Module | None = None

    def __repr__(self) -> str:
        """One line, without the arrays."""
        return f"Table(regions={self.regions}, rows={len(self.c)}, neurons={self.network.neurons})"

    @property
    def regions(self) -> int:
        """R, the number of regions."""
        return len(self.bits)

    @property
    def patterns(self) -> Bool[np.ndarray, "regions neurons"]:
        """Activation patterns, one row a region."""
        return unpack(self.bits, self.network.neurons)

    @property
    def choices(self) -> int:
        """Regions that differ in more than the order of losers of a largest of k; R where there is no such choice."""
        if not len(self.network.brackets):
            return self.regions
        step = max(AT_ONCE // self.network.neurons, 1)
        pieces = [self.bits[i : i + step] for i in range(0, self.regions, step)]
        merged = [pack(without_losers(self.network, unpack(piece, self.network.neurons))) for piece in pieces]
        return len(np.unique(np.concatenate(merged), axis=0))

    def rows(self, region: int) -> tuple[Int[np.ndarray, " rows"], Int[np.ndarray, " rows"]]:
        """Indices into H, c and signs of a region's half-spaces sign * (H x + c) >= 0 (the domain's rows left out)."""
        return path(self.trie, region)

    def region_of(self, X: Float[np.ndarray, "points inputs"]) -> Int[np.ndarray, " points"]:
        """The region that the decision tree gives each point."""
        return walk(self.trie, self.H, self.c, X)

    def values(
        self, X: Float[np.ndarray, "points inputs"], region: Int[np.ndarray, " points"]
    ) -> Float[np.ndarray, "points outputs"]:
        """alpha x + beta of the given region at each point."""
        return np.einsum("pmn,pn->pm", self.alpha[region], X) + self.beta[region]


@dataclass(frozen=True)
class Completeness:
    """What is known about the list: whether it is all regions, at which level, how decided, and what it took."""

    complete: bool
    level: Level
    certificate: Certificate
    effort: Effort


@dataclass(frozen=True, eq=False)
class ShallowNetwork:
    """A deep ReLU network written as a sum of tables of regions (one table unless it was split into modules).

    `proof` holds, by name, the arrays of a proof that the list is right (relu_shallow/proof); it is empty without one.
    """

    network: Network
    domain: Domain
    tables: tuple[Table, ...]
    completeness: Completeness
    proof: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __repr__(self) -> str:
        """One line, without the arrays."""
        known = self.completeness
        listed = f"{'all' if known.complete else 'partial'}, {known.level}"
        return (f"ShallowNetwork({self.network.source.name}: {self.regions} regions on {describe(self.domain)}, "
                f"{listed}; {self.half_spaces} half-spaces)")  # fmt: skip

    @property
    def regions(self) -> int:
        """Regions over all tables."""
        return sum(table.regions for table in self.tables)

    @property
    def choices(self) -> int:
        """Regions over all tables that differ in more than the order of losers of a largest of k (max-pooling)."""
        return sum(table.choices for table in self.tables)

    @property
    def half_spaces(self) -> int:
        """Distinct rows over all tables."""
        return sum(len(table.c) for table in self.tables)

    @property
    def table(self) -> Table:
        """The only table; raises OutputError where there are several, or it is a module's."""
        if is_sum(self):
            raise OutputError(
                f"this network is a sum of {len(self.tables)} tables, one for each module (.tables); for one list of "
                "all regions convert it without --modular (modular=False)"
            )
        return self.tables[0]

    @property
    def H(self) -> Float[np.ndarray, "rows inputs"]:
        """Distinct unsigned rows."""
        return self.table.H

    @property
    def c(self) -> Float[np.ndarray, " rows"]:
        """Constants of the rows."""
        return self.table.c

    @property
    def alpha(self) -> Float[np.ndarray, "regions outputs inputs"]:
        """Slopes of the regions' affine maps."""
        return self.table.alpha

    @property
    def beta(self) -> Float[np.ndarray, "regions outputs"]:
        """Constants of the regions' affine maps."""
        return self.table.beta

    def rows(self, region: int) -> tuple[np.ndarray, np.ndarray]:
        """Row indices and signs of a region's half-spaces."""
        return self.table.rows(region)

    def __call__(self, X: object) -> Float[np.ndarray, "points outputs"]:
        """Outputs before the head; raises DataError outside the converted domain or outside a partial list."""
        points = as_points(X, self.network.inputs)
        refuse_overflow(self.network, points, "the data")
        total = np.zeros((len(points), self.network.outputs))
        for table, region in zip(self.tables, regions_of(self, points), strict=True):
            total += table.values(points, region)
        refuse_rows(np.asarray(~np.isfinite(total).all(axis=1)), "the data")
        return total


def is_sum(shallow: ShallowNetwork) -> bool:
    """Whether its tables are those of modules, so that none is of the whole network."""
    return len(shallow.tables) != 1 or shallow.tables[0].module is not None


def as_points(X: object, inputs: int) -> Float[np.ndarray, "points inputs"]:
    """X (array, tensor, frame or list) as finite float64 rows; raises DataError otherwise."""
    if hasattr(X, "detach"):
        X = X.detach().cpu().numpy()  # ty: a torch tensor, without importing torch
    try:
        points = np.atleast_2d(np.asarray(X, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise DataError(f"the data must be numbers: {error}") from error
    if points.ndim != 2 or points.shape[1] != inputs:
        raise DataError(f"the network takes {inputs} inputs, but the data has shape {points.shape}")
    bad = np.flatnonzero(~np.isfinite(points).all(axis=1))
    if len(bad):
        raise DataError(f"row {bad[0]} of the data holds NaN or infinity ({len(bad)} such rows)")
    return points


def refuse_overflow(network: Network, X: Float[np.ndarray, "points inputs"], what: str) -> None:
    """Raises DataError where float64 does not hold the network's values at a row of X."""
    # weights that a search accepts take a value to at most 2^SAFE_EXPONENT times its size
    large = np.flatnonzero(np.abs(X).max(axis=1) > 2.0 ** (np.finfo(np.float64).maxexp - 4 - SAFE_EXPONENT))
    if not len(large):
        return
    lost = np.zeros(len(X), dtype=bool)
    with np.errstate(over="ignore", invalid="ignore"):
        for z in preactivations(network, X[large]):
            lost[large] |= ~np.isfinite(z).all(axis=1)
    refuse_rows(lost, what)


def refuse_rows(lost: Bool[np.ndarray, " points"], what: str) -> None:
    """Raises DataError that names the first of the rows at which the network overflows."""
    if lost.any():
        raise DataError(
            f"row {np.argmax(lost)} of {what} holds values so large that the network overflows ({lost.sum()} of "
            f"{len(lost)} rows do); leave such rows out, or scale the data as the network expects"
        )


def regions_of(shallow: ShallowNetwork, X: Float[np.ndarray, "points inputs"]) -> list[Int[np.ndarray, " points"]]:
    """Each point's region in every table; raises DataError outside the domain or outside a partial list."""
    refuse_outside(shallow.domain, X)
    found = [table.region_of(X) for table in shallow.tables]
    if not shallow.completeness.complete:
        for table, region in zip(shallow.tables, found, strict=True):
            own = unpack(table.bits[region], table.network.neurons)
            refuse_unlisted((own == activation_patterns(table.network, X)).all(axis=1))
    return found


def refuse_outside(domain: Domain, X: Float[np.ndarray, "points inputs"]) -> None:
    """Raises DataError that names the first row outside the domain."""
    outside = np.flatnonzero(~contains(domain, X))
    if len(outside):
        raise DataError(
            f"row {outside[0]} lies outside the converted domain ({len(outside)} of {len(X)} rows do); "
            "convert on a larger domain, or leave those rows out"
        )


def refuse_unlisted(listed: Bool[np.ndarray, " points"]) -> None:
    """Raises DataError that names the first row whose region a partial list does not hold."""
    missing = np.flatnonzero(~listed)
    if len(missing):
        raise DataError(
            f"row {missing[0]} lies in a region that this partial list does not hold "
            f"({len(missing)} of {len(listed)} rows do); convert without a limit, or on a smaller domain"
        )
