"""Random points inside a cell of the search's tree, and their activation patterns, in chart coordinates."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float

from relu_shallow.network import Matrix
from relu_shallow.regions.charts import Chart
from relu_shallow.regions.task import Batch, Node, Problem

CHAINS, BURN_IN, KEPT = 128, 16, 4  # walks at a time, steps before their points count, steps that count
STARTS = 8  # points where walks begin, in charts that reach to infinity


@dataclass(frozen=True, eq=False)
class Layers:
    """A problem's hidden layers as matrices: W[l] maps the activations of layer l to the pre-activations of l + 1."""

    problem: Problem

    @cached_property
    def W(self) -> list[Matrix]:
        """The transposed weights of layers 2..L."""
        return [layer.W.T for layer in self.problem.network.affine[1:-1]]

    def neurons(self, layer: int) -> slice:
        """The neurons of a layer (from 0)."""
        off = self.problem.net.off
        return slice(int(off[layer]), int(off[layer + 1]))


def patterns(layers: Layers, Y: Float[np.ndarray, "points d"]) -> Bool[np.ndarray, "points neurons"]:
    """The activation patterns at chart points."""
    problem = layers.problem
    bias, lo, hi = problem.net.bias, problem.net.lo, problem.net.hi
    Z1, e = problem.chart[0], problem.chart[2]
    z, x0 = Y @ Z1[:-1] + Z1[-1], Y @ e[:-1] + e[-1]
    found = [z > 0]
    for layer, W in enumerate(layers.W, 1):
        below = layers.neurons(layer - 1)
        z = (z * np.where(found[-1], hi[below], lo[below])) @ W + np.outer(x0, bias[layers.neurons(layer)])
        found.append(z > 0)
    return np.concatenate(found, axis=1)


def cell_halfspaces(layers: Layers, node: Node) -> tuple[Float[np.ndarray, "rows d"], Float[np.ndarray, " rows"]]:
    """Rows of unit norm with A y + b >= 0 on the node's cell: the chart's own, and one for every neuron that cut."""
    problem = layers.problem
    bias, lo, hi = problem.net.bias, problem.net.lo, problem.net.hi
    Z, _, e, AT, constants = problem.chart[:5]
    d = len(e) - 1
    A, b = [AT[:d, 1:].T], [constants[1:]]
    for layer in range(len(layers.W) + 1):
        here = layers.neurons(layer)
        if layer:
            below = layers.neurons(layer - 1)
            slope = np.where(node.flags[below] & 1, hi[below], lo[below])
            Z = (Z * slope) @ layers.W[layer - 1] + np.outer(e, bias[here])
        flags = node.flags[here][: max(node.decided - here.start, 0)]
        cut = np.flatnonzero(flags & 2)
        sign = np.where(flags[cut] & 1, 1.0, -1.0)
        A.append((Z[:-1, cut] * sign).T)
        b.append(Z[-1, cut] * sign)
        if node.decided <= here.stop:
            break
    rows, right = np.concatenate(A), np.concatenate(b)
    size = np.linalg.norm(rows, axis=1)
    told = size > 0
    return rows[told] / size[told, None], right[told] / size[told]


def chart_points(chart: Chart, batches: list[Batch]) -> Float[np.ndarray, "points d"]:
    """The witnesses of regions as chart points; at most STARTS where each takes an equation to solve.

    (M - x e) y = x e_d - v has one solution in the chart's plane. Where x0 is constant, M has orthogonal columns.
    """
    x = np.concatenate([batch.witnesses for batch in batches])
    if not chart.e[:-1].any():
        return (x - chart.v) @ chart.M / (chart.M * chart.M).sum(axis=0)
    x = x[:: -(-len(x) // STARTS)]
    left = chart.M - x[:, :, None] * chart.e[:-1]
    right = x * chart.e[-1] - chart.v
    return (np.linalg.pinv(left) @ right[:, :, None])[:, :, 0]


def random_points(
    layers: Layers, node: Node, start: Float[np.ndarray, "starts d"], rng: np.random.Generator
) -> Float[np.ndarray, "points d"]:
    """Points spread over a node's cell by hit-and-run from points in it (Smith 1984), many walks at once.

    Every second step goes along the difference of two other walks, which follows the shape of a long thin cell.
    Points only steer the drawing: were they badly spread, the estimate would vary more and stay unbiased.
    """
    A, b = cell_halfspaces(layers, node)
    Y = start[rng.integers(len(start), size=CHAINS)]
    slack = Y @ A.T + b
    kept = []
    for step in range(BURN_IN + KEPT):
        D = rng.normal(size=Y.shape)
        if step % 2:
            D = (Y[rng.permutation(CHAINS)] - Y[rng.permutation(CHAINS)]) + D * np.finfo(np.float64).eps
        toward = D @ A.T
        with np.errstate(divide="ignore", invalid="ignore"):
            length = -slack / toward
        last = np.maximum(np.where(toward < 0, length, np.inf).min(axis=1), 0.0)
        first = np.minimum(np.where(toward > 0, length, -np.inf).max(axis=1), 0.0)
        step_length = first + (last - first) * rng.random(CHAINS)
        Y = Y + step_length[:, None] * D
        slack = slack + step_length[:, None] * toward
        if step >= BURN_IN:
            kept.append(Y)
    return np.concatenate(kept)
