"""Local SHAP values: the exact Shapley values of the affine map on a row's region, and where they are the network's.

phi_i = alpha_i (x_i - E[b_i]), Villani and Schoots (arXiv 2306.11827). They are the network's own interventional
Shapley values if the network agrees with that map at all hybrids of x with every background row; for that it is
enough that the box spanned by x and each background row lies in x's region, which is what `certified` proves.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from relu_shallow.explanation.background import Background
from relu_shallow.explanation.model import CHUNK, LocalModel
from relu_shallow.network import Network, activation_patterns, local_maps
from relu_shallow.precision import local_rows_error


def local_values(
    model: LocalModel, X: Float[np.ndarray, "rows inputs"], background: Background
) -> Float[np.ndarray, "rows outputs inputs"]:
    """phi_i = alpha_i (x_i - E[b_i]) for every row and output."""
    return model.alpha * (X - background.mean)[:, None, :]


def certified(
    network: Network, model: LocalModel, X: Float[np.ndarray, "rows inputs"], background: Background
) -> Bool[np.ndarray, " rows"]:
    """The rows for which the box spanned with every background row is proved to lie in the row's region.

    Such a box holds all background rows, so these must share one pattern w and only rows of that pattern can be
    proved. Over the box, the least value of an affine row s(G y + g) is s g + sum_i min(s G_i x_i, s G_i b_i); it must
    exceed the row's rounding error at every point of the box. Hybrids are then points of the closed region, also
    where the box leaves a polytope that was converted.
    """
    own = activation_patterns(network, background.X)
    proved = np.zeros(len(X), dtype=bool)
    if (own != own[0]).any():
        return proved
    groups = np.flatnonzero((model.patterns == own[0]).all(axis=1))
    rows = np.flatnonzero(np.isin(model.group, groups))
    step = max(1, CHUNK // max(network.neurons * network.inputs, 1))
    walls = _walls(network, own[0])
    for begin in range(0, len(rows), step):
        part = rows[begin : begin + step]
        proved[part] = _boxes_inside(walls, X[part], background.X)
    return proved


Walls = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _walls(network: Network, pattern: Bool[np.ndarray, " neurons"]) -> Walls:
    """(G, g, E, e): the region is G y + g >= 0, each row computed to within E |y| + e; never-cut gates left out."""
    maps = local_maps(network, pattern)[:-1]
    sign = np.where(pattern, 1.0, -1.0)
    E, e = local_rows_error(network, pattern)
    G = np.concatenate([np.zeros((0, network.inputs)), *(G for G, _ in maps)]) * sign[:, None]
    g = np.concatenate([np.zeros(0), *(g for _, g in maps)]) * sign
    cut = np.concatenate([np.zeros(0, bool), *(gate.active != gate.inactive for gate in network.gates)])
    return G[cut], g[cut], E[cut], e[cut]


def _boxes_inside(
    walls: Walls, X: Float[np.ndarray, "rows inputs"], B: Float[np.ndarray, "points inputs"]
) -> Bool[np.ndarray, " rows"]:
    """The rows whose boxes with all background rows lie inside; one hull of all the boxes is tried first."""
    G, g, E, e = walls
    at_x = G * X[:, None, :]
    lowest, farthest = (G * B[:, None, :]).min(axis=0), np.abs(B).max(axis=0)
    inside: np.ndarray = np.all(_lowest(at_x, lowest, g) >= _error(X, farthest, E, e), axis=1)
    rest = np.flatnonzero(~inside)
    for b in B:
        rest = rest[(_lowest(at_x[rest], G * b, g) >= _error(X[rest], np.abs(b), E, e)).all(axis=1)]
    inside[rest] = True
    return inside


def _lowest(at_x: np.ndarray, at_b: np.ndarray, g: np.ndarray) -> np.ndarray:
    return np.minimum(at_x, at_b).sum(axis=2) + g


def _error(X: np.ndarray, farthest: np.ndarray, E: np.ndarray, e: np.ndarray) -> np.ndarray:
    return np.maximum(np.abs(X), farthest) @ E.T + e
