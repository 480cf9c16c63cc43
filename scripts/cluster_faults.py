"""Kills workers of a Dask cluster at random in the middle of searches, and compares the regions found.

    python scripts/cluster_faults.py --rounds 20
    python scripts/cluster_faults.py --case five-0 --rounds 3 --seed 7

A scheduler and workers run in processes of this machine that talk over TCP. In every round workers are killed with
`kill -9`, at moments drawn at random, and others started in their place, until the search ends. The regions found must
be those that threads find, bit for bit. A round that goes wrong is printed and the exit status is 1.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from threading import Event, Thread

import numpy as np
from distributed import Client

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from benchmark.cases import CASES  # noqa: E402
from cluster.processes import Cluster, cluster_of  # noqa: E402

from relu_shallow.domain import Box  # noqa: E402
from relu_shallow.network import from_layers  # noqa: E402
from relu_shallow.regions import dask_engine  # noqa: E402
from relu_shallow.regions.search import enumerate_regions  # noqa: E402

SOON = 3.0  # seconds within which the first worker dies, so that none survives a short search


class Killer(Thread):
    """Waits a while at random, kills a worker, starts another; until told to end.

    Where the machine is too busy to start workers as fast as they die, it waits until half of them have joined.
    """

    def __init__(self, cluster: Cluster, dice: random.Random, between: float) -> None:
        super().__init__(daemon=True)
        self.cluster, self.dice, self.between = cluster, dice, between
        self.kills, self.over = 0, Event()

    def run(self) -> None:
        with Client(self.cluster.address, set_as_default=False) as client:
            while not self.over.wait(self.dice.uniform(0, 2 * self.between if self.kills else SOON)):
                if 2 * len(client.nthreads()) >= len(self.cluster.workers):
                    self.cluster.kill(self.dice.randrange(len(self.cluster.workers)))
                    self.kills += 1
                    self.cluster.add()


def main() -> int:
    arguments = parse()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the cluster ends with this process
    problem = CASES[arguments.case].problem()
    network, domain = from_layers(problem.layers), Box(problem.lo, problem.hi)
    if arguments.batch:
        dask_engine.Dask.batch = arguments.batch
    began = time.perf_counter()
    expected = enumerate_regions(network, domain, workers=arguments.workers)
    print(f"threads: {len(expected.bits):,} regions in {time.perf_counter() - began:.1f} s", flush=True)
    wrong, kills = 0, 0
    with tempfile.TemporaryDirectory() as folder, cluster_of(Path(folder), arguments.workers) as cluster:
        for number in range(arguments.rounds):
            killer = Killer(cluster, random.Random(f"{arguments.seed} {number}"), arguments.between)
            began = time.perf_counter()
            killer.start()
            found = enumerate_regions(network, domain, engine=f"dask:{cluster.address}", announce=print)
            killer.over.set()
            killer.join()
            same = found.complete and found.level == expected.level and np.array_equal(found.bits, expected.bits)
            wrong += not same
            kills += killer.kills
            seconds, verdict = time.perf_counter() - began, "the same" if same else "NOT THE SAME"
            print(f"round {number}: {killer.kills} workers killed, {len(found.bits):,} regions in {seconds:.1f} s: "
                  f"{verdict}", flush=True)  # fmt: skip
    print(f"{arguments.rounds} rounds, {kills} workers killed, {wrong} rounds wrong")
    return 1 if wrong else 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=CASES, default="nav-point")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--between", type=float, default=3.0, help="mean seconds between two kills")
    parser.add_argument("--batch", type=int, default=20_000, help="regions a task may return (0: the engine's own)")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
