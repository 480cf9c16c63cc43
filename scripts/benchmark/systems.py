"""The systems compared. Each makes ready (imports, compiles, builds its network) and returns the run to be timed.

A run stops after `limit` seconds and says how far it came. Packages are imported inside, so that a system can run in an
environment of its own.
"""

from __future__ import annotations

import itertools
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmark.problem import Layers, Problem, on_unit_box

if TYPE_CHECKING:
    from relu_shallow.domain import Domain

ALL_PATTERNS_UP_TO = 16  # neurons


@dataclass(frozen=True)
class Outcome:
    """What a run found: `done` is the part of its work that it did (NaN where it cannot know), `bytes` the result's."""

    regions: int
    lps: int | None
    complete: bool
    done: float
    bytes: int


Run = Callable[[], Outcome]


@dataclass(frozen=True)
class System:
    """One way to find the regions: its title in tables, how it is made ready, and what it can take (None: everything).

    `refuses` gives the reason why a problem is not for it, or "".
    """

    title: str
    ready: Callable[[Problem, float], Run]
    refuses: Callable[[Problem], str]


def kernel(problem: Problem, limit: float, workers: int = 1, *, certify: bool = True) -> Run:
    """This project, its kernel compiled beforehand."""
    from relu_shallow.compilation import ensure_compiled
    from relu_shallow.network import from_layers
    from relu_shallow.regions.search import enumerate_regions

    network, domain = from_layers(problem.layers), domain_of(problem)
    ensure_compiled(lambda message: None, bounded=problem.bounded)  # noqa: ARG005
    return lambda: _outcome(enumerate_regions(network, domain, workers=workers, time_limit=limit, certify=certify))


def kernel_on_two_threads(problem: Problem, limit: float) -> Run:
    return kernel(problem, limit, workers=2)


def kernel_uncertified(problem: Problem, limit: float) -> Run:
    """The same with errors estimated, not bounded, and nothing decided exactly."""
    return kernel(problem, limit, certify=False)


def straightforward(problem: Problem, limit: float) -> Run:
    """Depth-first, every question a fresh call of scipy.optimize.linprog."""
    import scipy.optimize  # noqa: F401

    from relu_shallow.lp import BACKENDS
    from relu_shallow.network import from_layers
    from relu_shallow.regions.plain import enumerate_plain

    network, domain = from_layers(problem.layers), domain_of(problem)
    return lambda: _outcome(enumerate_plain(network, domain, BACKENDS["highs"], time_limit=limit))


def every_pattern(problem: Problem, limit: float) -> Run:
    """All 2^N patterns tried one by one, as readers of the paper describe it: the radius of each cell by one LP."""
    from scipy.optimize import linprog

    from relu_shallow.precision import LP_TOLERANCE, general_lp_margin

    layers, neurons = on_unit_box(problem), problem.neurons
    inputs = layers[0][0].shape[1]
    sides = np.concatenate([np.eye(inputs), -np.eye(inputs)]) if problem.bounded else np.zeros((0, inputs))
    margin = general_lp_margin(inputs)
    objective = np.append(np.zeros(inputs), -1.0)
    bounds = [(None, None)] * inputs + [(None, 1.0)]
    options = {"primal_feasibility_tolerance": LP_TOLERANCE, "dual_feasibility_tolerance": LP_TOLERANCE}

    def run() -> Outcome:
        started, found, tried, lps = time.perf_counter(), [], 0, 0
        for pattern in itertools.product((False, True), repeat=neurons):
            if time.perf_counter() - started > limit:
                break
            tried += 1
            H, c = _half_spaces(layers, np.array(pattern))
            size = np.linalg.norm(H, axis=1)
            if ((size == 0) & ((c < 0) | (c == 0) & np.array(pattern))).any():  # a constant row of the other sign
                continue
            H, c, size = H[size > 0], c[size > 0], size[size > 0]
            rows = np.concatenate([np.column_stack([-H, size]), np.column_stack([sides, np.ones(len(sides))])])
            ball = linprog(objective, A_ub=rows, b_ub=np.concatenate([c, np.ones(len(sides))]), bounds=bounds,
                           method="highs", options=options)  # fmt: skip
            lps += 1
            if ball.status == 0 and -ball.fun > margin:
                found.append(pattern)
        return Outcome(len(found), lps, tried == 2**neurons, tried / 2**neurons, len(found) * neurons)

    return run


def relucent(problem: Problem, limit: float) -> Run:
    """The public package relucent: breadth-first from the centre of the box, over the cells that meet the box."""
    import relucent

    network = relucent.convert(on_unit_box(problem))
    box = {"cube_radius": 1.0, "cube_mode": "intersect"} if problem.bounded else {}

    def run() -> Outcome:
        found = relucent.Complex(network)
        signal.signal(signal.SIGALRM, _time_is_up)
        signal.setitimer(signal.ITIMER_REAL, limit, 1.0)
        try:
            complete = bool(found.bfs(nworkers=1, verify=False, verbose=0, **box).complete)
        except TimeIsUp:
            complete = False
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        return Outcome(len(found), None, complete, np.nan, 0)

    return run


def splinecam(problem: Problem, limit: float) -> Run:
    """The published way of SplineCam, written anew (splinecam.py)."""
    from benchmark.splinecam import partition

    layers = on_unit_box(problem)

    def run() -> Outcome:
        polygons, complete = partition(layers, time.perf_counter() + limit)
        return Outcome(len(polygons), None, complete, np.nan, sum(polygon.nbytes for polygon in polygons))

    return run


class TimeIsUp(BaseException):
    """Raised in the middle of a run that knows no limit of its own."""


def _time_is_up(*_: object) -> None:
    raise TimeIsUp


def _half_spaces(layers: Layers, pattern: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """H, c of the pattern's region, a row for each neuron: H x + c >= 0."""
    (G, g), start, rows, shifts = layers[0], 0, [], []
    for W, b in layers[1:]:
        active = pattern[start : start + len(g)]
        sign = np.where(active, 1.0, -1.0)
        rows.append(sign[:, None] * G)
        shifts.append(sign * g)
        start += len(g)
        G, g = W @ (active[:, None] * G), W @ (active * g) + b
    return np.concatenate(rows), np.concatenate(shifts)


def domain_of(problem: Problem) -> Domain:
    """The box of a problem, or the whole space."""
    """The box of a problem, or the whole space."""
    from relu_shallow.domain import Box, WholeSpace

    return Box(problem.lo, problem.hi) if problem.bounded else WholeSpace()


def _outcome(partition) -> Outcome:
    size = partition.bits.nbytes + partition.witnesses.nbytes + partition.radii.nbytes
    return Outcome(partition.regions, partition.effort.lps, partition.complete, np.nan, size)


def _takes_all(problem: Problem) -> str:  # noqa: ARG001
    return ""


def _needs_a_box(problem: Problem) -> str:
    return "" if problem.bounded else "bounded domains only"


def _needs_a_plane(problem: Problem) -> str:
    return "" if problem.bounded and (problem.hi > problem.lo).sum() == 2 else "boxes in two dimensions only"


def _needs_few_neurons(problem: Problem) -> str:
    return "" if problem.neurons <= ALL_PATTERNS_UP_TO else f"more than {ALL_PATTERNS_UP_TO} neurons"


SYSTEMS: dict[str, System] = {
    "kernel": System("relu-shallow, 1 thread", kernel, _takes_all),
    "kernel-2": System("relu-shallow, 2 threads", kernel_on_two_threads, _takes_all),
    "uncertified": System("relu-shallow, not certified", kernel_uncertified, _takes_all),
    "straightforward": System("straightforward", straightforward, _needs_a_box),
    "every-pattern": System("all 2^N patterns", every_pattern, _needs_few_neurons),
    "relucent": System("relucent", relucent, _takes_all),
    "splinecam": System("SplineCam's way", splinecam, _needs_a_plane),
}
