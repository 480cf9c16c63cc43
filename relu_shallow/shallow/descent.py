"""The decision tree of a list on the disk, walked without being built: two ends of a sorted stretch show its next row.

The listed patterns that agree with the gates forced so far lie between two of them in sorted order. The first neuron in
which the least and the greatest differ is the next one that the list holds both ways; those before it are forced. Its
row under these gates decides, as in the tree of a converted file: active where row.x + c > 0. The walk ends at one
pattern, and its region's closure holds the point.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int, UInt8

from relu_shallow.errors import FormatError
from relu_shallow.regions.folder import RegionsFolder, as_keys
from relu_shallow.regions.shard import map_regions
from relu_shallow.shallow.build import region_maps

OPEN_FILES = 64  # maps of files kept at once
POINTS = 1 << 12  # walked side by side

Spans = list[tuple[int, int, int]]  # (file, first row, row behind the last): the listed patterns that are left


def descend(folder: RegionsFolder, X: Float[np.ndarray, "points n"]) -> Int[np.ndarray, " points"]:
    """The number of the region of a complete list that the decision tree gives each point."""

    @lru_cache(maxsize=OPEN_FILES)
    def patterns(number: int) -> np.ndarray:
        return map_regions(folder.shards[number], folder.network)[0]

    pieces = [_walk(folder, patterns, X[start : start + POINTS]) for start in range(0, len(X), POINTS)]
    return np.concatenate([np.zeros(0, np.int64), *pieces])


def _walk(
    folder: RegionsFolder, patterns: Callable[[int], np.ndarray], X: Float[np.ndarray, "points n"]
) -> Int[np.ndarray, " points"]:
    everything: Spans = [(number, 0, shard.regions) for number, shard in enumerate(folder.shards) if shard.regions]
    spans = [everything] * len(X)
    region = np.empty(len(X), np.int64)
    starts = folder.starts
    pending = np.arange(len(X))
    while len(pending):
        ends = [_ends(folder, patterns, spans[point]) for point in pending.tolist()]
        alone = np.array([low == high for low, high in ends])
        for point in pending[alone].tolist():
            number, row, _ = spans[point][0]
            region[point] = starts[number] + row
        ends = [pair for pair, done in zip(ends, alone.tolist(), strict=True) if not done]
        pending = pending[~alone]
        if not len(pending):
            break
        low, high = (_packed(side, len(pending)) for side in zip(*ends, strict=True))
        neuron = (np.unpackbits(low, axis=1) != np.unpackbits(high, axis=1)).argmax(axis=1)
        if (neuron >= folder.network.neurons).any():
            raise FormatError(f"{folder.path} is damaged: a pattern sets bits beyond those of its neurons; "
                              "check it with: relu-shallow verify")  # fmt: skip
        H, c, _, _ = region_maps(folder.network, low, np.arange(len(pending)), neuron)
        active = np.einsum("pn,pn->p", H, X[pending]) + c > 0
        cut = _first_active(high, neuron)
        for point, on, bound in zip(pending.tolist(), active.tolist(), cut, strict=True):
            spans[point] = _side(folder, patterns, spans[point], bound.tobytes(), on)
    return region


def _ends(folder: RegionsFolder, patterns: Callable[[int], np.ndarray], spans: Spans) -> tuple[bytes, bytes]:
    """The least and the greatest pattern that are left; whole files show theirs in the header."""
    low, high = [], []
    for number, start, stop in spans:
        shard = folder.shards[number]
        low.append(shard.first if start == 0 else patterns(number)[start].tobytes())
        high.append(shard.last if stop == shard.regions else patterns(number)[stop - 1].tobytes())
    return min(low), max(high)


def _packed(patterns: Sequence[bytes], count: int) -> UInt8[np.ndarray, "points bytes"]:
    return np.array(np.frombuffer(b"".join(patterns), np.uint8).reshape(count, -1))  # compiled code wants its own


def _first_active(high: UInt8[np.ndarray, "points bytes"], neuron: Int[np.ndarray, " points"]) -> np.ndarray:
    """The least pattern with the gates forced so far in which the neuron is active: `high` with zeros behind it."""
    bits = np.unpackbits(high, axis=1)
    bits[np.arange(bits.shape[1]) > neuron[:, None]] = 0
    return np.packbits(bits, axis=1)


def _side(
    folder: RegionsFolder, patterns: Callable[[int], np.ndarray], spans: Spans, bound: bytes, active: bool
) -> Spans:
    """What is left from `bound` on (active), or before it."""
    kept: Spans = []
    for number, start, stop in spans:
        shard = folder.shards[number]
        if shard.first >= bound:
            middle = start
        elif shard.last < bound:
            middle = stop
        else:
            keys = as_keys(patterns(number)[start:stop])
            middle = start + int(np.searchsorted(keys, np.array(bound, keys.dtype)))
        span = (number, middle, stop) if active else (number, start, middle)
        if span[1] < span[2]:
            kept.append(span)
    if not 0 < _count(kept) < _count(spans):  # both ends differ in the neuron, so that either side holds some
        raise FormatError(f"{folder.path} is damaged: a file of it is not sorted; check it with: relu-shallow verify")
    return kept


def _count(spans: Spans) -> int:
    return sum(stop - start for _, start, stop in spans)
