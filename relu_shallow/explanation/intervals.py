"""The compiled best-first search that encloses a row's Shapley values: intervals that hold at any moment, and shrink.

Letters are those of shares.py and cube.py. On a sub-cube that is not settled, v lies between two affine maps, found by
putting linear relaxations in backwards, and a feature's marginal contributions lie between bounds on the slope. Both
are summed over the sub-cube in closed form; the tighter one is kept, feature by feature. The sub-cube whose intervals
are widest in all, times the weight of its background row, is split next. Its game is made anew from the network, so a
node is no more than which features are in and out:

    state   (nodes, inputs)     1 for a feature that is in, -1 for one that is out, 0 for one that is free
    pair    (nodes,)            the background row
    split   (nodes,)            the feature to split by, -1 where the node is settled
    width   (nodes,)            the sum of its intervals' widths times the background row's weight, 0 where settled
    ends    (2, nodes, K, inputs)   the lower and upper ends of its contributions
"""

import numpy as np
from numba import njit

from relu_shallow.explanation.cube import (
    costs,
    differing,
    feature_to_split,
    parts,
    piece,
    put_in,
    reduce,
    whole_cube,
)
from relu_shallow.explanation.shares import HALVES, add_affine, add_enumerated, add_neuron
from relu_shallow.lp.kernel import JIT, LEAN

SOON_HALVED = 2 * HALVES  # a single neuron is summed by halves up to here: about a millisecond
LISTED = 8.0  # a group of neurons is enumerated unless it costs more than this many times its bounds (measured)


@njit(**LEAN)
def affine_bound(o, upper, A, c, M, V, low, high, alive, coefficient, slopes):
    """The constant of an affine map above, or below, output o of a game over its cube; its slopes go into slopes[o]."""
    n = c.size
    for i in range(A.shape[1]):
        slopes[o, i] = 0.0
    for k in range(n):
        coefficient[k] = V[o, k]
    return put_in(n, 0.0, A, c, M, low, high, alive, upper, coefficient, slopes, o)


@njit(**LEAN)
def slope_bounds(o, A, M, V, below, above, least, most):
    """Bounds on v(s | s_i = 1) - v(s | s_i = 0) of output o over a cube: the chords of gates lie in [0, 1]."""
    n, m = A.shape
    for i in range(m):
        least[o, i] = most[o, i] = 0.0
    for k in range(n):
        below[k] = above[k] = V[o, k]
    for k in range(n - 1, -1, -1):
        small, large = min(below[k], 0.0), max(above[k], 0.0)
        for i in range(m):
            least[o, i] += min(small * A[k, i], large * A[k, i])
            most[o, i] += max(small * A[k, i], large * A[k, i])
        for t in range(k):
            x, y = small * M[k, t], large * M[k, t]
            below[t] += min(x, y)
            above[t] += max(x, y)


@njit(**LEAN)
def add_between(c_low, a_low, c_high, a_high, least, most, F, path, p, q, beta, ends, node):
    """Adds bounds on the contributions of K games with c_low + a_low s <= v <= c_high + a_high s on a sub-cube.

    Returns by how much the intervals have widened.
    """
    m, d = F.size, path.size
    wider = 0.0
    for o in range(c_low.size):
        total_low, total_high = 0.0, 0.0
        for i in range(m):
            total_low += a_low[o, i]
            total_high += a_high[o, i]
        one, two = beta[p + 1, q + 1], beta[p + 2, q + 1]
        for i in range(m):
            gap, slope_gap = c_high[o] - c_low[o], (total_high - a_high[o, i]) - (total_low - a_low[o, i])
            high = (gap + a_high[o, i]) * one + slope_gap * two
            low = (a_low[o, i] - gap) * one - slope_gap * two
            high, low = min(high, most[o, i] * one), max(low, least[o, i] * one)
            ends[1, node, o, F[i]] += high
            ends[0, node, o, F[i]] += low
            wider += high - low
        if p > 0:
            low = c_low[o] * beta[p, q + 1] + total_low * beta[p + 1, q + 1]
            high = c_high[o] * beta[p, q + 1] + total_high * beta[p + 1, q + 1]
            for i in range(p):
                ends[0, node, o, path[i]] += low
                ends[1, node, o, path[i]] += high
            wider += p * (high - low)
        if q > 0:
            low = c_low[o] * beta[p + 1, q] + total_low * beta[p + 2, q]
            high = c_high[o] * beta[p + 1, q] + total_high * beta[p + 2, q]
            for i in range(d - q, d):
                ends[0, node, o, path[i]] -= high
                ends[1, node, o, path[i]] -= low
            wider += q * (high - low)
    return wider


@njit(**LEAN)
def sub_cube(x, y, state, node, W, start, here, there, z, path):
    """The corners of a sub-cube, all free features in (here) or out (there), and the first layer at the latter, z.

    Puts the features that are in and out into `path`; returns how many they are.
    """
    p, q = 0, 0
    for j in range(z.size):
        z[j] = start[j]
    for i in range(x.size):
        here[i], there[i] = x[i], y[i]
        if x[i] != y[i] and state[node, i] > 0:
            path[p] = i
            p += 1
            there[i] = x[i]
            for j in range(z.size):
                z[j] += W[j, i] * (x[i] - y[i])
        elif x[i] != y[i] and state[node, i] < 0:
            q += 1
            path[x.size - q] = i
            here[i] = y[i]
    return p, q


@njit(**JIT)
def enclose(x, y, start, node, state, split, ends, layers, beta, work):
    """Encloses a pair's contributions from one sub-cube in ends[:, node]; returns the sum of the intervals' widths."""
    inputs, K = x.size, ends.shape[2]
    path, features = np.empty(inputs, np.int64), np.empty(inputs, np.int64)
    here, there, z = np.empty(inputs), np.empty(inputs), np.empty(start.size)
    p, q = sub_cube(x, y, state, node, layers.W, start, here, there, z, path)
    F = features[: differing(here, there, features)]
    A, c, M, V, low, high, slopes, constant, n = whole_cube(here, there, z, layers, F)
    m = F.size
    coefficient, alive, part = np.empty(n), np.empty(n, np.bool_), np.empty(n, np.int64)
    rows_low, rows_high, exact = np.empty((n, m)), np.empty((n, m)), np.zeros((K, inputs))
    reduce(A, c, M, V, low, high, alive, slopes, constant, coefficient, rows_low, rows_high)
    add_affine(constant, slopes, F, path, p, q, beta, exact)
    split[node], widest, total = -1, -1.0, 0.0
    for o in range(K):
        for i in range(inputs):
            ends[0, node, o, i] = ends[1, node, o, i] = 0.0
    for number in range(parts(n, M, alive, part)):
        a, b, w, v, least, most, below, above, f = piece(number, part, A, c, M, V, low, high, rows_low, rows_high, F)
        listing, bounding = costs(w, K, f.size)
        if b.size == 1 and HALVES <= f.size <= SOON_HALVED:
            work[0] += f.size * 2.0 ** (0.5 * f.size + 2)
            add_neuron(a, b, v, f, path, p, q, beta, exact)
        elif listing <= LISTED * bounding:
            work[0] += listing
            add_enumerated(a, b, w, v, f, path, p, q, beta, exact)
        else:
            work[0] += bounding
            a_low, a_high = np.empty((K, f.size)), np.empty((K, f.size))
            steep_low, steep_high = np.empty((K, f.size)), np.empty((K, f.size))
            c_low, c_high, free = np.empty(K), np.empty(K), np.ones(b.size, np.bool_)
            one, two = np.empty(b.size), np.empty(b.size)
            for o in range(K):
                c_high[o] = affine_bound(o, True, a, b, w, v, least, most, free, one, a_high)
                c_low[o] = affine_bound(o, False, a, b, w, v, least, most, free, one, a_low)
                slope_bounds(o, a, w, v, one, two, steep_low, steep_high)
            wider = add_between(c_low, a_low, c_high, a_high, steep_low, steep_high, f, path, p, q, beta, ends, node)
            total += wider
            if wider > widest:
                widest, split[node] = wider, f[feature_to_split(least, most, below, above)]
    for o in range(K):
        for i in range(inputs):
            ends[0, node, o, i] += exact[o, i]
            ends[1, node, o, i] += exact[o, i]
    return total


@njit(**JIT)
def enclose_row(x, Y, weights, starts, layers, beta, state, pair, split, width, ends, work):
    """Fills the nodes: every pair once, then the widest sub-cube in halves, again and again.

    Ends where all are settled, the nodes given are used up, the work allowed is done, or work[2] is set. Returns how
    many nodes there are; 0 where not even every pair was enclosed.
    """
    pairs, count = weights.size, 0
    chosen = -1
    while work[2] == 0.0:
        if count < pairs:
            first, last, number = count, count + 1, count
        else:
            chosen = -1
            for node in range(count):
                if split[node] >= 0 and (chosen < 0 or width[node] > width[chosen]):
                    chosen = node
            if chosen < 0 or count == pair.size or work[0] > work[1]:
                return count
            first, last, number = chosen, count + 1, pair[chosen]
            for i in range(x.size):
                state[count, i] = state[chosen, i]
            state[chosen, split[chosen]], state[count, split[chosen]] = 1, -1
        pair[count] = number
        node = first
        while node < last:
            wide = enclose(x, Y[number], starts[number], node, state, split, ends, layers, beta, work)
            width[node] = weights[number] * wide
            work[0] += 16.0
            node = last - 1 if node < last - 1 else last
        count += 1
    return count if count >= pairs else 0
