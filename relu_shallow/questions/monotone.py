"""In which features each output is monotone over a domain: proved, or refuted by two points that differ in one feature.

Over the regions of a complete, certified list an output never falls with feature j exactly where no alpha_j is
negative: along a line in direction j it is continuous and piecewise affine with these slopes. A slope within its
rounding error of zero is settled in rational arithmetic. Without a list, derivatives are bounded over boxes and cells
(gradients.py) by branch and bound. The largest norms of alpha are the outputs' Lipschitz constants on a convex domain.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float

from relu_shallow.checks.counting import free_inputs
from relu_shallow.checks.exact import affine_step, integers, over_one_denominator, rational
from relu_shallow.checks.maps import chunks, maps_of
from relu_shallow.domain import Box, Domain, WholeSpace, contains, fit
from relu_shallow.errors import DomainError
from relu_shallow.network import Network, dense, evaluate
from relu_shallow.precision import evaluation_error, gamma, slope_underflow, underflow_error
from relu_shallow.questions.distance import NORMS
from relu_shallow.questions.halfspaces import exact_map, half_spaces_of
from relu_shallow.questions.listed import Listed, all_listed
from relu_shallow.questions.slopes import slopes_over_box
from relu_shallow.questions.source import Converted, in_modules, network_of
from relu_shallow.shallow.opening import opened
from relu_shallow.shallow.table import ShallowNetwork

Steepest = dict[tuple[int, int, int], tuple[np.ndarray, float]]  # (sense, output, feature): a point, room about it
Status = Literal["proved", "refuted", "undecided"]
RISING, FALLING = 0, 1
EXACT = 2000  # slopes within rounding of zero that are settled exactly
EXACT_VALUE = 1 << 17  # weights of a network whose values are computed exactly
SHORTER = (1.0, 2.0**-4, 2.0**-8, 2.0**-16, 2.0**-24)  # steps tried for a counterexample


@dataclass(frozen=True, eq=False)
class Monotone:
    """For each output k and feature j: does f_k never fall (rising), never rise (falling) when only x_j grows?

    `status[0, k, j]` is about rising, `status[1, k, j]` about falling; both proved: the feature has no effect.
    `pairs[s, k, j]` are two points of the domain, the second with the larger x_j, that refute it (NaN where none
    does). `slopes` (2, outputs, inputs) are certified bounds of the derivatives. `lipschitz` (outputs, 3) are the
    constants for distances in L1, L2 and L-infinity, as certified upper bounds; `exact_lipschitz` says that they are
    reached, to rounding. Where no list of regions is there they come from the bounds of the derivatives.
    """

    features: tuple[str, ...]
    outputs: tuple[str, ...]
    status: np.ndarray
    pairs: Float[np.ndarray, "senses outputs inputs two inputs"]
    slopes: Float[np.ndarray, "two outputs inputs"]
    lipschitz: Float[np.ndarray, "outputs norms"]
    exact_lipschitz: bool


def monotone(source: Any, *, domain: Domain | None = None, time_limit: float = np.inf) -> Monotone:
    """What is proved about each output and feature over a domain (by default the converted one).

    From a converted network's own domain by its regions; from a network, or on another domain, over a box, where the
    search may end undecided when the time is up. In modules: from the regions of each, and over a box.
    """
    source = opened(source)
    network = network_of(source)
    if not isinstance(source, Network) and domain is None:
        parts = in_modules(source)
        return _from_modules(source, parts, time_limit) if parts else _from_regions(source)
    chosen = fit(domain, network.inputs) if domain is not None else WholeSpace()
    if not isinstance(chosen, Box):
        raise DomainError("without a converted network, this needs a box (Box(-1, 1), --domain box:LO,HI)")
    return _from_network(network, chosen, time_limit)


# --- from regions -----------------------------------------------------------------------------------------------


def _from_regions(converted: Converted) -> Monotone:
    network, known = converted.network, converted.completeness
    domain = fit(converted.domain, network.inputs)
    free = free_inputs(domain, network.inputs)
    shape, lost = (network.outputs, network.inputs), slope_underflow(network)
    low, high = np.full(shape, np.inf), np.full(shape, -np.inf)
    lipschitz = np.zeros((network.outputs, len(NORMS)))
    violated = np.zeros((2, *shape), dtype=bool)
    score = np.full((2, *shape), -1.0)  # radii of regions too small for floats are zero
    best: Steepest = {}
    doubts: list[tuple[Listed, int, int, np.ndarray]] = []
    for part in _pieces(converted):
        maps = maps_of(network, part.patterns)
        alpha, error = maps.output[..., :-1] * free, (maps.output_error[..., :-1] + lost) * free
        low, high = np.minimum(low, (alpha - error).min(axis=1)), np.maximum(high, (alpha + error).max(axis=1))
        lipschitz = np.maximum(lipschitz, _norms(np.abs(alpha) + error).max(axis=1))
        for sense, slope in ((RISING, -alpha), (FALLING, alpha)):
            clear = slope > error
            violated[sense] |= clear.any(axis=1)
            steep = np.where(clear, slope * np.minimum(part.radii, 1.0)[None, :, None], -1.0)
            top = steep.argmax(axis=1)
            for k, j in np.argwhere(np.take_along_axis(steep, top[:, None], axis=1)[:, 0] > score[sense]).tolist():
                place = top[k, j]
                score[sense, k, j] = steep[k, place, j]
                best[sense, k, j] = part.witnesses[place], float(part.radii[place])
        unsure = (np.abs(alpha) <= error) & (error > 0)
        doubts += [(part, k, place, unsure[k, place]) for k, place in np.argwhere(unsure.any(axis=2)).tolist()]
    settled = _settle(converted, doubts, violated, best)
    certain = known.complete and known.level == "certified"
    status = np.where(violated, "refuted", np.where(settled & certain, "proved", "undecided"))
    status[:, :, ~free] = "proved"
    pairs = _refuting_pairs(network, domain, best, status)
    if not certain:
        low, high = np.full(shape, -np.inf), np.full(shape, np.inf)
        lipschitz = np.full_like(lipschitz, np.inf)
    slopes = np.stack([low, high])
    return Monotone(network.feature_names, network.output_names, status, pairs, slopes, lipschitz, certain)


def _from_modules(whole: Converted, parts: list[ShallowNetwork], time_limit: float) -> Monotone:
    """What the modules' slopes prove of their sum: it rises where all do; its slopes lie between the sums of theirs.

    What that leaves open is looked for over the domain, where that is a box; elsewhere it stays undecided.
    """
    found = [_from_regions(part) for part in parts]
    domain = fit(whole.domain, whole.network.inputs)
    room = gamma(len(found)) * np.sum([np.abs(part.slopes).max(axis=0) for part in found], axis=0)
    low, high = np.sum([part.slopes for part in found], axis=0) + np.stack([-room, room])
    together = np.all([part.status == "proved" for part in found], axis=0)
    if isinstance(domain, Box):
        base = _from_network(whole.network, domain, time_limit)
        low, high = np.fmax(low, base.slopes[0]), np.fmin(high, base.slopes[1])
        status, pairs = base.status, base.pairs
        lipschitz = np.minimum(base.lipschitz, _norms(np.maximum(np.abs(low), np.abs(high))[:, None])[:, 0])
    else:
        status = np.full(together.shape, "undecided", dtype="<U9")
        pairs = np.full((*together.shape, 2, whole.network.inputs), np.nan)
        lipschitz = _norms(np.maximum(np.abs(low), np.abs(high))[:, None])[:, 0]
    proved = together | np.stack([low >= 0, high <= 0])
    return Monotone(
        whole.network.feature_names, whole.network.output_names, np.where(proved, "proved", status), pairs,
        np.stack([low, high]), lipschitz, False,
    )  # fmt: skip


def _pieces(converted: Converted) -> Iterator[Listed]:
    """All regions, as many at a time as have maps that fit comfortably."""
    for part in all_listed(converted):
        for place in chunks(converted.network, np.arange(len(part.number))):
            yield Listed(part.number[place], part.patterns[place], part.witnesses[place], part.radii[place])


def _norms(size: Float[np.ndarray, "outputs regions inputs"]) -> Float[np.ndarray, "outputs regions norms"]:
    """The Lipschitz constants of affine maps, rounded up: the dual norms of their slopes."""
    up = 1 + gamma(size.shape[-1] + 8)
    return np.stack([size.max(axis=-1), np.sqrt((size**2).sum(axis=-1)) * up, size.sum(axis=-1) * up], axis=-1)


def _settle(
    converted: Converted, doubts: list[tuple[Listed, int, int, np.ndarray]],
    violated: Bool[np.ndarray, "2 k j"],
    best: Steepest,
) -> Bool[np.ndarray, "2 k j"]:  # fmt: skip
    """Which (sense, output, feature) have no doubtful slope left; exact slopes of the wrong sign are violations."""
    network = converted.network
    domain = fit(converted.domain, network.inputs)
    settled = np.ones(violated.shape, dtype=bool)
    done = 0
    for part, k, place, unsure in doubts:
        wanted = unsure & ~(violated[RISING, k] & violated[FALLING, k])
        if not wanted.any():
            continue
        if done == EXACT:
            settled[:, k, wanted] = False
            continue
        done += 1
        cell = half_spaces_of(network, domain, part.patterns[place], part.witnesses[place])
        slopes, _ = exact_map(cell, np.eye(network.outputs)[k])
        for j in np.flatnonzero(wanted).tolist():
            sense = RISING if slopes[j] < 0 else FALLING
            if slopes[j] != 0 and not violated[sense, k, j]:
                violated[sense, k, j] = True
                best[sense, k, j] = part.witnesses[place], float(part.radii[place])
    return settled


# --- counterexamples --------------------------------------------------------------------------------------------


def _refuting_pairs(
    network: Network, domain: Domain, best: Steepest, status: np.ndarray
) -> Float[np.ndarray, "senses outputs inputs two inputs"]:
    """Counterexamples near the points given, NaN where there is none; the status there is set by whether there is."""
    pairs = np.full((*status.shape, 2, network.inputs), np.nan)
    for place, (point, reach) in best.items():
        found = counterexample(network, domain, point, reach, *place)
        status[place] = "undecided" if found is None else "refuted"
        if found is not None:
            pairs[place] = found
    return pairs


def counterexample(
    network: Network, domain: Domain, x: Float[np.ndarray, " inputs"], reach: float, sense: int, k: int, j: int
) -> Float[np.ndarray, "two inputs"] | None:
    """Two points of the domain around x, up to `reach` away along feature j, that refute it in exact arithmetic.

    Output k falls from the first to the second where rising is asked, and rises where falling is.
    """
    wide = reach if np.isfinite(reach) else 1.0 + float(np.abs(x[j]))
    for part in SHORTER:
        pair = np.stack([x, x])
        pair[0, j] -= 0.5 * wide * part
        pair[1, j] += 0.5 * wide * part
        if not (pair[1, j] > pair[0, j] and contains(domain, pair).all()):
            continue
        rise = _surely_rises(network, pair, k)
        if (rise < 0) if sense == RISING else (rise > 0):
            return pair
    return None


def _surely_rises(network: Network, pair: Float[np.ndarray, "two inputs"], k: int) -> int:
    """The sign of output k's change from the first point to the second: 0 where it is none, or is not known.

    By floats where it exceeds their error, else exactly, unless the network is too large for that.
    """
    values = evaluate(network, pair)[:, k]
    change = float(values[1] - values[0])
    unsure = float(evaluation_error(network, pair)[:, k].sum()) + 2 * underflow_error(network)
    if abs(change) > unsure + gamma(4) * float(np.abs(values).sum()):
        return 1 if change > 0 else -1
    if network.matrix_entries > EXACT_VALUE:
        return 0
    exact = exact_value(network, pair[1], k) - exact_value(network, pair[0], k)
    return (exact > 0) - (exact < 0)


def exact_value(network: Network, x: Float[np.ndarray, " inputs"], k: int) -> Fraction:
    """Output k at a float point, in rational arithmetic."""
    top, bottom = over_one_denominator(rational(x))
    value, scale = top[:, None], 0
    for layer, gate in zip(network.affine, network.gates, strict=False):
        value, scale = affine_step(dense(layer.W), layer.b, value, scale, (bottom,))
        slope, power = integers(np.where((value[:, 0] > 0).astype(bool), gate.active, gate.inactive))
        value, scale = value * slope[:, None], scale + power
    last = network.affine[-1]
    value, scale = affine_step(dense(last.W)[k : k + 1], last.b[k : k + 1], value, scale, (bottom,))
    return Fraction(int(value[0, 0]), bottom * 2**scale)


# --- from the network -------------------------------------------------------------------------------------------


def _from_network(network: Network, box: Box, time_limit: float) -> Monotone:
    found = slopes_over_box(network, box.lo, box.hi, time_limit=time_limit)
    free = box.hi > box.lo
    low, high = found.lower * free, found.upper * free
    status = np.where(np.stack([low >= 0, high <= 0]), "proved", "undecided").astype("<U9")
    best: Steepest = {}
    for sense, k, j in np.argwhere(status == "undecided").tolist():
        point = found.steepest[sense, k, j]
        if np.isfinite(point).all():
            best[sense, k, j] = point, float(min(point[j] - box.lo[j], box.hi[j] - point[j]))
    pairs = _refuting_pairs(network, box, best, status)
    lipschitz = _norms(np.maximum(np.abs(low), np.abs(high))[:, None])[:, 0]
    return Monotone(network.feature_names, network.output_names, status, pairs, np.stack([low, high]), lipschitz, False)
