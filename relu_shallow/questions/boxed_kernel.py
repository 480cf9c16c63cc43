"""The largest value of a linear function over few rows in a box of many inputs, compiled: a dual simplex.

Over A y + b >= 0 and -1 <= y <= 1, any mu >= 0 gives g.y + c <= c + mu.b + |g + mu A|_1. The simplex starts at mu = 0
and goes down in mu; every step's multipliers count. It keeps a dictionary of k basic variables in terms of n others,
so that a step costs k n:

    T      (k, n), q (k,)   v_basic = q + T v_other; variables are y_0 .. y_(n-1), then the rows' slacks A y + b
    d      (n,)             the objective's slopes in the others; a slack's is <= 0, and minus it is the row's mu
    at     (n,)             where the others stand: y at an end of its range, slacks at 0
    basic  (k,), other (n,) which variables these are

What is found proves nothing yet: the multipliers go to `proved_bound` or the like.
"""

import numpy as np

from relu_shallow.lp.jit import njit
from relu_shallow.lp.kernel import LEAN

OPTIMAL, BELOW, EMPTY, GAVE_UP = 0, 1, 2, 3
WAITING, DONE = 1, 2  # regions allowed, before and after they were solved; 0 are those left out


@njit(**LEAN)
def descend(A, b, k, g, c, floor, limits, T, q, d, at, basic, other, mu, y):
    """(status, bound) of the maximum of g.y + c over the first k rows; fills mu, and y where optimal.

    OPTIMAL: the bound is the maximum, at y. BELOW: mu shows that it is at most the floor. EMPTY: the rows hold nowhere,
    and mu . (A y + b) is negative all over the box. GAVE_UP: after too many steps; mu may be poor. `limits` = (how far
    a row of unit norm may be missed, the least pivot, the most steps).
    """
    missed, flattest, most = limits[0], limits[1], int(limits[2])
    n = len(g)
    value = c
    constant = c
    for i in range(n):
        d[i], other[i] = g[i], i
        at[i] = 1.0 if g[i] > 0.0 else -1.0
        value += abs(g[i])
    for r in range(k):
        basic[r], q[r] = n + r, b[r]
        mu[r] = 0.0
        for i in range(n):
            T[r, i] = A[r, i]
    status = GAVE_UP
    for _ in range(most):
        if value <= floor:
            status = BELOW
            break
        leaving, worst, turn = -1, missed, 1.0
        for r in range(k):
            here = q[r]
            for i in range(n):
                here += T[r, i] * at[i]
            below = -here if basic[r] >= n else -1.0 - here
            if below > worst:
                leaving, worst, turn = r, below, 1.0
            if basic[r] < n and here - 1.0 > worst:
                leaving, worst, turn = r, here - 1.0, -1.0
        if leaving < 0:
            status = OPTIMAL
            break
        # along mu the slope of the bound is -worst; it grows where a variable's d passes zero: the last such enters
        slope, entering = -worst, -1
        while True:
            entering, first = -1, np.inf
            for i in range(n):
                rate = turn * T[leaving, i]
                if abs(rate) > flattest and (rate < 0.0 if at[i] > 0.0 else rate > 0.0):
                    time = abs(d[i] / rate)
                    if time < first:
                        entering, first = i, time
            if entering < 0:
                break
            slope += 2.0 * abs(T[leaving, entering]) if other[entering] < n else np.inf
            if slope >= -missed:  # rows that just touch are met
                break
            at[entering] = -at[entering]
        if entering < 0:
            status = EMPTY
            break
        # the two change places
        inverse = 1.0 / T[leaving, entering]
        q[leaving] *= -inverse
        for i in range(n):
            T[leaving, i] *= -inverse
        T[leaving, entering] = inverse
        for r in range(k):
            factor = T[r, entering]
            if r != leaving and factor != 0.0:
                T[r, entering] = 0.0
                q[r] += factor * q[leaving]
                for i in range(n):
                    T[r, i] += factor * T[leaving, i]
        factor = d[entering]
        d[entering] = 0.0
        constant += factor * q[leaving]
        for i in range(n):
            d[i] += factor * T[leaving, i]
        gone = basic[leaving]
        basic[leaving], other[entering] = other[entering], gone
        at[entering] = 0.0 if gone >= n else -turn
        value = constant
        for i in range(n):
            value += d[i] * at[i]
    for i in range(n):
        if other[i] >= n:
            rate = -turn * T[leaving, i] if status == EMPTY else -d[i]
            mu[other[i] - n] = max(rate, 0.0)
        elif status == OPTIMAL:
            y[other[i]] = at[i]
    if status == EMPTY and basic[leaving] >= n:
        mu[basic[leaving] - n] = 1.0
    if status == OPTIMAL:
        for r in range(k):
            if basic[r] < n:
                here = q[r]
                for i in range(n):
                    here += T[r, i] * at[i]
                y[basic[r]] = min(max(here, -1.0), 1.0)
    return status, value


@njit(**LEAN)
def glance(A, b, k, g, c, mu):
    """c + mu.b + |g + mu A|_1: what multipliers show of the maximum, but for rounding."""
    bound = c
    for r in range(k):
        bound += mu[r] * b[r]
    for i in range(len(g)):
        rest = g[i]
        for r in range(k):
            if mu[r] > 0.0:
                rest += mu[r] * A[r, i]
        bound += abs(rest)
    return bound


@njit(**LEAN)
def uppermost(A, b, rows, h, c, u, allowed, limits, MU, bounds, at_best, T, q, d, at, basic, other, mu, y, g):
    """The region of the largest (h_r + u).y + c_r of a module, -1 if none was found; fills `at_best` with the point.

    Regions are solved from the highest glance down, with the multipliers MU kept from before, until none can win.
    `bounds` is filled with a bound for each region allowed (-inf for others).
    """
    floor, best = -np.inf, -1
    R, n = h.shape
    for r in range(R):
        bounds[r] = -np.inf
        if allowed[r]:
            for i in range(n):
                g[i] = h[r, i] + u[i]
            bounds[r] = glance(A[r], b[r], rows[r], g, c[r], MU[r])
    while True:
        chosen, high = -1, floor
        for r in range(R):
            if allowed[r] == WAITING and bounds[r] > high:
                chosen, high = r, bounds[r]
        if chosen < 0:
            break
        for i in range(n):
            g[i] = h[chosen, i] + u[i]
        allowed[chosen] = DONE
        status, value = descend(
            A[chosen], b[chosen], rows[chosen], g, c[chosen], floor, limits, T, q, d, at, basic, other, mu, y
        )
        if status != EMPTY and value < bounds[chosen]:
            bounds[chosen] = value
            for k in range(rows[chosen]):
                MU[chosen, k] = mu[k]
        if status == OPTIMAL and value > floor:
            floor, best = value, chosen
            for i in range(n):
                at_best[i] = y[i]
    for r in range(R):
        if allowed[r] == DONE:
            allowed[r] = WAITING
    return best
