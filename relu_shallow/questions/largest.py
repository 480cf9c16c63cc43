"""The largest value of a weighted sum of outputs over a box, by branch and bound with certified bounds.

A cell is a box with some neurons' signs. Relaxations backwards through the layers bound the sum on many cells at once
(relaxation.py); what they leave is put to a linear program with every gate's relaxation (relaxed_program.py), whose
multipliers prove a bound. With every sign settled both are the network itself, so the search ends. Inputs are bisected
where they are few and many signs are open, else the neuron is split whose relaxation loses most.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Literal

import numpy as np
from jaxtyping import Float

from relu_shallow.network import Network
from relu_shallow.precision import TINY, gap_closed
from relu_shallow.questions.outputs import output_sums
from relu_shallow.questions.relaxed_program import fits, program_of, solve
from relu_shallow.questions.splitting import FEW_INPUTS, halves, with_either_sign
from relu_shallow.relaxation import Bounds, largest, linear_upper, open_neurons, preactivation_bounds, stack_bounds

BATCH = 64  # cells looked at together
FEW_OPEN = 10  # where no more signs are open than this, they are given whatever the number of inputs
UNDECIDED = 0.01  # what a triangle's height counts beside the loss at the program's point
STARTS = 1024  # random points that the search starts from
Status = Literal["exact", "bounds"]
Part = tuple[np.ndarray, np.ndarray, np.ndarray, tuple[int, ...], Bounds | None]  # lo, hi, signs, splits, parent's


@dataclass(frozen=True, eq=False)
class Largest:
    """value <= largest value <= bound, both in exact arithmetic: the sum at `point` is at least `value`.

    `exact`: they differ by no more than rounding and the solver's tolerance do; `bounds`: the time was up before.
    """

    value: float
    bound: float
    point: Float[np.ndarray, " inputs"]
    status: Status
    cells: int


@dataclass(frozen=True, eq=False)
class _Cell:
    """Part of the search: a box, signs, the neurons that were split, bounds of all layers, and the linear function."""

    lo: np.ndarray
    hi: np.ndarray
    signs: np.ndarray
    splits: tuple[int, ...]
    known: Bounds
    A: np.ndarray
    bound: float
    loss: np.ndarray


def largest_over_box(
    network: Network,
    lo: Float[np.ndarray, " inputs"],
    hi: Float[np.ndarray, " inputs"],
    weights: Float[np.ndarray, " outputs"],
    *,
    time_limit: float = np.inf,
    enough: float = np.inf,
    progress: Callable[[int], None] | None = None,
) -> Largest:
    """The largest value of weights . f(x) over lo <= x <= hi, with the point, before any head.

    Raises DomainError where the box is not finite, ModelError where float64 could overflow on it. The search may end
    once a value above `enough` is found. `progress` is called with the cells done.
    """
    search = Search(network, np.asarray(weights, np.float64), lo, hi)
    search.run(time_limit, enough, progress)
    return search.found()


class Search:
    """The best point so far, the cells that may hold a better one, and how they are made and split."""

    def __init__(self, network: Network, weights: np.ndarray, lo: np.ndarray, hi: np.ndarray) -> None:
        self.network, self.weights, self.lo, self.hi = network, weights, lo, hi
        self.value, self.point = -np.inf, 0.5 * lo + 0.5 * hi
        self.scale = 0.0, 0.0  # of the values met, and of their rounding errors
        self.solvable = fits(network)
        self.offsets = np.concatenate([[0], np.cumsum(network.widths)]).astype(np.int64)

        self.queue: list[tuple[float, int, _Cell]] = []
        self.settled = -np.inf  # the largest bound of cells that can be split no further
        self.count = 0

    @property
    def bound(self) -> float:
        """What no point of the box passes; infinite before the first `run`."""
        return max(-self.queue[0][0] if self.queue else -np.inf, self.settled, self.value) if self.count else np.inf

    def found(self) -> Largest:
        """What is known so far."""
        status: Status = "exact" if self.closed(self.bound) else "bounds"
        return Largest(self.value, self.bound, self.point, status, self.count)

    def offer(self, value: float, point: np.ndarray) -> None:
        """A value that the sum is known to reach at a point."""
        if value > self.value:
            self.value, self.point = value, point

    def run(
        self, seconds: float = np.inf, enough: float = np.inf, progress: Callable[[int], None] | None = None
    ) -> None:
        """Goes on for about so many seconds, or to the end, or until a value above `enough` is found."""
        ends = perf_counter() + seconds
        if not self.count:
            self._start()
        while self.queue and not self.closed(-self.queue[0][0]):
            if perf_counter() > ends or self.value > enough:
                break
            batch: list[Part] = []
            while self.queue and len(batch) < BATCH and not self.closed(-self.queue[0][0]):
                cell = heapq.heappop(self.queue)[2]
                parts = self.split(cell)
                if not parts:
                    self.settled = max(self.settled, cell.bound)
                batch += parts
            for number, cell in enumerate(self.cells(batch)):
                if cell.bound > self.value:
                    heapq.heappush(self.queue, (-cell.bound, self.count + number, cell))
            self.count += len(batch)
            if progress is not None:
                progress(len(batch))

    def _start(self) -> None:
        rng, lo, hi = np.random.default_rng(0), self.lo, self.hi
        self.try_points(np.concatenate([rng.uniform(lo, hi, (STARTS, len(lo))), 0.5 * lo[None] + 0.5 * hi[None]]))
        for cell in self.cells([(lo, hi, np.zeros(self.network.neurons, np.int8), (), None)]):
            heapq.heappush(self.queue, (-cell.bound, 0, cell))
        self.count = 1

    def closed(self, bound: float) -> bool:
        """Whether a bound is so near to the best value that the solver's tolerance may be all between them."""
        return bound - self.value <= gap_closed(*self.scale)

    def try_points(self, X: np.ndarray) -> None:
        """Keeps the best of some points; the value is what exact arithmetic gives at least."""
        X = np.clip(X, self.lo, self.hi)
        values, error, size = (sums[:, 0] for sums in output_sums(self.network, X, self.weights[None]))
        sure = values - error
        best = int(np.argmax(sure))
        self.scale = max(self.scale[0], float(size[best])), max(self.scale[1], float(error[best]))
        if sure[best] > self.value:
            self.value, self.point = float(sure[best]), X[best].copy()

    def cells(self, parts: list[Part]) -> list[_Cell]:
        """The parts that may hold a better point, with their bounds; best points on the way are kept."""
        if not parts:
            return []
        lo, hi = np.stack([part[0] for part in parts]), np.stack([part[1] for part in parts])
        signs = np.stack([part[2] for part in parts])
        parents = [part[4] for part in parts if part[4] is not None]
        known = stack_bounds(parents) if parents else None
        bounds = preactivation_bounds(self.network, lo, hi, signs, known)
        A, a = linear_upper(self.network, bounds, self.weights[None, :])
        top = largest(A, a, lo, hi)[:, 0]
        corners = np.where(A[:, 0] > 0, hi, lo)
        self.try_points(corners)
        found = []
        for k in np.flatnonzero((top > self.value) & ~bounds.empty).tolist():
            own = bounds.of(k)
            bound, loss = float(top[k]), np.zeros(0)
            if parts[k][3] or not self.bisects(own):
                bound, loss = self._by_program(own, signs[k], bound)
            if bound > self.value:
                found.append(_Cell(lo[k], hi[k], signs[k], parts[k][3], own, A[k, 0], bound, loss))
        return found

    def _by_program(self, bounds: Bounds, signs: np.ndarray, bound: float) -> tuple[float, np.ndarray]:
        """A better bound, -inf where the cell is empty, and what each gate's relaxation loses."""
        if not self.solvable:
            return bound, np.zeros(0)
        found = solve(self.network, program_of(self.network, bounds, signs), self.weights)
        if found is None:
            return bound, np.zeros(0)
        self.try_points(found.point[None, :])
        return min(bound, found.bound), found.loss

    def bisects(self, bounds: Bounds) -> bool:
        """Whether a cell is split by an input."""
        return len(bounds.lo) <= FEW_INPUTS and len(open_neurons(self.network, bounds)) > FEW_OPEN

    def split(self, cell: _Cell) -> list[Part]:
        """The two halves of a cell; none where nothing is open and the box is a point or settled."""
        open_ = open_neurons(self.network, cell.known)
        if not len(open_):
            return []
        if self.bisects(cell.known):
            return self._bisected(cell)
        best = int(open_[np.argmax(self._scores(cell)[open_])])
        given = with_either_sign(cell.signs, best)
        return [(cell.lo, cell.hi, signs, (*cell.splits, best), cell.known) for signs in given]

    def _bisected(self, cell: _Cell) -> list[Part]:
        width = cell.hi - cell.lo
        unit = np.where(self.hi > self.lo, self.hi - self.lo, 1.0)
        steep = np.abs(cell.A) * unit
        axis = int(np.argmax((steep + steep.max() + TINY) * width / unit))
        boxes = halves(cell.lo, cell.hi, axis)
        return [(low, high, cell.signs, cell.splits, cell.known) for low, high in boxes]

    def _scores(self, cell: _Cell) -> Float[np.ndarray, " neurons"]:
        """What a neuron's relaxation loses: at the program's point, or else its triangle's height, times its weight."""
        low, high = cell.known.hidden
        scores = np.zeros(len(low))
        c = self.weights
        for index in range(len(self.network.gates) - 1, -1, -1):
            gate = self.network.gates[index]
            start, stop = self.offsets[index], self.offsets[index + 1]
            down, up = low[start:stop], high[start:stop]
            c = self.network.affine[index + 1].W.T @ c
            with np.errstate(divide="ignore", invalid="ignore"):
                height = np.where((down < 0) & (up > 0), -down * up / (up - down), 0.0)
                share = np.where((down < 0) & (up > 0), up / (up - down), up > 0)
            scores[start:stop] = np.abs(c) * (np.abs(gate.active - gate.inactive) * height * UNDECIDED)
            if len(cell.loss):
                scores[start:stop] += np.abs(c) * cell.loss[start:stop]
            c = c * (gate.inactive + share * (gate.active - gate.inactive))
        return scores
