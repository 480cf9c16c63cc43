"""A list of regions in the files of a folder, gone through file by file: bounded memory, however many there are.

Every file is read once and whole, so that its hash is checked. For the proof that none is missing (closure.py) a file's
regions are put together with the listed patterns one neuron away from them, looked up in all files; what lies behind a
facet and is not among these is looked up once more before it counts as missing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from jaxtyping import Float, Int, UInt8

from relu_shallow.checks.closure import ENOUGH, Closure, check_closure
from relu_shallow.checks.neighbours import flips_by_file, mark_listed
from relu_shallow.network import Network, activation_patterns, switching
from relu_shallow.precision import surely_signed
from relu_shallow.regions.folder import RegionsFolder, as_keys, find
from relu_shallow.regions.partition import ExactWitnesses, pack, unpack
from relu_shallow.regions.search import by_number
from relu_shallow.regions.shard import Shard, load_regions, map_regions
from relu_shallow.shallow.build import build_table
from relu_shallow.shallow.stored import StoredNetwork
from relu_shallow.shallow.table import Table

PIECE = 1 << 14  # regions laid out at once

Progress = Callable[[int], None]


@dataclass(frozen=True, eq=False)
class Listed:
    """Some regions of a folder and, behind them, patterns that the list holds too, whose witnesses are left zero."""

    network: Network
    bits: UInt8[np.ndarray, "regions bytes"]
    witnesses: Float[np.ndarray, "regions inputs"]
    exact_witnesses: ExactWitnesses

    @property
    def regions(self) -> int:
        """How many patterns these are."""
        return len(self.bits)


@dataclass
class Findings:
    """What was found in the files: patterns out of order or with bits beyond their neurons, patterns listed twice.

    `closure` is what was proved of all regions; its `false` regions have their numbers in the folder.
    """

    out_of_order: int = 0
    beyond: int = 0
    twice: int = 0
    closure: Closure = field(default_factory=Closure)

    @property
    def well_formed(self) -> bool:
        """Whether patterns are sorted and each is listed once."""
        return not (self.out_of_order or self.beyond or self.twice)


def check_files(
    stored: StoredNetwork, *, facets_too: bool, workers: int = 1, progress: Progress | None = None
) -> Findings:
    """Goes through all files: each region is proved real and, with `facets_too`, that none is missing beside it.

    That a pattern is not in two files is looked at where the list is complete. Raises FormatError for a file that is
    damaged.
    """
    folder, network = stored.folder, stored.network
    found = Findings()
    for shard, start in zip(folder.shards, folder.starts.tolist(), strict=False):
        batch = load_regions(shard, network)
        keys = as_keys(batch.bits)
        found.out_of_order += int((keys[1:] <= keys[:-1]).sum())
        found.beyond += int((pack(unpack(batch.bits, network.neurons)) != batch.bits).any(axis=1).sum())
        if folder.complete:
            found.twice += _shared(folder, shard, keys)
        if not found.well_formed:
            break
        exact = by_number(batch.exact, batch.bits)
        for begin in range(0, len(keys), PIECE):
            piece = slice(begin, min(begin + PIECE, len(keys)))
            _add(stored, batch.bits[piece], batch.witnesses[piece], _from(exact, piece), start + begin, found.closure,
                 facets_too=facets_too, alone=False, workers=workers, progress=progress)  # fmt: skip
        if len(found.closure.missing) >= ENOUGH or len(found.closure.false) >= ENOUGH:
            break
    return found


def check_sample(
    stored: StoredNetwork, regions: Int[np.ndarray, " regions"], *, workers: int = 1, progress: Progress | None = None
) -> Closure:
    """Proves that the regions of the given numbers are real and that none is missing behind their facets."""
    found = Closure()
    for begin in range(0, len(regions), PIECE):
        chosen = stored.partition_of(regions[begin : begin + PIECE])
        within = Closure()
        _add(stored, chosen.bits, chosen.witnesses, chosen.exact_witnesses, 0, within, facets_too=True, alone=True,
             workers=workers, progress=None if progress is None else _further(progress, begin))  # fmt: skip
        found.false += within.false
        _total(found, within)
        if len(found.missing) >= ENOUGH:
            break
    return found


def _add(
    stored: StoredNetwork, bits: UInt8[np.ndarray, "regions bytes"], witnesses: Float[np.ndarray, "regions n"],
    exact: ExactWitnesses, start: int, found: Closure, *, facets_too: bool, alone: bool, workers: int,
    progress: Progress | None,
) -> None:  # fmt: skip
    """Adds what is proved of some regions, the first of which has the number `start`."""
    own = len(bits)
    beside = neighbours_listed(stored, bits) if facets_too else bits[:0]
    listing = Listed(
        stored.network,
        np.concatenate([bits, beside]),
        np.concatenate([witnesses, np.zeros((len(beside), witnesses.shape[1]))]),
        exact,
    )

    def known(pattern: UInt8[np.ndarray, "one bytes"]) -> bool:
        return bool(find(stored.folder, pattern)[0] >= 0)

    closure = check_closure(
        listing, stored.domain, np.arange(own), facets_too=facets_too, alone=alone, known=known, workers=workers,
        progress=None if progress is None else _further(progress, found.looked_at),
    )  # fmt: skip
    found.false += [start + region for region in closure.false]
    _total(found, closure)


def _total(found: Closure, more: Closure) -> None:
    found.looked_at += more.looked_at
    found.facets += more.facets
    found.exact += more.exact
    found.crossings += more.crossings
    found.missing |= more.missing


def sample_of(stored: StoredNetwork, count: int, rng: np.random.Generator) -> Table:
    """The table of so many regions drawn at random, or of all; its rows tell these apart only."""
    regions = np.arange(stored.regions)
    if stored.regions > count:
        regions = np.unique(rng.integers(stored.regions, size=count))
    drawn = stored.partition_of(regions)
    _, first = np.unique(as_keys(drawn.bits), return_index=True)  # sorted; a partial list may hold a pattern twice
    return build_table(stored.partition_of(regions[first]))


def missing_of(stored: StoredNetwork, X: Float[np.ndarray, "points n"]) -> tuple[int, int]:
    """(points whose pattern is not listed, further ones so near a border that rounding may hide their pattern)."""
    unlisted = X[find(stored.folder, pack(activation_patterns(stored.network, X))) < 0]
    sure = surely_signed(stored.network, unlisted)
    return int(sure.sum()), int((~sure).sum())


def neighbours_listed(
    stored: StoredNetwork, bits: UInt8[np.ndarray, "regions bytes"]
) -> UInt8[np.ndarray, "found bytes"]:
    """The listed patterns that differ from some of the given ones in one neuron."""
    network = stored.network
    shards = [shard for shard in stored.folder.shards if shard.regions]
    switch = switching(network)
    if not len(bits) or not len(switch):
        return bits[:0]
    firsts, lasts, tops = _ends(shards)
    none = np.zeros(0, np.int64)
    counts = flips_by_file(bits, switch, firsts, lasts, tops, none, none)
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    codes = np.empty(starts[-1], np.int64)
    flips_by_file(bits, switch, firsts, lasts, tops, starts, codes)
    found = [bits[:0]]
    for number in np.flatnonzero(counts).tolist():
        rows = np.array(map_regions(shards[number], network)[0])
        marks = np.zeros(len(rows), np.uint8)
        mark_listed(bits, len(switch), codes[starts[number] : starts[number + 1]], rows, marks)
        found.append(rows[marks != 0])
    return np.concatenate(found)


def _ends(shards: list[Shard]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First and last patterns of files in order, and which last one is the greatest so far."""
    firsts = np.array([list(shard.first) for shard in shards], np.uint8)
    lasts = np.array([list(shard.last) for shard in shards], np.uint8)
    tops, top = np.empty(len(shards), np.int64), 0
    for number, shard in enumerate(shards):
        top = number if shard.last > shards[top].last else top
        tops[number] = top
    return firsts, lasts, tops


def _shared(folder: RegionsFolder, shard: Shard, keys: np.ndarray) -> int:
    """How many of a file's patterns stand in files behind it too."""
    twice = 0
    for other in folder.shards[folder.shards.index(shard) + 1 :]:
        if other.first > shard.last:
            break
        if other.regions:
            twice += int(np.isin(as_keys(np.array(map_regions(other, folder.network)[0])), keys).sum())
    return twice


def _from(exact: ExactWitnesses, piece: slice) -> dict[int, tuple[Fraction, ...]]:
    return {row - piece.start: point for row, point in exact.items() if piece.start <= row < piece.stop}


def _further(progress: Progress, before: int) -> Progress:
    return lambda regions: progress(before + regions)
