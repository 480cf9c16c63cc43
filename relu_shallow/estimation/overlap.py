"""Regions that several charts meet: the part of a drawing's sum that is left when each is counted once.

A region that m charts meet turns up m times in the sum over the charts, so each of its appearances counts 1/m. The
mean of 1/m over the sum is estimated from a few of the regions found, drawn with probabilities proportional to their
weights, which keeps the estimate unbiased; whether a chart meets a region's interior is one linear program.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8

from relu_shallow.estimation.drawing import Drawing, Forest
from relu_shallow.estimation.inside import cell_halfspaces
from relu_shallow.precision import LP_OPTIONS, LP_TOLERANCE
from relu_shallow.regions.partition import unpack
from relu_shallow.regions.task import Node

TRIED = 8  # regions of a drawing whose charts are counted


def counted_once(forest: Forest, drawing: Drawing, rng: np.random.Generator) -> float:
    """The drawing's estimate of the number of different regions."""
    if len(forest.problems) == 1:
        return drawing.regions
    found = np.cumsum([weight * cell.found for weight, cell in drawing.parts])
    total = 0.0
    for place in (rng.random() + np.arange(TRIED)) / TRIED * found[-1]:
        _, cell = drawing.parts[min(int(np.searchsorted(found, place, side="right")), len(found) - 1)]
        rows = np.concatenate(cell.bits)
        total += 1.0 / charts_met(forest, cell.chart, rows[rng.integers(len(rows))])
    return drawing.regions * total / TRIED


def charts_met(forest: Forest, home: int, bits: UInt8[np.ndarray, " bytes"]) -> int:
    """How many charts meet the interior of a region, among them `home`, where it was found."""
    return sum(index == home or _meets(forest, index, bits) for index in range(len(forest.problems)))


def _meets(forest: Forest, index: int, bits: UInt8[np.ndarray, " bytes"]) -> bool:
    """Whether the pattern's cell in a chart holds a ball, by a general solver."""
    from scipy.optimize import linprog

    problem, start = forest.problems[index], forest.roots[index].node
    neurons = problem.network.neurons
    flags = unpack(bits[None, :], neurons)[0].astype(np.uint8) | 2  # as if every neuron had cut
    A, b = cell_halfspaces(forest.layers[index], Node(neurons, flags, start.vertex, start.basis))
    ball = np.concatenate([-A, np.ones((len(A), 1))], axis=1)
    goal = np.zeros(ball.shape[1])
    goal[-1] = -1.0
    found = linprog(goal, A_ub=ball, b_ub=b, bounds=[(None, None)] * len(start.vertex) + [(None, 1.0)],
                    options=LP_OPTIONS)  # fmt: skip
    return found.status == 0 and -found.fun > LP_TOLERANCE
