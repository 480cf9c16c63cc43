"""The compiled recursion over sub-cubes: exact Shapley values of a row against its background, pair by pair.

Letters are those of shares.py and cube.py. A game is reduced; what is affine is summed in closed form; each group of
neurons that feed one another is summed by halves where it is a single one, else enumerated where that is cheap, else
split by a feature, and both halves are games again.
"""

import numpy as np
from numba import njit

from relu_shallow.explanation.cube import costs, differing, feature_to_split, half, parts, piece, reduce, whole_cube
from relu_shallow.explanation.shares import HALVES, add_affine, add_enumerated, add_neuron
from relu_shallow.lp.kernel import JIT, LEAN

SPLIT_PAYS = 8.0  # enumerate unless it costs more than this many times the bounds of a split (measured)


@njit(**JIT)
def solve(A, c, M, V, low, high, F, slopes, constant, path, p, q, beta, phi, work):
    """Adds the contributions of a game that is not yet reduced; `slopes`, `constant` are its affine part, used up."""
    (K, n), m = V.shape, F.size
    coefficient, rows_low, rows_high = np.empty(n), np.empty((n, m)), np.empty((n, m))
    alive, part = np.empty(n, np.bool_), np.empty(n, np.int64)
    reduce(A, c, M, V, low, high, alive, slopes, constant, coefficient, rows_low, rows_high)
    add_affine(constant, slopes, F, path, p, q, beta, phi)
    for number in range(parts(n, M, alive, part)):
        if spent(16.0, work):
            return 0
        a, b, w, v, least, most, below, above, f = piece(number, part, A, c, M, V, low, high, rows_low, rows_high, F)
        if b.size == 1 and f.size >= HALVES:
            if not spent(f.size * 2.0 ** (0.5 * f.size + 2), work):
                add_neuron(a, b, v, f, path, p, q, beta, phi)
            continue
        listing, bounding = costs(w, K, f.size)
        if listing <= SPLIT_PAYS * bounding:
            if not spent(listing, work):
                add_enumerated(a, b, w, v, f, path, p, q, beta, phi)
            continue
        if spent(bounding, work):
            return 0
        i = feature_to_split(least, most, below, above)
        for side in range(2):
            x0, x1, x2, x3, x4, x5, x6 = half(side, i, a, b, w, v, least, most, f)
            if side:
                path[p] = f[i]
            else:
                path[path.size - q - 1] = f[i]
            solve(x0, x1, x2, x3, x4, x5, x6, np.zeros((K, x6.size)), np.zeros(K), path, p + side, q + 1 - side,
                  beta, phi, work)  # fmt: skip
    return 0


@njit(**LEAN)
def spent(units, work):
    """Counts these units of work; whether the work is to be left, as they are too many or for another reason."""
    work[0] += units
    if work[0] > work[1]:
        work[2] = 1.0
    return work[2] != 0.0


@njit(**JIT)
def add_row(x, Y, weights, starts, layers, beta, phi, work):
    """Adds a row's values over the weighted background rows Y to phi (K, inputs), pair by pair.

    Stops where work[2] is set, at once where the work allowed would not do; `phi` is then of no use.
    """
    inputs, neurons, K = x.size, layers.lo.size, phi.shape[0]
    own, path, features = np.empty((K, inputs)), np.empty(inputs, np.int64), np.empty(inputs, np.int64)
    for number in range(weights.size):
        if spent(2.0 * neurons * neurons * (inputs + neurons) + layers.bias.size * (inputs + 1.0), work):
            return
        F = features[: differing(x, Y[number], features)]
        A, c, M, V, low, high, slopes, constant, _ = whole_cube(x, Y[number], starts[number], layers, F)
        for o in range(K):
            for i in range(inputs):
                own[o, i] = 0.0
        solve(A, c, M, V, low, high, F, slopes, constant, path[: F.size], 0, 0, beta, own, work)
        for o in range(K):
            for i in range(inputs):
                phi[o, i] += weights[number] * own[o, i]
