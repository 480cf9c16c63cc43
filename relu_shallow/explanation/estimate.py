"""Estimated Shapley values with standard errors: antithetic pairs of orders in passes, until each row is settled.

What is estimated is the interventional Shapley value of `explanation/exact.py`. How pairs are drawn, why they are exact
for games of order two, and how the background is covered is told in `explanation/sampling.py`. A pass doubles the pairs
of a row. After each, the row is settled where every value's standard error is at most `tolerance` times the output's
scale at the row: |f(x) - E f(b)|, or the standard deviation of f over the background where that is more.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from relu_shallow.errors import DataError, UsageError
from relu_shallow.explanation.background import Background
from relu_shallow.explanation.exact import Progress
from relu_shallow.explanation.sampling import FEWEST_PAIRS, Sums, added, standard_errors
from relu_shallow.explanation.sampling_passes import Run, affordable_pairs, covering_pairs, run_pass
from relu_shallow.explanation.sampling_walks import Game, game_of
from relu_shallow.machine import usable_cores
from relu_shallow.network import Network, with_outputs

TOLERANCE = 0.01
MOST_PAIRS = 1 << 14


@dataclass(frozen=True, eq=False)
class Estimates:
    """Estimated values of the rows that were done (all, or the first ones at a deadline) and their standard errors.

    `se` holds Student's correction: phi +- 1.96 se is a 95 % interval. The values of a row add up to f(x) - E f(b) to
    rounding. `group_phi`, `group_se` are the same for sums over groups of features. `pairs` counts each row's pairs of
    orders, `settled` says which rows met the tolerance, `covered` whether each background row counts by its weight
    (else rows were drawn, which the errors include); `evaluations` counts hybrids, `scale` is what the tolerance
    refers to.
    """

    phi: Float[np.ndarray, "done outputs inputs"]
    se: Float[np.ndarray, "done outputs inputs"]
    group_phi: Float[np.ndarray, "done outputs groups"]
    group_se: Float[np.ndarray, "done outputs groups"]
    group_names: tuple[str, ...]
    scale: Float[np.ndarray, "done outputs"]
    pairs: Int[np.ndarray, " done"]
    settled: Bool[np.ndarray, " done"]
    covered: bool
    tolerance: float
    evaluations: int
    seconds: float


def estimate_values(
    network: Network,
    X: Float[np.ndarray, "rows inputs"],
    background: Background,
    outputs: list[int],
    *,
    deadline: float = np.inf,
    tolerance: float = TOLERANCE,
    seed: int = 0,
    workers: int | None = None,
    progress: Progress | None = None,
    groups: Mapping[str, Sequence[int]] | None = None,
    most_pairs: int = MOST_PAIRS,
) -> Estimates:
    """Estimates of the rows' values until all are settled, have `most_pairs` pairs, or the deadline is past.

    No row has fewer than FEWEST_PAIRS pairs, nor fewer than two in a stratum; rows that have not when
    `time.monotonic()` passes the deadline are left out, the last first. A background row is a stratum of its own where
    that takes no more than `most_pairs` and, with a deadline, half the time. The same seed gives a row the same values
    whatever the other rows and the number of threads; a deadline decides only how many passes it gets. `groups` maps
    names to features, none in two groups, whose sums are to be estimated too. `progress` gets the number of rows done.
    """
    if not (tolerance >= 0 and most_pairs >= FEWEST_PAIRS):
        raise UsageError(
            f"a tolerance of {tolerance} and at most {most_pairs} pairs were asked for; the tolerance must not be "
            f"negative, and {FEWEST_PAIRS} pairs are the fewest"
        )
    began = time.monotonic()
    X = np.ascontiguousarray(X, dtype=np.float64)
    names, group = _grouped(groups or {}, network.inputs)
    game = game_of(with_outputs(network, outputs), background)
    fX = np.ascontiguousarray(game.network(X))
    scale = _scale(game, fX)
    threads = workers or usable_cores()
    with ThreadPoolExecutor(threads) as pool:
        run = Run(game, X, fX, group, network.inputs + len(names), seed, deadline, threads, pool)
        first = min(covering_pairs(background), most_pairs)
        if np.isfinite(deadline):
            first = min(first, affordable_pairs(run))
        sums = _refined(run, first, scale, tolerance, most_pairs, progress)
    return _estimates(sums, network.inputs, names, scale, tolerance, first >= 2 * len(background.X), began)


def _refined(
    run: Run, first: int, scale: Float[np.ndarray, "rows outputs"], tolerance: float, most_pairs: int,
    progress: Progress | None,
) -> list[Sums]:  # fmt: skip
    """Passes over the rows that are not settled, each with as many pairs as they have, while there is time."""
    sums = list(run_pass(run, list(range(len(run.X))), first, 0))
    number, told = 1, 0
    while True:
        left = [
            r for r, found in enumerate(sums)
            if not _is_settled(found, scale[r], tolerance) and 2 * found.pairs <= most_pairs
        ]  # fmt: skip
        if progress is not None and len(sums) - len(left) > told:
            told = len(sums) - len(left)
            progress(told)
        if not left or time.monotonic() > run.deadline:
            return sums
        for r, found in zip(left, run_pass(run, left, sums[left[0]].pairs, number), strict=False):
            sums[r] = added(sums[r], found)
        number += 1


def _is_settled(sums: Sums, scale: Float[np.ndarray, " outputs"], tolerance: float) -> bool:
    return bool((standard_errors(sums) <= tolerance * scale[:, None]).all())


def _scale(game: Game, fX: Float[np.ndarray, "rows outputs"]) -> Float[np.ndarray, "rows outputs"]:
    """What the tolerance refers to: how far a prediction is from the base value, or predictions are in general."""
    weights = game.background.weights
    base = weights @ game.FB
    return np.maximum(np.abs(fX - base), np.sqrt(weights @ (game.FB - base) ** 2))


def _grouped(groups: Mapping[str, Sequence[int]], inputs: int) -> tuple[tuple[str, ...], Int[np.ndarray, " inputs"]]:
    """The groups' names and each feature's group, or -1; raises DataError where there is no such partition."""
    group = np.full(inputs, -1, dtype=np.int64)
    for number, (name, members) in enumerate(groups.items()):
        for i in members:
            if not 0 <= i < inputs:
                raise DataError(f"group {name!r} holds feature {i}: the network has {inputs}, counted from 0")
            if group[i] >= 0:
                raise DataError(f"feature {i} is in two groups, {list(groups)[group[i]]!r} and {name!r}")
            group[i] = number
    return tuple(groups), group


def _estimates(
    sums: list[Sums], inputs: int, names: tuple[str, ...], scale: Float[np.ndarray, "rows outputs"], tolerance: float,
    covered: bool, began: float,
) -> Estimates:  # fmt: skip
    shape = (len(sums), scale.shape[1], inputs + len(names))
    phi = np.array([found.phi for found in sums]).reshape(shape)
    se = np.array([standard_errors(found) for found in sums]).reshape(shape)
    return Estimates(
        phi=phi[:, :, :inputs],
        se=se[:, :, :inputs],
        group_phi=phi[:, :, inputs:],
        group_se=se[:, :, inputs:],
        group_names=names,
        scale=scale[: len(sums)],
        pairs=np.array([found.pairs for found in sums], dtype=np.int64),
        settled=np.array([_is_settled(found, scale[r], tolerance) for r, found in enumerate(sums)], dtype=bool),
        covered=covered,
        tolerance=tolerance,
        evaluations=sum(found.evaluations for found in sums),
        seconds=time.monotonic() - began,
    )
