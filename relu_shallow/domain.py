"""Where regions are looked for: the whole input space, a box, or a convex polytope."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from relu_shallow.errors import DomainError


@dataclass(frozen=True)
class WholeSpace:
    """All of R^n."""


@dataclass(frozen=True, eq=False)
class Box:
    """lo <= x <= hi; a single number stands for every input (see `fit`)."""

    lo: Float[np.ndarray, " n"]
    hi: Float[np.ndarray, " n"]

    def __init__(self, lo: object, hi: object) -> None:
        """Bounds as numbers or arrays; raises DomainError where they are not finite or lo > hi."""
        try:
            low, high = np.broadcast_arrays(np.asarray(lo, dtype=np.float64), np.asarray(hi, dtype=np.float64))
        except (TypeError, ValueError) as error:
            raise DomainError(f"box bounds must be numbers or arrays of one length: {error}") from error
        if low.ndim > 1:
            raise DomainError(f"box bounds must be numbers or one-dimensional arrays, got shape {low.shape}")
        if not (np.isfinite(low).all() and np.isfinite(high).all()):
            raise DomainError("box bounds must be finite; use the domain 'all' for the whole space")
        if (low > high).any():
            worst = int(np.argmax(np.atleast_1d(low > high)))
            raise DomainError(
                f"the box is empty: input {worst} has lower bound {np.atleast_1d(low)[worst]:g} above its "
                f"upper bound {np.atleast_1d(high)[worst]:g}"
            )
        object.__setattr__(self, "lo", np.array(low))
        object.__setattr__(self, "hi", np.array(high))


@dataclass(frozen=True, eq=False)
class Polytope:
    """{x : A x <= b}, bounded or not."""

    A: Float[np.ndarray, "rows n"]
    b: Float[np.ndarray, " rows"]

    def __init__(self, A: object, b: object) -> None:
        """A and b as arrays or nested lists; raises DomainError where they do not fit each other."""
        try:
            rows = np.atleast_2d(np.asarray(A, dtype=np.float64))
            constants = np.atleast_1d(np.asarray(b, dtype=np.float64))
        except (TypeError, ValueError) as error:
            raise DomainError(f"a polytope's A and b must be arrays of numbers: {error}") from error
        if rows.ndim != 2 or constants.shape != (len(rows),):
            raise DomainError(
                f"a polytope needs A of shape (k, n) and b of shape (k,), got {rows.shape} and {constants.shape}"
            )
        if not (np.isfinite(rows).all() and np.isfinite(constants).all()):
            raise DomainError("a polytope's A and b must be finite")
        object.__setattr__(self, "A", rows)
        object.__setattr__(self, "b", constants)


Domain = WholeSpace | Box | Polytope


def fit(domain: Domain, inputs: int) -> Domain:
    """The domain with scalar bounds repeated for every input; raises DomainError on another dimension."""
    if isinstance(domain, WholeSpace):
        return domain
    if isinstance(domain, Box):
        if domain.lo.ndim == 0:
            return Box(np.full(inputs, domain.lo), np.full(inputs, domain.hi))
        given = len(domain.lo)
    else:
        given = domain.A.shape[1]
    if given != inputs:
        raise DomainError(f"the domain has {given} dimensions but the network has {inputs} inputs")
    return domain


def ball(center: Float[np.ndarray, " n"], radius: float) -> Box:
    """The L-infinity ball around a point."""
    if not radius > 0:
        raise DomainError(f"a ball needs a positive radius, got {radius:g}")
    center = np.asarray(center, dtype=np.float64)
    return Box(center - radius, center + radius)


def bounding_box(X: Float[np.ndarray, "rows n"]) -> Box:
    """The smallest box that holds every row of X."""
    if len(X) == 0:
        raise DomainError("the data has no rows, so it has no bounding box")
    return Box(X.min(axis=0), X.max(axis=0))


def contains(domain: Domain, X: Float[np.ndarray, "rows n"]) -> Bool[np.ndarray, " rows"]:
    """Which rows of X lie in the domain (its boundary included)."""
    if isinstance(domain, WholeSpace):
        return np.ones(len(X), dtype=bool)
    if isinstance(domain, Box):
        return np.asarray(((domain.lo <= X) & (domain.hi >= X)).all(axis=1))
    return np.asarray((domain.b >= X @ domain.A.T).all(axis=1))


def describe(domain: Domain) -> str:
    """One short phrase for messages and reports."""
    if isinstance(domain, WholeSpace):
        return "the whole input space"
    if isinstance(domain, Box):
        if (domain.lo.ndim and len({*domain.lo.tolist()}) > 1) or len({*np.atleast_1d(domain.hi).tolist()}) > 1:
            return f"a box in {len(domain.lo)} dimensions{_flatness(domain)}"
        low, high = np.atleast_1d(domain.lo), np.atleast_1d(domain.hi)
        return f"the box [{low[0]:g}, {high[0]:g}]" + (f"^{len(low)}" if len(low) > 1 else "") + _flatness(domain)
    return f"a polytope with {len(domain.b)} half-spaces"


def _flatness(box: Box) -> str:
    """That a box fixes inputs, so that its regions are those of its own affine hull; "" where it fixes none."""
    fixed = int((box.lo == box.hi).sum())
    return f", flat: {fixed} of {box.lo.size} inputs fixed, its regions those of its own affine hull" if fixed else ""
