"""Every layer's rows under many patterns at once, with a bound on their rounding."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from relu_shallow.network import Network
from relu_shallow.precision import map_roundings

CHUNK = 1 << 21  # numbers in one array of rows


@dataclass(frozen=True, eq=False)
class Maps:
    """Rows (G, g) of all neurons and (alpha, beta), for some patterns; the constant is the last column.

    `row_error` and `output_error` bound |computed - exact| entry by entry.
    """

    rows: Float[np.ndarray, "neurons patterns columns"]
    row_error: Float[np.ndarray, "neurons patterns columns"]
    output: Float[np.ndarray, "outputs patterns columns"]
    output_error: Float[np.ndarray, "outputs patterns columns"]


def maps_of(network: Network, patterns: Bool[np.ndarray, "patterns neurons"]) -> Maps:
    """The local maps of the given patterns (section 2 of the mathematics), as one product per layer."""
    columns = network.inputs + 1
    value = np.zeros((network.inputs, len(patterns), columns))
    value[np.arange(network.inputs), :, np.arange(network.inputs)] = 1.0
    size, start = value, 0
    rows, errors = [np.zeros((0, len(patterns), columns))], [np.zeros((0, len(patterns), columns))]
    for layer, roundings in zip(network.affine, map_roundings(network), strict=True):
        value = (layer.W @ value.reshape(len(value), -1)).reshape(-1, len(patterns), columns)
        size = (abs(layer.W) @ size.reshape(len(size), -1)).reshape(-1, len(patterns), columns)
        value[:, :, -1] += layer.b[:, None]
        size[:, :, -1] += np.abs(layer.b)[:, None]
        rows.append(value)
        errors.append(roundings * size)
        if len(rows) <= len(network.gates) + 1:
            gate, stop = network.gates[len(rows) - 2], start + len(layer.b)
            slope = np.where(patterns[:, start:stop], gate.active, gate.inactive).T[:, :, None]
            value, size, start = value * slope, size * np.abs(slope), stop
    return Maps(np.concatenate(rows[:-1]), np.concatenate(errors[:-1]), rows[-1], errors[-1])


def chunks(network: Network, regions: Int[np.ndarray, " regions"]) -> Iterator[Int[np.ndarray, " chunk"]]:
    """The given regions in pieces whose maps fit comfortably in memory."""
    size = max(1, CHUNK // ((network.neurons + network.outputs) * (network.inputs + 1)))
    for start in range(0, len(regions), size):
        yield regions[start : start + size]
