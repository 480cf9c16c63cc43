"""Certified bounds of all outputs' derivatives over boxes or cells, from slopes of open gates as intervals."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from relu_shallow.network import Matrix, Network
from relu_shallow.precision import TINY, gamma, slope_underflow
from relu_shallow.relaxation import Bounds


def gradient_bounds(
    network: Network, bounds: Bounds
) -> tuple[Float[np.ndarray, "*boxes outputs inputs"], Float[np.ndarray, "*boxes outputs inputs"]]:
    """(lower, upper) of d f_k / d x_j wherever the network is differentiable in the cells that the bounds belong to.

    Backwards, an open gate multiplies by an interval from its smaller to its larger slope. What is added up is kept
    apart by sign, so that a sum without negative terms has no bound below zero, whatever is rounded.
    """
    last = network.affine[-1].W
    start = last if isinstance(last, np.ndarray) else last.toarray()
    tiny = TINY if slope_underflow(network) else 0.0
    shape = (*bounds.lo.shape[:-1], *start.shape)
    low, high = np.broadcast_to(start, shape), np.broadcast_to(start, shape)
    for index in range(len(network.gates) - 1, -1, -1):
        gate = network.gates[index]
        below, above = bounds.lower[index][..., None, :], bounds.upper[index][..., None, :]
        on, off = (below >= 0) & (above > 0), above <= 0  # at zero all along, the slope does not matter
        least = np.where(on, gate.active, np.where(off, gate.inactive, np.minimum(gate.active, gate.inactive)))
        most = np.where(on, gate.active, np.where(off, gate.inactive, np.maximum(gate.active, gate.inactive)))
        pairs = ((low, least), (low, most), (high, least), (high, most))
        ends = np.stack([a * b for a, b in pairs])
        signs = np.stack([np.sign(a) * np.sign(b) for a, b in pairs])  # of products that may have underflowed, too
        low, high = ends.min(axis=0), ends.max(axis=0)
        low, high = low - gamma(2) * np.abs(low), high + gamma(2) * np.abs(high)
        low, high = low - tiny * (signs < 0).any(axis=0), high + tiny * (signs > 0).any(axis=0)
        W = network.affine[index].W
        least, most = _times(low, high, W)
        if tiny:
            below, above = _signs(low, high, W)
            terms = W.shape[0] * 4 * tiny
            least = np.where(below, least - terms, np.maximum(least - terms, 0.0))
            most = np.where(above, most + terms, np.minimum(most + terms, 0.0))
        low, high = least, most
    return low, high


def _signs(low: np.ndarray, high: np.ndarray, W: Matrix) -> tuple[np.ndarray, np.ndarray]:
    """Where the sums v W for low <= v <= high have negative terms, and where positive ones, whatever underflows."""
    plus, minus = (W > 0) * 1.0, (W < 0) * 1.0
    below = _at((low < 0) * 1.0, plus) + _at((high > 0) * 1.0, minus)
    above = _at((high > 0) * 1.0, plus) + _at((low < 0) * 1.0, minus)
    return below > 0, above > 0


def _times(low: np.ndarray, high: np.ndarray, W: Matrix) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of v W for low <= v <= high, from sums of terms of one sign each."""
    plus, minus = (W + abs(W)) * 0.5, (abs(W) - W) * 0.5
    error = gamma(W.shape[0] + 8)
    low_plus, low_minus = np.maximum(low, 0), np.maximum(-low, 0)
    high_plus, high_minus = np.maximum(high, 0), np.maximum(-high, 0)
    gain, loss = _at(low_plus, plus) + _at(high_minus, minus), _at(low_minus, plus) + _at(high_plus, minus)
    least = gain * (1 - error) - loss * (1 + error)
    gain, loss = _at(high_plus, plus) + _at(low_minus, minus), _at(high_minus, plus) + _at(low_plus, minus)
    return least, gain * (1 + error) - loss * (1 - error)


def _at(v: np.ndarray, W: Matrix) -> np.ndarray:
    if isinstance(W, np.ndarray):
        return np.asarray(v @ W)
    return np.asarray((W.T @ v.reshape(-1, v.shape[-1]).T).T.reshape(*v.shape[:-1], W.shape[1]))
