"""One task of the search: subtrees of one chart, laid out for the kernel, searched within an allowance."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from threading import Timer

import numpy as np
from jaxtyping import Float, Int, UInt8

from relu_shallow.domain import Domain
from relu_shallow.errors import DomainError
from relu_shallow.lp.exact import Vertex
from relu_shallow.lp.kernel import REACHED, climb, padded, refresh_slack
from relu_shallow.network import Network, dense
from relu_shallow.precision import chart_error, search_limits
from relu_shallow.regions.charts import Chart
from relu_shallow.regions.exact import (
    ExactProblem,
    cell_rows,
    constant_neurons,
    domain_vertex,
    input_point,
    interior,
    lay_out_exactly,
    rounded,
    same_pattern,
    sides,
    strictly_inside,
)
from relu_shallow.regions.kernel import COUNTERS, EXACT, HALTED, search
from relu_shallow.regions.partition import pack, packed_width, sort_order
from relu_shallow.regions.weights import Weights, weights_of

OPEN_NODES = 256  # undecided nodes that one call of the kernel may hand back

KNOWN = 4  # the flag of a neuron beyond the path whose row is exactly zero: inactive


@dataclass(frozen=True, eq=False)
class Problem:
    """A network on a chart, laid out as the kernel reads it."""

    net: Weights
    chart: tuple[np.ndarray, ...]
    limits: Float[np.ndarray, " limits"]
    ball_unit: float
    network: Network
    domain: Domain
    source: Chart

    @cached_property
    def exact(self) -> ExactProblem:
        """The same in integers, made when rounding first leaves something open."""
        return lay_out_exactly(self.network, self.domain, self.source)


@dataclass(frozen=True, eq=False)
class Node:
    """A cell whose subtree is still to be searched: how many neurons are decided, how, and a vertex with its basis."""

    decided: int
    flags: UInt8[np.ndarray, " neurons"]
    vertex: Float[np.ndarray, " d"]
    basis: Int[np.ndarray, " d"]


@dataclass(frozen=True, eq=False)
class Batch:
    """Regions in the order of their patterns: packed patterns, points deep inside, and radii.

    `exact` holds, by packed pattern, rational points of the regions whose point is not inside once written in floats.
    """

    bits: UInt8[np.ndarray, "regions bytes"]
    witnesses: Float[np.ndarray, "regions inputs"]
    radii: Float[np.ndarray, " regions"]
    exact: dict[bytes, tuple[Fraction, ...]]


@dataclass(frozen=True, eq=False)
class Task:
    """Subtrees of one chart that are still to be searched, in the order of their patterns."""

    chart: int
    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class Allowance:
    """What a task may take before it hands the rest of its subtrees back: so many regions, so many wall seconds."""

    regions: int
    seconds: float


@dataclass(frozen=True, eq=False)
class Result:
    """What came of a task: its regions, sorted, the nodes it left, what the kernel counted, processor seconds."""

    found: Batch
    rest: tuple[Node, ...]
    counters: Int[np.ndarray, " counters"]
    seconds: float


@dataclass(frozen=True, eq=False)
class Live:
    """What a task and its driver share while it runs in one process: control[0] = 1 stops it, `counters` grow."""

    control: Int[np.ndarray, " one"] = field(default_factory=lambda: np.zeros(1, np.int64))
    counters: Int[np.ndarray, " counters"] = field(default_factory=lambda: np.zeros(COUNTERS, np.int64))


def search_task(problem: Problem, task: Task, allowance: Allowance, live: Live | None = None) -> Result:
    """Searches the subtrees of a task until they or the allowance come to an end; makes some progress in any case.

    The regions found and those below the nodes left are, together, the regions below the task's nodes: a pure function
    of its arguments, but for where the clock, or `live`, draws the line between the two.
    """
    live = Live() if live is None else live
    began = time.thread_time()
    with _stopped_after(allowance.seconds, live):
        batches, rest = run(problem, task.nodes, allowance.regions, live.control, live.counters)
    found = joined(batches, problem.network)
    return Result(found, rest, live.counters, time.thread_time() - began)


@contextmanager
def _stopped_after(seconds: float, live: Live) -> Iterator[None]:
    """A block whose search is told to stop after so many seconds, if ever."""
    if not np.isfinite(seconds):
        yield
        return
    clock = Timer(seconds, live.control.__setitem__, (0, 1))
    clock.daemon = True
    clock.start()
    try:
        yield
    finally:
        clock.cancel()


def listed_bytes(network: Network) -> int:
    """The bytes of a region in a list: its packed pattern, its witness and its radius."""
    return packed_width(network.neurons) + 8 * (network.inputs + 1)


def regions_within(network: Network, room: float) -> float:
    """How many regions a task may find within so many bytes: patterns unpacked, and results twice while copied."""
    return room / (network.neurons + 8 * (network.inputs + 2) + 2 * listed_bytes(network))


def joined(batches: Sequence[Batch], network: Network) -> Batch:
    """All batches, each sorted, as one."""
    batches = [batch for batch in batches if len(batch.bits)]
    if not batches:
        return Batch(np.zeros((0, packed_width(network.neurons)), np.uint8), np.zeros((0, network.inputs)),
                     np.zeros(0), {})  # fmt: skip
    bits = np.concatenate([batch.bits for batch in batches])
    witnesses = np.concatenate([batch.witnesses for batch in batches])
    radii = np.concatenate([batch.radii for batch in batches])
    exact = {pattern: point for batch in batches for pattern, point in batch.exact.items()}
    if any(a.bits[-1].tobytes() > b.bits[0].tobytes() for a, b in pairwise(batches)):
        order = sort_order(bits)
        bits, witnesses, radii = bits[order], witnesses[order], radii[order]
    return Batch(bits, witnesses, radii, exact)


def lay_out(network: Network, domain: Domain, chart: Chart, *, certify: bool = True) -> Problem:
    """The kernel's arrays for a network on a chart; `certify` says whether every decision is to be proved."""
    d = chart.dimension
    Z1, E1 = first_layer(network, chart)
    scale = np.abs(chart.M).max(axis=0)  # one entry a column wherever lengths are measured
    metric = bool((chart.e[:-1] == 0).all()) and d > 0
    unit = float(scale.min()) if metric else 1.0
    inverse = unit / scale if metric else np.ones(d)
    AT, b, error = domain_rows(chart, inverse)
    limits = search_limits(network, d, len(b), certify=certify)
    return Problem(weights_of(network), (Z1, E1, chart.e, AT, b, error, inverse), limits, unit, network, domain, chart)


def first_layer(network: Network, chart: Chart) -> tuple[np.ndarray, np.ndarray]:
    """(Z_1, E_1): the first pre-activations as functions of the chart point, (d + 1, width), and their error."""
    W, bias = dense(network.affine[0].W), network.affine[0].b
    embedding = np.concatenate([chart.M, chart.v[:, None]], axis=1)
    Z = W @ embedding + np.outer(bias, chart.e)
    return np.ascontiguousarray(Z.T), chart_error(W, bias, embedding, chart.e)


def domain_rows(chart: Chart, inverse: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rows every cell has: the ball's r >= 0, the unit box's faces, the domain's own."""
    d = chart.dimension
    A = np.zeros((1 + 2 * d + len(chart.b), d + 1))
    b = np.ones(len(A))
    A[0, d], b[0] = 1.0, 0.0
    for axis in range(d):
        A[1 + 2 * axis, axis], A[2 + 2 * axis, axis] = 1.0, -1.0
    A[1 + 2 * d :, :d], b[1 + 2 * d :] = chart.A, chart.b
    A[1:, d] = -np.linalg.norm(A[1:, :d] * inverse, axis=1)
    error = np.zeros(len(A))
    error[1 + 2 * d :] = chart.error
    return np.ascontiguousarray(A.T), b, error


def root(problem: Problem, d: int) -> Node | None:
    """The domain itself: a corner of the unit box, moved to a vertex that satisfies the domain's own rows.

    None where the domain has no interior in this chart, which exact arithmetic decides.
    """
    _, _, _, AT, b, error, _ = problem.chart
    y, basis, binv = -np.ones(d), 1 + 2 * np.arange(d), np.eye(d)
    AT = np.concatenate([AT, np.zeros((padded(d) - len(AT), len(b)))])
    price, edge, denom, ratio = np.zeros(d + 1), np.zeros(padded(d)), np.zeros(len(b)), np.zeros(len(b))
    scratch, counters, slack = np.zeros((d + 1, 2 * d + 2)), np.zeros(COUNTERS, np.int64), np.zeros(len(b))
    for row in range(1 + 2 * d, len(b)):
        refresh_slack(AT, b, slack, y, row, d)
        slack[basis] = 0.0
        threshold = problem.limits[6] * (error[row] + problem.limits[5])
        if climb(AT, b, slack, y, basis, binv, row, d, AT[:d, row].copy(), b[row], threshold, price, edge, denom,
                 ratio, scratch, counters, problem.limits) != REACHED:  # fmt: skip
            vertex = domain_vertex(problem.exact)
            if vertex is None:
                return None
            y, basis = np.array([float(v) for v in vertex.point]), np.array(vertex.basis, np.int64)
            break
    return Node(0, np.zeros(problem.network.neurons, np.uint8), y, basis)


def run(
    problem: Problem, nodes: tuple[Node, ...], most: int, control: np.ndarray, counters: np.ndarray
) -> tuple[list[Batch], tuple[Node, ...]]:
    """Searches subtrees for at most `most` regions or until control[0] is set; returns what it left.

    A pure function of (problem, nodes, budget) but for `counters`, which it adds to, and `control`, which stops it.
    Regions come in the order of their patterns, except for those below nodes that went to exact arithmetic.
    """
    batches: list[Batch] = []
    waiting = list(reversed(nodes))
    while waiting and most > 0 and not (control[0] and batches):
        try:
            batch, frontier, undecided = _run_kernel(problem, waiting.pop(), most, control, counters)
        except MemoryError as error:
            raise _too_large(problem) from error
        batches.append(batch)
        most -= len(batch.bits)
        waiting.extend(reversed(frontier))
        for node in undecided:
            counters[EXACT] += 1
            if node.decided == problem.network.neurons:
                batches.extend(_exact_region(problem, node))
            else:
                waiting.extend(_exact_children(problem, node))
    return batches, tuple(reversed(waiting))


def _run_kernel(
    problem: Problem, node: Node, most: int, control: np.ndarray, counters: np.ndarray
) -> tuple[Batch, list[Node], list[Node]]:
    """One call of the kernel: regions, the frontier, and the nodes that rounding leaves undecided."""
    N, d = problem.network.neurons, len(node.vertex)
    flags, points, radii = np.empty((most, N), np.uint8), np.empty((most, d)), np.empty(most)
    lengths, front_flags = np.empty(N + 1, np.int64), np.empty(N, np.uint8)
    front_points, front_basis = np.empty((N + 1, d)), np.empty((N + 1, d), np.int64)
    open_lengths, open_flags = np.empty(OPEN_NODES, np.int64), np.empty((OPEN_NODES, N), np.uint8)
    open_basis = np.empty((OPEN_NODES, d), np.int64)
    status, found, left, opened = search(
        problem.net, problem.chart, (node.decided, node.flags, node.vertex, node.basis), flags, points, radii,
        lengths, front_flags, front_points, front_basis, open_lengths, open_flags, open_basis, control, counters,
        problem.limits,
    )  # fmt: skip
    batch = Batch(pack(flags[:found].view(np.bool_)), problem.source.to_input(points[:found]),
                  np.minimum(radii[:found] * problem.ball_unit, problem.source.room), {})  # fmt: skip
    frontier = [
        Node(int(lengths[i]), (_path if status == HALTED and i == 0 else _active)(front_flags, lengths[i]),
             front_points[i].copy(), front_basis[i].copy())
        for i in range(left)
    ]  # fmt: skip
    undecided = [
        Node(int(open_lengths[i]), _path(open_flags[i], open_lengths[i]), np.zeros(d), open_basis[i].copy())
        for i in range(opened)
    ]
    return batch, frontier, undecided


def _too_large(problem: Problem) -> DomainError:
    """The error where the paths of a search, a basis of d x d numbers for each neuron, do not fit into memory."""
    N, d = problem.network.neurons, problem.source.dimension
    return DomainError(f"a search of {N:,} neurons over {d:,} inputs may take {8 * N * d * d / 1e9:,.1f} GB on each "
                       "thread, which is not there: search a slice (line:FILE:ROW,ROW or plane:FILE:ROW,ROW,ROW), or a "
                       "box that fixes most inputs")  # fmt: skip


def _path(flags: np.ndarray, decided: np.integer) -> np.ndarray:
    path = np.zeros_like(flags)
    path[:decided] = flags[:decided]
    return path


def _active(flags: np.ndarray, decided: np.integer) -> np.ndarray:
    """The path up to a neuron that was cut and whose active side is still to be visited."""
    path = _path(flags, decided)
    path[decided - 1] = 3
    return path


def _exact_children(problem: Problem, node: Node) -> list[Node]:
    """The children of a node whose next neuron only exact arithmetic can decide (none where its cell is empty)."""
    known = sides(problem.exact, node.decided, node.flags, node.basis)
    if known.start is None:
        return []
    node.flags[constant_neurons(problem.exact, node.decided + 1, node.flags)] = KNOWN
    if known.positive is not None and known.negative is not None:
        return [_child(node, 3, known.positive), _child(node, 2, known.negative)]
    return [_child(node, 1 if known.positive is not None else 0, known.start)]


def _child(node: Node, flag: int, vertex: Vertex) -> Node:
    flags = node.flags.copy()
    flags[node.decided] = flag
    return Node(node.decided + 1, flags, np.array([float(v) for v in vertex.point]), np.array(vertex.basis, np.int64))


def _exact_region(problem: Problem, node: Node) -> list[Batch]:
    """The region of a full path, with an exactly checked witness; empty where its cell has no interior."""
    deep = interior(problem.exact, node.flags)
    if deep is None:
        return []
    exact = input_point(problem.exact, deep)
    x = rounded(exact)
    bits = pack((node.flags & 1)[None, :].astype(bool))
    radius = ball_radius(problem, node, np.array([float(v) for v in deep]))
    proved = strictly_inside(problem.domain, x) and same_pattern(problem.exact, node.flags, x)
    kept = {} if proved else {bits[0].tobytes(): exact}
    return [Batch(bits, x[None, :], np.array([radius]), kept)]


def ball_radius(problem: Problem, node: Node, point: np.ndarray) -> float:
    """The distance, in input units, from a chart point to the nearest row of its cell, in exact rows rounded once."""
    inverse = problem.chart[6]
    nearest = np.inf
    for row in cell_rows(problem.exact, node.decided, node.flags)[1:]:
        largest = int(abs(row).max())
        if not any(row[:-1]):
            continue  # constant in this chart
        a = np.array([float(Fraction(int(v), largest)) for v in row])
        nearest = min(nearest, (a[:-1] @ point + a[-1]) / np.linalg.norm(a[:-1] * inverse))
    return min(max(float(nearest), 0.0) * problem.ball_unit, problem.source.room)
