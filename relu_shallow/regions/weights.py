"""The hidden layers end to end, as compiled code reads them: dense matrices in full, sparse ones column by column."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from relu_shallow.network import Affine, Gate, Matrix, Network, dense

SPARSE = 8  # a CSR layer with fewer than one weight in so many is read column by column (measured)


class Weights(NamedTuple):
    """Layers 2..L, and biases and slopes of all neurons, which are numbered from 0 over all layers.

    Layer l (from 0) has the neurons off[l]..off[l+1] - 1. A dense W_l^T lies in WT from woff[l] on, row by row. Where
    woff[l] is -1 the layer is sparse, and the weights that leave neuron k of the layer below are
    weight[first[k]..first[k+1] - 1], to the neurons `target` of the layer, counted from 0 in it.

    `twin[q]` is p + 1 where neuron q has the weights and bias of neuron p before it in its layer, which switches, and
    -(p + 1) where it has those times -1; else 0. Their pre-activations are then the same function, or opposite ones.
    """

    WT: Float[np.ndarray, " numbers"]
    woff: Int[np.ndarray, " layers"]
    bias: Float[np.ndarray, " neurons"]
    off: Int[np.ndarray, " layers_plus_1"]
    lo: Float[np.ndarray, " neurons"]
    hi: Float[np.ndarray, " neurons"]
    first: Int[np.ndarray, " neurons_plus_1"]
    target: Int[np.ndarray, " entries"]
    weight: Float[np.ndarray, " entries"]
    twin: Int[np.ndarray, " neurons"]


def weights_of(network: Network) -> Weights:
    """The hidden layers of a network, which has at least one."""
    off = np.concatenate([[0], np.cumsum(network.widths)]).astype(np.int64)
    woff, blocks, size = np.zeros(len(network.gates), np.int64), [np.zeros(0)], 0
    counts = np.zeros(network.neurons, np.int64)
    targets, weights = [np.zeros(0, np.int64)], [np.zeros(0)]
    for layer, affine in enumerate(network.affine[1:-1], 1):
        if is_sparse(affine.W):
            columns = canonical(affine.W).tocsc()
            woff[layer] = -1
            counts[off[layer - 1] : off[layer]] = np.diff(columns.indptr)
            targets.append(columns.indices.astype(np.int64))
            weights.append(columns.data)
        else:
            woff[layer] = size
            blocks.append(dense(affine.W).T.ravel())
            size += blocks[-1].size
    return Weights(
        np.concatenate(blocks),
        woff,
        np.concatenate([layer.b for layer in network.affine[:-1]]),
        off,
        np.concatenate([gate.inactive for gate in network.gates]),
        np.concatenate([gate.active for gate in network.gates]),
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        np.concatenate(targets),
        np.concatenate(weights),
        np.concatenate([_twins(*layer) for layer in zip(network.affine[:-1], network.gates, off[:-1], strict=True)]),
    )


def _twins(affine: Affine, gate: Gate, start: np.int64) -> Int[np.ndarray, " neurons"]:
    """Which neurons of a layer repeat one before them, or its negative; numbers from `start` on, as in `Weights`."""
    twin = np.zeros(len(affine.b), np.int64)
    known: dict[bytes, int] = {}
    sparse = None if isinstance(affine.W, np.ndarray) else canonical(affine.W)
    for q, bias in enumerate(affine.b):
        if sparse is None:
            places, weights = np.zeros(0, np.int64), affine.W[q]
        else:
            here = slice(sparse.indptr[q], sparse.indptr[q + 1])
            places, weights = sparse.indices[here], sparse.data[here]
        if gate.active[q] == gate.inactive[q] or not weights.any():
            continue
        row = np.append(weights, bias)
        plus, minus = (places.tobytes() + (sign * row + 0.0).tobytes() for sign in (1.0, -1.0))  # -0.0 is 0.0
        if plus in known:
            twin[q] = known[plus]
        elif minus in known:
            twin[q] = -known[minus]
        else:
            known[plus] = int(start) + q + 1
    return twin


def is_sparse(W: Matrix) -> bool:
    """Whether a layer's matrix is kept by its columns, since it is CSR and nearly empty."""
    return not isinstance(W, np.ndarray) and W.nnz * SPARSE < W.shape[0] * W.shape[1]


def canonical(W: Matrix) -> Matrix:
    """A CSR matrix with every weight stored once, in order, and no zero stored."""
    whole = W.copy()
    whole.sum_duplicates()
    whole.eliminate_zeros()
    return whole


def numbers_held(network: Network) -> int:
    """How many weights a search holds: the first and the last layer written out, and the hidden ones as above."""
    sizes = [layer.W.shape[0] * layer.W.shape[1] for layer in network.affine]
    hidden = [layer.W.nnz if is_sparse(layer.W) else size for layer, size in zip(network.affine, sizes, strict=True)]
    return sizes[0] + sum(hidden[1:-1]) + (sizes[-1] if len(sizes) > 1 else 0)
