"""What a counterfactual may change: features fixed, one-way, in ranges, whole numbers, or one-hot together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from relu_shallow.errors import UsageError
from relu_shallow.questions.space import Space, narrowed


@dataclass(frozen=True, eq=False)
class Constraints:
    """What may change in a row: features by number. `ranges` are of their values.

    Of each of the `groups`, one-hot together, one member is 1 and the others are 0. `increasing` features may only
    grow and `decreasing` ones only fall; `whole` ones take whole numbers.
    """

    fixed: tuple[int, ...] = ()
    increasing: tuple[int, ...] = ()
    decreasing: tuple[int, ...] = ()
    whole: tuple[int, ...] = ()
    groups: tuple[tuple[int, ...], ...] = ()
    ranges: Mapping[int, tuple[float, float]] | None = None


def constrained(space: Space, x: Float[np.ndarray, " n"], given: Constraints) -> Space:
    """The space in which the constraints hold for a change of x."""
    n = len(x)
    numbers = [*given.fixed, *given.increasing, *given.decreasing, *given.whole, *(i for g in given.groups for i in g)]
    if any(not 0 <= i < n for i in [*numbers, *(given.ranges or {})]):
        raise UsageError(f"a constraint names a feature that is not one of the {n} inputs")
    members = [i for group in given.groups for i in group]
    if len(set(members)) < len(members):
        raise UsageError("a feature is in two one-hot groups; a feature belongs to one")
    lo, hi = np.full(n, -np.inf), np.full(n, np.inf)
    for i, (low, high) in (given.ranges or {}).items():
        if not low <= high:
            raise UsageError(f"the range of input {i} is empty: {low:g} to {high:g}")
        lo[i], hi[i] = low, high
    lo[list(given.increasing)] = np.maximum(lo, x)[list(given.increasing)]
    hi[list(given.decreasing)] = np.minimum(hi, x)[list(given.decreasing)]
    lo[members], hi[members] = np.maximum(lo[members], 0.0), np.minimum(hi[members], 1.0)
    whole = space.whole.copy()
    whole[[*given.whole, *members]] = True
    fixed = list(given.fixed)
    for i in fixed:
        if not lo[i] <= x[i] <= hi[i]:
            raise UsageError(f"input {i} is fixed at {x[i]:g}, which its range {lo[i]:g} to {hi[i]:g} does not hold")
    whole[fixed] &= x[fixed] == np.rint(x[fixed])  # a fixed feature keeps its value, whole or not
    lo[fixed] = hi[fixed] = x[fixed]
    inside = narrowed(space, lo, hi)
    return Space(inside.lo, inside.hi, space.A, space.b, whole, tuple(tuple(group) for group in given.groups))
