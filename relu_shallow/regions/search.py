"""From a network and a domain to its partition: charts, tasks, budgets, and the merged, sorted result."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from jaxtyping import Int, UInt8

from relu_shallow.domain import Box, Domain, fit
from relu_shallow.errors import DomainError, ModelError
from relu_shallow.lp import BACKENDS
from relu_shallow.lp.kernel import LPS, PIVOTS
from relu_shallow.network import Network
from relu_shallow.precision import check_range
from relu_shallow.regions.charts import charts_of
from relu_shallow.regions.driver import Budget, Progress, drive
from relu_shallow.regions.engines import open_engine
from relu_shallow.regions.exact import exact_pattern, lay_out_exactly, strictly_inside
from relu_shallow.regions.kernel import COUNTERS, CUT, DUAL, EARLIER, EXACT, INTERVAL, OPEN, REGIONS
from relu_shallow.regions.partition import Certificate, Effort, ExactWitnesses, Level, Partition, pack, sort_order
from relu_shallow.regions.task import Batch, Problem, Result, Task, joined, lay_out, regions_within, root
from relu_shallow.regions.weights import numbers_held

LP_CHOICES = ("kernel", *BACKENDS)

NO_INTERIOR = (
    "the domain has no interior: it is empty, or flat (then write it in coordinates of its own affine hull, "
    "or, if it is a box with equal bounds, give it as a box)"
)

ROOM = 64e6  # bytes that one task may take
WEIGHTS = 1 << 28  # numbers in all weight matrices, as the kernel keeps them: two gigabytes


@dataclass(frozen=True, eq=False)
class Search:
    """A network on a domain, laid out chart by chart, and the tasks that cover it, one for each chart it meets."""

    network: Network
    domain: Domain
    certify: bool
    problems: tuple[Problem, ...]
    roots: tuple[Task, ...]


def enumerate_regions(
    network: Network,
    domain: Domain,
    *,
    lp: str = "kernel",
    workers: int = 1,
    engine: str = "threads",
    max_regions: int | None = None,
    time_limit: float | None = None,
    certify: bool = True,
    progress: Progress | None = None,
    announce: Callable[[str], None] = lambda message: None,  # noqa: ARG005
) -> Partition:
    """The linear regions of a network on a domain: all of them, or a first part where a limit stops the search.

    `lp` names the solver: the compiled simplex, or a general one called afresh for every question (bounded domains;
    slow, for comparison). `engine` names who does the work, as NAME or NAME:ADDRESS (regions/engines.py), with so many
    `workers`. Without `certify` decisions are taken as they look in floats. `progress` is told the number of regions
    found, a few times a second, and `announce` what the engine waits for. Raises DomainError where the domain is empty
    or does not fit the network.
    """
    domain = fit(domain, network.inputs)
    if lp != "kernel" and network.neurons:
        from relu_shallow.regions.plain import enumerate_plain

        return enumerate_plain(network, domain, BACKENDS[lp], max_regions=max_regions, time_limit=time_limit,
                               progress=progress)  # fmt: skip
    if max_regions is not None and max_regions < 1:
        raise DomainError(f"at least one region must be allowed, got a limit of {max_regions}")
    start = time.perf_counter()
    search = prepare(network, domain, certify=certify)
    if not search.roots:
        return single_region(search)
    deadline = np.inf if time_limit is None else time.monotonic() + time_limit
    budget = Budget(float(np.inf if max_regions is None else max_regions), deadline, regions_within(network, ROOM))
    collected = Collected([[] for _ in search.problems], set() if len(search.roots) > 1 and max_regions else None)
    with open_engine(engine, search.problems, max(1, workers), announce) as runner:
        left = drive(runner, search.roots, budget, collected.put, progress)
    return _merge(search, collected, not left, budget, start)


def prepare(network: Network, domain: Domain, *, certify: bool) -> Search:
    """The search of a network on a domain that fits it; without roots where there is nothing to search.

    Raises DomainError where the domain has no interior, ModelError where the network does not fit the arithmetic.
    """
    _check_size(network)
    charts = charts_of(network, domain)
    check_range(network, max(chart.reach for chart in charts))
    if network.neurons == 0 or charts[0].dimension == 0:
        return Search(network, domain, certify, (), ())
    problems = tuple(lay_out(network, domain, chart, certify=certify) for chart in charts)
    nodes = [root(problem, chart.dimension) for problem, chart in zip(problems, charts, strict=True)]
    roots = tuple(Task(index, (node,)) for index, node in enumerate(nodes) if node is not None)
    if not roots:
        raise DomainError(NO_INTERIOR)
    return Search(network, domain, certify, problems, roots)


@dataclass(eq=False)
class Collected:
    """What tasks came back with: batches by chart, all counters; and, where charts overlap, the patterns known.

    With a set of known patterns, `put` counts each pattern once.
    """

    batches: list[list[Batch]]
    known: set[bytes] | None
    counters: np.ndarray = field(default_factory=lambda: np.zeros(COUNTERS, np.int64))

    def put(self, task: Task, result: Result) -> int:
        """Keeps a result; returns how many regions it adds."""
        self.counters += result.counters
        if not len(result.found.bits):
            return 0
        self.batches[task.chart].append(result.found)
        if self.known is None:
            return len(result.found.bits)
        before = len(self.known)
        self.known.update(map(bytes, result.found.bits))
        return len(self.known) - before


def _check_size(network: Network) -> None:
    """Raises ModelError where the weights, as the search holds them, would not leave room for it."""
    numbers = numbers_held(network)
    if numbers > WEIGHTS:
        raise ModelError(f"the network's weight matrices hold {numbers:,} numbers once written out in full, and the "
                         f"search takes up to {WEIGHTS:,}; convert a narrower part of it, or a slice (--domain line:, "
                         "plane:), whose first layer is narrow")  # fmt: skip


def _merge(search: Search, collected: Collected, complete: bool, budget: Budget, start: float) -> Partition:
    counters = collected.counters
    charts = [sorted(batches, key=lambda batch: batch.bits[0].tobytes()) for batches in collected.batches]
    parts = [joined(batches, search.network) for batches in charts if batches] or [joined([], search.network)]
    merged = parts[0] if len(parts) == 1 else first_of_each(parts)
    if len(merged.bits) > budget.regions:
        keep = slice(int(budget.regions))
        merged = Batch(merged.bits[keep], merged.witnesses[keep], merged.radii[keep], merged.exact)
        complete = False
    radii = merged.radii
    if len(search.roots) > 1:
        from relu_shallow.regions.radius import inscribed_radii

        radii = inscribed_radii(search.network, search.domain, merged.bits, merged.witnesses, merged.exact)
    certificate = certificate_of(counters)
    effort = Effort(int(counters[LPS]), int(counters[PIVOTS]), time.perf_counter() - start)
    return Partition(search.network, search.domain, merged.bits, merged.witnesses, radii, complete,
                     level_of(certificate, complete=complete, certify=search.certify), certificate, effort,
                     by_number(merged.exact, merged.bits))  # fmt: skip


def level_of(certificate: Certificate, *, complete: bool, certify: bool) -> Level:
    """What a search has proved of its list."""
    if certificate.open or not certify:
        return "uncertified"
    return "certified" if complete else "witnessed"


def certificate_of(counters: Int[np.ndarray, " counters"]) -> Certificate:
    """What the kernel counted, by name."""
    interval, dual, earlier, cut, witness, exact, undecided = (
        int(counters[kind]) for kind in (INTERVAL, DUAL, EARLIER, CUT, REGIONS, EXACT, OPEN)
    )
    return Certificate(interval, dual, earlier, cut, witness, exact, undecided)


def by_number(exact: dict[bytes, tuple[Fraction, ...]], bits: UInt8[np.ndarray, "regions bytes"]) -> ExactWitnesses:
    """The rational witnesses under the numbers of their regions in a sorted list."""
    if not exact:
        return {}
    return {number: exact[row] for number, row in enumerate(map(bytes, bits)) if row in exact}


def first_of_each(parts: Sequence[Batch]) -> Batch:
    """Every pattern once, with the witness of the first chart that met it, sorted."""
    bits = np.concatenate([part.bits for part in parts])
    witnesses = np.concatenate([part.witnesses for part in parts])
    radii = np.concatenate([part.radii for part in parts])
    exact = {pattern: point for part in reversed(parts) for pattern, point in part.exact.items()}
    order = sort_order(bits)  # stable: within a pattern the first chart comes first
    new = np.ones(len(order), dtype=bool)
    new[1:] = (bits[order[1:]] != bits[order[:-1]]).any(axis=1)
    keep = order[new]
    return Batch(bits[keep], witnesses[keep], radii[keep], exact)


def single_region(search: Search) -> Partition:
    """The one region of a search without roots: nothing depends on the inputs, or the domain is a single point."""
    from relu_shallow.regions.radius import largest_ball

    network, domain = search.network, search.domain
    chart = charts_of(network, domain)[0]
    center, radius = largest_ball(domain, network.inputs)
    if isinstance(domain, Box):
        center = chart.v
    pattern = np.zeros(0, dtype=bool)
    if network.neurons:
        pattern = exact_pattern(lay_out_exactly(network, domain, chart), center)
    level: Level = "certified" if strictly_inside(domain, center) else "uncertified"
    certificate = Certificate(exact=1) if level == "certified" else Certificate(open=1)
    return Partition(network, domain, pack(pattern[None, :]), center[None, :], np.array([radius]), True, level,
                     certificate, Effort(0, 0, 0.0))  # fmt: skip
