"""The distance between two inputs in one of three norms, features weighed, and lower bounds of it that are proved."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Float

from relu_shallow.errors import UsageError
from relu_shallow.precision import TINY, UNIT, gamma

Norm = Literal["1", "2", "inf"]
NORMS: tuple[Norm, ...] = ("1", "2", "inf")
SCALES = ("none", "range", "sd", "mad")
_DUAL: dict[Norm, Norm] = {"1": "inf", "2": "2", "inf": "1"}


def size(norm: Norm, V: Float[np.ndarray, "*vectors n"]) -> Float[np.ndarray, "*vectors"]:
    """The norm of vectors along the last axis, rounded up: no smaller than the exact one."""
    if norm == "inf":
        return np.asarray(np.abs(V).max(axis=-1, initial=0.0))
    total = np.abs(V).sum(axis=-1) if norm == "1" else np.sqrt((V * V).sum(axis=-1) + TINY * (V != 0).any(axis=-1))
    return np.asarray(total * (1 + gamma(V.shape[-1] + 4)))


def distance(
    norm: Norm, weights: Float[np.ndarray, " n"], x: Float[np.ndarray, " n"], Y: Float[np.ndarray, "*points n"]
) -> Float[np.ndarray, "*points"]:
    """|weights * (y - x)| for each point y, rounded up."""
    return np.asarray(size(norm, weights * (Y - x)) * (1 + gamma(3)))


def spread_weights(X: Float[np.ndarray, "rows n"], scale: str) -> Float[np.ndarray, " n"]:
    """Weights that measure a change of each feature in its spread over the data: 1 / range, standard deviation or MAD.

    MAD is the median absolute deviation from the median (Wachter et al. 2018). A feature without spread is measured in
    its own units.
    """
    if scale not in SCALES:
        raise UsageError(f"the scale {scale!r} is not one of {', '.join(SCALES)}")
    if scale == "none":
        return np.ones(X.shape[1])
    if scale == "range":
        spread = X.max(axis=0) - X.min(axis=0)
    elif scale == "sd":
        spread = X.std(axis=0)
    else:
        spread = np.median(np.abs(X - np.median(X, axis=0)), axis=0)
    size = np.abs(X).max(axis=0, initial=0.0)
    return 1.0 / np.where(spread > len(X) * UNIT * size, spread, 1.0)


def proved_distance(
    norm: Norm,
    weights: Float[np.ndarray, " n"],
    x: Float[np.ndarray, " n"],
    box: tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]],
    rows: tuple[Float[np.ndarray, "k n"], Float[np.ndarray, " k"]],
    dual: Float[np.ndarray, " k"],
    slope: Float[np.ndarray, " n"],
) -> float:
    """A lower bound, in exact arithmetic, of the distance from x to {z in box: A z + a >= 0}; inf proves it empty.

    For any y >= 0 and any p of dual norm at most 1 (weights divided out), with v = z - x and g = A^T y,
    |w v| >= p.v >= p.v - y.(A z + a) = -y.(A x + a) + (p - g).v, of which the least over the box is a sum over features
    (weak duality; as Neumaier and Shcherbina 2004 for linear programs). Where it is positive with p = 0, nothing is
    there. So `dual` and `slope` may come from any solver, and only their quality depends on it.
    """
    y = np.maximum(np.where(np.isfinite(dual), dual, 0.0), 0.0)
    p = np.where(np.isfinite(slope), slope, 0.0)
    length = float(size(_DUAL[norm], p / weights)) * (1 + 2 * UNIT)
    p = p / (length * (1 + 4 * UNIT)) if length > 1 else p
    A, a = rows
    low, high = box[0] - x, box[1] - x
    reach = np.maximum(np.abs(low), np.abs(high))
    g, g_size = A.T @ y, np.abs(A).T @ y
    fixed, fixed_size = float(y @ (A @ x + a)), float(y @ (np.abs(A) @ np.abs(x) + np.abs(a)))
    rounding = gamma(2 * len(x) + 2 * len(y) + 16)
    magnitude = fixed_size + float(g_size @ reach)
    if np.minimum(-g * low, -g * high).sum() - fixed > rounding * magnitude + TINY:
        return float(np.inf)
    rest = p - g
    bound = np.minimum(rest * low, rest * high).sum() - fixed
    return max(float(bound - rounding * (magnitude + float(np.abs(p) @ reach)) - TINY), 0.0)
