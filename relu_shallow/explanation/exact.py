"""Exact interventional Shapley values by evaluating the network at every hybrid of a row and a background row.

A hybrid takes the features of a set S from x and the others from b. With v(S) the network's value there and d the
number of features in which x and b differ,

    phi_i = sum over S without i of |S|! (d - |S| - 1)! / d! (v(S + i) - v(S)),       averaged over the background.

A feature in which x and b agree changes no hybrid, so it gets 0 and costs nothing: 2^d hybrids a pair, not 2^n.
Hybrids are evaluated by the deep network itself, which a converted file holds and which is defined everywhere, so
it does not matter that on a polytope some of them may lie outside the converted domain.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from math import comb

import numpy as np
from jaxtyping import Bool, Float, Int

from relu_shallow.explanation.background import Background
from relu_shallow.network import Affine, Network, dense

MOST_FEATURES = 15
HYBRIDS = 1 << 16  # evaluated at once: what stays in the cache is fastest

Progress = Callable[[int], None]


def differing_features(X: Float[np.ndarray, "rows inputs"], background: Background) -> Int[np.ndarray, " rows"]:
    """The most features in which each row differs from a background row: 2 to this power hybrids a pair."""
    most = np.zeros(len(X), dtype=np.int64)
    for b in background.X:
        np.maximum(most, (b != X).sum(axis=1), out=most)
    return most


def exact_values(
    network: Network,
    X: Float[np.ndarray, "rows inputs"],
    background: Background,
    outputs: list[int],
    *,
    deadline: float = np.inf,
    progress: Progress | None = None,
) -> Float[np.ndarray, "done outputs inputs"]:
    """The exact values of the rows, in order; of the first rows only if `time.monotonic()` passes the deadline.

    `progress` is called with the number of rows done. Rows may differ from background rows in at most MOST_FEATURES.
    """
    chosen = _only(network, outputs)
    done: list[Float[np.ndarray, "outputs inputs"]] = []
    for row in X:
        values = _row_values(chosen, row, background, deadline)
        if values is None:
            break
        done.append(values)
        if progress is not None:
            progress(len(done))
    return np.array(done).reshape(len(done), len(outputs), network.inputs)


def _only(network: Network, outputs: list[int]) -> Network:
    """The network with only these outputs, in this order."""
    last = network.affine[-1]
    affine = (*network.affine[:-1], Affine(dense(last.W)[outputs], last.b[outputs]))
    return replace(network, affine=affine, output_names=tuple(f"y{k}" for k in range(len(outputs))))


def _row_values(
    network: Network, x: Float[np.ndarray, " inputs"], background: Background, deadline: float
) -> Float[np.ndarray, "outputs inputs"] | None:
    """phi of one row, or None past the deadline."""
    phi = np.zeros((network.outputs, network.inputs))
    for features, B, weights in _by_difference(x, background):
        if time.monotonic() > deadline:
            return None
        values = _mean_values(network, x, features, B, weights)
        phi[:, features] += (shapley_shares(int(features.sum())) @ values).T
    return phi


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
