"""From a model to its shallow network: load, enumerate, build."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from time import perf_counter
from typing import Any

from relu_shallow.compilation import ensure_compiled
from relu_shallow.domain import Box, Domain, Polytope, WholeSpace, fit
from relu_shallow.errors import DomainError, OutputError, UsageError
from relu_shallow.load import load_network
from relu_shallow.machine import usable_cores
from relu_shallow.proof.prove import with_proof
from relu_shallow.regions.search import enumerate_regions
from relu_shallow.shallow.build import shallow_network
from relu_shallow.shallow.table import ShallowNetwork


@dataclass(frozen=True)
class Seconds:
    """Wall seconds of a conversion's steps; `build` makes the table out of the list of regions."""

    load: float
    compile: float
    enumerate: float
    build: float


def convert(
    model: Any,
    domain: Domain = WholeSpace(),  # noqa: B008 (immutable)
    *,
    lp: str = "kernel",
    workers: int | None = None,
    engine: str = "threads",
    max_regions: int | None = None,
    time_limit: float | None = None,
    certify: bool = True,
    proof: bool = False,
    trust: Sequence[str] = (),
    progress: Callable[[int], None] | None = None,
) -> ShallowNetwork:
    """The shallow network that equals a model on a domain: a path, a torch module, a scikit-learn MLP or a Network.

    With `max_regions` or `time_limit` (seconds) the list may be partial; `completeness` says so. `workers` is the
    number of threads (all usable cores by default), `engine` another than threads ("dask", "dask:tcp://HOST:PORT":
    docs/cluster.md), and `progress` is called with the regions found so far. Without
    `certify` decisions are taken as they look in floats, none is proved, and the list stays "uncertified". `trust`
    names classes that a pickle may hold. With `proof` a complete list carries a proof that anyone can check
    (relu_shallow/proof/check.py). Raises ModelError, DomainError, UsageError for a limit that is none, or
    OutputError where nothing was found.
    """
    if proof and not (certify and lp == "kernel"):
        raise UsageError("a proof is made of a certified list: leave out certify=False and lp")
    shallow, _ = convert_timed(
        model, domain, lp=lp, workers=workers, engine=engine, max_regions=max_regions, time_limit=time_limit,
        certify=certify, trust=trust, progress=progress,
    )  # fmt: skip
    return with_proof(shallow, progress) if proof and shallow.completeness.complete else shallow


def convert_timed(
    model: Any,
    domain: Domain = WholeSpace(),  # noqa: B008 (immutable)
    *,
    lp: str = "kernel",
    workers: int | None = None,
    engine: str = "threads",
    max_regions: int | None = None,
    time_limit: float | None = None,
    certify: bool = True,
    trust: Sequence[str] = (),
    progress: Callable[[int], None] | None = None,
    announce: Callable[[str], None] = lambda message: None,  # noqa: ARG005
) -> tuple[ShallowNetwork, Seconds]:
    """What `convert` gives, and how long its steps took; `announce` is told what a user may wait for."""
    began = perf_counter()
    if lp != "kernel" and engine != "threads":
        raise UsageError("a cluster runs the compiled kernel only: leave out lp, or engine")
    check_request(domain, {"max_regions": max_regions, "workers": workers}, time_limit)
    network = load_network(model, trust=trust)
    domain = fit(domain, network.inputs)
    loaded = perf_counter()
    compiling = ensure_compiled(announce, bounded=isinstance(domain, Box)) if lp == "kernel" else 0.0
    searching = perf_counter()
    partition = enumerate_regions(
        network,
        domain,
        lp=lp,
        workers=usable_cores() if workers is None else workers,
        engine=engine,
        max_regions=max_regions,
        time_limit=time_limit,
        certify=certify,
        progress=progress,
        announce=announce,
    )
    found = perf_counter()
    if not partition.regions:
        raise OutputError("no region was found before the limit; allow more time, or narrow the domain")
    shallow = shallow_network(partition)
    return shallow, Seconds(loaded - began, compiling, found - searching, perf_counter() - found)


def check_request(domain: object, counts: Mapping[str, Any], time_limit: Any) -> None:
    """Raises before any work where a domain or a limit is not one; annotations are not enforced at run time."""
    if not isinstance(domain, WholeSpace | Box | Polytope):
        raise DomainError(f"a domain is a Box (as Box(-1, 1)), a Polytope or WholeSpace(), got {domain!r:.60}")
    for name, number in counts.items():
        whole = isinstance(number, Integral) and not isinstance(number, bool)
        if number is not None and not (whole and number >= 1):
            raise UsageError(f"{name} must be a whole number of at least 1, or None, got {number!r:.60}")
    seconds = isinstance(time_limit, Real) and not isinstance(time_limit, bool)
    if time_limit is not None and not (seconds and time_limit > 0):
        raise UsageError(f"time_limit must be a positive number of seconds, or None, got {time_limit!r:.60}")
