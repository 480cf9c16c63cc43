"""What a second thread brings: one and two threads by turns in one process, whose libraries have threads of their own.

The seconds of other programs on the machine fall on single runs, so the ratio is the median over pairs of runs that
follow each other. `busy` is the processor time of the run on two threads over its seconds: below two by what the
threads wait for work, for each other and for the interpreter, whatever else the machine does.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median

from benchmark.measure import Settings
from benchmark.problem import Problem
from benchmark.systems import domain_of
from relu_shallow.compilation import ensure_compiled
from relu_shallow.network import from_layers
from relu_shallow.regions.search import enumerate_regions

TARGET = 1.8  # times the rate of one thread
REGIONS = 100_000  # of the networks it is a target for
PAIRS = 9


@dataclass(frozen=True)
class Threads:
    """Regions; medians of seconds on one and on two threads, of the ratio over pairs of runs, and of busy cores."""

    regions: int
    one: float
    two: float
    times: float
    busy: float

    @property
    def met(self) -> bool:
        """Whether the target, where it is one for so many regions, is reached."""
        return self.times >= TARGET


def threads_of(problem: Problem, settings: Settings) -> Threads | str:
    """Pairs of complete searches after imports and compilation; a few words for a network with too few regions."""
    network, domain = from_layers(problem.layers), domain_of(problem)
    ensure_compiled(lambda message: None, bounded=problem.bounded)  # noqa: ARG005
    found = enumerate_regions(network, domain, workers=2, max_regions=REGIONS)
    if found.complete:
        return "fewer than 100,000 regions"
    runs: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
    regions = 0
    for _ in range(max(PAIRS, settings.rounds)):
        for workers, done in runs.items():
            worked, began = time.process_time(), time.perf_counter()
            regions = enumerate_regions(network, domain, workers=workers).regions
            done.append((time.perf_counter() - began, time.process_time() - worked))
    times = [one[0] / two[0] for one, two in zip(runs[1], runs[2], strict=True)]
    return Threads(regions, median(run[0] for run in runs[1]), median(run[0] for run in runs[2]), median(times),
                   median(worked / took for took, worked in runs[2]))  # fmt: skip
