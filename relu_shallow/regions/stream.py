"""A search whose regions go to the files of a folder as they are found: bounded memory, and nothing lost."""

from __future__ import annotations

import time
from pathlib import Path

from relu_shallow.domain import Domain, fit
from relu_shallow.errors import DomainError, UsageError
from relu_shallow.network import Network
from relu_shallow.regions.driver import Budget, Progress, drive
from relu_shallow.regions.engines import open_engine
from relu_shallow.regions.folder import FINISHED, About, RegionsFolder, open_folder
from relu_shallow.regions.gathering import finish, write_single
from relu_shallow.regions.journal import Recorder, open_tasks, writing
from relu_shallow.regions.search import prepare, single_region
from relu_shallow.regions.shares import share_of


def stream_regions(
    network: Network,
    domain: Domain,
    path: Path,
    *,
    workers: int = 1,
    engine: str = "threads",
    max_regions: int | None = None,
    time_limit: float | None = None,
    certify: bool = True,
    resume: bool = False,
    share: tuple[int, int] = (1, 1),
    progress: Progress | None = None,
) -> RegionsFolder:
    """The linear regions of a network on a domain, in the files of a folder: all of them, or as far as a limit allows.

    Finished tasks are on the disk at once, so that a run that ends early in any way is gone on with by `resume`; a
    limit counts the regions of this run. `share` (I, K) searches part I of K, which together are all (regions/shares).
    `engine`, `certify` and `progress` are as for `enumerate_regions`. Raises DomainError where the domain is empty or
    does not fit, UsageError where the folder is not what `resume` says, OutputError where it cannot be written.
    """
    domain = fit(domain, network.inputs)
    if max_regions is not None and max_regions < 1:
        raise DomainError(f"at least one region must be allowed, got a limit of {max_regions}")
    search = prepare(network, domain, certify=certify)
    if not search.roots and share != (1, 1):
        raise UsageError("this network has one region on the domain, so there are no parts to search")
    own = share_of(search, share)
    about = About(network, domain, certify, own.start, own.elsewhere, share)
    with writing(path, about, resume=resume, found=own.found):
        if (path / FINISHED).is_file():
            return open_folder(path)
        if not search.roots:
            write_single(path, about, single_region(search))
            return open_folder(path)
        recorder = Recorder(path, about)
        deadline = float("inf") if time_limit is None else time.monotonic() + time_limit
        budget = Budget(float("inf" if max_regions is None else max_regions), deadline)
        try:
            with open_engine(engine, search.problems, max(1, workers)) as runner:
                drive(runner, open_tasks(path, search, about, own.tasks), budget, recorder.put, progress)
        finally:
            recorder.flush()
        return finish(path, about)
