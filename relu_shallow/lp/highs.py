"""HiGHS through scipy.optimize.linprog: the reference answer to a question."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from relu_shallow.lp.question import Answer, Polyhedron, Status, without_optimum
from relu_shallow.precision import LP_TOLERANCE

_STATUS: dict[int, Status] = {2: "infeasible"}  # 1 limit, 3 unbounded, 4 numerical difficulties: undecided


def maximise(
    polyhedron: Polyhedron,
    h: Float[np.ndarray, " d"],
    c: float,
    stop: float = np.inf,  # noqa: ARG001
) -> Answer:
    """The maximum of h.y + c over the polyhedron (`stop` is not used: HiGHS always goes on to the maximum)."""
    from scipy.optimize import linprog

    options = {"primal_feasibility_tolerance": LP_TOLERANCE, "dual_feasibility_tolerance": LP_TOLERANCE}
    found = linprog(-h, A_ub=-polyhedron.A, b_ub=polyhedron.b, bounds=(None, None), method="highs", options=options)
    if found.status != 0:
        return without_optimum(polyhedron, _STATUS.get(found.status, "undecided"))
    return Answer("optimal", float(h @ found.x + c), found.x, -found.ineqlin.marginals)
