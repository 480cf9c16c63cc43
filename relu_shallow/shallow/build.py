"""From a partition to the shallow network: the rows its trie keeps, and every region's affine map."""

from __future__ import annotations

import numpy as np

from relu_shallow.network import Network, local_maps
from relu_shallow.regions.partition import Partition
from relu_shallow.shallow.table import Completeness, ShallowNetwork, Table
from relu_shallow.shallow.trie import cartesian_tree, cell_starts, first_differences


def shallow_network(partition: Partition) -> ShallowNetwork:
    """The shallow network of a partition, as one table."""
    table = build_table(partition)
    completeness = Completeness(partition.complete, partition.level, partition.effort)
    return ShallowNetwork(partition.network, partition.domain, (table,), completeness)


def build_table(partition: Partition) -> Table:
    """The table of a partition: rows by cell and neuron, each computed once in input coordinates."""
    network = partition.network
    split = first_differences(partition.bits)
    starts = cell_starts(split, network)
    key, row = np.unique(starts * max(network.neurons, 1) + split, return_inverse=True)
    cell, neuron = key // max(network.neurons, 1), key % max(network.neurons, 1)
    H, c, alpha, beta = _maps(network, partition.patterns, cell, neuron)
    trie = cartesian_tree(split, row.astype(np.int64))
    return Table(network, partition.bits, partition.witnesses, partition.radii, H, c, alpha, beta, trie)


def _maps(network: Network, patterns, cell, neuron):
    H = np.empty((len(cell), network.inputs))
    c = np.empty(len(cell))
    alpha = np.empty((len(patterns), network.outputs, network.inputs))
    beta = np.empty((len(patterns), network.outputs))
    position = 0
    for region, pattern in enumerate(patterns):
        maps = local_maps(network, pattern)
        alpha[region], beta[region] = maps[-1]
        G = np.concatenate([m[0] for m in maps])
        g = np.concatenate([m[1] for m in maps])
        while position < len(cell) and cell[position] == region:
            H[position], c[position] = G[neuron[position]], g[neuron[position]]
            position += 1
    return H, c, alpha, beta
