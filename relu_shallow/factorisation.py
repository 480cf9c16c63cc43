"""A network on a box as a sum of smaller ones, exactly: its unstable neurons fall into groups that do not meet.

A neuron whose sign is proved on the box is linear there; both slopes of its gate become the one that counts, and no
weight is multiplied, so nothing is rounded. Of two unstable neurons one depends on the other where a path leads there
through linear neurons only; the components of that relation make the parts. A linear neuron that depends on one
component belongs to it. One that depends on several leads to no unstable neuron (these would be one component), and
being linear is shared out: each part has the share that comes from its own neurons. What depends on no unstable neuron
is an affine part of its own, and a copy of it feeds every part that reads it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Int

from relu_shallow.network import Affine, Gate, Network, dense
from relu_shallow.relaxation import Bounds, open_neurons, preactivation_bounds


@dataclass(frozen=True, eq=False)
class Factor:
    """A part: a network of the same inputs and outputs, and the unstable neurons it has, by the whole's numbers."""

    network: Network
    unstable: Int[np.ndarray, " own"]


def factorise(
    network: Network, lo: Float[np.ndarray, " inputs"], hi: Float[np.ndarray, " inputs"], bounds: Bounds | None = None
) -> tuple[Factor, ...]:
    """Parts that sum to the network on the box, before any head: an affine one, then one for each component.

    `bounds` are certified ones of the box, by default those of relaxations. The components come in the order of their
    first neurons. Raises DomainError where the box is not finite, ModelError where float64 could overflow on it.
    """
    bounds = preactivation_bounds(network, np.asarray(lo, float), np.asarray(hi, float)) if bounds is None else bounds
    unstable = np.zeros(network.neurons, dtype=bool)
    unstable[open_neurons(network, bounds)] = True
    straight = _straightened(network, bounds, unstable)
    takes = [dense(layer.W) != 0 for layer in network.affine]
    label = _components(network, takes, unstable)
    owners = _dependence(network, takes, unstable, label)
    parts = [_part(straight, takes, unstable & False, owners, -1)]
    parts += [_part(straight, takes, label == k, owners, k) for k in range(label.max(initial=-1) + 1)]
    return tuple(parts)


def _straightened(network: Network, bounds: Bounds, unstable: Bool[np.ndarray, " neurons"]) -> Network:
    """The network with one slope for every stable neuron."""
    gates, start = [], 0
    for gate, upper in zip(network.gates, bounds.upper, strict=False):
        open_ = unstable[start : start + len(upper)]
        slope = np.where(upper > 0, gate.active, gate.inactive)
        gates.append(Gate(np.where(open_, gate.inactive, slope), np.where(open_, gate.active, slope)))
        start += len(upper)
    return replace(network, gates=tuple(gates), head="identity", brackets=np.zeros((0, 3), np.int64))


def _slices(network: Network) -> list[slice]:
    """Where the neurons of each layer stand."""
    ends = np.cumsum([0, *network.widths])
    return [slice(int(a), int(b)) for a, b in pairwise(ends)]


def _components(
    network: Network, takes: list[np.ndarray], unstable: Bool[np.ndarray, " neurons"]
) -> Int[np.ndarray, " neurons"]:
    """The component of each unstable neuron, by the order of their first ones; -1 for the others."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    own = np.flatnonzero(unstable)
    number = np.full(network.neurons, -1)
    number[own] = np.arange(len(own))
    edges, before = np.zeros((len(own), len(own)), dtype=bool), np.zeros((network.inputs, len(own)), dtype=bool)
    for part, W in zip(_slices(network), takes, strict=False):
        reached = (W.astype(np.float32) @ before.astype(np.float32)) > 0  # of which unstable ones, through linear ones
        here = np.flatnonzero(unstable[part])
        edges[number[part][here]] = reached[here]
        before = reached
        before[here] = False
        before[here, number[part][here]] = True
    label = np.full(network.neurons, -1)
    if len(own):
        _, found = connected_components(csr_array(edges), directed=False)
        first = np.unique(found, return_index=True)[1]
        label[own] = np.argsort(np.argsort(first))[found]
    return label


def _dependence(
    network: Network, takes: list[np.ndarray], unstable: Bool[np.ndarray, " neurons"],
    label: Int[np.ndarray, " neurons"],
) -> Bool[np.ndarray, "neurons components"]:  # fmt: skip
    """On which components each neuron depends; an unstable one on its own."""
    count = label.max(initial=-1) + 1
    found, before = np.zeros((network.neurons, count), dtype=bool), np.zeros((network.inputs, count), dtype=bool)
    for part, W in zip(_slices(network), takes, strict=False):
        before = (W.astype(np.float32) @ before.astype(np.float32)) > 0
        here = np.flatnonzero(unstable[part])
        before[here] = np.arange(count) == label[part][here, None]
        found[part] = before
    return found


def _part(
    network: Network, takes: list[np.ndarray], unstable: Bool[np.ndarray, " neurons"],
    owners: Bool[np.ndarray, "neurons components"], k: int,
) -> Factor:  # fmt: skip
    """The part of component k, or the affine part for k = -1."""
    affine = ~owners.any(axis=1)
    shared = owners.sum(axis=1) > 1
    own = (affine if k < 0 else owners[:, k] & ~shared) | (shared & (owners[:, k] if k >= 0 else True))
    feeds = own if k < 0 else own | (affine & _feeding(network, takes, own & ~shared))
    layers, gates, columns, sums = [], [], np.arange(network.inputs), np.ones(network.inputs, dtype=bool)
    for part, layer, gate in zip(_slices(network), network.affine, network.gates, strict=False):
        rows = np.flatnonzero(feeds[part])
        W, b = dense(layer.W)[rows][:, columns], layer.b[rows]
        if k >= 0:  # shares leave what is affine to the affine part
            W = np.where(shared[part][rows, None] & ~sums, 0.0, W)
            b = np.where(shared[part][rows], 0.0, b)
        layers.append(Affine(*_or_nothing(W, b)))
        gates.append(Gate(*(side[rows] if len(rows) else np.zeros(1) for side in (gate.inactive, gate.active))))
        columns, sums = (rows, own[part][rows]) if len(rows) else (np.zeros(1, np.int64), np.zeros(1, dtype=bool))
    last = network.affine[-1]
    W = np.where(sums, dense(last.W)[:, columns], 0.0)
    layers.append(Affine(W, last.b if k < 0 else np.zeros_like(last.b)))
    return Factor(replace(network, affine=tuple(layers), gates=tuple(gates)), np.flatnonzero(unstable))


def _feeding(
    network: Network, takes: list[np.ndarray], own: Bool[np.ndarray, " neurons"]
) -> Bool[np.ndarray, " neurons"]:
    """The neurons from which a path leads to one of a part's own."""
    found = own.copy()
    parts = _slices(network)
    for below, above, W in zip(reversed(parts[:-1]), reversed(parts[1:]), reversed(takes[1:-1]), strict=True):
        found[below] |= W[found[above]].any(axis=0)
    return found


def _or_nothing(W: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The layer, or one neuron that is always zero in place of none."""
    return (W, b) if len(b) else (np.zeros((1, W.shape[1])), np.zeros(1))
