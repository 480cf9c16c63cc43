"""Bounds of derivatives over a box by branch and bound: boxes are bisected or neurons' signs given until signs show."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import numpy as np
from jaxtyping import Float

from relu_shallow.network import Network, activation_patterns, local_maps
from relu_shallow.questions.gradients import gradient_bounds
from relu_shallow.questions.relaxed_program import fits, program_of, solve
from relu_shallow.questions.splitting import FEW_INPUTS, halves, with_either_sign
from relu_shallow.relaxation import Bounds, open_neurons, preactivation_bounds, stack_bounds

SAMPLE = 512  # random points whose slopes show what cannot be proved
WORK = 1 << 34  # products that these may take
BATCH = 64  # parts looked at together
MOST = 20_000  # parts looked at
Part = tuple[Bounds, np.ndarray, np.ndarray, np.ndarray]  # bounds, signs, and derivatives' bounds of a larger part


@dataclass(frozen=True, eq=False)
class Slopes:
    """lower <= d f_k / d x_j <= upper wherever differentiable in the box; (outputs, inputs).

    `steepest[0, k, j]` is a point of the box where the slope is negative, `steepest[1, k, j]` one where it is positive
    (NaN where none was met). Bounds are made no tighter than their signs need.
    """

    lower: Float[np.ndarray, "outputs inputs"]
    upper: Float[np.ndarray, "outputs inputs"]
    steepest: Float[np.ndarray, "senses outputs inputs coordinates"]


def slopes_over_box(
    network: Network, lo: Float[np.ndarray, " inputs"], hi: Float[np.ndarray, " inputs"], *, time_limit: float = np.inf
) -> Slopes:
    """Derivatives' bounds, split until each sign is proved, a point shows the contrary, or the time is up."""
    began = perf_counter()
    rng = np.random.default_rng(0)
    size = network.matrix_entries
    steepest = _sampled(network, rng.uniform(lo, hi, (int(np.clip(WORK // (size * len(lo)), 1, SAMPLE)), len(lo))))
    met = np.isfinite(steepest[..., 0])
    root = preactivation_bounds(network, lo, hi)
    signs = np.zeros(network.neurons, np.int8)
    queue: list[Part] = [(root, signs, np.full(met.shape[1:], -np.inf), np.full(met.shape[1:], np.inf))]
    least, most = np.full(met.shape[1:], np.inf), np.full(met.shape[1:], -np.inf)
    count, together = 0, int(np.clip(WORK // (64 * size), 1, BATCH))
    while queue and (count == 0 or (perf_counter() - began < time_limit and count < MOST)):
        batch, queue = queue[:together], queue[together:]
        low, high = gradient_bounds(network, stack_bounds([part[0] for part in batch]))
        count += len(batch)
        parts: list[Part] = []
        for place, (bounds, signs, low_before, high_before) in enumerate(batch):
            below, above = np.maximum(low[place], low_before), np.minimum(high[place], high_before)
            clear = np.stack([above < 0, below > 0]) & ~met
            if clear.any():  # every point of the part has that slope
                steepest[clear] = _inside(network, bounds, signs)
                met |= clear
            open_ = (~met[0] & (below < 0)) | (~met[1] & (above > 0))
            halves = _split(network, bounds, signs) if open_.any() else []
            if halves:
                parts += [(*half, below, above) for half in halves]
            else:
                least, most = np.minimum(least, below), np.maximum(most, above)
        queue += _bounded(network, parts)
    for _, _, below, above in queue:  # the time is up: these are bounded as the parts that they come from
        least, most = np.minimum(least, below), np.maximum(most, above)
    return Slopes(np.where(np.isfinite(least), least, 0.0), np.where(np.isfinite(most), most, 0.0), steepest)


def _sampled(network: Network, X: Float[np.ndarray, "points inputs"]) -> Float[np.ndarray, "2 outputs inputs inputs"]:
    """A point with the least, and one with the largest slope of each sign; NaN where the sign was not met."""
    slopes = np.stack([local_maps(network, pattern)[-1][0] for pattern in activation_patterns(network, X)])
    found = np.full((2, *slopes.shape[1:], X.shape[1]), np.nan)
    for sense, turned in ((0, -slopes), (1, slopes)):
        best = turned.argmax(axis=0)
        there = np.take_along_axis(turned, best[None], axis=0)[0] > 0
        found[sense][there] = X[best[there]]
    return found


def _inside(network: Network, bounds: Bounds, signs: np.ndarray) -> Float[np.ndarray, " inputs"]:
    """A point of a part, as far inside as a few corners' mean: the box's centre, or between extremes of the outputs."""
    centre = 0.5 * bounds.lo + 0.5 * bounds.hi
    if not signs.any() or not fits(network):
        return centre
    program = program_of(network, bounds, signs)
    weights = np.concatenate([np.eye(network.outputs), -np.eye(network.outputs)])
    points = [found.point for row in weights if (found := solve(network, program, row)) is not None]
    return np.mean(points, axis=0) if points else centre


def _split(network: Network, bounds: Bounds, signs: np.ndarray) -> list[tuple[Bounds, np.ndarray]]:
    """Two halves with the bounds of the whole; none where nothing is open."""
    open_ = open_neurons(network, bounds)
    if not len(open_):
        return []
    if len(bounds.lo) <= FEW_INPUTS:
        boxes = halves(bounds.lo, bounds.hi, int(np.argmax(bounds.hi - bounds.lo)))
        return [(Bounds(lo, hi, bounds.lower, bounds.upper), signs) for lo, hi in boxes]
    layer = np.searchsorted(np.cumsum(network.widths), open_, side="right")
    first = open_[layer == layer.min()]
    low, high = (side[first] for side in bounds.hidden)
    return [(bounds, told) for told in with_either_sign(signs, int(first[np.argmax(np.minimum(-low, high))]))]


def _bounded(network: Network, parts: list[Part]) -> list[Part]:
    """The parts with bounds of their own, those proved empty left out."""
    if not parts:
        return []
    known = stack_bounds([part[0] for part in parts])
    signs = np.stack([part[1] for part in parts])
    bounds = preactivation_bounds(network, known.lo, known.hi, signs, known)
    kept = [(bounds.of(place), *parts[place][1:]) for place in np.flatnonzero(~bounds.empty).tolist()]
    return [part for part in kept if not (part[1].any() and _empty(network, *part[:2]))]


def _empty(network: Network, bounds: Bounds, signs: np.ndarray) -> bool:
    """Whether a linear program proves that a cell holds no point."""
    if not fits(network):
        return False
    found = solve(network, program_of(network, bounds, signs), np.zeros(network.outputs))
    return found is not None and found.bound == -np.inf
