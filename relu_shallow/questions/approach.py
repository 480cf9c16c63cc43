"""Real points that meet a goal: found by local models, made safe against rounding, brought near by bisection."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from relu_shallow.network import activation_patterns, local_maps
from relu_shallow.precision import NEAREST
from relu_shallow.questions.compiled_cell import NORM
from relu_shallow.questions.distance import distance
from relu_shallow.questions.goal import Goal, margins, surely_met
from relu_shallow.questions.least_norm import least_norm
from relu_shallow.questions.nearest_cell import Question
from relu_shallow.questions.norm_kernel import pushed

Found = tuple[float, Float[np.ndarray, " n"]]
ROUNDS, HALVINGS, PUSHES, SPREAD = 12, 12, 40, 512


def made_sure(
    question: Question, goal: Goal, z: np.ndarray, push: np.ndarray, limit: float = np.inf
) -> Found | None:
    """The distance, below `limit`, and place of a point at or beside z that surely meets the goal inside the space.

    None where no such point was found.
    """
    z = rounded(question, z)
    away = np.abs(z - question.x)
    moved = away > NEAREST * away.max(initial=0.0)
    for point, may_move in ((np.where(moved, z, rounded(question, question.x)), moved), (z, np.ones(len(z), bool))):
        found = _pushed(question, goal, point, np.where(may_move & question.space.free, push, 0.0), limit)
        if found is not None:
            return found
        if moved.all():
            break
    return None


def _surely(question: Question, goal: Goal, z: np.ndarray) -> bool:
    """Whether a point surely meets a goal inside the space."""
    if question.net is None:
        met = bool(surely_met((goal,), question.network, z[None])[0])
    else:
        met = _push(question, goal, z, np.zeros(len(z)), np.inf)[1]
    return met and question.space.surely_holds(z)


def _push(
    question: Question, goal: Goal, z: np.ndarray, direction: np.ndarray, limit: float
) -> tuple[np.ndarray, bool]:
    """The first of ever longer steps from z that surely meets the goal, by compiled code, and whether there is one."""
    assert question.net is not None, "sparse and large networks go without"
    space, found, work = question.space, np.zeros(len(z)), np.zeros((4, max(len(question.net.b), len(z))))
    met = pushed(question.net, goal.C, goal.c, NORM[question.norm], question.x, question.weights, space.lo, space.hi, z,
                 direction, PUSHES, limit, found, work)  # fmt: skip
    return found, bool(met)


def _pushed(question: Question, goal: Goal, z: np.ndarray, direction: np.ndarray, limit: float) -> Found | None:
    """The first of ever longer steps from z that surely meets the goal inside the space."""
    space, x, weights = question.space, question.x, question.weights
    Z: np.ndarray
    if question.net is not None:
        point, met = _push(question, goal, z, direction, limit)
        Z = point[None][: int(met)]
    else:
        length = float(direction @ direction)
        value, error = margins(goal, question.network, z[None])
        steps = [0.0]
        if length > 0:
            first = 2 * max(float(error[0] - value[0]), float(error[0])) / length
            steps += list(first * 2.0 ** np.arange(PUSHES))
        Z = np.clip(z + np.outer(steps, direction), space.lo, space.hi)
        Z = Z[distance(question.norm, weights, x, Z) < limit]
        Z = Z[surely_met((goal,), question.network, Z)]
    for point in Z:
        if space.surely_holds(point):
            return float(distance(question.norm, weights, x, point)), point
    return None


def rounded(question: Question, z: np.ndarray) -> np.ndarray:
    """The point with its whole features made whole, inside the space's ranges."""
    space = question.space
    return np.clip(np.where(space.whole, np.rint(z), z), space.lo, space.hi)


def approached(question: Question, reach: float) -> Found | None:
    """The nearest point found by steps to where the local model at the last point meets a goal."""
    best: Found | None = None
    for goal in question.goals:
        if question.deadline.passed():
            return best
        found = _walk(question, goal, reach if best is None else best[0])
        best = found if found is not None and (best is None or found[0] < best[0]) else best
    return best if best is not None else _scattered(question, reach)


def _walk(question: Question, goal: Goal, reach: float) -> Found | None:
    z, best = question.x, None
    for _ in range(ROUNDS):
        if question.deadline.passed():
            break
        step = _local_step(question, goal, z, reach)
        if step is None:
            break
        target, push = step
        found = made_sure(question, goal, target, push)
        found = drawn_in(question, goal, found[1]) if found else None
        if found is not None and (best is None or found[0] < best[0]):
            best = found
            reach = min(reach, found[0])
        nearer = found[1] if found is not None else rounded(question, target)
        if np.array_equal(nearer, z):
            break
        z = nearer
    return best


def _local_step(question: Question, goal: Goal, z: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray] | None:
    """The point nearest to x that meets the goal by the local model at z, and the direction of the goal there."""
    alpha, beta = local_maps(question.network, activation_patterns(question.network, z[None])[0])[-1]
    A, a = goal.C @ alpha, goal.C @ beta + goal.c
    more, constants = question.space.rows()
    rows, right = np.concatenate([A, more]), np.concatenate([a, constants])
    x, w = question.x, question.weights
    G = rows / w * reach
    length = np.linalg.norm(G, axis=1)
    length = np.where(length > 0, length, 1.0)
    low = np.maximum(w * (question.space.lo - x) / reach, -1.0)
    high = np.minimum(w * (question.space.hi - x) / reach, 1.0)
    if (low > high).any():
        return None
    found = least_norm(question.norm, low, high, G / length[:, None], -(rows @ x + right) / length,
                       seconds=question.deadline.left)  # fmt: skip
    return None if found is None else (x + found.u * reach / w, A.sum(axis=0))


def drawn_in(question: Question, goal: Goal, point: np.ndarray) -> Found:
    """A point on the segment from x that still meets the goal, by bisection where the whole segment is allowed."""
    near, far = 0.0, 1.0
    free = question.space.free | (point == question.x)
    if free.all() and not question.space.groups:
        for _ in range(HALVINGS):
            if question.deadline.passed():
                break
            middle = question.x + 0.5 * (near + far) * (point - question.x)
            middle = np.clip(middle, question.space.lo, question.space.hi)
            met = _surely(question, goal, middle)
            near, far = (near, 0.5 * (near + far)) if met else (0.5 * (near + far), far)
    z = question.x + far * (point - question.x) if far < 1 else point
    z = np.clip(z, question.space.lo, question.space.hi)
    return float(distance(question.norm, question.weights, question.x, z)), z


def _scattered(question: Question, reach: float) -> Found | None:
    """The nearest of some random points of the space that meet a goal, always the same ones."""
    rng = np.random.default_rng(0)
    space, radius = question.space, reach / question.weights
    lo, hi = np.maximum(space.lo, question.x - radius), np.minimum(space.hi, question.x + radius)
    if (lo > hi).any() or question.deadline.passed():
        return None
    share = rng.random((SPREAD, 1))
    inside = np.clip(question.x, lo, hi)
    Z = inside + share * (rng.uniform(lo, hi, (SPREAD, len(lo))) - inside)
    Z = np.array([rounded(question, z) for z in Z])
    met = [z for z in Z[surely_met(question.goals, question.network, Z)] if space.surely_holds(z)]
    best = None
    for z in met[:16]:
        goal = next(goal for goal in question.goals if surely_met((goal,), question.network, z[None])[0])
        found = drawn_in(question, goal, z)
        best = found if best is None or found[0] < best[0] else best
    return best
