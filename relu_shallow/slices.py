"""Slices: affine subspaces x = M u + v of a network's inputs, and the network as a function of u.

The first layer W x + b becomes (W M) u + (W v + b), each number of it the exact one rounded once. That composed network
is the one whose regions are listed and certified; it differs from the original on the slice by that rounding only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import fsum

import numpy as np
from jaxtyping import Float

from relu_shallow.domain import Box, Domain, WholeSpace, fit
from relu_shallow.errors import DomainError
from relu_shallow.network import Affine, Embedding, Matrix, Network
from relu_shallow.precision import EXACT_PRODUCTS, GENERAL_POSITION, gamma, preactivation_errors

MARGIN = 0.25  # of the default box of a plane, in units of its sides, beyond the triangle of its three points
ENTRIES = 1 << 20  # products held at once
SPLIT = 134217729.0  # 2^27 + 1: Veltkamp's splitting of a float64 into halves


@dataclass(frozen=True, eq=False)
class Subspace:
    """The points x = M u + v of a network's input space with u in a domain of its own, as a place to look for regions.

    `names` are what the coordinates u are called and `label` says in words what the slice goes through.
    """

    M: Float[np.ndarray, "inputs d"]
    v: Float[np.ndarray, " inputs"]
    domain: Domain
    names: tuple[str, ...]
    label: str

    def __init__(
        self, M: object, v: object, domain: object = None, *, names: Sequence[str] = (), label: str = ""
    ) -> None:
        """M as (inputs, d) and v as (inputs,) numbers; without a domain u is any point of R^d. Raises DomainError."""
        try:
            matrix, point = np.array(M, dtype=np.float64), np.array(v, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise DomainError(f"a slice's M and v must be arrays of numbers: {error}") from error
        if matrix.ndim != 2 or point.shape != (len(matrix),) or not matrix.size:
            raise DomainError(f"a slice x = M u + v needs M of shape (inputs, d) and v of shape (inputs,), got "
                              f"{matrix.shape} and {point.shape}")  # fmt: skip
        if not (np.isfinite(matrix).all() and np.isfinite(point).all()):
            raise DomainError("a slice's M and v must be finite")
        _check_independent(matrix, "the columns of M are dependent")
        d = matrix.shape[1]
        called = tuple(names) or tuple(f"u{k}" for k in range(d))
        if len(called) != d or len(set(called)) != d:
            raise DomainError(f"a slice of {d} coordinates needs {d} different names for them, got {called!r:.80}")
        if domain is not None and not isinstance(domain, Domain):
            raise DomainError(f"u is in a Box (as Box(0, 1)), a Polytope or WholeSpace(), got {domain!r:.60}")
        object.__setattr__(self, "M", matrix)
        object.__setattr__(self, "v", point)
        object.__setattr__(self, "domain", fit(WholeSpace() if domain is None else domain, d))
        object.__setattr__(self, "names", called)
        object.__setattr__(self, "label", label or f"an affine subspace of {d} dimensions")

    def __repr__(self) -> str:
        """One line, without the numbers."""
        return f"Subspace({self.label}: {', '.join(self.names)} in {self.M.shape[0]} inputs)"


def line(a: object, b: object, domain: Domain | None = None, *, label: str = "the line through two points") -> Subspace:
    """The line x = a + t (b - a) with t in [0, 1], from a to b, or in another domain, as Box(-0.5, 1.5).

    Raises DomainError where the two points are one.
    """
    start, end = _points((a, b))
    if (start == end).all():
        raise DomainError("a line needs two different points, and these are equal")
    return Subspace(_side(start, end)[:, None], start, Box(0, 1) if domain is None else domain, names=("t",),
                    label=label)  # fmt: skip


def plane(
    a: object, b: object, c: object, domain: Domain | None = None, *, label: str = "the plane through three points"
) -> Subspace:
    """The plane x = a + s (b - a) + t (c - a) with s, t in [-0.25, 1.25], which holds the triangle of the three points.

    Another domain may be given, as Box(0, 1). Raises DomainError where the points lie on one line.
    """
    start, second, third = _points((a, b, c))
    sides = np.column_stack([_side(start, second), _side(start, third)])
    _check_independent(sides, "its three points lie on one line")
    box = Box(-MARGIN, 1 + MARGIN) if domain is None else domain
    return Subspace(sides, start, box, names=("s", "t"), label=label)


def on_slice(network: Network, where: Domain | Subspace) -> tuple[Network, Domain]:
    """The network and the domain to search: on a slice the composed network and the domain of its coordinates.

    Raises DomainError where they do not fit each other.
    """
    if isinstance(where, Subspace):
        return restrict(network, where), where.domain
    return network, fit(where, network.inputs)


def restrict(network: Network, subspace: Subspace) -> Network:
    """The network on a slice, as a function of its coordinates; raises DomainError where the slice does not fit."""
    embedding = Embedding(subspace.M, subspace.v, network.feature_names, subspace.label)
    return restrict_by(network, embedding, subspace.names)


def restrict_by(network: Network, embedding: Embedding, names: Sequence[str]) -> Network:
    """The network composed with an embedding, its inputs called `names`; a pure function of the numbers."""
    if network.slice is not None:
        raise DomainError("the network is on a slice already; take the slice of the original instead")
    if len(embedding.v) != network.inputs:
        raise DomainError(f"the slice is of {len(embedding.v)} inputs but the network has {network.inputs}")
    first = network.affine[0]
    W = np.column_stack([_rounded(first.W, column) for column in embedding.M.T])
    affine = (Affine(W, _rounded(first.W, embedding.v, first.b)), *network.affine[1:])
    embedding = replace(embedding, feature_names=network.feature_names)
    return replace(network, affine=affine, feature_names=tuple(names), slice=embedding)


def slice_error(
    original: Network, restricted: Network, U: Float[np.ndarray, "points d"]
) -> Float[np.ndarray, "points outputs"]:
    """A bound on |original(M u + v) - restricted(u)| for outputs computed in float64, all rounding counted.

    The composed weights miss the exact ones by half a unit in the last place, less than the rounding of the composed
    layer that its own bound counts; so that bound counts twice.
    """
    embedding = restricted.slice
    assert embedding is not None
    size = np.abs(np.asarray(U, dtype=np.float64)) @ np.abs(embedding.M).T + np.abs(embedding.v)
    off = gamma(len(embedding.M.T) + 2) * size
    return preactivation_errors(original, embedding.at(U), off=off)[-1] + 2 * preactivation_errors(restricted, U)[-1]


def _points(given: Sequence[object]) -> list[np.ndarray]:
    """The points as finite vectors of one length."""
    try:
        points = [np.array(point, dtype=np.float64) for point in given]
    except (TypeError, ValueError) as error:
        raise DomainError(f"the points of a slice must be arrays of numbers: {error}") from error
    shapes = {point.shape for point in points}
    if len(shapes) != 1 or points[0].ndim != 1 or not points[0].size:
        raise DomainError(f"the points of a slice must be vectors of one length, got shapes {sorted(shapes)}")
    if not all(np.isfinite(point).all() for point in points):
        raise DomainError("the points of a slice must be finite")
    return points


def _side(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        side = end - start
    if not np.isfinite(side).all():
        raise DomainError("the points of a slice are too far apart for float64")
    return side


def _check_independent(M: np.ndarray, otherwise: str) -> None:
    """Raises DomainError unless the columns span as many dimensions as there are, to rounding."""
    n, d = M.shape
    largest = np.abs(M).max(axis=0)
    if d <= n and (largest > 0).all():
        unit = M / largest
        unit /= np.linalg.norm(unit, axis=0)
        if np.linalg.svd(unit, compute_uv=False)[-1] > GENERAL_POSITION:
            return
    raise DomainError(f"the slice is degenerate: {otherwise}, so it has fewer than {d} dimension{'s' * (d > 1)}")


# --- sums of products, rounded once -----------------------------------------------------------------------------


def _rounded(
    W: Matrix, column: Float[np.ndarray, " inputs"], bias: Float[np.ndarray, " out"] | None = None
) -> Float[np.ndarray, " out"]:
    """W @ column + bias, each entry the exact value rounded once."""
    kept = np.flatnonzero(column)
    part, factors = W[:, kept], column[kept]
    if not isinstance(part, np.ndarray):
        part = part.tocsr()
    result = np.empty(W.shape[0])
    step = max(1, ENTRIES // max(len(kept), 1))
    for start in range(0, len(result), step):
        block = part[start : start + step]
        added = np.zeros(block.shape[0]) if bias is None else bias[start : start + step]
        result[start : start + step] = _rounded_rows(block, factors, added)
    return result


def _rounded_rows(block: Matrix, factors: np.ndarray, bias: np.ndarray) -> list[float]:
    """The rows of a block times the factors, plus the bias: products made exact in two floats, sums by fsum."""
    if isinstance(block, np.ndarray):
        weights, others = block.ravel(), np.tile(factors, len(block))
        ends = np.arange(1, len(block) + 1) * len(factors)
    else:
        weights, others, ends = block.data, factors[block.indices], block.indptr[1:]
    sizes = [np.abs(numbers[numbers != 0]) for numbers in (weights, others, bias)]
    starts = np.concatenate([[0], ends[:-1]]).tolist()
    rows = zip(starts, ends.tolist(), bias.tolist(), strict=True)
    if any(size.size and not (size.min() > 1 / EXACT_PRODUCTS and size.max() < EXACT_PRODUCTS) for size in sizes):
        return [_rounded_sum(weights[a:b], others[a:b], c) for a, b, c in rows]
    product = weights * others
    rest = _product_error(weights, others, product).tolist()
    whole = product.tolist()
    return [fsum([*whole[a:b], *rest[a:b], c]) for a, b, c in rows]


def _product_error(a: np.ndarray, b: np.ndarray, product: np.ndarray) -> np.ndarray:
    """a b - fl(a b), exactly (Dekker 1971), for numbers whose products neither overflow nor underflow."""
    a_high, b_high = SPLIT * a - (SPLIT * a - a), SPLIT * b - (SPLIT * b - b)
    a_low, b_low = a - a_high, b - b_high
    return a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low)


def _rounded_sum(weights: np.ndarray, others: np.ndarray, constant: float) -> float:
    """The same for numbers of any size, in rationals."""
    pairs = zip(weights.tolist(), others.tolist(), strict=True)
    try:
        return float(sum((Fraction(a) * Fraction(b) for a, b in pairs), Fraction(constant)))
    except OverflowError as error:
        raise DomainError("the network's first layer overflows float64 on this slice; narrow it") from error
