"""Who runs the tasks of a search: threads of this process, or the workers of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager

from relu_shallow.errors import UsageError
from relu_shallow.regions.driver import Engine
from relu_shallow.regions.task import Allowance, Live, Problem, Result, Task, search_task

Announce = Callable[[str], None]

BATCH = 1 << 16  # regions a task may return before it hands its frontier back
SECONDS = 30.0  # and the wall seconds it may take: what a run that is killed loses at most, on each thread


class Threads:
    """Threads of this process; the kernel lets go of the interpreter's lock."""

    near = True
    batch = BATCH
    seconds = SECONDS
    lost: tuple[type[BaseException], ...] = ()

    def __init__(self, pool: ThreadPoolExecutor, workers: int, problems: Sequence[Problem]) -> None:
        self._pool, self._workers, self._problems = pool, workers, problems

    def width(self) -> int:
        """One task a thread."""
        return self._workers

    def submit(self, task: Task, allowance: Allowance, live: Live) -> Future[Result]:
        """Starts the task on the next thread that is free."""
        return self._pool.submit(search_task, self._problems[task.chart], task, allowance, live)


@contextmanager
def _threads(problems: Sequence[Problem], workers: int, address: str, announce: Announce) -> Iterator[Engine]:
    del announce  # threads wait for nobody
    if address:
        raise UsageError(f"the engine threads takes no address, got {address!r:.60}")
    with ThreadPoolExecutor(workers) as pool:
        yield Threads(pool, workers, problems)


def _dask(
    problems: Sequence[Problem], workers: int, address: str, announce: Announce
) -> AbstractContextManager[Engine]:
    from relu_shallow.regions.dask_engine import open_dask

    return open_dask(problems, workers, address, announce)


ENGINES: dict[str, Callable[[Sequence[Problem], int, str, Announce], AbstractContextManager[Engine]]] = {
    "threads": _threads,
    "dask": _dask,
}


def open_engine(
    spec: str,
    problems: Sequence[Problem],
    workers: int,
    announce: Announce = lambda message: None,  # noqa: ARG005
) -> AbstractContextManager[Engine]:
    """The engine that NAME or NAME:ADDRESS stands for, which announces what it waits for.

    Raises UsageError for an unknown name.
    """
    name, _, address = spec.partition(":")
    if name not in ENGINES:
        raise UsageError(f"there is no engine {name!r:.60}; the engines are {', '.join(ENGINES)}")
    return ENGINES[name](problems, workers, address, announce)
