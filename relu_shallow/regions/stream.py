"""A search whose regions go to the files of a folder as they are found: bounded memory, and nothing lost."""

from __future__ import annotations

import time
from pathlib import Path

from relu_shallow.domain import Domain, fit
from relu_shallow.errors import DomainError, UsageError
from relu_shallow.machine import memory_in_use
from relu_shallow.network import Network
from relu_shallow.regions.driver import Budget, Progress, drive
from relu_shallow.regions.engines import Announce, open_engine
from relu_shallow.regions.folder import FINISHED, About, RegionsFolder, charts_key, open_folder
from relu_shallow.regions.gathering import finish, write_single
from relu_shallow.regions.journal import Recorder, open_tasks, writing
from relu_shallow.regions.search import ROOM, prepare, single_region
from relu_shallow.regions.shares import share_of
from relu_shallow.regions.task import regions_within

FEWEST = 16  # regions that a task must be able to hold


def stream_regions(
    network: Network,
    domain: Domain,
    path: Path,
    *,
    workers: int = 1,
    engine: str = "threads",
    max_regions: int | None = None,
    max_memory: float | None = None,
    time_limit: float | None = None,
    certify: bool = True,
    resume: bool = False,
    share: tuple[int, int] = (1, 1),
    progress: Progress | None = None,
    announce: Announce = lambda message: None,  # noqa: ARG005
) -> RegionsFolder:
    """The linear regions of a network on a domain, in the files of a folder: all of them, or as far as a limit allows.

    Finished tasks are on the disk at once, so that a run that ends early in any way is gone on with by `resume`; a
    limit counts the regions of this run, and `max_memory` bytes of this process. `share` (I, K) searches part I of K,
    which together are all (regions/shares.py). `engine`, `certify`, `progress` and `announce` are as for
    `enumerate_regions`. Raises DomainError where the domain is empty or does not fit, UsageError where the folder is
    not what `resume` says, OutputError where it cannot be written.
    """
    domain = fit(domain, network.inputs)
    if max_regions is not None and max_regions < 1:
        raise DomainError(f"at least one region must be allowed, got a limit of {max_regions}")
    search = prepare(network, domain, certify=certify)
    if not search.roots and share != (1, 1):
        raise UsageError("this network has one region on the domain, so there are no parts to search")
    batch = regions_within(network, _room(max_memory, workers))
    if max_memory is None:
        batch = max(batch, FEWEST)
    elif batch < FEWEST:
        raise UsageError(f"{max_memory:,.0f} bytes leave too little room for a search: the program itself holds "
                         f"{memory_in_use():,.0f}; allow more")  # fmt: skip
    own = share_of(search, share)
    charts = charts_key([problem.source for problem in search.problems])
    about = About(network, domain, certify, own.start, own.elsewhere, share, charts)
    with writing(path, about, resume=resume, found=own.found):
        if (path / FINISHED).is_file():
            return open_folder(path)
        if not search.roots:
            write_single(path, about, single_region(search))
            return open_folder(path)
        tasks, recorder = open_tasks(path, search, about, own.tasks), Recorder(path, about)
        deadline = float("inf") if time_limit is None else time.monotonic() + time_limit
        budget = Budget(float("inf" if max_regions is None else max_regions), deadline, batch)
        if tasks:
            try:
                with open_engine(engine, search.problems, max(1, workers), announce) as runner:
                    drive(runner, tasks, budget, recorder.put, progress)
            finally:
                recorder.flush()
        return finish(path, about)


def _room(max_memory: float | None, workers: int) -> float:
    """The bytes that one task may take: those of all threads, and of what waits to be written, at a time."""
    return ROOM if max_memory is None else min(ROOM, (max_memory - memory_in_use()) / (workers + 2))
