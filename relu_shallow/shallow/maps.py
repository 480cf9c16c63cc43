"""The affine maps of a sorted list of patterns, in input coordinates: compiled, layers recomputed on change."""

import numpy as np

from relu_shallow.lp.jit import njit
from relu_shallow.lp.kernel import JIT
from relu_shallow.regions.maps import update_maps


@njit(**JIT)
def affine_maps(first, net, last, last_bias, bits, cell, neuron, H, c, alpha, beta):
    """Fills H, c at (cell, neuron), sorted by cell, and alpha, beta of every region of `bits`, sorted.

    `first` is (n + 1, width) = [W_1 b_1]^T; `net` the network's `Weights` (regions/weights.py); `last` is W_{L+1}^T.
    """
    _, _, _, off, lo, hi, _, _, _, _ = net
    regions = len(bits)
    layers = len(off) - 1
    neurons = off[layers]
    n = first.shape[0] - 1
    outputs = last.shape[1]
    Z = np.zeros((n + 1, neurons))
    for j in range(off[1]):
        for i in range(n + 1):
            Z[i, j] = first[i, j]
    flags = np.zeros(neurons, np.uint8)
    out = np.zeros((n + 1, outputs))
    position = 0
    for region in range(regions):
        update_maps(Z, flags, net, bits[region], region == 0)
        for j in range(outputs):
            for i in range(n):
                out[i, j] = 0.0
            out[n, j] = last_bias[j]
        for k in range(off[layers - 1], neurons):
            slope = hi[k] if flags[k] else lo[k]
            if slope != 0.0:
                for i in range(n + 1):
                    z = slope * Z[i, k]
                    for j in range(outputs):
                        out[i, j] += z * last[k - off[layers - 1], j]
        for j in range(outputs):
            for i in range(n):
                alpha[region, j, i] = out[i, j]
            beta[region, j] = out[n, j]
        while position < len(cell) and cell[position] == region:
            for i in range(n):
                H[position, i] = Z[i, neuron[position]]
            c[position] = Z[n, neuron[position]]
            position += 1
