"""Where a segment crosses the gates of one layer, compiled: pieces cut at the zeros of the layer's pre-activations.

Points lie on segments, b at t = 0 and x at t = 1; a piece is the stretch between a point and the next one, along which
every pre-activation is affine in t. The arrays:

    Z       (points, width)  pre-activations of the layer at the points
    t       (points,)        where on its segment each point lies
    left    (pieces,)        the point at which each piece begins; it ends at the point after
    lo, hi  (width,)         the gates' slopes where inactive and active
    begin   (pieces + 1,)    which of the cuts fall into a piece: begin[k] up to begin[k + 1], in order of t
    cut     (cuts,)          t of the cuts: strictly inside their piece, and no two of a piece equal
    upto    (cuts,)          the neurons that change sign at cut i are neuron[upto[i - 1] : upto[i]]
    neuron  (changes,)

Piece k falls into begin[k + 1] - begin[k] + 1 finer ones; those of all pieces are numbered through.
"""

import numpy as np
from numba import njit

from relu_shallow.lp.kernel import JIT


@njit(**JIT)
def _crosses(a, b, start, end):
    """The t at which a pre-activation that is a at `start` and b at `end` changes sign; `start` where it does not."""
    if a * b < 0.0 or (a < 0.0 < b) or (b < 0.0 < a):  # the product may underflow
        return min(max(start + (a / (a - b)) * (end - start), start), end)
    return start


@njit(**JIT)
def cuts(Z, t, left, lo, hi):
    """(begin, cut, upto, neuron) of the pieces."""
    pieces, width = len(left), Z.shape[1]
    most = 0
    for k in range(pieces):
        p = left[k]
        for j in range(width):
            most += (Z[p, j] < 0.0) & (Z[p + 1, j] > 0.0)
            most += (Z[p, j] > 0.0) & (Z[p + 1, j] < 0.0)
    begin, cut = np.zeros(pieces + 1, np.int64), np.empty(most)
    upto, neuron = np.empty(most, np.int64), np.empty(most, np.int64)
    when, which = np.empty(width), np.empty(width, np.int64)
    found = changes = 0
    for k in range(pieces):
        p = left[k]
        start, end = t[p], t[p + 1]
        here = 0
        for j in range(width):
            at = _crosses(Z[p, j], Z[p + 1, j], start, end)
            if start < at < end and lo[j] != hi[j]:
                when[here], which[here] = at, j
                here += 1
        last = -1.0
        for place in np.argsort(when[:here], kind="mergesort"):
            if when[place] > last:
                last = when[place]
                cut[found] = last
                found += 1
            neuron[changes] = which[place]
            changes += 1
            upto[found - 1] = changes
        begin[k + 1] = found
    return begin, cut[:found], upto[:found], neuron[:changes]


@njit(**JIT)
def _active_at_start(a, b, start, end):
    """Whether a neuron is active on the first of the finer pieces: z > 0 there, so not where it is zero throughout."""
    if _crosses(a, b, start, end) > start:
        return a > 0.0
    return b > 0.0 or (b == 0.0 and a > 0.0)


@njit(**JIT)
def finer(Z, t, left, lo, hi, begin, cut, upto, neuron, first, stop):
    """(H, t, left, active, parent) of the finer pieces `first` up to `stop`: their points with the gates' values H.

    active (finer, width) says which gates are active along each, parent (finer,) which piece it is part of.
    """
    pieces, width, count = len(left), Z.shape[1], stop - first
    k = 0
    while k + 1 < pieces and begin[k + 1] + k + 1 <= first:
        k += 1
    ends = 1
    while k + ends < pieces and begin[k + ends] + k + ends < stop:
        ends += 1
    H, at = np.empty((count + ends, width)), np.empty(count + ends)
    begins, parent = np.empty(count, np.int64), np.empty(count, np.int64)
    active = np.empty((count, width), np.bool_)
    points, f = 0, 0
    r = first - begin[k] - k
    while f < count:
        p, inner = left[k], begin[k + 1] - begin[k]
        if f == 0 or left[k - 1] + 1 != p:
            at[points] = t[p] if r == 0 else cut[begin[k] + r - 1]
            _gated(Z, t, p, at[points], lo, hi, H[points])
            points += 1
        while r <= inner and f < count:
            if f == 0 or r == 0:
                for j in range(width):
                    active[f, j] = _active_at_start(Z[p, j], Z[p + 1, j], t[p], t[p + 1])
                done = begin[k]
            else:
                active[f] = active[f - 1]
                done = begin[k] + r - 1
            for c in range(done, begin[k] + r):
                for i in range(upto[c - 1] if c > 0 else 0, upto[c]):
                    active[f, neuron[i]] = Z[p + 1, neuron[i]] > 0.0
            begins[f], parent[f] = points - 1, k
            at[points] = t[p + 1] if r == inner else cut[begin[k] + r]
            _gated(Z, t, p, at[points], lo, hi, H[points])
            points += 1
            f += 1
            r += 1
        r = 0
        k += 1
    return H[:points], at[:points], begins, active, parent


@njit(**JIT)
def _gated(Z, t, p, at, lo, hi, h):
    """The gates' values at `at`, between points p and p + 1, into h."""
    share = (at - t[p]) / (t[p + 1] - t[p]) if t[p + 1] > t[p] else 0.0
    if at == t[p + 1]:
        share = 1.0
    for j in range(len(h)):
        z = (1.0 - share) * Z[p, j] + share * Z[p + 1, j]
        h[j] = z * (hi[j] if z > 0.0 else lo[j])


@njit(**JIT)
def summed(D, active, parent, lo, hi, G):
    """Adds to G (pieces, outputs, width) each finer piece's D (finer, outputs, width) times its gates' slopes."""
    for f in range(D.shape[0]):
        for o in range(D.shape[1]):
            for j in range(D.shape[2]):
                G[parent[f], o, j] += (hi[j] if active[f, j] else lo[j]) * D[f, o, j]


@njit(**JIT)
def mean_slopes(Z, t, left, lo, hi):
    """The integral of every gate's slope over t along each piece, (pieces, width)."""
    S = np.empty((len(left), Z.shape[1]))
    for k in range(len(left)):
        p = left[k]
        length = t[p + 1] - t[p]
        for j in range(Z.shape[1]):
            a, b = Z[p, j], Z[p + 1, j]
            share = 0.0  # of the piece on which the gate is active; a and b of one sign: 1 or 0
            if a > 0.0:
                share = 1.0 if b >= 0.0 else a / (a - b)
            elif b > 0.0:
                share = b / (b - a)
            S[k, j] = length * (share * hi[j] + (1.0 - share) * lo[j])
    return S


@njit(**JIT)
def small(Z, most, size, bias, rounding):
    """(points, neurons) of the entries of Z that are not zero but at most rounding (most[point] size + |bias|)."""
    found = 0
    for p in range(Z.shape[0]):
        for j in range(Z.shape[1]):
            found += (Z[p, j] != 0.0) & (abs(Z[p, j]) <= rounding * (most[p] * size[j] + abs(bias[j])))
    points, neurons = np.empty(found, np.int64), np.empty(found, np.int64)
    if found:
        found = 0
        for p in range(Z.shape[0]):
            for j in range(Z.shape[1]):
                if (Z[p, j] != 0.0) & (abs(Z[p, j]) <= rounding * (most[p] * size[j] + abs(bias[j]))):
                    points[found], neurons[found] = p, j
                    found += 1
    return points, neurons
