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
from math import comb

import numpy as np
from jaxtyping import Float, Int

from relu_shallow.explanation.background import Background
from relu_shallow.network import Affine, Network, dense, evaluate

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
    for B, weights in _by_difference(x, background):
        if time.monotonic() > deadline:
            return None
        phi += _pairs_values(network, x, B, weights)
    return phi


def _by_difference(
    x: Float[np.ndarray, " inputs"], background: Background
) -> Iterator[tuple[Float[np.ndarray, "pairs inputs"], Float[np.ndarray, " pairs"]]]:
    """Background rows and weights in batches that differ from x in equally many features, at least one."""
    differing = (x != background.X).sum(axis=1)
    for d in np.unique(differing[differing > 0]):
        members = np.flatnonzero(differing == d)
        step = max(1, HYBRIDS >> int(d))
        for begin in range(0, len(members), step):
            part = members[begin : begin + step]
            yield background.X[part], background.weights[part]


def _pairs_values(
    network: Network,
    x: Float[np.ndarray, " inputs"],
    B: Float[np.ndarray, "pairs inputs"],
    weights: Float[np.ndarray, " pairs"],
) -> Float[np.ndarray, "outputs inputs"]:
    """The weighted sum of phi over pairs (x, b) that differ in equally many features."""
    differs = x != B
    d = int(differs[0].sum())
    rank = np.cumsum(differs, axis=1) - 1  # feature i is the rank-th that differs: bit `rank` of a hybrid's number
    masks = np.arange(1 << d)
    share = shapley_shares(d)
    phi = np.zeros((network.outputs, network.inputs))
    step = max(1, HYBRIDS // len(B))
    for begin in range(0, len(masks), step):
        mask = masks[begin : begin + step]
        from_x = (mask[:, None, None] >> np.where(differs, rank, 0)) & 1 > 0
        hybrids = np.where(from_x & differs, x, B)
        v = evaluate(network, hybrids.reshape(-1, len(x))).reshape(len(mask), len(B), network.outputs)
        pair = np.tensordot(share[:, begin : begin + step], v, axes=1)  # d x pairs x outputs
        for p, row in enumerate(differs):
            phi[:, row] += weights[p] * pair[:, p].T
    return phi


def shapley_shares(players: int) -> Float[np.ndarray, "players coalitions"]:
    """M with phi = M v: the Shapley weights of every coalition's value, coalition S being the number with S's bits."""
    masks = np.arange(1 << players)
    member = (masks >> np.arange(players)[:, None]) & 1 > 0
    size = member.sum(axis=0)
    weight = np.array([1.0 / (players * comb(players - 1, s)) for s in range(players)] + [0.0])
    return np.where(member, weight[size - 1], -weight[size])
