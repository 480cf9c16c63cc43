"""Modules: parts of the hidden neurons that no weight joins, so that the network is the sum of what each part computes.

With any first and last layer, `f = b + sum_j W_{L+1}[:, j] h_j(x)` where h_j depends on the neurons of module j only.
Neurons that never bend (constants, and linear neurons fed by such and by the inputs) join nothing: a copy of them goes
to every module that reads them, and what they add to the output themselves goes to one, the module with the `rest`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Int

from relu_shallow.network import Affine, Gate, Matrix, Network, switching


@dataclass(frozen=True, eq=False)
class Module:
    """Hidden neurons that take nothing from others, by their numbers in the network, ascending.

    The module with the `rest` has all neurons that never bend, and adds their part of the output and its constant.
    """

    neurons: Int[np.ndarray, " own"]
    rest: bool


def modules_of(network: Network) -> tuple[Module, ...]:
    """The modules of a network, ordered by their first neurons; one of all neurons where it does not fall apart.

    They are the connected components of the graph on the hidden neurons that bend, joined by non-zero weights. Neurons
    whose values reach no output make modules too: they part the input space into regions like any others.
    """
    from scipy.sparse.csgraph import connected_components

    whole = (Module(np.arange(network.neurons), rest=True),)
    straight = never_bending(network)
    edges = _edges(network)
    bending = np.flatnonzero(~straight)
    if not len(bending):
        return whole
    _, label = connected_components(edges[bending][:, bending], directed=False)
    if not label.any():
        return whole
    first = np.unique(label, return_index=True)[1]
    groups = [bending[label == label[place]] for place in np.sort(first)]
    reaching = network.neurons - network.widths[-1] + np.flatnonzero(_columns(network.affine[-1].W))
    rest = next((k for k, group in enumerate(groups) if np.isin(group, reaching).any()), None)
    if rest is None:
        return whole
    return tuple(
        Module(np.union1d(group, np.flatnonzero(straight) if k == rest else _fed_by(edges, group, straight)), k == rest)
        for k, group in enumerate(groups)
    )


def never_bending(network: Network) -> Bool[np.ndarray, " neurons"]:
    """Which neurons are affine functions of the inputs for their weights alone, whatever the inputs' range.

    Those that take nothing, and those with two equal slopes that take from such neurons and from the inputs only.
    """
    linear = ~switching(network)
    straight, start = np.zeros(network.neurons, dtype=bool), 0
    before = np.ones(network.inputs, dtype=bool)  # neurons of the layer before: affine; their values: constant?
    constant = np.zeros(network.inputs, dtype=bool)
    for layer, width in zip(network.affine[:-1], network.widths, strict=True):
        varying = _takes_from(layer.W, ~constant)
        now = ~varying | (linear[start : start + width] & ~_takes_from(layer.W, ~before))
        straight[start : start + width] = now
        before, constant, start = now, ~varying, start + width
    return straight


def addend(network: Network, module: Module) -> Network:
    """What a module adds to the outputs, as a network of its own; the sum over all modules is the whole network.

    Its layers end with the last one in which it has a neuron that takes part.
    """
    if len(module.neurons) == network.neurons and module.rest:
        return network
    own = _by_layer(network, module.neurons)
    depth = max(level + 1 for level, numbers in enumerate(own) if len(numbers))
    affine, gates = [], []
    columns: np.ndarray | slice = slice(None)
    for layer, gate, numbers in zip(network.affine[:depth], network.gates[:depth], own, strict=False):
        affine.append(Affine(layer.W[numbers][:, columns], layer.b[numbers]))
        gates.append(Gate(gate.inactive[numbers], gate.active[numbers]))
        columns = numbers
    last = network.affine[-1]
    W = last.W[:, columns] if depth == len(network.gates) else np.zeros((network.outputs, len(own[depth - 1])))
    b = last.b if module.rest else np.zeros(network.outputs)
    return replace(network, affine=(*affine, Affine(W, b)), gates=tuple(gates), head="identity",
                   brackets=_own_brackets(network, module.neurons))  # fmt: skip


def _own_brackets(network: Network, neurons: Int[np.ndarray, " own"]) -> Int[np.ndarray, "entries 3"]:
    """The brackets between neurons of a module, which are joined by weights and so never cut, in its own numbers."""
    inside = np.isin(network.brackets[:, 0], neurons) & np.isin(network.brackets[:, 1], neurons)
    gate, later, state = network.brackets[inside].T
    return np.stack([np.searchsorted(neurons, gate), np.searchsorted(neurons, later), state], axis=1)


def _by_layer(network: Network, neurons: Int[np.ndarray, " own"]) -> list[Int[np.ndarray, " numbers"]]:
    """A module's neurons in each layer, numbered within the layer."""
    ends = np.cumsum(network.widths)
    return [
        neurons[(neurons >= end - width) & (neurons < end)] - (end - width)
        for end, width in zip(ends.tolist(), network.widths, strict=True)
    ]


def _edges(network: Network) -> Matrix:
    """Which neuron (row) takes from which (column), over all hidden layers, as a sparse matrix of ones."""
    from scipy.sparse import coo_array

    rows, columns, start = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], 0
    for layer, width in zip(network.affine[1:-1], network.widths, strict=False):
        to, taken = layer.W.nonzero()
        rows.append(to + start + width)
        columns.append(taken + start)
        start += width
    row, column = np.concatenate(rows), np.concatenate(columns)
    return coo_array((np.ones(len(row), np.int8), (row, column)), shape=(network.neurons,) * 2).tocsr()


def _fed_by(
    edges: Matrix, group: Int[np.ndarray, " own"], straight: Bool[np.ndarray, " neurons"]
) -> Int[np.ndarray, " numbers"]:
    """The neurons that never bend from which a module takes, directly or through others of them."""
    found = np.zeros(len(straight), dtype=bool)
    todo = group
    while len(todo):
        taken = np.unique(edges[todo].indices)
        todo = taken[straight[taken] & ~found[taken]]
        found[todo] = True
    return np.flatnonzero(found)


def _columns(W: Matrix) -> Bool[np.ndarray, " columns"]:
    """Which columns hold a non-zero entry."""
    used = np.zeros(W.shape[1], dtype=bool)
    used[W.nonzero()[1]] = True
    return used


def _takes_from(W: Matrix, columns: Bool[np.ndarray, " columns"]) -> Bool[np.ndarray, " rows"]:
    """Which rows hold a non-zero entry in one of these columns."""
    row, column = W.nonzero()
    taking = np.zeros(W.shape[0], dtype=bool)
    taking[row[columns[column]]] = True
    return taking
