"""Counterfactuals: the nearest point with another class, or past a threshold, that the user's rules allow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from relu_shallow.domain import Domain, WholeSpace
from relu_shallow.errors import DataError, UsageError
from relu_shallow.network import Network
from relu_shallow.precision import UNIT
from relu_shallow.questions.distance import Norm
from relu_shallow.questions.goal import Goal, target_class
from relu_shallow.questions.nearest import AT_EASE, Nearest, nearest_point
from relu_shallow.questions.radius import goals_of, sides
from relu_shallow.questions.space import Space, narrowed, space_of


@dataclass(frozen=True, eq=False)
class Rules:
    """What may change: features by number. `ranges` are of their values, `groups` one-hot: one member is 1, others 0.

    `increasing` features may only grow and `decreasing` ones only fall; `whole` ones take whole numbers.
    """

    fixed: tuple[int, ...] = ()
    increasing: tuple[int, ...] = ()
    decreasing: tuple[int, ...] = ()
    whole: tuple[int, ...] = ()
    groups: tuple[tuple[int, ...], ...] = ()
    ranges: Mapping[int, tuple[float, float]] | None = None


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
    network: Network,
    x: Float[np.ndarray, " inputs"],
    *,
    norm: Norm = "1",
    rules: Rules | None = None,
    domain: Domain | None = None,
    weights: Float[np.ndarray, " inputs"] | None = None,
    target: int | None = None,
    output: int | None = None,
    threshold: float = 0.0,
    time_limit: float = AT_EASE,
) -> Counterfactual:
    """The nearest point to x, by |weights * (z - x)|, of another class (or of `target`), within the rules and domain.

    With `output`, the point is on the other side of the threshold. Raises UsageError for rules or a target that make no
    sense, DomainError where a feature has no value left.
    """
    x = np.asarray(x, dtype=np.float64)
    if not np.isfinite(x).all():
        raise DataError("every value of the row must be a finite number")
    if output is None and network.outputs == 1 and network.head == "identity":
        raise UsageError(
            "the network has one output and no head, so it tells no class: say which output must cross which threshold "
            "(--output 0 --threshold T)"
        )
    if target is not None and output is not None:
        raise UsageError("a target class and an output's threshold were both given; say one")
    own = int(sides(network, x[None], output, threshold)[0])
    goals: tuple[Goal, ...] = goals_of(network, own, output, threshold)
    if target is not None:
        goals = (target_class(network, target, threshold),)
    space = allowed(space_of(domain if domain is not None else WholeSpace(), network), x, rules or Rules())
    w = np.ones(len(x)) if weights is None else weights
    found = nearest_point(network, x, goals, space, norm, w, time_limit)
    there = -1 if not np.isfinite(found.upper) else int(sides(network, found.point[None], output, threshold)[0])
    return Counterfactual(x, found, own, there, norm, w)


def allowed(space: Space, x: Float[np.ndarray, " n"], rules: Rules) -> Space:
    """The space in which the rules hold for a change of x."""
    n = len(x)
    numbers = [*rules.fixed, *rules.increasing, *rules.decreasing, *rules.whole, *(i for g in rules.groups for i in g)]
    if any(not 0 <= i < n for i in [*numbers, *(rules.ranges or {})]):
        raise UsageError(f"a rule names a feature that is not one of the {n} inputs")
    members = [i for group in rules.groups for i in group]
    if len(set(members)) < len(members):
        raise UsageError("a feature is in two one-hot groups; a feature belongs to one")
    lo, hi = np.full(n, -np.inf), np.full(n, np.inf)
    for i, (low, high) in (rules.ranges or {}).items():
        if not low <= high:
            raise UsageError(f"the range of input {i} is empty: {low:g} to {high:g}")
        lo[i], hi[i] = low, high
    lo[list(rules.increasing)] = np.maximum(lo, x)[list(rules.increasing)]
    hi[list(rules.decreasing)] = np.minimum(hi, x)[list(rules.decreasing)]
    lo[members], hi[members] = np.maximum(lo[members], 0.0), np.minimum(hi[members], 1.0)
    whole = space.whole.copy()
    whole[[*rules.whole, *members]] = True
    fixed = list(rules.fixed)
    whole[fixed] &= x[fixed] == np.rint(x[fixed])  # a fixed feature keeps its value, whole or not
    lo[fixed] = hi[fixed] = x[fixed]
    inside = narrowed(space, lo, hi)
    return Space(inside.lo, inside.hi, space.A, space.b, whole, tuple(tuple(group) for group in rules.groups))


SCALES = ("none", "range", "sd", "mad")


def spread_weights(X: Float[np.ndarray, "rows n"], scale: str) -> Float[np.ndarray, " n"]:
    """Weights that measure a change of each feature in its spread over the data: 1 / range, standard deviation or MAD.

    MAD is the median absolute deviation from the median (Wachter et al. 2018). A feature without spread is measured in
    its own units.
    """
    if scale not in SCALES:
        raise UsageError(f"the scale {scale!r} is not one of {', '.join(SCALES)}")
    if scale == "none":
        return np.ones(X.shape[1])
    if scale == "range":
        spread = X.max(axis=0) - X.min(axis=0)
    elif scale == "sd":
        spread = X.std(axis=0)
    else:
        spread = np.median(np.abs(X - np.median(X, axis=0)), axis=0)
    size = np.abs(X).max(axis=0, initial=0.0)
    return 1.0 / np.where(spread > len(X) * UNIT * size, spread, 1.0)


def numbers_of(names: Sequence[str], feature_names: Sequence[str]) -> tuple[int, ...]:
    """The features' numbers, given by name or by number from 0; raises UsageError for one that is neither."""
    found = []
    for name in names:
        if name in feature_names:
            found.append(list(feature_names).index(name))
        elif name.isdecimal() and len(name) < 10 and int(name) < len(feature_names):
            found.append(int(name))
        else:
            shown = ", ".join(feature_names[:12]) + (", ..." if len(feature_names) > 12 else "")
            raise UsageError(f"there is no feature {name!r:.60}; the features are {shown}")
    return tuple(found)
