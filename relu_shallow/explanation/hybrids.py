"""Exact Shapley values and interactions by evaluating the network at every hybrid of a row and a background row.

A hybrid takes the features of a set S from x and the others from b. With v(S) the network's value there and d the
number of features in which x and b differ,

    phi_i = sum over S without i of |S|! (d - |S| - 1)! / d! (v(S + i) - v(S)),       averaged over the background.

A feature in which x and b agree changes no hybrid, so it gets 0 and costs nothing: 2^d hybrids a pair, not 2^n.
Hybrids are evaluated by the deep network itself, which a converted file holds and which is defined everywhere, so
it does not matter that on a polytope some of them may lie outside the converted domain.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import cache
from math import comb

import numpy as np
from jaxtyping import Bool, Float, Int

from relu_shallow.errors import DataError
from relu_shallow.explanation.background import Background
from relu_shallow.explanation.exact import Progress
from relu_shallow.network import Network, dense, with_outputs

MOST_FEATURES = 15
HYBRIDS = 1 << 16  # evaluated at once: what stays in the cache is fastest


def differing_features(X: Float[np.ndarray, "rows inputs"], background: Background) -> Int[np.ndarray, " rows"]:
    """The most features in which each row differs from a background row: 2 to this power hybrids a pair."""
    most = np.zeros(len(X), dtype=np.int64)
    for b in background.X:
        np.maximum(most, (b != X).sum(axis=1), out=most)
    return most


def interaction_values(
    network: Network,
    X: Float[np.ndarray, "rows inputs"],
    background: Background,
    outputs: list[int],
    *,
    deadline: float = np.inf,
    progress: Progress | None = None,
) -> Float[np.ndarray, "done outputs inputs inputs"]:
    """The rows' exact Shapley interaction values, in order; of the first rows only if the deadline passes.

    Off the diagonal stands half the interaction index of two features (Grabisch and Roubens 1999), so that a row of the
    matrix sums to the feature's Shapley value, as in shap. `progress` is told the number of rows done. Raises DataError
    where a row differs from a background row in more than MOST_FEATURES features.
    """
    _check_reach(X, background)
    chosen = with_outputs(network, outputs)
    done: list[Float[np.ndarray, "outputs inputs inputs"]] = []
    for row in X:
        values = _row_values(chosen, row, background, deadline)
        if values is None:
            break
        done.append(values)
        if progress is not None:
            progress(len(done))
    return np.array(done).reshape(len(done), len(outputs), network.inputs, network.inputs)


def _check_reach(X: Float[np.ndarray, "rows inputs"], background: Background) -> None:
    differing = differing_features(X, background)
    far = np.flatnonzero(differing > MOST_FEATURES)
    if len(far):
        raise DataError(
            f"row {far[0]} differs from a background row in {differing[far[0]]} features, and interactions are "
            f"enumerated for at most {MOST_FEATURES}; give a background that differs less"
        )


def _row_values(
    network: Network, x: Float[np.ndarray, " inputs"], background: Background, deadline: float
) -> Float[np.ndarray, "outputs inputs inputs"] | None:
    """The matrices of one row, or None past the deadline."""
    found = np.zeros((network.outputs, network.inputs, network.inputs))
    for features, B, weights in _by_difference(x, background):
        if time.monotonic() > deadline:
            return None
        values = _mean_values(network, x, features, B, weights)
        index = np.flatnonzero(features)
        found[:, index[:, None], index] += interactions(values.T, len(index))
    return found


def interactions(
    v: Float[np.ndarray, "outputs coalitions"], players: int
) -> Float[np.ndarray, "outputs players players"]:
    """Shapley values and interactions of games given by every coalition's value, as one symmetric matrix a game.

    With w(s) = s! (d - s - 2)! / (d - 1)!, the index of i and j sums v(T) times w(t - 2), - w(t - 1) or w(t), as T
    holds both, one or none of them; t is the size of T, and w is 0 where it is not defined.
    """
    d = players
    masks = np.arange(1 << d)
    member = ((masks[:, None] >> np.arange(d)) & 1).astype(np.float64)
    size = member.sum(axis=1).astype(np.int64)
    shapley = v @ shapley_shares(d).T
    w = np.array([1.0 / ((d - 1) * comb(d - 2, s)) for s in range(d - 1)] + [0.0] * 4)
    none, one, both = w[size], w[size - 1], w[size - 2]  # size - 1 and size - 2 below zero find the zeros at the end
    alone = (v * (none + one)) @ member
    pairs = np.einsum("ot,ti,tj->oij", v * (none + 2 * one + both), member, member, optimize=True)
    half = 0.5 * ((v @ none)[:, None, None] - (alone[:, :, None] + alone[:, None, :]) + pairs)
    half = 0.5 * (half + half.transpose(0, 2, 1))  # products of matrices round either triangle in their own way
    diagonal = np.arange(d)
    half[:, diagonal, diagonal] = 0.0
    half[:, diagonal, diagonal] = shapley - half.sum(axis=2)
    return half


def _by_difference(
    x: Float[np.ndarray, " inputs"], background: Background
) -> Iterator[tuple[Bool[np.ndarray, " inputs"], Float[np.ndarray, "pairs inputs"], Float[np.ndarray, " pairs"]]]:
    """(features, background rows, weights) in batches of rows that differ from x in just these features."""
    differs = x != background.X
    for features in np.unique(differs[differs.any(axis=1)], axis=0):
        members = np.flatnonzero((differs == features).all(axis=1))
        step = max(1, HYBRIDS >> int(features.sum()))
        for begin in range(0, len(members), step):
            part = members[begin : begin + step]
            yield features, background.X[part], background.weights[part]


def _mean_values(
    network: Network,
    x: Float[np.ndarray, " inputs"],
    features: Bool[np.ndarray, " inputs"],
    B: Float[np.ndarray, "pairs inputs"],
    weights: Float[np.ndarray, " pairs"],
) -> Float[np.ndarray, "coalitions outputs"]:
    """The weighted sum over pairs of the network's values at all hybrids, coalition S being the number with S's bits.

    The first pre-activations are affine in the coalition: those with one feature more are the half before, shifted.
    """
    first = network.affine[0]
    W = dense(first.W)
    z = np.empty((len(B), 1 << int(features.sum()), len(first.b)))
    z[:, 0] = B @ W.T + first.b
    for bit, feature in enumerate(np.flatnonzero(features)):
        shift = (x[feature] - B[:, feature])[:, None, None] * W[:, feature]
        np.add(z[:, : 1 << bit], shift, out=z[:, 1 << bit : 2 << bit])
    for gate, layer in zip(network.gates, network.affine[1:], strict=True):
        if gate.inactive.any() or (gate.active != 1).any():
            z *= np.where(z > 0, gate.active, gate.inactive)
        else:
            np.maximum(z, 0.0, out=z)
        z = z @ dense(layer.W).T + layer.b
    return np.tensordot(weights, z, axes=1)


@cache
def shapley_shares(players: int) -> Float[np.ndarray, "players coalitions"]:
    """M with phi = M v: the Shapley weights of every coalition's value, coalition S being the number with S's bits."""
    masks = np.arange(1 << players)
    member = (masks >> np.arange(players)[:, None]) & 1 > 0
    size = member.sum(axis=0)
    weight = np.array([1.0 / (players * comb(players - 1, s)) for s in range(players)] + [0.0])
    return np.where(member, weight[size - 1], -weight[size])
