"""A network laid out layer by layer, with some of its outputs, as the compiled explanations read it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from relu_shallow.network import Network, dense, with_outputs


class Layers(NamedTuple):
    """A network with some of its outputs, as compiled code reads it; the output layer is stacked as the last one.

    Layer l has the values off[l]..off[l+1] - 1, of which `bias` and, but for the outputs, the slopes `lo` and `hi`
    tell; W_{l+1}^T lies in `WT` from woff[l+1] on, row by row. `W` (width, inputs) is the first layer's.
    """

    W: Float[np.ndarray, "width inputs"]
    WT: Float[np.ndarray, " numbers"]
    woff: Int[np.ndarray, " layers"]
    off: Int[np.ndarray, " layers_plus_1"]
    bias: Float[np.ndarray, " values"]
    lo: Float[np.ndarray, " neurons"]
    hi: Float[np.ndarray, " neurons"]


def layers_of(network: Network, outputs: list[int]) -> Layers:
    """The network's layers with these outputs, in this order."""
    chosen = with_outputs(network, outputs)
    matrices = [dense(layer.W) for layer in chosen.affine]
    biases = [layer.b for layer in chosen.affine]
    none = np.zeros(0)
    return Layers(
        np.ascontiguousarray(matrices[0]),
        np.concatenate([none, *(W.T.ravel() for W in matrices[1:])]),
        np.cumsum([0, 0, *(W.size for W in matrices[1:])])[: len(matrices)].astype(np.int64),
        np.cumsum([0, *map(len, biases)]).astype(np.int64),
        np.concatenate(biases),
        np.concatenate([none, *(gate.inactive for gate in network.gates)]),
        np.concatenate([none, *(gate.active for gate in network.gates)]),
    )
