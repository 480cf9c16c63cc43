"""Clusterability: how much of a layer's weight lies within clusters, as published and repaired.

C = (sum of W_ij^2 where i and j are of one cluster) / (sum of all W_ij^2), of Golechha, Cope and Schoots (arXiv
2409.15747). It is 1 where no weight joins clusters, and 1/k for equal weights in k equal clusters. C near 1 is not
independence: what remains between modules may decide a prediction (see `removal.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from relu_shallow.errors import ModelError
from relu_shallow.modular.bipartite import bsgc
from relu_shallow.modular.clustering import check_weights, cluster_graph

ENMESHMENT = 20.0  # the paper's lambda


def clusterability(
    W: Float[np.ndarray, "out in"], rows: Int[np.ndarray, " out"], cols: Int[np.ndarray, " in"]
) -> float:
    """C of one matrix under labels of its rows and columns; ModelError where it is all zeros."""
    squares = np.square(W.astype(np.float64))
    own = rows[:, None] == cols[None, :]
    within, between = float(squares[own].sum()), float(squares[~own].sum())
    if within + between == 0:
        raise ModelError("the clusterability of a matrix of zeros is 0/0; train the network first")
    return within / (within + between)


def layer_clusterability(weights: Sequence[np.ndarray], labels: Sequence[np.ndarray]) -> list[float]:
    """C of every hidden-to-hidden matrix under labels of all hidden layers."""
    pairs = zip(weights, pairwise(labels), strict=True)
    return [clusterability(W, after, before) for W, (before, after) in pairs]


def mean_clusterability(weights: Sequence[np.ndarray], labels: Sequence[np.ndarray]) -> float:
    """C averaged over the hidden-to-hidden matrices."""
    return float(np.mean(layer_clusterability(weights, labels)))


def clustered_clusterability(
    weights: Sequence[np.ndarray], k: int, *, seed: int = 0, published: bool = False
) -> list[float]:
    """C of every hidden-to-hidden matrix under k clusters found in these weights.

    Repaired: one balanced clustering of the whole hidden graph. Published: the first matrix is clustered, its two
    sides unmatched, and its labels are kept for the matrices after it wherever these have its shape, though other
    neurons stand there; a matrix of another shape is clustered on its own.
    """
    check_weights(weights, k)
    if not published:
        return layer_clusterability(weights, cluster_graph(weights, k, seed=seed))
    labels: dict[tuple[int, ...], tuple[np.ndarray, np.ndarray]] = {}
    found = []
    for W in weights:
        if W.shape not in labels:
            labels[W.shape] = bsgc(W, k, seed=seed, published=True)
        found.append(clusterability(W, *labels[W.shape]))
    return found


def enmeshment(weights: Sequence[Any], masks: Sequence[Any]) -> Any:
    """1 - mean C as a torch value to train on; weights are tensors (out, in), masks say which weights are kept."""
    shares = [(W.square() * mask).sum() / W.square().sum() for W, mask in zip(weights, masks, strict=True)]
    return 1 - sum(shares) / len(shares)
