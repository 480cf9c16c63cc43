"""All regions of an addend over a unit box, as arrays, and what multipliers prove of the largest value on each.

A box is written x = middle + half y with -1 <= y <= 1, half rounded up so that no point of it is lost. On region r,
rows A_r y + b_r >= -off_r hold, and the addend's weighted outputs are h_r.y + c_r, but for `unsure`. For any mu >= 0
and any u, their sum with u.y is at most c + mu.(b + off) + |h + u + mu A|_1 + unsure, with every rounding paid for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from relu_shallow.checks.maps import chunks, maps_of
from relu_shallow.network import Network, switching
from relu_shallow.precision import TINY, UNIT, gamma, underflow_error
from relu_shallow.regions.partition import unpack
from relu_shallow.shallow.table import Table

MOST_NUMBERS = 1 << 25  # in the rows of all addends: 256 MB


@dataclass(frozen=True, eq=False)
class UnitBox:
    """{middle + half y : -1 <= y <= 1}, which holds the box that it was made of, and `reach` above every |x| in it."""

    middle: Float[np.ndarray, " n"]
    half: Float[np.ndarray, " n"]

    @property
    def reach(self) -> Float[np.ndarray, " n"]:
        """Above the magnitude of every input."""
        return (np.abs(self.middle) + self.half) * (1 + 4 * UNIT)


@dataclass(frozen=True, eq=False)
class Pieces:
    """The regions of one addend: rows of about unit norm, `count` of them for each region, then zeros; and values."""

    A: Float[np.ndarray, "regions rows n"]
    b: Float[np.ndarray, "regions rows"]
    off: Float[np.ndarray, "regions rows"]
    count: Int[np.ndarray, " regions"]
    h: Float[np.ndarray, "regions n"]
    c: Float[np.ndarray, " regions"]
    unsure: Float[np.ndarray, " regions"]


def unit_box(lo: Float[np.ndarray, " n"], hi: Float[np.ndarray, " n"]) -> UnitBox:
    """The unit box around lo <= x <= hi."""
    middle = 0.5 * lo + 0.5 * hi
    return UnitBox(middle, np.maximum(hi - middle, middle - lo) * (1 + 4 * UNIT))


def numbers_in(tables: Sequence[Table], walls: int) -> int:
    """How many numbers the rows of these tables may take, with so many rows of the domain in each region."""
    return sum(table.regions * (table.network.neurons + walls) * table.network.inputs for table in tables)


def pieces_of(
    table: Table,
    box: UnitBox,
    walls: tuple[Float[np.ndarray, "walls n"], Float[np.ndarray, " walls"]],
    weights: Float[np.ndarray, " outputs"],
) -> Pieces:
    """A table's regions over a box, each with rows (a, b), a.x + b >= 0, of the domain, and weights . outputs."""
    lost = _underflow(table.network)
    parts = [_laid_out(table, numbers, box, walls, weights, lost) for numbers in chunks(table.network, _all(table))]
    rows = max(1, *(part.A.shape[1] for part in parts))
    A, b, off = (np.concatenate([_padded(getattr(part, name), rows) for part in parts]) for name in ("A", "b", "off"))
    count, h, c, unsure = (np.concatenate([getattr(part, name) for part in parts])
                           for name in ("count", "h", "c", "unsure"))  # fmt: skip
    return Pieces(A, b, off, count, h, c, unsure)


def negated(pieces: Pieces) -> Pieces:
    """The same regions with the values' negatives."""
    return replace(pieces, h=-pieces.h, c=-pieces.c)


def joined(chosen: Sequence[tuple[Pieces, int]]) -> Pieces:
    """The meeting of one region of each of several addends, and the sum of their values there, as one piece."""
    A, b, off = (
        np.concatenate([getattr(pieces, name)[r, : pieces.count[r]] for pieces, r in chosen])[None]
        for name in ("A", "b", "off")
    )
    h, c = np.array([pieces.h[r] for pieces, r in chosen]), np.array([pieces.c[r] for pieces, r in chosen])
    unsure = sum(float(pieces.unsure[r]) for pieces, r in chosen)
    rounding = gamma(len(chosen) + 4) * float(np.abs(h).sum() + np.abs(c).sum() + unsure)
    return Pieces(A, b, off, np.array([A.shape[1]]), h.sum(axis=0)[None], c.sum()[None], np.array([unsure + rounding]))


def proved_bounds(
    pieces: Pieces, u: Float[np.ndarray, " n"], mu: Float[np.ndarray, "regions rows"]
) -> Float[np.ndarray, " regions"]:
    """Numbers that h.y + c + u.y does not exceed on each region, in exact arithmetic, for any mu >= 0."""
    g = pieces.h + u
    rest = g + (mu[:, None, :] @ pieces.A)[:, 0]
    size = np.abs(pieces.h).sum(axis=1) + np.abs(u).sum() + np.abs(pieces.c)
    size += (mu * (np.abs(pieces.A).sum(axis=2) + np.abs(pieces.b))).sum(axis=1)
    unsure = pieces.unsure + (mu * pieces.off).sum(axis=1)
    top = pieces.c + (mu * pieces.b).sum(axis=1) + np.abs(rest).sum(axis=1)
    terms = (mu.shape[1] + 2) * (len(u) + 2)
    return top + unsure + gamma(4 * (mu.shape[1] + len(u)) + 32) * (size + unsure) + terms * TINY


def proved_empty(pieces: Pieces, mu: Float[np.ndarray, " rows"]) -> bool:
    """Whether multipliers show that the only region of `pieces` holds no point: mu.(A y + b) < 0 all over the box."""
    none = replace(pieces, h=np.zeros_like(pieces.h), c=np.zeros(1), unsure=np.zeros(1))
    return bool(proved_bounds(none, np.zeros(pieces.h.shape[1]), mu[None])[0] < 0)


def proved_sum(numbers: Float[np.ndarray, " k"]) -> float:
    """A number that the exact sum does not exceed."""
    return float(numbers.sum() + gamma(len(numbers) + 2) * np.abs(numbers).sum() + TINY)


def _all(table: Table) -> Int[np.ndarray, " regions"]:
    return np.arange(table.regions)


def _padded(array: np.ndarray, rows: int) -> np.ndarray:
    """With rows of zeros, which say nothing, at the end."""
    wide = [(0, 0), (0, rows - array.shape[1]), *[(0, 0)] * (array.ndim - 2)]
    return np.pad(array, wide)


def _underflow(network: Network) -> float:
    """Above what underflow takes from an entry of any layer's rows."""
    return max(
        underflow_error(replace(network, affine=network.affine[: k + 1], gates=network.gates[:k], output_names=(),
                                brackets=np.zeros((0, 3), np.int64)))
        for k in range(len(network.affine))
    )  # fmt: skip


def _laid_out(
    table: Table, numbers: np.ndarray, box: UnitBox, walls: tuple[np.ndarray, np.ndarray], weights: np.ndarray,
    lost: float,
) -> Pieces:  # fmt: skip
    patterns = unpack(table.bits[numbers], table.network.neurons)
    maps = maps_of(table.network, patterns)
    sign = np.where(patterns, 1.0, -1.0)[:, switching(table.network), None]
    G = maps.rows.transpose(1, 0, 2)[:, switching(table.network)] * sign
    E = maps.row_error.transpose(1, 0, 2)[:, switching(table.network)] + lost
    outside = np.broadcast_to(np.column_stack(walls), (len(numbers), len(walls[1]), G.shape[2]))
    A, b, off, count = _rows(np.concatenate([G, outside], axis=1),
                             np.concatenate([E, np.zeros_like(outside)], axis=1), box)  # fmt: skip
    H = np.einsum("m,mrn->rn", weights, maps.output)
    size = np.einsum("m,mrn->rn", np.abs(weights), np.abs(maps.output))
    error = np.einsum("m,mrn->rn", np.abs(weights), maps.output_error + lost) + gamma(len(weights) + 8) * size
    h, c, unsure = _scaled(H, 2 * error, box)
    return Pieces(A, b, off, count, h, c, unsure)


def _scaled(G: np.ndarray, E: np.ndarray, box: UnitBox) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(A, b, off) of rows (.., n + 1) in the coordinates of the unit box; the last column is the constant."""
    A, b = G[..., :-1] * box.half, G[..., -1] + G[..., :-1] @ box.middle
    n = len(box.half)
    size = np.abs(G[..., :-1]) @ box.reach + np.abs(G[..., -1])
    error = E[..., :-1] @ box.reach + E[..., -1]
    return A, b, error * (1 + gamma(n + 4)) + gamma(2 * n + 8) * size + (2 * n + 2) * TINY


def _rows(
    G: np.ndarray, E: np.ndarray, box: UnitBox
) -> tuple[np.ndarray, np.ndarray, np.ndarray, Int[np.ndarray, " regions"]]:
    """Rows over the unit box, of about unit norm (a power of two, which rounds nothing), those first that can matter.

    A row that surely holds all over the box is left out.
    """
    A, b, off = _scaled(G, E, box)
    steep = np.abs(A).sum(axis=2)
    cuts = b - steep <= 2 * off
    with np.errstate(divide="ignore"):
        power = np.exp2(-np.rint(np.log2(np.linalg.norm(A, axis=2))))
    power = np.where(np.isfinite(power), power, 1.0)
    A, b, off = A * power[:, :, None], b * power, off * power + (A.shape[2] + 2) * TINY
    count = cuts.sum(axis=1)
    order = np.argsort(~cuts, axis=1, kind="stable")[:, : max(1, int(count.max(initial=0)))]
    kept = np.take_along_axis(cuts, order, axis=1)
    A = np.where(kept[:, :, None], np.take_along_axis(A, order[:, :, None], axis=1), 0.0)
    b, off = (np.where(kept, np.take_along_axis(part, order, axis=1), 0.0) for part in (b, off))
    return A, b, off, count
