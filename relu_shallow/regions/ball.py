"""The compiled inscribed ball of one polyhedron, from no vertex but the corner of a box."""

import numpy as np
from numba import njit

from relu_shallow.lp.kernel import OPTIMAL, climb, refactor
from relu_shallow.regions.kernel import COUNTERS


@njit(cache=True, nogil=True)
def ball_in_box(A, b, limits):
    """max r with A y + b >= r (unit rows), |y| <= 1 and r <= 4: (r, y, whether the box or the cap holds it).

    The climb starts at the corner y = -1 with r as low as the rows need.
    """
    rows, d = A.shape
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
    return y[d], y[:d].copy(), held
