"""The compiled bounding boxes of regions: 2 d linear functions over each, from its witness, by the checks' simplex."""

import numpy as np

from relu_shallow.checks.facets import doubt_of, layer_rows, values_at
from relu_shallow.checks.simplex import bound_on_box, minimise, start_dictionary
from relu_shallow.lp.jit import njit
from relu_shallow.lp.kernel import JIT  # flags of the compiler, no code
from relu_shallow.precision import RADIUS, TINY


@njit(**JIT)
def region_boxes(bits, witnesses, first, first_free, free, net, domain_A, domain_b, width, rounding, steps, low, high):
    """Lowers `high` and raises `low`, (regions, d), to bounds on each free input over each region, where it can.

    Arguments as in checks/facets.py, `settle_regions`. Rows are 1 + g . u around the witness x, u = y - x. On a box a
    bound holds whatever the simplex did, all rounding counted; elsewhere it is the optimum, moved out by RADIUS of the
    numbers in it. A witness within rounding of a border shows nothing: its region's bounds stay as they are.
    """
    WT, woff, bias, off, lo, hi = net
    layers, neurons = len(off) - 1, off[len(off) - 1]
    d, faces = len(free), len(domain_b)
    G, EG = np.zeros((d, neurons)), np.zeros((d, neurons))
    z, ez, slope = np.zeros(neurons), np.zeros(neurons), np.zeros(neurons)
    on = np.zeros(neurons, np.uint8)
    most = neurons + faces
    rows, doubts = np.zeros((most, d)), np.zeros((most, d))
    T, goal, spread = np.zeros((most + 1, d + 1)), np.zeros(d), np.zeros(d)
    basic, place, column = np.zeros(most, np.int64), np.zeros(most + d, np.int64), np.zeros(d, np.int64)
    scale, reach = np.ones(d), np.zeros(d)
    bounded = True
    for c in range(d):
        bounded = bounded and width[c] < np.inf
    fresh = 0
    for region in range(len(bits)):
        for layer in range(layers):
            for q in range(off[layer], off[layer + 1]):
                bit = bits[region, q >> 3] >> (7 - (q & 7)) & 1
                if bit != on[q]:
                    fresh = min(fresh, layer + 1)
                on[q] = bit
                slope[q] = hi[q] if bit else lo[q]
        for layer in range(fresh, layers):
            layer_rows(layer, first_free, WT, woff, off, slope, rounding, G, EG)
        fresh = layers
        point = witnesses[region]
        values_at(point, first, WT, woff, bias, off, slope, rounding, z, ez)
        inside, m = True, 0
        for q in range(most):
            if q < neurons:
                if lo[q] == hi[q]:
                    continue
                zero = True
                for c in range(d):
                    zero = zero and G[c, q] == 0.0 and EG[c, q] == 0.0
                if zero:
                    continue
                inside = inside and (z[q] > ez[q] if on[q] else -z[q] > ez[q])
                for c in range(d):
                    rows[m, c] = G[c, q] / z[q]
                    doubts[m, c] = doubt_of(rows[m, c], EG[c, q], z[q], ez[q], rounding)
            else:
                value, size = domain_b[q - neurons], abs(domain_b[q - neurons])
                for k in range(len(point)):
                    value -= domain_A[q - neurons, k] * point[k]
                    size += abs(domain_A[q - neurons, k] * point[k])
                error = rounding * size + TINY
                inside = inside and value > error
                for c in range(d):
                    rows[m, c] = -domain_A[q - neurons, free[c]] / value
                    doubts[m, c] = doubt_of(rows[m, c], 0.0, value, error, rounding)
            m += 1
        if not inside:
            continue
        for c in range(d):  # lengths in units of the nearest rows, by powers of two
            largest = 0.0
            for i in range(m):
                largest = max(largest, abs(rows[i, c]))
            scale[c] = 2.0 ** -np.floor(np.log2(largest)) if 0.0 < largest < np.inf else 1.0
            for i in range(m):
                rows[i, c] *= scale[c]
                doubts[i, c] = doubts[i, c] * scale[c] + TINY
            reach[c] = width[c] / scale[c]
        start_dictionary(rows, m, d, T, basic, place, column)
        for t in range(2 * d):
            c, sign = t >> 1, 1.0 - 2.0 * (t & 1)
            goal[:] = 0.0
            goal[c] = sign
            if not minimise(T, m, d, basic, place, column, goal, steps):
                continue
            if bounded:
                bound = bound_on_box(T, m, d, column, rows, doubts, goal, spread, reach, rounding) - 1.0
                bound -= rounding * (1.0 + abs(bound))
            else:
                bound = 0.0
                for k in range(d):
                    if column[k] < m and T[m, k] > 0.0:
                        bound -= T[m, k]
                bound *= 1.0 + RADIUS
            end = point[free[c]] + sign * bound * scale[c]
            end -= sign * rounding * (abs(end) + abs(point[free[c]]))
            if sign > 0.0:
                low[region, c] = max(low[region, c], end)
            else:
                high[region, c] = min(high[region, c], end)
