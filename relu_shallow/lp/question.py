"""The one question put to every linear-programming backend, and the one kind of answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

Status = Literal["optimal", "infeasible", "undecided"]


@dataclass(frozen=True, eq=False)
class Polyhedron:
    """The set {y : A y + b >= 0}."""

    A: Float[np.ndarray, "rows d"]
    b: Float[np.ndarray, " rows"]


@dataclass(frozen=True, eq=False)
class Answer:
    """What a backend says about the maximum of h.y + c, with what proves it.

    `optimal`: `value` is reached at `point`, and `dual` >= 0 with h + A^T dual = 0 shows that nothing is larger
    (h.y + c = c - dual.A y <= c + dual.b). `infeasible`: the solver holds a proof that no point exists. `undecided`:
    it gave up, or the maximum is not finite; never to be read as infeasible. Without an optimum, `value` is -inf
    (infeasible) or +inf (undecided: nothing is excluded) and `point` and `dual` are NaN.
    """

    status: Status
    value: float
    point: Float[np.ndarray, " d"]
    dual: Float[np.ndarray, " rows"]


Maximise = Callable[[Polyhedron, Float[np.ndarray, " d"], float, float], Answer]
"""(polyhedron, h, c, stop) -> the maximum of h.y + c over the polyhedron; may end at a value above `stop`."""


def without_optimum(polyhedron: Polyhedron, status: Status) -> Answer:
    """The answer of a backend that found no optimum."""
    rows, d = polyhedron.A.shape
    value = -np.inf if status == "infeasible" else np.inf
    return Answer(status, value, np.full(d, np.nan), np.full(rows, np.nan))


def dual_bound(polyhedron: Polyhedron, c: float, dual: Float[np.ndarray, " rows"]) -> float:
    """c + dual.b: no point of the polyhedron has a larger h.y + c, if dual >= 0 and h + A^T dual = 0."""
    return float(c + dual @ polyhedron.b)
