"""Antithetic pairs of orders: one pass over a row's strata of background rows, and what passes add up to.

In an order of the features that go from b to x one after another, each feature has a gain; its mean over all orders is
its Shapley value. A pair is an order and its reverse. **A game of order two is exact after one pair**: with
v(S) = v(0) + sum_{i in S} a_i + sum_{i<j in S} a_ij, feature i gains a_i plus the sum of a_ij over the j before it, in
the reverse a_i plus the sum over the j after it; the mean is a_i + 1/2 sum_j a_ij, its Shapley value, in every order
(also Mayer and Wuethrich, arXiv 2508.12947). The gains of a pair add up to f(x) - f(b) whatever the game.

Strata: each background row is one where there are pairs enough, so it counts by its weight and not by chance, and the
values add up to f(x) - E f(b). Otherwise neighbours by their output share a stratum, and pairs draw rows by weight in
it; the regression of gains on f(b) - (its mean in the stratum) is then taken off. The gains of a pair add up to
f(x) - f(b), so the slopes add up to -1 and the corrected values again to f(x) - E f(b), exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from relu_shallow.explanation.background import Background

FEWEST_PAIRS = 32  # of a row, so that its standard errors rest on something
NORMAL_QUANTILE = 1.959963984540054  # of 0.975


@dataclass(frozen=True, eq=False)
class Strata:
    """The background cut into strata: rows members[lo:hi] each, with weights summed up to 1 inside (`cum`).

    `weight` is the stratum's own; a background row that gets many pairs is several strata, which share its weight.
    `pairs` are drawn in each. `centre` is the mean output in the stratum.
    """

    members: Int[np.ndarray, " rows"]
    cum: Float[np.ndarray, " rows"]
    lo: Int[np.ndarray, " strata"]
    hi: Int[np.ndarray, " strata"]
    weight: Float[np.ndarray, " strata"]
    pairs: Int[np.ndarray, " strata"]
    centre: Float[np.ndarray, "strata outputs"]


@dataclass(frozen=True, eq=False)
class Sums:
    """Estimated values (outputs, columns) from `pairs` pairs, with variances and what gives their degrees of freedom.

    `spread` estimates half the variance of `var`; `freedom` is the number of pairs less that of means taken.
    """

    pairs: int
    phi: Float[np.ndarray, "outputs columns"]
    var: Float[np.ndarray, "outputs columns"]
    spread: Float[np.ndarray, "outputs columns"]
    freedom: int
    evaluations: int


def lay_strata(background: Background, fB: Float[np.ndarray, "rows outputs"], count: int, pairs: int) -> Strata:
    """At most `count` strata of equal weight, or one per background row where these are no more, for `pairs` pairs.

    Every stratum gets two pairs and more by its weight. Those with more than 16 are cut into strata of 8 to 16.
    """
    K = len(background.X)
    order = np.arange(K) if count >= K else np.argsort(fB[:, 0], kind="stable")
    weights = background.weights[order]
    above = np.cumsum(weights)
    stratum = np.arange(K) if count >= K else np.minimum(((above - weights / 2) * count).astype(np.int64), count - 1)
    lo = np.flatnonzero(np.diff(stratum, prepend=-1))
    hi = np.append(lo[1:], K)
    weight = np.add.reduceat(weights, lo)
    own = np.repeat(weight, hi - lo)
    cum = np.cumsum(weights / own) - np.repeat(np.arange(len(lo)), hi - lo)
    centre = np.add.reduceat((weights / own)[:, None] * fB[order], lo, axis=0)
    drawn = np.maximum(2, np.rint(pairs * weight).astype(np.int64))
    parts = np.maximum(1, drawn // 8)
    which = np.repeat(np.arange(len(lo)), parts)
    place = np.arange(len(which)) - np.repeat(np.cumsum(parts) - parts, parts)
    each = drawn[which] // parts[which] + (place < drawn[which] % parts[which])
    return Strata(order, cum, lo[which], hi[which], weight[which] * each / drawn[which], each, centre[which])


def added(first: Sums, second: Sums) -> Sums:
    """Two independent estimates as one, weighted by their pairs (by their variances would be biased)."""
    pairs = first.pairs + second.pairs
    a, b = first.pairs / pairs, second.pairs / pairs
    return Sums(
        pairs,
        a * first.phi + b * second.phi,
        a**2 * first.var + b**2 * second.var,
        a**4 * first.spread + b**4 * second.spread,
        first.freedom + second.freedom,
        first.evaluations + second.evaluations,
    )


def standard_errors(sums: Sums) -> Float[np.ndarray, "outputs columns"]:
    """Standard errors, widened by Student's t: 1.96 of them are a 95 % interval also where pairs are few.

    Degrees of freedom after Satterthwaite (Biometrics Bulletin 2, 1946), with E s^4 = sigma^4 (N + 1) / (N - 1).
    """
    from scipy.special import stdtrit

    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = np.where(sums.spread > 0, sums.var**2 / sums.spread, sums.freedom)
    freedom = np.clip(freedom, 1.0, max(sums.freedom, 1))
    return np.sqrt(sums.var) * stdtrit(freedom, (1 + 0.95) / 2) / NORMAL_QUANTILE
