"""What a cluster costs beside the search itself, and what it leaves idle: measured on this machine, and played through.

    python scripts/cluster_efficiency.py measure --case nav-point --workers 1 2 4 8
    python scripts/cluster_efficiency.py play --case nav-point --workers 1 8 64 256 1024 --driver 3e-3 --region 2e-7

`measure` runs a scheduler and workers as processes of this machine. Where they share fewer cores than there are
workers, wall time says nothing; so the efficiency is the tasks' processor seconds with one worker over those with W.
Beside them: the processor seconds of the scheduler and of the driver (this process), a task and a region.

`play` runs every task here, one after the other, and keeps a clock of its own, on which W workers run them at once:
a task takes the processor seconds that it took, and the driver those given. It shows what is idle at the start, at
the end, and where one driver is not enough, for clusters that are not at hand.
"""

from __future__ import annotations

import argparse
import heapq
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from benchmark.cases import CASES, real_network  # noqa: E402
from cluster.processes import Cluster, cluster_of  # noqa: E402

from relu_shallow.domain import Box  # noqa: E402
from relu_shallow.network import from_layers  # noqa: E402
from relu_shallow.regions.dask_engine import AHEAD, open_dask  # noqa: E402
from relu_shallow.regions.driver import Budget, Engine, drive  # noqa: E402
from relu_shallow.regions.engines import BATCH, SECONDS  # noqa: E402
from relu_shallow.regions.search import Search, prepare  # noqa: E402
from relu_shallow.regions.task import Allowance, Live, Result, Task, search_task  # noqa: E402

ACAS = "onnx/acasxu/ACASXU_run2a_1_1_batch_2000.onnx"
PROBLEMS = {name: case.problem for name, case in CASES.items()} | {
    "acas-tenth": partial(real_network, ACAS, Box(-0.1, 0.1)),
    "acas-full": partial(real_network, ACAS, Box(-0.5, 0.5)),
}


@dataclass(eq=False)
class Tally:
    """What tasks brought: how many, their regions, processor seconds; and how many were out at every submission."""

    tasks: int = 0
    regions: int = 0
    seconds: float = 0.0
    counts: list[tuple[int, int]] = field(default_factory=list)  # (tasks out, tasks ended) at every submission

    def put(self, task: Task, result: Result) -> int:
        del task
        self.tasks += 1
        self.regions += len(result.found.bits)
        self.seconds += result.seconds
        return len(result.found.bits)


class Recorded:
    """An engine that notes how many of its tasks are out."""

    def __init__(self, engine: Engine, tally: Tally) -> None:
        self.engine, self.tally, self.out = engine, tally, 0
        self.near, self.batch, self.seconds, self.lost = engine.near, engine.batch, engine.seconds, engine.lost

    def width(self) -> int:
        return self.engine.width()

    def submit(self, task: Task, allowance: Allowance, live: Live) -> Future[Result]:
        future = self.engine.submit(task, allowance, live)
        self.out += 1
        self.tally.counts.append((self.out, self.tally.tasks))
        future.add_done_callback(self._ended)
        return future

    def _ended(self, future: Future[Result]) -> None:
        del future
        self.out -= 1


@dataclass(eq=False)
class Played:
    """W workers on a clock of its own: tasks run here at once, and end there when a worker would have ended them."""

    search: Search
    workers: int
    driver: float  # seconds of the driver for a task
    region: float  # and for each of its regions
    latency: float  # seconds between the end of a task and the start of the next, where none waits
    batch: int = BATCH
    near: bool = False
    seconds: float = SECONDS
    lost: tuple[type[BaseException], ...] = ()
    now: float = 0.0
    busy: float = 0.0  # seconds of the driver
    free: list[float] = field(default_factory=list)
    ends: list[tuple[float, int, Future[Result], Result]] = field(default_factory=list)
    submitted: int = 0
    full: float = 0.0  # when every worker first had something to do

    def width(self) -> int:
        """As many tasks as the engine dask keeps; lets the next one end."""
        if self.ends:
            end, _, future, result = heapq.heappop(self.ends)
            cost = self.driver + self.region * len(result.found.bits)
            self.now = max(self.now, end) + cost
            self.busy += cost
            future.set_result(result)
        return AHEAD * self.workers

    def submit(self, task: Task, allowance: Allowance, live: Live) -> Future[Result]:
        self.free = self.free or [0.0] * self.workers
        result = search_task(self.search.problems[task.chart], task, allowance, live)
        start = max(heapq.heappop(self.free), self.now + self.latency)
        heapq.heappush(self.free, start + result.seconds)
        if not self.full and min(self.free) > 0:
            self.full = start
        future: Future[Result] = Future()
        self.submitted += 1
        heapq.heappush(self.ends, (start + result.seconds, self.submitted, future, result))
        return future


def measure(name: str, numbers: list[int], budget: Budget) -> None:
    """Prints a table: real processes on this machine."""
    print("| workers | tasks | regions | tasks' CPU s | efficiency | driver CPU ms a task | µs a region "
          "| scheduler CPU ms a task | workers' other CPU | ended before all busy | begun after |")  # fmt: skip
    print("|" + " --- |" * 11)
    alone = 0.0
    for workers in numbers:
        with tempfile.TemporaryDirectory() as folder, cluster_of(Path(folder), workers) as cluster:
            warm(cluster, workers)
            tally, driver, scheduler, others = once(name, cluster, budget)
        per_region = tally.seconds / tally.regions
        alone = alone or per_region
        out = [count for count, _ in tally.counts]
        first = next((ended for count, ended in tally.counts if count >= workers), tally.tasks)
        last = max((index for index, count in enumerate(out) if count >= workers), default=0)
        print(f"| {workers} | {tally.tasks} | {tally.regions:,} | {tally.seconds:.1f} | {alone / per_region:.1%} "
              f"| {driver / tally.tasks * 1e3:.1f} | {driver / tally.regions * 1e6:.2f} "
              f"| {scheduler / tally.tasks * 1e3:.1f} | {others / tally.seconds - 1:.1%} | {first} "
              f"| {len(out) - 1 - last} |", flush=True)  # fmt: skip


def once(name: str, cluster: Cluster, budget: Budget) -> tuple[Tally, float, float, float]:
    """A search: what its tasks brought, and processor seconds of driver, scheduler and workers in all."""
    tally, search = Tally(), search_of(name)
    workers = [psutil.Process(process.pid) for process in cluster.workers]
    scheduler = psutil.Process(cluster.scheduler.pid)
    with open_dask(search.problems, 1, cluster.address, print) as engine:
        before = [time.process_time(), spent(scheduler), sum(map(spent, workers))]
        drive(Recorded(engine, tally), search.roots, budget, tally.put)
        after = [time.process_time(), spent(scheduler), sum(map(spent, workers))]
    driver, scheduling, working = (b - a for a, b in zip(before, after, strict=True))
    return tally, driver, scheduling, working


def warm(cluster: Cluster, workers: int) -> None:
    """Waits for all workers, and lets each load the compiled search."""
    from distributed import Client

    with Client(cluster.address, set_as_default=False) as client:
        client.wait_for_workers(workers)
        client.run(load_kernel)


def load_kernel() -> None:
    import numpy as np

    from relu_shallow.domain import Box
    from relu_shallow.network import from_layers
    from relu_shallow.regions.search import enumerate_regions

    one = np.ones((1, 1))
    enumerate_regions(from_layers([(one, np.zeros(1)), (one, np.zeros(1))]), Box(-1.0, 1.0))


def play(given: argparse.Namespace, budget: Budget) -> None:
    """Prints a table: workers on a clock of their own."""
    print("| workers | tasks | regions | CPU s of tasks | wall s | workers busy | all busy after s | idle s at the end "
          "| driver busy |")  # fmt: skip
    print("|" + " --- |" * 9)
    search = search_of(given.case)
    for workers in given.workers:
        tally, engine = Tally(), Played(search, workers, given.driver, given.region, given.latency)
        drive(engine, search.roots, budget, tally.put)
        ends = engine.free
        wall = max(engine.now, max(ends))
        idle = sum(wall - end for end in ends) / workers
        print(f"| {workers} | {tally.tasks} | {tally.regions:,} | {tally.seconds:.1f} | {wall:.2f} "
              f"| {tally.seconds / workers / wall:.1%} | {engine.full:.2f} | {idle:.2f} | {engine.busy / wall:.0%} |",
              flush=True)  # fmt: skip


def search_of(name: str) -> Search:
    problem = PROBLEMS[name]()
    return prepare(from_layers(problem.layers), Box(problem.lo, problem.hi), certify=True)


def spent(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("measure", "play"))
    parser.add_argument("--case", choices=PROBLEMS, default="nav-point")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--batch", type=int, default=BATCH, help="regions a task may return")
    parser.add_argument("--regions", type=float, default=float("inf"), help="stop after so many")
    parser.add_argument("--driver", type=float, default=3e-3, help="play: the driver's seconds a task")
    parser.add_argument("--region", type=float, default=2e-7, help="play: and a region")
    parser.add_argument("--latency", type=float, default=0.02, help="play: seconds from the driver to a worker")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the cluster ends with this process
    run: dict[str, Callable[[], None]] = {
        "measure": lambda: measure(given.case, given.workers, Budget(given.regions, batch=given.batch)),
        "play": lambda: play(given, Budget(given.regions, batch=given.batch)),
    }
    run[given.what]()


if __name__ == "__main__":
    main()
