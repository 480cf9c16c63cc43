"""From a model to its shallow network: load, enumerate, build."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Integral, Real
from pathlib import Path
from time import perf_counter
from typing import Any

from relu_shallow.compilation import ensure_compiled
from relu_shallow.domain import Box, Domain, Polytope, WholeSpace
from relu_shallow.errors import DomainError, OutputError, UsageError
from relu_shallow.load import load_network
from relu_shallow.machine import memory_in_use, usable_cores
from relu_shallow.modules import addend, modules_of
from relu_shallow.network import Network
from relu_shallow.proof.prove import with_proof
from relu_shallow.regions.folder import RegionsFolder
from relu_shallow.regions.partition import Partition
from relu_shallow.regions.search import enumerate_regions
from relu_shallow.regions.stream import stream_regions
from relu_shallow.regions.task import listed_bytes
from relu_shallow.shallow.build import shallow_network, sum_of_modules
from relu_shallow.shallow.table import ShallowNetwork
from relu_shallow.slices import Subspace, on_slice

MANY = 1 << 62  # more than any count
COPIES = 3.1  # measured: the peak of a conversion in multiples of its list and table


@dataclass(frozen=True)
class Seconds:
    """Wall seconds of a conversion's steps; `build` makes the table out of the list of regions."""

    load: float
    compile: float
    enumerate: float
    build: float


def convert(
    model: Any,
    domain: Domain | Subspace = WholeSpace(),  # noqa: B008 (immutable)
    *,
    lp: str = "kernel",
    workers: int | None = None,
    engine: str = "threads",
    max_regions: int | None = None,
    max_memory: float | None = None,
    time_limit: float | None = None,
    certify: bool = True,
    proof: bool = False,
    modular: bool = False,
    trust: Sequence[str] = (),
    progress: Callable[[int], None] | None = None,
) -> ShallowNetwork:
    """The shallow network that equals a model on a domain: a path, a torch module, a scikit-learn MLP or a Network.

    On a `Subspace` (slices.py: `line`, `plane`) it is the model as a function of the slice's coordinates.

    With `max_regions`, `max_memory` (bytes of this process) or `time_limit` (seconds) the list may be partial;
    `completeness` says so. `workers` is the number of threads (all usable cores by default), `engine` another than
    threads ("dask", "dask:tcp://HOST:PORT": docs/cluster.md), and `progress` is called with the regions found so far.
    Without `certify` decisions are taken as they look in floats, none is proved, and the list stays "uncertified".
    `trust` names classes that a pickle may hold. With `proof` a complete list carries a proof that anyone can check
    (relu_shallow/proof/check.py). With `modular` a network that falls apart into modules (modules.py) becomes the sum
    of a table for each, whose regions add where those of the network multiply. Raises ModelError, DomainError,
    UsageError for a limit that is none, or OutputError where nothing was found.
    """
    if proof and not (certify and lp == "kernel"):
        raise UsageError("a proof is made of a certified list: leave out certify=False and lp")
    if proof and modular:
        raise UsageError("a proof is kept of one list of all regions: leave out proof, or modular")
    shallow, _ = convert_timed(
        model, domain, lp=lp, workers=workers, engine=engine, max_regions=max_regions, max_memory=max_memory,
        time_limit=time_limit, certify=certify, modular=modular, trust=trust, progress=progress,
    )  # fmt: skip
    return with_proof(shallow, progress) if proof and shallow.completeness.complete else shallow


def convert_to_folder(
    model: Any,
    path: str | os.PathLike[str],
    domain: Domain | Subspace = WholeSpace(),  # noqa: B008 (immutable)
    *,
    resume: bool = False,
    share: tuple[int, int] = (1, 1),
    workers: int | None = None,
    engine: str = "threads",
    max_regions: int | None = None,
    max_memory: float | None = None,
    time_limit: float | None = None,
    certify: bool = True,
    trust: Sequence[str] = (),
    progress: Callable[[int], None] | None = None,
) -> RegionsFolder:
    """The linear regions of a model on a domain, written to the files of a folder as they are found.

    Memory stays bounded whatever their number. A run that was stopped, by a limit or in any other way, is gone on with
    by `resume`. `share` (I, K) does part I of K, for machines that know nothing of each other; `merge_folders` makes
    one folder of all parts. The other arguments are those of `convert`. Raises what `convert` raises, and UsageError
    where the folder is not what `resume` says.
    """
    folder, _ = convert_to_folder_timed(
        model, path, domain, resume=resume, share=share, workers=workers, engine=engine, max_regions=max_regions,
        max_memory=max_memory, time_limit=time_limit, certify=certify, trust=trust, progress=progress,
    )  # fmt: skip
    return folder


def convert_timed(
    model: Any,
    domain: Domain | Subspace = WholeSpace(),  # noqa: B008 (immutable)
    *,
    lp: str = "kernel",
    workers: int | None = None,
    engine: str = "threads",
    max_regions: int | None = None,
    max_memory: float | None = None,
    time_limit: float | None = None,
    certify: bool = True,
    modular: bool = False,
    trust: Sequence[str] = (),
    progress: Callable[[int], None] | None = None,
    announce: Callable[[str], None] = lambda message: None,  # noqa: ARG005
) -> tuple[ShallowNetwork, Seconds]:
    """What `convert` gives, and how long its steps took; `announce` is told what a user may wait for."""
    began = perf_counter()
    if lp != "kernel" and engine != "threads":
        raise UsageError("a cluster runs the compiled kernel only: leave out lp, or engine")
    check_request(domain, {"max_regions": max_regions, "workers": workers}, time_limit, max_memory)
    network = load_network(model, trust=trust)
    network, domain = on_slice(network, domain)
    modules = modules_of(network) if modular else ()
    loaded = perf_counter()
    compiling = ensure_compiled(announce, bounded=isinstance(domain, Box)) if lp == "kernel" else 0.0
    searching = perf_counter()
    limits = Limits(max_regions, max_memory, time_limit)
    search = partial(
        enumerate_regions, domain=domain, lp=lp, workers=usable_cores() if workers is None else workers, engine=engine,
        certify=certify, announce=announce,
    )  # fmt: skip
    parts = [addend(network, module) for module in modules] if len(modules) > 1 else [network]
    partitions = _searched(parts, search, limits, progress)
    found = perf_counter()
    if len(parts) > 1:
        shallow = sum_of_modules(network, partitions[0].domain, partitions, modules)
    else:
        shallow = shallow_network(partitions[0])
    return shallow, Seconds(loaded - began, compiling, found - searching, perf_counter() - found)


@dataclass(frozen=True)
class Limits:
    """Where a conversion stops with a partial list: regions, bytes of this process, seconds."""

    regions: int | None
    memory: float | None
    seconds: float | None


def _searched(
    parts: Sequence[Network], search: Callable[..., Partition], limits: Limits, progress: Callable[[int], None] | None
) -> list[Partition]:
    """The partition of each of the networks, one after the other, within limits that are for all together.

    Each may use its share of the time left, and all regions left but one for each that follows. Raises OutputError
    where one is left without a region.
    """
    if limits.regions is not None and limits.regions < len(parts):
        raise UsageError(f"each of the {len(parts)} modules has a region at least: allow {len(parts)} regions, or more")
    found: list[Partition] = []
    began = perf_counter()
    for k, part in enumerate(parts):
        listed, after = sum(partition.regions for partition in found), len(parts) - 1 - k
        left = None if limits.regions is None else limits.regions - listed - after
        time = None if limits.seconds is None else (limits.seconds - (perf_counter() - began)) / (after + 1)
        partition = search(
            part, max_regions=_regions_that_fit(part, left, limits.memory), time_limit=time,
            progress=progress and partial(_tell_all, progress, listed),
        )  # fmt: skip
        if not partition.regions:
            raise OutputError("no region was found before the limit; allow more time, or narrow the domain")
        found.append(partition)
    return found


def _tell_all(progress: Callable[[int], None], before: int, regions: int) -> None:
    progress(before + regions)


def convert_to_folder_timed(
    model: Any,
    path: str | os.PathLike[str],
    domain: Domain | Subspace = WholeSpace(),  # noqa: B008 (immutable)
    *,
    resume: bool = False,
    share: tuple[int, int] = (1, 1),
    workers: int | None = None,
    engine: str = "threads",
    max_regions: int | None = None,
    max_memory: float | None = None,
    time_limit: float | None = None,
    certify: bool = True,
    trust: Sequence[str] = (),
    progress: Callable[[int], None] | None = None,
    announce: Callable[[str], None] = lambda message: None,  # noqa: ARG005
) -> tuple[RegionsFolder, Seconds]:
    """What `convert_to_folder` gives, and how long its steps took."""
    began = perf_counter()
    check_request(domain, {"max_regions": max_regions, "workers": workers}, time_limit, max_memory)
    part, parts = _checked_share(share)
    network = load_network(model, trust=trust)
    network, domain = on_slice(network, domain)
    loaded = perf_counter()
    compiling = ensure_compiled(announce, bounded=isinstance(domain, Box))
    searching = perf_counter()
    folder = stream_regions(
        network,
        domain,
        Path(path),
        workers=usable_cores() if workers is None else workers,
        engine=engine,
        max_regions=max_regions,
        max_memory=max_memory,
        time_limit=time_limit,
        certify=certify,
        resume=resume,
        share=(part, parts),
        progress=progress,
        announce=announce,
    )
    return folder, Seconds(loaded - began, compiling, perf_counter() - searching, 0.0)


def _checked_share(share: Any) -> tuple[int, int]:
    """Part I of K as whole numbers; raises UsageError where they are none."""
    if not (isinstance(share, Sequence) and len(share) == 2 and all(isinstance(part, Integral) for part in share)):
        raise UsageError(f"share must be two whole numbers, part I of K as (I, K), got {share!r:.60}")
    return int(share[0]), int(share[1])


def _regions_that_fit(network: Network, max_regions: int | None, max_memory: float | None) -> int | None:
    """The smaller of a limit on regions and the number whose table fits into so many bytes of this process."""
    if max_memory is None:
        return max_regions
    held = memory_in_use()
    fit = int((max_memory - held) / table_bytes(network))
    if fit < 1:
        raise UsageError(f"{max_memory:,.0f} bytes leave no room for regions: the program itself holds {held:,.0f}; "
                         "allow more")  # fmt: skip
    return fit if max_regions is None else min(fit, max_regions)


def table_bytes(network: Network) -> float:
    """About the most memory that a region takes at any moment of a conversion: lists, table and file, and copies."""
    n, m = network.inputs, network.outputs
    table = 8 * (m * (n + 1) + 3 + (n + 1))  # alpha and beta, the trie, and at most one row of H and c
    return COPIES * (listed_bytes(network) + table)


def check_request(domain: object, counts: Mapping[str, Any], time_limit: Any, max_memory: Any = None) -> None:
    """Raises before any work where a domain or a limit is not one; annotations are not enforced at run time."""
    if not isinstance(domain, WholeSpace | Box | Polytope | Subspace):
        raise DomainError(f"a domain is a Box (as Box(-1, 1)), a Polytope, WholeSpace() or a slice (line, plane, "
                          f"Subspace), got {domain!r:.60}")  # fmt: skip
    for name, number in counts.items():
        whole = isinstance(number, Integral) and not isinstance(number, bool)
        if number is not None and not (whole and 1 <= number < MANY):
            raise UsageError(f"{name} must be a whole number of at least 1, or None, got {number!r:.60}")
    for name, amount, unit in (("time_limit", time_limit, "seconds"), ("max_memory", max_memory, "bytes")):
        number = isinstance(amount, Real) and not isinstance(amount, bool)
        if amount is not None and not (number and amount > 0):
            raise UsageError(f"{name} must be a positive number of {unit}, or None, got {amount!r:.60}")
