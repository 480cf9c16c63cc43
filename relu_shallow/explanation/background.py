"""The background: the weighted rows that stand for "feature absent" in Shapley values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from relu_shallow.errors import DataError

MOST_ROWS = 100
SEED = 0
FITTED_ROWS = 10_000  # k-means sees a sample of this size; every row is then assigned to its nearest centre


@dataclass(frozen=True, eq=False)
class Background:
    """Rows with weights that are not negative and sum to one."""

    X: Float[np.ndarray, "points inputs"]
    weights: Float[np.ndarray, " points"]

    def __post_init__(self) -> None:
        if len(self.X) == 0 or self.weights.shape != (len(self.X),):
            raise DataError(f"a background needs rows and one weight each, got {len(self.X)} rows "
                            f"and weights of shape {self.weights.shape}")  # fmt: skip
        total = self.weights.sum()
        if not (np.isfinite(total) and total > 0 and (self.weights >= 0).all()):
            raise DataError("background weights must be finite, not negative, and not all zero")
        keep = self.weights > 0
        object.__setattr__(self, "X", np.ascontiguousarray(self.X[keep]))
        object.__setattr__(self, "weights", self.weights[keep] / total)

    @property
    def mean(self) -> Float[np.ndarray, " inputs"]:
        """E[b], the weighted mean row."""
        return self.weights @ self.X


def distinct_rows(X: Float[np.ndarray, "rows inputs"]) -> Background:
    """Each distinct row once, weighted by how often it occurs."""
    if not len(X):
        raise DataError("the background has no rows")
    rows, counts = np.unique(X, axis=0, return_counts=True)
    return Background(rows, counts.astype(np.float64))


def shrink(X: Float[np.ndarray, "rows inputs"], most: int = MOST_ROWS) -> Background:
    """The distinct rows of X with their weights, or where there are more than `most`, that many k-means centres.

    A centre is the mean of the rows nearest to it and weighs as many as they are, so the background's mean is the
    data's. Columns are scaled to unit spread before distances are taken. The same data gives the same background.
    """
    if not len(X):
        raise DataError("the background has no rows")
    if len(X) <= FITTED_ROWS or len(np.unique(X[:FITTED_ROWS], axis=0)) <= most:
        exact = distinct_rows(X)
        if len(exact.X) <= most:
            return exact
    nearest = _clusters(X, most)
    counts = np.bincount(nearest, minlength=most).astype(np.float64)
    sums = np.column_stack([np.bincount(nearest, weights=column, minlength=most) for column in X.T])
    used = counts > 0
    centres = sums[used] / counts[used, None]
    return Background(np.clip(centres, X.min(axis=0), X.max(axis=0)), counts[used])  # means round past the data


def sample(X: Float[np.ndarray, "rows inputs"], rows: int, seed: int = SEED) -> Background:
    """That many rows of X drawn without replacement, or all where there are no more; equal ones as one, with weight."""
    if len(X) <= rows:
        return distinct_rows(X)
    return distinct_rows(X[np.random.default_rng(seed).choice(len(X), rows, replace=False)])


def is_spec(text: str) -> bool:
    """Whether a text asks for a background by a word, and names no file."""
    return text.partition(":")[0] in CHOICES and not Path(text).exists()


def background_of(spec: str, X: Float[np.ndarray, "rows inputs"]) -> Background:
    """The background that a word asks for: "all", "kmeans:100", "sample:200", or "sample:200:7" with a seed.

    Raises DataError where it asks for none of these.
    """
    name, *numbers = str(spec).strip().split(":")
    choice = CHOICES.get(name)
    fits = choice is not None and len(numbers) in choice[1] and all(_is_count(number) for number in numbers)
    if choice is None or not fits or (numbers and int(numbers[0]) == 0):
        raise DataError(
            f"{str(spec)[:60]!r} is no background; write all, kmeans:ROWS, sample:ROWS or sample:ROWS:SEED, "
            "with ROWS at least 1"
        )
    return choice[0](X, *(int(number) for number in numbers))


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 9


# from a word to the function of the rows and its numbers, and how many numbers it takes
CHOICES: dict[str, tuple[Callable[..., Background], tuple[int, ...]]] = {
    "all": (distinct_rows, (0,)),
    "kmeans": (shrink, (0, 1)),
    "sample": (sample, (1, 2)),
}


def _clusters(X: Float[np.ndarray, "rows inputs"], most: int) -> Int[np.ndarray, " rows"]:
    """The number of the k-means centre nearest to each row."""
    from scipy.cluster.vq import kmeans2, vq

    spread = X.std(axis=0)
    scaled = (X - X.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    random = np.random.default_rng(SEED)
    sample = scaled if len(X) <= FITTED_ROWS else scaled[random.choice(len(X), FITTED_ROWS, replace=False)]
    start = _spread_out(sample, most, random)
    centres, _ = kmeans2(sample, start, minit="matrix", missing="warn")
    return vq(scaled, centres, check_finite=False)[0].astype(np.int64)


def _spread_out(
    X: Float[np.ndarray, "rows inputs"], most: int, random: np.random.Generator
) -> Float[np.ndarray, "centres inputs"]:
    """Starting centres that are distinct rows, each drawn by its squared distance to those before (k-means++)."""
    chosen = [int(random.integers(len(X)))]
    nearest = ((X - X[chosen[0]]) ** 2).sum(axis=1)
    while len(chosen) < most and nearest.any():
        chosen.append(int(random.choice(len(X), p=nearest / nearest.sum())))
        nearest = np.minimum(nearest, ((X - X[chosen[-1]]) ** 2).sum(axis=1))
    return X[chosen]
