"""From a network and a domain to its partition: charts, tasks, budgets, and the merged, sorted result."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from jaxtyping import Float, Int, UInt8

from relu_shallow.domain import Domain, WholeSpace, fit
from relu_shallow.errors import DomainError, ModelError
from relu_shallow.lp import BACKENDS
from relu_shallow.lp.kernel import LPS, PIVOTS
from relu_shallow.network import Network
from relu_shallow.precision import check_range
from relu_shallow.regions.charts import Chart, charts_of
from relu_shallow.regions.exact import exact_pattern, lay_out_exactly, strictly_inside
from relu_shallow.regions.kernel import COUNTERS, CUT, DUAL, EARLIER, EXACT, INTERVAL, OPEN, REGIONS
from relu_shallow.regions.partition import Certificate, Effort, ExactWitnesses, Level, Partition, pack, sort_order
from relu_shallow.regions.task import Batch, Node, Problem, lay_out, root, run

LP_CHOICES = ("kernel", *BACKENDS)
BATCH = 1 << 16  # regions a task may return before it hands its frontier back
GLANCE = 0.1  # seconds between looks at the clock, the workers and the keyboard
EARLIEST_SPLIT = 0.002  # seconds a task runs before an idle worker may ask for half of it

NO_INTERIOR = (
    "the domain has no interior: it is empty, or flat (then write it in coordinates of its own affine hull, "
    "or, if it is a box with equal bounds, give it as a box)"
)

WEIGHTS = 1 << 28  # numbers in all weight matrices written out, as the kernel keeps them: two gigabytes

Progress = Callable[[int], None]
Running = dict[Future[tuple[list[Batch], tuple[Node, ...]]], "Task"]


@dataclass(frozen=True)
class Budget:
    """When to stop early: after so many regions, or at a moment of the monotonic clock."""

    regions: float
    deadline: float


@dataclass(eq=False)
class Task:
    """Subtrees of one chart being searched: what came back so far, and the tasks of what was left, in order."""

    problem: Problem
    nodes: tuple[Node, ...]
    counters: np.ndarray
    control: np.ndarray = field(default_factory=lambda: np.zeros(1, np.int64))
    started: float = 0.0
    batches: list[Batch] = field(default_factory=list)
    rest: list[Task] = field(default_factory=list)


def enumerate_regions(
    network: Network,
    domain: Domain,
    *,
    lp: str = "kernel",
    workers: int = 1,
    max_regions: int | None = None,
    time_limit: float | None = None,
    certify: bool = True,
    progress: Progress | None = None,
) -> Partition:
    """The linear regions of a network on a domain: all of them, or a first part where a limit stops the search.

    `lp` names the solver: the compiled simplex, or a general one called afresh for every question (bounded domains;
    slow, for comparison). Without `certify` decisions are taken as they look in floats. `progress` is told the number
    of regions found, a few times a second. Raises DomainError where the domain is empty or does not fit the network.
    """
    domain = fit(domain, network.inputs)
    if lp != "kernel" and network.neurons:
        from relu_shallow.regions.plain import enumerate_plain

        return enumerate_plain(network, domain, BACKENDS[lp], max_regions=max_regions, time_limit=time_limit,
                               progress=progress)  # fmt: skip
    if max_regions is not None and max_regions < 1:
        raise DomainError(f"at least one region must be allowed, got a limit of {max_regions}")
    start = time.perf_counter()
    _check_size(network)
    charts = charts_of(network, domain)
    check_range(network, max(chart.reach for chart in charts))
    if network.neurons == 0 or charts[0].dimension == 0:
        return _single_region(network, domain, charts[0])
    deadline = np.inf if time_limit is None else time.monotonic() + time_limit
    budget = Budget(float(np.inf if max_regions is None else max_regions), deadline)
    roots = _roots(network, domain, charts, certify=certify)
    if not roots:
        raise DomainError(NO_INTERIOR)
    complete = _work(list(roots), max(1, workers), budget, progress)
    return _merge(network, domain, roots, complete, budget, start, certify=certify)


def _check_size(network: Network) -> None:
    """Raises ModelError where the weights, written out in full, would not leave room for the search."""
    numbers = sum(layer.W.shape[0] * layer.W.shape[1] for layer in network.affine)
    if numbers > WEIGHTS:
        raise ModelError(f"the network's weight matrices hold {numbers:,} numbers once written out in full, and the "
                         f"search takes up to {WEIGHTS:,}; convert a narrower part of it")  # fmt: skip


def _roots(network: Network, domain: Domain, charts: Sequence[Chart], *, certify: bool) -> list[Task]:
    """One task for each chart, its root node."""
    problems = [lay_out(network, domain, chart, certify=certify) for chart in charts]
    nodes = [root(problem, chart.dimension) for problem, chart in zip(problems, charts, strict=True)]
    return [
        Task(problem, (node,), np.zeros(COUNTERS, np.int64))
        for problem, node in zip(problems, nodes, strict=True)
        if node is not None
    ]


def _work(pending: list[Task], workers: int, budget: Budget, progress: Progress | None) -> bool:
    """Runs tasks on threads until none is left or the budget is spent; returns whether the search is complete.

    An idle worker takes the shallowest subtree, about half of what is left, of the task that has run longest.
    """
    everything: list[Task] = []
    # where charts overlap, a limit counts each pattern once
    distinct: set[bytes] | None = set() if len(pending) > 1 and np.isfinite(budget.regions) else None
    pending.reverse()
    running: Running = {}
    finished = 0
    told = time.monotonic()
    with ThreadPoolExecutor(workers) as pool:
        try:
            while pending or running:
                now = time.monotonic()
                found = finished + sum(int(task.counters[REGIONS]) for task in running.values())
                spent = (finished if distinct is not None else found) >= budget.regions or now >= budget.deadline
                if spent and everything and not running:
                    break
                while pending and len(running) < workers and not (spent and everything):
                    task = pending.pop()
                    everything.append(task)
                    task.started = now
                    most = int(min(BATCH, max(budget.regions - finished, 1)))
                    running[pool.submit(run, task.problem, task.nodes, most, task.control, task.counters)] = task
                _ask_for_halves(running, workers, now, spent)
                pause = GLANCE if len(running) == workers else EARLIEST_SPLIT
                done, _ = wait(running, timeout=min(pause, max(budget.deadline - now, 0.0)) or None,
                               return_when=FIRST_COMPLETED)  # fmt: skip
                for future in done:
                    task = running.pop(future)
                    task.batches, rest = future.result()
                    finished += _new(task.batches, distinct)
                    task.rest = _split(task, rest, idle=workers > 1 and len(running) + len(pending) < workers)
                    pending.extend(reversed(task.rest))
                if progress is not None and now - told > GLANCE * 2:
                    told = now
                    progress(found)
        finally:
            for task in running.values():
                task.control[0] = 1
    if progress is not None:
        progress(finished)
    return not pending


def _new(batches: list[Batch], distinct: set[bytes] | None) -> int:
    """How many regions the batches add; with a set of those known, which it adds to, only the unknown ones."""
    if distinct is None:
        return sum(len(batch.bits) for batch in batches)
    known = len(distinct)
    for batch in batches:
        distinct.update(map(bytes, batch.bits))
    return len(distinct) - known


def _ask_for_halves(running: Running, workers: int, now: float, stop: bool) -> None:
    """Tells tasks to hand their frontier back: all of them to stop, or those that run while a worker is idle."""
    for task in running.values():
        if stop or (len(running) < workers and now - task.started > EARLIEST_SPLIT):
            task.control[0] = 1


def _split(task: Task, rest: tuple[Node, ...], idle: bool) -> list[Task]:
    """The tasks of a frontier (deepest node first): one, or two with the shallowest node apart for an idle worker."""
    if not rest:
        return []
    pieces = [rest[:-1], rest[-1:]] if idle and len(rest) > 1 else [rest]
    return [Task(task.problem, piece, np.zeros_like(task.counters)) for piece in pieces]


def _in_order(task: Task) -> list[Task]:
    """A task and all that came of it, in the order of their regions."""
    ordered, stack = [], [task]
    while stack:
        top = stack.pop()
        ordered.append(top)
        stack.extend(reversed(top.rest))
    return ordered


@dataclass(frozen=True, eq=False)
class Found:
    """The regions of one chart, in input coordinates."""

    bits: UInt8[np.ndarray, "regions bytes"]
    witnesses: Float[np.ndarray, "regions inputs"]
    radii: Float[np.ndarray, " regions"]


def _merge(
    network: Network,
    domain: Domain,
    roots: Sequence[Task],
    complete: bool,
    budget: Budget,
    start: float,
    *,
    certify: bool,
) -> Partition:
    counters = np.zeros_like(roots[0].counters)
    parts = []
    exact: dict[bytes, tuple[Fraction, ...]] = {}
    for first in roots:
        tasks = _in_order(first)
        counters += sum(task.counters for task in tasks)
        batches = [batch for task in tasks for batch in task.batches]
        if not batches:
            continue
        parts.append(Found(
            np.concatenate([batch.bits for batch in batches]), np.concatenate([batch.witnesses for batch in batches]),
            np.concatenate([batch.radii for batch in batches]),
        ))  # fmt: skip
        for batch in batches:
            exact |= batch.exact
    merged = parts[0] if len(parts) == 1 and not counters[EXACT] else _first_of_each(parts)
    if len(merged.bits) > budget.regions:
        keep = slice(int(budget.regions))
        merged = Found(merged.bits[keep], merged.witnesses[keep], merged.radii[keep])
        complete = False
    radii = merged.radii
    if len(roots) > 1:
        from relu_shallow.regions.radius import inscribed_radii

        radii = inscribed_radii(network, domain, merged.bits, merged.witnesses, exact)
    certificate = _certificate(counters)
    level: Level = "certified" if complete else "witnessed"
    if certificate.open or not certify:
        level = "uncertified"
    effort = Effort(int(counters[LPS]), int(counters[PIVOTS]), time.perf_counter() - start)
    return Partition(network, domain, merged.bits, merged.witnesses, radii, complete, level, certificate, effort,
                     _by_number(exact, merged.bits))  # fmt: skip


def _certificate(counters: Int[np.ndarray, " counters"]) -> Certificate:
    """What the kernel counted, by name."""
    interval, dual, earlier, cut, witness, exact, undecided = (
        int(counters[kind]) for kind in (INTERVAL, DUAL, EARLIER, CUT, REGIONS, EXACT, OPEN)
    )
    return Certificate(interval, dual, earlier, cut, witness, exact, undecided)


def _by_number(exact: dict[bytes, tuple[Fraction, ...]], bits: UInt8[np.ndarray, "regions bytes"]) -> ExactWitnesses:
    """The rational witnesses under the numbers of their regions in a sorted list."""
    if not exact:
        return {}
    return {number: exact[row] for number, row in enumerate(map(bytes, bits)) if row in exact}


def _first_of_each(parts: Sequence[Found]) -> Found:
    """Every pattern once, with the witness of the first chart that met it, sorted."""
    bits = np.concatenate([part.bits for part in parts])
    witnesses = np.concatenate([part.witnesses for part in parts])
    radii = np.concatenate([part.radii for part in parts])
    order = sort_order(bits)  # stable: within a pattern the first chart comes first
    new = np.ones(len(order), dtype=bool)
    new[1:] = (bits[order[1:]] != bits[order[:-1]]).any(axis=1)
    keep = order[new]
    return Found(bits[keep], witnesses[keep], radii[keep])


def _single_region(network: Network, domain: Domain, chart: Chart) -> Partition:
    """The one region of a network without neurons, or of a domain that is a single point."""
    from relu_shallow.regions.radius import largest_ball

    if chart.dimension == 0 and not isinstance(domain, WholeSpace):
        center, radius = chart.v, 0.0
    else:
        center, radius = largest_ball(domain, network.inputs)
    pattern = np.zeros(0, dtype=bool)
    if network.neurons:
        pattern = exact_pattern(lay_out_exactly(network, domain, chart), center)
    level: Level = "certified" if strictly_inside(domain, center) else "uncertified"
    certificate = Certificate(exact=1) if level == "certified" else Certificate(open=1)
    return Partition(network, domain, pack(pattern[None, :]), center[None, :], np.array([radius]), True, level,
                     certificate, Effort(0, 0, 0.0))  # fmt: skip
