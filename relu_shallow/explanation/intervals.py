"""The compiled best-first search that encloses a row's Shapley values: intervals that hold at any moment, and shrink.

Letters are those of shares.py and cube.py. On a sub-cube that is not settled, v lies between two affine maps, found by
putting linear relaxations in backwards, and a feature's marginal contributions lie between bounds on the slope. Both
are summed over the sub-cube in closed form; the tighter one is kept, feature by feature. The sub-cube whose intervals
are widest in all, times the weight of its background row, is split next. Its game is made anew from the network, so a
node is no more than which features are in and out:

    state   (nodes, inputs)     1 for a feature that is in, -1 for one that is out, 0 for one that is free
    pair    (nodes,)            the background row
    split   (nodes,)            the feature to split by, -1 where the node is settled
    width   (nodes,)            the sum of its intervals' widths times the background row's weight
    ends    (2, nodes, K, inputs)   the lower and upper ends of its contributions
"""

import numpy as np

from relu_shallow.explanation.cube import (
    costs,
    differing,
    feature_to_split,
    parts,
    piece,
    put_in,
    reduce,
    tight_pays,
    whole_cube,
)
from relu_shallow.explanation.shares import HALVES, add_affine, add_enumerated, add_neuron
from relu_shallow.lp.jit import njit
from relu_shallow.lp.kernel import JIT, LEAN

SOON_HALVED = 2 * HALVES  # a single neuron is summed by halves up to here: about a millisecond
BLOCK = 512  # nodes of which the widest is kept
LISTING_PAYS = 8.0  # a group of neurons is enumerated unless it costs more than this many times its bounds (measured)


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
    A, c, M, V, low, high, slopes, constant, n = whole_cube(here, there, z, layers, tight_pays(layers, K, F.size), F)
    m = F.size
    coefficient, alive, part = np.empty(n), np.empty(n, np.bool_), np.empty(n, np.int64)
    rows_low, rows_high, exact = np.empty((n, m)), np.empty((n, m)), np.zeros((K, inputs))
    reduce(A, c, M, V, low, high, alive, True, slopes, constant, coefficient, rows_low, rows_high)
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
        elif listing <= LISTING_PAYS * bounding:
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


@njit(**LEAN)
def settle_node(node, weight, ends, done):
    """Adds the ends of a node that is settled to those of all that are, by its background row's weight."""
    for side in range(2):
        for o in range(done.shape[1]):
            for i in range(done.shape[2]):
                done[side, o, i] += weight * ends[side, node, o, i]


@njit(**LEAN)
def move_node(here, there, state, pair, split, width, ends):
    """Puts the node here into another's place."""
    pair[there], split[there], width[there] = pair[here], split[here], width[here]
    for i in range(state.shape[1]):
        state[there, i] = state[here, i]
        for o in range(ends.shape[2]):
            ends[0, there, o, i], ends[1, there, o, i] = ends[0, here, o, i], ends[1, here, o, i]


@njit(**LEAN)
def widest_node(count, width, top):
    """The number of the widest of `count` nodes, by way of the widest of each block."""
    block = 0
    for b in range((count + BLOCK - 1) // BLOCK):
        if top[b] > top[block]:
            block = b
    first = block * BLOCK
    chosen = first
    for node in range(first, min(first + BLOCK, count)):
        if width[node] > width[chosen]:
            chosen = node
    return chosen


@njit(**LEAN)
def note_width(node, count, width, top):
    """Works out anew what is the widest of a node's block."""
    block = node // BLOCK
    top[block] = 0.0
    for other in range(block * BLOCK, min((block + 1) * BLOCK, count)):
        top[block] = max(top[block], width[other])


@njit(**JIT)
def enclose_row(x, Y, weights, starts, layers, beta, state, pair, split, width, ends, done, work):
    """Fills the nodes: every pair once, then the widest sub-cube in halves, again and again.

    Settled nodes are added up in `done` (2, K, inputs) and make room. Ends where all are settled, the nodes given are
    used up, the work allowed is done, or work[2] is set. Returns (open nodes, nodes seen); none were seen where not
    even every pair was enclosed.
    """
    pairs, count, seen = weights.size, 0, 0
    top = np.zeros((pair.size + BLOCK - 1) // BLOCK + 1)
    while work[2] == 0.0:
        if seen < pairs:
            pair[count] = seen
            for i in range(x.size):
                state[count, i] = 0
            fresh, chosen = count, count
        else:
            if count == 0 or count == pair.size or work[0] > work[1]:
                return count, seen
            chosen, fresh = widest_node(count, width, top), count
            feature = split[chosen]
            move_node(chosen, fresh, state, pair, split, width, ends)
            state[chosen, feature], state[fresh, feature] = 1, -1
        work[0] += 16.0
        seen += 1
        wide = enclose(x, Y[pair[fresh]], starts[pair[fresh]], fresh, state, split, ends, layers, beta, work)
        width[fresh] = weights[pair[fresh]] * wide
        if split[fresh] >= 0:
            count += 1
            note_width(fresh, count, width, top)
        else:
            settle_node(fresh, weights[pair[fresh]], ends, done)
        if chosen != fresh:
            seen += 1
            number = pair[chosen]
            wide = enclose(x, Y[number], starts[number], chosen, state, split, ends, layers, beta, work)
            width[chosen] = weights[number] * wide
            if split[chosen] < 0:
                settle_node(chosen, weights[number], ends, done)
                count -= 1
                if chosen < count:
                    move_node(count, chosen, state, pair, split, width, ends)
                note_width(count, count, width, top)
            note_width(chosen, count, width, top)
    return (count, seen) if seen >= pairs else (0, 0)
