"""The least and largest value of an output, or of a difference of two, over a domain and on each region of it.

Over a box they are found by branch and bound on the network itself (largest.py). On the whole space a sum s of outputs
is unbounded above exactly where the same network without biases has a positive value s_0(d) somewhere: gates are
homogeneous, so s(t d) / t goes to s_0(d); and a region's map can rise for ever only along a d of its own, where
alpha.d = s_0(d). On a region the value is affine, and a linear program with checked multipliers bounds it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from time import perf_counter
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

from relu_shallow.domain import Box, Domain, WholeSpace, fit
from relu_shallow.errors import DomainError
from relu_shallow.lp.exact import adjugate
from relu_shallow.network import Affine, Network
from relu_shallow.precision import gamma, gap_closed
from relu_shallow.questions.decomposed import compile_bounds
from relu_shallow.questions.halfspaces import (
    HalfSpaces,
    Rows,
    bound_on,
    exact_half_spaces,
    exact_map,
    exact_multipliers,
    solve,
)
from relu_shallow.questions.largest import Largest, largest_over_box
from relu_shallow.questions.listed import all_listed, half_spaces_in
from relu_shallow.questions.outputs import output_sums, weights_of
from relu_shallow.questions.source import Converted, network_of
from relu_shallow.questions.space import space_of
from relu_shallow.questions.sums import addends_over, inward, largest_of, listed_jointly, opposite
from relu_shallow.shallow.opening import opened
from relu_shallow.shallow.table import ShallowNetwork, is_sum

Status = Literal["exact", "bounds", "unbounded"]
STEPS = 4  # from a solver's point to the corner that it is meant to be
RAY_SHARE = 0.25  # of the time: for a ray along which the value goes to infinity


@dataclass(frozen=True, eq=False)
class Extreme:
    """One end: the value at `point`, and `bound`, which no point of the domain passes; both certified.

    `exact`: the two agree to rounding and a solver's tolerance. `bounds`: the truth lies between them. `unbounded`:
    `point` is a direction d, and along t d the value goes to infinity like t times `value`; `bound` is infinite.
    """

    value: float
    bound: float
    point: Float[np.ndarray, " inputs"]
    status: Status


@dataclass(frozen=True, eq=False)
class Extremes:
    """The least and the largest value of `label` over a domain, before the head."""

    label: str
    minimum: Extreme
    maximum: Extreme
    seconds: float


@dataclass(frozen=True, eq=False)
class RegionExtremes:
    """Least and largest value on each region: at points, and with proved bounds (infinite where none is proved).

    Where no box bounds the domain both are exact, rounded once; a box's regions have the solver's points.
    """

    region: Int[np.ndarray, " regions"]
    least: Float[np.ndarray, " regions"]
    least_bound: Float[np.ndarray, " regions"]
    least_at: Float[np.ndarray, "regions inputs"]
    largest: Float[np.ndarray, " regions"]
    largest_bound: Float[np.ndarray, " regions"]
    largest_at: Float[np.ndarray, "regions inputs"]


def extremes(
    source: Any,
    output: int = 0,
    *,
    minus: int | None = None,
    domain: Domain | None = None,
    time_limit: float = np.inf,
    progress: Callable[[int], None] | None = None,
) -> Extremes:
    """The extremes of an output, or of it minus another, over a domain (by default the converted one).

    A polytope, or the whole space where no ray shows the value unbounded, needs a complete converted network on it. Of
    a sum of tables the modules' regions serve on a box or a bounded polytope; without either all regions are listed.
    Raises UsageError for outputs that are none, DomainError for a domain on which nothing can be said.
    """
    source = opened(source)
    if isinstance(source, ShallowNetwork) and is_sum(source):
        compile_bounds()  # before the time begins
    began = perf_counter()
    network = network_of(source)
    weights, label = weights_of(network, output, minus)
    own = None if isinstance(source, Network) else fit(source.domain, network.inputs)
    chosen = fit(domain, network.inputs) if domain is not None else own
    if chosen is None:
        raise DomainError("say over which domain the extremes are meant, as Box(-1, 1)")
    addends = addends_over(source, chosen, weights)
    ends: list[Extreme] = []
    for sign in (-1.0, 1.0):
        left = (time_limit - (perf_counter() - began)) / (1.0 if ends else 2.0)
        if addends is not None:
            found = _of(largest_of(addends if sign > 0 else opposite(addends), sign * weights, left, progress))
        elif isinstance(chosen, Box):
            found = _of(largest_over_box(network, chosen.lo, chosen.hi, sign * weights, time_limit=left,
                                         progress=progress))  # fmt: skip
        else:
            regions = source if domain is None and not isinstance(source, Network) else None
            found = _unbounded_domain(network, regions, chosen, sign * weights, left, progress)
        ends.append(found)
    low = replace(ends[0], value=-ends[0].value, bound=-ends[0].bound)
    return Extremes(label, low, ends[1], perf_counter() - began)


def _of(found: Largest) -> Extreme:
    return Extreme(found.value, found.bound, found.point, found.status)


def _unbounded_domain(
    network: Network, regions: Converted | None, domain: Domain, weights: np.ndarray, left: float,
    progress: Callable[[int], None] | None,
) -> Extreme:  # fmt: skip
    """The largest value on the whole space or a polytope: a ray, or else the largest over all regions."""
    if isinstance(domain, WholeSpace):
        ray = largest_over_box(
            _without_biases(network), -np.ones(network.inputs), np.ones(network.inputs), weights,
            time_limit=left * RAY_SHARE, enough=0.0,
        )  # fmt: skip
        if ray.value > 0:
            return Extreme(ray.value, np.inf, ray.point, "unbounded")
    if regions is None:
        raise DomainError("this needs a box (--domain box:LO,HI), or a network converted on that very domain: no ray "
                          "shows the value unbounded")  # fmt: skip
    if not regions.completeness.complete:
        raise DomainError("the list of regions is partial, so nothing is known of the rest of the domain; give a box")
    if regions.completeness.level != "certified":
        raise DomainError("the list of regions is not certified, so some may be missing; convert with certificates, or "
                          "give a box")  # fmt: skip
    if isinstance(regions, ShallowNetwork) and is_sum(regions):
        regions = listed_jointly(regions, left)
        if not regions.completeness.complete:
            return _no_bound(network, regions, weights)
    space = space_of(domain, network)
    best, size = Extreme(-np.inf, -np.inf, np.full(network.inputs, np.nan), "exact"), 0.0
    for part in all_listed(regions):
        for cell in half_spaces_in(regions, part):
            _, bound, corner = largest_on(cell, weights)
            point = inward(space, cell.witness, corner)
            value = float(weights @ (cell.alpha @ point + cell.beta))
            best = replace(best, bound=max(best.bound, bound))
            if value > best.value or np.isnan(best.point).any():
                best = replace(best, value=value, point=point)
                size = np.abs(weights @ cell.alpha) @ (np.abs(point) + 1) + abs(weights @ cell.beta)
        if progress is not None:
            progress(len(part.number))
    values, errors, _ = output_sums(network, best.point[None], weights[None])
    value, error = float(values[0, 0] - errors[0, 0]), float(errors[0, 0])
    tight = best.bound - value <= gap_closed(float(size), error)
    return replace(best, value=value, status="exact" if tight else "bounds")


def _no_bound(network: Network, regions: ShallowNetwork, weights: np.ndarray) -> Extreme:
    """The best of the points inside the regions found so far, where time was up before the list was complete."""
    values, errors, _ = output_sums(network, regions.table.witnesses, weights[None])
    best = int(np.argmax(values[:, 0] - errors[:, 0]))
    value = float(values[best, 0] - errors[best, 0])
    return Extreme(value, np.inf, regions.table.witnesses[best], "bounds")


def _without_biases(network: Network) -> Network:
    return replace(network, affine=tuple(Affine(layer.W, np.zeros_like(layer.b)) for layer in network.affine))


def largest_on(
    cell: HalfSpaces, weights: Float[np.ndarray, " outputs"]
) -> tuple[float, float, Float[np.ndarray, " inputs"]]:
    """(value, proved bound, point) of the largest weights . f on a region; undecided: infinite, at the witness."""
    h, c = weights @ cell.alpha, float(weights @ cell.beta)
    everything = np.arange(len(cell.b))
    answer, mu = solve(cell, everything, h)
    if answer.status != "optimal":
        return float(h @ cell.witness + c), np.inf, cell.witness
    point = np.clip(answer.point, cell.lo, cell.hi)
    value = float(h @ point + c)
    reach = np.where(np.isfinite(cell.hi), np.maximum(np.abs(cell.lo), np.abs(cell.hi)), np.inf)
    size = np.abs(weights)
    if np.isfinite(reach).all():
        unsure = float((size @ cell.alpha_error) @ reach + size @ cell.beta_error)
        lost = gamma(len(size) + 8) * float((size @ np.abs(cell.alpha)) @ reach + size @ np.abs(cell.beta))
        return value, bound_on(cell, everything, mu, h, c, 2 * unsure + lost), point
    return _exactly(cell, everything[mu > 0].tolist(), weights, value, point)


def _exactly(
    cell: HalfSpaces, support: list[int], weights: np.ndarray, value: float, point: np.ndarray
) -> tuple[float, float, np.ndarray]:
    """(value, bound, point) in fractions, rounded at the end (the bound up); without a proof the bound is infinite.

    By duality the value is the bound where the support's rows meet in a point of the region.
    """
    rows = exact_half_spaces(cell)
    if not rows:
        return value, np.inf, point
    h, c = exact_map(cell, weights)
    mu = exact_multipliers(rows, h, support)
    if mu is None:
        return value, np.inf, point
    most = c + sum((factor * rows[k][-1] for k, factor in mu.items()), Fraction(0))
    corner = meeting_point(rows, point, [k for k, factor in mu.items() if factor])
    if corner is not None:
        value, point = _rounded(most), np.array([_rounded(v) for v in corner])
    return value, float(np.nextafter(_rounded(most), np.inf)), point


def _rounded(number: Fraction) -> float:
    """The nearest float, infinite beyond the largest."""
    try:
        return float(number)
    except OverflowError:
        return np.inf if number > 0 else -np.inf


def meeting_point(rows: Rows, point: Float[np.ndarray, " inputs"], active: list[int]) -> list[Fraction] | None:
    """The point nearest to a given one where the active rows are zero and no other is negative, exactly.

    Rows that are negative there become active in turn; None where that leads to no such point.
    """
    start = [Fraction(v) for v in point.tolist()]
    for _ in range(STEPS):
        A = np.array([rows[k][:-1] for k in active], dtype=object).reshape(len(active), len(start))
        inverse, size = adjugate(A @ A.T)
        if not size:
            return None
        off = [sum((a * v for a, v in zip(rows[k], [*start, Fraction(1)], strict=True)), Fraction(0)) for k in active]
        moved = A.T @ (inverse @ np.array(off, dtype=object)) if active else [Fraction(0)] * len(start)
        x = [v - step / size for v, step in zip(start, moved, strict=True)]
        past = [k for k, row in enumerate(rows) if sum(a * v for a, v in zip(row, [*x, 1], strict=True)) < 0]
        if not past:
            return x
        active = [*active, *past]
    return None


def region_extremes(
    converted: Converted,
    output: int = 0,
    *,
    minus: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> RegionExtremes:
    """The extremes on every listed region, by two linear programs each; `progress` is called with the regions done."""
    weights, _ = weights_of(converted.network, output, minus)
    found: list[tuple[float, ...]] = []
    points: list[tuple[np.ndarray, np.ndarray]] = []
    for part in all_listed(converted):
        for cell in half_spaces_in(converted, part):
            low, low_bound, low_at = largest_on(cell, -weights)
            high, high_bound, high_at = largest_on(cell, weights)
            found.append((-low, -low_bound, high, high_bound))
            points.append((low_at, high_at))
            if progress is not None:
                progress(1)
    numbers = np.array(found).reshape(len(found), 4).T
    least_at, largest_at = (np.array([pair[k] for pair in points]) for k in (0, 1))
    return RegionExtremes(np.arange(len(found)), numbers[0], numbers[1], least_at, numbers[2], numbers[3], largest_at)
