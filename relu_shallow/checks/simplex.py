"""The compiled small simplex of the closure check, and bounds on its answers with every rounding counted.

A dictionary in exchange form that starts from the interior point u = 0 of {1 + g_i . u >= 0}. It shares nothing with
the search's: a wrong exchange can only make a bound too weak.
"""

import numpy as np

from relu_shallow.lp.jit import njit
from relu_shallow.lp.kernel import JIT  # flags of the compiler, no code
from relu_shallow.precision import UNIT

FLAT = 32 * UNIT  # of a price or a ratio: below this, of the size of the others, it is none
STEEP = float(np.sqrt(2 * UNIT)) / 1024  # the slowest fall that counts as meeting a row
HALF = 0.5  # |I - g_B X| above this: X is no inverse to go by


@njit(**JIT)
def start_dictionary(g, m, d, T, basic, place, column):
    """Slack i = 1 + g_i . u in terms of the free u: variable i < m is slack i, m + c is u_c.

    basic[i] is the variable of row i, column[k] that of column k; place[v] is v's row, or -1 - its column.
    """
    for i in range(m):
        for c in range(d):
            T[i, c] = g[i, c]
        T[i, d] = 1.0
        basic[i] = i
        place[i] = i
    for c in range(d):
        place[m + c] = -1 - c
        column[c] = m + c


@njit(**JIT)
def pivot(T, rows, d, r, c):
    """Exchanges the variables of row r and column c."""
    inverse = 1.0 / T[r, c]
    for k in range(d + 1):
        T[r, k] *= -inverse
    T[r, c] = inverse
    for i in range(rows):
        if i != r:
            factor = T[i, c]
            if factor != 0.0:
                for k in range(d + 1):
                    T[i, k] += factor * T[r, k]
                T[i, c] = factor * inverse


@njit(**JIT)
def minimise(T, m, d, basic, place, column, goal, steps):
    """Brings T to a vertex where goal . u is least; False where none was found. Row m of T is the objective."""
    objective = m
    for k in range(d + 1):
        T[objective, k] = 0.0
    for c in range(d):
        if goal[c] != 0.0:
            at = place[m + c]
            if at < 0:
                T[objective, -1 - at] += goal[c]
            else:
                for k in range(d + 1):
                    T[objective, k] += goal[c] * T[at, k]
    size = 0.0
    for k in range(d):
        size += abs(T[objective, k])
    for step in range(steps):
        entering, best = -1, 0.0
        for k in range(d):
            price = T[objective, k]
            if column[k] >= m:  # a free variable enters first, whichever way it helps
                if abs(price) > FLAT * size and (entering < 0 or column[entering] < m or abs(price) > best):
                    entering, best = k, abs(price)
            elif price < -FLAT * size and (entering < 0 or (column[entering] < m and -price > best)):
                if step * 2 > steps and entering >= 0:
                    continue
                entering, best = k, -price
        if entering < 0:
            return True
        way = 1.0
        if column[entering] >= m and T[objective, entering] > 0.0:
            way = -1.0
        leaving, reach, steepest = -1, np.inf, 0.0
        for i in range(m):
            if basic[i] < m:
                rate = way * T[i, entering]
                if rate < -STEEP:
                    ratio = max(T[i, d], 0.0) / -rate
                    if ratio < reach * (1.0 - FLAT) or (ratio <= reach * (1.0 + FLAT) and -rate > steepest):
                        leaving, reach, steepest = i, min(ratio, reach), -rate
        if leaving < 0:
            return False
        pivot(T, m + 1, d, leaving, entering)
        old, new = basic[leaving], column[entering]
        basic[leaving], column[entering] = new, old
        place[new], place[old] = leaving, -1 - entering
    return False


@njit(**JIT)
def bound_on_box(T, m, d, column, g, delta, goal, spread, width, rounding):
    """A lower bound on 1 + goal . u, goal known to +-spread, over {1 + g_i . u >= 0} where |u_c| <= width_c.

    With the multipliers mu >= 0 that the dictionary's objective shows, goal . u = sum mu_i g_i . u + rest . u
    >= -sum mu_i - |rest| . width (Neumaier and Shcherbina 2004).
    """
    total = 0.0
    for k in range(d):
        if column[k] < m and T[m, k] > 0.0:
            total += T[m, k]
    bound = 1.0 - total
    for c in range(d):
        rest, size = goal[c], abs(goal[c])
        doubt = spread[c]
        for k in range(d):
            if column[k] < m and T[m, k] > 0.0:
                part = T[m, k] * g[column[k], c]
                rest -= part
                size += abs(part)
                doubt += T[m, k] * delta[column[k], c]
        bound -= (abs(rest) + doubt + rounding * size) * width[c]
    return bound - rounding * (2.0 + 2.0 * total + abs(bound))


@njit(**JIT)
def bound_on_cone(T, m, d, column, g, delta, goal, spread, rounding, work):
    """The same where u is unbounded: goal must be a combination of d rows, exactly, with multipliers above zero.

    The multipliers are the solution of a linear system. With an approximate inverse X of the rows g_B, M = I - g_B X
    and the residual r of the approximate multipliers, their error is at most |r X|_1 / (1 - max_i sum_j |M_ij|).
    """
    for k in range(d):
        if column[k] >= m or T[m, k] <= 0.0:
            return -1.0
    # Gauss-Jordan on the d rows
    for i in range(d):
        for c in range(d):
            work[i, c] = g[column[i], c]
            work[i, d + c] = 1.0 if i == c else 0.0
    for k in range(d):
        best = k
        for i in range(k + 1, d):
            if abs(work[i, k]) > abs(work[best, k]):
                best = i
        if work[best, k] == 0.0:
            return -1.0
        if best != k:
            for t in range(2 * d):
                work[k, t], work[best, t] = work[best, t], work[k, t]
        inverse = 1.0 / work[k, k]
        for t in range(2 * d):
            work[k, t] *= inverse
        for i in range(d):
            if i != k:
                factor = work[i, k]
                for t in range(2 * d):
                    work[i, t] -= factor * work[k, t]
    eta = 0.0
    for i in range(d):
        row = 0.0
        for j in range(d):
            entry = 1.0 if i == j else 0.0
            size = entry
            doubt = 0.0
            for c in range(d):
                part = g[column[i], c] * work[c, d + j]
                entry -= part
                size += abs(part)
                doubt += delta[column[i], c] * abs(work[c, d + j])
            row += abs(entry) + rounding * size + doubt
        eta = max(eta, row)
    if not eta < HALF:
        return -1.0
    total, least = 0.0, np.inf
    for k in range(d):
        total += T[m, k]
        least = min(least, T[m, k])
    error = 0.0
    for j in range(d):
        part = 0.0
        for c in range(d):
            rest, size = goal[c], abs(goal[c])
            doubt = spread[c]
            for k in range(d):
                product = T[m, k] * g[column[k], c]
                rest -= product
                size += abs(product)
                doubt += T[m, k] * delta[column[k], c]
            part += (abs(rest) + doubt + rounding * size) * abs(work[c, d + j])
        error += part
    error = error / (1.0 - eta) * (1.0 + rounding)
    if not least > error:
        return -1.0
    return 1.0 - total - error - rounding * (2.0 + 2.0 * total)
