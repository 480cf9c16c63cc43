"""How fast a region could be at best on this machine: the arithmetic of its affine map and the writing of its record.

Regions are taken in the order in which they are listed. Between two neighbours the lowest neuron that flips is one
neuron of some layer l, and each layer above l, the output's among them, gets one update of rank one,

    Z <- Z + z w^T,    Z of d + 1 rows (the d coordinates and the constant) by the layer's width,

which is 2 (d + 1) x width flops. Written are the packed pattern, the witness and the radius. Nothing else is counted:
no rows, no proofs, no linear programs, no second neuron that flips with the first.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit

from benchmark.measure import Settings
from benchmark.problem import Problem
from benchmark.systems import domain_of
from relu_shallow.compilation import ensure_compiled
from relu_shallow.domain import Domain
from relu_shallow.network import Network, from_layers
from relu_shallow.regions.partition import Partition, unpack
from relu_shallow.regions.search import enumerate_regions

SHORTEST = 0.05  # seconds: the limit's loop goes through the list again until it took as long
PIECE = 1 << 16  # regions compared at a time


@dataclass(frozen=True)
class Limit:
    """A region's arithmetic and bytes on average, and seconds per region: of those alone, and of the search."""

    regions: int
    flops: float
    bytes: float
    arithmetic: float
    writing: float
    search: float

    @property
    def rate(self) -> float:
        """Regions a second of the limit."""
        return 1.0 / (self.arithmetic + self.writing)

    @property
    def times(self) -> float:
        """How many times longer the search takes."""
        return self.search * self.rate


def limit_of(problem: Problem, settings: Settings) -> Limit | str:
    """The limit and the search by turns in this process, the best of the rounds of each; one thread."""
    network = from_layers(problem.layers)
    domain = domain_of(problem)
    ensure_compiled(lambda message: None, bounded=problem.bounded)  # noqa: ARG005
    searched, updated, written = [], [], []
    for _ in range(settings.rounds):
        listed, seconds = _search(network, domain, settings.limit)
        searched.append(seconds)
        if listed.regions < 2:
            return "fewer than two regions"
        flipped = lowest_flips(listed)
        widths, d = np.array([*network.widths, problem.layers[-1][0].shape[0]]), int((problem.lo < problem.hi).sum())
        updated.append(_seconds(_update, flipped, widths, d))
        written.append(_seconds(_write, *_record(listed)))
    return Limit(listed.regions, float(flops(flipped, widths, d).mean()), _bytes(listed), min(updated) / len(flipped),
                 min(written) / listed.regions, min(searched) / listed.regions)  # fmt: skip


def _search(network: Network, domain: Domain, limit: float) -> tuple[Partition, float]:
    """The list and the least processor seconds of a search, repeated while it is short."""
    taken: list[float] = []
    while sum(taken) < SHORTEST:
        before = time.process_time()
        listed = enumerate_regions(network, domain, time_limit=limit)
        taken.append(time.process_time() - before)
    return listed, min(taken)


def lowest_flips(listed: Partition) -> np.ndarray:
    """For each region but the first, the layer (from 0) of the first neuron in which it differs from the one before."""
    bits, neurons = listed.bits, listed.network.neurons
    layer_of = np.repeat(np.arange(len(listed.network.widths)), listed.network.widths)
    found = [np.zeros(0, np.int64)]
    for start in range(1, len(bits), PIECE):
        part = bits[start : start + PIECE] ^ bits[start - 1 : start - 1 + PIECE][: len(bits) - start]
        found.append(layer_of[unpack(part, neurons).argmax(axis=1)])
    return np.concatenate(found)


def flops(flipped: np.ndarray, widths: np.ndarray, d: int) -> np.ndarray:
    """The flops of every update: 2 (d + 1) for each neuron or output above the layer of the flip."""
    above = np.cumsum(widths[::-1])[::-1]
    return 2 * (d + 1) * above[flipped + 1]


def _bytes(listed: Partition) -> float:
    return (listed.bits.nbytes + listed.witnesses.nbytes + listed.radii.nbytes) / listed.regions


def _record(listed: Partition) -> tuple[np.ndarray, ...]:
    """The arrays to be written, and where to."""
    arrays = (listed.bits, listed.witnesses, listed.radii)
    return *arrays, *(np.zeros_like(array) for array in arrays)


def _seconds(run: Callable[..., object], *arguments: object) -> float:
    """Seconds of one pass, compiled and warmed beforehand, repeated until they can be measured."""
    run(*arguments)
    passes, before = 0, time.process_time()
    while passes == 0 or time.process_time() - before < SHORTEST:
        run(*arguments)
        passes += 1
    return (time.process_time() - before) / passes


@njit(nogil=True, fastmath=True)
def _update(flipped: np.ndarray, widths: np.ndarray, d: int) -> float:
    """One update of rank one of every layer above each flip."""
    widest = widths.max()
    Z = np.zeros((len(widths), d + 1, widest))
    z, w = np.full(d + 1, 1e-9), np.full(widest, 1e-9)
    for layer in flipped:
        for above in range(layer + 1, len(widths)):
            width = widths[above]
            for c in range(d + 1):
                row, factor = Z[above, c], z[c]
                for j in range(width):
                    row[j] += factor * w[j]
    return Z.sum()


@njit(nogil=True)
def _write(
    bits: np.ndarray, witnesses: np.ndarray, radii: np.ndarray,
    to_bits: np.ndarray, to_witnesses: np.ndarray, to_radii: np.ndarray,
) -> None:  # fmt: skip
    """Every region's record, one after the other."""
    for region in range(len(radii)):
        for k in range(bits.shape[1]):
            to_bits[region, k] = bits[region, k]
        for k in range(witnesses.shape[1]):
            to_witnesses[region, k] = witnesses[region, k]
        to_radii[region] = radii[region]
