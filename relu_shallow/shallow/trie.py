"""The prefix trie of a sorted list of activation patterns: which rows tell its regions apart.

Between two neighbours of the sorted list lies exactly one node with two children, at the first neuron in which they
differ; so R regions have R - 1 such nodes, and the trie is the Cartesian tree of those first differing neurons
(smallest at the root). Nodes with one child keep no row (section 3.1 of the design notes in docs/mathematics.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8

from relu_shallow.network import Network

_FIRST_BIT = np.array([8] + [8 - int(byte).bit_length() for byte in range(1, 256)], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Trie:
    """A binary decision tree: node i stands between regions i and i + 1 and tests the row `row[i]`.

    `child[i, 0]` is taken where row.x + c <= 0, `child[i, 1]` where it is positive; a child >= 0 is a node, a child
    < 0 is the region -child - 1. `root` is coded the same way.
    """

    row: Int[np.ndarray, " nodes"]
    child: Int[np.ndarray, "nodes 2"]
    root: int


def first_differences(bits: UInt8[np.ndarray, "regions bytes"]) -> Int[np.ndarray, " nodes"]:
    """The first neuron in which each pattern of the sorted list differs from the next."""
    found = np.empty(max(len(bits) - 1, 0), dtype=np.int64)
    for start in range(0, len(found), 1 << 18):
        stop = min(start + (1 << 18), len(found))
        changed = bits[start:stop] ^ bits[start + 1 : stop + 1]
        byte = np.argmax(changed != 0, axis=1)
        found[start:stop] = 8 * byte + _FIRST_BIT[changed[np.arange(stop - start), byte]]
    return found


def cell_starts(split: Int[np.ndarray, " nodes"], network: Network) -> Int[np.ndarray, " nodes"]:
    """For each node, the first region of its cell: the listed regions that agree on all earlier layers."""
    offsets = np.concatenate([[0], np.cumsum(network.widths)]).astype(np.int64)
    layer = np.searchsorted(offsets, split, side="right") - 1
    starts = np.zeros(len(split), dtype=np.int64)
    for index in range(1, len(network.widths)):
        opens = np.zeros(len(split), dtype=np.int64)
        breaks = np.flatnonzero(split[:-1] < offsets[index]) + 1  # where node r - 1 splits earlier
        opens[breaks] = breaks
        here = layer == index
        starts[here] = np.maximum.accumulate(opens)[here]
    return starts


def cartesian_tree(split: Int[np.ndarray, " nodes"], row: Int[np.ndarray, " nodes"]) -> Trie:
    """The trie whose node i splits at neuron split[i] and tests row[i]."""
    nodes = len(split)
    child = np.empty((nodes, 2), dtype=np.int64)
    child[:, 0] = -np.arange(nodes) - 1  # region i, unless a subtree takes the place
    child[:, 1] = -np.arange(nodes) - 2
    parents: list[int] = []
    depth = split.tolist()
    for node in range(nodes):
        last = -1
        while parents and depth[parents[-1]] > depth[node]:
            last = parents.pop()
        if last >= 0:
            child[node, 0] = last
        if parents:
            child[parents[-1], 1] = node
        parents.append(node)
    return Trie(row, child, parents[0] if parents else -1)


def path(trie: Trie, region: int) -> tuple[Int[np.ndarray, " rows"], Int[np.ndarray, " rows"]]:
    """The rows on a region's path from the root and the side it takes at each (+1 active, -1 not)."""
    rows, signs = [], []
    node = trie.root
    while node >= 0:
        active = region > node
        rows.append(int(trie.row[node]))
        signs.append(1 if active else -1)
        node = int(trie.child[node, int(active)])
    return np.array(rows, dtype=np.int64), np.array(signs, dtype=np.int64)


def paths(trie: Trie) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All regions' paths at once: (start, rows, signs), region w owning start[w]:start[w + 1] of rows and signs."""
    regions = len(trie.row) + 1
    depth = np.zeros(regions, dtype=np.int64)
    ends: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    alive = np.arange(regions)
    node = np.full(regions, trie.root)
    while True:
        keep = node >= 0
        alive, node = alive[keep], node[keep]
        if not len(alive):
            break
        active = alive > node
        ends.append((alive, trie.row[node], np.where(active, 1, -1)))
        depth[alive] += 1
        node = trie.child[node, active.astype(np.int64)]
    start = np.concatenate([[0], np.cumsum(depth)])
    rows = np.empty(start[-1], dtype=np.int64)
    signs = np.empty(start[-1], dtype=np.int8)
    for level, (owner, row, sign) in enumerate(ends):
        rows[start[owner] + level] = row
        signs[start[owner] + level] = sign
    return start, rows, signs


def walk(
    trie: Trie, H: Float[np.ndarray, "rows n"], c: Float[np.ndarray, " rows"], X: Float[np.ndarray, "points n"]
) -> Int[np.ndarray, " points"]:
    """The region that each point reaches; on a boundary, one whose closure holds the point."""
    node = np.full(len(X), trie.root, dtype=np.int64)
    alive = np.flatnonzero(node >= 0)
    while len(alive):
        here = node[alive]
        row = trie.row[here]
        active = np.einsum("pn,pn->p", H[row], X[alive]) + c[row] > 0
        node[alive] = trie.child[here, active.astype(np.int64)]
        alive = alive[node[alive] >= 0]
    return -node - 1
