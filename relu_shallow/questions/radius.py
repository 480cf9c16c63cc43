"""The certified robust radius of rows: how far each may move before its class can change, or an output cross a line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from relu_shallow.domain import Domain
from relu_shallow.network import Network
from relu_shallow.questions.distance import Norm
from relu_shallow.questions.goal import check_threshold, goals_of, sides
from relu_shallow.questions.nearest import AT_EASE, Nearest, nearest_point
from relu_shallow.questions.source import domain_of, network_of
from relu_shallow.questions.space import space_of
from relu_shallow.shallow.opening import opened
from relu_shallow.shallow.table import as_points


@dataclass(frozen=True, eq=False)
class Radii:
    """For each row, lower <= r <= upper, both proved: within r of it in the domain every point has the row's class.

    (With a threshold: no point lies on its other side.) `points` are the nearest ones found elsewhere, at distance
    `upper`, and `classes_there` theirs; NaN and -1 where none was found. `status` is `exact` where the bounds agree to
    precision.NEAREST, `none` where it is proved that the domain holds no such point (both are inf), else `bounds`.
    `ended` is why each search did (`nearest.Nearest`): `settled`, or `time`, `rounding`, `far` beside `bounds`.
    """

    norm: Norm
    lower: Float[np.ndarray, " rows"]
    upper: Float[np.ndarray, " rows"]
    points: Float[np.ndarray, "rows inputs"]
    classes: Int[np.ndarray, " rows"]
    classes_there: Int[np.ndarray, " rows"]
    status: tuple[str, ...]
    ended: tuple[str, ...]
    seconds: Float[np.ndarray, " rows"]


def robust_radii(
    source: Any,
    X: object,
    norm: Norm = "inf",
    *,
    domain: Domain | None = None,
    weights: Float[np.ndarray, " inputs"] | None = None,
    output: int | None = None,
    threshold: float = 0.0,
    time_limit: float = AT_EASE,
    progress: Callable[[int, int], None] | None = None,
) -> Radii:
    """The robust radius of each row of X, in a norm of weights * (z - x), at most `time_limit` seconds for each.

    The domain is by default that of a converted network. The class is the largest output's or, with one output,
    whether it is above `threshold`. With `output` it is that output's side of the threshold. Values are before the
    head, whose order they have. Raises UsageError for an output that the network does not have, and for a network of
    one output and no head without a threshold's `output`.
    """
    source = opened(source)
    network = network_of(source)
    check_threshold(network, output, threshold)
    X = as_points(X, network.inputs)
    space = space_of(domain_of(source, domain), network)
    own = sides(network, X, output, threshold)
    found = []
    for row, (x, side) in enumerate(zip(X, own, strict=True)):
        goals = goals_of(network, int(side), output, threshold)
        found.append(nearest_point(network, x, goals, space, norm, weights, time_limit))
        if progress is not None:
            progress(row + 1, len(X))
    return _radii(network, norm, found, own, output, threshold)


def _radii(
    network: Network, norm: Norm, found: list[Nearest], own: np.ndarray, output: int | None, threshold: float
) -> Radii:
    points = np.array([one.point for one in found]).reshape(len(found), network.inputs)
    there = np.full(len(found), -1)
    known = np.isfinite(points).all(axis=1)
    if known.any():
        there[known] = sides(network, points[known], output, threshold)
    return Radii(
        norm, np.array([one.lower for one in found]), np.array([one.upper for one in found]), points,
        np.asarray(own, dtype=np.int64), there, tuple(one.status for one in found),
        tuple(one.ended for one in found), np.array([one.seconds for one in found]),
    )  # fmt: skip


