"""The compiled simplex: one linear function over one cell, climbed from a vertex the search already stands on.

A cell is {y : A_i y + b_i >= 0} inside the unit box. The arrays, all owned by the caller:

    AT     (D, rows)      row i of A is AT[:d, i], of unit norm; AT[d, i] is -nu_i (used by the inscribed ball only);
                          row 0 is the ball's own "r >= 0" and is all zero in the first d coordinates; D is `padded(d)`
    b      (rows,)        constants b_i
    slack  (rows,)        A_i y + b_i at the current vertex
    y      (d,)           the current vertex
    basis  (d,)           the d rows that are zero at y
    binv   (d, d)         inverse of the matrix whose rows are A[basis]; column i is the edge that leaves row basis[i]
    price  (d,)           out: h . binv; all <= 0 at a maximum, where -price are the dual multipliers

The primal simplex in this form keeps original rows, so its errors do not pile up in a tableau.
"""

from typing import Any

import numpy as np
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import PassManager

from relu_shallow.lp.jit import njit


def _can_cache() -> bool:
    """Whether compiled code can be kept: beside this file, or in the user's cache folder."""

    def probe() -> None:
        pass

    try:
        njit(cache=True)(probe)
    except RuntimeError:  # no folder that can be written
        return False
    return True


class Apart(CompilerBase):
    """Numba's compiler with the promise that arrays passed do not overlap, which spares every loop a look (12 %)."""

    def define_pipelines(self) -> list[PassManager]:
        """The usual passes, told so."""
        self.state.flags.noalias = True
        return [DefaultPassBuilder.define_nopython_pipeline(self.state)]


# Divisions unchecked (their zeros are tested beforehand), so that loops with one vectorise.
JIT: dict[str, Any] = {"cache": _can_cache(), "nogil": True, "error_model": "numpy"}
# Numba compiles a function again inside each one that calls it: what is called from one place is put there instead.
ONCE: dict[str, Any] = {**JIT, "inline": "always"}
# For functions that make no array: the arrays passed are not counted in and out (10 % of the search).
LEAN: dict[str, Any] = {**JIT, "_nrt": False, "no_cfunc_wrapper": True}
# No NaN arises from the finite rows that come in, and the sign of a zero is never looked at. What proves a bound goes
# without it.
FAST: dict[str, Any] = {**LEAN, "fastmath": {"nnan", "nsz", "contract"}}

REACHED, OPTIMAL, GAVE_UP = 1, 0, -1
LPS, PIVOTS, REFACTORED = 0, 1, 2


def padded(d: int) -> int:
    """How many coordinates the arrays AT and edge hold for d and the ball's radius: a multiple of four."""
    return 4 * ((d + 4) // 4)


@njit(**LEAN)
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


@njit(**FAST)
def refresh_slack(AT, b, slack, y, rows, d):
    """slack = A y + b for the first `rows` rows."""
    for i in range(rows):
        slack[i] = b[i]
    for k in range(d):
        step = y[k]
        for i in range(rows):
            slack[i] += AT[k, i] * step


@njit(**FAST)
def smallest(values, count):
    """The least of the first `count` values; four chains, since one would wait for each comparison in turn."""
    a = b = c = d = np.inf
    i = 0
    while i + 3 < count:
        a = min(a, values[i])
        b = min(b, values[i + 1])
        c = min(c, values[i + 2])
        d = min(d, values[i + 3])
        i += 4
    while i < count:
        a = min(a, values[i])
        i += 1
    return min(min(a, b), min(c, d))


@njit(**FAST, pipeline_class=Apart)
def climb(
    AT, b, slack, y, basis, binv, rows, d, h, constant, target, price, edge, denom, ratio, scratch, counters, limits
):
    """Climbs h . y + constant from the current vertex until it exceeds `target` or is proved maximal.

    REACHED: the vertex exceeds the target. OPTIMAL: no edge rises (to rounding), price holds h . binv.
    GAVE_UP: too many pivots or a singular basis. `limits` = (pivot tolerance, price tolerance, refactor period,
    largest number of pivots, number of degenerate steps before Bland's rule). No two of the arrays may overlap. Slacks
    beyond `rows`, up to a multiple of eight, are overwritten.
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
    flat = (price_tolerance * size) ** 2
    degenerate = 0
    for k in range(d, len(edge)):
        edge[k] = 0.0
    stop = min(8 * ((rows + 7) // 8), len(slack))
    for i in range(rows, stop):  # rows that fill the vectors and never meet an edge
        slack[i] = np.inf
    result = GAVE_UP
    for _ in range(most):
        if value > target:
            result = REACHED
            break
        # steepest edge: the rise per unit length; under suspicion of cycling the lowest row index (Bland)
        leaving = -1
        best = 0.0
        length = 1.0
        for first in range(0, d, 4):
            if first + 4 <= d:
                p0 = p1 = p2 = p3 = 0.0
                s0 = s1 = s2 = s3 = 0.0
                for k in range(d):
                    hk = h[k]
                    b0, b1, b2, b3 = binv[k, first], binv[k, first + 1], binv[k, first + 2], binv[k, first + 3]
                    p0 += hk * b0
                    p1 += hk * b1
                    p2 += hk * b2
                    p3 += hk * b3
                    s0 += b0 * b0
                    s1 += b1 * b1
                    s2 += b2 * b2
                    s3 += b3 * b3
                price[first] = p0
                price[first + 1] = p1
                price[first + 2] = p2
                price[first + 3] = p3
                ratio[first] = s0
                ratio[first + 1] = s1
                ratio[first + 2] = s2
                ratio[first + 3] = s3
            else:
                for i in range(first, d):
                    p0 = s0 = 0.0
                    for k in range(d):
                        b0 = binv[k, i]
                        p0 += h[k] * b0
                        s0 += b0 * b0
                    price[i] = p0
                    ratio[i] = s0
        for i in range(d):
            rise = price[i] * price[i]
            if price[i] <= 0.0 or rise <= flat * ratio[i]:
                continue
            if degenerate > patience:
                if leaving < 0 or basis[i] < basis[leaving]:
                    leaving, length = i, ratio[i]
            elif rise > best * ratio[i]:
                best, leaving, length = rise / ratio[i], i, ratio[i]
        if leaving < 0:
            result = OPTIMAL
            break
        length = np.sqrt(length)
        inverse = 1.0 / length
        for k in range(d):
            edge[k] = binv[k, leaving] * inverse
        # how fast each row falls along the edge, four coordinates at a time (AT and edge end in zeros), and the ratio
        # test: the first row that reaches zero, where every row may give way by `give` (Harris); of the rows
        # passed by then the steepest, which keeps pivots away from zero (or, under Bland, the lowest index)
        e0, e1, e2, e3 = edge[0], edge[1], edge[2], edge[3]
        if d <= 4:
            for i in range(stop):
                fall = AT[0, i] * e0 + AT[1, i] * e1 + AT[2, i] * e2 + AT[3, i] * e3
                denom[i] = fall
                ratio[i] = (max(slack[i], 0.0) + give) / -fall if fall < -flattest else np.inf
        elif d <= 8:
            e4, e5, e6, e7 = edge[4], edge[5], edge[6], edge[7]
            for i in range(stop):
                fall = (AT[0, i] * e0 + AT[1, i] * e1 + AT[2, i] * e2 + AT[3, i] * e3 + AT[4, i] * e4 + AT[5, i] * e5
                        + AT[6, i] * e6 + AT[7, i] * e7)  # fmt: skip
                denom[i] = fall
                ratio[i] = (max(slack[i], 0.0) + give) / -fall if fall < -flattest else np.inf
        else:
            for i in range(stop):
                denom[i] = AT[0, i] * e0 + AT[1, i] * e1 + AT[2, i] * e2 + AT[3, i] * e3
            for k in range(4, d, 4):
                e0, e1, e2, e3 = edge[k], edge[k + 1], edge[k + 2], edge[k + 3]
                for i in range(stop):
                    denom[i] += AT[k, i] * e0 + AT[k + 1, i] * e1 + AT[k + 2, i] * e2 + AT[k + 3, i] * e3
            for i in range(stop):
                ratio[i] = (max(slack[i], 0.0) + give) / -denom[i] if denom[i] < -flattest else np.inf
        reach = smallest(ratio, stop)
        if reach == np.inf:
            break
        for i in range(stop):
            ratio[i] = denom[i] if slack[i] + denom[i] * reach <= 0.0 else 0.0
        entering = 0
        if degenerate > max(patience, 0):
            while entering < rows and ratio[entering] >= -flattest:
                entering += 1
        else:
            steepest = smallest(ratio, stop)
            while entering < rows and ratio[entering] != steepest:
                entering += 1
        if entering == rows or ratio[entering] >= -flattest:
            break
        reach = max(slack[entering], 0.0) / -denom[entering]
        counters[PIVOTS] += 1
        degenerate = degenerate + 1 if reach <= flattest else 0
        for i in range(stop):
            slack[i] += reach * denom[i]
        slack[basis[leaving]] = reach / length
        slack[entering] = 0.0
        # binv: column `leaving` is scaled, the others lose their part along the entering row
        pivot = 1.0 / (length * denom[entering])
        for k in range(d):
            y[k] += reach * edge[k]
            edge[k] = binv[k, leaving] * pivot
        for first in range(0, d, 4):
            if first + 4 <= d:
                p0 = p1 = p2 = p3 = 0.0
                for k in range(d):
                    a = AT[k, entering]
                    p0 += a * binv[k, first]
                    p1 += a * binv[k, first + 1]
                    p2 += a * binv[k, first + 2]
                    p3 += a * binv[k, first + 3]
                for k in range(d):
                    scaled = edge[k]
                    b0, b1, b2, b3 = binv[k, first], binv[k, first + 1], binv[k, first + 2], binv[k, first + 3]
                    binv[k, first] = b0 - p0 * scaled
                    binv[k, first + 1] = b1 - p1 * scaled
                    binv[k, first + 2] = b2 - p2 * scaled
                    binv[k, first + 3] = b3 - p3 * scaled
            else:
                for i in range(first, d):
                    p0 = 0.0
                    for k in range(d):
                        p0 += AT[k, entering] * binv[k, i]
                    for k in range(d):
                        binv[k, i] -= p0 * edge[k]
        for k in range(d):
            binv[k, leaving] = edge[k]
        basis[leaving] = entering
        counters[REFACTORED] += 1
        if counters[REFACTORED] >= period or denom[entering] > -steep:
            counters[REFACTORED] = 0
            if not refactor(AT, b, slack, y, basis, binv, rows, d, scratch):
                break
        value = constant
        for k in range(d):
            value += h[k] * y[k]
    return result


@njit(**LEAN)
def safe_maximum(AT, b, error, basis, d, h, constant, price, relative):
    """An upper bound on h . y + constant over the cell that holds whatever the simplex did, all rounding counted.

    With mu = max(-price, 0) and the residual rest = h + sum mu_i A_i: on the cell A_i y + b_i >= -error_i, and
    |y_k| <= 1, so h . y + constant <= constant + sum mu_i (b_i + error_i) + |rest|_1 (Neumaier and Shcherbina 2004, on
    a unit box).
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
