"""Pairs of features that never interact over a domain, proved: f is then a function without x_i plus one without x_j.

On a box (or the whole space), f = g(without x_i) + h(without x_j) holds exactly if the second difference
f(x) - f(x + s e_i) - f(x + t e_j) + f(x + s e_i + t e_j) is zero everywhere; for a continuous f that is to say that its
distributional derivative d_i d_j f is zero. A piecewise-linear f has its gradient alpha jump across facets only, by a
multiple lambda n of the facet's normal n (f is continuous), so d_i d_j f is the measure lambda n_i n_j on the facets:
it is zero exactly if no facet at which f's gradient jumps carries both x_i and x_j in its normal.

A facet lies in the zero set of a neuron's pre-activation, which is affine on each side; the normal is that
pre-activation's slope. Two proofs follow, both from structure, so that no rounded number counts as zero:

weights   A neuron stable on the domain is linear there and bounds nothing. A cut neuron's slope is carried by the
          inputs that reach it through weights that are not zero and gates that are not shut; a pair that reaches no cut
          neuron from which some weight leads on to an output never interacts.
regions   In each region, the slope of a neuron under the region's pattern, whose zeros are exact where the error bound
          is zero or rational arithmetic says so; a neuron whose row is proved to follow from the region's other rows
          bounds no facet there. A pair that no remaining row of any region carries never interacts.

Fixed inputs take part in nothing. A polytope is no product of intervals: there the second difference says nothing of a
sum of two functions, so it is refused. The converse is shown by four points whose second difference is not zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float

from relu_shallow.checks.counting import free_inputs
from relu_shallow.domain import Box, Domain, Polytope, WholeSpace, fit
from relu_shallow.errors import DomainError
from relu_shallow.network import Matrix, Network, evaluate
from relu_shallow.precision import evaluation_error, gamma, underflow_error
from relu_shallow.questions.halfspaces import WALL, HalfSpaces, exact_half_spaces, half_spaces_of, needed_rows
from relu_shallow.questions.listed import all_listed
from relu_shallow.questions.source import Converted, in_modules, network_of
from relu_shallow.relaxation import preactivation_bounds
from relu_shallow.shallow.opening import opened

Status = Literal["never", "interact", "may"]
POINTS = 4096  # random corners from which second differences are taken
MOST_FEATURES = 200  # beyond, no second differences are taken: pairs that are not proved may interact
PROOFS = 400  # regions whose rows are looked at one by one


@dataclass(frozen=True, eq=False)
class Interactions:
    """What is known of each pair of features, over all outputs together; `status` is symmetric.

    `never`: proved that no output has an interaction of the two on the domain. `interact`: four points were found whose
    second difference is not zero. `may`: neither is proved. The diagonal is empty text.
    """

    features: tuple[str, ...]
    status: np.ndarray
    proved_by: Literal["weights", "regions"]

    @property
    def pairs(self) -> dict[str, list[tuple[str, str]]]:
        """The pairs of each status, by name."""
        found: dict[str, list[tuple[str, str]]] = {"never": [], "interact": [], "may": []}
        for i in range(len(self.features)):
            for j in range(i + 1, len(self.features)):
                found[str(self.status[i, j])].append((self.features[i], self.features[j]))
        return found


def interactions(source: Any, *, domain: Domain | None = None) -> Interactions:
    """Which pairs of features never interact, do interact, or may, over a box or the whole space.

    From a converted network's own complete and certified list also by its regions, else from the weights. In modules,
    pairs never interact that do not in any. Raises DomainError for a polytope.
    """
    source = opened(source)
    network = network_of(source)
    parts = in_modules(source) if domain is None else []
    if parts:
        return _of_modules(interactions(network, domain=source.domain), [interactions(part) for part in parts])
    regions = None if isinstance(source, Network) or domain is not None else source
    given = WholeSpace() if domain is None else domain
    chosen = fit(given if regions is None else regions.domain, network.inputs)
    if isinstance(chosen, Polytope):
        raise DomainError("on a polytope, which is no product of intervals, this question has no meaning; give a box")
    free = free_inputs(chosen, network.inputs)
    certain = regions is not None and regions.completeness.complete and regions.completeness.level == "certified"
    signs = _signs_of_regions(regions) if regions is not None and certain else _signs(network, chosen)
    may = carried_together(network, signs, free)
    np.fill_diagonal(may, val=False)
    clear = _second_differences(network, chosen, free)
    if regions is not None and certain and (may & ~clear).any():
        may = carried_by_regions(regions, may & ~clear, free) | (may & clear)
    status = np.where(clear, "interact", np.where(may, "may", "never")).astype("<U8")
    np.fill_diagonal(status, "")
    return Interactions(network.feature_names, status, "regions" if certain else "weights")


def _of_modules(whole: Interactions, parts: list[Interactions]) -> Interactions:
    """What is known of a sum, of which `whole` says which pairs do interact: they may cancel only between modules."""
    never = np.all([part.status == "never" for part in parts], axis=0)
    status = np.where((whole.status == "may") & never, "never", whole.status)
    by_regions = all(part.proved_by == "regions" for part in parts)
    return Interactions(whole.features, status, "regions" if by_regions else "weights")


# --- from the weights -------------------------------------------------------------------------------------------


def carried_together(
    network: Network, signs: np.ndarray, free: Bool[np.ndarray, " inputs"]
) -> Bool[np.ndarray, "inputs inputs"]:
    """The pairs of free inputs that some cut neuron, from which weights lead on to an output, carries in its slope.

    `signs` are 1 or -1 for neurons stable on the domain, else 0. Three things are followed up the layers: which inputs
    a value depends on, which of them through stable neurons alone, and (down) which neurons count at all.
    """
    counts = _neurons_that_count(network, signs)
    together = np.zeros((network.inputs, network.inputs), dtype=bool)
    reach = np.diag(free)
    start = 0
    for layer, gate in zip(network.affine, network.gates, strict=False):
        reach = _any_of(layer.W, reach)
        own = signs[start : start + len(reach)]
        slopes = np.where(own > 0, gate.active, gate.inactive)
        cut = (own == 0) & (gate.active != gate.inactive)
        carried = reach[cut & counts[start : start + len(reach)]].astype(np.float64)
        together |= carried.T @ carried > 0
        start += len(reach)
        reach = reach & (cut | (slopes != 0))[:, None]
    return together


def _any_of(W: Matrix, reach: Bool[np.ndarray, "k inputs"]) -> Bool[np.ndarray, "out inputs"]:
    """Which inputs reach each value: those of any value that a weight which is not zero leads from."""
    return np.asarray(((W != 0).astype(np.float64) @ reach.astype(np.float64)) > 0)


def _neurons_that_count(network: Network, signs: np.ndarray) -> Bool[np.ndarray, " neurons"]:
    """From which neurons weights that are not zero lead on, through gates that are not shut, to an output."""
    found = []
    on = np.ones(network.outputs, dtype=bool)
    stop = network.neurons
    for layer, gate in zip(reversed(network.affine[1:]), reversed(network.gates), strict=True):
        on = np.asarray(((layer.W != 0).astype(np.float64).T @ on.astype(np.float64)) > 0)
        own = signs[stop - len(on) : stop]
        shut = ((own > 0) & (gate.active == 0)) | ((own < 0) & (gate.inactive == 0))
        on = on & ~shut & ((gate.active != 0) | (gate.inactive != 0))
        found.append(on)
        stop -= len(on)
    return np.concatenate([np.zeros(0, dtype=bool), *reversed(found)])


def _signs(network: Network, domain: Domain) -> np.ndarray:
    """The signs that certified bounds show on a box; nothing is known on the whole space."""
    if not isinstance(domain, Box):
        return np.zeros(network.neurons, np.int8)
    return preactivation_bounds(network, domain.lo, domain.hi).signs


def _signs_of_regions(converted: Converted) -> np.ndarray:
    """The signs of the neurons that are active in all regions, or in none."""
    always, never = (np.ones(converted.network.neurons, dtype=bool) for _ in range(2))
    for part in all_listed(converted):
        always &= part.patterns.all(axis=0)
        never &= ~part.patterns.any(axis=0)
    return (always.astype(np.int8) - never.astype(np.int8)).astype(np.int8)


# --- from the regions -------------------------------------------------------------------------------------------


def carried_by_regions(
    converted: Converted, open_: Bool[np.ndarray, "i j"], free: Bool[np.ndarray, " inputs"]
) -> Bool[np.ndarray, "i j"]:
    """Which of the open pairs some region's facet may carry; all that are open where too many would be looked at."""
    network = converted.network
    domain = fit(converted.domain, network.inputs)
    left, kept = open_.copy(), np.zeros_like(open_)
    looked = 0
    for part in all_listed(converted):
        for pattern, witness in zip(part.patterns, part.witnesses, strict=True):
            together = carried_in_region(network, pattern, free)
            if not (together & left).any():
                continue
            looked += 1
            if looked > PROOFS:
                return open_
            cell = half_spaces_of(network, domain, pattern, witness)
            kept |= left & _carried_by_facets(cell, free)
            left &= ~kept
            if not left.any():
                return kept
    return kept


def carried_in_region(
    network: Network, pattern: Bool[np.ndarray, " neurons"], free: Bool[np.ndarray, " inputs"]
) -> Bool[np.ndarray, "i j"]:
    """The pairs that the slope of some switching neuron may carry under a pattern.

    Reach goes through gates whose slope under the pattern is not zero.
    """
    together = np.zeros((network.inputs, network.inputs), dtype=bool)
    reach, start = np.diag(free), 0
    for layer, gate in zip(network.affine, network.gates, strict=False):
        reach = _any_of(layer.W, reach)
        stop = start + len(reach)
        switches = gate.active != gate.inactive
        several = reach[switches]
        together |= (several.T.astype(np.float64) @ several.astype(np.float64)) > 0
        reach = reach & (np.where(pattern[start:stop], gate.active, gate.inactive) != 0)[:, None]
        start = stop
    return together


def _carried_by_facets(cell: HalfSpaces, free: Bool[np.ndarray, " inputs"]) -> Bool[np.ndarray, "i j"]:
    """The pairs in the normals of the rows that a region cannot be proved to do without."""
    keep = needed_rows(cell)
    keep = keep[cell.neuron[keep] != WALL]
    exact = exact_half_spaces(cell)
    normals = np.array([[v != 0 for v in exact[k][:-1]] for k in keep.tolist()], dtype=bool) if exact else (
        (cell.A[keep] != 0) | (cell.E[keep] != 0))  # fmt: skip
    normals = normals.reshape(len(keep), len(free)) & free
    return np.asarray((normals.T.astype(np.float64) @ normals.astype(np.float64)) > 0)


# --- the converse -----------------------------------------------------------------------------------------------


def _second_differences(network: Network, domain: Domain, free: Bool[np.ndarray, " inputs"]) -> Bool[np.ndarray, "i j"]:
    """The pairs of which some random second difference is not zero, all rounding counted."""
    n = network.inputs
    rng = np.random.default_rng(0)
    found = np.zeros((n, n), dtype=bool)
    axes = np.flatnonzero(free)
    if len(axes) > MOST_FEATURES:
        return found
    count = max(4, POINTS // max(len(axes) ** 2, 1))
    for i in axes.tolist():
        for j in axes[axes > i].tolist():
            found[i, j] = found[j, i] = _differs(network, _points(domain, n, count, rng), i, j,
                                                 _points(domain, n, count, rng))  # fmt: skip
    return found


def _points(domain: Domain, n: int, count: int, rng: np.random.Generator) -> Float[np.ndarray, "count n"]:
    if isinstance(domain, Box):
        return rng.uniform(domain.lo, domain.hi, (count, n))
    return rng.standard_cauchy((count, n)).clip(-(2.0**20), 2.0**20)


def _differs(network: Network, X: np.ndarray, i: int, j: int, Y: np.ndarray) -> bool:
    """Whether f(x) - f(x, y_i) - f(x, y_j) + f(x, y_i, y_j) is surely not zero for some of the rows and an output."""
    corners = [X.copy() for _ in range(4)]
    for corner, moves in zip(corners, ((), (i,), (j,), (i, j)), strict=True):
        for axis in moves:
            corner[:, axis] = Y[:, axis]
    values = [evaluate(network, corner) for corner in corners]
    error = sum(evaluation_error(network, corner) + underflow_error(network) for corner in corners)
    difference = values[0] - values[1] - values[2] + values[3]
    size = sum(np.abs(value) for value in values)
    return bool((np.abs(difference) > 2 * error + gamma(8) * size).any())
