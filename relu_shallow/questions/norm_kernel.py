"""The rest of a node of the nearest-point search, compiled: what its rows say of the box, the least norm, the proof.

Rows A z + a >= 0 come as rows (k, n) and a (k,), a box as lo, hi (n,). `norm` is 1 or 0 (the L-infinity norm). The
programs are those of least_norm.py, the proof is that of `distance.proved_distance`, letter by letter.
"""

import numpy as np

from relu_shallow.lp.jit import njit
from relu_shallow.lp.kernel import JIT, LEAN, ONCE, OPTIMAL, climb, refactor
from relu_shallow.precision import LP_TOLERANCE, SURPLUS, TINY, UNIT
from relu_shallow.questions.cell_kernel import margin_at, relative

ROOT = float(np.sqrt(0.5))


@njit(**LEAN)
def squeeze(rows, a, lo, hi, whole):
    """Narrows a box, in place, to where each row by itself can be >= 0, rounded outward; False where it is empty.

    A row's largest value stays as it is: what moves is the end at which it is not.
    """
    n = len(lo)
    for r in range(len(a)):
        total = size = 0.0
        for j in range(n):
            total += max(rows[r, j] * lo[j], rows[r, j] * hi[j])
            size += abs(rows[r, j]) * max(abs(lo[j]), abs(hi[j]))
        total += a[r]
        total += relative(2 * n + 8) * (size + abs(a[r]))
        for j in range(n):
            g = rows[r, j]
            if g == 0.0:
                continue
            most = max(g * lo[j], g * hi[j])
            others = total - most
            others += relative(4) * (abs(total) + abs(most))
            limit = -others / g
            if not np.isfinite(limit):
                continue
            if g > 0.0:
                limit -= 4.0 * UNIT * abs(limit)
                lo[j] = max(lo[j], np.ceil(limit) if whole[j] else limit)
            else:
                limit += 4.0 * UNIT * abs(limit)
                hi[j] = min(hi[j], np.floor(limit) if whole[j] else limit)
            if lo[j] > hi[j]:
                return False
    return True


@njit(**ONCE)
def telling(rows, a, lo, hi, chosen):
    """Fills `chosen` with the rows that do not hold on the whole box anyway, up to rounding; how many they are."""
    n, count = len(lo), 0
    for r in range(len(a)):
        least_value, size = a[r], abs(a[r])
        for j in range(n):
            least_value += min(rows[r, j] * lo[j], rows[r, j] * hi[j])
            size += abs(rows[r, j]) * max(abs(lo[j]), abs(hi[j]))
        if least_value < -relative(2 * n + 8) * size:
            chosen[count] = r
            count += 1
    return count


@njit(**ONCE)
def first_vertex(norm, low, high, G, h, basis):
    """`least_norm._first_vertex`."""
    n = len(low)
    far, top = 0, -1.0
    for i in range(n):
        u = min(max(0.0, low[i]), high[i])
        if abs(u) > top:
            far, top = i, abs(u)
    short_row, shortest = -1, 0.0
    for r in range(len(h)):
        short = h[r]
        for i in range(n):
            u = min(max(0.0, low[i]), high[i])
            if norm == 0 and top > 0.0 and i != far:
                u = min(top, high[i])
            short -= G[r, i] * u
        if short > shortest:
            short_row, shortest = r, short
    for i in range(n):
        u = min(max(0.0, low[i]), high[i])
        bound = 2 * n + i if u > 0.0 else 3 * n + i
        sized = i if u > 0.0 else n + i
        if norm == 1:
            basis[i] = i if u == 0.0 else bound
            basis[n + i] = n + i if u == 0.0 else sized
        elif i != far:
            basis[i] = i if top <= high[i] else 3 * n + i
        else:
            basis[i] = i if top == 0.0 else bound
            basis[n] = n + i if top == 0.0 else sized
    basis[len(basis) - 1] = 4 * n if short_row < 0 else 4 * n + 1 + short_row


@njit(**ONCE)
def least(norm, low, high, G, h, price, limits, u, dual, slope):
    """`least_norm._climbed`: fills u, dual and slope, returns by how much rows are missed; -1 where it gave up.

    Where u = 0 fits all rows there is nothing to ask.
    """
    k, n = G.shape
    there = True
    for i in range(n):
        u[i] = slope[i] = 0.0
        there = there and low[i] <= 0.0 <= high[i]
    for r in range(k):
        dual[r] = 0.0
        there = there and h[r] <= 0.0
    if there:
        return 0.0
    sizes = 1 if norm == 0 else n
    d, rows = n + sizes + 1, 4 * n + 1 + k
    length, deep = 8 * ((rows + 7) // 8), 4 * ((d + 4) // 4)  # as `climb` wants them (lp.kernel.padded)
    AT, b = np.zeros((deep, length)), np.zeros(length)
    for i in range(n):
        t = n if sizes == 1 else n + i
        AT[i, i] = -ROOT
        AT[t, i] = AT[i, n + i] = AT[t, n + i] = ROOT
        AT[i, 2 * n + i], AT[i, 3 * n + i] = 1.0, -1.0
        b[2 * n + i], b[3 * n + i] = -low[i], high[i]
    AT[d - 1, 4 * n] = 1.0
    for r in range(k):
        for i in range(n):
            AT[i, 4 * n + 1 + r] = ROOT * G[r, i]
        AT[d - 1, 4 * n + 1 + r] = ROOT
        b[4 * n + 1 + r] = -ROOT * h[r]
    basis = np.zeros(d, np.int64)
    first_vertex(norm, low, high, G, h, basis)
    slack, y, binv, scratch = np.zeros(length), np.zeros(d), np.zeros((d, d)), np.zeros((d, 2 * d))
    if not refactor(AT, b, slack, y, basis, binv, rows, d, scratch):
        return -1.0
    cost = np.zeros(d)
    for i in range(n, d - 1):
        cost[i] = -1.0
    cost[d - 1] = -price
    prices = np.zeros(d + 4)
    state = climb(AT, b, slack, y, basis, binv, rows, d, cost, 0.0, np.inf, prices, np.zeros(deep),
                  np.zeros(length), np.zeros(length + d), scratch, np.zeros(3, np.int64), limits)  # fmt: skip
    if state != OPTIMAL:
        return -1.0
    for i in range(n):
        u[i] = y[i]
    for i in range(d):
        value = max(-prices[i], 0.0)
        row = basis[i]
        if row < n:
            slope[row] += ROOT * value
        elif row < 2 * n:
            slope[row - n] -= ROOT * value
        elif row > 4 * n:
            dual[row - 4 * n - 1] = ROOT * value
    return max(y[d - 1], 0.0)


@njit(**ONCE)
def proved(norm, weights, x, lo, hi, A, a, dual, slope):
    """`distance.proved_distance` for the norms 1 and 0, with the slope times weights."""
    n, k = len(x), len(a)
    length = 0.0
    for j in range(n):
        g = abs(slope[j] * weights[j] / weights[j])
        length = length + g if norm == 0 else max(length, g)
    length *= 1.0 + relative(n + 8)
    shrink = 1.0 / (length * (1.0 + 8.0 * UNIT)) if length > 1.0 else 1.0
    fixed = fixed_size = 0.0
    for r in range(k):
        if dual[r] > 0.0:
            value, size = a[r], abs(a[r])
            for j in range(n):
                value += A[r, j] * x[j]
                size += abs(A[r, j]) * abs(x[j])
            fixed += dual[r] * value
            fixed_size += dual[r] * size
    magnitude, empty, bound = fixed_size, -fixed, -fixed
    extra = 0.0
    for j in range(n):
        g = size = 0.0
        for r in range(k):
            if dual[r] > 0.0:
                g += dual[r] * A[r, j]
                size += dual[r] * abs(A[r, j])
        low, high = lo[j] - x[j], hi[j] - x[j]
        reach = max(abs(low), abs(high))
        p = slope[j] * weights[j] * shrink
        magnitude += size * reach
        extra += abs(p) * reach
        empty += min(-g * low, -g * high)
        bound += min((p - g) * low, (p - g) * high)
    rounding = relative(2 * n + 2 * k + 16)
    if empty > rounding * magnitude + TINY:
        return np.inf
    return max(bound - rounding * (magnitude + extra) - TINY, 0.0)


@njit(**ONCE)
def scale_rows(A, a, x, weights, reach, margin, G, h, length):
    """Rows in u = weights (z - x) / reach, of unit norm, the margin as their surplus, into G, h and length."""
    n = len(x)
    for r in range(len(a)):
        square = value = 0.0
        for j in range(n):
            G[r, j] = A[r, j] / weights[j] * reach
            square += G[r, j] * G[r, j]
            value += A[r, j] * x[j]
        length[r] = np.sqrt(square) if square > 0.0 else 1.0
        for j in range(n):
            G[r, j] /= length[r]
        surplus = max(margin[r], SURPLUS * length[r]) if margin[r] > 0.0 else margin[r]
        h[r] = -(value + a[r] - surplus) / length[r]


@njit(**JIT)
def bounded(norm, x, weights, lo, hi, rows, constants, surpluses, reach, prices, limits, z, multipliers):
    """`nearest_cell._bounded`: (the proved bound, whether there is a point); z and the multipliers are filled."""
    n = len(x)
    chosen = np.zeros(len(constants), np.int64)
    k = telling(rows, constants, lo, hi, chosen)
    A, a, margin = np.zeros((k, n)), np.zeros(k), np.zeros(k)
    for r in range(k):
        a[r], margin[r] = constants[chosen[r]], surpluses[chosen[r]]
        for j in range(n):
            A[r, j] = rows[chosen[r], j]
    G, h, length = np.zeros((k, n)), np.zeros(k), np.zeros(k)
    u, dual, slope = np.zeros(n), np.zeros(k), np.zeros(n)
    low, high = np.zeros(n), np.zeros(n)
    for j in range(n):
        low[j], high[j] = weights[j] * (lo[j] - x[j]) / reach, weights[j] * (hi[j] - x[j]) / reach
    best, some = 0.0, False
    for bare in range(2):
        for r in range(k if bare else 0):
            margin[r] = 0.0
        scale_rows(A, a, x, weights, reach, margin, G, h, length)
        fits = False
        for price in prices:
            missed = least(norm, low, high, G, h, price, limits, u, dual, slope)
            if missed < 0.0:
                break
            for r in range(k):
                dual[r] *= reach / length[r]
            bound = proved(norm, weights, x, lo, hi, A, a, dual, slope)
            if not some or bound > best:
                best, some = max(bound, best), True
                for r in range(k):
                    multipliers[chosen[r]] = dual[r]
                for j in range(n):
                    z[j] = min(max(x[j] + u[j] * reach / weights[j], lo[j]), hi[j])
            fits = missed <= LP_TOLERANCE
            if bound >= reach or fits:
                break
        if fits or best >= reach or not some:
            break
    return best, some


@njit(**LEAN)
def pushed(net, C, constants, norm, x, weights, lo, hi, start, direction, steps, limit, found, work):
    """How many (0 or 1) of ever longer steps along a direction were found to meet the goal surely; `found` gets it.

    The first step is twice as long as the goal's fall short asks for where it rises as fast as along its own slope.
    Steps that end no nearer than `limit` are left out.
    """
    n = len(x)
    z, error, h, h_error = work[0], work[1], work[2], work[3]
    step = length = 0.0
    for j in range(n):
        length += direction[j] * direction[j]
    for number in range(steps + 1):
        away = 0.0
        for j in range(n):
            found[j] = min(max(start[j] + step * direction[j], lo[j]), hi[j])
            g = abs(weights[j] * (found[j] - x[j]))
            away = max(away, g) if norm == 0 else (away + g if norm == 1 else away + g * g)
        if norm == 2:
            away = np.sqrt(away)
        value = -np.inf
        unsure = 0.0
        if away < limit or number == 0:
            value, unsure = margin_at(net, C, constants, found, z, h, error, h_error)
            if value > unsure and away < limit:
                return 1
        if length == 0.0:
            break
        step = 2.0 * max(unsure - value, unsure) / length if number == 0 else 2.0 * step
    return 0
