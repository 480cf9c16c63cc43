"""The nearest point at which a network meets a goal: best-first search over cells, from the point outward.

A cell is part of a box with some neurons' signs given. By linear relaxations every one of these signs, and the goal,
becomes half-spaces of the inputs, and the nearest point of those is a lower bound of the distance, proved by its
multipliers in exact arithmetic (`distance.proved_distance`). The cell with the least bound is divided by the neuron
whose relaxation costs most there; where no neuron is left open the half-spaces are the cell itself. What real points
are found bound the distance from above. Nothing is left out but what is proved empty or farther than such a point: an
answer of a solver that proves nothing leaves a cell the bound it came with. What rounding leaves open at a cell of one
affine piece is settled in rational arithmetic (ties.py).
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import count
from time import perf_counter
from typing import Literal

import numpy as np
from jaxtyping import Float

from relu_shallow.errors import UsageError
from relu_shallow.network import Network, from_layers, switching
from relu_shallow.precision import FARTHEST, GRAIN, NEAREST, TINY
from relu_shallow.questions.approach import Found, approached, made_sure
from relu_shallow.questions.compiled_cell import packed_if_small
from relu_shallow.questions.deadline import Deadline
from relu_shallow.questions.distance import NORMS, Norm, distance
from relu_shallow.questions.goal import Goal, margins, past, surely_met
from relu_shallow.questions.nearest_cell import Cell, Part, Question, looked_at, part_of, parts_of, walls_of
from relu_shallow.questions.space import Space
from relu_shallow.questions.ties import exactly_met, surely_empty

Status = Literal["exact", "bounds", "none"]
Ended = Literal["settled", "time", "rounding", "far"]
AT_EASE = 10.0  # seconds


@dataclass(frozen=True, eq=False)
class Nearest:
    """lower <= the distance to the goal <= upper, both proved; `point` lies at `upper` and surely meets the goal.

    `exact`: the bounds agree to precision.NEAREST. `none`: it is proved that the space holds no such point (both are
    inf). `bounds`: neither; upper is inf and the point NaN where none was found. `ended` says why the search did:
    `settled` (by its status), `time` was up, `rounding`: a cell is left in which neither floats nor exact arithmetic
    found or excluded a point, `far`: none within precision.FARTHEST, and the space goes on.
    """

    lower: float
    upper: float
    point: Float[np.ndarray, " n"]
    status: Status
    ended: Ended
    cells: int
    seconds: float


@dataclass(eq=False)
class _Search:
    """The state of one search: the heap of open cells by bound, the best point, what could not be divided further.

    Cells are cut to `reach`, the distance of the best point once there is one; nothing beyond `limit` is looked at.
    """

    question: Question
    aim: float
    best: Found | None
    reach: float
    limit: float
    heap: list[tuple[float, int, Cell | Part]] = field(default_factory=list)
    stuck: float = np.inf
    cells: int = 0
    number: count[int] = field(default_factory=count)

    def look(self, part: Part) -> None:
        """Bounds a part, tries its relaxed nearest point on the network, and keeps its cell if it may hold a nearer.

        When time is up the part is kept as it came.
        """
        if self.question.deadline.passed():
            heapq.heappush(self.heap, (part.key, next(self.number), part))
            return
        self.cells += 1
        cell = looked_at(self.question, part, self.reach, self.aim)
        if cell is None:
            return
        found = made_sure(self.question, self.question.goals[cell.goal], cell.z, cell.push,
                          np.inf if self.best is None else self.best[0])  # fmt: skip
        self.note(found)
        if self.worth(cell.key):
            heapq.heappush(self.heap, (cell.key, next(self.number), cell))

    def note(self, found: Found | None) -> None:
        """Keeps a point that is nearer than the best one; nothing beyond it is looked at any more."""
        if found is not None and (self.best is None or found[0] < self.best[0]):
            self.best, self.reach = found, min(self.reach, found[0])

    def worth(self, key: float) -> bool:
        """Whether a cell of this bound may hold a point that is nearer by more than the tolerance."""
        return self.best is None or key < settled(self.question, self.best[0])

    def run(self) -> None:
        """Divides cells, the one of the least bound first, until none is worth it or time is up."""
        while self.open and not self.question.deadline.passed():
            _, _, cell = heapq.heappop(self.heap)
            assert isinstance(cell, Cell), "parts are kept only when time is up"
            parts = parts_of(self.question, cell)
            if not parts:
                self.settle(cell)
            for part in parts:
                self.look(part)

    @property
    def open(self) -> bool:
        """Whether a cell is left that is worth to be divided."""
        return bool(self.heap) and self.worth(self.heap[0][0])

    def settle(self, cell: Cell) -> None:
        """Decides about a cell that nothing is left to divide by: without a surplus, and in exact arithmetic."""
        bare = looked_at(self.question, part_of(cell), self.reach, 0.0)
        if bare is None or not self.worth(bare.key):
            return
        late = self.question.deadline.passed
        if not late():
            self.note(exactly_met(self.question, bare))
        if self.worth(bare.key) and late():
            heapq.heappush(self.heap, (bare.key, next(self.number), bare))
        elif self.worth(bare.key) and not surely_empty(self.question, bare):
            self.stuck = min(self.stuck, bare.key)

    @property
    def lower(self) -> float:
        """What the open cells prove together: no point that meets a goal is nearer."""
        open_ = self.heap[0][0] if self.heap else np.inf
        nearest = settled(self.question, self.best[0]) if self.best is not None else np.inf
        return min(open_, self.stuck, nearest, self.limit)


def settled(question: Question, upper: float) -> float:
    """The lower bound that makes an upper bound exact: less by NEAREST and the rounding of the numbers themselves."""
    grain = GRAIN * float(np.abs(question.weights * question.x).max(initial=0.0))
    return max(upper * (1 - NEAREST) - grain, 0.0)


def nearest_point(
    network: Network,
    x: Float[np.ndarray, " n"],
    goals: tuple[Goal, ...],
    space: Space,
    norm: Norm = "inf",
    weights: Float[np.ndarray, " n"] | None = None,
    time_limit: float = AT_EASE,
) -> Nearest:
    """The point of the space nearest to x, by |weights * (z - x)|, at which the network meets one of the goals.

    After `time_limit` seconds the bounds reached so far are returned; what is compiled once on a machine, or read from
    its cache, does not count. Raises UsageError for a norm, weights or point
    that make no sense, DomainError for a space without a bound where the network's numbers would overflow.
    """
    compile_search()
    started = perf_counter()
    question = _question(network, x, goals, space, norm, weights, Deadline(started + time_limit, perf_counter))
    if space.surely_holds(question.x) and surely_met(goals, network, question.x[None])[0]:
        return Nearest(0.0, 0.0, question.x, "exact", "settled", 0, perf_counter() - started)
    search, proved = _widening(question)
    lower, best = max(search.lower, proved), search.best
    nowhere = float(np.inf), np.full(network.inputs, np.nan)
    upper, point = best if best is not None else nowhere
    status: Status = "bounds"
    if best is None and lower == np.inf:
        status = "none"
    elif best is not None and lower >= settled(question, upper):
        status = "exact"
    return Nearest(lower, upper, point, status, _ended(search, status), search.cells, perf_counter() - started)


@cache
def compile_search() -> None:
    """Compiles the search, or loads it from its cache: by an answer for |x| in [-1, 1], reached at 1/2."""
    one = np.ones((1, 1))
    network = from_layers([(np.array([[1.0], [-1.0]]), np.zeros(2)), (one.repeat(2, 1), np.zeros(1))])
    space = Space(-np.ones(1), np.ones(1), np.zeros((0, 1)), np.zeros(0), np.zeros(1, dtype=bool))
    goals = (past(network, 0, 0.5, "above"),)
    question = _question(network, np.full(1, 0.1), goals, space, "inf", None, Deadline(np.inf, perf_counter))
    _searched(question, 2.0, float(np.inf))


def _ended(search: _Search, status: Status) -> Ended:
    """Why a search ended."""
    if status != "bounds":
        return "settled"
    if search.stuck < np.inf and not search.open:
        return "rounding"
    return "far" if search.best is None and not search.heap and search.limit > FARTHEST else "time"


def _widening(question: Question) -> tuple[_Search, float]:
    """The search of the whole space or, where that has no end, of balls that grow until one holds a point.

    The second value is the radius of the last ball that is proved to hold none.
    """
    finite = np.isfinite(question.space.lo).all() and np.isfinite(question.space.hi).all()
    if finite:
        corner = np.maximum(np.abs(question.space.lo - question.x), np.abs(question.space.hi - question.x))
        reach = float(distance(question.norm, question.weights, np.zeros_like(corner), corner))
        return _searched(question, max(reach, TINY), float(np.inf)), 0.0
    reach = 1.0 + float(np.abs(question.weights * question.x).max(initial=0.0))
    cells, proved = 0, 0.0
    while True:
        search = _searched(question, reach, reach)
        search.cells += cells
        found = search.best is not None and search.best[0] <= search.limit
        empty = not search.heap and search.stuck == np.inf
        if found or not empty or reach > FARTHEST or question.deadline.passed():
            return search, proved
        cells, proved = search.cells, search.limit
        reach = 8.0 * search.limit if search.best is None else search.best[0]


def _searched(question: Question, reach: float, limit: float) -> _Search:
    """The search within `reach` of x, or as far as the first point found, where that is farther; see `_Search`."""
    best = approached(question, reach)
    if best is not None:
        reach, limit = best[0], max(limit, best[0])
    _, errors = zip(*(margins(goal, question.network, question.x[None]) for goal in question.goals), strict=True)
    search = _Search(question, 64 * float(np.max(errors)), best, reach, limit)
    none = np.zeros(question.network.neurons, np.int8)
    start = np.clip(question.x, question.space.lo, question.space.hi)
    for number in range(len(question.goals)):
        search.look(Part(number, question.space.lo, question.space.hi, none, 0.0, start, None, 0, 0))
    search.run()
    return search


def _question(
    network: Network,
    x: np.ndarray,
    goals: tuple[Goal, ...],
    space: Space,
    norm: Norm,
    weights: np.ndarray | None,
    deadline: Deadline,
) -> Question:
    """The question, checked, its arrays laid out as the compiled ones are."""
    if norm not in NORMS:
        raise UsageError(f"the norm {norm!r} is not one of {', '.join(NORMS)}")
    x = np.array(x, dtype=np.float64)
    if x.shape != (network.inputs,) or not np.isfinite(x).all():
        raise UsageError(f"a point of {network.inputs} finite numbers is needed, got shape {x.shape}")
    w = np.ones(network.inputs) if weights is None else np.array(weights, dtype=np.float64)
    if w.shape != x.shape or not (np.isfinite(w) & (w > 0)).all():
        raise UsageError(f"weights must be {network.inputs} positive numbers, one for each input")
    goals = tuple(Goal(np.array(goal.C, order="C"), np.array(goal.c), goal.strict) for goal in goals)
    space = replace(space, lo=np.array(space.lo), hi=np.array(space.hi), whole=np.array(space.whole))
    walls = walls_of(space, x)
    return Question(network, x, goals, space, norm, w, deadline, walls, packed_if_small(network), switching(network))
