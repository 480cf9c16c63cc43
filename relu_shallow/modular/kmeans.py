"""k-means, deterministic under its seed, and the assignments of least cost that keep every cluster populated."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from relu_shallow.errors import UsageError

RESTARTS, MOST_ROUNDS = 10, 100


def kmeans(P: Float[np.ndarray, "points d"], k: int, *seed: int) -> Int[np.ndarray, " points"]:
    """The best of ten runs of Lloyd's algorithm from k-means++ starts (Arthur and Vassilvitskii 2007): labels 0..k-1.

    Raises UsageError where there are fewer points than clusters.
    """
    check_clusters(k, len(P))
    rng = np.random.default_rng(seed)
    runs = [_lloyd(P, _spread_starts(P, k, rng)) for _ in range(RESTARTS)]
    return min(runs, key=lambda run: run[1])[0]


def check_clusters(k: int, points: int, what: str = "points") -> None:
    """Raises UsageError unless 1 <= k <= points."""
    if not 1 <= k <= points:
        raise UsageError(f"{k} clusters of {points} {what}: give a number of modules from 1 to {points}")


def centres(
    P: Float[np.ndarray, "points d"], labels: Int[np.ndarray, " points"], k: int
) -> Float[np.ndarray, "k d"]:
    """The mean of each cluster's points; of a cluster without points, the point farthest from its own centre."""
    inside = labels == np.arange(k)[:, None]
    count = inside.sum(axis=1)
    C = (inside @ P) / np.maximum(count, 1)[:, None]
    far = np.argsort(-np.square(P - C[labels]).sum(axis=1), kind="stable")
    empty = np.flatnonzero(count == 0)
    C[empty] = P[far[: len(empty)]]
    return C


def squared_distances(P: Float[np.ndarray, "points d"], C: Float[np.ndarray, "k d"]) -> Float[np.ndarray, "points k"]:
    """|p - c|^2 for every point and centre."""
    return np.square(P[:, None, :] - C[None, :, :]).sum(axis=2)


def assigned(cost: Float[np.ndarray, "points k"], *, balanced: bool) -> Int[np.ndarray, " points"]:
    """Labels of least total cost such that every cluster gets a point; balanced: as many as any other, or one more.

    An assignment problem: a cluster is so many places that must be taken, and others that may be.
    """
    from scipy.optimize import linear_sum_assignment

    n, k = cost.shape
    must = np.repeat(np.arange(k), n // k if balanced else 1)
    spare = n - len(must)
    if balanced:  # one more place in each, and stand-ins for those of them that stay empty
        places, stand_ins = np.concatenate([must, np.arange(k)]), k - spare
        table = np.concatenate([cost[:, places], np.full((stand_ins, len(places)), np.inf)])
        table[n:, len(must) :] = 0.0
        return places[linear_sum_assignment(table)[1][:n]]
    near = cost.argmin(axis=1)
    table = np.concatenate([cost[:, must], np.repeat(cost.min(axis=1)[:, None], spare, axis=1)], axis=1)
    place = linear_sum_assignment(table)[1]
    return np.where(place < k, must[np.minimum(place, k - 1)], near)


def _spread_starts(P: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """k points, each drawn with odds that grow with its squared distance from those before."""
    chosen = [int(rng.integers(len(P)))]
    near = np.square(P - P[chosen[0]]).sum(axis=1)
    for _ in range(k - 1):
        total = near.sum()
        odds = near / total if total > 0 else np.full(len(P), 1 / len(P))
        chosen.append(int(rng.choice(len(P), p=odds)))
        near = np.minimum(near, np.square(P - P[chosen[-1]]).sum(axis=1))
    return P[chosen]


def _lloyd(P: np.ndarray, C: np.ndarray) -> tuple[np.ndarray, float]:
    """(labels, sum of squared distances) where moving the centres changes no label any more."""
    labels = np.full(len(P), -1)
    for _ in range(MOST_ROUNDS):
        nearest = squared_distances(P, C).argmin(axis=1)
        if (nearest == labels).all():
            break
        labels = nearest
        C = centres(P, labels, len(C))
    return labels, float(np.square(P - C[labels]).sum())
