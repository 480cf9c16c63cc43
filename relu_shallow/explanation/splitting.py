"""The compiled splitting: exact Shapley values of a row against its background, pair by pair.

Letters are those of shares.py and cube.py. A game is reduced; what is affine is summed in closed form; each group of
neurons that feed one another is summed by halves where it is a single one, else enumerated where that is cheap, else
split by a feature, and both halves are games again.
"""

import numpy as np

from relu_shallow.explanation.cube import (
    costs,
    differing,
    feature_to_split,
    half,
    parts,
    piece,
    reduce,
    tight_pays,
    whole_cube,
)
from relu_shallow.explanation.shares import HALVES, MOST_HALVED, add_affine, add_enumerated, add_neuron
from relu_shallow.lp.jit import njit
from relu_shallow.lp.kernel import JIT, LEAN, ONCE

SPLIT_PAYS = 6.0  # enumerate unless it costs more than this many times the bounds of a split ..
LISTED = 1e6  # .. and so many units, since what is small settles little when it is split (both measured)


@njit(**LEAN)
def spent(units, work):
    """Counts these units of work; whether the work is to be left, as they are too many or for another reason."""
    work[0] += units
    if work[0] > work[1]:
        work[2] = 1.0
    return work[2] != 0.0


@njit(**ONCE)
def add_pair(x, y, start, layers, beta, features, phi, work):
    """Adds a pair's values to phi (K, inputs); where work[2] is set, only some of what makes them up.

    A game waits on a stack with the features that are in and out on the way to it (Numba cannot keep a function that
    calls itself in its cache).
    """
    F, K = features[: differing(x, y, features)], phi.shape[0]
    tight = tight_pays(layers, K, F.size)
    A, c, M, V, low, high, slopes, constant, _ = whole_cube(x, y, start, layers, tight, F)
    stack = [(A, c, M, V, low, high, F, slopes, constant, np.empty(F.size, np.int64), 0, 0)]
    while len(stack) > 0 and not spent(16.0, work):
        A, c, M, V, low, high, F, slopes, constant, path, p, q = stack.pop()
        n, m = V.shape[1], F.size
        coefficient, rows_low, rows_high = np.empty(n), np.empty((n, m)), np.empty((n, m))
        alive, part = np.empty(n, np.bool_), np.empty(n, np.int64)
        reduce(A, c, M, V, low, high, alive, tight, slopes, constant, coefficient, rows_low, rows_high)
        add_affine(constant, slopes, F, path, p, q, beta, phi)
        for number in range(parts(n, M, alive, part)):
            a, b, w, v, least, most, below, above, f = piece(
                number, part, A, c, M, V, low, high, rows_low, rows_high, F
            )
            listing, bounding = costs(w, K, f.size)
            if b.size == 1 and HALVES <= f.size <= MOST_HALVED:
                if not spent(f.size * 2.0 ** (0.5 * f.size + 2), work):
                    add_neuron(a, b, v, f, path, p, q, beta, phi)
            elif listing <= SPLIT_PAYS * bounding + LISTED:
                if not spent(listing, work):
                    add_enumerated(a, b, w, v, f, path, p, q, beta, phi)
            elif not spent(bounding, work):
                i = feature_to_split(least, most, below, above)
                for side in range(2):
                    way = path.copy()
                    way[p if side else way.size - q - 1] = f[i]
                    x0, x1, x2, x3, x4, x5, x6 = half(side, i, a, b, w, v, least, most, f)
                    nothing = np.zeros((K, x6.size)), np.zeros(K)
                    stack.append((x0, x1, x2, x3, x4, x5, x6, *nothing, way, p + side, q + 1 - side))


@njit(**JIT)
def add_row(x, Y, weights, starts, layers, beta, phi, work):
    """Adds a row's values over the weighted background rows Y to phi (K, inputs), pair by pair.

    Stops where work[2] is set, at once where the work allowed would not do; `phi` is then of no use.
    """
    inputs, neurons, K = x.size, layers.lo.size, phi.shape[0]
    own, features = np.empty((K, inputs)), np.empty(inputs, np.int64)
    for number in range(weights.size):
        if spent(2.0 * neurons * neurons * (inputs + neurons) + layers.bias.size * (inputs + 1.0), work):
            return
        for o in range(K):
            for i in range(inputs):
                own[o, i] = 0.0
        add_pair(x, Y[number], starts[number], layers, beta, features, own, work)
        for o in range(K):
            for i in range(inputs):
                phi[o, i] += weights[number] * own[o, i]
