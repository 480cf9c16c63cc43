"""The compiled part of sampling: draws pairs of orders, walks them through a dense network, sums up the strata.

Arrays: K background rows, n inputs, m outputs, P pairs drawn, S strata, C = n + G columns (features, then groups).

    key       64-bit number: the draws are a function of it and of nothing else
    lo, hi    (S,)        a stratum is the background rows members[lo[s]:hi[s]]; cum their weights, summed up to 1 in it
    pairs     (S,)        antithetic pairs drawn in each stratum
    bs, d     (P,)        each pair's background row, and in how many features x differs from it
    orders    (P, n)      these features in random order, in the first d[p] places
    gains     (P, m, n)   what each feature gains in a pair: the mean of its gains in the order and in the reverse

Layers l = 1..L of the dense network lie end to end as `network.stacked` puts them.
"""

import numpy as np

from relu_shallow.lp.jit import njit
from relu_shallow.lp.kernel import FAST, JIT

STEP, FIRST, SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
LOW, UNIT = np.uint64(0xFFFFFFFF), 2.0**-53


@njit(**JIT)
def mixed(state):
    """The random 64 bits of a state (SplitMix64; Steele, Lea and Flood, OOPSLA 2014); states advance by STEP."""
    z = (state ^ (state >> np.uint64(30))) * FIRST
    z = (z ^ (z >> np.uint64(27))) * SECOND
    return z ^ (z >> np.uint64(31))


@njit(**JIT)
def draw(key, members, cum, lo, hi, pairs, x, B, bs, d, orders):
    """Fills bs, d and orders: in each stratum background rows by weight, each with a random order of features."""
    n = len(x)
    state = np.uint64(key)
    p = 0
    for s in range(len(pairs)):
        for _ in range(pairs[s]):
            at = lo[s]
            if hi[s] - lo[s] > 1:
                state += STEP
                u = (mixed(state) >> np.uint64(11)) * UNIT
                at += np.searchsorted(cum[lo[s] : hi[s]], u, side="right")
                at = min(at, hi[s] - 1)
            b = members[at]
            count = 0
            for i in range(n):
                if x[i] != B[b, i]:
                    orders[p, count] = i
                    count += 1
            for k in range(count - 1, 0, -1):  # Fisher and Yates; the bias of the range is k 2^-32
                state += STEP
                j = np.int64(((mixed(state) & LOW) * np.uint64(k + 1)) >> np.uint64(32))
                orders[p, k], orders[p, j] = orders[p, j], orders[p, k]
            bs[p] = b
            d[p] = count
            p += 1


@njit(**FAST)
def bend(z, h, rows, width, bias, slope0, slope1, start):
    """h = gate(z + bias) for the first `rows` rows, with the layer's numbers from `start` on."""
    for r in range(rows):
        for j in range(width):
            value = z[r, j] + bias[start + j]
            h[r, j] = value * (slope1[start + j] if value > 0 else slope0[start + j])


@njit(**JIT)
def outputs_at(first, rows, spare, WT, woff, bias, off, slope0, slope1, WoutT, bout, out):
    """out[:rows] = the network's outputs where first pre-activations, less their bias, are first[:rows]."""
    width = off[1]
    z = first[:rows]
    for layer in range(len(off) - 1):
        width = off[layer + 1] - off[layer]
        h = spare[0, : rows * width].reshape(rows, width)
        bend(z, h, rows, width, bias, slope0, slope1, off[layer])
        if layer < len(off) - 2:
            above = off[layer + 2] - off[layer + 1]
            W = WT[woff[layer + 1] : woff[layer + 1] + width * above].reshape(width, above)
            z = spare[1, : rows * above].reshape(rows, above)
            np.dot(h, W, z)
    np.dot(spare[0, : rows * width].reshape(rows, width), WoutT, out[:rows])
    for r in range(rows):
        for k in range(len(bout)):
            out[r, k] += bout[k]


@njit(**FAST)
def steps_of(x, b_row, zb, zx, W1T, order, count, points, at):
    """Fills points[at:] with first pre-activations (no bias) at `count` coalitions from b to x, then at complements."""
    width = len(zb)
    for s in range(count):
        i = order[s]
        step = x[i] - b_row[i]
        for j in range(width):
            before = points[at + s - 1, j] if s > 0 else zb[j]
            points[at + s, j] = before + step * W1T[i, j]
    for s in range(count):
        for j in range(width):
            points[at + count + s, j] = zx[j] + zb[j] - points[at + s, j]


@njit(**FAST)
def gains_of(values, at, count, fb, fx, order, gains):
    """Fills one pair's gains from the outputs that `steps_of` asked for; a reverse order meets the complements."""
    for k in range(len(fx)):
        before = 0.5 * (fb[k] - fx[k])
        for s in range(count):
            now = 0.5 * (values[at + s, k] - values[at + count + s, k])
            gains[k, order[s]] = now - before
            before = now
        gains[k, order[count]] = 0.5 * (fx[k] - fb[k]) - before


@njit(**JIT)
def walk(x, B, ZB, zx, fB, fx, W1T, WT, woff, bias, off, slope0, slope1, WoutT, bout, bs, d, orders, gains, lanes):
    """Fills gains, evaluating about `lanes` hybrids at once.

    ZB, zx are first pre-activations without bias, fB, fx outputs, at the background rows and at x. Gains come in zero.
    """
    lanes = max(lanes, 2 * len(x))
    points = np.empty((lanes, W1T.shape[1]))
    spare = np.empty((2, lanes * np.max(np.diff(off))))
    values = np.empty((lanes, len(bout)))
    begin = 0
    while begin < len(bs):
        rows, end = 0, begin
        while end < len(bs) and rows + 2 * max(d[end] - 1, 0) <= lanes:
            b, count = bs[end], max(d[end] - 1, 0)
            steps_of(x, B[b], ZB[b], zx, W1T, orders[end], count, points, rows)
            rows += 2 * count
            end += 1
        if rows > 0:
            outputs_at(points, rows, spare, WT, woff, bias, off, slope0, slope1, WoutT, bout, values)
        rows = 0
        for p in range(begin, end):
            if d[p] > 0:
                gains_of(values, rows, d[p] - 1, fB[bs[p]], fx, orders[p], gains[p])
                rows += 2 * (d[p] - 1)
        begin = end


@njit(**JIT)
def sum_up(gains, control, pairs, weight, group, columns, total, var, cross, spread, control_total, control_var):
    """Adds the strata's weighted means and the variances of these to the sums (m, C) or, of the control, (m,).

    `control` (P, m) is each pair's value of a quantity of mean zero in its stratum; `group` (n,) each feature's group
    or -1. total = sum of w mean, var = sum of w^2 s^2 / N, cross the same with the covariance between gain and control,
    spread = sum of (w^2 s^2 / N)^2 / (N + 1), for the degrees of freedom. Welford's updates.
    """
    n, m = gains.shape[2], gains.shape[1]
    value, mean, square, product = np.empty(columns), np.empty(columns), np.empty(columns), np.empty(columns)
    p = 0
    for s in range(len(pairs)):
        N, w = pairs[s], weight[s]
        share = w * w / (N * (N - 1.0))
        for k in range(m):
            mean[:] = 0.0
            square[:] = 0.0
            product[:] = 0.0
            c_mean, c_square = 0.0, 0.0
            for t in range(N):
                value[n:] = 0.0
                for i in range(n):
                    value[i] = gains[p + t, k, i]
                    if group[i] >= 0:
                        value[n + group[i]] += value[i]
                c_off = control[p + t, k] - c_mean
                c_mean += c_off / (t + 1)
                c_left = control[p + t, k] - c_mean
                c_square += c_off * c_left
                for i in range(columns):
                    away = value[i] - mean[i]
                    mean[i] += away / (t + 1)
                    square[i] += away * (value[i] - mean[i])
                    product[i] += away * c_left
            for i in range(columns):
                own = share * square[i]
                total[k, i] += w * mean[i]
                var[k, i] += own
                cross[k, i] += share * product[i]
                spread[k, i] += own * own / (N + 1.0)
            control_total[k] += w * c_mean
            control_var[k] += share * c_square
        p += N
