"""What rounding leaves open where a cell is one affine piece: whether it holds a point that meets the goal, exactly.

Outputs often tie on a whole region, as where all neurons are inactive, or come nearer to a tie than rounding errors
tell. Here signs are those of rational arithmetic: a point's own, or those of a proof that a goal's row stays at most 0,
whose multipliers a solver proposes and whose support is solved for exactly (`halfspaces.exact_multipliers`).
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from relu_shallow.checks.exact import affine_step, integers
from relu_shallow.domain import Box
from relu_shallow.network import Network, dense, evaluate, switching
from relu_shallow.precision import LP_OPTIONS
from relu_shallow.questions.approach import Found, rounded
from relu_shallow.questions.distance import distance
from relu_shallow.questions.goal import Goal
from relu_shallow.questions.halfspaces import (
    WALL,
    HalfSpaces,
    exact_half_spaces,
    exact_map,
    exact_multipliers,
    half_spaces_of,
    solve,
)
from relu_shallow.questions.nearest_cell import Cell, Question

MOST_ENTRIES = 1 << 20  # weights of a network whose outputs are evaluated exactly: about a second
TRIED = 4  # points of a cell, each evaluated exactly
NEARER = 40  # halvings of the way to the cell's best point


def exact_outputs(network: Network, x: Float[np.ndarray, " inputs"]) -> list[Fraction]:
    """The outputs before the head at a float point, as rational numbers."""
    numbers, scale = integers(x)
    value = numbers[:, None]
    for index, layer in enumerate(network.affine):
        value, scale = affine_step(dense(layer.W), layer.b, value, scale, (1,))
        if index < len(network.gates):
            gate = network.gates[index]
            on = np.array([z > 0 for z in value[:, 0]], dtype=bool)
            slope, power = integers(np.where(on, gate.active, gate.inactive))
            value, scale = value * slope[:, None], scale + power
    return [Fraction(int(y), 2**scale) for y in value[:, 0]]


def meets(goal: Goal, network: Network, x: Float[np.ndarray, " inputs"]) -> bool:
    """Whether a point meets a goal, in exact arithmetic and by the floats that the network computes."""
    floats = goal.C @ evaluate(network, x[None])[0] + goal.c
    if not np.where(goal.strict, floats > 0, floats >= 0).all():
        return False
    Y = exact_outputs(network, x)
    sums = [_sum(row, Y) + Fraction(c) for row, c in zip(goal.C.tolist(), goal.c.tolist(), strict=True)]
    return all(v > 0 or (v == 0 and not strict) for v, strict in zip(sums, goal.strict.tolist(), strict=True))


def _sum(weights: list[float], values: list[Fraction]) -> Fraction:
    return sum((Fraction(w) * v for w, v in zip(weights, values, strict=True) if w), Fraction(0))


def exactly_met(question: Question, cell: Cell) -> Found | None:
    """The distance and place of a point of a cell near its relaxed nearest one that meets the goal, exactly; or None.

    If the cell holds such points at all, then also on the way from there to the one that lies deepest among them.
    """
    network, goal, space = question.network, question.goals[cell.goal], question.space
    if network.matrix_entries > MOST_ENTRIES:
        return None
    z = rounded(question, np.clip(cell.z, cell.lo, cell.hi))
    steps = np.concatenate([[0.0], 2.0 ** np.arange(-NEARER, 1.0)])[:, None]
    Z = np.clip(z + steps * (_deepest(question, cell, z) - z), space.lo, space.hi)
    values = evaluate(network, Z) @ goal.C.T + goal.c
    likely = np.flatnonzero(np.where(goal.strict, values > 0, values >= 0).all(axis=1))
    for index in likely[:TRIED]:
        if space.surely_holds(Z[index]) and meets(goal, network, Z[index]):
            return float(distance(question.norm, question.weights, question.x, Z[index])), Z[index]
    return None


def _deepest(question: Question, cell: Cell, z: np.ndarray) -> np.ndarray:
    """The point of a cell farthest inside all its rows and the goal's, whole features held; z where no solver says."""
    goal, whole = question.goals[cell.goal], question.space.whole
    lo, hi = np.where(whole, z, cell.lo), np.where(whole, z, cell.hi)
    spaces = _half_spaces(question, cell, lo, hi, z)
    unit = np.where(hi > lo, hi - lo, 1.0)
    H, c = goal.C @ spaces.alpha, goal.C @ spaces.beta + goal.c
    unsure = np.abs(goal.C) @ (spaces.alpha_error @ unit)
    rows = np.concatenate([spaces.A[spaces.neuron != WALL], H[np.abs(H) @ unit > 2 * unsure], -question.space.A])
    right = np.concatenate([spaces.b[spaces.neuron != WALL], c[np.abs(H) @ unit > 2 * unsure], question.space.b])
    A, slack = rows * unit, rows @ z + right
    length = np.linalg.norm(A, axis=1)
    A, slack, length = A[length > 0], slack[length > 0], length[length > 0]
    # z + unit v, its depth t in units at least below the rows
    found = linear_program(np.append(np.zeros(len(z)), 1.0), np.column_stack([-A / length[:, None], np.ones(len(A))]),
                           slack / length, [*zip((lo - z) / unit, (hi - z) / unit, strict=True), (None, 1.0)])
    return z if found is None else z + unit * found[:-1]


def linear_program(
    h: Float[np.ndarray, " v"], A: Float[np.ndarray, "k v"], b: Float[np.ndarray, " k"], ends: list[tuple[Any, Any]]
) -> Float[np.ndarray, " v"] | None:
    """A point of largest h.v over A v <= b within its ends, by HiGHS; None where it says nothing."""
    from scipy.optimize import linprog

    found = linprog(-h, A_ub=A, b_ub=b, bounds=ends, method="highs", options=LP_OPTIONS)
    return np.asarray(found.x) if found.status == 0 else None


def surely_empty(question: Question, cell: Cell) -> bool:
    """Whether some row of the goal is proved to stay unmet on the whole cell, in exact arithmetic."""
    goal = question.goals[cell.goal]
    spaces = _half_spaces(question, cell, cell.lo, cell.hi, cell.z)
    rows = exact_half_spaces(spaces)
    if not rows:
        return False
    for weights, constant, strict in zip(goal.C, goal.c, goal.strict, strict=True):
        h, c = exact_map(spaces, weights)
        c += Fraction(float(constant))
        _, mu = solve(spaces, np.arange(len(spaces.b)), weights @ spaces.alpha)
        found = exact_multipliers(rows, h, np.flatnonzero(mu > 0).tolist()) if any(h) else {}
        if found is not None:
            most = c + sum((m * rows[k][-1] for k, m in found.items()), Fraction(0))
            if most < 0 or (most == 0 and strict):
                return True
    return False


def _half_spaces(question: Question, cell: Cell, lo: np.ndarray, hi: np.ndarray, z: np.ndarray) -> HalfSpaces:
    return half_spaces_of(question.network, Box(lo, hi), _pattern(question.network, cell), z)


def _pattern(network: Network, cell: Cell) -> Bool[np.ndarray, " neurons"]:
    return (cell.bounds.signs > 0) & switching(network)
