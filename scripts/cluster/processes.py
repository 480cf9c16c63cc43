"""A scheduler and workers of Dask as processes of this machine that talk over TCP, to be killed at will."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

QUIET = {"DASK_LOGGING__DISTRIBUTED": "critical", "OMP_NUM_THREADS": "1"}
START = 60.0  # seconds for a scheduler to write where it is


class Cluster:
    """A scheduler in a process of its own, and the workers that have been started and are not yet known to be dead.

    The scheduler itself runs a task again whose worker is lost, unless the task has lost more than `patience`.
    """

    def __init__(self, folder: Path, patience: int = 3) -> None:
        self._folder, self._started = folder, 0
        self._environment = QUIET | {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": str(patience)}
        self.workers: list[subprocess.Popen[bytes]] = []
        self.restart()

    def restart(self) -> None:
        """Starts a scheduler, at another address than the last."""
        where = self._folder / f"scheduler-{self._started}.json"
        self.scheduler = self._start("scheduler", ["--port", "0", "--host", "127.0.0.1", "--scheduler-file", where])
        self.address = _address(where, self.scheduler)

    def add(self, count: int = 1, *, prepare: str = "") -> None:
        """Starts workers of one thread each; `prepare` is code that they run first."""
        for _ in range(count):
            words = [self.address, "--nthreads", "1", "--no-nanny", "--local-directory", self._folder,
                     "--death-timeout", "60"]  # fmt: skip
            self.workers.append(self._start("worker", words, prepare))

    def kill(self, which: int) -> None:
        """`kill -9` on a worker."""
        worker = self.workers.pop(which)
        worker.send_signal(signal.SIGKILL)
        worker.wait()

    def close(self) -> None:
        """Ends every process."""
        for process in [*self.workers, self.scheduler]:
            process.kill()
        for process in [*self.workers, self.scheduler]:
            process.wait()

    def _start(self, role: str, words: list, prepare: str = "") -> subprocess.Popen[bytes]:
        self._started += 1
        code = f"{prepare}\nfrom distributed.cli.dask_{role} import main; main()"
        log = (self._folder / f"{role}-{self._started}.log").open("wb")
        command = [sys.executable, "-c", code, "--no-dashboard", *map(str, words)]
        with log:
            return subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder,
                                    env=os.environ | self._environment)  # fmt: skip


@contextmanager
def cluster_of(folder: Path, workers: int) -> Iterator[Cluster]:
    """A scheduler with so many workers, ended with the block."""
    cluster = Cluster(folder)
    try:
        cluster.add(workers)
        yield cluster
    finally:
        cluster.close()


def _address(where: Path, scheduler: subprocess.Popen[bytes]) -> str:
    import json

    end = time.monotonic() + START
    while time.monotonic() < end and scheduler.poll() is None:
        if where.exists() and (text := where.read_text()).endswith("}"):
            return json.loads(text)["address"]
        time.sleep(0.05)
    raise RuntimeError("the scheduler did not start")
