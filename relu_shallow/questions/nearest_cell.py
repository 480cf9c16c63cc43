"""One node of the nearest-point search: a cell, what must hold on it as half-spaces of the inputs, and its bound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int, Int8

from relu_shallow.network import Network, preactivations
from relu_shallow.precision import LP_TOLERANCE, NOT_WHOLE, PENALTIES, ROOM, SURPLUS, TINY, UNIT, gamma
from relu_shallow.questions.cell_kernel import Packed
from relu_shallow.questions.compiled_cell import SMALL, nearest_of, relaxed, scores, squeezed, values_of
from relu_shallow.questions.deadline import Deadline
from relu_shallow.questions.distance import Norm, proved_distance
from relu_shallow.questions.goal import Goal
from relu_shallow.questions.least_norm import least_norm
from relu_shallow.questions.space import Space
from relu_shallow.questions.splitting import halves, with_either_sign
from relu_shallow.relaxation import Ball, Bounds, Lines, lines_above, preactivation_bounds

CROWDED = 6  # open neurons for each input: with more, ranges are halved instead of signs given,
GLANCE = 2.0**-40  # of what a relaxation costs anywhere, beside what it costs at the point: for where that is nothing
HALVED = 8  # until, on the average, a cell is so many times halved in each input (kinks may all meet in a point)


Walls = tuple[Float[np.ndarray, "m n"], Float[np.ndarray, " m"], Float[np.ndarray, " m"]]


@dataclass(frozen=True, eq=False)
class Question:
    """The nearest point of `space` to x, by |weights (z - x)|, at which the network meets a goal.

    `walls` are the space's own rows B z + c >= 0 and the surplus with which a point must fit each. `net` is the network
    as compiled code reads it, None where it is large or sparse; `switching` says which neurons do.
    """

    network: Network
    x: Float[np.ndarray, " n"]
    goals: tuple[Goal, ...]
    space: Space
    norm: Norm
    weights: Float[np.ndarray, " n"]
    deadline: Deadline
    walls: Walls
    net: Packed | None
    switching: Bool[np.ndarray, " neurons"]


@dataclass(frozen=True, eq=False)
class Cell:
    """Part of a box, given by signs of neurons, in which points that meet goal number `goal` are looked for.

    No such point is nearer than `key` (proved). `z` is the relaxed nearest point, `push` a direction in which the goal
    gets safer there, and `split` what to divide the cell by: ("neuron", index), ("whole", feature), ("range", feature)
    or ("none", 0). Its ranges were halved `halved` times.
    """

    goal: int
    lo: Float[np.ndarray, " n"]
    hi: Float[np.ndarray, " n"]
    signs: Int8[np.ndarray, " neurons"]
    bounds: Bounds
    key: float
    z: Float[np.ndarray, " n"]
    push: Float[np.ndarray, " n"]
    split: tuple[str, int]
    halved: int


@dataclass(frozen=True, eq=False)
class Part:
    """A cell that is still to be looked at; `first` is the lowest layer whose bounds may differ from `known`."""

    goal: int
    lo: Float[np.ndarray, " n"]
    hi: Float[np.ndarray, " n"]
    signs: Int8[np.ndarray, " neurons"]
    key: float
    z: Float[np.ndarray, " n"]
    known: Bounds | None
    first: int
    halved: int


def looked_at(question: Question, part: Part, reach: float, aim: float) -> Cell | None:
    """The cell of a part, within `reach` of x; None where it is proved to hold no point that meets the goal.

    `aim` is the surplus the point sought shall have, so that rounding cannot undo it; the bound is without it.
    """
    lo, hi = _within(question, part.lo, part.hi, reach)
    if (lo > hi).any():
        return None
    lines = _relaxed(question, part, lo, hi, reach)
    if lines is None:
        return None
    bounds = lines.bounds
    if question.deadline.passed():
        return Cell(part.goal, lo, hi, part.signs, bounds, part.key, part.z, np.zeros(len(lo)), ("none", 0),
                    part.halved)  # fmt: skip
    more, constants, rounding = question.walls
    A, a = np.concatenate([lines.A, more]), np.concatenate([lines.a, constants])
    lo, hi = (_squeezed if question.net is None else squeezed)(lo, hi, A, a, question.space.whole)
    if (lo > hi).any():
        return None
    top = lines.owners < 0
    margin = np.concatenate([np.where(top, aim, 0.0), rounding])
    key, z, y = _bounded(question, lo, hi, A, a, margin, reach)
    key = max(key, part.key)
    if key == np.inf or key > reach:
        return None
    z = part.z if z is None else z
    split = _choose(question, part, lines, y[: len(lines.a)], z, hi - lo)
    return Cell(part.goal, lo, hi, part.signs, bounds, key, z, lines.A[top].sum(axis=0), split, part.halved)


def part_of(cell: Cell) -> Part:
    """A cell that is to be looked at again."""
    return Part(cell.goal, cell.lo, cell.hi, cell.signs, cell.key, cell.z, cell.bounds, 0, cell.halved)


def parts_of(question: Question, cell: Cell) -> list[Part]:
    """The two parts that a cell is divided into; none where there is nothing left to divide it by."""
    kind, index = cell.split
    part = part_of(cell)
    if kind == "whole":
        low, high = cell.hi.copy(), cell.lo.copy()
        low[index] = np.clip(np.floor(cell.z[index]), cell.lo[index], cell.hi[index] - 1.0)
        high[index] = low[index] + 1.0
        return [replace(part, hi=low), replace(part, lo=high)]
    if kind == "range":
        return [replace(part, lo=lo, hi=hi, halved=cell.halved + 1) for lo, hi in halves(cell.lo, cell.hi, index)]
    if kind == "none":
        return []
    ends = np.cumsum(question.network.widths)
    layer = int(np.searchsorted(ends, index, side="right"))
    place = index - int(ends[layer]) + question.network.widths[layer]
    return [
        replace(part, signs=signs, known=_with_sign(cell.bounds, layer, place, int(signs[index])), first=layer + 1)
        for signs in with_either_sign(cell.signs, index)
    ]


def _with_sign(bounds: Bounds, layer: int, place: int, sign: int) -> Bounds:
    """Bounds that take a new sign of one neuron into account, in its own layer only."""
    lower, upper = list(bounds.lower), list(bounds.upper)
    if sign > 0:
        lower[layer] = lower[layer].copy()
        lower[layer][place] = max(lower[layer][place], 0.0)
    else:
        upper[layer] = upper[layer].copy()
        upper[layer][place] = min(upper[layer][place], 0.0)
    return Bounds(bounds.lo, bounds.hi, lower, upper)


def _within(question: Question, lo: np.ndarray, hi: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """A box's part within `reach` of x feature by feature, rounded outward; whole features in whole numbers."""
    radius = reach / question.weights * ROOM
    slack = 4 * UNIT * (np.abs(question.x) + radius)
    lo, hi = np.maximum(lo, question.x - radius - slack), np.minimum(hi, question.x + radius + slack)
    whole = question.space.whole
    return np.where(whole, np.ceil(lo), lo), np.where(whole, np.floor(hi), hi)


def _still_good(part: Part, lo: np.ndarray, hi: np.ndarray) -> tuple[Bounds | None, int]:
    """The bounds to start from, and the first layer to compute again: all, where the box has shrunk by an eighth."""
    known = part.known
    if known is None:
        return None, 0
    shrunk = (hi - lo < 0.875 * (known.hi - known.lo)).any()
    return known, 0 if shrunk else part.first


@dataclass(frozen=True, eq=False)
class Relaxed:
    """Bounds on a cell; A z + a above the goal's rows and s z of each given sign s, `owners` the neurons or -1.

    `cost` says of each neuron what its lines cost rows of given weights at a point.
    """

    bounds: Bounds
    A: Float[np.ndarray, "k n"]
    a: Float[np.ndarray, " k"]
    owners: Int[np.ndarray, " k"]
    cost: Callable[[Float[np.ndarray, " k"], Float[np.ndarray, " n"]], Float[np.ndarray, " neurons"]]


def _relaxed(question: Question, part: Part, lo: np.ndarray, hi: np.ndarray, reach: float) -> Relaxed | None:
    """The linear relaxations on a part's box; None where they prove that it is empty."""
    known, first = _still_good(part, lo, hi)
    ball = Ball(question.norm, question.x, question.weights, reach) if question.norm != "inf" else None
    net, goal = question.net, question.goals[part.goal]
    if net is not None:
        sides = values_of(net, part.z)
        found = relaxed(net, goal, (lo, hi), part.signs, known, first, ball, sides)
        if found is None:
            return None
        bounds, (A, a, owners) = found
        return Relaxed(bounds, A, a, owners, lambda weights, z: scores(net, goal, part.signs, bounds, sides, owners,
                                                                       weights, z, GLANCE))  # fmt: skip
    bounds = preactivation_bounds(question.network, lo, hi, part.signs, known, first, ball, question.deadline.passed)
    if bounds.empty:
        return None
    lines, owners = _rows_of(question, part, bounds)
    return Relaxed(bounds, lines.A, lines.a, owners, lambda weights, z: _costs(question, bounds, lines, weights, z))


def _rows_of(question: Question, part: Part, bounds: Bounds) -> tuple[Lines, np.ndarray]:
    """Lines above the goal's rows (C f + c) and above s z for each given sign s, and their neurons (-1: the goal)."""
    network, goal = question.network, question.goals[part.goal]
    combinations = {len(network.gates): goal.C}
    owners = [np.full(len(goal.c), -1)]
    shift = [goal.c]
    offsets = np.concatenate([[0], np.cumsum(network.widths)]).astype(int)
    for layer in range(len(network.gates) - 1, -1, -1):
        here = np.flatnonzero(part.signs[offsets[layer] : offsets[layer + 1]])
        if len(here):
            C = np.zeros((len(here), network.widths[layer]))
            C[np.arange(len(here)), here] = part.signs[offsets[layer] + here]
            combinations[layer] = C
            owners.append(offsets[layer] + here)
            shift.append(np.zeros(len(here)))
    lean = np.concatenate([np.zeros(0, bool), *(z[0] > 0 for z in preactivations(network, part.z[None])[:-1])])
    near, leaning = lines_above(network, bounds, combinations), lines_above(network, bounds, combinations, lean)
    owner, constants = np.concatenate(owners), np.concatenate(shift)
    passes = [
        (layer, np.concatenate([c, c2]), np.concatenate([m, m2]), np.concatenate([t, t2]))
        for (layer, c, m, t), (_, c2, m2, t2) in zip(near.passes, leaning.passes, strict=True)
    ]
    a = np.concatenate([near.a, leaning.a])
    shifts = np.concatenate([constants, constants])
    a = a + shifts + gamma(2) * (np.abs(a) + np.abs(shifts))
    return Lines(np.concatenate([near.A, leaning.A]), a, passes), np.concatenate([owner, owner])


def _squeezed(
    lo: np.ndarray, hi: np.ndarray, A: np.ndarray, a: np.ndarray, whole: Bool[np.ndarray, " n"]
) -> tuple[np.ndarray, np.ndarray]:
    """The box, narrowed to where each row by itself can be >= 0 (interval propagation, rounded outward)."""
    if not len(A):
        return lo, hi
    most = np.maximum(A * lo, A * hi)
    size = np.abs(a) + (np.abs(A) * np.maximum(np.abs(lo), np.abs(hi))).sum(axis=1)
    total = a + most.sum(axis=1) + gamma(2 * len(lo) + 8) * size
    others = total[:, None] - most  # A_i z_i >= -others
    others = others + gamma(4) * (np.abs(total)[:, None] + np.abs(most))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        limit = -others / A
    limit = np.where(np.isfinite(limit), limit, np.nan)
    slack = 4 * UNIT * np.abs(limit)
    low = np.fmax.reduce(np.where(A > 0, limit - slack, np.nan), axis=0, initial=-np.inf)
    high = np.fmin.reduce(np.where(A < 0, limit + slack, np.nan), axis=0, initial=np.inf)
    lo, hi = np.maximum(lo, low), np.minimum(hi, high)
    return np.where(whole, np.ceil(lo), lo), np.where(whole, np.floor(hi), hi)


def walls_of(space: Space, x: Float[np.ndarray, " n"]) -> Walls:
    """The space's own rows; the surplus of its half-spaces is such that rounding leaves no doubt."""
    rows, constants = space.rows()
    size = np.abs(space.A) @ np.abs(x) + np.abs(space.b) + np.abs(space.A).sum(axis=1)
    return rows, constants, np.concatenate([gamma(8 * (len(x) + 4)) * size, np.zeros(len(rows) - len(space.b))])


def _bounded(
    question: Question, lo: np.ndarray, hi: np.ndarray, A: np.ndarray, a: np.ndarray, margin: np.ndarray, reach: float
) -> tuple[float, np.ndarray | None, np.ndarray]:
    """(proved lower bound, relaxed nearest point or None, the rows' multipliers).

    Where no point fits all rows with their surplus, the nearest one without is what the bound needs.
    """
    if question.net is not None and question.norm != "2" and len(lo) <= SMALL:
        return nearest_of(question.norm, (question.x, question.weights), (lo, hi), (A, a), margin, reach)
    best, z, y = 0.0, None, np.zeros(len(a))
    rows = np.flatnonzero(~_hold_anyway(lo, hi, A, a))
    for surplus in (margin[rows], np.zeros(len(rows))):
        bound, point, dual, fits = _solved(question, lo, hi, A[rows], a[rows], surplus, reach)
        if point is not None and (z is None or bound > best):
            best, z, y[rows] = max(bound, best), point, dual
        if fits or best >= reach or point is None:
            break
    return best, z, y


def _hold_anyway(lo: np.ndarray, hi: np.ndarray, A: np.ndarray, a: np.ndarray) -> Bool[np.ndarray, " k"]:
    """The rows that hold on a whole box, up to rounding: of these a solver would see rounding alone."""
    size = np.abs(a) + np.abs(A) @ np.maximum(np.abs(lo), np.abs(hi))
    return np.asarray(np.minimum(A * lo, A * hi).sum(axis=1) + a >= -gamma(2 * len(lo) + 8) * size)


def _solved(
    question: Question, lo: np.ndarray, hi: np.ndarray, A: np.ndarray, a: np.ndarray, margin: np.ndarray, reach: float
) -> tuple[float, np.ndarray | None, np.ndarray, bool]:
    """(proved lower bound, relaxed nearest point or None, multipliers, whether it fits the rows by the margin)."""
    x, w = question.x, question.weights
    G = A / w * reach
    length = np.linalg.norm(G, axis=1)
    length = np.where(length > 0, length, 1.0)
    margin = np.where(margin > 0, np.maximum(margin, SURPLUS * length), margin)
    low, high = w * (lo - x) / reach, w * (hi - x) / reach
    best, z, y, fits = 0.0, None, np.zeros(len(a)), False
    for price in PENALTIES:
        found = least_norm(question.norm, low, high, G / length[:, None], -(A @ x + a - margin) / length, price,
                           question.deadline.left)  # fmt: skip
        if found is None:
            break
        dual = found.dual * reach / length
        bound = proved_distance(question.norm, w, x, (lo, hi), (A, a), dual, found.slope * w)
        if z is None or bound > best:
            best, z, y = max(bound, best), np.clip(x + found.u * reach / w, lo, hi), dual
        fits = found.missed <= LP_TOLERANCE
        if bound >= reach or fits or question.norm == "2":
            break
    return best, z, y, fits


def _choose(
    question: Question, part: Part, lines: Relaxed, y: np.ndarray, z: np.ndarray, width: np.ndarray
) -> tuple[str, int]:
    """What to divide by: the whole feature farthest from whole, else the neuron that costs the bound most at z.

    Where far more neurons than inputs are open, signs say little; there the range that matters most is halved.
    """
    whole, bounds = question.space.whole, lines.bounds
    away = np.where(whole, np.abs(z - np.rint(z)), 0.0)
    if away.max(initial=0.0) > NOT_WHOLE:
        return "whole", int(np.argmax(away))
    open_ = (bounds.signs == 0) & question.switching
    if np.count_nonzero(open_) > CROWDED * len(z) and part.halved < HALVED * len(z):
        longest = int(np.argmax((np.abs(lines.A).sum(axis=0) + TINY) * width * ~whole))
        if halves(bounds.lo, bounds.hi, longest):
            return "range", longest
    if open_.any():
        cost = lines.cost(y if y.any() else np.ones(len(y)), z)
        return "neuron", int(np.argmax(np.where(open_, cost, -1.0)))
    if (width * whole).any():
        return "whole", int(np.argmax(width * whole))
    return "none", 0


def _costs(
    question: Question, bounds: Bounds, lines: Lines, weights: np.ndarray, z: np.ndarray
) -> Float[np.ndarray, " neurons"]:
    """What each neuron's lines cost the weighted rows at z, and a little of what they cost anywhere."""
    network = question.network
    Z, cost = preactivations(network, z[None]), [np.zeros(width) for width in network.widths]
    for layer, c, m, t in lines.passes:
        gate, low, high = network.gates[layer], bounds.lower[layer], bounds.upper[layer]
        at = np.clip(Z[layer][0], low, high)
        gap = np.abs(m * at + t - c * (at * np.where(at > 0, gate.active, gate.inactive)))
        cost[layer] = weights[: len(c)] @ gap + GLANCE * np.abs(t).sum(axis=0)
    return np.concatenate([np.zeros(0), *cost])
