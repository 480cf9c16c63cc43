"""The published clustering of one layer: bipartite spectral graph clustering (BSGC), of weights or of gradients.

Golechha, Cope and Schoots, "Training Neural Networks for Modularity aids Interpretability" (arXiv 2409.15747), after
Dhillon (KDD 2001): A = |W|, A~ = Du^-1/2 A Dv^-1/2, its k leading singular vectors on each side, k-means. Published,
the two sides are grouped on their own, so that cluster 3 of the one has nothing to do with cluster 3 of the other;
repaired, labels of the two sides are matched.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from relu_shallow.errors import DataError
from relu_shallow.modular.clustering import check_weights, unit_rows
from relu_shallow.modular.kmeans import kmeans


def bsgc(
    W: Float[np.ndarray, "out in"], k: int, *, seed: int = 0, published: bool = False
) -> tuple[Int[np.ndarray, " out"], Int[np.ndarray, " in"]]:
    """(labels of the rows, labels of the columns) of one matrix.

    Repaired: both sides' unit rows are grouped by one k-means, as Dhillon did. Raises as `cluster_graph`.
    """
    check_weights([W], k)
    A = np.abs(W).astype(np.float64)
    du, dv = _inverse_root(A.sum(axis=1)), _inverse_root(A.sum(axis=0))
    U, _, Vt = np.linalg.svd(du[:, None] * A * dv, full_matrices=False)
    rows, cols = U[:, :k], Vt[:k].T
    if published:
        return kmeans(rows, k, seed, 0), kmeans(cols, k, seed, 1)  # each from draws of its own
    both = kmeans(np.concatenate([unit_rows(rows), unit_rows(cols)]), k, seed)
    return both[: len(rows)], both[len(rows) :]


def gradient_similarity(
    gradients: Sequence[Float[np.ndarray, "out in"]],
) -> tuple[Float[np.ndarray, "out out"], Float[np.ndarray, "in in"]]:
    """(sum_t G_t G_t^T / ||G_t||_F^2, S = sum_t G_t^T G_t / ||G_t||_F^2) over the loss's gradients by W in batches.

    The second is the published one, which groups a layer's inputs; the first is the same of its outputs. Batches
    without a gradient count nothing; DataError where none has one.
    """
    scaled = [G / norm for G in gradients if (norm := np.linalg.norm(G)) > 0]
    if not scaled:
        raise DataError("the loss has no gradient on any batch: nothing is learnt from these rows, so they tell no "
                        "neurons apart")  # fmt: skip
    both = sum(G @ G.T for G in scaled), sum(G.T @ G for G in scaled)
    return np.asarray(both[0]), np.asarray(both[1])


def gradient_weights(gradients: Sequence[Float[np.ndarray, "out in"]]) -> Float[np.ndarray, "out in"]:
    """The gradients as edges for `cluster_graph`: root of sum_t G_t^2 / ||G_t||_F^2, entry by entry.

    Their squares have the diagonals of `gradient_similarity` for row and column sums.
    """
    gradient_similarity(gradients)
    return np.sqrt(np.asarray(sum(np.square(G / norm) for G in gradients if (norm := np.linalg.norm(G)) > 0)))


def bsgc_gradients(
    gradients: Sequence[Float[np.ndarray, "out in"]], k: int, *, seed: int = 0, published: bool = False
) -> tuple[Int[np.ndarray, " out"], Int[np.ndarray, " in"]]:
    """(labels of the rows, labels of the columns) of one matrix from its gradients: each side's similarity clustered.

    Repaired: row clusters take the numbers under which most of the gradients' squares lie within clusters.
    """
    check_weights(gradients[:1], k)
    rows, cols = (_spectral(S, k, seed, side) for side, S in enumerate(gradient_similarity(gradients)))
    return (rows, cols) if published else (matched(gradient_weights(gradients), rows, cols, k), cols)


def matched(
    W: Float[np.ndarray, "out in"], rows: Int[np.ndarray, " out"], cols: Int[np.ndarray, " in"], k: int
) -> Int[np.ndarray, " out"]:
    """The rows' clusters renumbered so that the most of W^2 lies within clusters."""
    from scipy.optimize import linear_sum_assignment

    inside = (rows == np.arange(k)[:, None]) @ np.square(W) @ (cols[:, None] == np.arange(k))
    return linear_sum_assignment(-inside)[1][rows]


def _spectral(S: np.ndarray, k: int, *seed: int) -> np.ndarray:
    """Labels by the k leading eigenvectors of |S|, normalised by degrees."""
    from scipy.linalg import eigh

    A = np.abs(S)
    scale = _inverse_root(A.sum(axis=1))
    V = eigh(scale[:, None] * A * scale, subset_by_index=(len(A) - k, len(A) - 1))[1]
    return kmeans(unit_rows(V), k, *seed)


def _inverse_root(degree: np.ndarray) -> np.ndarray:
    return np.where(degree > 0, 1 / np.sqrt(np.where(degree > 0, degree, 1.0)), 0.0)
