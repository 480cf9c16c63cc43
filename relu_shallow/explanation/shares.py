"""Compiled sums of Shapley contributions over a sub-cube: of an affine map, of few features, of a single neuron.

A game on d features is a value v(S) of every coalition S. On a sub-cube the features of P are in, those of Q are out,
and those of F are free; p, q, m are their numbers. With V(u) the mean of v over coalitions that every free feature
joins with probability u, a Shapley value is an integral (Owen 1972, multilinear extensions of games), in which the
sub-cube's part is

    i in P:    integral of u^(p-1) (1-u)^q V(u)            i in Q:    - integral of u^p (1-u)^(q-1) V(u)
    i in F:    integral of u^p (1-u)^q (V(u | i in) - V(u | i out))

so that a free feature on which v does not depend drops out, and powers of u give Beta functions. Here, everywhere:

    beta    (D + 3, D + 3)  B(a, b) for a, b >= 1
    phi     (K, d)          the contributions of K outputs, added to
    path    (d,), p, q      P is path[:p], Q is path[d - q:]
    F       (m,)            the free features' numbers in 0..d-1
    A, c    (n, m), (n,)    z_j = A_j s + c_j + sum over k < j of M_jk relu(z_k), for n neurons, s in {0, 1}^m
    M, V    (n, n), (K, n)  v = sum over j of V_j relu(z_j)
    work    (3,)            units of work done, the most that are allowed, and 1 where the work is to be left
"""

import numpy as np

from relu_shallow.lp.jit import njit
from relu_shallow.lp.kernel import JIT, LEAN

# Sums may be taken in any order: their rounding is bounded by the number of terms.
SUMS = {**JIT, "fastmath": {"nnan", "nsz", "contract", "reassoc"}}
LOW = 7  # 2^7 hybrids of all neurons fit the first cache
HALVES = 14  # features from which on a single neuron is summed by halves (measured)
MOST_HALVED = 40  # and up to which: 2^20 sums a half, about a second


def beta_table(most: int) -> np.ndarray:
    """B(a, b) = (a-1)! (b-1)! / (a+b-1)! for 1 <= a, b <= most + 2, each a product of correctly rounded ratios."""
    size = most + 3
    table = np.zeros((size, size))
    for a in range(1, size):
        table[a, 1] = 1.0 / a
        for b in range(1, size - 1):
            table[a, b + 1] = table[a, b] * b / (a + b)
    return table


@njit(**LEAN)
def add_affine(constant, slopes, F, path, p, q, beta, phi):
    """Adds the contributions of v = constant + slopes s, of K outputs."""
    d = path.size
    for o in range(constant.size):
        total = 0.0
        for i in range(F.size):
            total += slopes[o, i]
            phi[o, F[i]] += slopes[o, i] * beta[p + 1, q + 1]
        if p > 0:
            share = constant[o] * beta[p, q + 1] + total * beta[p + 1, q + 1]
            for i in range(p):
                phi[o, path[i]] += share
        if q > 0:
            share = constant[o] * beta[p + 1, q] + total * beta[p + 2, q]
            for i in range(d - q, d):
                phi[o, path[i]] -= share


@njit(**LEAN)
def _add_fixed(inside, outside, scale, path, p, q, phi, o):
    """Adds output o's sums of v W_in and v W_out to the features that are fixed."""
    for i in range(p):
        phi[o, path[i]] += scale * inside
    for i in range(path.size - q, path.size):
        phi[o, path[i]] -= scale * outside


@njit(**LEAN)
def _weights(m, p, q, beta, w_in, w_out):
    """W_in(t) = B(p + t, q + m - t + 1), W_out(t) = B(p + t + 1, q + m - t) for t of m free features in.

    Where no feature is in, or none is out, the weight belongs to none and is 0.
    """
    for t in range(m + 1):
        w_in[t] = beta[p + t, q + m - t + 1] if p + t > 0 else 0.0
        w_out[t] = beta[p + t + 1, q + m - t] if q + m - t > 0 else 0.0


@njit(**SUMS)
def add_enumerated(A, c, M, V, F, path, p, q, beta, phi):
    """Adds the contributions of v by evaluating it at all 2^m hybrids.

    The lowest features run through blocks of 2^t hybrids side by side: sums over them are worked out once, and every
    loop over a block is over contiguous memory.
    """
    n, m, K = c.size, F.size, V.shape[0]
    t = min(m, LOW)
    width, tall = 1 << t, m - t
    w_in, w_out = np.empty(m + 1), np.empty(m + 1)
    _weights(m, p, q, beta, w_in, w_out)
    size = np.zeros(width, np.int64)
    offset = np.zeros((n, width))
    for i in range(t):
        half = 1 << i
        for h in range(half):
            size[half + h] = size[h] + 1
        for j in range(n):
            for h in range(half):
                offset[j, half + h] = offset[j, h] + A[j, i]
    both = np.empty((tall + 1, width))
    for high in range(tall + 1):
        for h in range(width):
            both[high, h] = w_in[high + size[h]] + w_out[high + size[h]]
    R, value = np.empty((n, width)), np.empty(width)
    summed = np.zeros((K, tall + 1, width))
    start = np.empty(n)
    first = np.zeros(n, np.int64)  # weights before it are zero
    for j in range(n):
        while first[j] < j and M[j, first[j]] == 0.0:
            first[j] += 1
    for high in range(1 << tall):
        ones = 0
        for j in range(n):
            start[j] = c[j]
        for bit in range(tall):
            if high >> bit & 1:
                ones += 1
                for j in range(n):
                    start[j] += A[j, t + bit]
        for j in range(n):
            row = R[j]
            for h in range(width):
                row[h] = offset[j, h] + start[j]
            k = first[j]
            while k + 7 < j:
                a0, a1, a2, a3 = M[j, k], M[j, k + 1], M[j, k + 2], M[j, k + 3]
                a4, a5, a6, a7 = M[j, k + 4], M[j, k + 5], M[j, k + 6], M[j, k + 7]
                r0, r1, r2, r3 = R[k], R[k + 1], R[k + 2], R[k + 3]
                r4, r5, r6, r7 = R[k + 4], R[k + 5], R[k + 6], R[k + 7]
                for h in range(width):
                    row[h] += (
                        (a0 * r0[h] + a1 * r1[h]) + (a2 * r2[h] + a3 * r3[h])
                        + (a4 * r4[h] + a5 * r5[h]) + (a6 * r6[h] + a7 * r7[h])
                    )
                k += 8
            while k < j:
                a0, r0 = M[j, k], R[k]
                if a0 != 0.0:
                    for h in range(width):
                        row[h] += a0 * r0[h]
                k += 1
            for h in range(width):
                row[h] = max(row[h], 0.0)
        for o in range(K):
            for h in range(width):
                value[h] = 0.0
            for j in range(n):
                a0, r0 = V[o, j], R[j]
                if a0 != 0.0:
                    for h in range(width):
                        value[h] += a0 * r0[h]
            kept, weight, share = summed[o, ones], both[ones], 0.0
            for h in range(width):
                kept[h] += value[h]
                share += value[h] * weight[h]
            for bit in range(tall):
                if high >> bit & 1:
                    phi[o, F[t + bit]] += share
    for o in range(K):
        inside, outside = 0.0, 0.0
        for h in range(width):
            value[h] = 0.0
        for ones in range(tall + 1):
            for h in range(width):
                inside += summed[o, ones, h] * w_in[ones + size[h]]
                outside += summed[o, ones, h] * w_out[ones + size[h]]
                value[h] += summed[o, ones, h] * both[ones, h]
        for i in range(t):
            for h in range(width):
                if h >> i & 1:
                    phi[o, F[i]] += value[h]
        for i in range(m):
            phi[o, F[i]] -= outside
        _add_fixed(inside, outside, 1.0, path, p, q, phi, o)


@njit(**JIT)
def _rising_subsets(A, begin, count):
    """(sums, members, sizes) of all subsets of `count` slopes of the first neuron, sums rising, members as bits.

    A slope more merges two rising lists: the sums without it, and with it.
    """
    room = 1 << count
    sums, members, size = np.zeros(room), np.zeros(room, np.int64), np.zeros(room, np.int64)
    new_sums, new_members, new_size = np.empty(room), np.empty(room, np.int64), np.empty(room, np.int64)
    for i in range(count):
        length, without, having, slope = 1 << i, 0, 0, A[0, begin + i]
        for k in range(2 * length):
            if having == length or (without < length and sums[without] <= sums[having] + slope):
                new_sums[k], new_members[k], new_size[k] = sums[without], members[without], size[without]
                without += 1
            else:
                new_sums[k], new_size[k] = sums[having] + slope, size[having] + 1
                new_members[k] = members[having] | 1 << i
                having += 1
        for k in range(2 * length):
            sums[k], members[k], size[k] = new_sums[k], new_members[k], new_size[k]
    return sums, members, size


@njit(**JIT)
def _half_sums(c, mine, size, ours, others, size_others, w_in, w_out, share):
    """For every subset of my half, the weighted sums of relu(c + mine + other) over all subsets of the other half.

    `share` gets the sums weighed by W_in + W_out; returned are those by W_in and by W_out over everything. The other
    half's subsets are passed from the largest sum on, and how many keep relu open grows with my sum.
    """
    count = others.size
    reach = np.empty(mine.size, np.int64)
    k = 0
    for own in range(mine.size):
        while k < count and c + mine[own] + others[count - 1 - k] > 0.0:
            k += 1
        reach[own] = k
    number_in, number_out = np.zeros(count + 1), np.zeros(count + 1)
    sum_in, sum_out = np.zeros(count + 1), np.zeros(count + 1)
    inside, outside = 0.0, 0.0
    for now in range(ours + 1):
        for k in range(count):
            other = count - 1 - k
            a, b, z = w_in[now + size_others[other]], w_out[now + size_others[other]], others[other]
            number_in[k + 1] = number_in[k] + a
            number_out[k + 1] = number_out[k] + b
            sum_in[k + 1] = sum_in[k] + a * z
            sum_out[k + 1] = sum_out[k] + b * z
        for own in range(mine.size):
            if size[own] == now:
                k, z = reach[own], c + mine[own]
                a = z * number_in[k] + sum_in[k]
                b = z * number_out[k] + sum_out[k]
                share[own] = a + b
                inside += a
                outside += b
    return inside, outside


@njit(**JIT)
def add_neuron(A, c, V, F, path, p, q, beta, phi):
    """Adds the contributions of a single neuron by meeting in the middle: about m 2^(m/2) steps for m features.

    The features are two halves; what a subset of one half adds is summed over all subsets of the other at once.
    """
    m, K = F.size, V.shape[0]
    w_in, w_out = np.empty(m + 1), np.empty(m + 1)
    _weights(m, p, q, beta, w_in, w_out)
    left = m // 2
    mine, members, size = _rising_subsets(A, 0, left)
    others, members_others, size_others = _rising_subsets(A, left, m - left)
    for side in range(2):
        begin, ours = (left, m - left) if side else (0, left)
        share = np.empty(mine.size)
        inside, outside = _half_sums(c[0], mine, size, ours, others, size_others, w_in, w_out, share)
        for o in range(K):
            if side == 0:
                _add_fixed(inside, outside, V[o, 0], path, p, q, phi, o)
            for i in range(ours):
                joined = 0.0
                for h in range(mine.size):
                    if members[h] >> i & 1:
                        joined += share[h]
                phi[o, F[begin + i]] += V[o, 0] * (joined - outside)
        mine, others = others, mine
        members, members_others = members_others, members
        size, size_others = size_others, size
