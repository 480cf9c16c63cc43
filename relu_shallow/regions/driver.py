"""The driver of a search: hands tasks to whoever runs them, splits what they leave, and stops within a budget.

It knows tasks and futures, and nothing of who runs them: threads here, or processes on other machines.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Protocol, runtime_checkable

from relu_shallow.errors import EngineError
from relu_shallow.regions.kernel import HALT, REGIONS
from relu_shallow.regions.task import Allowance, Live, Node, Result, Task

GLANCE = 0.1  # seconds between looks at the clock, the workers and the keyboard
EARLIEST_SPLIT = 0.0005  # seconds a task runs before an idle worker may ask for half of it
FIRST = 64  # regions of the first task where there are fewer tasks than workers: it is split at once
STARVING = 0.05  # seconds of a task while there are fewer tasks than workers, so that they split soon
HAND_BACK, STOP = 1, 2  # what `Live.control` tells a task: to hand back its frontier, since others wait or all ends
PATIENCE = 1.0  # seconds after the deadline before a task is told not even to finish the region that it is at
MOST_LOSSES = 5  # workers lost over one task before the task is to blame

Progress = Callable[[int], None]
Put = Callable[[Task, Result], int]


@runtime_checkable
class Engine(Protocol):
    """Who runs tasks. `near` says whether they share this process, so that `Live` reaches them."""

    near: bool
    batch: int  # regions a task may return
    seconds: float  # and wall seconds it may take
    lost: tuple[type[BaseException], ...]  # what a future raises where its worker is gone

    def width(self) -> int:
        """How many tasks to keep running now."""
        ...

    def submit(self, task: Task, allowance: Allowance, live: Live) -> Future[Result]:
        """Starts `search_task` somewhere."""
        ...


@dataclass(frozen=True)
class Budget:
    """When to stop early: after so many regions, or at a moment of the monotonic clock; `batch` bounds each task's."""

    regions: float = float("inf")
    deadline: float = float("inf")
    batch: float = float("inf")


@dataclass(eq=False)
class Running:
    """A task that someone runs: since when and until when, what is shared with it, how many workers it has cost."""

    task: Task
    losses: int
    started: float
    until: float
    live: Live = field(default_factory=Live)


def drive(
    engine: Engine, tasks: Sequence[Task], budget: Budget, put: Put, progress: Progress | None = None
) -> list[Task]:
    """Runs tasks, and those of what they leave, until none is left or the budget is spent; returns what is left.

    `put` is given every task that ended with its result, and says how many regions it adds. A task whose worker is
    lost runs again from its start. Raises EngineError for a task that loses every worker it meets.
    """
    pending = [(task, 0) for task in reversed(tasks)]
    running: dict[Future[Result], Running] = {}
    done: SimpleQueue[Future[Result]] = SimpleQueue()
    finished, begun, told = 0, False, time.monotonic()

    def fill(width: int, now: float) -> None:
        nonlocal begun
        while pending and len(running) < width and not (begun and _spent(budget, finished, now)):
            seconds = STARVING if len(pending) + len(running) < width else engine.seconds
            most = int(max(min(engine.batch, budget.batch, budget.regions - finished), 1))
            most = most if begun or len(pending) >= width else min(most, FIRST)
            task, losses = pending.pop()
            entry = Running(task, losses, now, now + engine.seconds)
            # a clock in the task would be a thread of its own, a tenth of a millisecond: those near are told in time
            left = float("inf") if engine.near else max(min(seconds, budget.deadline - now), 0.0)
            allowance = Allowance(most, left)
            future = engine.submit(task, allowance, entry.live)
            running[future] = entry
            future.add_done_callback(done.put)
            begun = True

    try:
        while pending or running:
            now, width = time.monotonic(), engine.width()
            spent = _spent(budget, finished, now)
            if spent and begun and not running:
                break
            fill(width, now)
            _ask_for_halves(running, width, now, spent)
            if now > budget.deadline + PATIENCE:
                _halt(running)
            if progress is not None and now - told > GLANCE * 2:
                told = now
                found = finished + sum(int(entry.live.counters[REGIONS]) for entry in running.values())
                progress(int(min(found, budget.regions)))
            pause = EARLIEST_SPLIT if engine.near and len(running) < width else GLANCE
            future = _next(done, max(min(pause, budget.deadline - now), EARLIEST_SPLIT))
            if future is None:
                continue
            entry = running.pop(future)
            try:
                result = future.result()
            except engine.lost as error:
                if entry.losses == MOST_LOSSES:
                    raise EngineError(f"{entry.losses + 1} workers were lost one after the other over the same part of "
                                      "the search; perhaps they lack memory") from error  # fmt: skip
                pending.append((entry.task, entry.losses + 1))
                continue
            idle = width - len(running) - len(pending)
            pending.extend((task, 0) for task in reversed(split(entry.task.chart, result.rest, max(idle, 1))))
            if budget.regions == float("inf"):
                fill(width, now)  # before the result is put away, which may take longer than a search
            finished += put(entry.task, result)
    finally:
        _halt(running)
    if progress is not None:
        progress(int(min(finished, budget.regions)))
    return [task for task, _ in reversed(pending)]


def split(chart: int, rest: tuple[Node, ...], pieces: int) -> list[Task]:
    """The tasks of a frontier (deepest node first), in order: up to so many, the shallowest nodes each on its own.

    The subtree of the shallowest node is about half of what is left, that of the next a quarter, and so on.
    """
    if not rest:
        return []
    alone = min(pieces, len(rest)) - 1
    deep = len(rest) - alone
    return [Task(chart, rest[:deep]), *(Task(chart, (node,)) for node in rest[deep:])]


def _halt(running: dict[Future[Result], Running]) -> None:
    for entry in running.values():
        entry.live.control[0] = HALT


def _spent(budget: Budget, finished: int, now: float) -> bool:
    return finished >= budget.regions or now >= budget.deadline


def _next(done: SimpleQueue[Future[Result]], timeout: float) -> Future[Result] | None:
    try:
        return done.get(timeout=timeout)
    except Empty:
        return None


def _ask_for_halves(running: dict[Future[Result], Running], width: int, now: float, stop: bool) -> None:
    """Tells tasks to hand their frontier back: all to stop, those whose time is up, for idle workers the oldest."""
    idle = width - len(running)
    for entry in running.values():  # in the order in which they started
        if stop:
            entry.live.control[0] = STOP
        elif idle > 0 and now - entry.started > EARLIEST_SPLIT:
            entry.live.control[0] = HAND_BACK
            idle -= 1
        elif now > entry.until:
            entry.live.control[0] = HAND_BACK
