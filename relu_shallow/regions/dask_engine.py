"""The engine that hands tasks to the workers of a Dask cluster: one that is running, or one of processes started here.

It assumes nothing about who runs what: workers come, go and die as they please. The scheduler keeps the network
(as the task of handing it out, which every other depends on), so that it outlives the workers that hold it.
"""

from __future__ import annotations

import asyncio
import logging
import operator
import pickle
import re
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial, reduce
from threading import Lock
from typing import Any
from uuid import uuid4

from relu_shallow.errors import EngineError, MissingExtra, ReluShallowError
from relu_shallow.regions.driver import STOP
from relu_shallow.regions.engines import BATCH, SECONDS, Announce
from relu_shallow.regions.remote import errand_of, network_of
from relu_shallow.regions.task import Allowance, Live, Problem, Result, Task

ANSWER = 10.0  # seconds for a scheduler to answer, at first and after a lost connection
ROLL_CALL = 1.0  # seconds between counts of the workers
SILENCE = 60.0  # seconds that a scheduler may take to count them, being busy
PATIENCE = 5.0  # seconds without any worker before the user is told
GRACE = 2.0  # seconds after a stop for tasks to come back by themselves
AHEAD = 2  # tasks for each thread: one runs, one is there when it ends; and an adaptive cluster sees a reason to grow

LOGGERS = ("distributed", "tornado", "asyncio")
LARGE_GRAPH = "distributed.admin.large-graph-warning-threshold"


class WorkerLost(Exception):  # noqa: N818
    """A task's worker, or the connection to the scheduler, is gone; the task can run again."""


@dataclass(frozen=True, eq=False)
class Sent:
    """A task on its way: what the driver shares with it, what the driver waits for, and Dask's own future of it."""

    live: Live
    outcome: Future[Result]
    remote: Any


class Dask:
    """The workers of a cluster, however many there are at the moment."""

    near = False
    batch = BATCH
    seconds = SECONDS
    lost: tuple[type[BaseException], ...] = (WorkerLost,)

    def __init__(self, client: Any, where: str, problems: Sequence[Problem], announce: Announce) -> None:
        self._client, self._where, self._announce = client, where, announce
        self._networks = [network_of(problem) for problem in problems]
        self._kept: list[Any] = [None for _ in problems]
        self._sent: set[Sent] = set()
        self._lock = Lock()  # outcomes are set by Dask's thread, and by the driver's after a stop
        self._called = self._manned = time.monotonic()
        self._threads = sum(client.nthreads().values())
        self._census: Future[dict[str, int]] | None = None
        self._stopped: float | None = None

    def width(self) -> int:
        """A few tasks a thread; some where there is no worker, as a reason for the cluster to start one.

        None at all while the connection to the scheduler is lost. Raises EngineError where it does not come back.
        """
        now = time.monotonic()
        if self._client.status == "closed":
            raise EngineError(gone(self._where, ANSWER))
        if self._client.status != "running":
            return 0
        self._count(now)
        self._take_back(now)
        return AHEAD * max(self._threads, 1)

    def submit(self, task: Task, allowance: Allowance, live: Live) -> Future[Result]:
        """Hands the task to the scheduler."""
        words = [errand_of(task, allowance), self._network(task.chart)]
        remote = self._client.submit(reduce, operator.call, words, pickle.loads, key=f"search-{uuid4().hex}")
        sent = Sent(live, Future(), remote)
        with self._lock:
            self._sent.add(sent)
        self._begin(self._client.gather(remote, asynchronous=True)).add_done_callback(partial(self._settle, sent))
        return sent.outcome

    def _begin(self, coroutine: Any) -> Future[Any]:
        """Runs a coroutine on Dask's thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._client.loop.asyncio_loop)

    def _network(self, chart: int) -> Any:
        """Dask's future of a network, asked for again where too many of its workers died or the connection did."""
        kept = self._kept[chart]
        if kept is None or kept.status in ("cancelled", "error", "lost"):
            kept = self._kept[chart] = self._client.submit(bytes, self._networks[chart], key=f"network-{uuid4().hex}")
        return kept

    def _settle(self, sent: Sent, fetched: Future[Result]) -> None:
        """Tells the driver what came of a task."""
        with self._lock:
            if sent not in self._sent:
                return
            self._sent.remove(sent)
        error = CONNECTION if fetched.cancelled() else fetched.exception()
        if error is None:
            sent.outcome.set_result(fetched.result())
        else:
            sent.outcome.set_exception(understood(error) if sent.remote.status == "error" else CONNECTION)
        sent.remote.release()

    def _take_back(self, now: float) -> None:
        """After a stop, gives tasks that did not end by themselves up: unsearched, they are what is left."""
        with self._lock:
            if not any(sent.live.control[0] == STOP for sent in self._sent):
                self._stopped = None
                return
            self._stopped = now if self._stopped is None else self._stopped
            if now - self._stopped < GRACE:
                return
            given_up, self._sent = self._sent, set()
        for sent in given_up:
            sent.remote.release()
            sent.outcome.set_exception(CONNECTION)

    def _count(self, now: float) -> None:
        """Counts the workers' threads, without waiting for the answer."""
        if self._census is not None and self._census.done():
            if self._census.exception() is None:  # otherwise the connection ends now, which its status will say
                self._threads = sum(self._census.result().values())
                self._tell(now)
            self._census = None
        if self._census is None and now - self._called > ROLL_CALL:
            self._called = now
            self._census = self._begin(self._client.scheduler.ncores())
        if self._census is not None and now - self._called > SILENCE:
            raise EngineError(gone(self._where, SILENCE))

    def _tell(self, now: float) -> None:
        if self._threads:
            self._manned = now
        elif now - self._manned > PATIENCE:
            self._manned = float("inf")
            self._announce(f"the cluster ({self._where}) has no workers; waiting for the first to join")


CONNECTION = WorkerLost("the task, or its result, was lost on the way")


def gone(where: str, seconds: float) -> str:
    """What to say of a scheduler that has not answered for so long."""
    return f"the scheduler of the cluster ({where}) is gone: it has not answered for {seconds:.0f} s"


def understood(error: BaseException) -> BaseException:
    """What went wrong on the cluster, as the driver understands it: a loss, or an error that ends the search."""
    from distributed import KilledWorker

    if isinstance(error, KilledWorker):
        return WorkerLost(str(error))
    if isinstance(error, ReluShallowError):
        return error
    words = f"{type(error).__name__}: {error}"
    if isinstance(error, ImportError | AttributeError):
        problem = EngineError(f"the cluster cannot load relu-shallow; install there what is installed here ({words})")
    else:
        problem = EngineError(f"a worker of the cluster failed: {words}")
    problem.__cause__ = error
    return problem


@contextmanager
def open_dask(problems: Sequence[Problem], workers: int, address: str, announce: Announce) -> Iterator[Dask]:
    """The engine of the cluster whose scheduler has an address, or of as many processes started here.

    Raises EngineError where nothing answers, MissingExtra without the package distributed.
    """
    try:
        import dask
        from distributed import Client, LocalCluster
    except ModuleNotFoundError as error:
        raise MissingExtra("distributed", "dask", "the engine dask") from error
    settings = {"distributed.comm.timeouts.connect": ANSWER, LARGE_GRAPH: 1 << 62}
    with dask.config.set(settings), _quiet():
        if address:
            asyncio.run(_greet(checked(address)))
            with _connected(partial(Client, address), address, announce) as client:
                yield Dask(client, address, problems, announce)
            return
        with (
            LocalCluster(n_workers=workers, threads_per_worker=1, host="127.0.0.1", dashboard_address=":0",
                         memory_limit=0, silence_logs=logging.CRITICAL) as cluster,
            _connected(partial(Client, cluster), "on this machine", announce) as client,
        ):  # fmt: skip
            yield Dask(client, "on this machine", problems, announce)


def checked(address: str) -> str:
    """The address, if it has the form of one."""
    if not re.fullmatch(r"(tcp|tls|ws|wss)://(\[[^\[\]\s]+\]|[^\[\]\s:/]+):\d{1,5}", address):
        raise EngineError(f"{address!r:.80} is no address of a scheduler; write --engine dask:tcp://HOST:PORT, or "
                          "--engine dask for processes on this machine")  # fmt: skip
    return address


async def _greet(address: str) -> None:
    """Waits a while for the scheduler to say what it is; Dask's client would wait for a silent one for ever."""
    from distributed import Security
    from distributed.core import rpc

    security = Security().get_connection_args("client")
    try:
        async with asyncio.timeout(ANSWER), rpc(address, connection_args=security) as scheduler:
            kind = (await scheduler.identity())["type"]
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise EngineError(f"no scheduler of a Dask cluster answers at {address} within {ANSWER:.0f} s") from error
    if kind != "Scheduler":
        raise EngineError(f"{address} is the address of a {kind.lower()}; give that of the scheduler")


@contextmanager
def _connected(connect: Callable[..., Any], where: str, announce: Announce) -> Iterator[Any]:
    with warnings.catch_warnings(record=True) as differences:
        warnings.simplefilter("always")
        try:
            client = connect(timeout=ANSWER, set_as_default=False)
        except (OSError, ImportError) as error:
            raise EngineError(f"the scheduler of the cluster ({where}) lets nobody in: {error}") from error
    if any(type(warned.message).__name__ == "VersionMismatchWarning" for warned in differences):
        announce("the cluster has other versions of Dask's packages than this side; where it fails, install the same")
    try:
        yield client
    finally:
        with suppress(OSError):  # no answer any more, which is what is wanted
            client.close(timeout=GRACE)


@contextmanager
def _quiet() -> Iterator[None]:
    """A block in which Dask's own messages about lost workers and connections do not reach the user."""
    names = [name for name in logging.root.manager.loggerDict if name.startswith(LOGGERS)]
    loggers = [logging.getLogger(name) for name in {*names, *LOGGERS}]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
