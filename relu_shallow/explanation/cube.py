"""The compiled splitting of a cube of hybrids: a pair's exact Shapley values, sub-cube by sub-cube.

The hybrids of a row x and a background row y are the vertices s of {0, 1}^d, d the number of features in which they
differ: s_i = 1 takes feature i from x. On a sub-cube every neuron that is stable there is affine in what comes in, so
it is put into those that read it, and a game of the unstable neurons alone remains (shares.py has its letters):

    z_j = A_j s + c_j + sum over k < j of M_jk relu(z_k)         v = affine + sum over j of V_j relu(z_j)

Two-slope gates are put as lo z + (hi - lo) relu(z). Shapley values are linear in the game, so the affine part is done
with in closed form, and neurons that do not feed one another, not even through others, are games of their own, each on
the features it sees. What is left is enumerated, or split by the feature whose two halves settle most neurons.

Bounds on z_j over a sub-cube are the tighter of intervals and of linear relaxations put in backwards, neuron by neuron
(Zhang et al. 2018, CROWN), which for a neuron of the first layer are exact. A bound that is off by a rounding lets a
neuron count as stable whose z is no larger than that on the wrong side: values change by as little.
"""

import numpy as np

from relu_shallow.lp.jit import njit
from relu_shallow.lp.kernel import JIT, LEAN

NODE = 1e5  # units that the halves of a split cost however small they are: ten microseconds (measured)
TIGHT_PAYS = 1.5  # relaxations of a whole cube pay where to enumerate it costs as many times more (measured)


@njit(**LEAN)
def put_in(j, constant, A, c, M, low, high, alive, upper, coefficient, rows, r):
    """Puts the relaxations of neurons j - 1, ..., 0 into constant + rows[r] s + coefficient relu(z), from one side.

    Returns the constant of what is then an affine bound. For relu(z) with l < 0 < u: above lies u (z - l) / (u - l),
    below z or 0, whichever leaves the smaller gap.
    """
    m = A.shape[1]
    for k in range(j - 1, -1, -1):
        g = coefficient[k]
        if g == 0.0 or not alive[k]:
            continue
        if (g > 0.0) == upper:
            g *= high[k] / (high[k] - low[k])
            constant -= g * low[k]
        elif high[k] <= -low[k]:
            continue
        constant += g * c[k]
        for i in range(m):
            rows[r, i] += g * A[k, i]
        for t in range(k):
            coefficient[t] += g * M[k, t]
    return constant


@njit(**LEAN)
def _interval(j, A, c, M, high, alive):
    """(lower, upper) of z_j from the intervals of what comes in."""
    below, above = c[j], c[j]
    for i in range(A.shape[1]):
        if A[j, i] > 0.0:
            above += A[j, i]
        else:
            below += A[j, i]
    for k in range(j):
        if alive[k]:
            g = M[j, k] * high[k]
            if g > 0.0:
                above += g
            else:
                below += g
    return below, above


@njit(**LEAN)
def settle(j, A, c, M, low, high, alive, tight, coefficient, rows_low, rows_high):
    """Tightens low[j] and high[j] over the cube; rows_low[j], rows_high[j] get the slopes of the affine bounds.

    Relaxations are put in backwards only where `tight` is set; elsewhere intervals must do.
    """
    m = A.shape[1]
    below, above = _interval(j, A, c, M, high, alive)
    low[j], high[j] = max(low[j], below), min(high[j], above)
    for i in range(m):
        rows_low[j, i] = rows_high[j, i] = A[j, i]
    if not tight or low[j] >= 0.0 or high[j] <= 0.0:
        return
    fed = False
    for k in range(j):
        fed |= alive[k] and M[j, k] != 0.0
    if not fed:
        return
    for side in range(2):
        rows = rows_high if side else rows_low
        for k in range(j):
            coefficient[k] = M[j, k]
        end = put_in(j, c[j], A, c, M, low, high, alive, side == 1, coefficient, rows, j)
        for i in range(m):
            end += max(rows[j, i], 0.0) if side else min(rows[j, i], 0.0)
        if side:
            high[j] = min(high[j], end)
        else:
            low[j] = max(low[j], end)


@njit(**LEAN)
def substitute(k, A, c, M, V, alive, slopes, constant):
    """Puts relu(z_k) = z_k into what reads it."""
    n, m = V.shape[1], A.shape[1]
    for j in range(k + 1, n):
        g = M[j, k]
        if alive[j] and g != 0.0:
            c[j] += g * c[k]
            for i in range(m):
                A[j, i] += g * A[k, i]
            for t in range(k):
                M[j, t] += g * M[k, t]
    for o in range(V.shape[0]):
        g = V[o, k]
        if g != 0.0:
            constant[o] += g * c[k]
            for i in range(m):
                slopes[o, i] += g * A[k, i]
            for t in range(k):
                V[o, t] += g * M[k, t]


@njit(**LEAN)
def reduce(A, c, M, V, low, high, alive, tight, slopes, constant, coefficient, rows_low, rows_high):
    """Settles every neuron that is stable over the cube, and drops those that nothing reads any more.

    V says how many neurons there are; the other arrays may have room for more. `slopes` (K, m) and `constant` (K,) get
    the affine part; `alive` says which neurons are left.
    """
    K, n = V.shape
    for j in range(n):
        alive[j] = True
    for j in range(n):
        settle(j, A, c, M, low, high, alive, tight, coefficient, rows_low, rows_high)
        if low[j] >= 0.0:
            substitute(j, A, c, M, V, alive, slopes, constant)
        if low[j] >= 0.0 or high[j] <= 0.0:
            alive[j] = False
    for k in range(n - 1, -1, -1):
        if alive[k]:
            read = False
            for o in range(K):
                read |= V[o, k] != 0.0
            for j in range(k + 1, n):
                read |= alive[j] and M[j, k] != 0.0
            alive[k] = read


@njit(**LEAN)
def parts(n, M, alive, part):
    """Numbers the groups of n neurons that feed one another, if through others; returns how many groups there are."""
    for j in range(n):
        part[j] = j
    for j in range(n):
        if alive[j]:
            for k in range(j):
                if alive[k] and M[j, k] != 0.0 and part[k] != part[j]:
                    gone, kept = part[k], part[j]
                    for t in range(n):
                        if part[t] == gone:
                            part[t] = kept
    count = 0
    for j in range(n):
        if alive[j] and part[j] >= 0:
            root = part[j]
            for t in range(j, n):
                if alive[t] and part[t] == root:
                    part[t] = -1 - count
            count += 1
    for j in range(n):
        part[j] = -1 - part[j] if alive[j] else -1
    return count


@njit(**JIT)
def piece(number, part, A, c, M, V, low, high, rows_low, rows_high, F):
    """The game of one group of neurons on the features it sees, as arrays of its own."""
    n, m = V.shape[1], F.size
    neurons = np.empty(n, np.int64)
    size = 0
    for j in range(n):
        if part[j] == number:
            neurons[size] = j
            size += 1
    seen = np.empty(m, np.int64)
    count = 0
    for i in range(m):
        for x in range(size):
            if A[neurons[x], i] != 0.0:
                seen[count] = i
                count += 1
                break
    a, b, w = np.empty((size, count)), np.empty(size), np.empty((size, size))
    v, least, most = np.empty((V.shape[0], size)), np.empty(size), np.empty(size)
    below, above, f = np.empty((size, count)), np.empty((size, count)), np.empty(count, np.int64)
    for x in range(size):
        j = neurons[x]
        b[x], least[x], most[x] = c[j], low[j], high[j]
        for y in range(count):
            a[x, y], below[x, y], above[x, y] = A[j, seen[y]], rows_low[j, seen[y]], rows_high[j, seen[y]]
        for y in range(size):
            w[x, y] = M[j, neurons[y]] if neurons[y] < j else 0.0
        for o in range(V.shape[0]):
            v[o, x] = V[o, j]
    for y in range(count):
        f[y] = F[seen[y]]
    return a, b, w, v, least, most, below, above, f


@njit(**LEAN)
def costs(M, K, m):
    """(units to enumerate, units to bound both halves of a split): a unit is a multiply-add of a block."""
    n = M.shape[0]
    weights = 0.0
    for j in range(n):
        for k in range(j):
            weights += M[j, k] != 0.0
    return (weights + 2.0 * n + K * (n + 2.0)) * 2.0**m, NODE + 32.0 * (n * (m + n) + weights * (m + 0.5 * n))


@njit(**LEAN)
def tight_pays(layers, K, m):
    """Whether relaxations cost less than to enumerate the cube of m features, with what they settle of it."""
    weights, n = layers.WT.size * 1.0, layers.lo.size
    listing = (weights + 2.0 * n + K * (n + 2.0)) * 2.0**m
    return listing > TIGHT_PAYS * 32.0 * (n * (m + n) + weights * (m + 0.5 * n))


@njit(**LEAN)
def feature_to_split(low, high, rows_low, rows_high):
    """The feature whose two halves settle most neurons; between equals, the one that moves their bounds most."""
    n, m = rows_low.shape
    best, most = 0, -1.0
    for i in range(m):
        settled = 0.0
        for j in range(n):
            up, down = rows_high[j, i], rows_low[j, i]
            settled += (abs(up) + abs(down)) / (high[j] - low[j])
            settled += 4.0 * ((high[j] - max(up, 0.0) <= 0.0) + (high[j] + min(up, 0.0) <= 0.0))
            settled += 4.0 * ((low[j] - min(down, 0.0) >= 0.0) + (low[j] + max(down, 0.0) >= 0.0))
        if settled > most:
            best, most = i, settled
    return best


@njit(**JIT)
def half(value, i, A, c, M, V, low, high, F):
    """The game with free feature i fixed out (0) or in (1), in arrays of its own, not yet reduced."""
    n, m = A.shape
    a, b, f = np.empty((n, m - 1)), c.copy(), np.empty(m - 1, np.int64)
    for y in range(m - 1):
        x = y if y < i else y + 1
        f[y] = F[x]
        for j in range(n):
            a[j, y] = A[j, x]
    if value:
        for j in range(n):
            b[j] += A[j, i]
    return a, b, M.copy(), V.copy(), low.copy(), high.copy(), f


@njit(**LEAN)
def _next_layer(layer, layers, a, b, g, jump, number, a_next, b_next, g_next):
    """The pre-activations of layer + 1 from what leaves a layer: an affine part, and jump relu(z) of unstable gates."""
    WT, woff, off, bias = layers.WT, layers.woff, layers.off, layers.bias
    width, rows, m, before = b.size, b_next.size, a.shape[1], g.shape[1]
    for t in range(rows):
        b_next[t] = bias[off[layer + 1] + t]
    for j in range(width):
        for t in range(rows):
            w = WT[woff[layer + 1] + j * rows + t]
            if w == 0.0:
                continue
            b_next[t] += w * b[j]
            for i in range(m):
                a_next[t, i] += w * a[j, i]
            for k in range(before):
                g_next[t, k] += w * g[j, k]
            if number[j] >= 0:
                g_next[t, number[j]] = w * jump[j]


@njit(**LEAN)
def differing(x, y, F):
    """Puts the numbers of the features in which x and y differ into F; returns how many they are."""
    m = 0
    for i in range(x.size):
        if x[i] != y[i]:
            F[m] = i
            m += 1
    return m


@njit(**JIT)
def whole_cube(x, y, start, layers, tight, F):
    """The game of a pair, from layer to layer, so that only unstable neurons take part.

    `F` holds the features that differ, `start` is the first layer at y. Returned are (A, c, M, V, low, high), with room
    for more neurons than are there, the slopes and constants of the affine part, and the number of neurons.
    """
    W, off, lo, hi = layers.W, layers.off, layers.lo, layers.hi
    depth = off.size - 2
    m, N = F.size, off[depth]
    A, c, M = np.empty((N, m)), np.empty(N), np.zeros((N, N))
    low, high, alive = np.empty(N), np.empty(N), np.empty(N, np.bool_)
    rows_low, rows_high, coefficient = np.empty((N, m)), np.empty((N, m)), np.empty(N)
    a, b, g = np.empty((off[1], m)), np.empty(off[1]), np.empty((off[1], 0))
    for j in range(off[1]):
        b[j] = start[j]
        for i in range(m):
            a[j, i] = W[j, F[i]] * (x[F[i]] - y[F[i]])
    n = 0
    for layer in range(depth):
        before, here = n, off[layer]
        jump, number = np.zeros(b.size), np.empty(b.size, np.int64)
        for j in range(b.size):
            slope = lo[here + j]
            number[j] = -1
            if lo[here + j] != hi[here + j]:
                low[n], high[n], c[n], alive[n] = -np.inf, np.inf, b[j], True
                for i in range(m):
                    A[n, i] = a[j, i]
                for k in range(before):
                    M[n, k] = g[j, k]
                settle(n, A, c, M, low, high, alive, tight, coefficient, rows_low, rows_high)
                if low[n] >= 0.0:
                    slope = hi[here + j]
                elif high[n] > 0.0:
                    jump[j], number[j] = hi[here + j] - lo[here + j], n
                    n += 1
            b[j] *= slope
            for i in range(m):
                a[j, i] *= slope
            for k in range(before):
                g[j, k] *= slope
        rows = off[layer + 2] - off[layer + 1]
        a_next, b_next, g_next = np.zeros((rows, m)), np.empty(rows), np.zeros((rows, n))
        _next_layer(layer, layers, a, b, g, jump, number, a_next, b_next, g_next)
        a, b, g = a_next, b_next, g_next
    return A, c, M, g, low, high, a, b, n
