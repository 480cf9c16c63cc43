"""Clarabel through cvxpy: a second reference answer, by an interior-point method that shares nothing with HiGHS."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float

from relu_shallow.lp.question import Answer, Polyhedron, Status, without_optimum
from relu_shallow.precision import LP_TOLERANCE

_STATUS: dict[str, Status] = {"infeasible": "infeasible"}  # unbounded and every "..._inaccurate" are undecided


def maximise(
    polyhedron: Polyhedron,
    h: Float[np.ndarray, " d"],
    c: float,
    stop: float = np.inf,  # noqa: ARG001
) -> Answer:
    """The maximum of h.y + c over the polyhedron (`stop` is not used: an interior point is useful only at the end)."""
    import cvxpy as cp

    problem, y, rows, (A, b, objective) = _problem(*polyhedron.A.shape)
    A.value, b.value, objective.value = polyhedron.A, polyhedron.b, h
    try:
        problem.solve(solver=cp.CLARABEL, tol_feas=LP_TOLERANCE, tol_gap_abs=LP_TOLERANCE, tol_gap_rel=LP_TOLERANCE)
    except cp.SolverError:
        return without_optimum(polyhedron, "undecided")
    if problem.status != cp.OPTIMAL:
        return without_optimum(polyhedron, _STATUS.get(problem.status, "undecided"))
    return Answer("optimal", float(h @ y.value + c), np.array(y.value), np.array(rows.dual_value))


@lru_cache(maxsize=256)
def _problem(rows: int, d: int) -> tuple[Any, Any, Any, tuple[Any, Any, Any]]:
    """The problem of one shape with its numbers left open: cvxpy compiles it once, which costs more than solving."""
    import cvxpy as cp

    y = cp.Variable(d)
    A, b, h = cp.Parameter((rows, d)), cp.Parameter(rows), cp.Parameter(d)
    constraint = A @ y + b >= 0
    return cp.Problem(cp.Maximize(h @ y), [constraint]), y, constraint, (A, b, h)
