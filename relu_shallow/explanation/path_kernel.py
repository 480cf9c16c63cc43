"""Gates along segments, compiled: where they change sign, what they pass on, and the sums over their slopes.

Points lie on segments, b at t = 0 and x at t = 1; a piece is the stretch between a point and the next one, along which
every pre-activation is affine in t. The arrays:

    Z       (points, width)  pre-activations of one layer at the points
    t       (points,)        where on its segment each point lies
    left    (pieces,)        the point at which each piece begins; it ends at the point after
    lo, hi  (width,)         the gates' slopes where inactive and active
    active  (finer, width)   which gates are active along each finer piece
    parent  (finer,)         the piece that it is part of
"""

import numpy as np

from relu_shallow.lp.jit import njit
from relu_shallow.lp.kernel import JIT


@njit(**JIT)
def changes(Z, left):
    """(piece, neuron) of the pre-activations that are positive at one end of a piece and negative at the other."""
    found = 0
    for k in range(len(left)):
        p = left[k]
        for j in range(Z.shape[1]):
            found += ((Z[p, j] < 0.0) & (Z[p + 1, j] > 0.0)) | ((Z[p, j] > 0.0) & (Z[p + 1, j] < 0.0))
    piece, neuron = np.empty(found, np.int64), np.empty(found, np.int64)
    found = 0
    for k in range(len(left)):
        p = left[k]
        for j in range(Z.shape[1]):
            if ((Z[p, j] < 0.0) & (Z[p + 1, j] > 0.0)) | ((Z[p, j] > 0.0) & (Z[p + 1, j] < 0.0)):
                piece[found], neuron[found] = k, j
                found += 1
    return piece, neuron


@njit(**JIT)
def gated(Z, point, share, lo, hi):
    """H: the gates' values at points that lie a share of the way from `point` to the point after it."""
    H = np.empty((len(point), Z.shape[1]))
    for i in range(len(point)):
        p, s = point[i], share[i]
        q = p + 1 if s > 0.0 else p
        for j in range(Z.shape[1]):
            z = (1.0 - s) * Z[p, j] + s * Z[q, j]
            H[i, j] = z * (hi[j] if z > 0.0 else lo[j])
    return H


@njit(**JIT)
def active_gates(Z, left, parent, before, after, neuron):
    """`active` of finer pieces; the neurons that have changed sign by then are neuron[before : after] of each piece.

    A gate that does not change is active where z > 0 at an end, so not where z is zero at both.
    """
    active = np.empty((len(parent), Z.shape[1]), np.bool_)
    for f in range(len(parent)):
        p = left[parent[f]]
        for j in range(Z.shape[1]):
            a, b = Z[p, j], Z[p + 1, j]
            active[f, j] = (a > 0.0) | ((a == 0.0) & (b > 0.0))
        for i in range(before[f], after[f]):
            active[f, neuron[i]] = Z[p + 1, neuron[i]] > 0.0
    return active


@njit(**JIT)
def add_slopes(D, active, parent, lo, hi, G):
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
            share = 0.0  # of the piece on which the gate is active
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
