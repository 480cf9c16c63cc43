"""A list of regions as a list: sorted, each once, with a trie that leads every pattern to its own region."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int, UInt8

from relu_shallow.network import activation_patterns
from relu_shallow.precision import surely_signed
from relu_shallow.regions.partition import pack
from relu_shallow.shallow.table import Table

CHUNK = 1 << 18  # regions or points handled at once


def is_sorted_and_unique(bits: UInt8[np.ndarray, "regions bytes"]) -> tuple[int, int]:
    """(duplicates, neighbours in the wrong order) of the packed patterns."""
    rows = _bytes(bits)
    return len(rows) - len(set(rows)), sum(a > b for a, b in pairwise(rows))


def first_differing_neuron(bits: UInt8[np.ndarray, "regions bytes"]) -> Int[np.ndarray, " pairs"]:
    """Where each pattern first differs from the next one in the list."""
    found = np.zeros(max(len(bits) - 1, 0), dtype=np.int64)
    for start in range(0, len(found), CHUNK):
        stop = min(start + CHUNK, len(found))
        both = np.unpackbits(bits[start : stop + 1], axis=1)
        found[start:stop] = (both[1:] != both[:-1]).argmax(axis=1)
    return found


def proper_trie(table: Table) -> str:
    """What is wrong with the trie, in a phrase; empty where nothing is.

    Every node and region must be reached once, and every region's pattern, read at the neurons in which neighbours of
    the sorted list first differ, must lead to that region.
    """
    trie, nodes = table.trie, table.regions - 1
    if trie.row.shape != (nodes,) or trie.child.shape != (nodes, 2):
        return f"{table.regions} regions need {nodes} nodes, it has {len(trie.row)}"
    if nodes and not (trie.row.min() >= 0 and trie.row.max() < len(table.c)):
        return f"a node names a row that is not among the {len(table.c)}"
    if len(np.unique(trie.row)) != len(table.c):
        return f"{len(table.c)} rows are stored and {len(np.unique(trie.row))} are used"
    reached = np.sort(np.append(trie.child.ravel(), trie.root))
    if not np.array_equal(reached, np.arange(-nodes - 1, nodes)):
        return "a node or a region is not reached exactly once"
    return _misled(table, first_differing_neuron(table.bits))


def _misled(table: Table, split: Int[np.ndarray, " nodes"]) -> str:
    wrong = 0
    for start in range(0, table.regions, CHUNK):
        region = np.arange(start, min(start + CHUNK, table.regions))
        node = np.full(len(region), table.trie.root)
        while (inner := np.flatnonzero(node >= 0)).size:
            neuron = split[node[inner]]
            bit = table.bits[region[inner], neuron // 8] >> (7 - neuron % 8) & 1
            node[inner] = table.trie.child[node[inner], bit]
        wrong += int((node != -region - 1).sum())
    return f"{wrong} of {table.regions} patterns lead to another region" if wrong else ""


def missing_patterns(table: Table, X: Float[np.ndarray, "points n"]) -> tuple[int, int]:
    """(points whose pattern is not listed, further ones so near a border that rounding may hide their pattern)."""
    listed = set(_bytes(table.bits))
    patterns = _bytes(pack(activation_patterns(table.network, X)))
    unlisted = X[[pattern not in listed for pattern in patterns]]
    sure = surely_signed(table.network, unlisted)
    return int(sure.sum()), int((~sure).sum())


def _bytes(bits: UInt8[np.ndarray, "regions bytes"]) -> list[bytes]:
    width = bits.shape[1]
    data = np.ascontiguousarray(bits).tobytes()
    return [data[start : start + width] for start in range(0, len(data), width)]
