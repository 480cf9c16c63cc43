"""Time per region against the number of regions: one network over growing boxes, counted and not kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.cases import ACAS_1_1, real_network
from benchmark.problem import Problem
from relu_shallow.domain import Box
from relu_shallow.network import from_layers
from relu_shallow.regions.charts import charts_of
from relu_shallow.regions.kernel import COUNTERS
from relu_shallow.regions.task import Node, lay_out, root, run

# ACAS Xu, of its normalised inputs: NAV on points has no more than some three million regions on any box
HALF_WIDTHS = (0.02, 0.03, 0.05, 0.07, 0.085, 0.1, 0.12, 0.16)
HALF_WIDTHS_QUICK = (0.02, 0.03)
PART = 1 << 14  # regions that one call of the kernel may return
REPEATS = 5  # of a count below a second, the best taken


@dataclass(frozen=True)
class Point:
    """The regions of one box, and the processor seconds that finding them took one thread."""

    half_width: float
    regions: int
    seconds: float


def grow(half_widths: tuple[float, ...], say: Callable[[str], None]) -> list[Point]:
    """A point for each box [-h, h]^n, the kernel compiled beforehand. Raises MissingData without the network."""
    points = []
    for half_width in half_widths:
        problem = real_network(ACAS_1_1, Box(-half_width, half_width))
        counted = [count(problem)]
        while counted[-1][1] < 1.0 and len(counted) < REPEATS:
            counted.append(count(problem))
        points.append(Point(half_width, counted[0][0], min(seconds for _, seconds in counted)))
        say(f"  half width {half_width:g}: {points[-1].regions:,} regions in {points[-1].seconds:.4g} s")
    return points


def count(problem: Problem) -> tuple[int, float]:
    """(regions, processor seconds) of a search that forgets what it finds, so that memory stays the same."""
    network, box = from_layers(problem.layers), Box(problem.lo, problem.hi)
    (chart,) = charts_of(network, box)
    before = time.process_time()
    laid_out = lay_out(network, box, chart)
    start = root(laid_out, chart.dimension)
    nodes: tuple[Node, ...] = () if start is None else (start,)
    found = 0
    while nodes:
        batches, nodes = run(laid_out, nodes, PART, np.zeros(1, np.int64), np.zeros(COUNTERS, np.int64))
        found += sum(len(batch.bits) for batch in batches)
    return found, time.process_time() - before


def draw(points: list[Point], path: Path) -> None:
    """Microseconds per region against regions, both in logarithmic scale."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    axes.plot([p.regions for p in points], [p.seconds / p.regions * 1e6 for p in points], "o-", lw=1.2, ms=5)
    axes.set(xscale="log", yscale="log", ylim=(1, 100), xlabel="regions", ylabel="microseconds per region, one thread",
             title="ACAS Xu 1_1: boxes of growing size")  # fmt: skip
    axes.grid(alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)
