"""The methods of explanation by name: each says which rows it settled, with their values and what is known of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from jaxtyping import Bool, Float, Int

from relu_shallow.explanation.attribution import BOUNDS, ESTIMATE, EXACT, Values, exactly
from relu_shallow.explanation.background import Background
from relu_shallow.explanation.estimate import Estimates, estimate_values
from relu_shallow.explanation.exact import (
    REACH,
    Intervals,
    Progress,
    enclosed_values,
    first_look,
    settled_values,
    too_large,
)
from relu_shallow.explanation.groups import Groups
from relu_shallow.explanation.path import integrated_gradients
from relu_shallow.network import Network

ESTIMATE_SHARE = 0.5  # of a time limit may go into estimates
EXACT_SHARE = 0.7  # of what is left then may go into exact values before the rows left are bounded
TRIED = 8  # rows
CONFIDENT = 1.96  # standard errors to either side of an estimate: 95 %


@dataclass(frozen=True, eq=False)
class Task:
    """Rows to explain, and how; `rows` are their numbers, `reach` the units of work that "auto" tries for one."""

    network: Network
    X: Float[np.ndarray, "rows inputs"]
    rows: Int[np.ndarray, " rows"]
    background: Background
    outputs: list[int]
    groups: Groups
    deadline: float
    tolerance: float
    seed: int
    workers: int | None
    progress: Progress
    reach: float


Settled = Iterator[tuple[Int[np.ndarray, " some"], Values]]  # numbers of rows, and their values


def _exact(task: Task, units: float = np.inf) -> Settled:
    phi, done = settled_values(
        task.network, task.X, task.background, task.outputs,
        units=units, deadline=task.deadline, workers=task.workers, progress=task.progress,
    )  # fmt: skip
    rows = np.flatnonzero(done)
    yield rows, exactly(phi[rows], task.groups)


def _bounds(task: Task, units: float = REACH) -> Settled:
    endless = np.isfinite(task.deadline)
    found = enclosed_values(
        task.network, task.X, task.background, task.outputs, units=np.inf if endless else units,
        deadline=task.deadline, workers=task.workers, progress=task.progress,
    )  # fmt: skip
    rows = np.flatnonzero(found.cells > 0)
    yield rows, _between(task, found, rows)


def _between(task: Task, found: Intervals, rows: Int[np.ndarray, " some"]) -> Values:
    """Values inside their intervals that add up: all at the same part of the way from the lower to the upper ends."""
    f, mean = task.network(task.X[rows]), task.background.weights @ task.network(task.background.X)
    total = (f - mean)[:, task.outputs]
    lo, hi = found.lo[rows], found.hi[rows]
    width = (hi - lo).sum(axis=2)
    way = np.divide(total - lo.sum(axis=2), width, out=np.full_like(width, 0.5), where=width > 0)
    phi = lo + np.clip(way, 0.0, 1.0)[:, :, None] * (hi - lo)
    status = tuple(np.where(found.settled[rows], EXACT, BOUNDS).tolist())
    return Values(phi, lo, hi, np.full_like(phi, np.nan), np.full((*phi.shape[:2], len(task.groups)), np.nan), status)


def _estimate(task: Task) -> Settled:
    found = estimate_values(
        task.network, task.X, task.background, task.outputs, deadline=task.deadline, tolerance=task.tolerance,
        seed=task.seed, workers=task.workers, progress=task.progress, groups=task.groups,
    )  # fmt: skip
    yield np.arange(len(found.phi)), _estimated(found)


def _estimated(found: Estimates) -> Values:
    wide = np.broadcast_to(np.inf, found.phi.shape)
    return Values(found.phi, -wide, wide, found.se, found.group_se, (ESTIMATE,) * len(found.phi))


def _integrated(task: Task) -> Settled:
    phi = integrated_gradients(
        task.network, task.X, task.background, task.outputs,
        deadline=task.deadline, workers=task.workers, progress=task.progress,
    )  # fmt: skip
    yield np.arange(len(phi)), exactly(phi, task.groups)


def _local(task: Task) -> Settled:  # noqa: ARG001
    yield from ()


def _auto(task: Task) -> Settled:
    """Exact values within reach; of the rows left an estimate, or bounds where these are narrower.

    Exact values and bounds are tried on a few rows first, and on the others only where one of these came of it. Where
    the time is limited every row is estimated first, so that none is left without a value.
    """
    wide = np.full(len(task.X), np.inf)
    left = np.arange(len(task.X))
    if np.isfinite(task.deadline):
        yield from _noted(_estimate(_until(task, ESTIMATE_SHARE)), left, wide)
    for rows, values in _tried(_until(task, EXACT_SHARE), left, partial(_exact, units=task.reach)):
        yield rows, values
        left = np.setdiff1d(left, rows)
    if not np.isfinite(task.deadline):
        yield from _noted(_estimate(_part(task, left, len(task.X) - len(left))), left, wide)
    yield from _tried(replace(task, progress=_silent), left, partial(_narrower, wide=wide))


def _noted(found: Settled, numbers: Int[np.ndarray, " some"], wide: Float[np.ndarray, " all"]) -> Settled:
    """What is estimated of the numbered rows, the width of their 95 % intervals put into `wide`."""
    for rows, values in found:
        wide[numbers[rows]] = (2 * CONFIDENT * values.se).sum(axis=2).max(axis=1, initial=0.0)
        yield numbers[rows], values


def _tried(task: Task, rows: Int[np.ndarray, " some"], method: Callable[[Task], Settled]) -> Settled:
    """What a method makes of these rows of the task, as long as it makes something of the first few."""
    if too_large(task.network):
        return
    for begin, some in ((0, rows[:TRIED]), (TRIED, rows[TRIED:])):
        count = 0
        for found, values in method(_part(task, some, begin)) if len(some) else ():
            count += len(found)
            yield some[found], values
        if not count:
            return


def _narrower(task: Task, wide: Float[np.ndarray, " all"]) -> Settled:
    """Bounds of the rows that are narrower in them than in the estimate they have."""
    if first_look(task.network, task.background) > task.reach / 4:
        return
    for rows, values in _bounds(task, task.reach / 4):
        better = (values.hi - values.lo).sum(axis=2).max(axis=1, initial=0.0) < wide[task.rows[rows]]
        yield rows[better], _only(values, better)


def _part(task: Task, rows: Int[np.ndarray, " some"], done: int) -> Task:
    """The task for some of its rows, when so many others are done."""
    return replace(task, X=task.X[rows], rows=task.rows[rows], progress=lambda more: task.progress(done + more))


def _until(task: Task, share: float) -> Task:
    """The task with that share of its time."""
    now = time.monotonic()
    return replace(task, deadline=now + share * (task.deadline - now)) if np.isfinite(task.deadline) else task


def _silent(rows: int) -> None:
    """Progress that is told to nobody."""


def _only(values: Values, rows: Bool[np.ndarray, " rows"]) -> Values:
    arrays = {name: getattr(values, name)[rows] for name in ("phi", "lo", "hi", "se", "group_se")}
    return Values(**arrays, status=tuple(np.array(values.status, dtype=object)[rows].tolist()))


METHODS: dict[str, Callable[[Task], Settled]] = {
    "auto": _auto,
    "local": _local,
    "exact": _exact,
    "bounds": _bounds,
    "estimate": _estimate,
    "integrated": _integrated,
}
