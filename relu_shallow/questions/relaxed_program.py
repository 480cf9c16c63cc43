"""A linear program above a piecewise-linear network on part of a box, and what its multipliers prove.

Variables v are the inputs and every neuron's value behind its gate. With certified bounds of z, an open gate of slopes
p (inactive) and q (active) lies between the lines p z, q z and its chord s z + t, t rounded so that the chord holds
(Ehlers 2017, for the ReLU); a settled gate is its line, and a neuron of given sign adds sign * z >= 0. For any
multipliers, mu >= 0 of rows >= 0 and any of equations, the largest value of c.v + c0 + mu.rows over the variables'
bounds bounds the objective: a solver only proposes them, and every rounding is paid for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int8

from relu_shallow.network import Network, dense
from relu_shallow.precision import LP_OPTIONS, TINY, UNIT, gamma
from relu_shallow.questions.duality import proved_bound
from relu_shallow.relaxation import Bounds

MOST_NUMBERS = 1 << 23  # entries of R: 64 MB


@dataclass(frozen=True, eq=False)
class Program:
    """Rows R v + r >= 0 (the first `equations` of them = 0) over lo <= v <= hi; `off` bounds what r may be off."""

    R: Float[np.ndarray, "rows variables"]
    r: Float[np.ndarray, " rows"]
    off: Float[np.ndarray, " rows"]
    equations: int
    lo: Float[np.ndarray, " variables"]
    hi: Float[np.ndarray, " variables"]


@dataclass(frozen=True, eq=False)
class Found:
    """A proved upper bound (-inf: the part is proved empty), a point of the box, and each gate's loss at it.

    The loss is how far the program's value of a neuron is from its gate's.
    """

    bound: float
    point: Float[np.ndarray, " inputs"]
    loss: Float[np.ndarray, " neurons"]


def fits(network: Network) -> bool:
    """Whether the program is small enough to be solved many times."""
    return 3 * network.neurons * (network.neurons + network.inputs) <= MOST_NUMBERS


def program_of(network: Network, bounds: Bounds, signs: Int8[np.ndarray, " neurons"]) -> Program:
    """The rows of one cell."""
    n, N = network.inputs, network.neurons
    exact, exact_r, above, above_r, sizes = [], [], [], [], []
    lo, hi = [bounds.lo], [bounds.hi]
    before, here = 0, n  # where the values coming in and going out begin
    for index, gate in enumerate(network.gates):
        layer, width = network.affine[index], len(gate.active)
        low, high = bounds.lower[index], np.maximum(bounds.lower[index], bounds.upper[index])
        Z, H = np.zeros((width, n + N)), np.zeros((width, n + N))
        Z[:, before:here] = dense(layer.W)
        H[np.arange(width), here + np.arange(width)] = 1.0
        p, q = gate.inactive, gate.active
        open_ = (low < 0) & (high > 0) & (p != q)
        slope = np.where(high > 0, q, p)
        exact.append((H - slope[:, None] * Z)[~open_])
        exact_r.append((-slope * layer.b)[~open_])
        with np.errstate(divide="ignore", invalid="ignore"):
            s = np.where(open_, (q * high - p * low) / (high - low), 0.0)
        t, sense = _chord(s, p, q, low, high)
        for rate, constant, turn in ((p, 0.0, sense), (q, 0.0, sense), (s, t, -sense)):
            above.append(turn[open_, None] * (H - rate[:, None] * Z)[open_])  # turn (h - rate z - constant) >= 0
            above_r.append((-turn * (rate * layer.b + constant))[open_])
            sizes.append((np.abs(rate * layer.b) + np.abs(constant))[open_])
        start = here - n
        given = signs[start : start + width]
        told = (given != 0) & (p != q)
        above.append((given[:, None] * Z)[told])
        above_r.append((given * layer.b)[told])
        sizes.append(np.abs(layer.b)[told])
        ends = np.stack([low * np.where(low > 0, q, p), high * np.where(high > 0, q, p),
                         np.where(open_, 0.0, low * slope)])  # fmt: skip
        lo.append(ends.min(axis=0) - 2 * UNIT * np.abs(ends).max(axis=0))
        hi.append(ends.max(axis=0) + 2 * UNIT * np.abs(ends).max(axis=0))
        before, here = here, here + width
    R = np.concatenate([np.zeros((0, n + N)), *exact, *above])
    r = np.concatenate([np.zeros(0), *exact_r, *above_r])
    off = gamma(4) * np.concatenate([*(np.abs(part) for part in exact_r), np.zeros(0), *sizes])
    return Program(R, r, off, sum(len(part) for part in exact_r), np.concatenate(lo), np.concatenate(hi))


def _chord(
    s: np.ndarray, p: np.ndarray, q: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(t, sense): gate(z) <= s z + t on the bounds where q > p (sense 1: convex), >= where q < p (sense -1)."""
    sense = np.where(q > p, 1.0, -1.0)
    ends = sense * np.stack([(p - s) * low, (q - s) * high, np.zeros_like(s)])
    size = np.stack([(np.abs(p) + np.abs(s)) * np.abs(low), (np.abs(q) + np.abs(s)) * np.abs(high)]).max(axis=0)
    return sense * (ends.max(axis=0) + gamma(8) * size + TINY), sense


def solve(network: Network, program: Program, weights: Float[np.ndarray, " outputs"]) -> Found | None:
    """What the program says about the largest weights . f(x); None where the solver gives up."""
    from scipy.optimize import linprog

    last = network.affine[-1]
    c = np.zeros(len(program.lo))
    c[len(c) - last.W.shape[1] :] = last.W.T @ weights
    constant = float(weights @ last.b)
    box = np.column_stack([program.lo, program.hi])
    cut = program.equations
    options = {"method": "highs", "bounds": box, "options": LP_OPTIONS}
    equal = {"A_eq": program.R[:cut], "b_eq": -program.r[:cut]} if cut else {}
    below = {"A_ub": -program.R[cut:], "b_ub": program.r[cut:]} if cut < len(program.r) else {}
    size = float(np.abs(c).max(initial=0.0)) or 1.0
    found = linprog(-c / size, **equal, **below, **options)
    if found.status == 0:
        mu = size * np.concatenate([found.eqlin.marginals, np.maximum(-found.ineqlin.marginals, 0.0)])
        return Found(proved(network, program, c, constant, weights, mu), found.x[: network.inputs],
                     _losses(network, found.x))  # fmt: skip
    if found.status != 2:
        return None
    return _emptiness(network, program)


def _emptiness(network: Network, program: Program) -> Found | None:
    """The proof that a part is empty: the least violation of its rows is positive, and its multipliers show it."""
    from scipy.optimize import linprog

    cut, variables = program.equations, len(program.lo)
    both = np.concatenate([program.R, -program.R[:cut]])
    constants = np.concatenate([program.r, -program.r[:cut]])
    lifted = np.column_stack([-both, -np.ones(len(both))])
    box = np.vstack([np.column_stack([program.lo, program.hi]), [0.0, np.inf]])
    found = linprog(np.r_[np.zeros(variables), 1.0], A_ub=lifted, b_ub=constants, bounds=box, method="highs",
                    options=LP_OPTIONS)  # fmt: skip
    if found.status != 0 or not found.fun > 0:
        return None
    dual = np.maximum(-found.ineqlin.marginals, 0.0)
    mu = dual[: len(program.r)].copy()
    mu[:cut] -= dual[len(program.r) :]
    top = proved(network, program, np.zeros(variables), 0.0, np.zeros(network.outputs), mu)
    bound = -np.inf if top < 0 else np.inf
    return Found(bound, found.x[: network.inputs], _losses(network, found.x[:-1]))


def proved(
    network: Network, program: Program, c: np.ndarray, constant: float, weights: np.ndarray, mu: np.ndarray
) -> float:
    """What c.v + constant = weights . f does not exceed where the rows hold, for any multipliers of theirs."""
    last = network.affine[-1]
    reach = np.maximum(np.abs(program.lo), np.abs(program.hi))[len(c) - last.W.shape[1] :]
    size = float((abs(last.W).T @ np.abs(weights)) @ reach) + float(np.abs(weights) @ np.abs(last.b))
    error = gamma(2 * len(weights) + 8) * size  # of c and the constant themselves
    rows, box = (program.R, program.r), (program.lo, program.hi)
    return proved_bound(c, constant, rows, mu, box, program.off, error)


def _losses(network: Network, v: np.ndarray) -> Float[np.ndarray, " neurons"]:
    losses, before, here = [np.zeros(0)], 0, network.inputs
    for layer, gate in zip(network.affine, network.gates, strict=False):
        z = layer.W @ v[before:here] + layer.b
        stop = here + len(z)
        losses.append(np.abs(v[here:stop] - z * np.where(z > 0, gate.active, gate.inactive)))
        before, here = here, stop
    return np.concatenate(losses)
