"""One task of the search: a subtree of one chart, laid out for the kernel, run within a budget."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from relu_shallow.errors import DomainError
from relu_shallow.lp.kernel import REACHED, climb, refresh_slack
from relu_shallow.network import Network, dense
from relu_shallow.precision import chart_error, rows_error, search_limits
from relu_shallow.regions.charts import Chart
from relu_shallow.regions.kernel import COUNTERS, search
from relu_shallow.regions.partition import pack


@dataclass(frozen=True, eq=False)
class Problem:
    """A network on a chart, laid out as the kernel reads it."""

    net: tuple[np.ndarray, ...]
    chart: tuple[np.ndarray, ...]
    limits: Float[np.ndarray, " limits"]
    ball_unit: float
    neurons: int


@dataclass(frozen=True, eq=False)
class Node:
    """A cell whose subtree is still to be searched: how many neurons are decided, how, and a vertex with its basis."""

    decided: int
    flags: UInt8[np.ndarray, " neurons"]
    vertex: Float[np.ndarray, " d"]
    basis: Int[np.ndarray, " d"]


@dataclass(frozen=True, eq=False)
class Batch:
    """Regions of one task, in the order of their patterns: packed patterns, chart points, radii, float-proved or not."""

    bits: UInt8[np.ndarray, "regions bytes"]
    points: Float[np.ndarray, "regions d"]
    radii: Float[np.ndarray, " regions"]
    sure: Bool[np.ndarray, " regions"]


def lay_out(network: Network, chart: Chart) -> Problem:
    """The kernel's arrays for a network on a chart."""
    d = chart.dimension
    weights = [dense(layer.W).T for layer in network.affine[1:-1]]
    WT = np.concatenate([w.ravel() for w in weights]) if weights else np.zeros(0)
    sizes = [0] + [w.size for w in weights]
    woff = np.concatenate([[0], np.cumsum(sizes)])[: len(network.gates)]  # woff[l]: from layer l - 1 to layer l
    off = np.concatenate([[0], np.cumsum(network.widths)])
    bias = np.concatenate([layer.b for layer in network.affine[:-1]])
    lo = np.concatenate([gate.inactive for gate in network.gates])
    hi = np.concatenate([gate.active for gate in network.gates])
    Z1, E1 = first_layer(network, chart)
    scale = np.linalg.norm(chart.M, axis=0)
    metric = bool((chart.e[:-1] == 0).all()) and d > 0
    unit = float(scale.min()) if metric else 1.0
    inverse = unit / scale if metric else np.ones(d)
    AT, b, error = domain_rows(chart, inverse)
    net = (WT, woff.astype(np.int64), bias, off.astype(np.int64), lo, hi)
    return Problem(net, (Z1, E1, chart.e, AT, b, error, inverse), search_limits(network, d, len(b)), unit,
                   network.neurons)  # fmt: skip


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
    error[1 + 2 * d :] = rows_error(chart.A, chart.b, len(chart.v))
    return np.ascontiguousarray(A.T), b, error


def root(problem: Problem, d: int) -> Node:
    """The domain itself: a corner of the unit box, moved to a vertex that satisfies the domain's own rows."""
    _, _, _, AT, b, error, _ = problem.chart
    y, basis, binv = -np.ones(d), 1 + 2 * np.arange(d), np.eye(d)
    price, edge, denom, ratio = np.zeros(d + 1), np.zeros(d + 1), np.zeros(len(b)), np.zeros(len(b))
    scratch, counters, slack = np.zeros((d + 1, 2 * d + 2)), np.zeros(COUNTERS, np.int64), np.zeros(len(b))
    for row in range(1 + 2 * d, len(b)):
        refresh_slack(AT, b, slack, y, row, d)
        slack[basis] = 0.0
        threshold = problem.limits[6] * (error[row] + problem.limits[5])
        if climb(AT, b, slack, y, basis, binv, row, d, AT[:d, row].copy(), b[row], threshold, price, edge, denom,
                 ratio, scratch, counters, problem.limits) != REACHED:  # fmt: skip
            raise DomainError("the domain has no interior in one of its charts")
    return Node(0, np.zeros(problem.neurons, np.uint8), y, basis)


def run(
    problem: Problem, nodes: tuple[Node, ...], most: int, control: np.ndarray, counters: np.ndarray
) -> tuple[list[Batch], tuple[Node, ...]]:
    """Searches subtrees in order for at most `most` regions or until control[0] is set; returns what it left.

    A pure function of (problem, nodes, budget) but for `counters`, which it adds to, and `control`, which stops it.
    """
    batches: list[Batch] = []
    waiting = list(reversed(nodes))
    while waiting and most > 0 and (not control[0] or not batches):
        batch, frontier = _run_one(problem, waiting.pop(), most, control, counters)
        batches.append(batch)
        most -= len(batch.bits)
        waiting.extend(reversed(frontier))
    return batches, tuple(reversed(waiting))


def _run_one(
    problem: Problem, node: Node, most: int, control: np.ndarray, counters: np.ndarray
) -> tuple[Batch, list[Node]]:
    N, d = problem.neurons, len(node.vertex)
    flags = np.empty((most, N), np.uint8)
    points, radii, sure = np.empty((most, d)), np.empty(most), np.empty(most, np.bool_)
    front = (np.empty(N + 1, np.int64), np.empty((N + 1, N), np.uint8), np.empty((N + 1, d)),
             np.empty((N + 1, d), np.int64))  # fmt: skip
    _, found, left = search(
        problem.net, problem.chart, (node.decided, node.flags, node.vertex, node.basis), flags, points, radii, sure,
        *front, control, counters, problem.limits,
    )  # fmt: skip
    batch = Batch(pack(flags[:found].view(np.bool_)), points[:found].copy(), radii[:found] * problem.ball_unit,
                  sure[:found].copy())  # fmt: skip
    lengths, front_flags, front_points, front_basis = front
    frontier = [
        Node(int(lengths[i]), front_flags[i].copy(), front_points[i].copy(), front_basis[i].copy()) for i in range(left)
    ]
    return batch, frontier
