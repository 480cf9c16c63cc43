"""From a partition to the shallow network: the rows its trie keeps, and every region's affine map."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple
from typing import Any

import numpy as np
from jaxtyping import Int, UInt8

from relu_shallow.domain import Domain
from relu_shallow.modules import Module
from relu_shallow.network import Network, dense
from relu_shallow.regions.partition import LEVELS, Certificate, Effort, Partition
from relu_shallow.regions.weights import weights_of
from relu_shallow.shallow.table import Completeness, ShallowNetwork, Table
from relu_shallow.shallow.trie import cartesian_tree, cell_starts, first_differences


def shallow_network(partition: Partition) -> ShallowNetwork:
    """The shallow network of a partition, as one table."""
    completeness = Completeness(partition.complete, partition.level, partition.certificate, partition.effort)
    return ShallowNetwork(partition.network, partition.domain, (build_table(partition),), completeness)


def sum_of_modules(
    network: Network, domain: Domain, partitions: Sequence[Partition], modules: Sequence[Module]
) -> ShallowNetwork:
    """The shallow network of a network's modules: a table for each, of the partition that its addend makes.

    Complete where all partitions are, and at the lowest of their levels.
    """
    tables = tuple(build_table(partition, module) for partition, module in zip(partitions, modules, strict=True))
    completeness = Completeness(
        all(partition.complete for partition in partitions),
        min((partition.level for partition in partitions), key=LEVELS.index),
        Certificate(*_added(partition.certificate for partition in partitions)),
        Effort(*_added(partition.effort for partition in partitions)),
    )
    return ShallowNetwork(network, domain, tables, completeness)


def _added(records: Iterable[Certificate | Effort]) -> list[Any]:
    """The sums, field by field."""
    return [sum(numbers) for numbers in zip(*map(astuple, records), strict=True)]


def build_table(partition: Partition, module: Module | None = None) -> Table:
    """The table of a partition: rows by cell and neuron, each computed once in input coordinates."""
    network = partition.network
    split = first_differences(partition.bits)
    starts = cell_starts(split, network)
    key, row = np.unique(starts * max(network.neurons, 1) + split, return_inverse=True)
    cell, neuron = key // max(network.neurons, 1), key % max(network.neurons, 1)
    H, c, alpha, beta = region_maps(network, partition.bits, cell, neuron)
    trie = cartesian_tree(split, row.astype(np.int64))
    return Table(network, partition.bits, partition.witnesses, partition.radii, H, c, alpha, beta, trie,
                 partition.exact_witnesses, module)  # fmt: skip


def region_maps(
    network: Network,
    bits: UInt8[np.ndarray, "regions bytes"],
    cell: Int[np.ndarray, " rows"],
    neuron: Int[np.ndarray, " rows"],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """H, c of each neuron in the region numbered `cell` (ascending), and alpha, beta of each region, from the patterns.

    What it gives for a pattern does not depend on the others, to the last bit.
    """
    H, c = np.empty((len(cell), network.inputs)), np.empty(len(cell))
    alpha = np.empty((len(bits), network.outputs, network.inputs))
    beta = np.empty((len(bits), network.outputs))
    first, last = network.affine[0], network.affine[-1]
    if network.neurons == 0:
        alpha[:], beta[:] = dense(last.W), last.b
        return H, c, alpha, beta
    from relu_shallow.shallow.maps import affine_maps

    columns = np.ascontiguousarray(np.concatenate([dense(first.W), first.b[:, None]], axis=1).T)
    rows = np.ascontiguousarray(dense(last.W).T)
    affine_maps(columns, weights_of(network), rows, last.b, bits, cell, neuron, H, c, alpha, beta)
    return H, c, alpha, beta
