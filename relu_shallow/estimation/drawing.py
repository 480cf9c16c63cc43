"""One unbiased estimate of the number of regions: a population of cells that descends the search's tree.

Opening a cell gives the regions found within a small budget, and disjoint children that hold the rest. Of all the
children of a population at most M go on, child i with probability pi_i, and its weight w_i is divided by pi_i. The sum
of weight x regions found then has the number of all regions for its expectation, whatever the pi_i > 0 are, since at
every opening  E[sum of w_i / pi_i T_i over those drawn] = sum of w_i T_i  (Horvitz and Thompson 1952; for trees Knuth
1975 with M = 1 and Chen 1992 with strata). Its variance is small where pi_i is about proportional to w_i T_i, which is
what the guesses are for; a small part of pi_i does without them. Drawing is systematic: one random number, so a child
with pi_i = 1 is always taken, and children next to each other in the tree are not both left out.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from relu_shallow.estimation.guess import FEATURES, features, guesses, learn
from relu_shallow.estimation.inside import Layers, chart_points, patterns, random_points
from relu_shallow.estimation.tree import Cell
from relu_shallow.regions.kernel import COUNTERS
from relu_shallow.regions.task import Node, Problem, run

GLIMPSE = 32  # regions looked for in a cell that is guessed to be large
BOTTOM = 1000  # a cell guessed to hold at most as many is listed
BLIND = 0.03  # the part of the probabilities that follows the weights alone
TIMED = 100  # a listing of fewer regions says little about the time a region takes

Map = Callable[[Callable[[Cell], None], Sequence[Cell]], Iterable[None]]


@dataclass(eq=False)
class Forest:
    """The charts' trees as far as they were looked at, parents before children, and the model of the guesses."""

    problems: Sequence[Problem]
    roots: list[Cell]
    cells: list[Cell]
    layers: list[Layers]
    seed: int
    model: Float[np.ndarray, " features"] = field(default_factory=lambda: np.zeros(FEATURES))

    def learn(self) -> None:
        """Renews the guesses from all that was seen."""
        self.model = learn(self.cells, self.model)


@dataclass(frozen=True, eq=False)
class Drawing:
    """One estimate: `regions` summed over the charts, `exact` where nothing was left to chance.

    `parts` are the (weight, cell) pairs it is the sum of; `rate` the processor seconds a region takes.
    """

    regions: float
    exact: bool
    parts: list[tuple[float, Cell]]
    rate: float


def forest(problems: Sequence[Problem], nodes: Sequence[Node], seed: int) -> Forest:
    """The trees of all charts, nothing opened."""
    roots = [Cell(index, node, np.zeros(0), np.inf) for index, node in enumerate(nodes)]
    return Forest(problems, roots, list(roots), [Layers(problem) for problem in problems], seed)


def draw(forest: Forest, population: int, rng: np.random.Generator, each: Map) -> Drawing:
    """One estimate with at most `population` cells at a time; `each` calls a function on cells, perhaps on threads."""
    parts: list[tuple[float, Cell]] = []
    living = [(1.0, root) for root in forest.roots]
    exact = True
    while living:
        fresh = [cell for _, cell in living if not cell.opened]
        for _ in each(lambda cell: open_cell(forest, cell), fresh):
            pass
        for cell in fresh:
            forest.cells.extend(cell.children)
        parts.extend(living)
        pool = [(weight, child) for weight, cell in living for child in cell.children]
        parts.extend((weight, child) for weight, child in pool if child.complete)
        living = [(weight, child) for weight, child in pool if not child.complete]
        if len(living) > population:
            exact = False
            living = _select(living, population, rng)
    return Drawing(sum(weight * cell.found for weight, cell in parts), exact, parts, _rate(parts))


def _select(pool: list[tuple[float, Cell]], population: int, rng: np.random.Generator) -> list[tuple[float, Cell]]:
    """At most `population` of the weighted cells, drawn systematically, their weights divided by the probabilities."""
    weight = np.array([w for w, _ in pool])
    share = weight * np.array([cell.guess for _, cell in pool])
    pi = inclusion((1 - BLIND) * share / share.sum() + BLIND * weight / weight.sum(), population)
    return [(weight[i] / pi[i], pool[i][1]) for i in systematic(pi, rng.random())]


def inclusion(share: Float[np.ndarray, " cells"], population: int) -> Float[np.ndarray, " cells"]:
    """Probabilities min(1, c share) that sum to the population, which is smaller than the number of shares."""
    order = np.argsort(-share, kind="stable")
    tail = np.cumsum(share[order][::-1])[::-1]  # of each share and all smaller ones
    left = population - np.arange(population)
    sure = int(np.argmax(share[order[:population]] * left <= tail[:population]))
    pi = np.minimum(share * ((population - sure) / tail[sure]), 1.0)
    pi[order[:sure]] = 1.0
    return pi


def systematic(pi: Float[np.ndarray, " cells"], u: float) -> Int[np.ndarray, " drawn"]:
    """The i whose interval of the cumulated probabilities holds one of u, u + 1, u + 2, ..."""
    reached = np.floor(np.cumsum(pi) - u)
    return np.flatnonzero(np.diff(reached, prepend=np.floor(-u)) > 0)


def open_cell(forest: Forest, cell: Cell) -> None:
    """Finds a cell's first regions (all of them where they are few) and the children that hold the rest."""
    problem, layers = forest.problems[cell.chart], forest.layers[cell.chart]
    most = BOTTOM if cell.guess <= BOTTOM else GLIMPSE
    before = time.thread_time()
    batches, rest = run(problem, (cell.node,), most, np.zeros(1, np.int64), np.zeros(COUNTERS, np.int64))
    cell.seconds = time.thread_time() - before
    cell.found = sum(len(batch.bits) for batch in batches)
    if len(forest.problems) > 1:
        cell.bits = [batch.bits for batch in batches]
    if rest:
        path = cell.node.flags.tobytes() + bytes(str((forest.seed, cell.chart, cell.node.decided)), "ascii")
        rng = np.random.default_rng(zlib.crc32(path))
        sample = patterns(layers, random_points(layers, cell.node, chart_points(problem.source, batches), rng))
        distinct = [row.tobytes() for row in np.packbits(sample, axis=1)]
        known = [features(node, place, sample, distinct) for place, node in enumerate(rest)]
        cell.children = [
            Cell(cell.chart, node, value, number)
            for node, value, number in zip(rest, known, guesses(forest.model, np.array(known)).tolist(), strict=True)
        ]
    cell.opened = True


def _rate(parts: list[tuple[float, Cell]]) -> float:
    """Processor seconds a region, each listing standing for what its weight says; NaN where nothing long was listed."""
    listed = [(weight, cell) for weight, cell in parts if cell.found >= TIMED]
    regions = sum(weight * cell.found for weight, cell in listed)
    return sum(weight * cell.seconds for weight, cell in listed) / regions if regions else float("nan")
