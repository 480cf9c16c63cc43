"""Counterfactuals: the nearest point with another class, or past a threshold, that the user's constraints allow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from relu_shallow.domain import Domain
from relu_shallow.errors import UsageError
from relu_shallow.questions.constraints import Constraints, constrained
from relu_shallow.questions.distance import Norm
from relu_shallow.questions.goal import Goal, check_threshold, goals_of, sides, target_class
from relu_shallow.questions.nearest import AT_EASE, Nearest, nearest_point
from relu_shallow.questions.source import domain_of, network_of
from relu_shallow.questions.space import space_of
from relu_shallow.shallow.opening import opened
from relu_shallow.shallow.table import as_points


@dataclass(frozen=True, eq=False)
class Counterfactual:
    """The nearest point to a row that meets the wish: `nearest.lower` <= its distance <= `nearest.upper`, both proved.

    `nearest.point` is `row` changed by `nearest.upper`; its class (or side of the threshold) in exact arithmetic is
    `there`, the row's is `own` (-1 where there is no point).
    """

    row: Float[np.ndarray, " inputs"]
    nearest: Nearest
    own: int
    there: int
    norm: Norm
    weights: Float[np.ndarray, " inputs"]


def counterfactual(
    source: Any,
    x: object,
    *,
    norm: Norm = "1",
    constraints: Constraints | None = None,
    domain: Domain | None = None,
    weights: Float[np.ndarray, " inputs"] | None = None,
    target: int | None = None,
    output: int | None = None,
    threshold: float = 0.0,
    time_limit: float = AT_EASE,
) -> Counterfactual:
    """The nearest point to x, by |weights * (z - x)|, of another class (or of `target`), within what is allowed.

    The domain is by default that of a converted network. With `output`, the point is on the other side of the
    threshold. Raises UsageError for constraints or a target that make no sense, DomainError where a feature has no
    value left.
    """
    source = opened(source)
    network = network_of(source)
    check_threshold(network, output, threshold)
    row = as_points([x], network.inputs)[0]
    if target is not None and output is not None:
        raise UsageError("a target class and an output's threshold were both given; say one")
    own = int(sides(network, row[None], output, threshold)[0])
    goals: tuple[Goal, ...] = goals_of(network, own, output, threshold)
    if target is not None:
        goals = (target_class(network, target, threshold),)
    space = constrained(space_of(domain_of(source, domain), network), row, constraints or Constraints())
    w = np.ones(len(row)) if weights is None else weights
    found = nearest_point(network, row, goals, space, norm, w, time_limit)
    there = -1 if not np.isfinite(found.upper) else int(sides(network, found.point[None], output, threshold)[0])
    return Counterfactual(row, found, own, there, norm, w)
