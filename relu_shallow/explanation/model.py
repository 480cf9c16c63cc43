"""The local model: each row's region and the affine map alpha x + beta there, from a table or from a deep network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from relu_shallow.network import Network, activation_patterns, dense, preactivations
from relu_shallow.precision import local_rows_error
from relu_shallow.regions.partition import pack, unpack
from relu_shallow.shallow.stored import StoredNetwork, in_pieces
from relu_shallow.shallow.table import ShallowNetwork, regions_of

CHUNK = 1 << 22  # float64 numbers held at once: 32 MB


@dataclass(frozen=True, eq=False)
class LocalModel:
    """Region, activation pattern and affine map of each row; `alpha` and `beta` hold the chosen outputs only.

    Rows of one pattern share it: row i has the pattern `patterns[group[i]]`.
    """

    region: Int[np.ndarray, " rows"]
    group: Int[np.ndarray, " rows"]
    patterns: Bool[np.ndarray, "groups neurons"]
    alpha: Float[np.ndarray, "rows outputs inputs"]
    beta: Float[np.ndarray, "rows outputs"]


def local_model(
    source: ShallowNetwork | StoredNetwork | Network, X: Float[np.ndarray, "rows inputs"], outputs: list[int]
) -> LocalModel:
    """The local model of every row.

    Of a shallow network: the region its decision tree gives the row, alpha and beta from its table, or computed from
    the region's pattern where the list stays on the disk. Of a deep one:
    the row's own pattern; regions are then numbered as they are met, from the first row on. Raises DataError for a
    row outside the converted domain or outside a partial list.
    """
    if isinstance(source, Network):
        return _from_patterns(source, X, outputs)
    if isinstance(source, StoredNetwork):
        return _from_disk(source, X, outputs)
    found = regions_of(source, X)
    alpha = sum(table.alpha[:, outputs][region] for table, region in zip(source.tables, found, strict=True))
    beta = sum(table.beta[:, outputs][region] for table, region in zip(source.tables, found, strict=True))
    if len(found) == 1:
        listed, group = np.unique(found[0], return_inverse=True)
        patterns = unpack(source.tables[0].bits[listed], source.network.neurons)
        return LocalModel(found[0], group, patterns, np.asarray(alpha), np.asarray(beta))
    region = _in_order_met(np.column_stack(found).astype(np.int64))[1]
    first, group = _in_order_met(activation_patterns(source.network, X))
    return LocalModel(region, group, activation_patterns(source.network, X[first]), np.asarray(alpha), np.asarray(beta))


def boundary_distance(
    network: Network, model: LocalModel, X: Float[np.ndarray, "rows inputs"]
) -> Float[np.ndarray, " rows"]:
    """The Euclidean distance from each row to the nearest boundary of its region, infinity where there is none.

    The region is the polyhedron of all N rows of its pattern, and x lies in it; so the nearest facet is the least
    |z_j| / |grad z_j|. Faces of the domain do not count, nor rows that are zero within their rounding error.
    """
    z = np.concatenate([np.zeros((len(X), 0)), *preactivations(network, X)[:-1]], axis=1)
    flat = np.linalg.norm(local_rows_error(network)[0], axis=1)
    cut = np.concatenate([np.zeros(0, bool), *(gate.active != gate.inactive for gate in network.gates)])
    distance = np.full(len(X), np.inf)
    order = np.argsort(model.group, kind="stable")
    starts = np.searchsorted(model.group[order], np.arange(len(model.patterns) + 1))
    step = max(1, CHUNK // (network.inputs * max(network.widths, default=1)))
    for begin in range(0, len(model.patterns), step):
        end = min(begin + step, len(model.patterns))
        norms = _gradient_norms(network, model.patterns[begin:end])
        norms[:, ~cut] = 0.0
        rows = order[starts[begin] : starts[end]]
        steep = norms[model.group[rows] - begin]
        away = np.full(steep.shape, np.inf)
        np.divide(np.abs(z[rows]), steep, out=away, where=steep > flat)
        distance[rows] = away.min(axis=1, initial=np.inf)
    return distance


def _from_disk(source: StoredNetwork, X: Float[np.ndarray, "rows inputs"], outputs: list[int]) -> LocalModel:
    network = source.network
    region = source.region_of(X)
    listed, group = np.unique(region, return_inverse=True)
    alpha = np.empty((len(listed), len(outputs), network.inputs))
    beta = np.empty((len(listed), len(outputs)))
    for part in in_pieces(len(listed), network.outputs * network.inputs):
        slopes, constants = source.maps_of(listed[part])
        alpha[part], beta[part] = slopes[:, outputs], constants[:, outputs]
    patterns = unpack(source.bits_of(listed), network.neurons)
    return LocalModel(region, group, patterns, alpha[group], beta[group])


def _from_patterns(network: Network, X: Float[np.ndarray, "rows inputs"], outputs: list[int]) -> LocalModel:
    own = activation_patterns(network, X)
    first, group = _in_order_met(pack(own))
    patterns = own[first]
    alpha = np.empty((len(first), len(outputs), network.inputs))
    beta = np.empty((len(first), len(outputs)))
    step = max(1, CHUNK // (len(outputs) * max(network.inputs, *network.widths, 1)))
    for begin in range(0, len(first), step):
        part = slice(begin, begin + step)
        alpha[part], beta[part] = _affine_maps(network, patterns[part], outputs)
    return LocalModel(group, group, patterns, alpha[group], beta[group])


def _in_order_met(keys: np.ndarray) -> tuple[Int[np.ndarray, " groups"], Int[np.ndarray, " rows"]]:
    """The first row of each distinct key, in order of appearance, and each row's number in that order."""
    keys = np.ascontiguousarray(keys)
    if not keys.shape[1]:
        return np.zeros(min(len(keys), 1), dtype=np.int64), np.zeros(len(keys), dtype=np.int64)
    flat = keys.view(f"V{keys.shape[1] * keys.itemsize}").ravel()
    _, first, number = np.unique(flat, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return first[order].astype(np.int64), rank[number]


def _slopes(network: Network, patterns: Bool[np.ndarray, "groups neurons"]) -> list[Float[np.ndarray, "groups width"]]:
    """The slope of every gate under each pattern, one array a layer."""
    stops = np.cumsum(network.widths)
    return [
        np.where(patterns[:, stop - len(gate.active) : stop], gate.active, gate.inactive)
        for gate, stop in zip(network.gates, stops, strict=True)
    ]


def _affine_maps(
    network: Network, patterns: Bool[np.ndarray, "groups neurons"], outputs: list[int]
) -> tuple[Float[np.ndarray, "groups outputs inputs"], Float[np.ndarray, "groups outputs"]]:
    """(alpha, beta) of many patterns at once, from the last layer back."""
    last = network.affine[-1]
    delta = np.broadcast_to(dense(last.W)[outputs], (len(patterns), len(outputs), last.W.shape[1]))
    beta = np.broadcast_to(last.b[outputs], (len(patterns), len(outputs))).copy()
    for layer, slope in zip(network.affine[-2::-1], _slopes(network, patterns)[::-1], strict=True):
        delta = delta * slope[:, None, :]
        beta += delta @ layer.b
        flat = delta.reshape(-1, delta.shape[2]) @ layer.W
        delta = flat.reshape(len(patterns), len(outputs), layer.W.shape[1])
    return np.array(delta), beta


def _gradient_norms(
    network: Network, patterns: Bool[np.ndarray, "groups neurons"]
) -> Float[np.ndarray, "groups neurons"]:
    """|grad z_j| of every neuron under each pattern."""
    if not network.gates:
        return np.zeros((len(patterns), 0))
    W = dense(network.affine[0].W)
    norms = [np.broadcast_to(np.linalg.norm(W, axis=1), (len(patterns), len(W)))]
    G = np.broadcast_to(W, (len(patterns), *W.shape))
    for layer, slope in zip(network.affine[1:-1], _slopes(network, patterns)[:-1], strict=True):
        G = np.matmul(dense(layer.W), slope[:, :, None] * G)
        norms.append(np.linalg.norm(G, axis=2))
    return np.concatenate(norms, axis=1)
