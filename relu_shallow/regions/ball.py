"""The compiled inscribed balls of regions of an unbounded domain, in input coordinates."""

import numpy as np

from relu_shallow.lp.jit import njit
from relu_shallow.lp.kernel import JIT, ONCE, OPTIMAL, climb, refactor
from relu_shallow.regions.kernel import COUNTERS
from relu_shallow.regions.maps import update_maps


@njit(**ONCE)
def ball_in_box(A, b, rows, limits):
    """(r, whether the box or the cap holds it): max r with A y + b >= r, |y| <= 1 and r <= 4.

    The first `rows` rows of A count, of unit norm. The climb starts at the corner y = -1 with r as low as they need.
    """
    d = A.shape[1]
    total = 2 + 2 * d + rows
    AT = np.zeros((4 * ((d + 4) // 4), total))
    constants = np.ones(total)
    AT[d, 1] = -1.0
    constants[1] = 4.0
    for axis in range(d):
        AT[axis, 2 + 2 * axis] = 1.0
        AT[axis, 3 + 2 * axis] = -1.0
    lowest = 4.0
    blocking = 1
    for i in range(rows):
        at = b[i]
        for k in range(d):
            AT[k, 2 + 2 * d + i] = A[i, k]
            at -= A[i, k]
        AT[d, 2 + 2 * d + i] = -1.0
        constants[2 + 2 * d + i] = b[i]
        if at < lowest:
            lowest, blocking = at, 2 + 2 * d + i
    basis = np.empty(d + 1, np.int64)
    for axis in range(d):
        basis[axis] = 2 + 2 * axis
    basis[d] = blocking
    y, slack, binv = np.zeros(d + 1), np.zeros(total), np.zeros((d + 1, d + 1))
    scratch = np.zeros((d + 1, 2 * d + 2))
    price, edge, denom, ratio = np.zeros(d + 1), np.zeros(len(AT)), np.zeros(total), np.zeros(total)
    h = np.zeros(d + 1)
    h[d] = 1.0
    refactor(AT, constants, slack, y, basis, binv, total, d + 1, scratch)
    result = climb(AT, constants, slack, y, basis, binv, total, d + 1, h, 0.0, np.inf, price, edge, denom, ratio,
                   scratch, np.zeros(COUNTERS, np.int64), limits)  # fmt: skip
    held = result != OPTIMAL
    for i in range(d + 1):
        if 0 < basis[i] < 2 + 2 * d and price[i] < -limits[10]:
            held = True
    return y[d], held


@njit(**ONCE)
def ball_radius(A, b, rows, opening, witness, limits, growth, widenings):
    """The radius of the largest ball in {x : A x + b >= 0}, given an interior point; infinite where there is none.

    It holds balls of every size exactly when its recession cone has interior. Otherwise a largest ball exists at a
    finite place: the box around the witness widens until it does not hold the centre any more. `opening` is scratch.
    """
    radius = np.inf
    scale = 1.0
    for attempt in range(widenings + 1 if rows else 0):
        if attempt == 0:  # the recession cone: the rows without their constants
            for i in range(rows):
                opening[i] = 0.0
        elif attempt == 1:
            nearest = np.inf
            for i in range(rows):
                opening[i] = b[i]
                for k in range(len(witness)):
                    opening[i] += A[i, k] * witness[k]
                nearest = min(nearest, abs(opening[i]))
            scale = nearest
            for k in range(len(witness)):
                scale = max(scale, abs(witness[k]) * limits[10])
            scale = max(scale, np.finfo(np.float64).tiny) * growth
            for i in range(rows):
                opening[i] /= scale
        else:
            scale *= growth
            for i in range(rows):
                opening[i] /= growth
        reached, held = ball_in_box(A, opening, rows, limits)
        if attempt == 0:
            if reached > limits[10]:
                break
        else:
            radius = reached * scale
            if not held:
                break
    return radius


@njit(**JIT)
def ball_radii(first, net, bits, witnesses, domain_A, domain_b, limits, growth, widenings):
    """`ball_radius` of every region of a sorted list of patterns (arrays as in shallow/maps.py), with domain rows."""
    WT, woff, _, off, lo, hi, start, target, weight, _ = net
    n = first.shape[0] - 1
    neurons = off[len(off) - 1]
    Z = np.zeros((n + 1, neurons))
    for j in range(off[1]):
        for i in range(n + 1):
            Z[i, j] = first[i, j]
    flags = np.zeros(neurons, np.uint8)
    most = neurons + len(domain_b)
    A, b, opening = np.zeros((most, n)), np.zeros(most), np.zeros(most)
    gathered = np.zeros(neurons)  # the sizes of what was added up into each row: below their rounding it is noise
    for j in range(off[1]):
        for i in range(n):
            gathered[j] += abs(first[i, j])
    radii = np.empty(len(bits))
    for region in range(len(bits)):
        update_maps(Z, flags, net, bits[region], region == 0)
        for layer in range(1, len(off) - 1):
            width = off[layer + 1] - off[layer]
            for j in range(width):
                gathered[off[layer] + j] = 0.0
            for k in range(off[layer - 1], off[layer]):
                part = abs(hi[k] if flags[k] else lo[k]) * gathered[k]
                if woff[layer] < 0:
                    for t in range(start[k], start[k + 1]):
                        gathered[off[layer] + target[t]] += part * abs(weight[t])
                    continue
                base = woff[layer] + (k - off[layer - 1]) * width
                for j in range(width):
                    gathered[off[layer] + j] += part * abs(WT[base + j])
        rows = np.int64(0)  # not a literal, which would compile twice
        for q in range(most):
            squared = total = 0.0
            if q < neurons:
                if lo[q] == hi[q]:
                    continue
                sign = 1.0 if flags[q] else -1.0
                for k in range(n):
                    A[rows, k] = sign * Z[k, q]
                    squared += Z[k, q] * Z[k, q]
                    total += abs(Z[k, q])
                b[rows] = sign * Z[n, q]
                if total <= limits[7] * gathered[q]:
                    continue
            else:
                for k in range(n):
                    A[rows, k] = domain_A[q - neurons, k]
                    squared += A[rows, k] * A[rows, k]
                b[rows] = domain_b[q - neurons]
            if squared > 0.0:
                size = np.sqrt(squared)
                for k in range(n):
                    A[rows, k] /= size
                b[rows] /= size
                rows += 1
        radii[region] = ball_radius(A, b, rows, opening, witnesses[region], limits, growth, widenings)
    return radii
