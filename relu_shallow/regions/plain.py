"""The straightforward search: depth-first, each question put to a general LP solver from scratch.

It is the reference that the compiled search is held to, and the version it is measured against.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from relu_shallow.domain import Box, Domain, Polytope, WholeSpace, fit
from relu_shallow.errors import DomainError
from relu_shallow.lp.question import Answer, Maximise, Polyhedron
from relu_shallow.network import Affine, Network, local_maps, switching
from relu_shallow.precision import general_lp_margin, local_rows_error
from relu_shallow.regions.partition import Certificate, Effort, Partition, pack

REPORT_EVERY = 0.25  # seconds between calls of `progress`


@dataclass(frozen=True, eq=False)
class Frame:
    """Coordinates u in which a bounded domain is about a unit box: x = scale * u + center on the free inputs.

    Inputs that the domain fixes are not among `free`; they keep their value in `center`.
    """

    center: Float[np.ndarray, " n"]
    free: Bool[np.ndarray, " n"]
    scale: Float[np.ndarray, " d"]
    domain: Polyhedron

    def to_inputs(self, u: Float[np.ndarray, " d"]) -> Float[np.ndarray, " n"]:
        """The point x of coordinates u."""
        x = self.center.copy()
        x[self.free] += self.scale * u
        return x


@dataclass(frozen=True, eq=False)
class Cell:
    """The points of the domain that agree on a prefix of the pattern, with the rows of the layer being decided."""

    prefix: Bool[np.ndarray, " decided"]
    polyhedron: Polyhedron
    G: Float[np.ndarray, "neurons d"]
    g: Float[np.ndarray, " neurons"]
    error: Float[np.ndarray, " neurons"]


@dataclass
class Solver:
    """A backend with a count of the questions put to it, of those it left undecided, and of cells lost that way."""

    maximise: Maximise
    lps: int = 0
    undecided: int = 0
    lost: int = 0

    def ask(self, polyhedron: Polyhedron, h: Float[np.ndarray, " d"], c: float) -> Answer:
        """The maximum of h.y + c over the polyhedron."""
        self.lps += 1
        answer = self.maximise(polyhedron, h, c, np.inf)
        self.undecided += answer.status == "undecided"
        return answer

    def ball(self, polyhedron: Polyhedron, norms: Float[np.ndarray, " rows"]) -> Answer:
        """The largest ball in a polyhedron whose rows have the given norms: its point is (center, radius)."""
        rows = Polyhedron(np.column_stack([polyhedron.A, -norms]), polyhedron.b)
        objective = np.zeros(rows.A.shape[1])
        objective[-1] = 1.0
        return self.ask(rows, objective, 0.0)


def enumerate_plain(
    network: Network,
    domain: Domain,
    maximise: Maximise,
    *,
    max_regions: int | None = None,
    time_limit: float | None = None,
    progress: Callable[[int], None] | None = None,
) -> Partition:
    """The linear regions on a box or bounded polytope, each decision left to a general LP solver.

    Two maxima per neuron and cell say whether it is cut; a child counts when it holds a ball larger than the solver's
    own error. Raises DomainError on the whole space and on empty, flat (but for boxes) or unbounded domains.
    """
    started = time.perf_counter()
    domain = fit(domain, network.inputs)
    solver = Solver(maximise)
    frame = frame_of(domain, network.inputs, solver)
    scaled = _in_frame(network, frame)
    stack = [_enter_layer(network, scaled, frame, frame.domain, np.zeros(0, dtype=bool))]
    patterns: list[np.ndarray] = []
    balls: list[tuple[np.ndarray, float]] = []
    reported = started
    while stack and (max_regions is None or len(patterns) < max_regions):
        now = time.perf_counter()
        if time_limit is not None and now - started > time_limit:
            break
        if progress is not None and now - reported > REPORT_EVERY:
            progress(len(patterns))
            reported = now
        cell = stack.pop()
        if len(cell.prefix) == network.neurons:
            patterns.append(cell.prefix)
            balls.append(_witness(cell.polyhedron, frame, solver))
        else:
            for child, bit in reversed(_children(cell, network, solver)):
                stack.append(_extend(network, scaled, frame, cell, child, bit))
    witnesses = np.array([center for center, _ in balls]).reshape(len(balls), network.inputs)
    certificate = Certificate(dual=solver.lps - solver.undecided, open=solver.undecided)
    effort = Effort(solver.lps, 0, time.perf_counter() - started)
    complete = not stack and not solver.lost
    bits = pack(np.array(patterns, dtype=bool).reshape(len(patterns), network.neurons))
    return Partition(
        network, domain, bits, witnesses, np.array([radius for _, radius in balls]), complete, "uncertified",
        certificate, effort,
    )  # fmt: skip


def frame_of(domain: Domain, inputs: int, solver: Solver) -> Frame:
    """The frame of a box or bounded polytope; raises DomainError where there is none."""
    if isinstance(domain, WholeSpace):
        raise DomainError(
            "the reference LP backends search bounded domains only, not the whole input space; "
            "use the backend kernel, or give a box"
        )
    if isinstance(domain, Box):
        free = domain.hi > domain.lo
        if not free.any():
            raise DomainError("the box is a single point: it has no regions; widen it")
        d = int(free.sum())
        rows = Polyhedron(np.concatenate([np.eye(d), -np.eye(d)]), np.ones(2 * d))
        return Frame((domain.lo + domain.hi) / 2, free, (domain.hi - domain.lo)[free] / 2, rows)
    return _frame_of_polytope(domain, inputs, solver)


def _frame_of_polytope(domain: Polytope, inputs: int, solver: Solver) -> Frame:
    """The frame in which the polytope's bounding box is [-1, 1]^n."""
    norms = np.linalg.norm(domain.A, axis=1)
    rows = norms > 0
    if (domain.b[~rows] < 0).any():
        raise DomainError("the polytope is empty: it asks for 0 <= a negative number")
    raw = Polyhedron(-domain.A[rows] / norms[rows, None], domain.b[rows] / norms[rows])
    directions = np.concatenate([np.eye(inputs), -np.eye(inputs)])
    unit_box = np.ones(2 * inputs)
    recession = Polyhedron(np.concatenate([raw.A, directions]), np.concatenate([np.zeros(len(raw.b)), unit_box]))
    margin = general_lp_margin(inputs)
    if any(solver.ask(recession, direction, 0.0).value > margin for direction in directions):
        raise DomainError("the polytope is unbounded; use the backend kernel, or bound every input")
    reach = [solver.ask(raw, direction, 0.0) for direction in directions]
    if any(answer.status == "infeasible" for answer in reach):
        raise DomainError("the polytope is empty: no point satisfies all its half-spaces")
    high, low = np.array([answer.value for answer in reach]).reshape(2, inputs) * [[1], [-1]]
    center, scale = (low + high) / 2, (high - low) / 2
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        raise DomainError("the polytope is flat; give a box that fixes inputs, or use the backend kernel")
    A, b = raw.A * scale, raw.b + raw.A @ center
    size = np.linalg.norm(A, axis=1)
    frame = Frame(center, np.ones(inputs, dtype=bool), scale, Polyhedron(A / size[:, None], b / size))
    if not solver.ball(frame.domain, np.ones(len(size))).value > margin:
        raise DomainError("the polytope is empty or flat; give one with interior, or use the backend kernel")
    return frame


def _in_frame(network: Network, frame: Frame) -> Network:
    """The same network as a function of the frame's coordinates."""
    first = network.affine[0]
    W = np.asarray(first.W[:, np.flatnonzero(frame.free)] * frame.scale if isinstance(first.W, np.ndarray)
                   else first.W.toarray()[:, frame.free] * frame.scale)  # fmt: skip
    return replace(
        network,
        affine=(Affine(W, first.W @ frame.center + first.b), *network.affine[1:]),
        feature_names=tuple(f"u{i}" for i in range(W.shape[1])),
    )


def _enter_layer(
    network: Network, scaled: Network, frame: Frame, polyhedron: Polyhedron, prefix: Bool[np.ndarray, " decided"]
) -> Cell:
    """The cell at the start of a layer, with that layer's rows in the frame's coordinates (none after the last)."""
    if len(prefix) == network.neurons:
        return Cell(prefix, polyhedron, np.zeros((0, polyhedron.A.shape[1])), np.zeros(0), np.zeros(0))
    starts = np.concatenate([[0], np.cumsum(network.widths)]).astype(int)
    layer = int(np.searchsorted(starts, len(prefix), side="right")) - 1
    pattern = np.zeros(network.neurons, dtype=bool)
    pattern[: len(prefix)] = prefix
    reach = np.abs(frame.center)
    reach[frame.free] += frame.scale
    G, g = local_maps(scaled, pattern)[layer]
    slope_error, shift_error = (part[starts[layer] : starts[layer + 1]] for part in local_rows_error(network, pattern))
    return Cell(prefix, polyhedron, G, g, slope_error @ reach + shift_error)


def _extend(network: Network, scaled: Network, frame: Frame, cell: Cell, polyhedron: Polyhedron, bit: bool) -> Cell:
    """The cell with one more neuron decided."""
    prefix = np.append(cell.prefix, bit)
    if len(prefix) in np.cumsum(network.widths):
        return _enter_layer(network, scaled, frame, polyhedron, prefix)
    return replace(cell, prefix=prefix, polyhedron=polyhedron)


def _children(cell: Cell, network: Network, solver: Solver) -> list[tuple[Polyhedron, bool]]:
    """What the next neuron leaves of a cell: itself with one bit, or its two halves, the inactive one first."""
    if not switching(network)[len(cell.prefix)]:
        return [(cell.polyhedron, False)]
    ends = np.cumsum(network.widths)
    neuron = len(cell.prefix) - int(([0, *ends.tolist()])[int(np.searchsorted(ends, len(cell.prefix), side="right"))])
    h, c, error = cell.G[neuron], float(cell.g[neuron]), float(cell.error[neuron])
    if np.abs(h).sum() <= error:  # constant on the whole domain, as far as rounding lets one see
        return [(cell.polyhedron, c > error)]
    norm = float(np.linalg.norm(h))
    h, c = h / norm, c / norm
    least = general_lp_margin(len(h)) + error / norm
    if solver.ask(cell.polyhedron, h, c).value <= least:
        return [(cell.polyhedron, False)]
    if solver.ask(cell.polyhedron, -h, -c).value <= least:
        return [(cell.polyhedron, True)]
    halves = [(_with_row(cell.polyhedron, -h, -c), False), (_with_row(cell.polyhedron, h, c), True)]
    kept = [(half, bit) for half, bit in halves if _has_interior(half, solver)]
    solver.lost += not kept  # a cell too small for this solver to halve
    return kept


def _with_row(polyhedron: Polyhedron, h: Float[np.ndarray, " d"], c: float) -> Polyhedron:
    return Polyhedron(np.concatenate([polyhedron.A, h[None]]), np.append(polyhedron.b, c))


def _has_interior(polyhedron: Polyhedron, solver: Solver) -> bool:
    """Whether a ball larger than the solver's error fits; an undecided cell is counted as lost, not as empty."""
    answer = solver.ball(polyhedron, np.ones(len(polyhedron.b)))
    if answer.status == "undecided":
        solver.lost += 1
        return False
    return answer.value > general_lp_margin(polyhedron.A.shape[1])


def _witness(polyhedron: Polyhedron, frame: Frame, solver: Solver) -> tuple[Float[np.ndarray, " n"], float]:
    """The Chebyshev centre and the inscribed radius of a region, in the units of the inputs."""
    smallest = float(frame.scale.min())
    norms = np.linalg.norm(polyhedron.A * (smallest / frame.scale), axis=1)
    answer = solver.ball(polyhedron, norms)
    if answer.status != "optimal":  # the frame's own ball has been found on the way here
        answer = solver.ball(polyhedron, np.ones(len(polyhedron.b)))
    return frame.to_inputs(answer.point[:-1]), float(answer.value) * smallest
