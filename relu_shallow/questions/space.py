"""Where a nearest point may lie: ranges of features, further half-spaces, features that are whole numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from relu_shallow.domain import Box, Domain, Polytope, fit
from relu_shallow.errors import DomainError
from relu_shallow.network import Network
from relu_shallow.precision import gamma


@dataclass(frozen=True, eq=False)
class Space:
    """{z : lo <= z <= hi, A z <= b, z_i whole where `whole`, each group of features sums to one}; lo and hi may be
    infinite, but not of whole features. Members of `groups` are whole and between 0 and 1 (one-hot).
    """

    lo: Float[np.ndarray, " n"]
    hi: Float[np.ndarray, " n"]
    A: Float[np.ndarray, "k n"]
    b: Float[np.ndarray, " k"]
    whole: Bool[np.ndarray, " n"]
    groups: tuple[tuple[int, ...], ...] = ()

    @property
    def free(self) -> Bool[np.ndarray, " n"]:
        """The features that may take any number of an interval."""
        return (self.lo < self.hi) & ~self.whole

    def rows(self) -> tuple[Float[np.ndarray, "m n"], Float[np.ndarray, " m"]]:
        """(B, c) with B z + c >= 0 for the half-spaces and the groups, those of the groups from both sides."""
        member = np.zeros((len(self.groups), len(self.lo)))
        for row, group in zip(member, self.groups, strict=True):
            row[list(group)] = 1.0
        one = np.ones(len(member))
        return np.concatenate([-self.A, member, -member]), np.concatenate([self.b, -one, one])

    def surely_holds(self, z: Float[np.ndarray, " n"]) -> bool:
        """Whether a point lies in here in exact arithmetic (of half-spaces that rounding leaves open: no)."""
        inside = bool(((self.lo <= z) & (z <= self.hi)).all()) and bool((z == np.rint(z))[self.whole].all())
        error = gamma(len(z) + 2) * (np.abs(self.A) @ np.abs(z) + np.abs(self.b))
        return inside and bool((self.A @ z + error <= self.b).all()) and all(
            z[list(group)].sum() == 1 for group in self.groups  # of whole numbers: exact
        )  # fmt: skip


def space_of(domain: Domain, network: Network) -> Space:
    """The space of a domain."""
    n = network.inputs
    domain = fit(domain, n)
    lo, hi = np.full(n, -np.inf), np.full(n, np.inf)
    A, b = np.zeros((0, n)), np.zeros(0)
    if isinstance(domain, Box):
        lo, hi = domain.lo, domain.hi
    elif isinstance(domain, Polytope):
        A, b = domain.A, domain.b
    return Space(lo, hi, A, b, np.zeros(n, dtype=bool))


def narrowed(space: Space, lo: Float[np.ndarray, " n"], hi: Float[np.ndarray, " n"]) -> Space:
    """The space with further bounds; raises DomainError where one feature has no value left."""
    low, high = np.maximum(space.lo, lo), np.minimum(space.hi, hi)
    if (low > high).any():
        i = int(np.argmax(low > high))
        raise DomainError(f"input {i} has no value left: it must be at least {low[i]:g} and at most {high[i]:g}")
    return Space(low, high, space.A, space.b, space.whole, space.groups)
