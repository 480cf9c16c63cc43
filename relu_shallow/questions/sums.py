"""Extremes of a network converted in modules: bounds from each module's regions beside those from the whole network.

Over a box, two searches take turns and share what they find: branch and bound on the network (largest.py), and the
decomposition (decomposed.py); both bounds hold, so the smaller counts. A polytope is put into a box first, from
multipliers of its own rows: with |x_i| <= c_i + e_i |x|_inf at every point of it and all e_i < 1, |x|_inf is at most
the largest c_i / (1 - e_i).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np
from jaxtyping import Float

from relu_shallow.domain import Box, Domain, Polytope, WholeSpace, fit
from relu_shallow.lp import BACKENDS
from relu_shallow.lp.question import Polyhedron
from relu_shallow.network import Network
from relu_shallow.precision import TINY, gamma, gap_closed
from relu_shallow.questions.addend_regions import (
    MOST_NUMBERS,
    Pieces,
    UnitBox,
    negated,
    numbers_in,
    pieces_of,
    unit_box,
)
from relu_shallow.questions.decomposed import Decomposed, Values
from relu_shallow.questions.largest import Largest, Search
from relu_shallow.questions.outputs import output_sums
from relu_shallow.questions.source import Source
from relu_shallow.questions.space import Space, space_of
from relu_shallow.regions.search import enumerate_regions
from relu_shallow.shallow.build import shallow_network
from relu_shallow.shallow.table import ShallowNetwork, is_sum

FIRST_TURN = 0.25  # seconds; every turn is twice as long as the one before
INWARD = 2.0 ** np.arange(-52.0, 0.0, 2.0)  # of the way from a corner to the point inside


@dataclass(frozen=True, eq=False)
class Addends:
    """The modules of a network over a bounded domain, and a point well inside it."""

    network: Network
    domain: Domain
    box: UnitBox
    pieces: list[Pieces]
    inside: Float[np.ndarray, " inputs"]


def addends_over(source: Source, chosen: Domain, weights: Float[np.ndarray, " outputs"]) -> Addends | None:
    """The modules of a source over a bounded domain, with weights . outputs; None where they do not serve.

    They do where the list of each is complete and certified on a domain that holds the chosen one, a box or the
    converted polytope, and where they are small enough to be held as half-spaces.
    """
    if not isinstance(source, ShallowNetwork) or not is_sum(source):
        return None
    known, n = source.completeness, source.network.inputs
    if not (known.complete and known.level == "certified" and _within(chosen, fit(source.domain, n))):
        return None
    walls, ends = (np.zeros((0, n)), np.zeros(0)), None
    if isinstance(chosen, Box):
        ends = chosen.lo, chosen.hi
    elif isinstance(chosen, Polytope):
        walls, ends = (-chosen.A, chosen.b), box_around(chosen)
    if ends is None or numbers_in(source.tables, len(walls[1])) > MOST_NUMBERS:
        return None
    box, deepest = unit_box(*ends), max(source.tables, key=lambda table: table.radii.max())
    inside = box.middle if isinstance(chosen, Box) else deepest.witnesses[np.argmax(deepest.radii)]
    pieces = [pieces_of(table, box, walls, weights) for table in source.tables]
    return Addends(source.network, chosen, box, pieces, inside)


def opposite(addends: Addends) -> Addends:
    """The same with the values' negatives."""
    return replace(addends, pieces=[negated(pieces) for pieces in addends.pieces])


def _within(chosen: Domain, converted: Domain) -> bool:
    """Whether a domain is surely part of the converted one."""
    if chosen is converted or isinstance(converted, WholeSpace):
        return True
    if not isinstance(chosen, Box):
        return False
    if isinstance(converted, Box):
        return bool((converted.lo <= chosen.lo).all() and (chosen.hi <= converted.hi).all())
    most = np.maximum(converted.A * chosen.lo, converted.A * chosen.hi).sum(axis=1)
    size = np.abs(converted.A) @ np.maximum(np.abs(chosen.lo), np.abs(chosen.hi)) + np.abs(converted.b)
    return bool((most + gamma(len(chosen.lo) + 4) * size + TINY <= converted.b).all())


def box_around(polytope: Polytope) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]] | None:
    """(lo, hi) of a box that surely holds a polytope; None where none is proved, as for an unbounded one."""
    A, b, n = polytope.A, polytope.b, polytope.A.shape[1]
    tops, rests = np.zeros(2 * n), np.zeros(2 * n)
    for k, goal in enumerate(np.concatenate([np.eye(n), -np.eye(n)])):
        answer = BACKENDS["highs"](Polyhedron(-A, b), goal, 0.0, np.inf)
        if answer.status != "optimal":
            return None
        mu = np.maximum(answer.dual, 0.0)
        rounding = gamma(len(b) + n + 8)
        tops[k] = mu @ b + rounding * (mu @ np.abs(b)) + TINY
        rests[k] = np.abs(goal - mu @ A).sum() + rounding * float((1 + mu @ np.abs(A)).sum())
    if not (rests < 0.5).all():
        return None
    reach = float((np.maximum(tops, 0.0) / (1 - rests)).max()) * (1 + gamma(8))
    ends = tops + rests * reach
    ends += gamma(8) * (np.abs(tops) + rests * reach) + TINY
    return -ends[n:], ends[:n]


def largest_of(
    addends: Addends,
    weights: Float[np.ndarray, " outputs"],
    time_limit: float = np.inf,
    progress: Callable[[int], None] | None = None,
) -> Largest:
    """The largest weights . f over the domain of some addends, made with these weights, with a proved bound."""
    began, domain = perf_counter(), addends.domain
    apart = Decomposed(addends.pieces, addends.box, _values(addends, weights))
    whole = Search(addends.network, weights, domain.lo, domain.hi) if isinstance(domain, Box) else None
    apart.try_points((addends.inside - addends.box.middle)[None] / np.where(addends.box.half > 0, addends.box.half, 1))
    turn = FIRST_TURN if whole is not None else np.inf
    while True:
        left = time_limit - (perf_counter() - began)
        apart.run(min(turn, left), progress)
        if whole is None or apart.closed or left <= turn:
            break
        whole.offer(apart.value, apart.point)
        whole.run(min(turn, time_limit - (perf_counter() - began)), progress=progress)
        apart.offer(whole.value, whole.point)
        if whole.closed(min(whole.bound, apart.bound)) or perf_counter() - began >= time_limit:
            break
        turn *= 2
    bound = min(apart.bound, whole.bound) if whole is not None else apart.bound
    done = bound - apart.value <= gap_closed(*apart.scale)
    cells = apart.count + (whole.count if whole is not None else 0)
    return Largest(apart.value, max(bound, apart.value), apart.point, "exact" if done else "bounds", cells)


def _values(addends: Addends, weights: Float[np.ndarray, " outputs"]) -> Values:
    """The sum at points put into the domain, for `Decomposed`."""
    space, domain = space_of(addends.domain, addends.network), addends.domain

    def values(X: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        if isinstance(domain, Box):
            X = np.clip(X, domain.lo, domain.hi)
        else:
            X = np.array([inward(space, addends.inside, x) for x in X])
        sums, error, size = (part[:, 0] for part in output_sums(addends.network, X, weights[None]))
        return sums - error, error, size, X

    return values


def inward(
    space: Space, witness: Float[np.ndarray, " inputs"], corner: Float[np.ndarray, " inputs"]
) -> Float[np.ndarray, " inputs"]:
    """The corner, moved towards the point inside as far as it takes to be in the domain whatever is rounded."""
    places = (corner + step * (witness - corner) for step in (0.0, *INWARD))
    return next((place for place in places if space.surely_holds(place)), witness)


def listed_jointly(source: ShallowNetwork, time_limit: float) -> ShallowNetwork:
    """The one list of all regions on the converted domain, partial where the time was up before."""
    limit = None if np.isinf(time_limit) else max(time_limit, 0.0)
    return shallow_network(enumerate_regions(source.network, source.domain, time_limit=limit))
