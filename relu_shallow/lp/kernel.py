"""The compiled simplex: one linear function over one cell, climbed from a vertex the search already stands on.

A cell is {y : A_i y + b_i >= 0} inside the unit box. The arrays, all owned by the caller:

    AT     (d + 1, rows)  row i of A is AT[:d, i], of unit norm; AT[d, i] is -nu_i (used by the inscribed ball only);
                          row 0 is the ball's own "r >= 0" and is all zero in the first d coordinates
    b      (rows,)        constants b_i
    slack  (rows,)        A_i y + b_i at the current vertex
    y      (d,)           the current vertex
    basis  (d,)           the d rows that are zero at y
    binv   (d, d)         inverse of the matrix whose rows are A[basis]; column i is the edge that leaves row basis[i]
    price  (d,)           out: h . binv; all <= 0 at a maximum, where -price are the dual multipliers

The primal simplex in this form keeps original rows, so its errors do not pile up in a tableau.
"""

import numpy as np
from numba import njit

# no NaN arises from the finite rows that come in, and the sign of a zero is never looked at: lets min() vectorise
FAST = {"nnan", "nsz", "contract"}

REACHED, OPTIMAL, GAVE_UP = 1, 0, -1
LPS, PIVOTS, REFACTORED = 0, 1, 2


@njit(cache=True, nogil=True)
def refactor(AT, b, slack, y, basis, binv, rows, d, scratch):
    """Recomputes binv, y and slack from the basis (Gauss-Jordan with row pivoting); False where it is singular."""
    for i in range(d):
        for k in range(d):
            scratch[i, k] = AT[k, basis[i]]
            scratch[i, d + k] = 1.0 if i == k else 0.0
    for k in range(d):
        best = k
        for i in range(k + 1, d):
            if abs(scratch[i, k]) > abs(scratch[best, k]):
                best = i
        if scratch[best, k] == 0.0:
            return False
        if best != k:
            for t in range(2 * d):
                scratch[k, t], scratch[best, t] = scratch[best, t], scratch[k, t]
        inverse = 1.0 / scratch[k, k]
        for t in range(2 * d):
            scratch[k, t] *= inverse
        for i in range(d):
            if i != k and scratch[i, k] != 0.0:
                factor = scratch[i, k]
                for t in range(k, 2 * d):
                    scratch[i, t] -= factor * scratch[k, t]
    for i in range(d):
        for k in range(d):
            binv[i, k] = scratch[i, d + k]
    for i in range(d):
        total = 0.0
        for k in range(d):
            total -= binv[i, k] * b[basis[k]]
        y[i] = total
    refresh_slack(AT, b, slack, y, rows, d)
    for k in range(d):
        slack[basis[k]] = 0.0
    return True


@njit(cache=True, nogil=True, fastmath=FAST)
def refresh_slack(AT, b, slack, y, rows, d):
    """slack = A y + b for the first `rows` rows."""
    for i in range(rows):
        slack[i] = b[i]
    for k in range(d):
        step = y[k]
        for i in range(rows):
            slack[i] += AT[k, i] * step


@njit(cache=True, nogil=True, fastmath=FAST)
def climb(AT, b, slack, y, basis, binv, rows, d, h, constant, target, price, edge, denom, ratio, scratch, counters, limits):
    """Climbs h . y + constant from the current vertex until it exceeds `target` or is proved maximal.

    REACHED: the vertex exceeds the target. OPTIMAL: no edge rises (to rounding), price holds h . binv.
    GAVE_UP: too many pivots or a singular basis. `limits` = (pivot tolerance, price tolerance, refactor period,
    largest number of pivots, number of degenerate steps before Bland's rule).
    """
    counters[LPS] += 1
    flattest, price_tolerance = limits[0], limits[1]
    period, most, patience = int(limits[2]), int(limits[3]), int(limits[4])
    give, steep = limits[9], limits[10]
    value = constant
    size = 0.0
    for k in range(d):
        value += h[k] * y[k]
        size += abs(h[k])
    degenerate = 0
    for step in range(most):
        if value > target:
            return REACHED
        # steepest edge: the rise per unit length; under suspicion of cycling the lowest row index (Bland)
        for i in range(d):
            price[i] = 0.0
        for k in range(d):
            hk = h[k]
            for i in range(d):
                price[i] += hk * binv[k, i]
        leaving = -1
        best = 0.0
        length = 1.0
        for i in range(d):
            if price[i] > 0.0:
                squared = 0.0
                for k in range(d):
                    squared += binv[k, i] * binv[k, i]
                norm = np.sqrt(squared)
                rise = price[i] / norm
                if rise <= price_tolerance * size:
                    continue
                if degenerate > patience:
                    if leaving < 0 or basis[i] < basis[leaving]:
                        leaving, length = i, norm
                elif rise > best:
                    best, leaving, length = rise, i, norm
        if leaving < 0:
            return OPTIMAL
        for k in range(d):
            edge[k] = binv[k, leaving] / length
        for i in range(rows):
            denom[i] = 0.0
        for k in range(d):
            step_k = edge[k]
            for i in range(rows):
                denom[i] += AT[k, i] * step_k
        # ratio test: the first row that reaches zero; among ties the steepest (or, under Bland, the lowest index)
        # (Harris: every row may give way by `give`, which buys pivots away from zero)
        for i in range(rows):
            ratio[i] = (max(slack[i], 0.0) + give) / -denom[i] if denom[i] < -flattest else np.inf
        reach = np.inf
        for i in range(rows):
            reach = min(reach, ratio[i])
        if reach == np.inf:
            return GAVE_UP
        entering = -1
        for i in range(rows):
            if ratio[i] <= reach or (denom[i] < -flattest and slack[i] <= -denom[i] * reach):
                if entering < 0 or (degenerate <= patience and denom[i] < denom[entering]):
                    entering = i
        reach = max(slack[entering], 0.0) / -denom[entering]
        counters[PIVOTS] += 1
        degenerate = degenerate + 1 if reach <= flattest else 0
        for k in range(d):
            y[k] += reach * edge[k]
        for i in range(rows):
            slack[i] += reach * denom[i]
        slack[basis[leaving]] = reach / length
        slack[entering] = 0.0
        # binv: column `leaving` is scaled, the others lose their part along the entering row
        for i in range(d):
            price[i] = 0.0
        for k in range(d):
            a = AT[k, entering]
            for i in range(d):
                price[i] += a * binv[k, i]
        pivot = 1.0 / price[leaving]
        for k in range(d):
            scaled = binv[k, leaving] * pivot
            for i in range(d):
                binv[k, i] -= price[i] * scaled
            binv[k, leaving] = scaled
        basis[leaving] = entering
        counters[REFACTORED] += 1
        if counters[REFACTORED] >= period or denom[entering] > -steep:
            counters[REFACTORED] = 0
            if not refactor(AT, b, slack, y, basis, binv, rows, d, scratch):
                return GAVE_UP
        value = constant
        for k in range(d):
            value += h[k] * y[k]
    return GAVE_UP


@njit(cache=True, nogil=True)
def safe_maximum(AT, b, error, basis, d, h, constant, price, relative):
    """An upper bound on h . y + constant over the cell that holds whatever the simplex did, all rounding counted.

    With mu = max(-price, 0) and the residual rest = h + sum mu_i A_i: on the cell A_i y + b_i >= -error_i, and |y_k| <= 1,
    so h . y + constant <= constant + sum mu_i (b_i + error_i) + |rest|_1 (Neumaier and Shcherbina 2004, on a unit box).
    """
    bound = constant
    size = abs(constant)
    for i in range(d):
        if price[i] < 0.0:
            row = basis[i]
            bound -= price[i] * (b[row] + error[row])
            size -= price[i] * (abs(b[row]) + error[row])
    for k in range(d):
        rest = h[k]
        size += abs(h[k])
        for i in range(d):
            if price[i] < 0.0:
                part = price[i] * AT[k, basis[i]]
                rest -= part
                size += abs(part)
        bound += abs(rest)
    return bound + relative * size
