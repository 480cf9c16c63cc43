"""What the nearest point must satisfy: one of several conjunctions of linear conditions on the outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from relu_shallow.errors import UsageError
from relu_shallow.network import Network, evaluate
from relu_shallow.precision import gamma
from relu_shallow.questions.outputs import output_sums

Side = Literal["above", "below"]


@dataclass(frozen=True, eq=False)
class Goal:
    """The points where C f(x) + c >= 0, all rows at once; the `strict` ones > 0, where a tie is still the other side.
    """

    C: Float[np.ndarray, "rows outputs"]
    c: Float[np.ndarray, " rows"]
    strict: Bool[np.ndarray, " rows"]


def classes(network: Network) -> int:
    """How many classes the outputs stand for: as many as there are, or two where the only one is compared with 0."""
    return max(network.outputs, 2)


def class_of(network: Network, Y: Float[np.ndarray, "rows outputs"], threshold: float = 0.0) -> np.ndarray:
    """The class of each row of outputs before the head: the largest one, or whether the only one is above `threshold`.

    A tie is of the class that comes first.
    """
    return np.argmax(Y, axis=1) if network.outputs > 1 else (Y[:, 0] > threshold).astype(np.int64)


def check_threshold(network: Network, output: int | None, threshold: float) -> None:
    """Raises UsageError for a threshold that nothing would be compared with."""
    if threshold != 0.0 and output is None and network.outputs > 1:
        raise UsageError("a threshold is of one output: say which (--output K); without one the largest output counts")


def target_class(network: Network, target: int, threshold: float = 0.0) -> Goal:
    """Where the target's output is the first of the largest ones; of one output: where it is on the target's side."""
    if not 0 <= target < classes(network):
        raise UsageError(f"class {target} was asked for, but the network has the classes 0 to {classes(network) - 1}")
    if network.outputs == 1:
        return past(network, 0, threshold, "above" if target == 1 else "below")
    others = [k for k in range(network.outputs) if k != target]
    C = -np.eye(network.outputs)[others]
    C[:, target] = 1.0
    return Goal(C, np.zeros(len(others)), np.array(others) < target)


def another_class(network: Network, own: int, threshold: float = 0.0) -> tuple[Goal, ...]:
    """Where some other class has more than the own one's output, or as much and comes first: a goal for each class."""
    if network.outputs == 1:
        return (target_class(network, 1 - own, threshold),)
    goals = []
    for k in range(network.outputs):
        if k != own:
            C = np.zeros((1, network.outputs))
            C[0, k], C[0, own] = 1.0, -1.0
            goals.append(Goal(C, np.zeros(1), np.array([k > own])))
    return tuple(goals)


def past(network: Network, output: int, threshold: float, side: Side) -> Goal:
    """Where an output, before the head, is above a threshold, or is not (as `class_of` has it)."""
    if not 0 <= output < network.outputs:
        raise UsageError(f"output {output} was asked for, but the network has the outputs 0 to {network.outputs - 1}")
    sign = 1.0 if side == "above" else -1.0
    C = np.zeros((1, network.outputs))
    C[0, output] = sign
    return Goal(C, np.array([-sign * threshold]), np.array([side == "above"]))


def sides(network: Network, X: np.ndarray, output: int | None, threshold: float) -> np.ndarray:
    """The class of each row, or whether an output is above its threshold (1) or not (0).

    Raises UsageError for an output that is none, and where the only output has no head, so that it tells no class.
    """
    Y = evaluate(network, X)
    if output is None:
        if network.outputs == 1 and network.head == "identity":
            raise UsageError("the network has one output and no head, so it tells no class: say which output and "
                             "threshold are meant (--output 0 --threshold T)")  # fmt: skip
        return np.asarray(class_of(network, Y, threshold)).astype(np.int64)
    past(network, output, threshold, "above")  # raises where there is no such output
    return (Y[:, output] > threshold).astype(np.int64)


def goals_of(network: Network, own: int, output: int | None, threshold: float) -> tuple[Goal, ...]:
    """Where the class, or the side of the threshold, is another one."""
    if output is None:
        return another_class(network, own, threshold)
    return (past(network, output, threshold, "below" if own else "above"),)


def margins(goal: Goal, network: Network, X: Float[np.ndarray, "points inputs"]) -> tuple[np.ndarray, np.ndarray]:
    """(least of C f + c, a bound on its rounding error) at each point."""
    sums, error, size = output_sums(network, X, goal.C)
    values = sums + goal.c
    error = error + gamma(4) * (size + np.abs(goal.c))
    lowest = (values - error).argmin(axis=1)
    rows = np.arange(len(X))
    return values[rows, lowest], error[rows, lowest]


def surely_met(
    goals: Sequence[Goal], network: Network, X: Float[np.ndarray, "points inputs"]
) -> Bool[np.ndarray, " points"]:
    """At which points some goal is met strictly, whatever rounding did to the outputs."""
    met = np.zeros(len(X), dtype=bool)
    for goal in goals:
        value, error = margins(goal, network, X)
        met |= value > error
    return met
