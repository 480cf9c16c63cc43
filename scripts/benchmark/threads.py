"""What a second thread brings: one thread, two threads, and two processes that share nothing, by turns.

The processes are the control: what they do not gain over one of them, the machine does not give. `busy` is the
processor time of the run on two threads over its seconds: below two by what the threads wait for work, for each other
and for the interpreter, whatever else the machine does.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from statistics import median

from benchmark.measure import Settings
from benchmark.problem import Problem
from benchmark.systems import domain_of
from relu_shallow.compilation import ensure_compiled
from relu_shallow.network import from_layers
from relu_shallow.regions.search import enumerate_regions

TARGET = 1.8  # times the rate of one thread
REGIONS = 100_000  # of the networks it is a target for
ROUNDS = 9


@dataclass(frozen=True)
class Threads:
    """Regions, and medians over rounds: seconds on one and two threads, ratio of rates, that of processes, cores."""

    regions: int
    one: float
    two: float
    times: float
    processes: float
    busy: float


def threads_of(problem: Problem, settings: Settings) -> Threads | str:
    """Rounds of complete searches after imports and compilation; a few words for a network with too few regions."""
    network, domain = from_layers(problem.layers), domain_of(problem)
    ensure_compiled(lambda message: None, bounded=problem.bounded)  # noqa: ARG005
    if enumerate_regions(network, domain, workers=2, max_regions=REGIONS).complete:
        return "fewer than 100,000 regions"
    context = get_context("spawn")
    pipes = [context.Pipe() for _ in range(2)]
    for _, far in pipes:
        context.Process(target=_serve, args=(problem, far), daemon=True).start()
    first, second = (near for near, _ in pipes)
    rounds = []
    for _ in range(max(ROUNDS, settings.rounds)):
        [(regions, one, _)] = _run([first], 1)
        both = max(seconds for _, seconds, _ in _run([first, second], 1))
        [(_, two, worked)] = _run([first], 2)
        rounds.append((one, two, one / two, 2 * one / both, worked / two))
    first.send(0), second.send(0)
    return Threads(regions, *(median(column) for column in zip(*rounds, strict=True)))


def _run(pipes: list[Connection], workers: int) -> list[tuple[int, float, float]]:
    for pipe in pipes:
        pipe.send(workers)
    return [pipe.recv() for pipe in pipes]


def _serve(problem: Problem, pipe: Connection) -> None:
    """Searches with as many threads as it is told, until that is none; answers (regions, seconds, processor time)."""
    network, domain = from_layers(problem.layers), domain_of(problem)
    enumerate_regions(network, domain, workers=2, max_regions=1)
    while workers := pipe.recv():
        worked, began = time.process_time(), time.perf_counter()
        regions = enumerate_regions(network, domain, workers=workers).regions
        pipe.send((regions, time.perf_counter() - began, time.process_time() - worked))
