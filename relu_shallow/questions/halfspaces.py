"""One region as half-spaces A x + b >= 0, with bounds on their rounding, and proofs about linear functions on it.

A solver proposes the multipliers of a proof; they count only once checked, in floats where a box bounds x (duality.py),
or in rational arithmetic on the network's own weights, where their support is solved for exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import numpy as np
from jaxtyping import Bool, Float, Int

from relu_shallow.checks.exact import affine_step, exact_rows, exact_walls, integers
from relu_shallow.checks.maps import maps_of
from relu_shallow.domain import Box, Domain, Polytope
from relu_shallow.lp import BACKENDS
from relu_shallow.lp.question import Answer, Polyhedron
from relu_shallow.network import Network, dense, switching
from relu_shallow.precision import GENERAL_POSITION, TINY, gamma
from relu_shallow.questions.duality import proved_bound

WALL = -1  # the neuron of a row that is the domain's
EXACT_WORK = 1 << 24  # products of integers that laying out one region's rows exactly may take

Rows = Sequence[Sequence[int]]


@dataclass(frozen=True, eq=False)
class HalfSpaces:
    """The closed region {A x + b >= 0} of a pattern within a domain; |computed - exact| <= E |x| + e for each row.

    `neuron` is the neuron of each row, or WALL; `witness` a point inside, and (lo, hi) the domain's box, infinite where
    there is none. `alpha`, `beta` are the region's map, with errors bounded entry by entry.
    """

    network: Network
    domain: Domain
    pattern: Bool[np.ndarray, " neurons"]
    A: Float[np.ndarray, "rows inputs"]
    b: Float[np.ndarray, " rows"]
    E: Float[np.ndarray, "rows inputs"]
    e: Float[np.ndarray, " rows"]
    neuron: Int[np.ndarray, " rows"]
    witness: Float[np.ndarray, " inputs"]
    lo: Float[np.ndarray, " inputs"]
    hi: Float[np.ndarray, " inputs"]
    alpha: Float[np.ndarray, "outputs inputs"]
    beta: Float[np.ndarray, " outputs"]
    alpha_error: Float[np.ndarray, "outputs inputs"]
    beta_error: Float[np.ndarray, " outputs"]


def half_spaces_of(
    network: Network, domain: Domain, pattern: Bool[np.ndarray, " neurons"], witness: Float[np.ndarray, " inputs"]
) -> HalfSpaces:
    """The region of a pattern: a row for every gate that switches there, then the domain's. The domain is fitted."""
    maps = maps_of(network, pattern[None, :])
    sign = np.where(pattern, 1.0, -1.0)
    rows, error = maps.rows[:, 0] * sign[:, None], maps.row_error[:, 0]
    cuts = np.flatnonzero(switching(network) & (rows[:, :-1] != 0).any(axis=1))
    walls, lo, hi = _walls(domain, network.inputs)
    both = np.concatenate([rows[cuts], walls])
    errors = np.concatenate([error[cuts], np.zeros_like(walls)])
    neuron = np.concatenate([cuts, np.full(len(walls), WALL)])
    out, out_error = maps.output[:, 0], maps.output_error[:, 0]
    return HalfSpaces(
        network, domain, pattern, both[:, :-1], both[:, -1], errors[:, :-1], errors[:, -1], neuron, witness, lo, hi,
        out[:, :-1], out[:, -1], out_error[:, :-1], out_error[:, -1],
    )  # fmt: skip


def _walls(domain: Domain, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(the domain's rows a.x + b >= 0 in the order of `exact_walls`, lo, hi)."""
    walls, lo, hi = np.zeros((0, n + 1)), np.full(n, -np.inf), np.full(n, np.inf)
    if isinstance(domain, Box):
        lo, hi = domain.lo, domain.hi
        walls = np.empty((2 * n, n + 1))
        walls[0::2] = np.column_stack([np.eye(n), -lo])
        walls[1::2] = np.column_stack([-np.eye(n), hi])
    elif isinstance(domain, Polytope):
        walls = np.column_stack([-domain.A, domain.b])[(domain.A != 0).any(axis=1)]
    return walls, lo, hi


def exact_half_spaces(cell: HalfSpaces) -> Rows:
    """The rows of a cell as integers (a_1, .., a_n, b), each times a positive factor, in the cell's order.

    Empty where the network is too large for that.
    """
    n = cell.network.inputs
    if cell.network.matrix_entries * (n + 1) > EXACT_WORK:
        return []
    own = exact_rows(cell.network, cell.pattern, {})
    walls = exact_walls(cell.domain, range(n))
    return [own[k] for k in cell.neuron.tolist() if k != WALL] + walls


def exact_map(cell: HalfSpaces, weights: Float[np.ndarray, " outputs"]) -> tuple[list[Fraction], Fraction]:
    """(h, c) with weights . f(x) = h.x + c on the region, exactly."""
    network = cell.network
    value, scale = integers(np.eye(network.inputs, network.inputs + 1))
    start = 0
    for layer, gate in zip(network.affine, network.gates, strict=False):
        value, scale = affine_step(dense(layer.W), layer.b, value, scale, (1,))
        stop = start + len(gate.active)
        slope, power = integers(np.where(cell.pattern[start:stop], gate.active, gate.inactive))
        value, scale, start = value * slope[:, None], scale + power, stop
    value, scale = affine_step(dense(network.affine[-1].W), network.affine[-1].b, value, scale, (1,))
    both = [Fraction(w) for w in weights.tolist()]
    whole = [sum((w * int(v) for w, v in zip(both, column, strict=True)), Fraction(0)) / 2**scale for column in value.T]
    return whole[:-1], whole[-1]


def solve(
    cell: HalfSpaces, keep: Int[np.ndarray, " some"], h: Float[np.ndarray, " inputs"], relaxed: int = -1
) -> tuple[Answer, Float[np.ndarray, " some"]]:
    """What a solver says about the maximum of h.x over the rows kept, and the multipliers mu >= 0 of these rows.

    A point of the answer is an input point. With `relaxed`, that row of the cell is pushed out, which keeps the
    question bounded; it is among no rows kept. Units are the domain's, and the witness is the origin.
    """
    unit = np.where(np.isfinite(cell.hi - cell.lo) & (cell.hi > cell.lo), cell.hi - cell.lo, 1.0)
    rows = np.append(keep, relaxed) if relaxed >= 0 else keep
    A = cell.A[rows] * unit
    norm = np.linalg.norm(A, axis=1)
    norm = np.where(norm > 0, norm, 1.0)
    slack = np.maximum(cell.A[rows] @ cell.witness + cell.b[rows], 0.0) / norm
    if relaxed >= 0:
        slack[-1] += 1.0
    goal = h * unit
    size = float(np.linalg.norm(goal)) or 1.0
    answer = BACKENDS["highs"](Polyhedron(A / norm[:, None], slack), goal / size, 0.0, np.inf)
    if answer.status != "optimal":
        return answer, np.zeros(len(keep))
    mu = np.maximum(answer.dual[: len(keep)], 0.0) * size / norm[: len(keep)]
    point = cell.witness + answer.point * unit
    return Answer("optimal", float(h @ point), point, answer.dual), mu


def bound_on(
    cell: HalfSpaces,
    keep: Int[np.ndarray, " some"],
    mu: Float[np.ndarray, " some"],
    h: Float[np.ndarray, " inputs"],
    c: float,
    error: float = 0.0,
) -> float:
    """A number that h.x + c, itself known to within `error`, does not exceed on the rows kept; infinite without a box.
    """
    if not np.isfinite(cell.lo).all():
        return np.inf
    rows, mu = keep[mu > 0], mu[mu > 0]
    row_error = cell.E[rows] @ np.maximum(np.abs(cell.lo), np.abs(cell.hi)) + cell.e[rows]
    return proved_bound(h, c, (cell.A[rows], cell.b[rows]), mu, (cell.lo, cell.hi), row_error, error)


def exact_multipliers(rows: Rows, h: Sequence[int | Fraction], support: Sequence[int]) -> dict[int, Fraction] | None:
    """mu >= 0 on some of the support with h + sum mu_k a_k = 0, exactly; None where there is none to be found.

    Gauss's elimination in fractions; where the support's normals are dependent, the later of them get zero.
    """
    n = len(h)
    columns = [[Fraction(int(rows[k][i])) for i in range(n)] for k in support]
    table = [[*(column[i] for column in columns), Fraction(-h[i])] for i in range(n)]
    pivots: list[int] = []
    for column in range(len(support)):
        here = len(pivots)
        found = next((i for i in range(here, n) if table[i][column]), None)
        if found is None:
            continue
        table[here], table[found] = table[found], table[here]
        lead = table[here][column]
        table[here] = [value / lead for value in table[here]]
        for i in range(n):
            if i != here and table[i][column]:
                factor = table[i][column]
                table[i] = [a - factor * p for a, p in zip(table[i], table[here], strict=True)]
        pivots.append(column)
    if any(line[-1] for line in table[len(pivots) :]):
        return None
    mu = {support[column]: table[i][-1] for i, column in enumerate(pivots)}
    return mu if all(value >= 0 for value in mu.values()) else None


def redundant(cell: HalfSpaces, keep: Int[np.ndarray, " some"], row: int, exact: Callable[[], Rows]) -> bool:
    """Whether a row is proved to hold wherever the rows kept do; False also where that is merely not proved.

    `exact` lays out the cell's integer rows, where floats do not suffice.
    """
    a, b = cell.A[row], float(cell.b[row])
    answer, mu = solve(cell, keep, -a, relaxed=row)
    if answer.status != "optimal":
        return False
    reach = np.maximum(np.abs(cell.lo), np.abs(cell.hi))
    if np.isfinite(reach).all():
        error = float(cell.E[row] @ reach + cell.e[row]) * (1 + gamma(len(a) + 4))
        if bound_on(cell, keep, mu, -a, -b, error) <= 0:
            return True
    beyond = -(b + float(a @ answer.point))
    if beyond > GENERAL_POSITION * (abs(b) + float(np.abs(a) @ (np.abs(answer.point) + np.abs(cell.witness)))):
        return False  # a point of the others is far beyond it: a facet, and exact arithmetic is spared
    rows = exact()
    if not rows:
        return False
    found = exact_multipliers(rows, [-v for v in rows[row][:-1]], keep[mu > 0].tolist())
    return found is not None and sum((m * rows[k][-1] for k, m in found.items()), Fraction(0)) <= rows[row][-1]


def needed_rows(cell: HalfSpaces) -> Int[np.ndarray, " kept"]:
    """Rows that describe the region alone: each of the others was proved to follow from those kept.

    Rows that surely hold on the whole box go first, then neurons' rows one by one, the domain's last: of two rows that
    say the same, the domain's stays.
    """
    keep = np.arange(len(cell.b))
    if np.isfinite(cell.lo).all():
        reach = np.maximum(np.abs(cell.lo), np.abs(cell.hi))
        least = np.minimum(cell.A * cell.lo, cell.A * cell.hi).sum(axis=1) + cell.b
        size = np.abs(cell.A) @ reach + np.abs(cell.b)
        unsure = cell.E @ reach + cell.e + gamma(len(reach) + 8) * size + TINY
        keep = keep[(cell.neuron == WALL) | (least <= 2 * unsure)]
    exact = cache(lambda: exact_half_spaces(cell))
    for row in keep.tolist():
        others = keep[keep != row]
        if redundant(cell, others, row, exact):
            keep = others
    return keep
