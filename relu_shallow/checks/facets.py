"""The compiled part of the closure check: which hyperplanes can a listed region not be left through unlisted?

A region with interior point y is {y + u : 1 + g_j . u >= 0} with g_j = (row j) / (value of row j at y): every row, the
domain's too, is 1 at the point. For each neuron j of a listed region one of three things is found out:

    LISTED     the pattern with neuron j flipped is listed, and no other row bounds the region along that hyperplane;
               if j bounds it, that pattern is what lies behind (closure.py says why)
    REDUNDANT  row j exceeds zero on all of {1 + g_i . u >= 0 : i LISTED or the domain's}, which holds the region, by
               multipliers found with a small simplex and checked against every rounding
    OPEN       neither: for exact arithmetic

Nothing here is shared with the search: rows come with their own running error bounds, and the simplex is a dictionary
that starts from the interior point. A wrong pivot can leave a row OPEN, never make it REDUNDANT.
"""

import numpy as np

from relu_shallow.checks.lookup import is_listed
from relu_shallow.checks.simplex import bound_on_box, bound_on_cone, minimise, start_dictionary
from relu_shallow.lp.jit import njit
from relu_shallow.lp.kernel import JIT  # flags of the compiler, no code
from relu_shallow.precision import TINY

CONSTANT, LISTED, REDUNDANT, OPEN = 0, 1, 2, 3
REGIONS, FLIPS, UNSETTLED = 0, 1, 2
COUNTERS = 3


@njit(**JIT)
def layer_rows(layer, first, WT, woff, off, slope, rounding, G, EG):
    """G and its error EG, (d, N), for one layer from the one below: running error analysis."""
    d = G.shape[0]
    here, stop = off[layer], off[layer + 1]
    if layer == 0:
        for c in range(d):
            for j in range(stop):
                G[c, j] = first[c, j]
                EG[c, j] = 0.0
        return
    below, width = off[layer - 1], stop - here
    for c in range(d):
        for j in range(here, stop):
            G[c, j] = 0.0
            EG[c, j] = 0.0
        for k in range(below, here):
            value = slope[k] * G[c, k]
            charge = abs(slope[k]) * EG[c, k] + rounding * abs(value)
            if slope[k] == 0.0 or (G[c, k] == 0.0 and EG[c, k] == 0.0):
                continue  # exactly zero; what only underflow makes zero is charged
            charge += TINY
            base = woff[layer] + (k - below) * width
            for j in range(width):
                weight = WT[base + j]
                G[c, here + j] += value * weight
                EG[c, here + j] += charge * abs(weight) + (TINY if weight != 0.0 else 0.0)
        for j in range(here, stop):
            if EG[c, j] > 0.0:
                EG[c, j] = EG[c, j] * (1.0 + rounding) + TINY


@njit(**JIT)
def values_at(point, first, WT, woff, bias, off, slope, rounding, z, ez):
    """z and its error: every pre-activation at a point, under the slopes given."""
    n = len(point)
    for j in range(off[1]):
        total, size = bias[j], abs(bias[j])
        for i in range(n):
            total += first[i, j] * point[i]
            size += abs(first[i, j] * point[i])
        z[j] = total
        ez[j] = rounding * size + TINY if size > 0.0 else 0.0
        for i in range(n):
            if first[i, j] != 0.0 and point[i] != 0.0 and ez[j] == 0.0:
                ez[j] = TINY
    for layer in range(1, len(off) - 1):
        below, here, stop = off[layer - 1], off[layer], off[layer + 1]
        width = stop - here
        for j in range(here, stop):
            z[j] = bias[j]
            ez[j] = rounding * abs(bias[j])
        for k in range(below, here):
            value = slope[k] * z[k]
            charge = abs(slope[k]) * ez[k] + rounding * abs(value)
            if value == 0.0 and charge == 0.0 and (slope[k] == 0.0 or (z[k] == 0.0 and ez[k] == 0.0)):
                continue
            charge += TINY
            base = woff[layer] + (k - below) * width
            for j in range(width):
                weight = WT[base + j]
                z[here + j] += value * weight
                ez[here + j] += charge * abs(weight) + (TINY if weight != 0.0 else 0.0)
        for j in range(here, stop):
            if ez[j] > 0.0:
                ez[j] = ez[j] * (1.0 + rounding) + TINY


@njit(**JIT)
def settle_regions(
    chosen, bits, witnesses, first, first_free, free, net, domain_A, domain_b, width, listed, rounding, steps,
    placed, facets_too, alone, out_region, out_state, counters, control,
):  # fmt: skip
    """Goes through the chosen regions; those with a row left OPEN are written out with their rows' states.

    Without `facets_too` only their points are looked at; with `alone` those on which a neuron is zero stay open too.
    Returns how many were written out; it stops where control[0] is set. `first` and `first_free` are W_1^T of all
    inputs and of the d `free` ones; the domain is {domain_A x <= domain_b}; `width` bounds |u_c| over it (or is inf).
    The last column of out_state says whether the region's point was proved to lie inside; where not, every row that is
    not constant is OPEN. `placed` says of each region's point whether its fixed inputs are the domain's.
    """
    WT, woff, bias, off, lo, hi = net
    layers, neurons = len(off) - 1, off[len(off) - 1]
    d, faces = len(free), len(domain_b)
    G, EG = np.zeros((d, neurons)), np.zeros((d, neurons))
    z, ez, slope = np.zeros(neurons), np.zeros(neurons), np.zeros(neurons)
    on, state = np.zeros(neurons, np.uint8), np.zeros(neurons, np.uint8)
    g, delta = np.zeros((neurons + faces, d)), np.zeros((neurons + faces, d))
    fresh, written = 0, 0  # layers whose rows are those of the present pattern; regions written out
    for region in chosen:
        if control[0] != 0:
            break
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
        proved, zeros = placed[region] != 0, False
        for q in range(neurons):
            state[q] = CONSTANT
            if lo[q] == hi[q]:
                proved = proved and on[q] == 0
                continue
            zero = True
            for c in range(d):
                zero = zero and G[c, q] == 0.0 and EG[c, q] == 0.0
            if zero and z[q] == 0.0 and ez[q] == 0.0:
                proved = proved and on[q] == 0
                zeros = True
                continue
            proved = proved and (z[q] > ez[q] if on[q] else -z[q] > ez[q])
            if not zero:
                state[q] = OPEN
                for c in range(d):
                    g[q, c] = G[c, q] / z[q]
                    delta[q, c] = doubt_of(g[q, c], EG[c, q], z[q], ez[q], rounding)
        for i in range(faces):
            value, size = domain_b[i], abs(domain_b[i])
            for k in range(len(point)):
                value -= domain_A[i, k] * point[k]
                size += abs(domain_A[i, k] * point[k])
            error = rounding * size + TINY
            proved = proved and value > error
            for c in range(d):
                g[neurons + i, c] = -domain_A[i, free[c]] / value
                delta[neurons + i, c] = doubt_of(g[neurons + i, c], 0.0, value, error, rounding)
        counters[REGIONS] += 1
        settled = proved
        if alone and zeros:
            settled = False
        elif proved and facets_too:
            settled = settle_cell(region, g, delta, width, bits, listed, rounding, steps, False, state, counters)
        if not settled:
            counters[UNSETTLED] += 1
            out_region[written] = region
            for q in range(neurons):
                out_state[written, q] = state[q]
            out_state[written, neurons] = 1 if proved else 0
            written += 1
    return written


@njit(**JIT)
def settle_cell(region, g, delta, width, bits, listed, rounding, steps, every, state, counters):
    """Settles the OPEN rows of one region as LISTED or REDUNDANT; False where one stays OPEN.

    Row j is 1 + g_j . u, each entry of g known to +-delta; the last rows, beyond those that `state` tells of, are the
    domain's. With `every` the rows that stay open bound the region too, not only those that are LISTED.
    """
    keys, hashes, slots = listed
    neurons, d = len(state), g.shape[1]
    total = len(g)
    rows, doubts = np.empty((total, d)), np.empty((total, d))  # those that bound the region
    member = np.empty(total, np.int64)
    m = 0
    for q in range(total):
        if q < neurons:
            if state[q] == OPEN and is_listed(region, q, bits, keys, hashes, slots):
                state[q] = LISTED
                counters[FLIPS] += 1
            if state[q] != LISTED and not (every and state[q] == OPEN):
                continue
        member[m] = q
        for c in range(d):
            rows[m, c], doubts[m, c] = g[q, c], delta[q, c]
        m += 1
    # lengths in units of the nearest rows, by powers of two
    scale, low, high, reach = np.empty(d), np.empty(d), np.empty(d), np.empty(d)
    bounded = True
    for c in range(d):
        largest = 0.0
        for i in range(m):
            largest = max(largest, abs(rows[i, c]))
        scale[c] = 2.0 ** -np.floor(np.log2(largest)) if 0.0 < largest < np.inf else 1.0
        for i in range(m):
            rows[i, c] *= scale[c]
            doubts[i, c] = doubts[i, c] * scale[c] + TINY
        bounded = bounded and width[c] < np.inf
        reach[c] = width[c] / scale[c]
        low[c], high[c] = -reach[c], reach[c]
    settled = apart(member, m, neurons, rows, doubts, d, rounding, state)
    T = np.zeros((m + 1, d + 1))
    basic, place, column = np.zeros(m, np.int64), np.zeros(m + d, np.int64), np.zeros(d, np.int64)
    goal, spread, work = np.zeros(d), np.zeros(d), np.zeros((d, 2 * d))
    start_dictionary(rows, m, d, T, basic, place, column)
    if bounded:
        for t in range(2 * d):
            c, sign = t >> 1, 1.0 - 2.0 * (t & 1)
            goal[:] = 0.0
            goal[c] = sign
            if minimise(T, m, d, basic, place, column, goal, steps):
                bound = bound_on_box(T, m, d, column, rows, doubts, goal, spread, reach, rounding) - 1.0
                bound -= rounding * (1.0 + abs(bound))
                if sign > 0.0:
                    low[c] = max(low[c], bound)
                else:
                    high[c] = min(high[c], -bound)
        for c in range(d):
            reach[c] = max(abs(low[c]), abs(high[c]))
    for q in range(neurons):
        if state[q] != OPEN:
            continue
        middle, half = 1.0, rounding
        for c in range(d):
            goal[c] = g[q, c] * scale[c]
            spread[c] = delta[q, c] * scale[c] + TINY
            if bounded:
                middle += goal[c] * (0.5 * (low[c] + high[c]))
                half += abs(goal[c]) * (0.5 * (high[c] - low[c]))
                half += (spread[c] + 8.0 * rounding * abs(goal[c])) * reach[c]
        if bounded and middle - half * (1.0 + rounding) > rounding * (1.0 + abs(middle)):
            state[q] = REDUNDANT
            continue
        for attempt in range(2):
            if attempt:  # round-off may have piled up in the dictionary
                start_dictionary(rows, m, d, T, basic, place, column)
            if minimise(T, m, d, basic, place, column, goal, steps):
                if bounded:
                    bound = bound_on_box(T, m, d, column, rows, doubts, goal, spread, reach, rounding)
                else:
                    bound = bound_on_cone(T, m, d, column, rows, doubts, goal, spread, rounding, work)
                if bound > 0.0:
                    state[q] = REDUNDANT
                    break
        settled = settled and state[q] == REDUNDANT
    return settled


@njit(**JIT)
def doubt_of(quotient, row_error, value, value_error, rounding):
    """A bound on |computed - exact| of one entry of a row divided by its value."""
    least = abs(value) - value_error
    doubt = row_error / least + abs(quotient) * (value_error / least)  # in an order that does not underflow
    return (doubt + rounding * abs(quotient)) * (1.0 + rounding) + TINY


@njit(**JIT)
def apart(member, m, neurons, g, delta, d, rounding, state):
    """Whether no two neurons' rows can lie on one hyperplane; those that may become OPEN."""
    settled = True
    for i in range(m):
        for j in range(i):
            if member[i] < neurons and member[j] < neurons:
                same = True
                for c in range(d):
                    room = delta[i, c] + delta[j, c] + rounding * (abs(g[i, c]) + abs(g[j, c]))
                    same = same and not abs(g[i, c] - g[j, c]) > room
                if same:
                    state[member[i]] = OPEN
                    state[member[j]] = OPEN
                    settled = False
    return settled
