"""The largest value of a sum of piecewise-linear addends over a box, from the regions of each addend alone.

For any u_j with sum 0, the maximum of sum g_j(x) is at most sum_j max_x (g_j(x) + u_j.x): Lagrange's relaxation of the
demand that all addends mean the same x. An addend's maximum is the largest over its regions, each a linear program of
few rows; u goes down along subgradients (the difference of the points where addends are largest from their mean) by
Polyak's steps (1969), deflected as by Camerini, Fratta and Maffioli (1975), towards the best value known. What remains
is settled best first: the addend that loses most at the mean point is given one region after another. Addends that
have one region left make a single linear program of all their rows, so that with all given the bound is the maximum.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from jaxtyping import Float

from relu_shallow.precision import decomposition_limits, gamma, gap_closed
from relu_shallow.questions.addend_regions import Pieces, UnitBox, joined, proved_bounds, proved_empty, proved_sum
from relu_shallow.questions.boxed_kernel import EMPTY, OPTIMAL, descend, uppermost

FIRST_STEPS, STEPS = 300, 40  # of the dual, for all regions and for a part
PATIENCE, SHORTER, SHORTEST = 5, 0.6, 0.01  # steps without progress before they become shorter; the least factor
CLIMBS = 20  # of a point to the best of its joint region

Allowed = tuple[np.ndarray, ...]  # of each addend, 1 for the regions it may be in, as uint8
Values = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]


@dataclass(frozen=True, eq=False)
class Node:
    """A part of the search: the regions that each addend may be in, multipliers u, a proved bound, where to branch.

    `tops` are proved bounds of each region's own share, which makes the bound; `branch` is -1 where nothing is open.
    """

    bound: float
    allowed: Allowed
    U: Float[np.ndarray, "addends n"]
    tops: tuple[np.ndarray, ...]
    rest: float
    branch: int


@dataclass(frozen=True, eq=False)
class _Work:
    """Arrays that compiled code writes in."""

    arrays: tuple[np.ndarray, ...]
    at_best: np.ndarray


def _work(n: int, rows: int) -> _Work:
    none = np.int64
    return _Work(
        (np.zeros((rows, n)), np.zeros(rows), np.zeros(n), np.zeros(n), np.zeros(rows, none), np.zeros(n, none),
         np.zeros(rows), np.zeros(n)), np.zeros(n),
    )  # fmt: skip


def compile_bounds() -> None:
    """Compiles what the search runs, or loads it from its cache."""
    none = np.zeros((2, 1))
    two = Pieces(np.ones((2, 1, 1)), none, none, np.ones(2, np.int64), none + 1.0, none[:, 0], none[:, 0])
    box = UnitBox(np.zeros(1), np.ones(1))
    Decomposed([two, two], box, lambda X: (X[:, 0], none[:1, 0], none[:1, 0], X)).run(1.0)


class Decomposed:
    """The search: the best point so far, and parts that may hold a better one. `run` goes on with it."""

    def __init__(self, addends: Sequence[Pieces], box: UnitBox, values: Values) -> None:
        """`values` moves points into the domain and gives (lower bounds of exact values, errors, sizes, points)."""
        self.addends, self.box, self.values = addends, box, values
        self.n = len(box.middle)
        self.value, self.point = -np.inf, box.middle
        self.scale = 0.0, 0.0
        self.limits = decomposition_limits()
        self.work = _work(self.n, max(1, sum(pieces.A.shape[1] for pieces in addends)))
        self.mu = [np.zeros(pieces.b.shape) for pieces in addends]
        self.queue: list[tuple[float, int, Node]] = []
        self.count = 0
        self.started = False
        self.settled = -np.inf

    @property
    def bound(self) -> float:
        """What no point of the domain passes, in exact arithmetic; infinite before the first `run`."""
        if not self.started:
            return np.inf
        return max(-self.queue[0][0] if self.queue else -np.inf, self.settled, self.value)

    @property
    def closed(self) -> bool:
        """Whether the bound is so near to the best value that a solver's tolerance may be all between them."""
        return self.bound - self.value <= gap_closed(*self.scale)

    def run(self, seconds: float, progress: Callable[[int], None] | None = None) -> None:
        """Goes on for about so many seconds, or to the end."""
        ends = perf_counter() + seconds
        if not self.started:
            self._start(ends)
        while self.queue and not self.closed and perf_counter() < ends:
            node = heapq.heappop(self.queue)[2]
            children = self._children(node)
            for number, allowed in enumerate(children):
                if perf_counter() >= ends:  # what is left keeps the bounds that it has
                    for left in children[number:]:
                        self._keep(self._narrowed(node, left))
                    break
                cap = self._narrowed(node, allowed).bound
                self._keep(self._bounded(allowed, node.U, STEPS, ends, cap))
            if progress is not None:
                progress(len(children))

    def offer(self, value: float, point: Float[np.ndarray, " n"]) -> None:
        """A value that the sum is known to reach at a point."""
        if value > self.value:
            self.value, self.point = value, point

    def _start(self, ends: float) -> None:
        self.try_points(np.zeros((1, self.n)))
        self._climb(np.zeros(self.n))
        everything = tuple(np.ones(len(pieces.c), np.uint8) for pieces in self.addends)
        self.started = True
        self._keep(self._bounded(everything, np.zeros((len(self.addends), self.n)), FIRST_STEPS, ends))

    def _keep(self, node: Node | None) -> None:
        """Puts a part into the queue, unless it can hold nothing better."""
        if node is None or node.bound <= self.value:
            return
        if node.branch < 0:
            self.settled = max(self.settled, node.bound)
            return
        self.count += 1
        heapq.heappush(self.queue, (-node.bound, self.count, node))

    def _children(self, node: Node) -> list[Allowed]:
        """One part for each region of the addend that is branched on, the most promising first."""
        j, tops = node.branch, node.tops[node.branch]
        order = np.argsort(-tops, kind="stable")
        found = []
        for r in order[np.isfinite(tops[order])].tolist():
            only = np.zeros_like(node.allowed[j])
            only[r] = 1
            found.append(tuple(only if k == j else part for k, part in enumerate(node.allowed)))
        return [allowed for allowed in found if self._narrowed(node, allowed).bound > self.value]

    def _narrowed(self, node: Node, allowed: Allowed) -> Node:
        """The part of a node with fewer regions allowed, with what the node's own multipliers show of it."""
        tops = tuple(np.where(part > 0, own, -np.inf) for own, part in zip(node.tops, allowed, strict=True))
        bound = min(proved_sum(np.array([node.rest, *(own.max() for own in tops if len(own))])), node.bound)
        left = [j for j, part in enumerate(allowed) if part.sum() > 1]
        return Node(bound, allowed, node.U, tops, node.rest, left[0] if left else -1)

    def try_points(self, Y: Float[np.ndarray, "points n"]) -> None:
        """Keeps the best of some points of the unit box."""
        X = self.box.middle + self.box.half * Y
        sure, error, size, X = self.values(X)
        best = int(np.argmax(sure))
        self.scale = max(self.scale[0], float(size[best])), max(self.scale[1], float(error[best]))
        self.offer(float(sure[best]), X[best])

    def _climb(self, y: Float[np.ndarray, " n"]) -> None:
        """From a point to the best of its joint region, and on from there while that helps."""
        before = -np.inf
        for _ in range(CLIMBS):
            piece = joined([(pieces, _region_at(pieces, y)) for pieces in self.addends])
            status, _, y, _ = self._solve(piece, np.zeros(self.n))
            if status != OPTIMAL:
                return
            self.try_points(y[None])
            here = float(self.values((self.box.middle + self.box.half * y)[None])[0][0])
            if not here > before + gap_closed(*self.scale):
                return
            before = here

    def _solve(self, piece: Pieces, u: np.ndarray) -> tuple[int, float, np.ndarray, np.ndarray]:
        """(status, bound, point, multipliers) of the largest value on a single region."""
        T, q, d, at, basic, other, mu, y = self.work.arrays
        status, value = descend(
            piece.A[0], piece.b[0], int(piece.count[0]), piece.h[0] + u, float(piece.c[0]), -np.inf, self.limits,
            T, q, d, at, basic, other, mu, y,
        )  # fmt: skip
        return status, value, y.copy(), mu[: int(piece.count[0])].copy()

    def _bounded(
        self, allowed: Allowed, U: np.ndarray, steps: int, ends: float, cap: float = np.inf
    ) -> Node | None:
        """A part with its bound, at most `cap`; None where it is proved to hold nothing better."""
        part = _Part(self, allowed)
        if part.empty:
            return None
        U, mean = part.descended(U, steps, ends)
        node = part.proved(U, mean)
        if node.bound <= self.value:
            return None
        self.try_points(mean[None])
        self._climb(mean)
        narrow = tuple(
            np.where(own > self._needed(node, j), part, 0).astype(np.uint8)
            for j, (own, part) in enumerate(zip(node.tops, allowed, strict=True))
        )
        return Node(min(node.bound, cap), narrow, U, node.tops, node.rest, node.branch)

    def _needed(self, node: Node, j: int) -> float:
        """What a region's share must exceed for the part with it to hold something better."""
        tops = np.array([node.rest, *(own.max() for own in node.tops)])
        rounding = gamma(4 * len(tops) + 16) * (np.abs(tops).sum() + abs(self.value))
        return float(self.value - (proved_sum(tops) - tops[j + 1]) - rounding)


class _Part:
    """The dual of a part: the addends with several regions, and the others as one linear program."""

    def __init__(self, search: Decomposed, allowed: Allowed) -> None:
        self.search, self.allowed = search, tuple(part.copy() for part in allowed)
        self.open = [j for j, part in enumerate(allowed) if part.sum() > 1]
        given = [j for j, part in enumerate(allowed) if part.sum() == 1]
        self.given = given
        self.empty = any(not part.any() for part in allowed)
        chosen = [(search.addends[j], int(np.argmax(allowed[j]))) for j in given]
        self.piece = joined(chosen) if given and not self.empty else None
        if self.piece is not None:
            status, _, _, mu = search._solve(self.piece, np.zeros(search.n))
            self.empty = status == EMPTY and proved_empty(self.piece, mu)

    def descended(self, U: np.ndarray, steps: int, ends: float) -> tuple[np.ndarray, np.ndarray]:
        """(U, mean point): the best multipliers found, with sum about zero, and a mean of the maximal points."""
        search = self.search
        V = self._gathered(U)
        best, least, theta, fails = V, np.inf, 1.0, 0
        D, mean, mean_at_best = np.zeros_like(V), None, np.zeros(search.n)
        for _ in range(steps):
            top, Y = self._tops(V)
            mean = Y.mean(axis=0) if mean is None else 0.8 * mean + 0.2 * Y.mean(axis=0)
            if top < least:
                best, least, fails, mean_at_best = V, top, 0, mean
            else:
                fails += 1
                if fails == PATIENCE:
                    theta, fails, V = theta * SHORTER, 0, best
                    D = np.zeros_like(V)
                    top = least
            G = Y - Y.mean(axis=0)
            gap = top - search.value if np.isfinite(search.value) else abs(top)
            if gap <= 0.25 * gap_closed(*search.scale) or theta < SHORTEST or perf_counter() >= ends or not G.any():
                break
            turn = max(0.0, -1.5 * float((G * D).sum()) / float((D * D).sum())) if D.any() else 0.0
            D = G + turn * D
            V = V - theta * gap / float((D * D).sum()) * D if D.any() else V
        return self._spread(best, U), mean_at_best

    def _gathered(self, U: np.ndarray) -> np.ndarray:
        """Multipliers of the open addends, and their common ones of the given, with mean zero."""
        V = np.array([*(U[j] for j in self.open), *([U[self.given].sum(axis=0)] if self.given else [])])
        return V - V.mean(axis=0)

    def _spread(self, V: np.ndarray, U: np.ndarray) -> np.ndarray:
        """The same for every addend."""
        found = np.zeros_like(U)
        found[self.open] = V[: len(self.open)]
        if self.given:
            found[self.given[0]] = V[-1]
        return found

    def _tops(self, V: np.ndarray) -> tuple[float, np.ndarray]:
        """The sum of the maxima, and where they are."""
        search, total, Y = self.search, 0.0, np.zeros_like(V)
        for k, j in enumerate(self.open):
            pieces, bounds = search.addends[j], np.zeros(len(search.addends[j].c))
            T, q, d, at, basic, other, mu, y = search.work.arrays
            uppermost(
                pieces.A, pieces.b, pieces.count, pieces.h, pieces.c, V[k], self.allowed[j], search.limits,
                search.mu[j], bounds, Y[k], T, q, d, at, basic, other, mu, y, search.work.at_best,
            )  # fmt: skip
            total += bounds.max()
        if self.piece is not None:
            _, value, Y[-1], _ = search._solve(self.piece, V[-1])
            total += value
        return total, Y

    def proved(self, U: np.ndarray, mean: np.ndarray) -> Node:
        """The part as a node: every bound proved with the multipliers found."""
        search = self.search
        V = self._gathered(U)
        self._tops(V)
        tops, losses = [], np.full(len(search.addends), -np.inf)
        rest = float(np.abs(V.sum(axis=0)).sum() + gamma(len(V) + search.n + 4) * np.abs(V).sum())
        if self.piece is not None:
            status, _, _, mu = search._solve(self.piece, V[-1])
            mu = mu if status == OPTIMAL else np.zeros_like(mu)
            rest = proved_sum(np.array([rest, proved_bounds(self.piece, V[-1], mu[None])[0]]))
        for j, pieces in enumerate(search.addends):
            if j not in self.open:
                tops.append(np.where(self.allowed[j] > 0, 0.0, -np.inf))
                continue
            v = V[self.open.index(j)]
            own = np.where(self.allowed[j] > 0, proved_bounds(pieces, v, search.mu[j]), -np.inf)
            r = _region_at(pieces, mean)
            losses[j] = own.max() - float((pieces.h[r] + v) @ mean + pieces.c[r])
            tops.append(own)
        bound = proved_sum(np.array([rest, *(own.max() for own in tops)]))
        return Node(bound, self.allowed, U, tuple(tops), rest, int(np.argmax(losses)) if self.open else -1)


def _region_at(pieces: Pieces, y: Float[np.ndarray, " n"]) -> int:
    """A region that holds a point, or misses it least."""
    left = (pieces.A @ y + pieces.b).min(axis=1, initial=np.inf)
    return int(np.argmax(left))
